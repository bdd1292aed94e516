"""The simulated mouse's movies: reproducible, natural in their statistics, and made without any download."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from napari_vidrecon.sessions.simulation.movies import (
    PHOTOGRAPHS,
    dead_leaves_plate,
    fractal_plate,
    movie,
    photograph,
    random_plate,
)

CLIPS, FRAMES = 12, 100


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.stack([movie(7, clip, FRAMES) for clip in range(CLIPS)])


def log_slope(frequencies: np.ndarray, power: np.ndarray) -> float:
    return float(np.polyfit(np.log(frequencies), np.log(power), 1)[0])


def test_a_clip_is_the_same_each_time_it_is_drawn(clips: np.ndarray) -> None:
    np.testing.assert_array_equal(movie(7, 3, FRAMES), clips[3])


def test_clips_of_other_numbers_and_other_seeds_differ(clips: np.ndarray) -> None:
    assert not np.array_equal(clips[0], clips[1])
    assert not np.array_equal(movie(8, 0, FRAMES), clips[0])


def test_grey_levels_are_whole_and_within_the_range_of_a_screen(clips: np.ndarray) -> None:
    assert clips.shape == (CLIPS, FRAMES, 36, 64)
    assert clips.dtype == np.float32
    assert clips.min() >= 0
    assert clips.max() <= 255
    np.testing.assert_array_equal(clips, np.rint(clips))


def test_luminance_and_contrast_are_those_of_natural_movies(clips: np.ndarray) -> None:
    assert 95 < clips.mean() < 145
    assert 48 < clips.std() < 72


def test_power_along_rows_falls_with_the_square_of_spatial_frequency(clips: np.ndarray) -> None:
    frames = clips[:, ::10]
    deviation = frames - frames.mean(axis=(2, 3), keepdims=True)
    power = (np.abs(np.fft.rfft(deviation, axis=3)) ** 2).mean(axis=(0, 1, 2))
    cycles = np.arange(1, 30)
    assert -2.3 < log_slope(cycles, power[cycles]) < -1.5


def test_power_over_time_falls_almost_with_the_square_of_temporal_frequency(clips: np.ndarray) -> None:
    window = np.hanning(FRAMES)[None, :, None, None]
    deviation = clips - clips.mean(axis=1, keepdims=True)
    power = (np.abs(np.fft.rfft(deviation * window, axis=1)) ** 2).mean(axis=(0, 2, 3))
    cycles = np.arange(2, 33)
    assert -2.3 < log_slope(cycles, power[cycles]) < -1.4


def test_long_clips_have_cuts_and_most_frames_follow_on_each_other() -> None:
    change = np.stack([np.abs(np.diff(movie(7, clip, 300), axis=0)).mean(axis=(1, 2)) for clip in (0, 1, 3)])
    at_cuts = np.sort(change, axis=1)[:, -1]
    assert (at_cuts > 4 * np.median(change, axis=1)).all()
    assert np.median(change) < 12


def test_a_clip_may_be_one_frame_long() -> None:
    assert movie(1, 0, 1).shape == (1, 36, 64)


def test_photographs_come_with_scikit_image_and_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a photograph was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    photograph.cache_clear()
    for name in PHOTOGRAPHS:
        picture = photograph(name)
        assert min(picture.shape) >= 250
        assert 0 <= picture.min() < picture.max() <= 1


@pytest.mark.parametrize("draw", [dead_leaves_plate, fractal_plate, random_plate])
def test_plates_have_unit_contrast(draw: object) -> None:
    plate = draw(np.random.default_rng(3))  # type: ignore[operator]
    assert abs(float(plate.mean())) < 1e-3
    assert abs(float(plate.std()) - 1) < 1e-3
