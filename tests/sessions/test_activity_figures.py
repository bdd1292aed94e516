"""Figures of a recording's activity: right on activity of known statistics, and what is unusual is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.sessions.activity_figures import PUBLIC, ActivityFigures, ActivityMeter, activity_figures
from napari_vidrecon.sessions.session import open_session

PUBLIC_FILE = Path(__file__).parents[3] / "shared/real/public_mice_statistics.npz"
USUAL = {"mean": 2.5, "sd_over_mean": 4.7, "variance_over_mean": 55.0, "zeros": 0.6, "lowest": 0.0, "trials": 9}


def test_mean_spread_and_zeros_are_those_of_the_samples() -> None:
    draw = np.random.default_rng(0)
    activity = draw.gamma(0.05, 50.0, (40, 3000)).astype(np.float32)
    meter = ActivityMeter()
    for part in np.split(activity, 10, axis=1):
        meter.add(part)
    found = meter.figures()
    assert found is not None
    mean, sd = activity.mean(axis=1), activity.std(axis=1)
    assert found.mean == pytest.approx(np.median(mean), rel=1e-5)
    assert found.sd_over_mean == pytest.approx(np.median(sd / mean), rel=1e-4)
    assert found.variance_over_mean == pytest.approx(np.median(sd**2 / mean), rel=1e-4)
    assert found.zeros == pytest.approx((activity < 1e-3).mean())
    assert (found.trials, found.reliability) == (10, None)


def test_a_neuron_that_is_active_once_is_not_silent() -> None:
    activity = np.zeros((5, 40), np.float32)
    activity[0] = 2.0
    activity[1:3] = 1e-7
    meter = ActivityMeter()
    meter.add(activity)
    found = meter.figures()
    assert found is not None
    assert found.silent == 4
    activity[1:3, 7] = 0.5
    meter.add(activity)
    found = meter.figures()
    assert found is not None
    assert found.silent == 2


def test_reliability_is_the_share_of_variance_that_showings_have_in_common() -> None:
    draw = np.random.default_rng(1)
    meter = ActivityMeter()
    meter.add(np.ones((30, 10)))
    for _ in range(20):
        signal = draw.normal(0.0, 1.0, (30, 300))
        meter.add_repeats([10 + signal + draw.normal(0.0, 2.0, signal.shape) for _ in range(4)])
    meter.add_repeats([np.ones((30, 50))])
    found = meter.figures()
    assert found is not None
    # One part signal, four parts noise.
    assert found.reliability == pytest.approx(0.2, abs=0.01)
    assert found.ceiling == pytest.approx(0.2**0.5, abs=0.02)
    assert found.repeated_clips == 20


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"mean": 0.025, "variance_over_mean": 0.55}, ["times 95 it would be theirs"]),
        (
            {"mean": 900.0, "sd_over_mean": 0.3, "variance_over_mean": 80.0, "zeros": 0.2},
            ["raw fluorescence", "not deconvolved"],
        ),
        ({"mean": 6.0, "sd_over_mean": 2.2, "variance_over_mean": 30.0, "zeros": 0.8}, ["spikes at a high rate"]),
        ({"sd_over_mean": 1.2, "zeros": 0.02, "variance_over_mean": 4.0}, ["not deconvolved", "variance", "2% of the"]),
        ({"sd_over_mean": 20.0}, ["thresholded"]),
        ({"silent": 3}, ["3 neurons without any activity in 9 trials"]),
        ({"mean": 0.4, "variance_over_mean": 8.8}, ["times 5.9"]),
    ],
)
def test_what_is_out_of_range_is_named_with_what_it_may_be(changed: dict[str, float], words: list[str]) -> None:
    unusual = ActivityFigures(**(USUAL | changed)).unusual()  # type: ignore[arg-type]
    assert len(unusual) == len(words)
    for text, expected in zip(unusual, words, strict=True):
        assert expected in text


def test_a_session_is_measured_whole_where_it_is_small(small_session_folder: Path) -> None:
    session = open_session(small_session_folder)
    found = activity_figures(session)
    assert found is not None
    responses = np.concatenate([session.trial(each).responses for each in session.labelled], axis=1)
    assert found.trials == len(session.labelled)
    assert found.mean == pytest.approx(np.median(responses.mean(axis=1)), rel=1e-5)


@pytest.mark.skipif(not PUBLIC_FILE.exists(), reason="the statistics of the public mice are not beside the repository")
def test_the_ranges_are_those_of_the_public_mice() -> None:
    with np.load(PUBLIC_FILE) as stored:
        of = [(stored[f"{mouse}/response/mean"], stored[f"{mouse}/response/std"]) for mouse in "ABCDEFGHIJ"]
    found = {
        "mean": [mean for mean, _ in of],
        "sd_over_mean": [sd / mean for mean, sd in of],
        "variance_over_mean": [sd**2 / mean for mean, sd in of],
    }
    for name, mice in found.items():
        medians = [np.median(mouse) for mouse in mice]
        tails = [np.percentile(mouse, [10, 90]) for mouse in mice]
        measured = (*(min(medians), max(medians)), *(min(low for low, _ in tails), max(high for _, high in tails)))
        np.testing.assert_allclose([*PUBLIC[name].medians, *PUBLIC[name].neurons], measured, rtol=0.04)
