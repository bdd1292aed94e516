"""The ensembling study: the mean over every set of encoders, tested over mice and clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.studies.experiments.ensembling import ENSEMBLING, runs
from napari_vidrecon.studies.runs.measuring import evaluation_mask
from napari_vidrecon.studies.study import Plan, averaged


def test_it_takes_every_encoder_there_is_whatever_the_scale(tiny_plan) -> None:
    fewer = Plan(tiny_plan.mice, replace(tiny_plan.scale, encoders=1))
    assert {spec.encoders for spec in runs(fewer)} == {(0,), (1,)}


def test_its_runs_are_those_of_other_studies_where_the_encoders_are_the_same(tiny_plan, shared_store) -> None:
    clip = tiny_plan.many_clips[0]
    keys = {shared_store.keys.of(spec) for spec in runs(tiny_plan)}
    assert {shared_store.keys.of(spec) for spec in tiny_plan.standard(clip)} <= keys


def test_one_encoder_is_the_mean_of_singles_and_all_are_the_averaged_movie(tiny_plan, outcome_of, shared_store) -> None:
    table = outcome_of(ENSEMBLING, tiny_plan).tables["ensembling"]
    clip = tiny_plan.many_clips[0]
    pixels, part = evaluation_mask(clip), tiny_plan.measured(40)
    truth = tiny_plan.trial(clip).video[part]

    def correlation(specs) -> float:
        return metrics.video_correlation(truth, averaged(shared_store, specs)[part], pixels)

    specs = tiny_plan.standard(clip)
    found = table[table["clip"] == clip.trial].set_index("encoders")["video_correlation"]
    assert found[1] == pytest.approx(np.mean([correlation([spec]) for spec in specs]), rel=1e-4)
    assert found[2] == pytest.approx(correlation(specs), rel=1e-4)


def test_sizes_are_tested_against_each_other_and_the_finding_is_told_from_the_means(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(ENSEMBLING, two_mice_plan)
    assert "one-way repeated-measures ANOVA" in {test.test for test in outcome.tests}
    means = outcome.tables["ensembling"].groupby("encoders")["video_correlation"].mean()
    assert outcome.findings[0].shows == (means[2] > means[1])
    pairs = outcome.tables["ensembling"].set_index(["mouse", "clip", "encoders"]).unstack("encoders")
    beaten = (pairs["video_correlation"][2] > pairs["highest_video_correlation"][1]).sum()
    assert f"than the best one in {beaten} of 4 clips" in outcome.findings[0].numbers
    assert len(outcome.drawings[0].draw().axes) == 2
    assert len(list(outcome.movies[0].frames())) == 34


def test_with_one_encoder_nothing_is_claimed(tiny_plan, outcome_of) -> None:
    single = replace(tiny_plan.mice[0], encoders=tiny_plan.mice[0].encoders[:1])
    outcome = outcome_of(ENSEMBLING, Plan((single,), tiny_plan.scale))
    assert outcome.findings[0].shows is None
    assert outcome.tests == []
