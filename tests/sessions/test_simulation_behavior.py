"""What the simulated mouse does: numbers like those of the recorded mice, the same for the same trial."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.sessions.simulation.behavior import SCREEN_PX_PER_CAMERA_PX, as_seen, gaze_shift, simulate_behavior

TRIALS = 150


@pytest.fixture(scope="module")
def recorded() -> tuple[np.ndarray, np.ndarray]:
    pairs = [simulate_behavior(7, trial) for trial in range(TRIALS)]
    return np.concatenate([b for b, _ in pairs], axis=1), np.concatenate([p for _, p in pairs], axis=1)


def test_behaviour_of_a_trial_is_reproducible_and_differs_between_trials() -> None:
    first, again, other = simulate_behavior(7, 4), simulate_behavior(7, 4), simulate_behavior(7, 5)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_the_mouse_mostly_sits_and_runs_in_bouts(recorded: tuple[np.ndarray, np.ndarray]) -> None:
    running = recorded[0][1]
    assert np.median(running) == 0
    assert running.min() == 0
    assert 15 < running.max() <= 25
    assert 0.25 < running.mean() < 1.0
    assert 1.4 < running.std() < 3.5


def test_the_pupil_stays_in_the_range_of_recorded_mice(recorded: tuple[np.ndarray, np.ndarray]) -> None:
    pupil = recorded[0][0]
    assert pupil.min() >= 10
    assert pupil.max() <= 92
    assert 40 < pupil.mean() < 60
    assert 10 < pupil.std() < 18


def test_the_pupil_widens_with_running(recorded: tuple[np.ndarray, np.ndarray]) -> None:
    assert np.corrcoef(recorded[0])[0, 1] > 0.1


def test_the_eye_rests_near_its_centre_and_jumps(recorded: tuple[np.ndarray, np.ndarray]) -> None:
    eye = recorded[1]
    np.testing.assert_allclose(eye.mean(axis=1), 150, atol=1.5)
    assert (eye.std(axis=1) > 3).all()
    assert (eye.std(axis=1) < 7).all()
    speed = np.abs(np.diff(eye[0]))
    assert np.median(speed) < 0.5
    assert (speed > 2).mean() > 0.003


def test_gaze_moves_receptive_fields_by_less_than_a_pixel_and_a_half(
    recorded: tuple[np.ndarray, np.ndarray],
) -> None:
    shift = gaze_shift(recorded[1])
    assert np.median(np.abs(shift)) < 0.6
    assert np.quantile(np.abs(shift), 0.99) < 2.0


def test_a_resting_eye_sees_the_screen_unchanged() -> None:
    video = np.random.default_rng(0).uniform(0, 255, (3, 36, 64)).astype(np.float32)
    np.testing.assert_allclose(as_seen(video, np.full((2, 3), 150.0)), video, atol=1e-3)


def test_a_turned_eye_sees_what_lies_where_its_fields_now_look() -> None:
    video = np.random.default_rng(0).uniform(0, 255, (2, 36, 64)).astype(np.float32)
    two_columns = 150 + 2 / SCREEN_PX_PER_CAMERA_PX
    seen = as_seen(video, np.array([[150.0, two_columns], [150.0, 150.0]]))
    np.testing.assert_allclose(seen[1][:, 5:40], video[1][:, 7:42], atol=0.05)
    np.testing.assert_allclose(seen[0], video[0], atol=1e-3)
