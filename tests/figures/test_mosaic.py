"""Many movies on one board: each in its place, pixel for pixel, with even sizes that every player takes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.picture_grids import mosaic_frames


def flat(level: int, frames: int = 3) -> np.ndarray:
    """A movie of one grey level."""
    return np.full((frames, 4, 6), level, np.float32)


def test_every_movie_stands_in_its_row_and_column_enlarged() -> None:
    rows = [[flat(10), flat(20)], [flat(30), flat(40)]]
    frames = list(mosaic_frames(rows, scale=5))
    assert len(frames) == 3
    for level in (10, 20, 30, 40):
        inside = (frames[1] == level).all(axis=-1)
        assert inside.sum() == 4 * 6 * 25
    where = {level: np.argwhere((frames[1] == level).all(axis=-1)).min(axis=0) for level in (10, 20, 30, 40)}
    assert where[10][0] == where[20][0] < where[30][0] == where[40][0]
    assert where[10][1] == where[30][1] < where[20][1] == where[40][1]


def test_sizes_are_even_and_the_board_is_wide_enough_for_its_text() -> None:
    frame = next(mosaic_frames([[flat(0)]], row_labels=["shown"], column_labels=["trial 1"], scale=3))
    assert frame.dtype == np.uint8
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    assert frame.shape[1] >= 420


def test_grey_levels_are_rounded_and_clipped_and_colours_are_kept() -> None:
    grey = np.array([[[-5.0, 99.6, 300.0, np.nan, 0.0, 0.0]] * 4])
    colour = np.zeros((1, 4, 6, 3), np.uint8)
    colour[..., 0] = 200
    frame = next(mosaic_frames([[grey, colour]], scale=1))
    row, column = np.argwhere((frame == [200, 0, 0]).all(axis=-1)).min(axis=0)
    assert frame[row, column - 12 : column - 6, 0].tolist() == [0, 100, 255, 0, 0, 0]


def test_labels_and_a_simulated_mouse_change_the_picture() -> None:
    plain, labelled, simulated = (
        next(mosaic_frames([[flat(90)]], row_labels=[name], simulated=told))
        for name, told in (("", False), ("shown", False), ("", True))
    )
    assert (plain != labelled).any()
    assert (plain != simulated).any()


def test_a_row_may_be_shorter_than_the_others() -> None:
    frame = next(mosaic_frames([[flat(10), flat(20)], [flat(30)]], scale=2))
    assert (frame == 30).all(axis=-1).sum() == 4 * 6 * 4


def test_movies_of_different_sizes_or_none_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected one"):
        mosaic_frames([[flat(1), flat(1, frames=4)]])
    with pytest.raises(ValueError, match="expected one"):
        mosaic_frames([])
