"""Training in the window: started, stopped, gone on with, judged, and its encoder chosen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.checkpoints import read_encoder_file
from napari_vidrecon.encoders.training.training_run import checkpoint_path, training_verdict
from napari_vidrecon.errors import SessionError
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, decoder_verdict
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.fits import DecoderFitController
from napari_vidrecon.viewer.main_widget import HOW, TRAINING, ReconstructionWidget
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.panels.training_panel import DecoderFitPanel, TrainingPanel
from napari_vidrecon.viewer.training import TrainingController

STEPS, MANY_STEPS = 3, 100_000


def recipe(steps: int) -> CompactRecipe:
    return CompactRecipe(features=8, temporal_kernels=(5,), steps=steps, batch_size=4)


@pytest.fixture
def panel(qtbot: QtBot, copy_of_small_session: Path) -> TrainingPanel:
    """A panel with a session of its own, which may be written beside."""
    model = ReconstructionModel()
    model.set_settings(device="cpu")
    model.set_session(open_session(copy_of_small_session))
    training = TrainingController(model)
    training.recipe = recipe(STEPS)
    made = TrainingPanel(training)
    training.setParent(made)
    qtbot.addWidget(made)
    made.model, made.training, made.news = model, training, []
    model.message.connect(lambda text, is_error: made.news.append((text, is_error)))
    return made


def press(control) -> None:
    QTest.mouseClick(control, Qt.MouseButton.LeftButton)


def test_it_says_what_it_trains_on_and_where_the_encoder_goes(panel, copy_of_small_session):
    assert "20 neurons" in panel.about.toolTip()
    assert "2 trials (tier train)" in panel.about.toolTip()
    assert panel.steps.value() == STEPS
    assert panel.training.path.parent == copy_of_small_session.parent / "encoders"
    assert not panel.next_button.isEnabled()


def test_the_steps_at_first_are_those_of_the_recipe(panel):
    panel.training.recipe = None
    assert panel.training.steps == CompactRecipe().steps
    panel.steps.setValue(7)
    assert (panel.training.steps, panel.training.chosen_recipe().architecture) == (7, "compact")


def test_a_trained_encoder_is_judged_listed_and_chosen(qtbot, panel):
    training = panel.training
    path = training.path
    press(panel.start_button)
    assert training.busy
    qtbot.waitUntil(lambda: not training.busy, timeout=60_000)
    assert read_encoder_file(path).provenance["steps_done"] == STEPS
    assert panel.model.encoder_paths == [path]
    assert path in panel.model.encoder_files
    assert f"Step {STEPS} of {STEPS}" in panel.told.toolTip()
    assert training.result.verdict in panel.verdict.toolTip()
    assert panel.news[-1] == (f"The encoder was trained, saved as {path}, and chosen.", False)
    with qtbot.waitSignal(panel.mask_asked):
        press(panel.next_button)


def test_stop_keeps_what_is_learned_and_go_on_leads_on_from_there(qtbot, panel):
    training = panel.training
    training.recipe = recipe(MANY_STEPS)
    press(panel.start_button)
    qtbot.waitUntil(lambda: training.progress is not None, timeout=60_000)
    press(panel.bar.stop_button)
    assert training.wait()
    path, stopped_at = training.path, training.progress.step
    assert checkpoint_path(path).exists()
    assert not path.exists()
    assert panel.news[-1][0].startswith(f"Training stopped after step {stopped_at} of {MANY_STEPS}")
    assert panel.start_button.text() == "Go on"
    press(panel.start_button)
    qtbot.waitUntil(lambda: training.progress is not None, timeout=60_000)
    training.stop()
    assert training.wait()
    assert training.progress.step > stopped_at
    assert training.path == path


def test_a_file_that_is_there_is_never_replaced(panel, tmp_path):
    taken = tmp_path / "mine.safetensors"
    taken.write_bytes(b"of a person")
    panel.training.set_path(taken)
    press(panel.start_button)
    assert not panel.training.busy
    (text, is_error) = panel.news[-1]
    assert is_error
    assert text == f"{taken}: expected a free name for the encoder, found a file; choose another name"
    assert taken.read_bytes() == b"of a person"


@pytest.mark.parametrize("controller", [TrainingController, DecoderFitController])
def test_of_a_session_that_was_renamed_while_open_nothing_is_begun_and_its_old_folder_does_not_come_up_again(
    panel, copy_of_small_session: Path, tmp_path, controller
):
    model, here = panel.model, tmp_path / "here"
    here.mkdir()
    moved = copy_of_small_session.rename(here / "mouse")
    model.set_session(open_session(moved))
    fitting = controller(model, panel)
    here.rename(tmp_path / "there")
    fitting.start()
    assert not fitting.busy
    assert not here.exists()
    with pytest.raises(SessionError, match="open the session again where it is now"):
        model.set_trial(0)
    ((text, is_error),) = panel.news
    assert is_error
    assert text.startswith(f"{moved}: expected the folder of the open session, found nothing there; it was moved")


def test_a_session_in_whose_place_another_was_put_is_not_read_and_one_that_was_copied_back_is(
    panel, copy_of_small_session: Path, tmp_path
):
    model, here, kept = panel.model, copy_of_small_session, tmp_path / "kept"
    model.set_session(open_session(here))
    here.rename(kept)
    shutil.copytree(kept, here)
    ids = np.load(here / "meta" / "neurons" / "unit_ids.npy")
    np.save(here / "meta" / "neurons" / "unit_ids.npy", ids[::-1])
    with pytest.raises(SessionError, match=r"another one was put into its place: open it again$"):
        model.set_trial(0)
    shutil.rmtree(here)
    shutil.copytree(kept, here)
    model.set_trial(0)


def test_the_next_training_takes_a_free_name(qtbot, panel):
    first = panel.training.path
    panel.training.start()
    assert panel.training.wait()
    panel.training.start()
    assert panel.training.wait()
    assert panel.training.path == first.with_name(f"{first.stem}_2.safetensors")
    assert panel.model.encoder_paths == [panel.training.path]
    assert set(panel.model.encoder_files) == {first, panel.training.path}


def test_train_is_one_click_behind_what_and_leads_to_the_mask(docked: Callable[..., ReconstructionWidget]) -> None:
    widget = docked()
    press(widget.session_panel.train_button)
    assert widget.pages.detail == TRAINING
    widget.training_panel.mask_asked.emit()
    assert (widget.pages.page, widget.pages.detail) == (HOW, "")


@pytest.mark.parametrize(
    ("correlation", "simulated", "good", "begins"),
    [
        (0.44, True, True, "Good enough"),
        (0.25, True, True, "Usable"),
        (0.25, False, True, "Usable"),
        (0.30, False, True, "Good enough"),
        (0.05, False, False, "Not good enough"),
        (float("nan"), False, False, "Nobody knows"),
    ],
)
def test_the_validation_correlation_is_judged_in_a_sentence(correlation, simulated, good, begins):
    judged, sentence = training_verdict(correlation, simulated=simulated)
    assert judged is good
    assert sentence.startswith(begins)


def test_a_decoder_is_fitted_judged_saved_and_chosen(qtbot, panel):
    model, fitting = panel.model, DecoderFitController(panel.model)
    fitting.recipe = DecoderRecipe(lags_frames=(0, 2), finest_cycles_per_px=0.1)
    made = DecoderFitPanel(fitting)
    fitting.setParent(made)
    qtbot.addWidget(made)
    press(made.start_button)
    assert not made.bar.isHidden()
    assert fitting.wait()
    path = model.session.path.parent / "decoders" / f"decoder_{model.session.name}.safetensors"
    assert (Path(model.decoder.path), model.decoder.sha256) == (path, Decoder.load(path).sha256)
    assert panel.news[-1] == (f"The decoder was fitted, saved as {path}, and chosen.", False)
    # A session of noise: nothing can be decoded.
    assert made.verdict.toolTip().startswith("<qt>Not worth starting from: video correlation")
    assert "Learned from 2 trials" in made.verdict.toolTip()


@pytest.mark.parametrize(
    ("correlation", "good", "begins"),
    [(0.72, True, "Good"), (0.4, True, "Usable"), (0.1, False, "Not worth"), (float("nan"), False, "Nobody knows")],
)
def test_a_decoder_is_judged_in_a_sentence(correlation, good, begins):
    judged, sentence = decoder_verdict(correlation, clips=3)
    assert judged is good
    assert sentence.startswith(begins)
