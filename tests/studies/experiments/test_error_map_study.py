"""The study of error maps: recorded against predicted activity, for every clip and one example at length."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.analysis.error_maps import error_map
from napari_vidrecon.studies.experiments.error_maps import ERROR_MAPS, runs
from napari_vidrecon.studies.runs.measuring import evaluation_mask, from_reconstructions, from_truth
from napari_vidrecon.studies.study import averaged


def test_predicted_activity_is_the_mean_over_all_encoders_of_the_mouse(tiny_plan) -> None:
    predicted = [spec for spec in runs(tiny_plan) if spec.target == "predicted"]
    assert len(predicted) == len(runs(tiny_plan)) // 2
    assert {spec.target_encoders for spec in predicted} == {(0, 1)}


def test_the_error_is_recorded_minus_predicted_inside_the_mask(tiny_plan, outcome_of, shared_store) -> None:
    table = outcome_of(ERROR_MAPS, tiny_plan).tables["clips"]
    clip = tiny_plan.many_clips[1]
    pixels, part = evaluation_mask(clip), tiny_plan.measured(40)
    recorded, predicted = (
        averaged(shared_store, tiny_plan.standard(clip, target=target))[part] for target in ("recorded", "predicted")
    )
    error = error_map(recorded, predicted, pixels)
    found = table[table["clip"] == clip.trial].iloc[0]
    assert found["mean_absolute_error"] == pytest.approx(np.abs(error[:, pixels]).mean())
    assert not error[:, ~pixels].any()


def test_the_example_tells_frame_by_frame_how_well_movies_explain_the_activity(tiny_plan, outcome_of) -> None:
    example = outcome_of(ERROR_MAPS, tiny_plan).tables["example"]
    assert len(example) == len(np.arange(60)[tiny_plan.measured(60)])
    assert example["time_s"].iloc[0] == pytest.approx(tiny_plan.scale.skip_first / 30)
    assert example["activity_explained_by_movie"].between(-1, 1).all()


def test_predictions_from_the_movie_are_the_mean_over_encoders(tiny_plan) -> None:
    clip = tiny_plan.many_clips[0]
    trial = tiny_plan.trial(clip)
    single = [
        clip.mouse.load_encoder(index, "cpu").predict(trial.video, trial.behavior, trial.pupil_center)
        for index in tiny_plan.encoders(clip.mouse)
    ]
    np.testing.assert_allclose(from_truth(tiny_plan, {clip: trial})[clip], np.mean(single, axis=0), rtol=1e-5)


def test_predictions_from_reconstructions_are_the_mean_over_runs(tiny_plan, outcome_of, shared_store) -> None:
    outcome_of(ERROR_MAPS, tiny_plan)
    specs = tiny_plan.standard(tiny_plan.many_clips[0])
    expected = np.mean([shared_store.load(spec).predicted_activity for spec in specs], axis=0)
    np.testing.assert_array_equal(from_reconstructions(shared_store, specs), expected)


def test_its_figures_and_its_movie_at_half_speed_can_be_drawn(two_mice_plan, outcome_of) -> None:
    outcome = outcome_of(ERROR_MAPS, two_mice_plan)
    assert [drawing.panel for drawing in outcome.drawings] == ["Fig. 6A-C", "Fig. 6D", "Fig. 6E"]
    activity, frames, every = [drawing.draw() for drawing in outcome.drawings]
    assert [axes.get_title(loc="left")[0] for axes in activity.axes[:3]] == ["A", "C", "B"]
    assert len(frames.axes) == 3 * 9 + 1
    assert len(every.axes) == 4 + 1
    movie = outcome.movies[0]
    assert movie.fps == 15
    picture = next(movie.frames())
    assert (picture[..., 0] != picture[..., 2]).any()


def test_both_findings_name_the_numbers_they_rest_on(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(ERROR_MAPS, tiny_plan)
    table = outcome.tables["clips"]
    for finding, column in zip(
        outcome.findings, ("predicted_correlation", "activity_from_reconstruction"), strict=True
    ):
        assert f"{table[column].mean():.3f}" in finding.numbers


def test_a_difference_that_is_not_significant_is_left_open(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(ERROR_MAPS, tiny_plan)
    over_clips = [test for test in outcome.tests if test.unit == "clip"]
    for finding, test in zip(outcome.findings, over_clips, strict=True):
        assert finding.shows == (test.estimate > 0 if test.p < 0.05 else None)
