"""Writing in the background while the window goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_vidrecon.figures.export import Progress
from napari_vidrecon.viewer.runs.jobs import Failed, Job

POLL_MS = 80


class Exporter(QObject):
    """Writes one thing at a time in the background, and tells the window.

    Signals: `progressed(done, of)`, `finished(path)`, `failed(message)`, `stopped()`.
    """

    progressed = Signal(int, int)
    finished = Signal(str)
    failed = Signal(str)
    stopped = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._job is not None

    def write(self, work: Callable[[Progress], Any], path: Path) -> None:
        """Start writing; a call while something else is being written is refused with `failed`.

        Parameters
        ----------
        work
            Does it; is given a function to report progress with, which also ends it when it was cancelled.
        path
            What is being written, for the message at the end.
        """
        if self._job is not None:
            self.failed.emit("Another export is still going on; wait for it or cancel it.")
            return

        def run(job: Job) -> None:
            def report(done: int, of: int) -> None:
                job.leave_if_cancelled()
                job.tell((done, of))

            work(report)
            job.tell(str(path))

        self._job = Job(run, "vidrecon export").start()
        self._timer.start()

    def cancel(self) -> None:
        """Stop after the present frame; nothing half-written stays."""
        if self._job is not None:
            self._job.cancel()

    def _poll(self) -> None:
        job = self._job
        if job is None:
            return
        over = not job.running
        news = job.fetch()
        for counts in [item for item in news if isinstance(item, tuple)][-1:]:
            self.progressed.emit(*counts)
        if not over:
            return
        self._job = None
        self._timer.stop()
        for item in news:
            if isinstance(item, Failed):
                self.failed.emit(item.message)
                return
            if isinstance(item, str):
                self.finished.emit(item)
                return
        self.stopped.emit()
