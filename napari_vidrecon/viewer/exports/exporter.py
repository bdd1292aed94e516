"""Writing in the background while the window goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_vidrecon.figures.export import Progress
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.runs.jobs import Job


class Exporter(Background):
    """Writes one thing at a time in the background, and tells the window.

    Signals: `finished(path)`, `failed(message)`, `stopped()`.
    """

    finished = Signal(str)
    failed = Signal(str)
    stopped = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(lambda text, _is_error: self.failed.emit(text), parent)
        self._told: Callable[[], object] = self.stopped.emit

    def write(self, work: Callable[[Progress], Any], path: Path) -> None:
        """Start writing; a call while something else is being written is refused with `failed`.

        Parameters
        ----------
        work
            Does it; is given a function to report progress with, which also ends it when it was cancelled.
        path
            What is being written, for the message at the end.
        """
        if self.busy:
            self.failed.emit("Another export is still going on; wait for it or cancel it.")
            return

        def run(job: Job) -> None:
            def report(done: int, of: int) -> None:
                job.leave_if_cancelled()
                job.tell(Counted(done, of))

            work(report)
            job.tell(path)

        self._told = self.stopped.emit
        self.begin(Job(run, "vidrecon export"), Counted(0, 0))

    def on_news(self, job: Job, news: Path) -> None:
        """The file is there."""
        self._told = lambda: self.finished.emit(str(news))

    def on_failure(self, job: Job, message: str) -> None:
        """It cannot be written."""
        self._told = lambda: self.failed.emit(message)

    def on_end(self, job: Job) -> None:
        """Say how it ended, now that the next may begin."""
        self._told()
