"""Runs on Dask: on a cluster elsewhere or here; with command, worker and scheduler killed in the middle."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("distributed")

from napari_vidrecon.cli import main
from napari_vidrecon.errors import RunError
from napari_vidrecon.studies import scale
from napari_vidrecon.studies.conducting import grid
from napari_vidrecon.studies.experiments.ablation import ABLATION
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs import running
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore, is_finished
from napari_vidrecon.studies.runs.running import Progress, run_all
from napari_vidrecon.studies.study import Plan

START_SECONDS = 120.0
ENOUGH = 3
"""Runs after which something is killed."""
COMMAND = (
    "import pickle, sys\n"
    "from napari_vidrecon.studies.runs.running import run_all\n"
    "run_all(**pickle.load(sys.stdin.buffer))"
)
SCHEDULER = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", "s.json")
WORKER = ("worker", "--scheduler-file", "s.json", "--nthreads", "1", "--no-nanny", "--no-dashboard")


@dataclass
class Cluster:
    """A scheduler and two workers as `dask scheduler` and `dask worker` start them, on this machine."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start the scheduler and the workers."""
        for words in (SCHEDULER, WORKER, WORKER):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "dask", *words]
            self.processes.append(subprocess.Popen(command, env=environment, cwd=self.folder, **quiet))

    @property
    def address(self) -> str:
        """Of the scheduler, once it is there."""
        file, until = self.folder / "s.json", time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if file.is_file() and file.stat().st_size:
                return json.loads(file.read_text())["address"]
            time.sleep(0.05)
        raise TimeoutError("no scheduler came up")

    def kill(self, *places: int) -> None:
        """`kill -9` of the scheduler (0) or of workers (1, 2)."""
        for place in places:
            self.processes[place].kill()
            self.processes[place].wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster; tests that kill a part of it come last, and what is left ends with them."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    made.start()
    yield made
    made.kill(0, 1, 2)


@pytest.fixture
def runs(tiny_plan: Plan, tmp_path: Path) -> dict[Path, RunSpec]:
    """The ablation runs of the tiny mouse, in a store of this test's own."""
    return grid([ABLATION], tiny_plan, RunStore(tmp_path))


@pytest.fixture
def one_clip(tiny_mouse: Mouse) -> Mouse:
    """The tiny mouse with one of its clips, and so half as many runs."""
    return replace(tiny_mouse, trials=tiny_mouse.trials[:1])


def finished(runs: dict[Path, RunSpec]) -> dict[Path, tuple[int, int]]:
    """Finished runs with what tells whether they were written again."""
    stats = {folder: (folder / "zarr.json").stat() for folder in runs if is_finished(folder)}
    return {folder: (each.st_ino, each.st_mtime_ns) for folder, each in stats.items()}


def listed(mouse: Mouse, folder: Path) -> Path:
    """A file that lists the mouse, for the command."""
    entry = {
        "session": str(mouse.session),
        "encoders": [str(file) for file in mouse.encoders],
        "mask": str(mouse.mask),
        "name": mouse.name,
        "trials": list(mouse.trials),
    }
    (folder / "mice.json").write_text(json.dumps([entry]))
    return folder / "mice.json"


@pytest.mark.long
def test_a_killed_command_started_again_ends_with_the_same_tables_and_repeats_no_run(
    cluster, one_clip, tiny_scale, outcome_of, tmp_path, monkeypatch, capsys
) -> None:
    plan = Plan((one_clip,), tiny_scale)
    runs = grid([ABLATION], plan, RunStore(tmp_path))
    inputs = pickle.dumps({"runs": runs, "scheduler": cluster.address, "device": "cpu"})
    with subprocess.Popen([sys.executable, "-c", COMMAND], stdin=subprocess.PIPE) as command:
        command.stdin.write(inputs)
        command.stdin.close()
        while len(finished(runs)) < ENOUGH:
            assert command.poll() is None
            time.sleep(0.02)
        command.kill()
    before = finished(runs)
    assert ENOUGH <= len(before) < len(runs)

    monkeypatch.setitem(scale.SCALES, "quick", tiny_scale)
    words = ["study", "ablation", "--mice", listed(one_clip, tmp_path), "--out", tmp_path, "--device", "cpu"]
    assert main([str(word) for word in [*words, "--scheduler", cluster.address, "--json"]]) == 0
    # What the dead command had given out may still have been finished by the workers.
    assert json.loads(capsys.readouterr().out)["studies"]["ablation"]["runs_computed"] <= len(runs) - len(before)
    after = finished(runs)
    assert len(after) == len(runs)
    assert before.items() <= after.items()
    table = pd.read_parquet(tmp_path / "ablation" / "tables" / "ablation.parquet")
    pd.testing.assert_frame_equal(table, outcome_of(ABLATION, plan).tables["ablation"], check_exact=True)

    assert main([str(word) for word in [*words, "--scheduler", cluster.address, "--json"]]) == 0
    assert json.loads(capsys.readouterr().out)["studies"]["ablation"]["runs_computed"] == 0
    assert finished(runs) == after


def test_a_run_at_fault_is_told_after_the_others_were_finished(cluster, tiny_plan, tmp_path) -> None:
    spec = tiny_plan.standard(tiny_plan.clips[0])[0]
    runs = {tmp_path / "bad.zarr": spec.changed(frames=(0, 20)), tmp_path / "good.zarr": spec}
    with pytest.raises(
        RunError, match=r"^tiny, trial 0, encoder 0, frames 0 to 20: .*at least 32.*; 1 run is finished"
    ):
        run_all(runs, scheduler=cluster.address, device="cpu")
    assert is_finished(tmp_path / "good.zarr")
    assert not (tmp_path / "bad.zarr").exists()


def test_stopped_by_a_person_it_keeps_what_is_finished(cluster, runs) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.done >= ENOUGH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(runs, scheduler=cluster.address, device="cpu", on_progress=on_progress)
    assert ENOUGH <= len(finished(runs)) < len(runs)


def test_a_killed_worker_loses_no_run(cluster, runs) -> None:
    runs = dict(list(runs.items())[: 4 * ENOUGH])
    before: dict[Path, tuple[int, int]] = {}
    done: list[int] = []

    def on_progress(progress: Progress) -> None:
        done.append(progress.done)
        if progress.done >= ENOUGH and not before:
            before.update(finished(runs))
            cluster.kill(1)

    assert run_all(runs, scheduler=cluster.address, device="cpu", on_progress=on_progress) == len(runs)
    after = finished(runs)
    assert len(after) == len(runs)
    assert before.items() <= after.items()
    assert done == sorted(done)


class FlickeringFuture:
    """A run whose worker goes away right after it finished: another does it again."""

    def __init__(self) -> None:
        self._statuses = ["pending", "finished", "lost", "pending", "finished"]

    @property
    def status(self) -> str:
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    def done(self) -> bool:
        return self.status == "finished"

    def exception(self) -> None:
        return None


class FlickeringClient:
    """A client of two runs that flicker."""

    def submit(self, *_: object, **__: object) -> FlickeringFuture:
        return FlickeringFuture()

    def scheduler_info(self) -> dict[str, dict[str, str]]:
        return {"workers": {"one": "here"}}


def test_a_run_whose_worker_is_lost_the_moment_it_finished_is_no_fault(runs, monkeypatch) -> None:
    monkeypatch.setattr(running, "_client", lambda *_: FlickeringClient())
    monkeypatch.setattr(running, "POLL_SECONDS", 0.0)
    assert run_all(dict(list(runs.items())[:2]), device="cpu") == 2


def test_a_killed_scheduler_is_one_clear_error_and_finished_runs_stay(cluster, runs) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.done >= ENOUGH:
            cluster.kill(0)

    with pytest.raises(RunError, match=r"the scheduler is gone; start the same command again"):
        run_all(runs, scheduler=cluster.address, device="cpu", on_progress=on_progress)
    assert ENOUGH <= len(finished(runs)) < len(runs)


@pytest.mark.long
def test_without_a_scheduler_workers_are_started_here_and_end_with_the_call(tiny_plan, tmp_path) -> None:
    first, second = tiny_plan.standard(tiny_plan.clips[0])
    runs = {tmp_path / "a.zarr": first, tmp_path / "b.zarr": second}
    first.compute(tmp_path / "a.zarr", "cpu")
    before = finished(runs)
    assert run_all(runs, workers=4, device="cpu") == 1
    assert before.items() <= finished(runs).items()
    assert len(finished(runs)) == 2


def test_there_is_a_worker_a_gpu_or_one_a_core(monkeypatch) -> None:
    monkeypatch.setattr(running, "gpu_count", lambda: 0)
    assert running.usual_workers() == len(os.sched_getaffinity(0))
    monkeypatch.setattr(running, "gpu_count", lambda: 4)
    assert running.usual_workers() == 4
