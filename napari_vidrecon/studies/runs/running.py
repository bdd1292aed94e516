"""Running the grid of a study on a Dask cluster: here, or wherever a scheduler listens."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_vidrecon.errors import ConfigError, RunError, one_line
from napari_vidrecon.storage.writing import InUseError
from napari_vidrecon.studies.runs.run_spec import RunSpec, is_finished

LOST_WORKERS_ALLOWED = 5
"""How often a run is given to another worker after one was lost, before it counts as failed."""
POLL_SECONDS = 0.2
WORKER_ENVIRONMENT = {
    # One thread a process: several would fight for the cores.
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    # Dask's own setting gives memory back to the system after every tensor, and half of the time goes into that.
    "MALLOC_TRIM_THRESHOLD_": 1 << 30,
    "MALLOC_MMAP_THRESHOLD_": 1 << 30,
    "MALLOC_TOP_PAD_": 1 << 26,
}
CONNECT_SECONDS = 30.0
WAIT_SECONDS = 1.0
SETTLED = ("finished", "error", "cancelled")
"""What a run's future ends as; one whose worker is lost is "lost" for a while, also after it was "finished"."""
LONGEST_REASON = 1000


@dataclass(frozen=True)
class Progress:
    """How far the runs of a study are.

    Parameters
    ----------
    done, total
        Runs finished by this call, and those it had to do.
    label
        The run that finished last, or what is waited for.
    """

    done: int
    total: int
    label: str = ""


def run_all(
    runs: Mapping[Path, RunSpec],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
) -> int:
    """Compute every run that is not finished, in parallel; each result appears whole or not at all.

    Parameters
    ----------
    runs
        Folder of each run, and what to run.
    scheduler
        Address of a Dask scheduler, e.g. "tcp://node1:8786"; default: a cluster of this machine.
    workers
        Processes of the local cluster; default: one a GPU, or one a CPU core.
    device
        "auto", "cpu", "cuda", ...; with auto, local workers share the GPUs out among them.
    on_progress
        Called after every run; an exception it raises stops everything, and finished runs stay.

    Returns
    -------
    int
        Runs that were computed; those already there are not done again.

    Raises
    ------
    ConfigError
        No scheduler answers, or Dask is not installed.
    RunError
        A run failed for good; its own message, after all the others were finished.
    """
    missing = {folder: spec for folder, spec in runs.items() if not is_finished(folder)}
    if not missing:
        return 0
    with ExitStack() as stack:
        client = _client(stack, scheduler, workers, len(missing))
        return _drive(client, missing, device, on_progress)


def _drive(
    client: Any, missing: Mapping[Path, RunSpec], device: str, on_progress: Callable[[Progress], None] | None
) -> int:
    futures = {
        client.submit(
            compute_run, spec, str(folder.absolute()), device, key=f"{folder.stem}-{time.time_ns()}", pure=False
        ): spec
        for folder, spec in missing.items()
    }
    waiting, faults, done = set(futures), [], 0
    try:
        while waiting:
            # Asked once each: the worker of a finished run can go between two questions, and then it is not finished.
            settled = {future: status for future in waiting if (status := future.status) in SETTLED}
            if not settled:
                time.sleep(POLL_SECONDS)
                if on_progress is not None:
                    waits = not done and not _has_workers(client)
                    on_progress(Progress(done, len(futures), "waiting for workers" if waits else ""))
                continue
            waiting -= settled.keys()
            for future, status in settled.items():
                spec = futures[future]
                if status == "finished":
                    done += 1
                else:
                    faults.append(f"{spec.label}: {_reason(future, status)}")
                if on_progress is not None:
                    on_progress(Progress(done, len(futures), spec.label))
    except BaseException:
        client.cancel(list(waiting), force=True)
        raise
    if faults:
        rest = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        kept = "1 run is" if done == 1 else f"{done} runs are"
        raise RunError(f"{faults[0]}{rest}; {kept} finished and will not be done again")
    return done


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.scheduler_info()["workers"])
    except OSError:
        # The scheduler is gone: every run will say so.
        return True


def _reason(future: Any, status: str) -> str:
    if status == "cancelled":
        return "lost, because the scheduler is gone; start the same command again"
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return f"its worker was lost {LOST_WORKERS_ALLOWED + 1} times; see whether it needs more memory"
    return one_line(error, LONGEST_REASON)


def _client(stack: ExitStack, scheduler: str | None, workers: int | None, jobs: int) -> Any:
    try:
        import dask
        from distributed import Client, LocalCluster
        from distributed.comm import get_address_host_port
    except ImportError:
        raise ConfigError("studies: expected Dask, found none; pip install 'napari-vidrecon[studies]'") from None
    if scheduler is not None:
        # Dask logs the traceback of a lost connection; here every run that is lost says so in one line. The client's
        # logger has a level of its own, which its parent's does not change.
        stack.enter_context(_silence("distributed", "distributed.client"))
        try:
            # A client that was given no address at all cannot even be closed cleanly.
            get_address_host_port(scheduler)
            return stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"--scheduler {scheduler}: expected a Dask scheduler there, found none ({one_line(error)})"
            ) from None
    settings = {
        "distributed.scheduler.allowed-failures": LOST_WORKERS_ALLOWED,
        "distributed.scheduler.worker-ttl": None,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
    }
    stack.enter_context(dask.config.set(settings))
    cluster = stack.enter_context(
        LocalCluster(
            n_workers=max(1, min(workers or usual_workers(), jobs)),
            threads_per_worker=1,
            processes=True,
            # Any free port of this machine alone: a fixed one is taken where a second study runs beside this one.
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
            memory_limit=0,
        )
    )
    client = stack.enter_context(Client(cluster, set_as_default=False))
    client.run(_ignore_interrupts)
    return client


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; what it means is for the command to say, not for its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _silence(*names: str) -> Iterator[None]:
    """Of these loggers nothing is heard meanwhile."""
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def usual_workers() -> int:
    """Processes that suit this machine: one a GPU; without one, one a core that this process may use."""
    gpus = gpu_count()
    if gpus:
        return gpus
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed)


def gpu_count() -> int:
    """CUDA devices of this machine."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def compute_run(spec: RunSpec, folder: str, device: str) -> str:
    """Compute one run where Dask put it; what another worker finished meanwhile is left alone.

    Parameters
    ----------
    spec
        The run.
    folder
        Where it goes.
    device
        "auto", "cpu", "cuda", ...

    Returns
    -------
    str
        The folder: results travel through the shared file system, not through the scheduler.
    """
    place = Path(folder)
    if not is_finished(place):
        # Several workers on one machine would fight for its cores otherwise.
        torch.set_num_threads(1)
        # What there is to say of encoders was said; every worker would say it again, in the middle of the progress.
        with _silence("napari_vidrecon.encoders"):
            _compute(spec, place, _device_here(device))
    return folder


def _compute(spec: RunSpec, place: Path, device: str) -> None:
    """What another study is computing at this very moment is waited for, not computed twice."""
    while not is_finished(place):
        try:
            spec.compute(place, device)
        except InUseError:
            time.sleep(WAIT_SECONDS)


def _device_here(device: str) -> str:
    from distributed import get_worker

    gpus = gpu_count() if device == "auto" else 0
    if gpus < 2:
        return device
    name = get_worker().name
    return f"cuda:{name % gpus}" if isinstance(name, int) else device
