"""A run copied as text gives the same bits again."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

import napari_vidrecon as vr
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.script_texts import command_text, command_words, python_text
from napari_vidrecon.reconstruction.scripts import (
    MASK_SUFFIX,
    NEURONS_SUFFIX,
    Script,
    script_of_plan,
    script_of_run,
)
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord
from napari_vidrecon.viewer.opening import open_run
from napari_vidrecon.viewer.panels.export_panel import ExportPanel


def script_of(record: RunRecord, beside: Path) -> Script:
    """What "Copy as" makes of a run."""
    return script_of_run(record.result, record.recipe, record.name, beside)


def script_of_next(model: ReconstructionModel, beside: Path) -> Script:
    """What "Copy as" makes of the run that Start would make."""
    return script_of_plan(model.recipe(), model.mask, model.neurons, model.trial, beside)


@pytest.fixture
def hand_made(small_model: ReconstructionModel) -> ReconstructionModel:
    """A mask painted by hand, a list of neurons, and settings that no preset has."""
    painted = small_model.mask.alpha.copy()
    painted[10:14, 20:30] = 0.0
    small_model.set_mask(AlphaMask(painted, "painted"))
    small_model.set_neurons(NeuronSet.without(20, np.array([3, 7, 11]), "3 cells of the lasso"))
    small_model.set_settings(
        config=small_model.config.changed(learning_rate=700.5, skip_first_update=False), ablation="silence"
    )
    return small_model


def run_of(model: ReconstructionModel, *, stop_after: int | None = None) -> RunRecord:
    """What Start would make, as a record."""
    assert model.session is not None
    result = vr.reconstruct(
        model.trial,
        [
            vr.load_encoder(path, model.mouse, model.device, neurons=model.session.n_neurons)
            for path in model.encoder_paths
        ],
        model.mask,
        model.config,
        target=model.target,
        neurons=model.neurons,
        ablation=model.ablation,
        mask_threshold=model.training_threshold,
        evaluation_threshold=model.evaluation_threshold,
        ensemble=model.ensemble,
        on_step=(lambda info: info.step < stop_after) if stop_after else None,
    )
    return RunRecord("run 1", result, model.recipe())


def run_python(text: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> vr.Reconstruction:
    """What a copied script makes when it is run in a folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["copied.py"])
    names: dict[str, object] = {}
    exec(compile(text, "copied.py", "exec"), names)
    return names["result"]


def test_the_copied_python_repeats_a_hand_made_run_bit_for_bit(
    hand_made: ReconstructionModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = run_of(hand_made)
    again = run_python(python_text(script_of(record, tmp_path / "first")), monkeypatch, tmp_path)
    np.testing.assert_array_equal(again.video, record.result.video)
    assert "same inputs and settings: True" in capsys.readouterr().out
    assert (tmp_path / f"first{MASK_SUFFIX}").exists()
    assert (tmp_path / f"first{NEURONS_SUFFIX}").exists()
    assert vr.Reconstruction.load(tmp_path / "trial0_again.zarr").finished


def test_the_copied_command_repeats_a_hand_made_run_bit_for_bit(
    hand_made: ReconstructionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.cli.app import run_command

    record = run_of(hand_made)
    script = script_of(record, tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command_text(script))
    assert words[:2] == ["vidrecon", "reconstruct"]
    assert run_command(words[1:]) == 0
    (again,) = (tmp_path / "runs" / "first").glob("*.zarr")
    saved = vr.Reconstruction.load(again)
    np.testing.assert_array_equal(saved.video, record.result.video)
    assert saved.provenance["fingerprint"] == record.result.provenance["fingerprint"]


@pytest.mark.parametrize("decay", ["none", pytest.param("cosine", marks=pytest.mark.long)])
def test_a_run_stopped_early_is_repeated_up_to_the_same_step(
    decay: str, small_model: ReconstructionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.cli.app import run_command

    small_model.set_settings(config=small_model.config.changed(learning_rate_decay=decay))
    record = run_of(small_model, stop_after=3)
    script = script_of(record, tmp_path / "stopped")
    again = run_python(python_text(script), monkeypatch, tmp_path)
    assert len(again.history) == 3
    np.testing.assert_array_equal(again.video, record.result.video)
    words = command_words(script)
    assert run_command(words[1:]) == 0
    (path,) = (tmp_path / "runs" / "stopped").glob("*.zarr")
    np.testing.assert_array_equal(vr.Reconstruction.load(path).video, record.result.video)
    assert run_command(words[1:]) == 0
    assert len(vr.Reconstruction.load(path).history) == 3


def test_a_random_choice_of_neurons_is_written_as_fraction_and_seed(
    small_model: ReconstructionModel, tmp_path: Path
) -> None:
    small_model.set_neurons(NeuronSet.random(20, 0.5, seed=4))
    script = script_of_next(small_model, tmp_path / "next")
    assert script.ablated == (0.5, 4)
    assert script.neurons is None
    assert "NeuronSet.random(session.n_neurons, 0.5, seed=4)" in python_text(script)
    assert "--ablate 0.5 --ablation-seed 4" in command_text(script)


def test_a_mask_that_lies_in_a_file_is_named_and_not_copied(small_model: ReconstructionModel, tmp_path: Path) -> None:
    small_model.mask.save(tmp_path / "mask of mine.npy")
    small_model.set_mask(AlphaMask.load(tmp_path / "mask of mine.npy"), tmp_path / "mask of mine.npy")
    script = script_of_next(small_model, tmp_path / "next")
    assert script.mask == tmp_path / "mask of mine.npy"
    assert not (tmp_path / f"next{MASK_SUFFIX}").exists()
    assert shlex.quote(str(script.mask)) in command_text(script)


def test_a_mask_whose_file_was_changed_since_is_kept_beside_the_run(
    small_model: ReconstructionModel, tmp_path: Path
) -> None:
    small_model.mask.save(tmp_path / "mask.npy")
    mask = AlphaMask.load(tmp_path / "mask.npy")
    np.save(tmp_path / "mask.npy", np.zeros((36, 64)))
    small_model.set_mask(mask, tmp_path / "mask.npy")
    script = script_of_next(small_model, tmp_path / "next")
    assert script.mask == tmp_path / f"next{MASK_SUFFIX}"
    np.testing.assert_array_equal(AlphaMask.load(script.mask).alpha, mask.alpha)


def test_no_mask_is_the_whole_screen_in_both_texts(small_model: ReconstructionModel, tmp_path: Path) -> None:
    small_model.set_mask(AlphaMask.full())
    script = script_of_next(small_model, tmp_path / "next")
    assert "AlphaMask.full()" in python_text(script)
    words = command_words(script)
    assert words[words.index("--mask") + 1] == "none"


def test_a_session_folder_of_another_name_than_the_encoders_mouse_is_said_to_be_meant(
    small_model: ReconstructionModel, copy_of_small_session: Path, tmp_path: Path
) -> None:
    assert "--force-mouse" not in command_words(script_of_next(small_model, tmp_path / "next"))
    renamed = copy_of_small_session.rename(tmp_path / "another name")
    config, encoders = small_model.config, small_model.encoder_paths
    small_model.set_session(vr.open_session(renamed))
    small_model.set_encoders(encoders)
    small_model.set_settings(config=config)
    small_model.set_trial(0)
    assert "--force-mouse" in command_words(script_of_next(small_model, tmp_path / "next"))


def test_only_what_differs_from_the_preset_is_written(small_model: ReconstructionModel, tmp_path: Path) -> None:
    small_model.set_settings(config=ReconstructionConfig.preset("fast", momentum=0.5, include_negative_alpha=True))
    text = command_text(script_of_next(small_model, tmp_path / "next"))
    steps = ReconstructionConfig.preset("fast").steps
    assert f"--preset fast --steps {steps} --set update.momentum=0.5 --set include_negative_alpha=true --target" in text
    assert f".preset('fast', steps={steps}, momentum=0.5, include_negative_alpha=True)" in python_text(
        script_of_next(small_model, tmp_path / "next")
    )


def test_a_run_changed_while_it_went_on_is_refused_with_what_was_changed(
    small_model: ReconstructionModel, tmp_path: Path
) -> None:
    record = run_of(small_model)
    record.result.provenance["changes"] = [{"after_step": 2, "what": "mask_threshold", "value": 0.7}]
    with pytest.raises(RunError, match=r"mask_threshold after step 2.*press Rerun"):
        script_of(record, tmp_path / "changed")


def test_nothing_to_copy_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    panel = ExportPanel(ReconstructionModel(), ViewerModel(), tmp_path / "runs")
    qtbot.addWidget(panel)
    panel.copy_command()
    assert "choose them under What" in panel.status.text()


def test_the_copies_name_the_encoders_that_predicted_the_target_where_they_are_others(
    small_model: ReconstructionModel, small_encoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(small_encoder_file.read_bytes())
    small_model.set_settings(target="predicted")
    record = run_of(small_model)
    inputs = {"encoders": [str(small_encoder_file)], "target_encoders": [str(small_encoder_file), str(other)]}
    record.result.provenance["inputs"] = {**record.result.provenance["inputs"], **inputs}
    record.recipe = Recipe.of(record.result)
    script = script_of(record, tmp_path / "first")
    assert script.recipe.target_encoders == (str(small_encoder_file), str(other))
    words = command_words(script)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--target-encoder"] == inputs["target_encoders"]
    # Their mean is what the one of them predicts, so the movie stays the same to the last bits of an average.
    again = run_python(python_text(script), monkeypatch, tmp_path)
    np.testing.assert_allclose(again.video, record.result.video, atol=0.5)
    record.result.provenance["inputs"] |= {"target_encoders": inputs["encoders"]}
    assert Recipe.of(record.result).target_encoders == ()


def python_made(kind: str, model: ReconstructionModel, decoder_file: Path, folder: Path) -> vr.Reconstruction:
    """A run of one kind that was made in Python, without any window, and saved."""
    session, encoders = model.session, [vr.load_encoder(path, device="cpu") for path in model.encoder_paths]
    clip, mask, more = session.trial(0).part(0, 48), model.mask, {}
    if kind in ("predicted", "permuted"):
        more["target"] = kind
    elif kind == "given":
        more["target"] = np.roll(clip.responses, 3, axis=1)
    elif kind == "stimulus":
        shown = np.random.default_rng(5).uniform(0, 255, (48, 36, 64)).astype(np.float32)
        clip, more["target"] = vr.stimulus_trial(vr.GivenMovie("my noise", shown), session), "predicted"
    elif kind == "decoder":
        more["decoder"] = vr.Decoder.load(decoder_file)
    elif kind == "ablated":
        more |= {"neurons": NeuronSet.random(20, 0.4, seed=3), "ablation": "silence"}
    elif kind == "painted":
        alpha = mask.alpha.copy()
        alpha[10:20, 20:30] = 0.0
        mask, more["neurons"] = AlphaMask(alpha), np.arange(20) % 3 > 0
    result = vr.reconstruct(clip, encoders, mask, model.config, **more)
    result.save(folder)
    return result


KINDS = ("stimulus", "decoder", "ablated", "painted")
MORE_KINDS = [pytest.param(kind, marks=pytest.mark.long) for kind in ("recorded", "predicted", "permuted", "given")]


@pytest.mark.parametrize("kind", [*KINDS, *MORE_KINDS])
def test_a_run_made_in_python_is_opened_and_both_texts_repeat_it_bit_for_bit(
    kind: str, small_model: ReconstructionModel, small_decoder_file: Path, tmp_path: Path, monkeypatch
) -> None:
    from napari_vidrecon.cli.app import run_command

    made = python_made(kind, small_model, small_decoder_file, tmp_path / "made.zarr")
    opened = ReconstructionModel()
    record = open_run(opened, tmp_path / "made.zarr")
    script = script_of(record, tmp_path / "made")
    again = run_python(python_text(script), monkeypatch, tmp_path)
    np.testing.assert_array_equal(again.video, made.video)
    words = command_words(script)
    assert run_command(words[1:]) == 0
    (path,) = (tmp_path / "runs" / "made").glob("*.zarr")
    repeated = vr.Reconstruction.load(path)
    np.testing.assert_array_equal(repeated.video, made.video)
    assert repeated.provenance["fingerprint"] == made.provenance["fingerprint"]


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_both_texts_run_in_a_shell(small_model: ReconstructionModel, small_decoder_file: Path, tmp_path: Path) -> None:
    made = python_made("painted", small_model, small_decoder_file, tmp_path / "made.zarr")
    script = script_of(open_run(ReconstructionModel(), tmp_path / "made.zarr"), tmp_path / "made")
    (tmp_path / "again.py").write_text(python_text(script), "utf-8")
    program = shlex.join([sys.executable, "-m", "napari_vidrecon.cli"])
    lines = f"{sys.executable} again.py && {command_text(script).replace('vidrecon', program, 1)}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(vr.__file__).parents[1])}
    done = subprocess.run(
        ["bash", "-c", lines], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "same inputs and settings: True" in done.stdout
    (command,) = (tmp_path / "runs" / "made").glob("*.zarr")
    videos = [vr.Reconstruction.load(path).video for path in (tmp_path / "trial0_again.zarr", command)]
    np.testing.assert_array_equal(*videos)
    # This process may compute with another number of threads, which rounds differently.
    np.testing.assert_allclose(videos[0], made.video, atol=1e-3)


def test_scripts_of_before_find_what_they_import() -> None:
    from napari_vidrecon.sessions.stimuli import given_movie, stimulus
    from napari_vidrecon.viewer.exports import scripts

    assert given_movie.GivenMovie is stimulus.GivenMovie
    assert scripts.command_text is command_text
