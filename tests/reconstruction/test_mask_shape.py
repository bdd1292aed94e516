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
    in_short = mask_faults(AlphaMask(alpha), short=True)
    # Two lines of the window have room for both.
    assert 0 < sum(map(len, in_short)) < 65


def test_pixels_pieces_and_holes_are_counted():
    shape = MaskShape.of((disc(9) - disc(4)) > 0)
    assert (shape.pieces, shape.apart) == (1, 0)
    assert shape.hole_pixels == int((disc(4) > 0).sum())
    assert shape.pixels > FEWEST_PIXELS


def strip(pixels: int, *further: int) -> np.ndarray:
    """Rows of so many pixels with one row between them, on a screen of 20 x 100."""
    alpha = np.zeros((20, 100), np.float32)
    for row, count in enumerate((pixels, *further)):
        alpha[2 * row, :count] = 1.2
    return alpha


@pytest.mark.parametrize(
    ("enough", "too_much", "fault"),
    [
        (strip(25), strip(24), "24 pixels, of which a correlation says little"),
        (strip(90, 10), strip(90, 11), "2 pieces"),
        (strip(90, 2, 3, 5), strip(90, 2, 3, 6), "4 pieces"),
        (
            np.arange(2000).reshape(20, 100) < 1800,
            np.arange(2000).reshape(20, 100) < 1801,
            "90 % of the screen, which is no receptive field of a population",
        ),
    ],
)
def test_what_is_just_allowed_has_no_fault_and_a_pixel_more_or_fewer_has_one(enough, too_much, fault):
    assert MaskShape.of(enough > 0).faults == []
    assert MaskShape.of(too_much > 0).faults == [fault]


def test_holes_are_allowed_up_to_a_twentieth_of_the_pixels():
    block = np.zeros((20, 100), bool)
    block[1:6, 1:22] = True
    block[3, 3:8] = False
    assert MaskShape.of(block).faults == []
    block[3, 8] = False
    assert MaskShape.of(block).faults == ["holes of 6 pixels"]


def test_an_empty_mask_has_no_piece_and_nothing_apart():
    assert MaskShape.of(np.zeros((4, 6), bool)) == MaskShape(0, 0, 0, 0, 0.0)


def test_pixels_that_touch_at_a_corner_are_apart():
    assert MaskShape.of(np.eye(2, dtype=bool)) == MaskShape(2, 2, 1, 0, 0.5)


def test_each_colour_may_have_a_piece_and_more_are_counted():
    alpha = strip(40, 40, 40)
    alpha[10:13] = alpha[:3]
    assert MaskShape.of(alpha[:3] > 0).pieces == 2
    assert MaskShape.of(np.concatenate([alpha[:1], alpha[10:11]]) > 0, 2) == MaskShape(80, 1, 0, 0, 0.4)
    assert MaskShape.of(np.concatenate([alpha[:3], 0 * alpha[:3]]) > 0, 2).pieces == 2
    shape = MaskShape.of(alpha > 0, 2)
    assert (shape.pieces, shape.apart, shape.screen_share) == (4, 120, 0.1)


def test_an_evaluation_mask_of_a_tenth_of_the_training_mask_is_enough():
    alpha = strip(100, 100, 100) * 0.5
    alpha[0, :30] = 1.2
    assert "tenth" not in "".join(mask_faults(AlphaMask(alpha)))
    alpha[0, 29] = 0.6
    assert "tenth" in "".join(mask_faults(AlphaMask(alpha)))
