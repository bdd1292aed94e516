"""What goes along with a good reconstruction: measures, tests, and what too few clips cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.studies.experiments.correlates import (
    BEHAVIOUR_MEASURES,
    CORRELATES,
    FEWEST_FOR_NO_CORRELATION,
    MOVIE_MEASURES,
    none_significant,
    positive,
)
from napari_vidrecon.studies.runs.measuring import evaluation_mask

SEEN = TestResult("Pearson correlation", "", p=0.001, estimate=0.7, degrees=(8.0,))
UNSEEN = replace(SEEN, p=0.6, estimate=0.2)


def test_measures_are_taken_over_the_measured_frames_inside_the_mask(tiny_plan, outcome_of) -> None:
    table = outcome_of(CORRELATES, tiny_plan).tables["clips"]
    clip = tiny_plan.many_clips[0]
    trial, pixels, part = tiny_plan.trial(clip), evaluation_mask(clip), tiny_plan.measured(40)
    found = table[table["clip"] == clip.trial].iloc[0]
    assert found["contrast"] == pytest.approx(metrics.frame_contrast(trial.video[part], pixels).mean())
    assert found["luminance"] == pytest.approx(trial.video[part][:, pixels].mean())
    assert found["pupil_diameter"] == pytest.approx(trial.behavior[0, part].mean())
    steps = np.diff(trial.pupil_center[:, part], axis=1)
    assert found["eye_movement"] == pytest.approx(30 * np.sqrt((steps**2).sum(axis=0)).mean())


def test_every_measure_is_tested_and_drawn(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(CORRELATES, two_mice_plan)
    table = outcome.tables["clips"]
    tests = [test for test in outcome.tests if test.test == "Pearson correlation"]
    expected, _ = statistics.pearson_fit(table["contrast"], table["mean_frame_correlation"], "")
    assert len(tests) == len(MOVIE_MEASURES) + len(BEHAVIOUR_MEASURES) + 1
    assert tests[0].p == pytest.approx(expected.p)
    scatter, predictability = [drawing.draw() for drawing in outcome.drawings]
    assert [axes.get_xlabel() for axes in scatter.axes] == [*MOVIE_MEASURES.values(), *BEHAVIOUR_MEASURES.values()]
    assert [axes.get_ylabel() for axes in predictability.axes][1] == "cross-correlation"


def test_at_lag_zero_the_cross_correlation_is_that_of_the_two_courses(tiny_plan, outcome_of) -> None:
    lags = outcome_of(CORRELATES, tiny_plan).tables["lags"]
    assert lags["lag_frames"].min() == -lags["lag_frames"].max()
    assert lags["correlation"].between(-2, 2).all()
    assert lags.groupby("lag_frames").size().unique().tolist() == [2]


def test_with_two_clips_nothing_can_be_told_and_the_page_says_so(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(CORRELATES, tiny_plan)
    assert [finding.shows for finding in outcome.findings[:3]] == [None] * 3
    assert "With 2 clips" in outcome.notes[0]


def test_a_correlation_is_shown_only_if_significant_and_positive() -> None:
    assert positive(SEEN) is True
    assert positive(replace(SEEN, estimate=-0.7)) is False
    assert positive(UNSEEN) is None
    assert positive(replace(UNSEEN, degrees=(FEWEST_FOR_NO_CORRELATION - 2.0,))) is False
    assert positive(replace(SEEN, p=float("nan"))) is None


def test_that_nothing_goes_along_is_shown_only_by_enough_clips() -> None:
    assert none_significant([UNSEEN, UNSEEN], FEWEST_FOR_NO_CORRELATION) is True
    assert none_significant([UNSEEN, UNSEEN], 10) is None
    assert none_significant([UNSEEN, SEEN], 10) is False
