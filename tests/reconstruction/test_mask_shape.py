"""A mask that nothing can be measured in is told, with what to do."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.reconstruction.masks import FEWEST_PIXELS, AlphaMask, MaskShape, mask_faults


def disc(radius_px: float, alpha: float = 1.2) -> np.ndarray:
    """Alpha inside a disc in the middle of the screen, 0 outside."""
    rows, columns = np.mgrid[:36, :64]
    return alpha * (np.hypot(rows - 18, columns - 32) < radius_px).astype(np.float32)


def test_a_solid_disc_has_no_fault():
    assert mask_faults(AlphaMask(disc(9))) == []


def test_the_whole_screen_was_chosen():
    assert mask_faults(AlphaMask.full()) == []


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (disc(9, 0.7) + disc(1, 0.5), "evaluation mask (alpha >= 1): 1 pixel, of which a correlation says little"),
        (disc(12, 0.7) + disc(3, 0.5), "less than a tenth of the training mask"),
        (disc(9) - disc(4), "holes of 45 pixels"),
        (disc(5) + np.roll(disc(5), 20, axis=1), "2 pieces"),
        (np.ones((36, 64), np.float32) - disc(2), "training mask (alpha >= 0.5): 100 % of the screen"),
        (np.zeros((36, 64), np.float32), "no pixel at all"),
    ],
)
def test_what_is_wrong_is_named(alpha, words):
    told = " | ".join(mask_faults(AlphaMask(alpha)))
    assert words in told
    assert "fit the mask anew" in told


def test_pixels_pieces_and_holes_are_counted():
    shape = MaskShape.of((disc(9) - disc(4)) > 0)
    assert (shape.pieces, shape.apart) == (1, 0)
    assert shape.hole_pixels == int((disc(4) > 0).sum())
    assert shape.pixels > FEWEST_PIXELS
