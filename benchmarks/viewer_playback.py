"""How smoothly the layout Watch plays and scrubs, beside one bare napari movie of the same size in the same run.

    python benchmarks/viewer_playback.py                                          # prints a table
    xvfb-run -a -s "-screen 0 3840x2160x24" python benchmarks/viewer_playback.py  # without a display
    python benchmarks/viewer_playback.py --sizes 1366x768 --json playback.json

The bare movie is napari with nothing but one image layer, played by the same player: what this machine, its drivers and
whatever else it does allow at that size. A frame counts when all of it was painted, by the canvas or over it. Bare and
board take turns, so that a machine that is busy for a while is so for both. Data are made up; no encoder takes part.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import napari
import numpy as np
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from viewer_board import FRAMES, MILLISECONDS, TURNS, made_up_model, made_up_snapshots
from vispy.app.base import BaseCanvasBackend

from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.main_window import go_to_frame, main_window_of, present_frame
from napari_vidrecon.viewer.model import RunState
from napari_vidrecon.viewer.played_pictures import PlayedPictures
from napari_vidrecon.viewer.playing import Player

SIZES = ("1366x768", "1600x1000", "3840x2160")
NEURONS = 8000
PLAYED_S, SETTLE_MS = 4.0, 800
SCRUBBED, WARM_UP, FRAMES_APART, ROUNDS = 40, 5, 7, 2
PERCENTILE = 99


@dataclass(frozen=True)
class Smoothness:
    """What was measured.

    Parameters
    ----------
    played_hz
        Frames painted a second while playing.
    gap_ms, gap_p99_ms
        Time between two of them: median and 99th percentile.
    scrub_ms, scrub_p99_ms
        From moving the slider to the painted frame.
    """

    played_hz: float
    gap_ms: float
    gap_p99_ms: float
    scrub_ms: float
    scrub_p99_ms: float


class Stage:
    """A window of one size, and what is measured in it.

    Parameters
    ----------
    width, height
        Of the window, pixels.
    fill
        Puts something into the viewer.
    """

    def __init__(self, width: int, height: int, fill: Callable[[napari.Viewer], object]) -> None:
        self.viewer = napari.Viewer()
        self.window = main_window_of(self.viewer)
        self.window.resize(width, height)
        self.window.move(0, 0)
        QTest.qWait(SETTLE_MS)
        self.kept = fill(self.viewer)
        QTest.qWait(SETTLE_MS)
        self.pictures = self.kept if isinstance(self.kept, PlayedPictures) else None
        self.gaps_s: list[float] = []
        self.scrubs_s: list[float] = []
        self.played = 0
        self.played_s = 0.0

    def measure(self) -> None:
        """Play and scrub once more."""
        backend = next(each for each in self.window.findChildren(QWidget) if isinstance(each, BaseCanvasBackend))
        events, painted, last = backend._vispy_canvas.events.draw, [], [-1]

        def on_picture(frame: int) -> None:
            if frame != last[0]:
                last[0] = frame
                painted.append(time.perf_counter())

        def on_draw(_event: object) -> None:
            frame = present_frame(self.viewer)
            if frame != last[0]:
                last[0] = frame
                painted.append(time.perf_counter())

        player = Player(self.viewer)
        pictures = player.pictures = self.pictures
        if pictures is not None:
            pictures.painted.connect(on_picture)
        events.connect(on_draw, position="last")
        began = time.perf_counter()
        player.play()
        QTest.qWait(round(PLAYED_S * MILLISECONDS))
        player.stop()
        self.played_s += time.perf_counter() - began
        events.disconnect(on_draw)
        if pictures is not None:
            pictures.painted.disconnect(on_picture)
        self.played += len(painted)
        self.gaps_s += np.diff(painted).tolist()
        for number in range(WARM_UP + SCRUBBED):
            began = time.perf_counter()
            go_to_frame(self.viewer, number * FRAMES_APART % FRAMES)
            for _ in range(TURNS):
                QApplication.processEvents()
            if number >= WARM_UP:
                self.scrubs_s.append(time.perf_counter() - began)

    def result(self) -> Smoothness:
        """Over all that was measured."""
        gaps, scrubs = (MILLISECONDS * np.array(times) for times in (self.gaps_s, self.scrubs_s))
        return Smoothness(
            self.played / self.played_s,
            float(statistics.median(gaps)),
            float(np.percentile(gaps, PERCENTILE)),
            float(statistics.median(scrubs)),
            float(np.percentile(scrubs, PERCENTILE)),
        )


def bare(viewer: napari.Viewer) -> object:
    """One movie."""
    random = np.random.default_rng(0)
    return viewer.add_image(random.uniform(0, 255, (FRAMES, 36, 64)).astype(np.float32), scale=(1 / 30, 1, 1))


def watched(viewer: napari.Viewer) -> object:
    """The board in the layout Watch, with a run of 8,000 neurons on it."""
    model = made_up_model(NEURONS)
    model.set_view(layout=Layout.WATCH)
    board = Board(viewer, model)
    model.set_trial(1)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(made_up_snapshots(model, 1)[0])
    model.set_state(RunState.PAUSED)
    return PlayedPictures(board, main_window_of(viewer))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="windows, e.g. 1366x768")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    names = ("played /s", "gap", "gap p99", "scrub", "scrub p99")
    print(f"{'':30}" + "".join(f"{name:>11}" for name in names) + "   (ms but the first)")
    for size in arguments.sizes:
        width, height = map(int, size.split("x"))
        stages = {"bare movie": Stage(width, height, bare), "Watch": Stage(width, height, watched)}
        for _ in range(ROUNDS):
            for stage in stages.values():
                stage.window.raise_()
                stage.measure()
        for name, stage in stages.items():
            numbers = asdict(stage.result())
            results[f"{size}, {name}"] = numbers
            print(f"{size + ', ' + name:30}" + "".join(f"{number:11.1f}" for number in numbers.values()), flush=True)
            stage.viewer.close()
    if arguments.json is not None:
        about = {"napari": napari.__version__, "machine": platform.platform(), "neurons": NEURONS, "frames": FRAMES}
        arguments.json.write_text(json.dumps({"about": about, "results": results}, indent=1))


if __name__ == "__main__":
    main()
