"""A long piece of work: how far it is, told on stderr, and stopping it between two steps."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from napari_vidrecon.cli.report import tell

SECONDS_BETWEEN_LINES = 5.0
SECONDS_A_MINUTE, MINUTES_AN_HOUR = 60, 60


class Progress:
    """How far a long piece of work is.

    Parameters
    ----------
    label
        What is being done.
    total
        Steps in all.
    unit
        What a step is called, in the plural.
    done
        Steps done before, by an earlier process; they do not count for the rate.
    """

    def __init__(self, label: str, total: int, unit: str = "steps", done: int = 0) -> None:
        self.label, self.total, self.unit, self.first = label, total, unit, done
        self._began = self._told = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.first, rate="", note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` steps are done; `note` is shown behind, e.g. "video correlation 0.61"."""
        now = time.monotonic()
        rate = (done - self.first) / max(now - self._began, 1e-9)
        left = duration_text((self.total - done) / rate) + " left" if rate > 0 else ""
        pace = f"{rate:.2g} {self.unit}/s" if rate < 10 else f"{rate:.0f} {self.unit}/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=f"{pace}, {left}", note=note)
        elif now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            parts = [f"{self.label}: {done} of {self.total} {self.unit}", pace, left, note]
            tell(", ".join(part for part in parts if part))


def _bar() -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=30),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )


def duration_text(seconds: float) -> str:
    """A duration for people: "21 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    minutes, rest = divmod(whole, SECONDS_A_MINUTE)
    hours, minutes_left = divmod(minutes, MINUTES_AN_HOUR)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


SIGNAL_EXIT_CODE = 128


class Stopped(Exception):
    """A person, or the machine's scheduler, stopped the command.

    Parameters
    ----------
    message
        What was kept, and how to go on.
    signal_number
        The signal that asked for it.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = SIGNAL_EXIT_CODE + signal_number


class StopRequest:
    """While it is entered, Ctrl-C (SIGTERM, SIGHUP) waits for the next `check`; a second one does not wait.

    Parameters
    ----------
    waiting_for
        What is being finished first, for the message.
    """

    def __init__(self, waiting_for: str = "this step") -> None:
        self.waiting_for = waiting_for
        self.signal_number: int | None = None
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread choose what a signal does.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _waiting_signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # Worker processes inherit this handler and get the same Ctrl-C; their parent decides.
            return
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
        tell(f"vidrecon: finishing {self.waiting_for}; Ctrl-C again stops at once")

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self.signal_number is not None

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if somebody asked to stop; call it where nothing is half done."""
        if self.asked:
            raise KeyboardInterrupt

    def stopped(self, message: str) -> Stopped:
        """The error that ends the command with this message."""
        return Stopped(message, self.signal_number or signal.SIGINT)


def _waiting_signals() -> list[int]:
    """Those that ask to stop; a process that was told to outlive its terminal does (nohup)."""
    hangup = getattr(signal, "SIGHUP", None)
    asked = [int(signal.SIGINT), int(signal.SIGTERM)]
    return asked if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN else [*asked, int(hangup)]
