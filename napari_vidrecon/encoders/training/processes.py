"""Several processes at one training: each takes its part of every batch, and all take the same step.

Source: data parallel training as of Li et al. 2020 (PyTorch Distributed); batch norm sees each part by itself.
"""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psutil
import torch
import torch.distributed as dist

from napari_vidrecon.errors import ConfigError, EncoderError, one_line

if TYPE_CHECKING:
    from torch import nn

    from napari_vidrecon.encoders.training.batches import MixedBatch

PATIENCE = datetime.timedelta(minutes=30)
"""The first process scores the encoder alone, and the others wait that long for it."""
LAUNCHER = "VIDRECON_LAUNCHER"
"""Names the process that started the others, by its number."""
LONGEST_REASON = 200
PAUSE_S, GRACE_S = 0.1, 10.0
"""Between two looks at the processes, and between the end of the first and that of the last."""
SET_BY_LAUNCHERS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """Which process of a training this is.

    Parameters
    ----------
    rank
        0 for the first, which alone writes files.
    count
        In all.
    local_rank
        On this machine, which says which GPU is its own.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def of_environment(cls) -> Self:
        """As `vidrecon train --processes`, `torchrun` or a cluster's launcher set it; alone without one.

        Returns
        -------
        Self
            Not joined yet.

        Raises
        ------
        ConfigError
            It is set in part, or to what is no number.
        """
        given = {name: os.environ.get(name, "") for name in SET_BY_LAUNCHERS}
        if not given["WORLD_SIZE"] or given["WORLD_SIZE"] == "1":
            return cls()
        missing = [name for name, value in given.items() if not value]
        try:
            rank, count = int(given["RANK"] or 0), int(given["WORLD_SIZE"])
            local = int(os.environ.get("LOCAL_RANK", rank))
        except ValueError:
            missing, rank, count, local = ["whole numbers"], 0, 1, 0
        if missing or not 0 <= rank < count:
            raise ConfigError(
                f"training in several processes: expected {', '.join(SET_BY_LAUNCHERS)} as a launcher sets "
                f"them, found WORLD_SIZE {given['WORLD_SIZE']!r} and RANK {given['RANK']!r}; start with --processes "
                "or with torchrun"
            )
        return cls(rank, count, local)

    @property
    def abandoned(self) -> bool:
        """Whether the command that started the processes is gone, killed perhaps: they are to end, too."""
        launcher = os.environ.get(LAUNCHER, "")
        return self.count > 1 and launcher.isdecimal() and not psutil.pid_exists(int(launcher))

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and tells."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The GPU of this process, where any CUDA device was asked for."""
        if self.count == 1 or device.type != "cuda" or device.index is not None:
            return device
        return torch.device("cuda", self.local_rank % max(torch.cuda.device_count(), 1))

    def join(self, device: torch.device) -> None:
        """Meet the other processes, once.

        Raises
        ------
        EncoderError
            They do not come.
        """
        if self.count == 1 or dist.is_initialized():
            return
        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise EncoderError(
                f"training in several processes: expected {self.count} of them at {place}, found none "
                f"({one_line(error, LONGEST_REASON)})"
            ) from error

    def part_of(self, batch: MixedBatch) -> tuple[MixedBatch, float]:
        """Take the windows of this process from a batch.

        Parameters
        ----------
        batch
            Drawn alike by all processes.

        Returns
        -------
        tuple[MixedBatch, float]
            Its windows, and what share of all they are.

        Raises
        ------
        EncoderError
            There are fewer windows than processes.
        """
        if self.count == 1:
            return batch, 1.0
        parts = list(batch.cut(self.count))
        if len(parts) < self.count:
            raise EncoderError(
                f"training in {self.count} processes: expected a batch of as many windows at least, found "
                f"{len(batch.inputs)}; raise batch_size, or take fewer processes"
            )
        return parts[self.rank], len(parts[self.rank].inputs) / len(batch.inputs)

    @torch.no_grad()
    def add_up(self, module: nn.Module) -> None:
        """Sum the gradients of all processes, each of which has weighed its own; statistics become their mean."""
        if self.count == 1:
            return
        weights = [each for each in module.parameters() if each.requires_grad]
        # A readout whose mouse none has seen keeps no gradient at all: its weights stay as they are.
        used = torch.tensor([float(each.grad is not None) for each in weights], device=weights[0].device)
        _all_reduce(used, dist.ReduceOp.MAX)
        learning = [each for each, is_used in zip(weights, used.tolist(), strict=True) if is_used]
        for each in learning:
            if each.grad is None:
                each.grad = torch.zeros_like(each)
        _over_all([each.grad for each in learning if each.grad is not None], 1.0)
        _over_all([each for each in module.buffers() if each.is_floating_point()], 1.0 / self.count)

    def sum(self, value: float, device: torch.device) -> float:
        """The sum of one number over all processes."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
        _all_reduce(told)
        return float(told)

    def any(self, answer: bool, device: torch.device) -> bool:
        """Whether any process says yes; all have to ask."""
        return self.sum(float(answer), device) > 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            with _reached():
                dist.barrier()


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EncoderError(
            "training in several processes: expected all of them to go on, found one gone "
            f"({one_line(error, LONGEST_REASON)}); the same command goes on from the last checkpoint"
        ) from error


def _all_reduce(tensor: torch.Tensor, how: Any = dist.ReduceOp.SUM) -> None:
    with _reached():
        dist.all_reduce(tensor, how)


def _over_all(tensors: list[torch.Tensor], factor: float) -> None:
    """Sum tensors over all processes, in place, in one message."""
    if not tensors:
        return
    together = torch.cat([each.reshape(-1).to(torch.float32) for each in tensors])
    _all_reduce(together)
    together *= factor
    for each, summed in zip(tensors, together.split([each.numel() for each in tensors]), strict=True):
        each.copy_(summed.view_as(each))


def start_together(command: Sequence[str], count: int) -> tuple[int, str]:
    """Start a command several times, as processes that share its trainings; the first tells what there is to tell.

    Parameters
    ----------
    command
        Program and words.
    count
        Processes.

    Returns
    -------
    tuple[int, str]
        Exit code of the command, and what to say where a process failed that could not say it itself; else "".
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = str(max((os.cpu_count() or 1) // count, 1))
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common[LAUNCHER] = str(os.getpid())
    with ExitStack() as stack:
        said = [None, *(stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count))]
        running = [
            subprocess.Popen(
                command,
                env={"OMP_NUM_THREADS": cores, **os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=None if rank == 0 else subprocess.DEVNULL,
                stderr=said[rank],
                # Ctrl-C is handed on once, instead of reaching every process of the terminal.
                start_new_session=True,
            )
            for rank in range(count)
        ]

        def hand_on(number: int, _frame: object) -> None:
            for each in running:
                with suppress(ProcessLookupError):
                    each.send_signal(number)

        before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while all(each.poll() is None for each in running):
                time.sleep(PAUSE_S)
            _wait_for_all(running)
        finally:
            for each in running:
                if each.poll() is None:
                    each.kill()
            for number, handler in before.items():
                signal.signal(number, handler)
        codes = [each.wait() for each in running]
        if codes[0] < 0 or (not codes[0] and any(codes)):
            return 1, _told_of(codes, said)
        return codes[0], ""


def _wait_for_all(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Once one has ended all do, in order or because they miss it; one that waits for it in vain is ended."""
    last = time.monotonic() + GRACE_S
    while any(each.poll() is None for each in running) and time.monotonic() < last:
        time.sleep(PAUSE_S)
    for each in running:
        if each.poll() is None:
            each.terminate()


def _told_of(codes: Sequence[int], said: Sequence[Any]) -> str:
    """One line about the process that failed, with the last that it said."""
    rank = next(rank for rank, code in enumerate(codes) if code)
    words = ""
    if said[rank] is not None:
        said[rank].seek(0)
        words = said[rank].read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    ended = f"killed by signal {-codes[rank]}" if codes[rank] < 0 else f"exit code {codes[rank]}"
    kept = "the same command goes on from the last checkpoint"
    return f"process {rank + 1} of {len(codes)} ended ({ended}); {kept}. {words}".rstrip()
