"""A monkey on the window: random actions in a real napari, each seed in a process of its own.

    python benchmarks/safety/monkey.py --seeds 10 --cycles 1000

Prints a table and exits with 1 if any seed found a fault: an exception, a crash, memory that grows by more than
30 MB from cycle 100 on, a thread more. Needs a display; `xvfb-run -a` gives it one.

Memory is what the process has for itself. Pages of a program's file that were read (20 to 30 MB of torch's where a
part of it is used for the first time) are not counted: the system drops them whenever it needs the room. Before a
look the window is put back to where it began: layers, docks, other windows, napari's grid, the session opened anew.
Where a look finds 10 MB more than the first it is done again, twice at most, and the least counts: what goes by itself
is no growth.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST_GROWTH_MB = 30.0
WARM_CYCLES = 100
CYCLES_A_LOOK = 50
MORE_MB = 10.0
MOST_RESTS = 3
MEGABYTE = 1e6
PATIENCE_S = 7200
EVENTS_S = 0.02
REST_S = 2.0
MOST_REST_S = 60.0
LATEST_MOVES = 12
POOLS = ("asyncio", "zarr_io")
"""Threads that zarr keeps for reading, as many as it needs at once and at most a few a processor."""


@dataclass
class Outcome:
    """What one seed came to.

    Parameters
    ----------
    seed
        Its number.
    cycles
        Actions done.
    faults
        A text each; empty if all went well.
    memory_mb
        What the process took whenever it was looked at, at rest.
    looked_again
        Looks that were done once more.
    threads
        Names of the threads there were, at those times.
    seconds
        How long it took.
    """

    seed: int
    cycles: int = 0
    faults: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    looked_again: int = 0
    threads: list[list[str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def growth_mb(self) -> float:
        """From the first look on; 0 before the second."""
        return max(self.memory_mb[1:], default=0.0) - self.memory_mb[0] if len(self.memory_mb) > 1 else 0.0

    @property
    def last_growth_mb(self) -> float:
        """From the first look to the last."""
        return self.memory_mb[-1] - self.memory_mb[0] if self.memory_mb else 0.0

    def judge(self) -> None:
        """Add what is wrong with memory and threads to the faults."""
        if self.last_growth_mb > MOST_GROWTH_MB:
            self.faults.append(f"memory grew by {self.last_growth_mb:.0f} MB: {[round(m) for m in self.memory_mb]}")
        if len(self.threads) > 1 and len(self.threads[-1]) > len(self.threads[0]):
            more = sorted(set(self.threads[-1]) - set(self.threads[0]))
            self.faults.append(f"{len(self.threads[-1]) - len(self.threads[0])} more threads: {', '.join(more)}")


class Recorder:
    """Hears of every exception, wherever it ends."""

    def __init__(self, logs: Path) -> None:
        self.faults: list[str] = []
        self._logs = logs
        self._before = sys.excepthook

    def install(self) -> None:
        """Listen to Python, to Qt and to napari."""
        from napari.utils.notifications import NotificationSeverity, notification_manager
        from qtpy.QtCore import QtMsgType, qInstallMessageHandler

        notification_manager.install_hooks()
        sys.excepthook = self._on_error
        threading.excepthook = lambda told: self._on_error(told.exc_type, told.exc_value, told.exc_traceback)

        def on_notification(told: Any) -> None:
            if NotificationSeverity(told.severity) >= NotificationSeverity.ERROR:
                self.faults.append(f"napari error dialog: {told.message}")

        notification_manager.notification_ready.connect(on_notification)

        def on_message(kind: Any, _context: Any, text: str) -> None:
            if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
                self.faults.append(f"Qt: {text}")

        qInstallMessageHandler(on_message)

    def _on_error(self, kind: Any, error: Any, trace: Any) -> None:
        self.faults.append("".join(traceback.format_exception(kind, error, trace)))

    def take(self) -> list[str]:
        """What came since the last call, and what the window itself took for unforeseen."""
        faults, self.faults = self.faults, []
        for log in sorted(self._logs.glob("*.txt")):
            faults.append(log.read_text("utf-8"))
            log.unlink()
        return faults


def watch_nesting(events: Any, recorder: Recorder) -> None:
    """Take it for a fault if a layer comes or goes while napari takes another in, or lets it go.

    Its list then has rows of layers that are not there, and an index that lies past its end.
    """
    going_on: list[str] = []

    def begins(event: Any) -> None:
        if going_on:
            recorder.faults.append(f"{event.type} while {going_on[-1]}\n{''.join(traceback.format_stack())}")
            # What did not end was told; it is not told again.
            going_on.clear()
        going_on.append(event.type)

    def ends() -> None:
        del going_on[-1:]

    for event in (events.inserting, events.removing):
        event.connect(begins, position="first")
    for event in (events.inserted, events.removed):
        event.connect(ends)


def own_mb() -> float:
    """Memory that this process has for itself, after all that can be given back has been."""
    for _ in range(3):
        gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    # In pages: all of it, and what others may share, which is files.
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def play(seed: int, cycles: int, kit: dict[str, Path], folder: Path, tell: Callable[[Outcome], None]) -> Outcome:
    """One seed in this process.

    Parameters
    ----------
    tell
        Called with the outcome so far, after every look and every fault, so that a crash leaves it behind.
    """
    os.environ |= {
        "VIDRECON_RUNS": str(folder / "runs"),
        "VIDRECON_STATE": str(folder / "state"),
        "VIDRECON_LOGS": str(folder / "logs"),
        "NAPARI_CONFIG": str(folder / "napari.yaml"),
    }
    import napari
    from qtpy.QtGui import QDesktopServices
    from qtpy.QtWidgets import QApplication

    from benchmarks.safety.monkey_answers import Answers
    from benchmarks.safety.monkey_moves import Monkey
    from napari_vidrecon.viewer.live_picture import canvas_of
    from napari_vidrecon.viewer.main_window import main_window_of

    recorder = Recorder(folder / "logs")
    viewer = napari.Viewer()
    recorder.install()
    application = QApplication.instance()
    assert application is not None
    QDesktopServices.openUrl = staticmethod(lambda _url: True)  # type: ignore[method-assign]
    # Before anything of ours listens, and after napari's own list does.
    watch_nesting(viewer.layers.events, recorder)
    monkey = Monkey(viewer, kit, folder / "things", seed)
    Answers(monkey, setattr)
    outcome, began = Outcome(seed), time.monotonic()

    def live(seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            application.processEvents()
            if time.monotonic() >= until:
                return
            time.sleep(0.002)

    def mb_at_rest() -> float:
        monkey.settle()
        live(REST_S)
        # A prediction of the session's stimulus, say, which begins by itself.
        until = time.monotonic() + MOST_REST_S
        while monkey.at_work and time.monotonic() < until:
            live(REST_S)
        # What was made is there already when the thread that made it gives memory back.
        until = time.monotonic() + MOST_REST_S
        while any(each.name.startswith("vidrecon") for each in threading.enumerate()) and time.monotonic() < until:
            live(REST_S)
        application.sendPostedEvents(None, 52)  # deferred deletions
        gc.collect()
        # Pictures and programs of layers that are gone go with the next picture of the canvas.
        canvas_of(main_window_of(viewer)).update()
        live(0.2)
        return own_mb()

    def look() -> None:
        found = [mb_at_rest()]
        first = outcome.memory_mb[0] if outcome.memory_mb else found[0]
        while found[-1] > first + MORE_MB and len(found) < MOST_RESTS:
            found.append(mb_at_rest())
        outcome.memory_mb.append(min(found))
        outcome.looked_again += len(found) - 1
        names = sorted(_thread_name(each.name) for each in threading.enumerate())
        outcome.threads.append([name for name in names if not name.startswith(POOLS)])

    monkey.warm_up()
    for cycle in range(1, cycles + 1):
        try:
            (folder / "latest.txt").write_text("\n".join(monkey.done[-LATEST_MOVES:]))
            monkey.move()
        except Exception:  # noqa: BLE001  # a fault of the window that is found by calling it
            recorder.faults.append(traceback.format_exc())
        live(EVENTS_S if cycle % 10 else 10 * EVENTS_S)
        if cycle >= WARM_CYCLES and cycle % CYCLES_A_LOOK == 0:
            look()
            tell(outcome)
        new = recorder.take()
        outcome.cycles, outcome.seconds = cycle, time.monotonic() - began
        if new:
            outcome.faults += [
                f"cycle {cycle}, after {' | '.join(monkey.done[-LATEST_MOVES:])}\n{each}" for each in new
            ]
            tell(outcome)
    viewer.close()
    live(1.0)
    outcome.faults += [f"after closing\n{each}" for each in recorder.take()]
    outcome.judge()
    tell(outcome)
    return outcome


def _thread_name(name: str) -> str:
    return name.rstrip("0123456789-_ ()")


def _child(arguments: argparse.Namespace) -> int:
    faulthandler.enable()
    from benchmarks.safety.kit import make_kit

    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)

    def tell(outcome: Outcome) -> None:
        (folder / "outcome.json").write_text(json.dumps(asdict(outcome)))

    outcome = play(arguments.child, arguments.cycles, make_kit(Path(arguments.kit)), folder, tell)
    sys.stdout.flush()
    # Nothing of the window is asked to end in order: what has to be found was found.
    os._exit(1 if outcome.faults else 0)


def run_seed(seed: int, cycles: int, kit: Path, folder: Path) -> Outcome:
    """One seed in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--child", str(seed), "--cycles", str(cycles)]
    command += ["--kit", str(kit), "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    with (folder / "stderr.txt").open("wb") as stderr:
        try:
            code = subprocess.run(
                command, env=environment, stderr=stderr, stdout=stderr, timeout=PATIENCE_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    file = folder / "outcome.json"
    outcome = Outcome(**json.loads(file.read_text())) if file.exists() else Outcome(seed)
    if code not in (0, 1) or not file.exists():
        how = "it hung" if code is None else f"it crashed with {code}"
        latest = folder / "latest.txt"
        moves = latest.read_text().replace("\n", " | ") if latest.exists() else ""
        told = (folder / "stderr.txt").read_text("utf-8", "replace")
        start = told.find("Fatal Python error")
        outcome.faults.append(f"{how}, after {moves}\n{told[start:][:6000] if start >= 0 else told[-3000:]}")
    return outcome


def main() -> int:
    """Play with all seeds; 1 if any found a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=1000, help="actions a seed")
    parser.add_argument("--async-slicing", action="store_true", help="with napari's own setting of that name")
    parser.add_argument("--folder", help="for inputs and what is left; default: a temporary one")
    parser.add_argument("--kit", help=argparse.SUPPRESS)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        return _child(arguments)
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from benchmarks.safety.kit import make_kit

    # For every seed's process.
    os.environ["NAPARI_ASYNC"] = str(int(arguments.async_slicing))
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="monkey-"))
    make_kit(Path(arguments.kit or folder / "kit"))
    outcomes = []
    columns = f"{'MB at first':>11} {'most more':>9} {'last more':>9} {'again':>5} {'min':>5}"
    print(f"{'seed':>4} {'cycles':>6} {'faults':>6} {columns}")
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        each = run_seed(seed, arguments.cycles, Path(arguments.kit or folder / "kit"), folder / f"seed{seed}")
        outcomes.append(each)
        first = each.memory_mb[0] if each.memory_mb else float("nan")
        grown = f"{first:>11.0f} {each.growth_mb:>9.1f} {each.last_growth_mb:>9.1f}"
        numbers = f"{grown} {each.looked_again:>5} {each.seconds / 60:>5.1f}"
        print(f"{seed:>4} {each.cycles:>6} {len(each.faults):>6} {numbers}", flush=True)
        for fault in each.faults[:5]:
            print("    " + fault.replace("\n", "\n    "), flush=True)
    faults = sum(len(each.faults) for each in outcomes)
    print(f"{sum(each.cycles for each in outcomes)} actions, {faults} faults; what is left lies in {folder}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
