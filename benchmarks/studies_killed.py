"""Kill a study in the middle: its command, a worker, the scheduler. Does it end with the same tables, nothing twice?

    python benchmarks/studies_killed.py [--workers 2] [--trials 0]

The ablation study of the simulated mouse is run once undisturbed. Then it is run again and something is killed
(`kill -9`) after a few runs: the command itself; one of its workers; the scheduler of a cluster started with
`dask scheduler` and `dask worker`. The same command is started again where it ended. Its tables must be those of the
undisturbed study to the last byte, and no run that was finished before may have been written again. Prints one line
a case, and a summary as JSON; exit code 1 if a case fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from napari_vidrecon.sessions.sample import find_sample
from napari_vidrecon.studies.runs.run_spec import RUNS_FOLDER, is_finished

STUDY = "ablation"
ENCODERS = 1
KILLED_AFTER_RUNS = 2
LONGEST_SECONDS = 600.0
ENDING_SECONDS = 30.0


@dataclass(frozen=True)
class Case:
    """One killing: what was seen.

    Parameters
    ----------
    killed : what.
    finished_before, runs : runs finished when it was killed, and in all.
    computed_after : runs that the command computed when it was started again; None where it never ended.
    same_tables, none_twice : what must hold.
    ended_cleanly : no worker was left running; a command without its scheduler ended with one line and code 2.
    seconds : of all.
    """

    killed: str
    finished_before: int
    runs: int
    computed_after: int | None
    same_tables: bool
    none_twice: bool
    ended_cleanly: bool
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the study survived."""
        again = self.computed_after in (None, self.runs - self.finished_before)
        return self.same_tables and self.none_twice and self.ended_cleanly and again


def words_of(mice: Path, out: Path, workers: int, *more: str) -> list[str]:
    """The study as a command."""
    words = ["study", STUDY, "--mice", mice, "--out", out, "--workers", workers, "--device", "cpu", "--json", *more]
    return [sys.executable, "-m", "napari_vidrecon.cli", *map(str, words)]


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start it in the background."""
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def computed(process: subprocess.Popen[str]) -> int:
    """Wait for its end; runs that it computed."""
    out, errors = process.communicate(timeout=LONGEST_SECONDS)
    if process.returncode:
        raise RuntimeError(f"the study ended with code {process.returncode}: {errors}")
    return int(json.loads(out)["studies"][STUDY]["runs_computed"])


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Finished runs, with what tells whether they were written again."""
    folders = [folder for folder in (out / RUNS_FOLDER).glob("[!.]*.zarr") if is_finished(folder)]
    stats = {folder.name: (folder / "zarr.json").stat() for folder in folders}
    return {name: (each.st_ino, each.st_mtime_ns) for name, each in stats.items()}


def tables(out: Path) -> dict[str, bytes]:
    """Content of every table."""
    return {file.name: file.read_bytes() for file in sorted((out / STUDY / "tables").glob("*.csv"))}


def wait_for(enough: Callable[[], bool], seconds: float = LONGEST_SECONDS) -> bool:
    """Wait until something holds; whether it did in time."""
    until = time.monotonic() + seconds
    while not enough():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def wait_for_runs(out: Path, process: subprocess.Popen[str]) -> dict[str, tuple[int, int]]:
    """Wait until some runs are finished."""
    wait_for(lambda: len(finished(out)) >= KILLED_AFTER_RUNS or process.poll() is not None)
    if process.poll() is not None:
        raise RuntimeError(f"the study ended before anything was killed: {process.communicate()[1]}")
    return finished(out)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Worker processes of a command."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them end soon."""
    return wait_for(
        lambda: not any(each.is_running() and each.status() != "zombie" for each in processes), ENDING_SECONDS
    )


def kill_command(mice: Path, out: Path, workers: int) -> tuple[dict, int | None, bool]:
    """Kill the command; its workers end with it; start it again."""
    process = start(words_of(mice, out, workers))
    wait_for_runs(out, process)
    left = workers_of(process)
    process.kill()
    process.wait()
    ended = gone(left)
    before = finished(out)
    return before, computed(start(words_of(mice, out, workers))), ended


def kill_worker(mice: Path, out: Path, workers: int) -> tuple[dict, int | None, bool]:
    """Kill one worker; the command goes on by itself."""
    process = start(words_of(mice, out, workers))
    before = wait_for_runs(out, process)
    all_workers = workers_of(process)
    all_workers[0].kill()
    computed(process)
    return before, None, gone(all_workers)


def kill_scheduler(mice: Path, out: Path, workers: int) -> tuple[dict, int | None, bool]:
    """Kill the scheduler of a cluster elsewhere; the command ends with one line; start everything again."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), workers)
        process = start(words_of(mice, out, workers, "--scheduler", cluster.address))
        wait_for_runs(out, process)
        cluster.processes[0].kill()
        _, errors = process.communicate(timeout=LONGEST_SECONDS)
        told = [line for line in errors.splitlines() if line.startswith("vidrecon:")]
        one_line = process.returncode == 2 and len(told) == 1 and "Traceback" not in errors
        cluster.end()
        before = finished(out)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), workers)
        again = computed(start(words_of(mice, out, workers, "--scheduler", cluster.address)))
        cluster.end()
    return before, again, one_line


class Cluster:
    """`dask scheduler` and `dask worker` processes on this machine."""

    def __init__(self, folder: Path, workers: int) -> None:
        file = folder / "scheduler.json"
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file)
        worker = ("worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard", "--local-directory", folder)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        commands = [[sys.executable, "-m", "dask", *map(str, words)] for words in (scheduler, *[worker] * workers)]
        self.processes = [subprocess.Popen(words, **quiet) for words in commands]
        wait_for(lambda: file.is_file() and file.stat().st_size > 0)
        self.address = str(json.loads(file.read_text())["address"])

    def end(self) -> None:
        """End all that is left, with the workers' own children."""
        children = [psutil.Process(each.pid).children(recursive=True) for each in self.processes if each.poll() is None]
        for process in [*self.processes, *(child for few in children for child in few)]:
            process.kill()
        for process in self.processes:
            process.wait()


def main() -> int:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, nargs="+", default=[0])
    parser.add_argument("--only", choices=["command", "worker", "scheduler"], nargs="+")
    options = parser.parse_args()
    killings = {"command": kill_command, "worker": kill_worker, "scheduler": kill_scheduler}
    sample = find_sample()
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        mice, undisturbed = Path(folder) / "mice.json", Path(folder) / "undisturbed"
        encoders = [str(file) for file in sample.encoders[:ENCODERS]]
        entry = {
            "session": str(sample.session),
            "encoders": encoders,
            "mask": str(sample.mask),
            "trials": options.trials,
        }
        mice.write_text(json.dumps([entry]))
        runs = computed(start(words_of(mice, undisturbed, options.workers)))
        expected = tables(undisturbed)
        for name in options.only or killings:
            began, out = time.monotonic(), Path(folder) / name
            before, again, ended = killings[name](mice, out, options.workers)
            after = finished(out)
            case = Case(
                killed=name,
                finished_before=len(before),
                runs=runs,
                computed_after=again,
                same_tables=tables(out) == expected and len(after) == runs,
                none_twice=before.items() <= after.items(),
                ended_cleanly=ended,
                seconds=round(time.monotonic() - began, 1),
            )
            cases.append(case)
            print(
                f"{name} killed after {len(before)} of {runs} runs: {'survived' if case.holds else 'FAILED'}",
                flush=True,
            )
    print(json.dumps({"study": STUDY, "cases": [{**asdict(case), "holds": case.holds} for case in cases]}, indent=1))
    return 0 if all(case.holds for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
