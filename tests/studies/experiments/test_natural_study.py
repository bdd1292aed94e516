"""The study of natural movies: the course of the optimisation, and correlations against random movies."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.errors import SessionError
from napari_vidrecon.studies.conducting import conduct
from napari_vidrecon.studies.experiments import natural
from napari_vidrecon.studies.experiments.natural import NATURAL, runs
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.measuring import evaluation_mask
from napari_vidrecon.studies.study import Plan, averaged


def test_every_clip_is_run_with_every_encoder_and_the_examples_at_length(tiny_plan) -> None:
    specs = runs(tiny_plan)
    clips, encoders = len(tiny_plan.many_clips), len(tiny_plan.encoders(tiny_plan.mice[0]))
    assert len(specs) == (clips + len(tiny_plan.examples)) * encoders
    assert {spec.frames for spec in specs} == {tiny_plan.scale.frames, tiny_plan.scale.example_frames}
    assert {spec.target for spec in specs} == {"recorded"}


def test_examples_are_chosen_by_position_and_never_twice(tiny_plan, two_mice_plan) -> None:
    assert [clip.trial for clip in tiny_plan.examples] == [0, 1]
    assert [(clip.mouse.name, clip.trial) for clip in two_mice_plan.examples] == [
        ("tiny", 0),
        ("other", 2),
    ]


def test_a_clips_correlation_is_that_of_the_averaged_smoothed_movie_and_its_control_is_the_next_clip(
    tiny_plan, outcome_of, shared_store
) -> None:
    table = outcome_of(NATURAL, tiny_plan).tables["clips"]
    first, second = tiny_plan.many_clips
    pixels, part = evaluation_mask(first), tiny_plan.measured(40)
    video = averaged(shared_store, tiny_plan.standard(first))[part]
    found = table[table["clip"] == first.trial].iloc[0]
    for measure, compute in (
        ("video_correlation", metrics.video_correlation),
        ("mean_frame_correlation", metrics.mean_frame_correlation),
    ):
        assert found[measure] == pytest.approx(compute(tiny_plan.trial(first).video[part], video, pixels))
        control = compute(tiny_plan.trial(second).video[part], video, pixels)
        assert found[f"random_{measure}"] == pytest.approx(control)


def test_the_course_holds_loss_and_correlation_of_every_run_at_every_tracked_step(tiny_plan, outcome_of) -> None:
    steps = outcome_of(NATURAL, tiny_plan).tables["steps"]
    assert steps.groupby(["clip", "encoder"]).size().tolist() == [steps["step"].nunique()] * 4
    assert np.isfinite(steps[["loss", "video_correlation"]].to_numpy()).all()


def test_reconstructions_are_tested_against_random_movies_over_clips_and_over_mice(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(NATURAL, two_mice_plan)
    independent = [test for test in outcome.tests if test.test == "two-sample t-test"]
    paired = [test for test in outcome.tests if test.test == "paired t-test"]
    assert [(test.mice, test.clips, test.unit) for test in independent] == [(2, 4, "clip")] * 2
    assert [test.unit for test in paired] == ["mouse"] * 2
    table = outcome.tables["clips"]
    difference = table["video_correlation"].mean() - table["random_video_correlation"].mean()
    assert independent[0].estimate == pytest.approx(difference)


@pytest.mark.parametrize(
    ("own", "shows"),
    [((0.5, 0.6, 0.55), True), ((0.5, -0.6), None), (tuple(0.01 * (-1) ** k for k in range(12)), False)],
)
def test_few_clips_that_scatter_say_nothing_against_the_paper(own: tuple[float, ...], shows: bool | None) -> None:
    import pandas as pd

    random = [0.01 * (-1) ** (k // 2) for k in range(len(own))]
    clips = pd.DataFrame({"mouse": "a", "clip": range(len(own)), "video_correlation": own})
    clips["random_video_correlation"] = random
    tests = natural._against_random(clips, "video_correlation")
    assert natural._above_random(clips, "video_correlation", "r", tests).shows is shows


def test_a_single_clip_has_no_random_movie_and_nothing_is_claimed(tiny_plan, outcome_of) -> None:
    from dataclasses import replace

    from napari_vidrecon.studies.study import Plan

    alone = Plan((replace(tiny_plan.mice[0], trials=(0,)),), tiny_plan.scale)
    outcome = outcome_of(NATURAL, alone)
    assert outcome.tables["clips"]["random_video_correlation"].isna().all()
    assert [finding.shows for finding in outcome.findings[1:]] == [None, None]


def test_its_figures_and_its_movie_can_be_drawn(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(NATURAL, two_mice_plan)
    assert [drawing.panel for drawing in outcome.drawings] == ["Fig. 1C, D", "Fig. 2A", "Fig. 2B"]
    optimisation, examples, correlations = [drawing.draw() for drawing in outcome.drawings]
    assert [axes.get_ylabel() for axes in optimisation.axes] == ["Poisson loss"] * 2 + ["video correlation r"] * 2
    assert len(examples.axes) == 2 * 2 * 10
    assert [axes.get_ylabel() for axes in correlations.axes] == ["video correlation r", "mean frame correlation r"]
    frames = list(outcome.movies[0].frames())
    assert len(frames) == 34
    assert np.ptp(frames[5]) > 0


def test_a_mouse_without_any_movie_is_refused_before_its_runs(
    copy_of_small_session: Path, tiny_mouse: Mouse, tiny_plan: Plan, tmp_path: Path
) -> None:
    tiers = np.load(copy_of_small_session / "meta" / "trials" / "tiers.npy")
    np.save(copy_of_small_session / "meta" / "trials" / "tiers.npy", np.full_like(tiers, "spontaneous"))
    shutil.rmtree(copy_of_small_session / "data" / "videos")
    plan = replace(tiny_plan, mice=(tiny_mouse, replace(tiny_mouse, session=copy_of_small_session, trials=(0, 1))))
    with pytest.raises(SessionError, match=f"{copy_of_small_session.name}: expected clips whose movie is known"):
        conduct([NATURAL], plan, tmp_path / "studies")
    assert not list((tmp_path / "studies").rglob("*.zarr"))
