"""Does the window stay quick while it reconstructs, and does it cost the reconstruction anything?

    python benchmarks/viewer_responsiveness.py                          # prints a table
    python benchmarks/viewer_responsiveness.py --json window.json       # and writes the numbers
    python benchmarks/viewer_responsiveness.py --open mouse encoder.safetensors mask.npy   # instead of the sample
    python benchmarks/viewer_responsiveness.py --cycles 200             # also starts and stops so often
    python benchmarks/viewer_responsiveness.py --turns 0 --docks 50     # opens and closes docks and sessions so often
    python benchmarks/viewer_responsiveness.py --turns 0 --studies 50   # opens, runs and closes a study so often
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/viewer_responsiveness.py     # without a display

The sample, or what is given, is opened in a real window. Lateness is how much too late a 10 ms timer of the event
loop fires: what a person feels as lag. The cost of the live view is the time of all steps of a run with the window
beside the time of the same run without one, in the middle of several such pairs: machines are rarely quiet. Of a pair
now the one, now the other comes first. Noise touches least the processor's time that the window's thread and Mesa's
threads take.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

PROBE_SECONDS = 0.010
WARM_UP_STEPS = 3
FIRST_DOCKS, DOCK_SECONDS = 10, 0.2
CYCLED_STUDY, STUDY_SECONDS = "ethogram", 1800.0
"""It needs the fewest runs; they are made once, and measured and drawn each time."""
WARM_UP_CYCLES = 12
"""Threads of the encoder and their workspaces are made in the first runs and kept: that is no growth."""
LEAST = {"pictures of the reconstruction a second": 10.0}
BUDGETS = {
    "sample open, s": 4.0,
    "first picture after Start, s": 0.5,
    "first step on the board after Start, s": 3.0,
    "lateness p99 while reconstructing, ms": 100.0,
    "cost of the live view, %": 5.0,
    "cost of the live view with what lies between steps, %": 5.0,
    "memory grown over the cycles, MB": 50.0,
    "memory grown over docks and sessions, MB": 50.0,
    "memory grown over studies, MB": 50.0,
}


POLL_MS, RARE_POLL_MS = 5, 100


def wait(condition: Callable[[], bool], seconds: float = 300.0, poll_ms: int = POLL_MS) -> float:
    """Let the event loop run until something is so; returns how long it took.

    Parameters
    ----------
    poll_ms : how often it is asked; each time takes Python from the run for a moment, as no napari does.
    """
    from qtpy.QtTest import QTest

    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            raise TimeoutError("the window did not get there in time")
        QTest.qWait(poll_ms)
    return time.perf_counter() - began


class LatenessProbe:
    """Notes how late a fast timer of the event loop fires."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.late_ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def __enter__(self) -> LatenessProbe:
        self._last = time.perf_counter()
        self._timer.start(round(1000 * PROBE_SECONDS))
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(1000 * max(now - self._last - PROBE_SECONDS, 0.0))
        self._last = now

    def percentile(self, percent: float) -> float:
        """Lateness in ms that so many per cent of the ticks stayed below."""
        return float(np.percentile(self.late_ms, percent)) if self.late_ms else float("nan")


def measure(steps: int, turns: int, cycles: int, docks: int, studies: int, opened: list[Path]) -> dict[str, float]:
    """Open the sample, or what is given, in a window and measure everything."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_vidrecon.viewer.contributions.commands import show_board
    from napari_vidrecon.viewer.opening import open_path
    from napari_vidrecon.viewer.registry import workspace_of

    measured: dict[str, float] = {}
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    widget = show_board(viewer)
    QApplication.processEvents()
    model, controller = widget.model, widget.controller
    model.set_settings(device="cpu", config=model.config.changed(steps=steps))

    began = time.perf_counter()
    if opened:
        for path in opened:
            open_path(model, path)
    else:
        widget.open_sample()
    QApplication.processEvents()
    measured["sample open, s"] = time.perf_counter() - began
    measured["activity predicted after, s"] = wait(lambda: model.stimulus_prediction is not None)

    began = time.perf_counter()
    controller.start()
    live = workspace_of(viewer).live_picture
    wait(lambda: live.pictures > 0 or model.snapshot is not None)
    measured["first picture after Start, s"] = time.perf_counter() - began
    wait(lambda: model.snapshot is not None and model.snapshot.info.step > 1)
    QApplication.processEvents()
    measured["first step on the board after Start, s"] = time.perf_counter() - began

    with LatenessProbe() as probe:
        wait(lambda: not controller.busy)
    measured["lateness p50 while reconstructing, ms"] = probe.percentile(50)
    measured["lateness p99 while reconstructing, ms"] = probe.percentile(99)
    measured["lateness max while reconstructing, ms"] = probe.percentile(100)

    if turns:
        measured |= compare(model, controller, live, turns)
    if cycles:
        measured |= endure(widget, cycles)
    if docks:
        measured |= close_and_open(viewer, widget, docks)
    if studies:
        measured |= open_and_run_studies(viewer, studies, Path(os.environ["VIDRECON_RUNS"]) / "studies")
    viewer.close()
    return measured


def compare(model, controller, live, turns: int) -> dict[str, float]:
    """Mean time of a step, run for run, with the window and without; and of whole runs, with what is between steps."""
    from napari_vidrecon.viewer.model import RunState

    in_window, headless, whole_in_window, whole_headless, boards = [], [], [], [], []
    of_window, of_mesa = [], []
    marks: dict[RunState, float] = {}
    model.snapshot_arrived.connect(boards.append)
    model.state_changed.connect(lambda: marks.update({model.state: time.perf_counter()}))
    drawn_before = live.pictures

    def with_window() -> None:
        controller.start()
        wait(lambda: model.state is RunState.RUNNING)
        began, before, drawing = time.perf_counter(), time.thread_time(), seconds_of_mesa()
        wait(lambda: model.state is not RunState.RUNNING, poll_ms=RARE_POLL_MS)
        seconds = time.perf_counter() - began
        of_window.append(100 * (time.thread_time() - before) / seconds)
        of_mesa.append(100 * (seconds_of_mesa() - drawing) / seconds)
        wait(lambda: not controller.busy, poll_ms=RARE_POLL_MS)
        in_window.append(statistics.mean(steps_of(model.shown.result)))
        whole_in_window.append(marks[RunState.DONE] - marks[RunState.RUNNING])

    def alone() -> None:
        result, seconds = without_window(model)
        headless.append(statistics.mean(steps_of(result)))
        whole_headless.append(seconds)

    for turn in range(turns):
        for run in (with_window, alone) if turn % 2 else (alone, with_window):
            run()
    model.snapshot_arrived.disconnect(boards.append)
    costs = [100 * (mine / other - 1) for mine, other in zip(in_window, headless, strict=True)]
    whole = [100 * (mine / other - 1) for mine, other in zip(whole_in_window, whole_headless, strict=True)]
    seconds = sum(whole_in_window)
    return {
        "step in the window, ms": 1000 * statistics.median(in_window),
        "step without a window, ms": 1000 * statistics.median(headless),
        "cost of the live view, %": statistics.median(costs),
        "cost of the live view, least pair, %": min(costs),
        "cost of the live view, greatest pair, %": max(costs),
        "cost of the live view with what lies between steps, %": statistics.median(whole),
        "processor of the window's thread, % of the time": statistics.median(of_window),
        "processors of Mesa's threads, % of the time": statistics.median(of_mesa),
        "pictures of the board a second": len(boards) / seconds,
        "pictures of the reconstruction a second": (live.pictures - drawn_before) / seconds,
    }


def seconds_of_mesa() -> float:
    """Processor time of the threads that draw where no graphics card does; 0 where the system does not tell."""
    told = [path.read_text() for path in Path("/proc/self/task").glob("*/stat")]
    ticks = [each.rpartition(")")[2].split()[11:13] for each in told if "llvmpipe" in each]
    return sum(sum(map(int, each)) for each in ticks) / os.sysconf("SC_CLK_TCK")


def steps_of(result) -> list[float]:
    """Seconds of every step but the first few."""
    return result.history["seconds"][WARM_UP_STEPS:].tolist()


def without_window(model):
    """The same run in a thread of its own while the window's thread only waits; the result, and how long it took.

    It is kept on the disk, as the window's and the command's are.
    """
    import napari_vidrecon as vr
    from napari_vidrecon.viewer.runs.jobs import Job

    encoders = [vr.load_encoder(path, device="cpu") for path in model.encoder_paths]
    results = []
    options = {"mask_threshold": model.training_threshold, "evaluation_threshold": model.evaluation_threshold}

    def work(_job: Job) -> None:
        run = vr.plan_run(model.trial, encoders, model.mask, model.config, **options)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            result = vr.Runner(run, save_to=Path(folder) / "alone.zarr").drive()
            results.append((result, time.perf_counter() - began))

    # As the window's own: what threads beside it do with memory is another thing.
    Job(work, "alone").start().wait()
    return results[0]


def endure(widget, cycles: int) -> dict[str, float]:
    """Start and stop many times; memory and threads before and after."""
    model, controller = widget.model, widget.controller
    model.set_settings(config=model.config.changed(steps=100_000))

    def cycle() -> None:
        controller.start()
        wait(lambda: model.snapshot is not None)
        controller.stop()
        wait(lambda: not controller.busy)
        for record in list(model.runs):
            widget.runs_panel.delete(record)

    for _ in range(WARM_UP_CYCLES):
        cycle()
    gc.collect()
    process = psutil.Process()
    memory, threads, tasks = process.memory_info().rss, set(threading.enumerate()), names_of_tasks()
    for _ in range(cycles):
        cycle()
    gc.collect()
    left = set(threading.enumerate()) - threads
    for thread in left:
        print("left by the cycles:", thread)
    return {
        "cycles of start and stop": cycles,
        "memory grown over the cycles, MB": (process.memory_info().rss - memory) / 1e6,
        "threads left by the cycles": len(left),
        "native threads left by the cycles": sum((names_of_tasks() - tasks).values()),
    }


def close_and_open(viewer, widget, cycles: int) -> dict[str, float]:
    """Open and close docks and sessions many times; memory after the tenth and at the end."""
    from napari_vidrecon.viewer.studies.studies_widget import Studies
    from napari_vidrecon.viewer.traces import Traces

    process, memory = psutil.Process(), 0.0
    for cycle in range(cycles):
        docks = [
            viewer.window.add_dock_widget(made(viewer), name=f"{made.__name__} {cycle}", area="right")
            for made in (Studies, Traces)
        ]
        wait_s(DOCK_SECONDS)
        for dock in docks:
            viewer.window.remove_dock_widget(dock)
        del docks, dock
        widget.open_sample()
        wait_s(DOCK_SECONDS)
        if cycle + 1 == FIRST_DOCKS:
            gc.collect()
            memory = process.memory_info().rss
    gc.collect()
    return {
        "cycles of docks and sessions": cycles,
        "memory grown over docks and sessions, MB": (process.memory_info().rss - memory) / 1e6,
    }


def open_and_run_studies(viewer, cycles: int, folder: Path) -> dict[str, float]:
    """Open the dock of studies, run one to its end, and close it, many times; memory after the tenth and at the end."""
    from napari_vidrecon.viewer.studies.studies_widget import Studies

    process, memory, written = psutil.Process(), 0.0, 0
    for cycle in range(cycles):
        studies = Studies(viewer)
        dock = viewer.window.add_dock_widget(studies, name=f"Studies {cycle}", area="right")
        studies.form.take_folder(folder)
        studies.choose(CYCLED_STUDY)
        wait_s(DOCK_SECONDS)
        studies.start_button.click()
        controller = studies.controller
        wait(lambda controller=controller: not controller.busy, STUDY_SECONDS)
        written += not controller.fault
        viewer.window.remove_dock_widget(dock)
        del studies, dock, controller
        wait_s(DOCK_SECONDS)
        if (cycle + 1) % FIRST_DOCKS == 0:
            gc.collect()
            print(f"{cycle + 1} studies, {process.memory_info().rss / 1e6:.0f} MB", flush=True)
        if cycle + 1 == FIRST_DOCKS:
            memory = process.memory_info().rss
    gc.collect()
    return {
        "studies run to their end": written,
        "memory grown over studies, MB": (process.memory_info().rss - memory) / 1e6,
    }


def wait_s(seconds: float) -> None:
    """Let the event loop run for a while."""
    end = time.perf_counter() + seconds
    wait(lambda: time.perf_counter() >= end)


def names_of_tasks() -> Counter[str]:
    """Names of all threads of this process, those of libraries included, where the system tells."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return Counter(names)


def table(measured: dict[str, float]) -> str:
    """What was measured beside what is allowed."""
    lines = [f"{'':56}{'measured':>10}{'budget':>10}"]
    for name, value in measured.items():
        budget = f"< {BUDGETS[name]:g}" if name in BUDGETS else f"> {LEAST[name]:g}" if name in LEAST else ""
        lines.append(f"{name:56}{value:10.2f}{budget:>10}")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=25, help="steps of each run")
    parser.add_argument("--turns", type=int, default=5, help="pairs of runs with and without the window")
    parser.add_argument("--cycles", type=int, default=0, help="starts and stops to endure")
    parser.add_argument("--docks", type=int, default=0, help="times that docks and sessions are opened and closed")
    parser.add_argument("--studies", type=int, default=0, help="times that a study is opened, run and closed")
    parser.add_argument("--open", type=Path, nargs="+", default=[], help="a session, an encoder and a mask")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIDRECON_RUNS"] = os.environ["VIDRECON_STATE"] = folder
        measured = measure(chosen.steps, chosen.turns, chosen.cycles, chosen.docks, chosen.studies, chosen.open)
    import torch

    about = {
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "platform": platform.platform(),
    }
    print(table(measured))
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    if chosen.json:
        chosen.json.write_text(json.dumps({"measured": measured, "budgets": BUDGETS, "machine": about}, indent=1))
    for grown in ("memory grown over docks and sessions, MB", "memory grown over studies, MB"):
        if measured.get(grown, 0.0) > BUDGETS[grown]:
            raise SystemExit(f"{grown}: {measured[grown]:.0f}, expected at most {BUDGETS[grown]:.0f}")


if __name__ == "__main__":
    main()
