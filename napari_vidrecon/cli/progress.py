"""Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from napari_vidrecon.cli.streams import tell

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
