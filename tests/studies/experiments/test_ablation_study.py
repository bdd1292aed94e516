"""The ablation study: every clip at every population size, tested over mice and over clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_vidrecon.analysis import statistics
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.studies.experiments import ablation
from napari_vidrecon.studies.experiments.ablation import ABLATION, FRACTIONS, TREATMENTS, runs
from napari_vidrecon.studies.study import Plan


def test_every_clip_is_run_at_every_population_size_with_both_treatments(tiny_plan, shared_store) -> None:
    specs = list(runs(tiny_plan))
    clips, encoders = len(tiny_plan.clips), len(tiny_plan.encoders(tiny_plan.mice[0]))
    assert len(specs) == clips * encoders * len(FRACTIONS) * len(TREATMENTS)
    keys = {shared_store.keys.of(spec) for spec in specs}
    # The whole population is the same run, whatever would become of ablated neurons.
    assert len(keys) == len(specs) - clips * encoders


def test_the_ablated_neurons_of_a_clip_are_nested_and_the_same_for_all_its_encoders(tiny_plan) -> None:
    kept: dict[tuple[int | None, float], set[bytes]] = {}
    for spec in runs(tiny_plan):
        if spec.ablation == "drop" and spec.ablated_fraction in (0.75, 0.5):
            keep = spec.plan("cpu").target.neurons.keep
            kept.setdefault((spec.trial, spec.ablated_fraction), set()).add(keep.tobytes())
    assert all(len(sets) == 1 for sets in kept.values())
    for trial in {trial for trial, _ in kept}:
        smaller, larger = (np.frombuffer(next(iter(kept[trial, fraction])), dtype=bool) for fraction in (0.75, 0.5))
        assert larger[smaller].all()


@pytest.mark.long
def test_correlations_come_with_mouse_clip_and_size_and_the_papers_tests(two_mice_plan, outcome_of) -> None:
    plan = Plan(two_mice_plan.mice, replace(two_mice_plan.scale, clips=1))
    outcome = outcome_of(ABLATION, plan)
    table = outcome.tables["ablation"]
    assert len(table) == 2 * len(FRACTIONS) * len(TREATMENTS)
    assert set(table["neurons"]) == {2, 5, 10, 20}
    part = table[table["treatment"] == "drop"]
    values, _ = statistics.by_unit(part, ["mouse"], "kept_percent", "video_correlation")
    expected = statistics.repeated_measures_anova(values, "", mice=2)
    anova = next(test for test in outcome.tests if "ANOVA" in test.test)
    assert (anova.statistic, anova.p) == (expected.statistic, expected.p)
    assert (anova.mice, anova.clips, anova.unit) == (2, 2, "mouse")
    consecutive = [test for test in outcome.tests if test.test == "paired t-test"]
    assert len(consecutive) == 2 * (len(FRACTIONS) - 1)


@pytest.mark.long
def test_with_one_mouse_the_tests_are_given_over_clips_beside_what_the_papers_need(tiny_plan, outcome_of) -> None:
    tests = outcome_of(ABLATION, tiny_plan).tests
    over_mice = [test for test in tests if test.unit == "mouse" and "ANOVA" in test.test]
    over_clips = [test for test in tests if test.unit == "clip" and "ANOVA" in test.test]
    assert all(test.note == "needs at least 2 mice, found 1" for test in over_mice)
    assert all(np.isfinite(test.p) for test in over_clips)


def test_whether_the_correlation_falls_is_told_from_the_means(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(ABLATION, tiny_plan)
    table = outcome.tables["ablation"]
    for treatment, finding in zip(TREATMENTS, outcome.findings, strict=True):
        means = table[table["treatment"] == treatment].groupby("kept_percent")["video_correlation"].mean()
        assert finding.shows == means.is_monotonic_increasing
        assert f"{means.iloc[-1]:.3f}" in finding.numbers


def test_its_figure_and_movie_can_be_drawn(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(ABLATION, tiny_plan)
    figure = outcome.drawings[0].draw()
    assert "simulated" not in figure.get_suptitle()
    assert [axes.get_xlabel() for axes in figure.axes] == ["neurons kept (%)"] * 2
    frames = list(outcome.movies[0].frames())
    assert len(frames) == 34
    assert frames[0].dtype == np.uint8
    assert np.ptp(frames[20]) > 0


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_ablation_changes_what_is_reconstructed(tiny_plan, outcome_of, treatment: str) -> None:
    table = outcome_of(ABLATION, tiny_plan).tables["ablation"]
    part = table[table["treatment"] == treatment]
    assert part.groupby("clip")["rmse"].nunique().tolist() == [len(FRACTIONS)] * 2


def test_shares_of_few_neurons_that_leave_none_are_not_run_and_told(tiny_plan, outcome_of, monkeypatch) -> None:
    monkeypatch.setattr(ablation, "_kept", lambda plan, clip, fraction: 0 if fraction == 0.875 else 3)
    assert {spec.ablated_fraction for spec in runs(tiny_plan)} == {0.75, 0.5, 0.0}
    outcome = outcome_of(ABLATION, tiny_plan)
    assert set(outcome.tables["ablation"]["kept_percent"]) == {25, 50, 100}
    assert all("at 25, 50, 100 %" in finding.numbers for finding in outcome.findings)
    assert any("Of 12.5 % of so few neurons none would be left" in note for note in outcome.notes)


def test_the_table_tells_how_many_neurons_were_drawn(tiny_plan, outcome_of) -> None:
    table = outcome_of(ABLATION, tiny_plan).tables["ablation"]
    for clip, part in table[table["kept_percent"] < 100].groupby("clip"):
        seed = int(tiny_plan.mice[0].clips().index(clip)) + 1
        for kept, told in zip(part["kept_percent"], part["neurons_kept"], strict=True):
            assert told == NeuronSet.random(20, 1 - kept / 100, seed).keep.sum()
