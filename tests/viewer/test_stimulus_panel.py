"""The stimulus designer: what its controls say is shown, predicted, and can be copied as Python."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.script_texts import command_text, python_text
from napari_vidrecon.reconstruction.scripts import Script, script_of_plan, script_of_run
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.stimuli.stimulus import MovieFile
from napari_vidrecon.sessions.stimuli.synthetic import DriftingGrating, GaussianNoise, SinglePatch
from napari_vidrecon.viewer.choices import ActivityMode
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord
from napari_vidrecon.viewer.panels.stimulus_panel import PatchPage, StimulusPanel


def script_of(record: RunRecord, beside: Path) -> Script:
    """What "Copy as" makes of a run."""
    return script_of_run(record.result, record.recipe, record.name, beside)


def script_of_next(model: ReconstructionModel, beside: Path) -> Script:
    """What "Copy as" makes of the run that Start would make."""
    return script_of_plan(model.recipe(), model.mask, model.neurons, model.trial, beside)


@pytest.fixture
def panel(qtbot: QtBot, small_model: ReconstructionModel) -> StimulusPanel:
    made = StimulusPanel(small_model)
    qtbot.addWidget(made)
    return made


def show(panel: StimulusPanel, title: str) -> None:
    panel.kind.setCurrentText(title)
    panel.kind.activated.emit(panel.kind.currentIndex())
    panel.show_button.click()
    assert panel.maker.wait()


def test_each_page_shows_the_stimulus_it_says(panel: StimulusPanel, small_model: ReconstructionModel) -> None:
    show(panel, "Gaussian noise")
    assert small_model.stimulus == GaussianNoise(4.0, 4.0, 0, False, 60)
    np.testing.assert_array_equal(small_model.trial.video, GaussianNoise(4.0, 4.0).video())
    show(panel, "Drifting grating")
    assert small_model.stimulus == DriftingGrating(0.125, 1.875, "right", 0.0, 60)
    degrees = 0.125 / small_model.session.screen.degrees_per_pixel
    assert panel.pages[1].degrees.text() == f"{degrees:.3f} cycles/degree straight ahead"
    show(panel, "Patch on grey")
    assert small_model.stimulus == SinglePatch(15, 29, 6, True)
    assert panel.state.text().startswith("On the board: bright patch")


def test_a_patch_lies_on_the_screen_of_the_session_whatever_its_pixels(qtbot: QtBot) -> None:
    page = PatchPage()
    qtbot.addWidget(page)
    page.take_screen(ScreenGeometry(rows=36, cols=16, colours=("green", "uv")))
    assert (page.row.maximum(), page.column.maximum(), page.side.maximum()) == (17, 15, 16)
    patch = page.stimulus()
    assert patch.video().shape == (45, 18, 16)
    assert patch.video().max() == 255
    page.take_screen(ScreenGeometry(rows=144, cols=256))
    page.row.setValue(140)
    page.column.setValue(250)
    assert page.stimulus().video()[20, 140, 250] == 255


def test_predicted_activity_becomes_target_and_raster_until_the_trial_is_back(
    panel: StimulusPanel, small_model: ReconstructionModel
) -> None:
    before = small_model.trial
    assert not panel.back_button.isEnabled()
    show(panel, "Gaussian noise")
    assert (small_model.target, small_model.activity_mode) == ("predicted", ActivityMode.FROM_STIMULUS)
    show(panel, "Drifting grating")
    panel.back_button.click()
    assert (small_model.trial.id, small_model.clip, small_model.target) == (before.id, (0, 48), "recorded")
    np.testing.assert_array_equal(small_model.trial.video, before.video)


def test_a_film_is_read_as_far_as_it_is_shown(
    panel: StimulusPanel, small_model: ReconstructionModel, tmp_path: Path
) -> None:
    file = tmp_path / "film.mp4"
    levels = np.linspace(20, 230, 50).astype(np.uint8)
    imageio.imwrite(file, np.broadcast_to(levels[:, None, None, None], (50, 72, 128, 3)), fps=30)
    panel.kind.setCurrentText("Movie file")
    panel.kind.activated.emit(panel.kind.currentIndex())
    assert not panel.show_button.isEnabled()
    panel.movie_page.choose(file)
    panel.movie_page.frames.setValue(40)
    show(panel, "Movie file")
    assert small_model.stimulus == MovieFile(file, 40)
    assert small_model.trial.video.shape == (40, 36, 64)
    np.testing.assert_allclose(small_model.trial.video[:, 18, 32], levels[:40], atol=4)


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"no movie", "expected a .npy array"), (None, "found nothing there"), ("short", "at least 32 frames")],
)
def test_a_movie_that_cannot_be_shown_is_one_message_and_the_board_stays(
    content: object, found: str, panel: StimulusPanel, small_model: ReconstructionModel, tmp_path: Path
) -> None:
    file, before, told = tmp_path / "movie.npy", small_model.trial, []
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "short":
        np.save(file, np.zeros((5, 36, 64), np.uint8))
    small_model.message.connect(lambda text, is_error: told.append((text, is_error)))
    panel.movie_page.choose(file)
    show(panel, "Movie file")
    ((text, is_error),) = told
    assert is_error
    assert found in text
    assert small_model.trial is before


def test_another_session_meanwhile_keeps_its_own_board(
    panel: StimulusPanel, small_model: ReconstructionModel, golden_session_folder: Path
) -> None:
    panel.show_stimulus()
    small_model.set_session(vr.open_session(golden_session_folder))
    assert panel.maker.wait()
    assert (small_model.trial, small_model.stimulus) == (None, None)


def test_the_copied_texts_repeat_the_reconstruction_of_a_stimulus(
    panel: StimulusPanel,
    small_model: ReconstructionModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_vidrecon.cli.app import run_command

    controller = RunController(small_model)
    show(panel, "Gaussian noise")
    assert "GivenMovie" in python_text(script_of_next(small_model, tmp_path / "planned"))
    controller.start()
    assert controller.wait()
    recipe = script_of(small_model.shown, tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["copied.py"])
    names: dict[str, object] = {}
    exec(compile(python_text(recipe), "copied.py", "exec"), names)
    np.testing.assert_array_equal(names["result"].video, small_model.shown.result.video)
    assert "same inputs and settings: True" in capsys.readouterr().out
    assert (tmp_path / "stimulus_again.zarr").is_dir()
    assert run_command(shlex.split(command_text(recipe))[1:]) == 0
    (path,) = (tmp_path / "runs" / "kept").glob("*.zarr")
    np.testing.assert_array_equal(vr.Reconstruction.load(path).video, small_model.shown.result.video)


def test_every_control_of_the_designer_says_what_it_does(panel: StimulusPanel) -> None:
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox)
    silent = [control.objectName() for kind in kinds for control in panel.findChildren(kind) if not control.toolTip()]
    assert silent == []
