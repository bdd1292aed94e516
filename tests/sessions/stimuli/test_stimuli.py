"""Stimuli: the statistics they promise, and the trial that shows one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.metrics import motion_energy, shannon_entropy
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.stimuli.stimulus import MovieFile, stimulus_trial
from napari_vidrecon.sessions.stimuli.synthetic import LEFT_PX, PATCH_PX, DriftingGrating, GaussianNoise

PATCH = slice(LEFT_PX, LEFT_PX + PATCH_PX)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_noise_forgets_over_its_temporal_length_constant(length: int) -> None:
    video = GaussianNoise(0, length, seed=3).video()[:, :, PATCH]
    # Clipping at black and white takes a little off; hence the tolerance.
    correlation = np.corrcoef(video[:-1].ravel(), video[1:].ravel())[0, 1]
    assert correlation == pytest.approx(np.exp(-1 / (2 * length**2)), abs=0.02)


@pytest.mark.parametrize("length", [1, 2])
def test_noise_forgets_over_its_spatial_length_constant(length: int) -> None:
    video = GaussianNoise(length, 0, seed=4).video()[:, :, PATCH]
    correlation = np.corrcoef(video[:, :-1].ravel(), video[:, 1:].ravel())[0, 1]
    assert correlation == pytest.approx(np.exp(-1 / (2 * length**2)), abs=0.03)


@pytest.mark.parametrize(("frames", "published"), [(2, 24.77), (4, 12.62), (8, 6.38), (16, 3.16), (32, 1.59)])
def test_noise_moves_as_much_as_the_published_one(frames: int, published: float) -> None:
    energy = np.mean([motion_energy(GaussianNoise(0, frames, seed).video()[:, :, PATCH]).mean() for seed in range(2)])
    assert energy == pytest.approx(published, rel=0.03)


def test_fine_noise_is_as_disordered_as_the_published_one() -> None:
    assert shannon_entropy(GaussianNoise(1, 4).video()[:, :, PATCH]) == pytest.approx(4.5, abs=0.1)


def test_inverted_noise_is_255_minus_the_noise() -> None:
    noise = GaussianNoise(4, 4, seed=1).video()
    inverted = GaussianNoise(4, 4, seed=1, inverted=True).video()
    np.testing.assert_allclose(noise + inverted, 255, atol=1e-4)


def test_a_seed_decides_the_noise() -> None:
    np.testing.assert_array_equal(GaussianNoise(2, 2, 5).video(), GaussianNoise(2, 2, 5).video())
    assert not np.array_equal(GaussianNoise(2, 2, 5).video(), GaussianNoise(2, 2, 6).video())


def test_a_grating_is_black_and_white_stripes_of_its_period() -> None:
    frame = DriftingGrating(0.0625, 0).video()[0]
    assert set(np.unique(frame)) == {0, 255}
    np.testing.assert_array_equal(frame[0, :16], [255] * 8 + [0] * 8)
    np.testing.assert_array_equal(frame[:, :48], frame[:, 16:])


@pytest.mark.parametrize(("direction", "axis", "sign"), [("right", 2, 1), ("left", 2, -1), ("down", 1, 1)])
def test_a_grating_moves_where_it_should(direction: str, axis: int, sign: int) -> None:
    video = DriftingGrating(0.25, 7.5, direction).video()  # one pixel a frame
    np.testing.assert_array_equal(np.roll(video[0], sign, axis=axis - 1), video[1])


def test_a_15_hz_grating_stands_still_in_every_second_frame() -> None:
    video = DriftingGrating(0.125, 15).video()
    np.testing.assert_array_equal(video[0], video[2])
    np.testing.assert_array_equal(video[0], 255 - video[1])


def test_a_movie_file_is_fitted_to_the_screen(tmp_path: Path) -> None:
    file = tmp_path / "movie.npy"
    np.save(file, np.full((40, 72, 128), 200, np.uint8))
    video = MovieFile(file, frames=35).video()
    assert video.shape == (35, 36, 64)
    np.testing.assert_allclose(video, 200)


def test_what_is_no_movie_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "movie.mp4"
    file.write_bytes(b"not a movie")
    with pytest.raises(StorageError, match="expected a movie"):
        MovieFile(file).video()


def test_a_stimulus_trial_repeats_the_average_behaviour(small_session_folder: Path) -> None:
    session = open_session(small_session_folder)
    trial = stimulus_trial(GaussianNoise(2, 2), session)
    behavior, _ = session.average_behavior()
    assert trial.frames == 60
    np.testing.assert_array_equal(trial.behavior, np.repeat(behavior[:, None], 60, axis=1))
    with pytest.raises(SessionError, match="expected recorded responses"):
        _ = trial.responses
