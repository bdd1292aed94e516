"""What the board costs the window: a live update of all layers, and one frame of scrubbing.

    python benchmarks/viewer_board.py                        # prints a table
    python benchmarks/viewer_board.py --json board.json      # and writes the numbers
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/viewer_board.py   # without a display

Times are processor time of the window's own thread, which is what a person feels as lag; the medians over many
repeats. The rows "one bare movie" are a viewer with nothing but one image layer: what napari itself costs here,
and how busy the machine is. A live update refreshes three layers, so three such refreshes are the least it can
cost. Data are made up; no encoder takes part.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.reconstructor import StepInfo
from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.layers import redraw
from napari_vidrecon.viewer.model import ReconstructionModel, RunState

FRAMES, ROWS, COLUMNS = 300, 36, 64
POPULATIONS = (1000, 8000)
WINDOW = (1600, 1000)
REPEATS = 40
WARM_UP = 5
FRAMES_APART = 7
LIVE_BUDGET_MS, SCRUB_BUDGET_MS = 5.0, 25.0
MILLISECONDS = 1000.0
TURNS = 5
"""Turns of the event loop after a change, so that its painting is counted."""


def made_up_model(neurons: int) -> ReconstructionModel:
    """A model with a clip of noise on the board."""
    random = np.random.default_rng(1)
    trial = Trial(
        id=1,
        tier="train",
        video=random.uniform(0, 255, (FRAMES, ROWS, COLUMNS)).astype(np.float32),
        behavior=np.ones((2, FRAMES), np.float32),
        pupil_center=np.ones((2, FRAMES), np.float32),
        recorded_responses=random.gamma(0.5, 2.0, (neurons, FRAMES)).astype(np.float32),
        simulated=True,
    )
    session = SimpleNamespace(
        n_neurons=neurons, name="made up", path=Path("made-up"), screen=ScreenGeometry(), coordinates=None
    )
    session.trial = lambda _: trial
    model = ReconstructionModel()
    model.set_session(session)  # type: ignore[arg-type]
    return model


def made_up_snapshots(model: ReconstructionModel, count: int) -> list[Snapshot]:
    """What a run would publish; half of the neurons are not in the loss."""
    assert model.trial is not None
    random = np.random.default_rng(2)
    snapshots = []
    for step in range(count):
        activity = random.gamma(0.5, 2.0, model.trial.responses.shape).astype(np.float32)
        activity[::2] = np.nan
        video = random.uniform(0, 255, model.trial.video.shape).astype(np.float32)
        info = StepInfo(step + 1, count, 1.0, 0.1)
        snapshots.append(Snapshot(info, video, History(), 10.0, 1.0, activity))
    return snapshots


def measured(action: Callable[[int], None], settle: bool) -> dict[str, float]:
    """Median time of an action; with `settle`, of the painting it leads to as well."""
    application = QApplication.instance()
    processor, wall = [], []
    for repeat in range(WARM_UP + REPEATS):
        began, clock = time.thread_time(), time.perf_counter()
        action(repeat)
        if settle:
            for _ in range(TURNS):
                application.processEvents()
        processor.append(time.thread_time() - began)
        wall.append(time.perf_counter() - clock)
        application.processEvents()
    return {
        "thread_ms": MILLISECONDS * statistics.median(processor[WARM_UP:]),
        "thread_ms_best_tenth": MILLISECONDS * sorted(processor[WARM_UP:])[REPEATS // 10],
        "wall_ms": MILLISECONDS * statistics.median(wall[WARM_UP:]),
    }


def scrub(viewer: napari.Viewer) -> Callable[[int], None]:
    """Move the slider."""
    return lambda repeat: viewer.dims.set_current_step(0, repeat * FRAMES_APART % FRAMES)


def open_viewer() -> napari.Viewer:
    """A shown window of the usual size."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    QApplication.instance().processEvents()
    return viewer


def bare() -> dict[str, dict[str, float]]:
    """Napari with one movie."""
    viewer = open_viewer()
    layer = viewer.add_image(np.random.default_rng(0).uniform(0, 255, (FRAMES, ROWS, COLUMNS)).astype(np.float32))
    result = {
        "one refresh": measured(lambda _: redraw(layer), settle=False),
        "scrub": measured(scrub(viewer), settle=True),
    }
    viewer.close()
    return result


def board(neurons: int) -> dict[str, dict[str, float]]:
    """The board with a population of that size."""
    viewer, model = open_viewer(), made_up_model(neurons)
    board = Board(viewer, model)
    began = time.thread_time()
    model.set_trial(1)
    first = time.thread_time() - began
    began = time.thread_time()
    model.set_trial(1)
    build = {"thread_ms": MILLISECONDS * (time.thread_time() - began), "first_ms": MILLISECONDS * first}
    snapshots = made_up_snapshots(model, 4)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshots[0])

    def update(repeat: int) -> None:
        model.take_snapshot(snapshots[repeat % len(snapshots)])

    result = {
        "live update": measured(update, settle=False),
        "live update, painted": measured(update, settle=True),
        "scrub": measured(scrub(viewer), settle=True),
        "build": build,
    }
    board.close()
    viewer.close()
    return result


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    arguments = parser.parse_args()
    results = {"one bare movie": bare(), **{f"board, {neurons} neurons": board(neurons) for neurons in POPULATIONS}}
    print(f"\n{'':24}{'':24}{'thread ms':>10}{'best 10 %':>10}{'wall ms':>10}{'budget':>10}")
    budgets = {"live update": LIVE_BUDGET_MS, "scrub": SCRUB_BUDGET_MS}
    for what, rows in results.items():
        for row, numbers in rows.items():
            cells = [numbers.get(name) for name in ("thread_ms", "thread_ms_best_tenth", "wall_ms")]
            budget = budgets.get(row) if what.startswith("board") else None
            written = "".join(f"{'' if cell is None else format(cell, '.1f'):>10}" for cell in [*cells, budget])
            print(f"{what:24}{row:24}{written}")
    if arguments.json is not None:
        about = {"napari": napari.__version__, "machine": platform.platform(), "window": WINDOW, "frames": FRAMES}
        arguments.json.write_text(json.dumps({"about": about, "results": results}, indent=1))


if __name__ == "__main__":
    main()
