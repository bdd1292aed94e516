"""A decoder in the window: chosen, passed into the run, kept with it, copied with it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError, RunError, StorageError
from napari_vidrecon.reconstruction.script_texts import command_text, python_text
from napari_vidrecon.reconstruction.scripts import Script, script_of_plan, script_of_run
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.folders import find_companions
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord
from napari_vidrecon.viewer.opening import open_path, open_run, take_over_settings
from napari_vidrecon.viewer.panels.session_panel import SessionPanel
from napari_vidrecon.viewer.panels.training_panel import NO_DECODER

PATIENCE_MS = 30_000


def script_of(record: RunRecord, beside: Path) -> Script:
    """What "Copy as" makes of a run."""
    return script_of_run(record.result, record.recipe, record.name, beside)


def script_of_next(model: ReconstructionModel, beside: Path) -> Script:
    """What "Copy as" makes of the run that Start would make."""
    return script_of_plan(model.recipe(), model.mask, model.neurons, model.trial, beside)


@pytest.fixture
def controller(small_model: ReconstructionModel, qtbot: QtBot) -> RunController:
    made = RunController(small_model)
    yield made
    made.stop()
    made.wait()


@pytest.fixture
def decoded_model(small_model: ReconstructionModel, small_decoder_file: Path) -> ReconstructionModel:
    """The small model with a decoder; a controller of it has it, too."""
    open_path(small_model, small_decoder_file)
    return small_model


def finish(qtbot: QtBot, controller: RunController) -> None:
    controller.start()
    qtbot.waitUntil(lambda: not controller.busy, timeout=PATIENCE_MS)


def python_run(model: ReconstructionModel) -> vr.Reconstruction:
    """What Start makes, without a window."""
    return vr.reconstruct(
        model.trial,
        [vr.load_encoder(path, neurons=20, device="cpu") for path in model.encoder_paths],
        model.mask,
        model.config,
        neurons=model.neurons,
        mask_threshold=model.training_threshold,
        evaluation_threshold=model.evaluation_threshold,
        decoder=None if model.decoder is None else model.decoder,
    )


def test_a_decoder_file_is_opened_as_what_it_is(small_model, small_decoder_file, small_encoder_file):
    before = small_model.encoder_paths
    open_path(small_model, small_decoder_file)
    assert small_model.decoder.path == str(small_decoder_file)
    assert small_model.encoder_paths == before
    open_path(small_model, small_encoder_file)
    assert small_model.decoder.path == str(small_decoder_file)


def test_it_needs_a_session_and_goes_with_it(decoded_model, small_decoder_file):
    with pytest.raises(RunError, match="open a session first"):
        open_path(ReconstructionModel(), small_decoder_file)
    decoded_model.set_session(decoded_model.session)
    assert decoded_model.decoder is None


def test_one_of_other_neurons_or_none_at_all_is_refused(small_model, small_decoder_file, small_encoder_file, tmp_path):
    from napari_vidrecon.viewer.opening import load_decoder

    decoder = vr.Decoder.load(small_decoder_file)
    replace(decoder, weights=decoder.weights[:, :7], mean=decoder.mean[:7]).save(tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"20 neurons.*found one for 7"):
        open_path(small_model, tmp_path / "other.safetensors")
    with pytest.raises(StorageError, match="expected a decoder"):
        load_decoder(small_model, small_encoder_file)
    assert small_model.decoder is None


def test_one_of_a_mouse_of_another_name_is_taken_and_that_is_said(small_model, small_decoder_file, tmp_path):
    replace(vr.Decoder.load(small_decoder_file), mouse="somebody").save(tmp_path / "other.safetensors")
    said = []
    small_model.message.connect(lambda text, is_error: said.append((text, is_error)))
    open_path(small_model, tmp_path / "other.safetensors")
    assert small_model.decoder.mouse == "somebody"
    ((text, is_error),) = said
    assert "fitted for somebody" in text
    assert not is_error


def test_one_that_lies_among_the_encoders_is_not_offered_as_one(small_decoder_file, small_encoder_file, tmp_path):
    (tmp_path / "encoders").mkdir()
    (tmp_path / "session").mkdir()
    (tmp_path / "encoders" / "a.safetensors").write_bytes(small_encoder_file.read_bytes())
    (tmp_path / "encoders" / "decoder.safetensors").write_bytes(small_decoder_file.read_bytes())
    assert [path.name for path in find_companions(tmp_path / "session").encoders] == ["a.safetensors"]


def test_the_panel_shows_chooses_and_removes_it(
    qtbot, small_model, small_decoder_file, small_encoder_file, monkeypatch
):
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    row = panel.decoder
    assert (row.name.text(), row.remove_button.isEnabled()) == (NO_DECODER, False)
    chosen = [str(small_decoder_file)]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *arguments: (chosen[0], ""))
    row.choose_button.click()
    assert small_model.decoder.path == str(small_decoder_file)
    assert (row.name.text(), row.remove_button.isEnabled()) == (small_decoder_file.stem, True)
    assert str(small_decoder_file) in row.name.toolTip()
    said = []
    small_model.message.connect(lambda text, is_error: said.append((text, is_error)))
    chosen[0] = str(small_encoder_file)
    row.choose_button.click()
    assert "expected a decoder" in said[0][0]
    assert said[0][1]
    assert small_model.decoder.path == str(small_decoder_file)
    row.remove_button.click()
    assert small_model.decoder is None
    assert (row.name.text(), row.remove_button.isEnabled()) == (NO_DECODER, False)


def test_without_a_session_none_can_be_chosen(qtbot):
    panel = SessionPanel(ReconstructionModel())
    qtbot.addWidget(panel)
    assert not panel.decoder.choose_button.isEnabled()


def test_a_run_with_one_has_the_bits_of_python(qtbot, controller, decoded_model, small_decoder_file):
    finish(qtbot, controller)
    expected = python_run(decoded_model)
    shown = decoded_model.shown.result
    assert np.array_equal(shown.video, expected.video)
    assert shown.provenance["fingerprint"] == expected.provenance["fingerprint"]
    assert shown.provenance["inputs"]["decoder"] == str(small_decoder_file)
    assert decoded_model.stale == []


def test_another_decoder_makes_the_shown_run_stale_and_is_told(qtbot, controller, decoded_model, small_decoder_file):
    finish(qtbot, controller)
    with_one = decoded_model.recipe()
    decoded_model.set_settings(decoder=None)
    assert decoded_model.stale == ["decoder", "decoder_content"]
    without = decoded_model.recipe()
    assert with_one.differences(without) == ["without the decoder"]
    assert without.differences(with_one) == [f"decoder {small_decoder_file.name}"]
    finish(qtbot, controller)
    assert decoded_model.shown.result.provenance["inputs"]["decoder"] is None
    assert "decoder" not in decoded_model.shown.result.provenance
    take_over_settings(decoded_model, decoded_model.runs[0])
    assert decoded_model.decoder.path == str(small_decoder_file)


def test_neurons_are_ablated_while_a_run_with_one_goes_on(qtbot, controller, decoded_model):
    decoded_model.set_settings(config=decoded_model.config.changed(steps=100_000), apply_live=True)
    controller.start()
    qtbot.waitUntil(lambda: decoded_model.snapshot is not None, timeout=PATIENCE_MS)
    decoded_model.set_neurons(NeuronSet.random(20, 0.5))
    run = controller.runner.run
    qtbot.waitUntil(lambda: len(run.provenance.get("changes", [])) == 1, timeout=PATIENCE_MS)
    assert run.target.neurons.count == decoded_model.neurons.count
    controller.stop()
    qtbot.waitUntil(lambda: not controller.busy, timeout=PATIENCE_MS)
    assert decoded_model.stale == []


def test_a_stopped_run_with_one_goes_on(qtbot, controller, decoded_model):
    def stop_early(snapshot):
        controller.stop()

    decoded_model.set_settings(config=decoded_model.config.changed(steps=2000))
    decoded_model.snapshot_arrived.connect(stop_early)
    finish(qtbot, controller)
    decoded_model.snapshot_arrived.disconnect(stop_early)
    assert controller.can_continue
    decoded_model.set_settings(decoder=None)
    assert not controller.can_continue


def test_a_kept_run_brings_its_decoder_back(qtbot, controller, decoded_model, small_decoder_file):
    finish(qtbot, controller)
    new = ReconstructionModel()
    open_run(new, decoded_model.shown.path)
    assert new.decoder.path == str(small_decoder_file)
    assert new.stale == []


def test_a_kept_run_whose_decoder_is_gone_says_so(qtbot, controller, small_model, small_decoder_file, tmp_path):
    file = tmp_path / "gone.safetensors"
    file.write_bytes(small_decoder_file.read_bytes())
    open_path(small_model, file)
    finish(qtbot, controller)
    file.unlink()
    new = ReconstructionModel()
    said = []
    new.message.connect(lambda text, is_error: said.append(text))
    record = open_run(new, small_model.shown.path)
    assert new.decoder is None
    assert "decoder gone.safetensors was not found" in said[0]
    assert (record.recipe.decoder, new.stale) == (str(file), ["decoder", "decoder_content"])


@pytest.mark.long
def test_the_copied_texts_repeat_a_run_with_one(decoded_model, tmp_path, monkeypatch):
    from napari_vidrecon.cli.app import run_command

    record = RunRecord("run 1", python_run(decoded_model), decoded_model.recipe())
    recipe = script_of(record, tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["copied.py"])
    names: dict[str, object] = {}
    exec(compile(python_text(recipe), "copied.py", "exec"), names)
    np.testing.assert_array_equal(names["result"].video, record.result.video)
    words = shlex.split(command_text(recipe))
    assert words[words.index("--decoder") + 1] == decoded_model.decoder.path
    assert run_command(words[1:]) == 0
    (again,) = (tmp_path / "runs" / "first").glob("*.zarr")
    np.testing.assert_array_equal(vr.Reconstruction.load(again).video, record.result.video)


def test_a_copied_command_forces_a_decoder_of_another_name(small_model, small_decoder_file, tmp_path):

    replace(vr.Decoder.load(small_decoder_file), mouse="somebody").save(tmp_path / "other.safetensors")
    assert "--force-mouse" not in command_text(script_of_next(small_model, tmp_path / "next"))
    open_path(small_model, tmp_path / "other.safetensors")
    assert "--force-mouse" in command_text(script_of_next(small_model, tmp_path / "next"))


def test_a_run_whose_decoder_lies_nowhere_cannot_be_copied(decoded_model, tmp_path):
    record = RunRecord("run 1", python_run(decoded_model), decoded_model.recipe().changed(decoder=""))
    with pytest.raises(RunError, match="where its decoder lies"):
        script_of(record, tmp_path / "first")
