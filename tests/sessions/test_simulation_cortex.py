"""The simulated neurons: they see what their receptive fields say, and are as noisy as they are meant to be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.sessions.simulation.behavior import simulate_behavior
from napari_vidrecon.sessions.simulation.movies import movie
from napari_vidrecon.sessions.simulation.receptive_fields import COMPLEX, OFF, ON
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex

NEURONS, SEED, TRIALS, FRAMES, SKIPPED = 150, 7, 6, 180, 50
GREY = 127.5


@pytest.fixture(scope="module")
def cortex() -> VisualCortex:
    return VisualCortex(NEURONS, SEED)


@pytest.fixture(scope="module")
def recordings(cortex: VisualCortex) -> tuple[np.ndarray, np.ndarray]:
    """Expected and single-trial responses, (N, trials * frames)."""
    expected, single = [], []
    for trial in range(TRIALS):
        shown = movie(SEED, trial, FRAMES)
        behavior, pupil = simulate_behavior(SEED, trial, FRAMES)
        expected.append(cortex.rates(shown, behavior, pupil)[:, SKIPPED:])
        single.append(cortex.responses(shown, behavior, pupil, trial=trial)[:, SKIPPED:])
    return np.concatenate(expected, axis=1), np.concatenate(single, axis=1)


def at_rest(frames: int) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([np.full(frames, 50.0), np.zeros(frames)]), np.full((2, frames), 150.0)


def rates_to_patch(cortex: VisualCortex, neuron: int, level: float) -> tuple[float, float]:
    """Event rate before and during a patch of 3 x 3 pixels on the centre of a neuron's field."""
    video = np.full((45, 36, 64), GREY, dtype=np.float32)
    row, column = round(float(cortex.fields.row[neuron])), round(float(cortex.fields.column[neuron]))
    video[15:30, row - 1 : row + 2, column - 1 : column + 2] = level
    rates = cortex.event_rates(video, *at_rest(45))[neuron]
    return float(rates[:15].mean()), float(rates[15:30].mean())


def drifting_grating(cortex: VisualCortex, neuron: int, sign: int, frames: int = 60) -> np.ndarray:
    """A grating of the neuron's own orientation and period at 3 Hz, along (+1) or against (-1) its normal."""
    angle, period = cortex.fields.orientation[neuron], cortex.fields.period[neuron]
    y, x = np.mgrid[:36, :64]
    across = np.cos(angle) * x + np.sin(angle) * y
    time = np.arange(frames)[:, None, None] / 30
    return (GREY + 100 * np.cos(2 * np.pi * (across / period - sign * 3 * time))).astype(np.float32)


def test_the_same_seed_gives_the_same_neurons_and_the_same_noise(cortex: VisualCortex) -> None:
    again = VisualCortex(NEURONS, SEED)
    shown, (behavior, pupil) = movie(SEED, 0, 60), at_rest(60)
    first = cortex.responses(shown, behavior, pupil, trial=0)
    np.testing.assert_array_equal(again.responses(shown, behavior, pupil, trial=0), first)
    np.testing.assert_array_equal(again.coordinates, cortex.coordinates)


def test_another_seed_gives_other_neurons(cortex: VisualCortex) -> None:
    other = VisualCortex(NEURONS, SEED + 1)
    assert not np.array_equal(other.coordinates, cortex.coordinates)
    assert not np.array_equal(other.fields.kind, cortex.fields.kind)


def test_another_trial_of_the_same_clip_has_other_noise_and_the_same_expectation(cortex: VisualCortex) -> None:
    shown, (behavior, pupil) = movie(SEED, 0, 60), at_rest(60)
    one = cortex.responses(shown, behavior, pupil, trial=0)
    two = cortex.responses(shown, behavior, pupil, trial=1)
    assert not np.array_equal(one, two)


def test_responses_average_to_the_expected_response(cortex: VisualCortex) -> None:
    shown, (behavior, pupil) = movie(SEED, 0, 90), at_rest(90)
    repeats = [cortex.responses(shown, behavior, pupil, trial=trial) for trial in range(30)]
    expected = cortex.rates(shown, behavior, pupil)
    assert np.corrcoef(np.mean(repeats, axis=0).ravel(), expected.ravel())[0, 1] > 0.85
    assert abs(np.mean(repeats) / expected.mean() - 1) < 0.08


def test_the_noise_ceiling_is_that_of_a_single_noisy_trial(recordings: tuple[np.ndarray, np.ndarray]) -> None:
    deviations = [traces - traces.mean(axis=1, keepdims=True) for traces in recordings]
    expected, single = (traces / (traces.std(axis=1, keepdims=True) + 1e-8) for traces in deviations)
    ceiling = (expected * single).mean(axis=1).mean()
    assert 0.52 < ceiling < 0.72


def test_responses_have_the_size_of_recorded_ones(recordings: tuple[np.ndarray, np.ndarray]) -> None:
    single = recordings[1]
    assert single.min() >= 0
    assert np.isfinite(single).all()
    assert 2.5 < single.mean() < 6
    assert 8 < single.std(axis=1).mean() < 22


def test_less_gain_means_more_noise_at_the_same_mean() -> None:
    shown, (behavior, pupil) = movie(SEED, 1, 120), at_rest(120)
    clean, noisy = VisualCortex(40, SEED, gain=2.0), VisualCortex(40, SEED, gain=0.1)
    np.testing.assert_allclose(
        clean.rates(shown, behavior, pupil), noisy.rates(shown, behavior, pupil), rtol=1e-3, atol=1e-3
    )

    def error(cortex: VisualCortex) -> float:
        return float(np.std(cortex.responses(shown, behavior, pupil, trial=0) - cortex.rates(shown, behavior, pupil)))

    assert error(noisy) > 2 * error(clean)


def test_receptive_fields_lie_in_the_disc_that_was_asked_for() -> None:
    cortex = VisualCortex(200, SEED, radius_px=8.0, centre=(17.0, 40.0))
    distance = np.hypot(cortex.fields.row - 17.0, cortex.fields.column - 40.0)
    assert distance.max() <= 8.0 * 1.25
    assert (distance <= 8.0).mean() > 0.85


def test_filters_have_unit_norm_and_their_weight_near_the_centre_of_the_field(cortex: VisualCortex) -> None:
    filters = cortex.fields.spatial_filters()
    np.testing.assert_allclose(np.linalg.norm(filters[0], axis=1), 1, atol=1e-5)
    weight = (filters**2).sum(axis=0).reshape(NEURONS, 36, 64)
    rows = (weight.sum(axis=2) * np.arange(36)).sum(axis=1) / weight.sum(axis=(1, 2))
    columns = (weight.sum(axis=1) * np.arange(64)).sum(axis=1) / weight.sum(axis=(1, 2))
    assert np.abs(rows - cortex.fields.row).max() < 1.5
    assert np.abs(columns - cortex.fields.column).max() < 1.5


def test_every_kind_of_cell_is_there_in_its_share(cortex: VisualCortex) -> None:
    shares = np.bincount(VisualCortex(400, SEED).fields.kind, minlength=4) / 400
    np.testing.assert_allclose(shares, [0.55, 0.20, 0.125, 0.125], atol=0.08)
    assert 0.2 < (cortex.fields.direction != 0).mean() < 0.5


def test_on_cells_respond_to_bright_patches_and_off_cells_to_dark_ones(cortex: VisualCortex) -> None:
    for kind, preferred, other in ((ON, 255.0, 0.0), (OFF, 0.0, 255.0)):
        for neuron in np.flatnonzero(cortex.fields.kind == kind)[:5]:
            before, during = rates_to_patch(cortex, neuron, preferred)
            assert during > 1.3 * before
            assert rates_to_patch(cortex, neuron, other)[1] < during


def test_direction_selective_cells_prefer_their_direction(cortex: VisualCortex) -> None:
    selective = np.flatnonzero(cortex.fields.direction != 0)[:8]
    for neuron in selective:
        sign = int(cortex.fields.direction[neuron])
        toward = cortex.event_rates(drifting_grating(cortex, neuron, sign), *at_rest(60))[neuron, 20:].mean()
        away = cortex.event_rates(drifting_grating(cortex, neuron, -sign), *at_rest(60))[neuron, 20:].mean()
        assert toward > 1.5 * away


def test_complex_cells_do_not_care_about_the_phase_of_a_grating(cortex: VisualCortex) -> None:
    neuron = int(np.flatnonzero((cortex.fields.kind == COMPLEX) & (cortex.fields.direction == 0))[0])
    rates = cortex.event_rates(drifting_grating(cortex, neuron, 1), *at_rest(60))[neuron, 20:]
    assert rates.std() < 0.25 * rates.mean()


def test_the_mean_rate_rises_with_running(cortex: VisualCortex) -> None:
    shown, (behavior, pupil) = movie(SEED, 2, 60), at_rest(60)
    running = behavior + np.array([[0.0], [15.0]])
    ratio = cortex.event_rates(shown, running, pupil).mean() / cortex.event_rates(shown, behavior, pupil).mean()
    assert 1.1 < ratio < 2.5


def test_activity_before_a_cut_does_not_know_what_follows(cortex: VisualCortex) -> None:
    shown, (behavior, pupil) = movie(SEED, 3, 60), at_rest(60)
    changed = shown.copy()
    changed[40:] = 255 - changed[40:]
    one, two = (cortex.event_rates(video, behavior, pupil) for video in (shown, changed))
    np.testing.assert_array_equal(one[:, :40], two[:, :40])
    assert not np.array_equal(one[:, 40:], two[:, 40:])


def test_cortical_positions_follow_the_receptive_fields(cortex: VisualCortex) -> None:
    x, y, z = cortex.coordinates.T
    assert np.corrcoef(x, cortex.fields.column)[0, 1] > 0.95
    assert np.corrcoef(y, cortex.fields.row)[0, 1] > 0.95
    assert len(np.unique(z)) > 3
    assert np.issubdtype(cortex.coordinates.dtype, np.integer)
