"""How smoothly the layout Watch plays and scrubs, beside one bare napari movie of the same size in the same run.

    python benchmarks/viewer_playback.py                                          # prints a table
    xvfb-run -a -s "-screen 0 3840x2160x24" python benchmarks/viewer_playback.py  # without a display
    python benchmarks/viewer_playback.py --sizes 1366x768 --json playback.json

The bare movie is napari with nothing but one image layer, played by the same player: what this machine, its drivers and
whatever else it does allow at that size. A frame counts when all of it was painted, by the canvas or over it. Bare and
board take turns, so that a machine that is busy for a while is so for both. Data are made up; no encoder takes part.

Frames are scrubbed one after the other, by a call and by dragging napari's own slider with a mouse. "seen" is from
asking for a frame until it is on the screen; "scrub" and "drag" until the window has done all that follows and takes
the next move of the hand: a picture of the canvas that comes late is counted with the move that it comes after.
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
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollBar, QWidget
from viewer_board import FRAMES, MILLISECONDS, TURNS, made_up_model, made_up_snapshots
from vispy.app.base import BaseCanvasBackend

from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.main_window import go_to_frame, main_window_of, present_frame
from napari_vidrecon.viewer.model import RunState
from napari_vidrecon.viewer.played_pictures import PlayedPictures, Scrubbing
from napari_vidrecon.viewer.playing import Player, Rest

SIZES = ("1366x768", "1600x1000", "3840x2160")
NEURONS = 8000
PLAYED_S, SETTLE_MS = 4.0, 800
SCRUBBED, WARM_UP, FRAMES_APART, ROUNDS = 40, 5, 7, 2
DRAGGED_PX, LONGEST_S = 7, 2.0
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
    scrub_seen_ms, scrub_ms, scrub_p99_ms
        From asking for a frame to its being seen (median), and to the window's being ready for the next one.
    drag_seen_ms, drag_ms, drag_p99_ms
        The same of a move of the mouse that holds the slider.
    """

    played_hz: float
    gap_ms: float
    gap_p99_ms: float
    scrub_seen_ms: float
    scrub_ms: float
    scrub_p99_ms: float
    drag_seen_ms: float
    drag_ms: float
    drag_p99_ms: float


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
        self.scrubbing = self.kept if isinstance(self.kept, Scrubbing) else None
        self.pictures = None if self.scrubbing is None else self.scrubbing.pictures
        self.gaps_s: list[float] = []
        self.scrubs_s: list[tuple[float, float]] = []
        self.drags_s: list[tuple[float, float]] = []
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
        player.scrubbing, pictures = self.scrubbing, self.pictures
        player.pictures = pictures
        if pictures is not None:
            player.rest = Rest(self.window, lambda: False)
            pictures.painted.connect(on_picture)
        events.connect(on_draw, position="last")
        began = time.perf_counter()
        player.play()
        QTest.qWait(round(PLAYED_S * MILLISECONDS))
        player.stop()
        self.played_s += time.perf_counter() - began
        self.played += len(painted)
        self.gaps_s += np.diff(painted).tolist()
        QTest.qWait(SETTLE_MS)
        self.scrubs_s += self._timed(
            lambda number: go_to_frame(self.viewer, number * FRAMES_APART % FRAMES), last, painted
        )
        QTest.qWait(SETTLE_MS)
        self.drags_s += self._dragged(last, painted)
        QTest.qWait(SETTLE_MS)
        events.disconnect(on_draw)
        if pictures is not None:
            pictures.painted.disconnect(on_picture)

    def _dragged(self, last: list[int], painted: list[float]) -> list[tuple[float, float]]:
        slider = next(bar for bar in self.window.centralWidget().findChildren(QScrollBar) if bar.isVisible())
        left, middle = slider.width() // 10, slider.height() // 2
        QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(left, middle))
        times = self._timed(
            lambda number: QTest.mouseMove(slider, QPoint(left + DRAGGED_PX * number, middle)), last, painted
        )
        QTest.mouseRelease(
            slider, Qt.MouseButton.LeftButton, pos=QPoint(left + DRAGGED_PX * (WARM_UP + SCRUBBED - 1), middle)
        )
        return times

    def _timed(self, move: Callable[[int], object], last: list[int], painted: list[float]) -> list[tuple[float, float]]:
        """Seconds until every frame is seen, and until the window is ready for the next one."""
        times = []
        for number in range(WARM_UP + SCRUBBED):
            before, began = present_frame(self.viewer), time.perf_counter()
            move(number)
            seen = painted[-1] if last[0] == present_frame(self.viewer) else None
            for _ in range(TURNS):
                QApplication.processEvents()
            # A move of the mouse is taken at the next turn.
            asked = present_frame(self.viewer)
            while last[0] != asked and time.perf_counter() - began < LONGEST_S:
                QApplication.processEvents()
            ended = time.perf_counter()
            if number >= WARM_UP and asked != before:
                times.append((ended - began if seen is None else seen - began, ended - began))
        return times

    def result(self) -> Smoothness:
        """Over all that was measured."""
        gaps = MILLISECONDS * np.array(self.gaps_s)
        scrubs, drags = (MILLISECONDS * np.array(times).T for times in (self.scrubs_s, self.drags_s))
        return Smoothness(
            self.played / self.played_s,
            float(statistics.median(gaps)),
            float(np.percentile(gaps, PERCENTILE)),
            *(float(each) for each in (*np.median(scrubs, axis=1), np.percentile(scrubs[1], PERCENTILE))),
            *(float(each) for each in (*np.median(drags, axis=1), np.percentile(drags[1], PERCENTILE))),
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
    window = main_window_of(viewer)
    return Scrubbing(board, PlayedPictures(board, window), window)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="windows, e.g. 1366x768")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    names = ("played /s", "gap", "gap p99", "scrub seen", "scrub", "scrub p99", "drag seen", "drag", "drag p99")
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
