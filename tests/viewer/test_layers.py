"""The error map that is computed frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari_builtins.io import napari_write_image

from napari_vidrecon.viewer.board.layers import ErrorFrames

SHAPE = (5, 4, 6)


@pytest.fixture
def movies() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return tuple(random.uniform(0, 255, SHAPE).astype(np.float32) for _ in range(2))  # type: ignore[return-value]


@pytest.fixture
def within() -> np.ndarray:
    return (np.arange(24).reshape(SHAPE[1:]) % 3 > 0).astype(np.float32)


PLACES = (2, slice(1, 4), (0, slice(None), slice(1, 3)), (3, 2, 1), (Ellipsis, 0), np.array([4, 0]))


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_any_part_is_the_difference_inside_the_mask(movies, within, place) -> None:
    frames = ErrorFrames(SHAPE)
    frames.show(*movies, within, signed=True)
    np.testing.assert_allclose(frames[place], ((movies[0] - movies[1]) * within)[place], rtol=1e-6)


def test_the_frame_read_last_stays_up_to_date(movies, within) -> None:
    frames = ErrorFrames(SHAPE)
    shown = frames[3]
    frames.show(*movies, within, signed=True)
    np.testing.assert_allclose(shown, (movies[0] - movies[1])[3] * within, rtol=1e-6)
    other = frames[(1, slice(None), slice(None))]
    frames.clear()
    assert not other.any()


def test_the_magnitude_has_no_sign(movies, within) -> None:
    frames = ErrorFrames(SHAPE)
    frames.show(*movies, within, signed=False)
    np.testing.assert_allclose(np.asarray(frames), np.abs(movies[0] - movies[1]) * within, rtol=1e-6)


def test_before_there_are_two_movies_there_is_no_error(movies, within) -> None:
    frames = ErrorFrames(SHAPE)
    assert np.asarray(frames).shape == SHAPE
    assert not np.asarray(frames).any()
    frames.show(movies[0], None, within, signed=True)
    assert np.asarray(frames).any()
    frames.clear()
    assert not frames[1].any()


def test_napari_shows_reads_and_saves_it_like_an_array(movies, within, tmp_path: Path) -> None:
    frames = ErrorFrames(SHAPE)
    frames.show(*movies, within, signed=True)
    layer = Image(frames, contrast_limits=(-64, 64))
    assert layer.data is frames
    expected = (movies[0] - movies[1]) * within
    assert layer.get_value((0, 1, 2)) == pytest.approx(expected[0, 1, 2])
    saved = napari_write_image(str(tmp_path / "error.tif"), layer.data, {})
    assert saved is not None
    np.testing.assert_allclose(tifffile.imread(saved), expected, rtol=1e-6)
