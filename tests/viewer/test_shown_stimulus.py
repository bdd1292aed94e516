"""A stimulus on the board instead of a recorded clip: shown, predicted, reconstructed, kept and opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.sessions.stimuli.synthetic import DriftingGrating, GaussianNoise
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import open_run, show_run
from napari_vidrecon.viewer.panels.run_bar import RunBar
from napari_vidrecon.viewer.panels.session_panel import SessionPanel

NOISE = GaussianNoise(2.0, 4.0, seed=3, frames=48)
GRATING = DriftingGrating(0.125, 1.875, frames=48)


@pytest.fixture
def controller(small_model: ReconstructionModel, qtbot: QtBot) -> RunController:
    made = RunController(small_model)
    yield made
    made.stop()
    made.wait()


def test_a_stimulus_takes_the_place_of_the_trial_with_constant_behaviour(small_model: ReconstructionModel) -> None:
    small_model.set_stimulus(NOISE)
    trial = small_model.trial
    assert trial is not None
    assert (trial.id, trial.labelled, small_model.clip_name) == (STIMULUS_TRIAL, False, NOISE.name)
    np.testing.assert_array_equal(trial.video, NOISE.video())
    assert (np.ptp(trial.behavior, axis=1) == 0).all()
    small_model.set_trial(0, 0, 48)
    assert (small_model.stimulus, small_model.clip_name) == (None, "trial 0")


def test_only_predicted_activity_can_be_the_target(small_model: ReconstructionModel, controller: RunController) -> None:
    small_model.set_stimulus(NOISE)
    assert "No activity was recorded for a stimulus" in controller.missing
    small_model.set_settings(target="predicted")
    assert controller.missing == ""


def test_it_is_predicted_reconstructed_kept_and_opened_again(
    small_model: ReconstructionModel, controller: RunController
) -> None:
    small_model.set_stimulus(NOISE)
    small_model.set_settings(target="predicted")
    controller.start()
    assert controller.wait()
    record = small_model.shown
    assert record is not None
    assert small_model.stimulus_prediction is not None
    np.testing.assert_array_equal(record.result.stimulus, NOISE.video())

    small_model.set_stimulus(GRATING)
    assert small_model.shown is None
    assert "stimulus: noise" in small_model.recipe().differences(record.recipe)[0]
    show_run(small_model, record)
    assert (small_model.clip_name, small_model.shown, small_model.stale) == (NOISE.name, record, [])

    assert record.path is not None
    again = ReconstructionModel()
    opened = open_run(again, record.path)
    assert (again.clip_name, again.target, again.shown) == (NOISE.name, "predicted", opened)
    np.testing.assert_array_equal(again.trial.video, NOISE.video())
    assert again.stale == []


def test_a_stopped_run_of_a_stimulus_can_go_on(
    qtbot: QtBot, small_model: ReconstructionModel, controller: RunController
) -> None:
    small_model.set_stimulus(NOISE)
    small_model.set_settings(target="predicted", config=small_model.config.changed(steps=100_000))
    controller.start()
    qtbot.waitUntil(lambda: small_model.snapshot is not None, timeout=20_000)
    controller.stop()
    assert controller.wait()
    (record,) = small_model.runs
    done = len(record.result.history)
    assert 0 < done < 100_000
    assert controller.can_continue


def test_panels_name_the_stimulus_and_a_trial_can_be_chosen_again(
    qtbot: QtBot, small_model: ReconstructionModel, controller: RunController
) -> None:
    panel, bar = SessionPanel(small_model), RunBar(small_model, controller)
    qtbot.addWidget(panel)
    qtbot.addWidget(bar)
    for stimulus in (NOISE, GRATING):
        small_model.set_stimulus(stimulus)
        assert panel.trial.currentText() == stimulus.name
        assert stimulus.name in bar.what.text()
        assert not panel.first_frame.isEnabled()
    entries = [panel.trial.itemText(index) for index in range(panel.trial.count())]
    assert entries == [GRATING.name, "trial 0", "trial 2"]
    panel.trial.setCurrentIndex(1)
    panel.trial.activated.emit(1)
    assert small_model.clip_name == "trial 0"
    assert [panel.trial.itemText(index) for index in range(panel.trial.count())] == ["trial 0", "trial 2"]
    assert panel.first_frame.isEnabled()


def test_without_the_sessions_behaviour_the_fault_is_one_message(
    small_model: ReconstructionModel, copy_of_small_session: Path
) -> None:
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.viewer.opening import try_to

    small_model.set_session(open_session(copy_of_small_session))
    for file in copy_of_small_session.glob("data/behavior/*.npy"):
        file.write_bytes(b"")
    messages = []
    small_model.message.connect(lambda text, is_error: messages.append((text, is_error)))
    assert not try_to(small_model, small_model.set_stimulus, NOISE)
    ((text, is_error),) = messages
    assert is_error
    assert "behavior" in text
    assert small_model.trial is None
