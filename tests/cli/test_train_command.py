"""`vidrecon train`: architectures, named recipes, ensembles with a held-out fold, teachers; `vidrecon info --check`."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import napari_vidrecon as vr
from napari_vidrecon.cli import report
from napari_vidrecon.encoders.training.training_run import checkpoint_path

SMALL = ("--recipe", "features=4", "--recipe", "temporal_kernels=3", "--recipe", "batch_size=2", "--steps", 2)
SMALL_DWISENEURO = (
    *("--recipe", "core_features=4,8", "--recipe", "spatial_strides=4,4", "--recipe", "expansion_ratio=2"),
    *("--recipe", "se_reduce_ratio=4", "--recipe", "cortex_features=16", "--recipe", "batch_size=4"),
)
SMALL_FACTORISED = (
    *("--recipe", "channels=4", "--recipe", "spatial_kernels=5", "--recipe", "temporal_kernels=3"),
    *("--recipe", "spatial_strides=4", "--recipe", "batch_size=2"),
)


SMALL_VIV1T = (
    *("--recipe", "emb_dim=8", "--recipe", "heads=2", "--recipe", "head_dim=4", "--recipe", "ff_dim=8"),
    *("--recipe", "spatial_depth=1", "--recipe", "temporal_depth=1", "--recipe", "batch_size=2"),
)


@pytest.mark.parametrize(
    ("words", "architecture"),
    [
        (("--architecture", "dwiseneuro", *SMALL_DWISENEURO), "dwiseneuro"),
        (("--recipe", "true_batch_002", *SMALL_DWISENEURO), "dwiseneuro"),
        (("--architecture", "factorised", *SMALL_FACTORISED), "factorised"),
        (("--architecture", "viv1t", *SMALL_VIV1T), "viv1t"),
        (("--recipe", "small_session", *SMALL), "compact"),
    ],
)
def test_every_architecture_is_trained_and_keeps_its_promises(
    words, architecture: str, vidrecon, small_session_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "encoder.safetensors"
    answer = vidrecon("train", small_session_folder, "--out", out, *words, "--steps", 2, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["steps"] == 2
    encoder = vr.load_encoder(out, device="cpu")
    assert encoder.spec.architecture == architecture
    checked = vidrecon("info", out, "--check", "--json")
    assert (checked.code, checked.json["findings"]) == (0, [])


def test_the_learning_curve_lies_beside_the_encoder(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder.safetensors"
    words = ("--steps", 4, "--recipe", "validate_every=2", "--json")
    answer = vidrecon("train", small_session_folder, "--out", out, *SMALL, *words)
    with Path(answer.json["learning_curve"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["validation_correlation"] != "" for row in rows] == [False, True, False, True]
    assert float(rows[-1]["validation_correlation"]) == pytest.approx(answer.json["validation_correlation"], abs=1e-6)


def test_loss_and_scores_go_to_tensorboard_where_that_is_asked_for(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, logs = tmp_path / "encoder.safetensors", tmp_path / "logs"
    words = ("--out", out, *SMALL, "--steps", 4, "--recipe", "validate_every=2", "--tensorboard", logs)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    refused = vidrecon("train", small_session_folder, *words)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "pip install tensorboard" in refused.err
    assert not out.exists()
    told = []

    class Writer:
        def __init__(self, folder: str) -> None:
            told.append(folder)

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            told.append((tag, step))

        def close(self) -> None:
            told.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    assert vidrecon("train", small_session_folder, *words).code == 0
    score = "validation correlation"
    steps = [("loss", 1), ("loss", 2), (score, 2), ("loss", 3), (score, 3), ("loss", 4), (score, 4)]
    assert told == [str(logs / "encoder"), *steps, "closed"]


def test_instances_hold_out_the_same_fold_and_are_not_trained_twice(
    vidrecon, golden_session_folder: Path, tmp_path: Path
) -> None:
    words = ("train", golden_session_folder, "--out", tmp_path / "ensemble", "--instances", 2, "--held-out-fold", 0)
    answer = vidrecon(*words, *SMALL, "--json")
    assert answer.code == 0, answer.err
    session = vr.open_session(golden_session_folder)
    files = [tmp_path / "ensemble" / f"encoder_{index}.safetensors" for index in range(2)]
    for index, file in enumerate(files):
        told = vr.load_encoder(file).spec.provenance
        assert (told["training"]["seed"], told["held_out_fold"]) == (index, 0)
        assert told["training_trials"] == [len(session.folds()) - len(session.trials_in_fold(0))]
    assert not torch.equal(load_file(files[0])["stem.weight"], load_file(files[1])["stem.weight"])
    before = [file.stat().st_mtime_ns for file in files]
    files[1].unlink()
    again = vidrecon(*words, *SMALL, "--json")
    assert "encoder_0.safetensors: is trained already" in again.err
    assert len(again.json["instances"]) == 1
    assert files[0].stat().st_mtime_ns == before[0]
    other = vidrecon(*words, *SMALL, "--recipe", "learning_rate=0.001")
    assert (other.code, "--overwrite" in other.err) == (2, True)


def test_each_instance_can_hold_out_a_fold_of_its_own(vidrecon, golden_session_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder.safetensors"
    words = ("--instances", 2, "--held-out-fold", "each", *SMALL, "--steps", 1, "--json")
    answer = vidrecon("train", golden_session_folder, "--out", out, *words)
    assert [each["held_out_fold"] for each in answer.json["instances"]] == [0, 1]
    assert (tmp_path / "encoder_1.safetensors").exists()


def test_a_teacher_of_the_same_mouse_is_learned_from(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    teacher, plain, taught = (tmp_path / f"{name}.safetensors" for name in ("teacher", "plain", "taught"))
    assert vidrecon("train", small_session_folder, "--out", teacher, *SMALL, "--seed", 9).code == 0
    assert vidrecon("train", small_session_folder, "--out", plain, *SMALL).code == 0
    words = ("--teacher", teacher, *SMALL)
    alone = vidrecon("train", small_session_folder, "--out", taught, *words)
    assert (alone.code, "distilled_pairs=all" in alone.err) == (2, True)
    assert vidrecon("train", small_session_folder, "--out", taught, *words, "--recipe", "distilled_pairs=all").code == 0
    assert not torch.equal(load_file(plain)["stem.weight"], load_file(taught)["stem.weight"])
    assert vr.load_encoder(taught).spec.provenance["teachers"] == [vr.load_encoder(teacher).spec.sha256]


def test_a_stopped_training_can_be_finished_as_it_is(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.cli.report import StopRequest

    out = tmp_path / "encoder.safetensors"
    words = ("train", small_session_folder, "--out", out, *SMALL, "--steps", 50)
    assert "to finish, found none" in vidrecon(*words, "--finish").err
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "asked", property(lambda stop: True))
        stopped = vidrecon(*words)
    assert (stopped.code, "--finish" in stopped.err) == (130, True)
    monkeypatch.setattr(report, "SECONDS_BETWEEN_LINES", 0)
    answer = vidrecon(*words, "--finish", "--json")
    assert "scoring on 1 held-out trial\n" in answer.err
    assert "scoring: 1 of 1 trials" in answer.err
    assert answer.json["steps"] == vr.load_encoder(out).spec.provenance["steps_done"] == 1
    assert not checkpoint_path(out).exists()


def test_a_training_of_hours_says_so_after_its_first_steps(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", small_session_folder, *SMALL, "--steps", 5)
    assert "at this pace" not in vidrecon(*words, "--out", tmp_path / "a.safetensors").err
    monkeypatch.setattr("napari_vidrecon.cli.train.LONG_LEFT_S", -1.0)
    told = [line for line in vidrecon(*words, "--out", tmp_path / "b.safetensors").err.splitlines() if "pace" in line]
    assert len(told) == 1
    assert re.fullmatch(r"about \d+ s at this pace; Ctrl-C keeps .* fewer --steps \(of 5\), take less", told[0])


def test_a_long_training_says_before_its_step_that_takes_longer(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vidrecon.cli.train.LONG_TRAINING_S", -1.0)
    monkeypatch.setattr(report, "SECONDS_BETWEEN_LINES", 0)
    words = ("train", small_session_folder, *SMALL, "--steps", 4)
    lines = vidrecon(*words, "--out", tmp_path / "a.safetensors").err.splitlines()
    told = [number for number, line in enumerate(lines) if "begins the readouts anew" in line]
    assert len(told) == 1
    assert lines[told[0] - 1].startswith("training: 2 of 4 steps")
    words = (*words, "--recipe", "readout_fit_at=0", "--out", tmp_path / "b.safetensors")
    assert "begins the readouts anew" not in vidrecon(*words).err


def test_what_core_a_training_began_with_is_told(
    vidrecon, golden_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vidrecon.cli.train.LONG_FITTING_S", -1.0)
    words = ("train", golden_session_folder, "--recipe", "batch_size=2", "--steps", 1, "--out")
    told = vidrecon(*words, tmp_path / "a.safetensors")
    assert "that of simulated mice that comes along, kept as it is, for there is little to learn from" in told.out
    told = vidrecon(*words, tmp_path / "b.safetensors", "--recipe", "pretrained=false", "--json")
    assert (told.code, told.json["core"], told.json["begun_with"]) == (0, None, None)
    monkeypatch.setattr("napari_vidrecon.encoders.training.core.FEW_FRAMES", 10)
    told = vidrecon(*words, tmp_path / "c.safetensors")
    assert "begun with that of simulated mice that comes along, and learned on" in told.out
    assert "readouts begin with a regression" in told.err
    for name in ("a", "c"):
        others = vidrecon("info", tmp_path / f"{name}.safetensors", "--json").json["its_core_or_a_teacher_learned_from"]
        assert others == ["mouse_101, mouse_102, mouse_103", "simulated_mouse"]
    assert "learned_from" not in vidrecon("info", tmp_path / "b.safetensors", "--json").out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--architecture", "perceptron"), "compact, dwiseneuro, factorised"),
        (("--recipe", "true_batch_01"), "did you mean true_batch_001"),
        (("--recipe", "true_batch_001", "--architecture", "compact"), "expected a recipe of compact"),
        (("--held-out-fold", "7"), "from 0 to 6"),
        (("--teacher", "nowhere.safetensors"), "nothing there"),
        (("--device", "warp9"), "not there on this machine"),
        (("--steps", "3", "--recipe", "steps=4"), "--steps 3: expected steps once, found --recipe steps=4 as well"),
        (("--architecture", "dwiseneuro", "--recipe", "canvas_rows=32"), "give --recipe canvas_rows=64"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(words, named: str, vidrecon, small_session_folder, tmp_path) -> None:
    answer = vidrecon("train", small_session_folder, "--out", tmp_path / "encoder.safetensors", *words)
    assert answer.code == 2
    assert named in answer.err
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("held_out", [False, True])
def test_clips_that_an_encoder_learned_from_are_told_as_such(
    held_out: bool, vidrecon, recorded_mouse_folder: Path, tmp_path: Path
) -> None:
    mouse, encoder = recorded_mouse_folder, tmp_path / "encoder.safetensors"
    session = vr.open_session(mouse)
    folds = session.folds()
    fold = folds[session.trials_in_tier("oracle")[0]]
    words = ("--held-out-fold", fold) if held_out else ()
    assert vidrecon("train", mouse, "--out", encoder, *SMALL, *words).code == 0
    seen = [each for each, its in folds.items() if its != fold] if held_out else session.trials_in_tier("train")
    words = ("--encoder", encoder, "--mask", "none", "--out", tmp_path / "out", "--steps", 1, "--frames", "0:32")
    for trial in (seen[0], session.trials_in_tier("oracle")[0], session.trials_in_tier("live_test_main")[0]):
        answer = vidrecon("reconstruct", mouse, *words, "--trial", trial)
        assert answer.code == 0
        assert (f"take care: encoder.safetensors learned from trial {trial};" in answer.err) == (trial in seen)
    words = ("--encoder", encoder, "--mask", "none", "--out", tmp_path / "c.json", "--set", "steps=1", "--frames", 32)
    answer = vidrecon("calibrate", mouse, *words, "--trials", "train", "--clips", 4, "--set", "draws=2")
    assert "take care: encoder.safetensors learned from" in answer.err


def test_held_out_clips_that_show_what_is_learned_are_told(
    vidrecon, recorded_mouse_folder: Path, tmp_path: Path
) -> None:
    mouse = tmp_path / recorded_mouse_folder.name
    shutil.copytree(recorded_mouse_folder, mouse)
    session = vr.open_session(mouse)
    learned, held_out = (session.trials_in_tier(tier)[0] for tier in ("train", "oracle"))
    shutil.copy(session.file("videos", learned), session.file("videos", held_out))
    told = vidrecon("train", mouse, "--out", tmp_path / "encoder.safetensors", *SMALL).err
    assert f"take care: 1 of {len(session.trials_in_tier('oracle'))} held-out clip" in told
    assert f"first trial {held_out}; the validation correlation says little of new movies" in told
    words = ("train", recorded_mouse_folder, "--out", tmp_path / "other.safetensors", *SMALL)
    assert "take care" not in vidrecon(*words).err


def test_the_same_mouse_twice_is_one_line(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    twice = small_session_folder, small_session_folder.parent / "." / small_session_folder.name
    answer = vidrecon("train", *twice, "--out", tmp_path / "encoder.safetensors", "--steps", 1)
    assert answer.code == 2
    assert "expected each session once, found it 2 times" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_breaks_its_promises_is_found_out(vidrecon, small_encoder_file: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    broken = tmp_path / "broken.safetensors"
    with safe_open(str(small_encoder_file), framework="pt") as file:
        metadata = file.metadata()
    whole = load_file(small_encoder_file)
    # Finite weights whose activity is not: the file is whole, so only trying it shows.
    weights = {name: value.clamp(-1, 1) * 1e38 if value.is_floating_point() else value for name, value in whole.items()}
    save_file(weights, str(broken), metadata=metadata)
    answer = vidrecon("info", broken, "--check", "--json")
    assert answer.code == 1
    assert answer.json["findings"]
    assert vidrecon("info", small_encoder_file, "--check").code == 0
    described = json.loads(metadata["vidrecon"])
    described["canvas"] = {"rows": 40, "columns": 64}
    save_file(whole, str(broken), metadata={"vidrecon": json.dumps(described)})
    assert "canvas and windows of its own sizes" in vidrecon("info", broken, "--check").err
    np.save(tmp_path / "mask.npy", np.ones((36, 64)))
    assert vidrecon("info", tmp_path / "mask.npy", "--check").code == 2
