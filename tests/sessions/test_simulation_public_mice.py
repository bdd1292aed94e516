"""A simulated mouse like the public ones: their brightness and activity; the usual mouse stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.simulation.mouse import simulate_session, simulate_trial
from napari_vidrecon.sessions.simulation.movies import movie
from napari_vidrecon.sessions.simulation.public_mice import PUBLIC_GRADING, PublicActivity, PublicCortex
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex

SIZE = {"neurons": 6, "train_trials": 1, "validation_trials": 1, "test_trials": 1, "frames": 40}


@pytest.fixture(scope="module")
def activity() -> np.ndarray:
    """Recorded activity of neurons that always expect their mean, (N, T)."""
    noise = PublicActivity(400, seed=2)
    counts = noise.counts(np.repeat(noise.mean_response[:, None], 300, axis=1))
    return np.concatenate([noise.scan(counts, trial) for trial in range(60)], axis=1)


def test_the_usual_mouse_is_the_one_it_was():
    trial = simulate_trial(VisualCortex(5, 7), 2, frames=40)
    assert trial.video.sum(dtype=float) == 13_724_942.0
    assert trial.recorded_responses.sum(dtype=float) == pytest.approx(142.919742, rel=1e-5)


@pytest.mark.long
def test_movies_are_as_bright_and_as_contrasty_as_the_public_ones():
    shown = np.stack([movie(clip, clip, 40, PUBLIC_GRADING) for clip in range(40)])
    usual = np.stack([movie(clip, clip, 40) for clip in range(40)])
    # Shots differ by more than kinds of mice, so the same shots are compared: over many, usual movies have 122 and 60.
    assert shown.mean() - usual.mean() == pytest.approx(79.0 - 122.0, abs=4)
    assert shown.std() - usual.std() == pytest.approx(57.0 - 60.5, abs=3)


def test_means_and_noise_of_neurons_spread_as_over_the_public_mice(activity):
    mean, variance = activity.mean(axis=1), activity.var(axis=1)
    assert np.percentile(mean, (10, 50, 90)) == pytest.approx((0.9, 2.4, 6.9), rel=0.3)
    # The clock of movies, onto which recordings are interpolated, leaves three quarters of the variance.
    assert 0.75 * np.median(variance / mean) == pytest.approx(50, rel=0.3)
    assert np.corrcoef(np.log(mean), np.log(variance / mean))[0, 1] > 0.7
    assert np.median(activity) < 1e-3


def test_neurons_share_noise(activity):
    standardised = (activity - activity.mean(axis=1, keepdims=True)) / activity.std(axis=1, keepdims=True)
    shared = np.corrcoef(standardised)[np.triu_indices(len(activity), 1)]
    assert 0.002 < shared.mean() < 0.2


def test_excitability_drifts_over_the_session():
    noise = PublicActivity(50, seed=2)
    drifts = np.stack([noise.drift(trial) for trial in range(200)])
    assert 0.1 < drifts.std(axis=0).mean() < 0.5
    assert np.array_equal(drifts[7], noise.drift(7))


def test_expected_activity_is_what_recordings_average_to():
    cortex = PublicCortex(20, 5)
    trial = simulate_trial(cortex, 1, frames=90)
    clip = (trial.video, trial.behavior, trial.pupil_center)
    noise, expected = PublicActivity(20, 5), cortex.rates(*clip)
    counts = noise.counts(expected)
    often = np.mean([noise.scan(counts, number) for number in range(600)], axis=0)
    np.testing.assert_allclose(often.mean(), expected.mean(), rtol=0.15)
    np.testing.assert_array_equal(trial.recorded_responses, cortex.responses(*clip, trial=1))


def test_a_session_says_whom_it_is_like_and_the_usual_one_says_nothing_new(tmp_path):
    public = open_session(simulate_session(tmp_path / "public", seed=7, like="public", **SIZE))
    usual = open_session(simulate_session(tmp_path / "usual", seed=7, **SIZE))
    assert public.simulation["like"] == "public"
    assert "like" not in usual.simulation
    assert not np.array_equal(public.trial(0).video, usual.trial(0).video)
    with pytest.raises(ConfigError, match="expected one of usual, public to be like, found"):
        simulate_session(tmp_path / "other", seed=7, like="monkey", **SIZE)
