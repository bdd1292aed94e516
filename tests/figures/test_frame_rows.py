"""Frames of movies below each other, and one picture of every clip."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.picture_grids import picture_grid_figure

MASK = np.zeros((36, 64), dtype=bool)
MASK[10:20, 30:50] = True


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (3, 36, 64))


def test_rows_are_named_frames_are_timed_and_cropped_to_the_mask(pictures: np.ndarray) -> None:
    block = FrameBlock([("shown", pictures), ("reconstructed", pictures)], [0.0, 1.0, 2.5], "trial 3", [MASK])
    figure = frame_rows_figure([block, block], title="examples", simulated=True)
    assert len(figure.axes) == 2 * 2 * 3
    assert [axes.get_title() for axes in figure.axes[:3]] == ["0.00 s", "1.00 s", "2.50 s"]
    assert [figure.axes[row * 3].get_ylabel() for row in (0, 1)] == ["shown", "reconstructed"]
    assert figure.axes[0].get_xlim() == (28.5, 50.5)
    assert figure.axes[0].get_ylim() == (20.5, 8.5)
    assert "examples · simulated mouse" in {text.get_text() for text in figure.texts}


def test_grey_pictures_keep_one_scale_and_coloured_ones_are_outlined(pictures: np.ndarray) -> None:
    coloured = np.zeros((3, 36, 64, 3), dtype=np.uint8)
    rows = [("shown", pictures), ("error", coloured)]
    figure = frame_rows_figure([FrameBlock(rows, [0, 1, 2], masks=[MASK], outlined=MASK)], error_limit=40)
    grey, colour = figure.axes[0], figure.axes[3]
    assert grey.images[0].get_clim() == (0, 255)
    assert (len(grey.lines), len(colour.lines)) == (0, 1)
    assert any("−40 grey levels" in text.get_text() for text in figure.axes[-1].texts)


def test_without_a_mask_the_whole_screen_is_shown(pictures: np.ndarray) -> None:
    figure = frame_rows_figure([FrameBlock([("shown", pictures)], [0, 1, 2])])
    assert figure.axes[0].get_xlim() == (-0.5, 63.5)


def test_rows_that_do_not_fit_are_refused(pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        frame_rows_figure([])
    with pytest.raises(ValueError, match="3 pictures at 2 times"):
        frame_rows_figure([FrameBlock([("shown", pictures)], [0, 1])])


def test_every_clip_has_its_picture_with_the_mask_and_one_scale() -> None:
    entry = ("trial 1", np.zeros((36, 64, 3), dtype=np.uint8), MASK)
    window = slice(8, 22), slice(28, 52)
    figure = picture_grid_figure([[entry, entry], [entry]], window, error_limit=60, title="errors")
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["trial 1"] * 3
    assert all(len(axes.lines) == 1 for axes in figure.axes[:3])
    assert len(figure.axes) == 4
    with pytest.raises(ValueError, match="no picture"):
        picture_grid_figure([[]], window, error_limit=60)
