"""Several processes at one training: each batch is shared out, gradients are summed, one writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_vidrecon.encoders.training import processes as together
from napari_vidrecon.encoders.training.batches import MixedBatch
from napari_vidrecon.encoders.training.processes import LAUNCHER, Processes
from napari_vidrecon.errors import ConfigError, EncoderError


def batch_of(windows: int) -> MixedBatch:
    """Windows of two mice, in turn two of the first and one of the second."""
    inputs = torch.arange(windows, dtype=torch.float32).view(-1, 1, 1, 1, 1)
    second = torch.arange(windows) % 3 == 2
    rows = {0: (~second).nonzero()[:, 0], 1: second.nonzero()[:, 0]}
    targets = {mouse: inputs[mine].view(-1, 1, 1) for mouse, mine in rows.items()}
    return MixedBatch(inputs, rows, targets)


@pytest.mark.parametrize("count", [2, 3])
def test_every_window_goes_to_one_process_and_the_shares_add_up(count: int) -> None:
    batch = batch_of(9)
    parts = [Processes(rank, count).part_of(batch) for rank in range(count)]
    assert sum(share for _, share in parts) == pytest.approx(1.0)
    seen = sorted(float(each) for part, _ in parts for each in part.inputs.flatten())
    assert seen == list(range(9))
    for part, _ in parts:
        for mouse, rows in part.rows.items():
            assert torch.equal(part.inputs[rows].flatten(), part.targets[mouse].flatten())


def test_one_process_takes_the_batch_as_it_is() -> None:
    batch = batch_of(3)
    assert Processes().part_of(batch) == (batch, 1.0)


def test_fewer_windows_than_processes_are_refused() -> None:
    with pytest.raises(EncoderError, match="in 5 processes: expected a batch of as many windows at least, found 3"):
        Processes(0, 5).part_of(batch_of(3))


def test_the_launchers_words_say_which_process_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in together.SET_BY_LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    assert Processes.of_environment() == Processes()
    for name, value in zip(together.SET_BY_LAUNCHERS, ("1", "2", "127.0.0.1", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert Processes.of_environment() == Processes(1, 2, 0)
    assert not Processes.of_environment().is_first
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ConfigError, match="found WORLD_SIZE '2' and RANK '2'; start with --processes"):
        Processes.of_environment()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ConfigError, match="RANK 'first'"):
        Processes.of_environment()


def test_gradients_are_summed_and_a_readout_that_none_used_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.ModuleDict({name: torch.nn.Linear(2, 1, bias=False) for name in ("mine", "theirs", "nobodys")})
    module["mine"].weight.grad = torch.ones(1, 2)
    messages = []

    def all_reduce(tensor: torch.Tensor, how: object = None) -> None:
        # The other process used the readout "theirs" alone, with a gradient of 3.
        other = torch.tensor([0.0, 1.0, 0.0]) if not messages else torch.tensor([0.0, 0.0, 3.0, 3.0])
        tensor.copy_(torch.maximum(tensor, other) if not messages else tensor + other)
        messages.append(tensor.numel())

    monkeypatch.setattr(together, "_all_reduce", all_reduce)
    Processes(0, 2).add_up(module)
    assert messages == [3, 4]
    assert module["mine"].weight.grad.tolist() == [[1.0, 1.0]]
    assert module["theirs"].weight.grad.tolist() == [[3.0, 3.0]]
    assert module["nobodys"].weight.grad is None


def test_processes_whose_command_is_gone_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAUNCHER, str(os.getpid()))
    assert not Processes(1, 2).abandoned
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(LAUNCHER, str(gone.pid))
    assert Processes(1, 2).abandoned
    assert not Processes().abandoned


@pytest.mark.long
def test_two_processes_train_as_one_does(small_session_folder: Path, tmp_path: Path) -> None:
    words = ["train", small_session_folder, "--steps", 12, "--device", "cpu", "--recipe", "features=8"]
    words += ["--recipe", "temporal_kernels=5", "--recipe", "batch_size=16", "--recipe", "cutmix_probability=0"]
    for count in (1, 2):
        out = tmp_path / f"{count}.safetensors"
        command = [sys.executable, "-m", "napari_vidrecon.cli", *words, "--out", out, "--processes", count]
        ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=200)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("validation correlation") == 1
    one, two = (load_file(tmp_path / f"{count}.safetensors") for count in (1, 2))
    assert one.keys() == two.keys()
    losses = [np.genfromtxt(tmp_path / f"{n}.curve.csv", delimiter=",", names=True)["loss"] for n in (1, 2)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05, atol=0.02)
    assert not list(tmp_path.glob("*.training.safetensors"))
