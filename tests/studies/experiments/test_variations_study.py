"""The variations study: every version, mask and input is there, measured as the paper does, and tested in pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import ensemble_mean, smooth
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.studies.experiments import variation_figures, variations
from napari_vidrecon.studies.experiments.variations import VARIATIONS, VERSIONS
from napari_vidrecon.studies.runs.measuring import change

CLIPS, ENCODERS = 2, 2


def test_every_clip_is_run_in_every_version_and_with_every_training_mask(tiny_plan, shared_store) -> None:
    keys = {shared_store.keys.of(spec) for spec in variations.runs(tiny_plan)}
    # Standard and predicted, and three masks, one run an encoder; gradients of all encoders in one run.
    assert len(keys) == CLIPS * (5 * ENCODERS + 1)


def test_the_predicted_target_is_the_mean_of_all_encoders_and_gradients_are_those_of_all(tiny_plan) -> None:
    clip = tiny_plan.clips[0]
    predicted = variations.version_specs(tiny_plan, clip, variations.PREDICTED)
    assert [spec.encoders for spec in predicted] == [(0,), (1,)]
    assert {spec.target_encoders for spec in predicted} == {(0, 1)}
    (gradients,) = variations.version_specs(tiny_plan, clip, variations.GRADIENTS)
    assert (gradients.encoders, gradients.ensemble) == ((0, 1), "gradients")


def test_training_masks_are_those_of_the_paper_and_keep_the_rest_grey(tiny_plan, outcome_of, shared_store) -> None:
    outcome_of(VARIATIONS, tiny_plan)
    clip = tiny_plan.clips[0]
    alpha = clip.mouse.load_mask().screen
    for name, threshold in ((variations.NO_MASK, 0.0), (variations.USUAL_MASK, 0.5), (variations.STRICT_MASK, 1.0)):
        for spec in variations.mask_specs(tiny_plan, clip, name):
            run = shared_store.load(spec)
            video, level = run.video, run.provenance["movies"]["level"]
            assert (video[:, alpha < threshold] == np.float32(level)).all()
            assert np.ptp(video[:, alpha >= threshold]) > 0
            assert spec.config.update.surround == "grey"


def test_every_version_is_measured_by_hand_the_same(tiny_plan, outcome_of, shared_store) -> None:
    table = outcome_of(VARIATIONS, tiny_plan).tables["versions"]
    clip = tiny_plan.clips[1]
    trial, pixels = tiny_plan.trial(clip), clip.mouse.load_mask().binary(1.0)
    mean = ensemble_mean(shared_store.videos(tiny_plan.standard(clip)))
    for version, video in ((variations.STANDARD, smooth(mean)), (variations.UNSMOOTHED, mean)):
        found = table[(table["clip"] == clip.trial) & (table["version"] == version)]["video_correlation"].item()
        assert found == pytest.approx(metrics.video_correlation(trial.video[4:38], video[4:38], pixels), rel=1e-12)


def test_masks_are_measured_from_their_own_threshold_upwards_with_their_size_in_degrees(tiny_plan, outcome_of) -> None:
    table = outcome_of(VARIATIONS, tiny_plan).tables["masks"]
    lowest = table.groupby("training_mask")["evaluation_threshold"].agg(["min", "max", "nunique"])
    assert lowest.loc[variations.NO_MASK].tolist() == [0.0, 1.0, 11]
    assert lowest.loc[variations.USUAL_MASK].tolist() == [0.5, 1.0, 6]
    assert lowest.loc[variations.STRICT_MASK].tolist() == [1.0, 1.0, 1]
    mask = tiny_plan.mice[0].load_mask()
    for threshold, size in table.groupby("evaluation_threshold")["diameter_deg"].first().items():
        assert size == pytest.approx(ScreenGeometry().mask_diameter_deg(mask.binary(threshold)))
    assert table.groupby("evaluation_threshold")["diameter_deg"].first().is_monotonic_decreasing


def test_activity_is_predicted_from_full_masked_reconstructed_and_matched_movies(tiny_plan, outcome_of) -> None:
    table = outcome_of(VARIATIONS, tiny_plan).tables["activity"]
    clip = tiny_plan.clips[0]
    trial, mask = tiny_plan.trial(clip), clip.mouse.load_mask()
    encoders = [clip.mouse.load_encoder(index, "cpu") for index in range(ENCODERS)]
    for kind, movie in (("full video", trial.video), ("masked video", mask.transparent(trial.video, 0.5))):
        predicted = np.mean([each.predict(movie, trial.behavior, trial.pupil_center) for each in encoders], axis=0)
        found = table[(table["clip"] == clip.trial) & (table["movie"] == kind)].iloc[0]
        pair = predicted[:, 4:38], trial.responses[:, 4:38]
        assert found["poisson_loss"] == pytest.approx(metrics.poisson_loss(*pair), rel=1e-6)
        assert found["response_correlation"] == pytest.approx(metrics.response_correlation(pair[1], pair[0]), rel=1e-5)
    assert table.groupby("movie").size().to_dict() == dict.fromkeys(variations.INPUTS, CLIPS)


def test_the_matched_reconstruction_has_the_clips_luminance_and_contrast(tiny_plan, outcome_of, shared_store) -> None:
    outcome_of(VARIATIONS, tiny_plan)
    clip = tiny_plan.clips[0]
    trial, pixels = tiny_plan.trial(clip), clip.mouse.load_mask().binary(0.5)
    plain, matched = (
        variations.shown_to_encoders(tiny_plan, shared_store, clip, trial, kind)
        for kind in (variations.RECONSTRUCTED, variations.MATCHED)
    )
    truth = metrics.contrast(trial.video, pixels)
    assert abs(metrics.contrast(matched, pixels) - truth) < 0.2 * abs(metrics.contrast(plain, pixels) - truth)
    assert (plain[:, ~pixels] == 127.5).all()
    assert (matched[:, ~pixels] == 127.5).all()


@pytest.mark.long
def test_pairs_are_tested_over_mice_with_their_relative_change(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(VARIATIONS, two_mice_plan)
    table = outcome.tables["versions"]
    means = table.pivot_table(index="mouse", columns="version", values="video_correlation")
    expected = stats.ttest_rel(means["standard"], means["from predicted"])
    test = next(test for test in outcome.tests if "standard against from predicted" in test.compared)
    assert (test.statistic, test.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert f"({change(means['standard'].mean(), means['from predicted'].mean())})" in test.compared
    assert (test.mice, test.clips, test.unit) == (2, 4, "mouse")
    # Three versions, two masks, and two pairs of inputs in two measures.
    assert len(outcome.tests) == 9


@pytest.mark.parametrize(("step", "shows"), [(0.1, True), (-0.1, False), (0.001, None)])
def test_a_finding_shows_only_where_it_is_no_chance(step: float, shows: bool | None) -> None:
    noise = (0.004, -0.003, 0.0, -0.002)
    rows = [
        {"mouse": "a", "clip": clip, "version": version, "r": 0.5 + more + 0.1 * clip}
        for clip, wobble in enumerate(noise)
        for version, more in (("standard", 0.0), ("other", step + wobble))
    ]
    finding = variations.comparison(
        "rises", "paper", pd.DataFrame(rows), "version", "r", "standard", "other", np.greater
    )
    assert finding.shows is shows
    assert "of 4 clips; paired t-test over clips: p = " in finding.numbers


def test_with_one_clip_nothing_can_be_told() -> None:
    rows = [{"mouse": "a", "clip": 0, "version": version, "r": r} for version, r in (("a", 0.1), ("b", 0.9))]
    finding = variations.comparison("rises", "paper", pd.DataFrame(rows), "version", "r", "a", "b", np.greater)
    assert finding.shows is None
    assert "needs at least 2 clips, found 1" in finding.numbers


def test_a_preset_that_infers_the_surround_is_named(tiny_plan, outcome_of) -> None:
    assert "“fast”" in outcome_of(VARIATIONS, tiny_plan).notes[0]


def test_figures_name_their_panels_and_hold_what_they_say(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(VARIATIONS, tiny_plan)
    assert [drawing.panel for drawing in outcome.drawings] == [f"Fig. 1-S2 {panel}" for panel in "ABCD"]
    frames, masks, performance, activity = (drawing.draw() for drawing in outcome.drawings)
    labels = [axes.get_ylabel() for axes in frames.axes if axes.get_ylabel()]
    assert labels == ["shown", "from\npredicted", "standard", "gradient\nensembling", "no\nsmoothing", "no matching"]
    assert len([axes for axes in masks.axes if axes.get_ylabel()]) == 4
    assert [axes.get_xlabel() for axes in performance.axes][2] == "evaluation mask: diameter (°)"
    assert [axes.get_ylabel() for axes in activity.axes] == list(variations.ACTIVITY_MEASURES.values())


def test_the_movie_shows_the_measured_frames(tiny_plan, outcome_of) -> None:
    frames = list(outcome_of(VARIATIONS, tiny_plan).movies[0].frames())
    assert len(frames) == 34
    assert np.ptp(frames[0]) > 0


def test_the_example_is_the_papers_mouse_or_the_one_in_its_place(tiny_plan, two_mice_plan) -> None:
    assert variation_figures.example(tiny_plan) == tiny_plan.clips[0]
    assert variation_figures.example(two_mice_plan) == two_mice_plan.clips[2]
    assert set(variation_figures.MASK_NAMES) == set(variations.TRAINING_MASKS)
    assert len(VERSIONS) == len(variation_figures.VERSION_TICKS)
