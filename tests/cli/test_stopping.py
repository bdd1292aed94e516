"""Ctrl-C, a scheduler's signal and kill -9 at any moment: what is done stays usable and leads to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import napari_vidrecon as vr
from napari_vidrecon.cli.report import Stopped, StopRequest
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.run import Run, plan_run
from napari_vidrecon.storage import replacing_folder

SMALL_TRAINING = ("--recipe", "features=4", "--recipe", "temporal_kernels=3", "--recipe", "batch_size=2", "--steps", 6)
LONG_ENOUGH_SECONDS = 60.0


def with_steps(words: list, steps: int, out: Path) -> list:
    """The same reconstruction with more steps, into another folder."""
    words = [*words, "--trial", 0, "--steps", steps]
    return [out if words[index - 1] == "--out" else word for index, word in enumerate(words)]


def same_result(one: Path, other: Path) -> bool:
    """Whether two runs hold the same bits and history."""
    a, b = vr.Reconstruction.load(one), vr.Reconstruction.load(other)
    histories = all(
        np.array_equal(a.history[name], b.history[name], equal_nan=True)
        for name in a.history.names
        if name != "seconds"
    )
    activity = np.array_equal(a.predicted_activity, b.predicted_activity)
    return a.finished and b.finished and np.array_equal(a.video, b.video) and histories and activity


def interrupt_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let this process get Ctrl-C right after a step."""
    take_step = Run.step

    def interrupted(run: Run):
        info = take_step(run)
        if info.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return info

    monkeypatch.setattr(Run, "step", interrupted)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
def test_ctrl_c_keeps_the_run_and_the_same_command_ends_with_the_same_bits(
    reconstruct_words, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = with_steps(reconstruct_words, 8, tmp_path / "stopped")
    with monkeypatch.context() as patch:
        interrupt_step(patch, 3)
        answer = vidrecon(*words)
    run = next((tmp_path / "stopped").iterdir())
    assert answer.code == 130
    assert "stopped after step 3 of 8" in answer.err
    assert str(run) in answer.err
    assert len(vr.Reconstruction.load(run).history) == 3
    again = vidrecon(*words, "--json")
    assert again.json["runs"][0]["state"] == "continued"
    vidrecon(*with_steps(reconstruct_words, 8, tmp_path / "whole"))
    assert same_result(run, next((tmp_path / "whole").iterdir()))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
def test_ctrl_c_after_the_last_step_leaves_a_complete_run(
    reconstruct_words, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_step(monkeypatch, 4)
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--trial", 2)
    assert answer.code == 130
    assert "complete" in answer.err
    (run,) = (tmp_path / "runs").iterdir()
    assert vr.Reconstruction.load(run).finished


@pytest.mark.parametrize("moment", ["gradient", "_update"])
@pytest.mark.parametrize("encoders", [1, 2])
def test_an_interrupt_inside_a_step_is_as_if_the_step_had_not_begun(
    moment: str, encoders: int, small_session_folder, small_encoder_file, mask_file, monkeypatch
) -> None:
    def planned() -> Run:
        trial = vr.open_session(small_session_folder).trial(0).part(0, 34)
        loaded = [vr.load_encoder(small_encoder_file, device="cpu") for _ in range(encoders)]
        config = ReconstructionConfig.preset("best", steps=4, track_every=2, track_skip_frames=8)
        return plan_run(trial, loaded, vr.AlphaMask.load(mask_file), config, evaluation_threshold=0.6)

    broken, whole = planned(), planned()
    for run in (broken, whole):
        run.step()
        run.step()
    member = broken.steppable if encoders == 1 else broken.steppable.members[-1]
    work = getattr(member, moment)

    def interrupted(*args):
        work(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(member, moment, interrupted if moment == "gradient" else Interrupted(work))
        with pytest.raises(KeyboardInterrupt):
            broken.step()
    assert broken.steppable.step_index == 2
    while not whole.finished:
        broken.step()
        whole.step()
    assert np.array_equal(broken.steppable.video, whole.steppable.video)


class Interrupted:
    """An update rule that is interrupted when its work is done."""

    def __init__(self, work) -> None:
        object.__setattr__(self, "work", work)

    def __call__(self, *args):
        self.work(*args)
        raise KeyboardInterrupt

    def __getattr__(self, name: str):
        return getattr(self.work, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.work, name, value)


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    """Wait until something is true while a process lives."""
    ends = time.monotonic() + LONG_ENOUGH_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.long
def test_a_killed_process_is_continued_to_the_same_bits(
    reconstruct_words, vidrecon, start_process, tmp_path: Path
) -> None:
    words = with_steps([*reconstruct_words, "--save-every", 0], 16, tmp_path / "killed")
    process = start_process(*words)
    wait_for(lambda: list((tmp_path / "killed").glob("dynamic*/zarr.json")), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    answer = vidrecon(*words, "--json")
    run = Path(answer.json["runs"][0]["run"])
    assert answer.json["runs"][0]["state"] in ("continued", "reconstructed")
    vidrecon(*with_steps(reconstruct_words, 16, tmp_path / "whole"))
    assert same_result(run, next((tmp_path / "whole").iterdir()))
    assert list((tmp_path / "killed").iterdir()) == [run]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_ends_a_process_in_order(reconstruct_words, start_process, tmp_path: Path) -> None:
    process = start_process(*with_steps([*reconstruct_words, "--save-every", 0], 5000, tmp_path / "stopped"))
    wait_for(lambda: list((tmp_path / "stopped").glob("dynamic*/zarr.json")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONG_ENOUGH_SECONDS)
    assert process.returncode == 130
    assert "goes on from there" in err
    assert "Traceback" not in err
    (run,) = (tmp_path / "stopped").iterdir()
    assert vr.Reconstruction.load(run).state is not None


def test_a_second_ctrl_c_does_not_wait() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    assert stop.stopped("kept").exit_code == 130
    assert Stopped("kept", signal.SIGTERM).exit_code == 143


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
def test_a_stopped_training_ends_with_the_same_weights(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.encoders.training.trainer import Trainer

    take_step = Trainer.step

    def interrupted(trainer: Trainer) -> float:
        loss = take_step(trainer)
        if trainer.step_index == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    words = ("train", small_session_folder, *SMALL_TRAINING)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        answer = vidrecon(*words, "--out", tmp_path / "stopped.safetensors")
    assert answer.code == 130
    assert "stopped.training.safetensors" in answer.err
    assert not (tmp_path / "stopped.safetensors").exists()
    assert vidrecon(*words, "--out", tmp_path / "stopped.safetensors").code == 0
    assert vidrecon(*words, "--out", tmp_path / "whole.safetensors").code == 0
    assert not (tmp_path / "stopped.training.safetensors").exists()
    stopped, whole = load_file(tmp_path / "stopped.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
def test_a_training_stopped_while_it_is_scored_goes_on_with_the_scoring(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.encoders.training import training_run

    score = training_run.validation_correlation

    def interrupted(*words, every_window: bool, **named):
        if every_window:
            os.kill(os.getpid(), signal.SIGINT)
        return score(*words, every_window=every_window, **named)

    words = ("train", small_session_folder, *SMALL_TRAINING)
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "validation_correlation", interrupted)
        answer = vidrecon(*words, "--out", tmp_path / "stopped.safetensors")
    assert answer.code == 130
    assert "stopped while it was scored; what is learned is kept in" in answer.err
    assert not (tmp_path / "stopped.safetensors").exists()
    for name in ("stopped", "whole"):
        assert vidrecon(*words, "--out", tmp_path / f"{name}.safetensors").code == 0
    stopped, whole = load_file(tmp_path / "stopped.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)
    assert not (tmp_path / "stopped.training.safetensors").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
def test_ctrl_c_while_readouts_begin_anew_does_not_wait_for_them(
    vidrecon, golden_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.encoders.training import readout_fit

    factor = readout_fit._rank_one

    def interrupted(*words):
        os.kill(os.getpid(), signal.SIGINT)
        return factor(*words)

    words = ("train", golden_session_folder, *SMALL_TRAINING)
    with monkeypatch.context() as patch:
        patch.setattr(readout_fit, "_rank_one", interrupted)
        answer = vidrecon(*words, "--out", tmp_path / "stopped.safetensors")
    assert answer.code == 130
    assert "stopped after step 3 of 6; what is learned is kept in" in answer.err
    assert [path.name for path in tmp_path.glob("stopped*.safetensors")] == ["stopped.training.safetensors"]
    for name in ("stopped", "whole"):
        assert vidrecon(*words, "--out", tmp_path / f"{name}.safetensors").code == 0
    stopped, whole = load_file(tmp_path / "stopped.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


def test_a_training_interrupted_inside_a_step_keeps_its_last_checkpoint(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.encoders.training.trainer import Trainer

    average = Trainer.update_average

    def interrupted(trainer: Trainer) -> None:
        if trainer.step_index == 3:
            raise KeyboardInterrupt
        average(trainer)

    words = ("train", small_session_folder, *SMALL_TRAINING, "--save-every", 0)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update_average", interrupted)
        assert vidrecon(*words, "--out", tmp_path / "stopped.safetensors").code == 130
    assert vidrecon(*words, "--out", tmp_path / "stopped.safetensors").code == 0
    assert vidrecon(*words, "--out", tmp_path / "whole.safetensors").code == 0
    stopped, whole = load_file(tmp_path / "stopped.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupt_between_the_moves_of_a_folder_brings_the_old_one_back(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run.zarr"
    folder.mkdir()
    (folder / "old").touch()
    move = Path.replace
    moves = []

    def interrupted(path: Path, target: Path) -> Path:
        moves.append(path)
        if len(moves) == at:
            raise KeyboardInterrupt
        return move(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder) as draft:
        (draft / "new").touch()
    assert [file.name for file in folder.iterdir()] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["run.zarr"]


def test_nobody_reading_the_answer_is_no_error(start_process, small_session_folder: Path) -> None:
    process = start_process("info", small_session_folder)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(timeout=LONG_ENOUGH_SECONDS)
    assert err == ""
