"""The ethogram: everything about a few clips on one axis of time."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.studies.experiments.ethogram import ETHOGRAM
from napari_vidrecon.studies.runs.measuring import evaluation_mask


def test_every_frame_of_every_example_has_its_row(tiny_plan, outcome_of) -> None:
    frames = outcome_of(ETHOGRAM, tiny_plan).tables["frames"]
    clip = tiny_plan.examples[0]
    trial = tiny_plan.trial(clip, frames=None)
    own = frames[frames["clip"] == clip.trial]
    assert len(own) == trial.frames
    np.testing.assert_allclose(own["pupil_diameter"], trial.behavior[0])
    np.testing.assert_allclose(own["running_speed"], trial.behavior[1])
    np.testing.assert_allclose(own["motion_energy"][1:], metrics.motion_energy(trial.video, evaluation_mask(clip)))
    measured = tiny_plan.measured(trial.frames)
    assert own["frame_correlation"].notna().to_numpy().nonzero()[0].tolist() == list(range(60)[measured])


def test_it_says_how_well_each_prediction_explains_the_activity(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(ETHOGRAM, tiny_plan)
    activity = outcome.tables["activity"]
    assert f"{activity['from_movie'].mean():.3f}" in outcome.notes[0]
    assert activity["from_reconstruction"].between(-1, 1).all()


def test_its_rows_share_time_and_its_clips_share_ranges(two_mice_plan, outcome_of) -> None:
    figure = outcome_of(ETHOGRAM, two_mice_plan).drawings[0].draw()
    plots = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    grid = np.array(plots).reshape(7, 2)
    for column in grid.T:
        assert len({axes.get_xlim() for axes in column}) == 1
    for row in (0, 1, 2, 6):
        assert len({axes.get_ylim() for axes in grid[row]}) == 1
    assert "".join(axes.get_title(loc="left") for axes in grid[:, 0]) == "ABCDE"
    assert grid[6, 0].get_xlabel() == "time (s)"
    assert grid[6, 0].get_xlim()[1] == pytest.approx(59 / 30)
