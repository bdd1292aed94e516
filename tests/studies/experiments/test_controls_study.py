"""The controls study: wrong movies and wrong activity, measured like the real reconstruction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from napari_vidrecon import metrics
from napari_vidrecon.studies.experiments import controls
from napari_vidrecon.studies.experiments.controls import CONTROLS, CONTROLS_STUDY
from napari_vidrecon.studies.study import Plan, averaged


def values(table, kind: str) -> np.ndarray:
    return table.loc[table["control"] == kind, "video_correlation"].to_numpy()


def test_every_clip_is_run_from_its_own_from_permuted_and_from_anothers_activity(tiny_plan) -> None:
    specs = controls.runs(tiny_plan)
    assert len(specs) == 2 * 2 * 3
    assert {spec.target for spec in specs} == {"recorded", "permuted", "other clip"}
    assert {(spec.trial, spec.other_trial) for spec in specs if spec.target == "other clip"} == {(0, 1), (1, 0)}


def test_permuted_activity_is_the_clips_own_in_another_order_the_same_for_all_encoders(tiny_plan) -> None:
    clip = tiny_plan.many_clips[1]
    own = tiny_plan.trial(clip).responses
    targets = [spec.plan("cpu").target.activity for spec in controls.specs_of(tiny_plan, clip, controls.PERMUTED)]
    np.testing.assert_array_equal(targets[0], targets[1])
    assert not np.array_equal(targets[0], own)
    np.testing.assert_array_equal(np.sort(targets[0], axis=0), np.sort(own, axis=0))


def test_every_control_is_measured_like_the_reconstruction(tiny_plan, outcome_of, shared_store) -> None:
    table = outcome_of(CONTROLS_STUDY, tiny_plan).tables["controls"]
    clip, other = tiny_plan.many_clips
    pixels = clip.mouse.load_mask().binary(1.0)
    real = averaged(shared_store, tiny_plan.standard(clip))[4:38]
    own, foreign = (tiny_plan.trial(each).video[4:38] for each in (clip, other))
    found = table[table["clip"] == clip.trial].set_index("control")["video_correlation"]
    assert found[controls.SHOWN] == metrics.video_correlation(own, real, pixels)
    assert found[controls.RANDOM] == metrics.video_correlation(foreign, real, pixels)
    assert table.groupby("control").size().to_dict() == dict.fromkeys((controls.SHOWN, *CONTROLS), 2)


def test_a_finding_shows_when_its_interval_holds_0_or_its_mean_is_next_to_it(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(CONTROLS_STUDY, two_mice_plan)
    table = outcome.tables["controls"]
    for control, finding in zip(CONTROLS, outcome.findings, strict=True):
        sample = values(table, control)
        low, high = stats.t.interval(0.95, len(sample) - 1, sample.mean(), stats.sem(sample))
        assert finding.shows == (low <= 0 <= high or abs(sample.mean()) < controls.NEAR_ZERO)
        assert f"({low:.3f} to {high:.3f})" in finding.numbers
        assert "4 clips of 2 mice" in finding.numbers


def test_an_interval_away_from_0_is_not_hidden() -> None:
    import pandas as pd

    rows = [
        {"mouse": "a", "clip": clip, "control": kind, "video_correlation": level + 0.01 * clip}
        for kind, level in ((controls.SHOWN, 0.7), (controls.RANDOM, 0.1), (controls.PERMUTED, -0.045))
        for clip in range(4)
    ]
    table = pd.DataFrame(rows)
    assert controls.finding_of(table, controls.RANDOM).shows is False
    assert controls.finding_of(table, controls.PERMUTED).shows is True
    assert controls.finding_of(table, controls.OTHER_CLIP).shows is None


def test_an_interval_from_below_0_to_a_good_reconstruction_tells_nothing() -> None:
    import pandas as pd

    levels = {controls.SHOWN: (0.5, 0.6), controls.RANDOM: (-0.1, 0.1), controls.PERMUTED: (0.001, -0.002)}
    rows = [
        {"mouse": "a", "clip": clip, "control": kind, "video_correlation": level}
        for kind, pair in levels.items()
        for clip, level in enumerate(pair)
    ]
    found = controls.finding_of(pd.DataFrame(rows), controls.RANDOM)
    assert found.shows is None
    assert found.numbers.endswith("too wide to tell: take more clips")
    assert controls.finding_of(pd.DataFrame(rows), controls.PERMUTED).shows is True


def test_the_papers_t_test_holds_clips_against_random_movies(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(CONTROLS_STUDY, tiny_plan)
    table = outcome.tables["controls"]
    expected = stats.ttest_ind(values(table, controls.SHOWN), values(table, controls.RANDOM))
    test = next(
        test for test in outcome.tests if test.compared == "video correlation r: movie shown against random movie"
    )
    assert (test.statistic, test.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


def test_a_mouse_with_one_clip_has_no_other_and_says_so(tiny_plan, outcome_of) -> None:
    plan = Plan((replace(tiny_plan.mice[0], trials=(1,)),), tiny_plan.scale)
    assert controls.partners(plan) == {}
    outcome = outcome_of(CONTROLS_STUDY, plan)
    assert set(outcome.tables["controls"]["control"]) == {controls.SHOWN, controls.PERMUTED}
    assert "1 of 1 clips have no other clip" in outcome.notes[0]
    assert outcome.findings[0].shows is None
    for drawing in outcome.drawings:
        drawing.draw()
    assert len(list(outcome.movies[0].frames())) == 34


def test_clips_of_another_length_are_no_partners(tiny_plan, copy_of_small_session) -> None:
    file = copy_of_small_session / "data" / "responses" / "2.npy"
    responses = np.load(file)
    responses[:, 50:] = np.nan
    np.save(file, responses)
    mouse = replace(tiny_plan.mice[0], session=copy_of_small_session, trials=(0, 2, 1))
    plan = Plan((mouse,), replace(tiny_plan.scale, frames=None))
    found = {clip.trial: other.trial for clip, other in controls.partners(plan).items()}
    assert found == {0: 1, 1: 0}
    # Cut alike, they are.
    assert len(controls.partners(Plan((mouse,), tiny_plan.scale))) == 3


def test_figures_and_movie_show_every_control(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(CONTROLS_STUDY, tiny_plan)
    correlations, frames = (drawing.draw() for drawing in outcome.drawings)
    names = [label.get_text().replace("\n", " ") for label in correlations.axes[0].get_xticklabels()]
    assert names == [controls.SHOWN, *CONTROLS]
    assert len([axes for axes in frames.axes if axes.get_ylabel()]) == 5
    assert len(list(outcome.movies[0].frames())) == 34
