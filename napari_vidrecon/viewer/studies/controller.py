"""Runs studies in the background of a window, and holds how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_vidrecon.viewer.controller import POLL_MILLISECONDS
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.runs.jobs import Failed, Job, OpenJobs
from napari_vidrecon.viewer.studies.study_job import (
    Counted,
    Estimated,
    Listed,
    Phase,
    StudyRun,
    StudyWritten,
    conduct,
    estimate,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_vidrecon.viewer.model import ReconstructionModel
    from napari_vidrecon.viewer.studies.study_request import StudyRequest


class StudyController(QObject):
    """Estimate, start and stop studies; `changed` says that there is something new to show.

    One call at a time. It ends with the window; finished runs stay, and the same request goes on from there.

    Attributes
    ----------
    request
        What goes on, or went on last.
    phase
        What is being done, in words; empty at rest.
    counted
        How many runs are done; None before the first worker is there.
    estimated
        The last estimate, or None.
    written
        How many studies were written by this window.
    fault
        Why it ended, one line; empty if nothing went wrong.
    stopped
        The last call was stopped.
    """

    changed = Signal()

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.faults = Faults(model.message.emit)
        self.request: StudyRequest | None = None
        self.phase = ""
        self.counted: Counted | None = None
        self.estimated: Estimated | None = None
        self.written = 0
        self.fault = ""
        self.stopped = False
        self._runs: dict[tuple[Path, str], tuple[StudyRun, ...]] = {}
        self._began = 0.0
        self._job: Job | None = None
        self._estimates = False
        self._open = OpenJobs()
        self.destroyed.connect(self._open.close)
        application = QCoreApplication.instance()
        if application is not None:
            # Worker processes are ended, and their folders left whole, before the program goes.
            application.aboutToQuit.connect(self._open.finish)
        self._poll_timer = QTimer(self, interval=POLL_MILLISECONDS)
        self._poll_timer.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether a study or an estimate goes on."""
        return self._job is not None

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end and has not yet."""
        return self._job is not None and self._job.cancelled.is_set()

    @property
    def seconds_left(self) -> float:
        """Until the last run is done, as fast as the runs so far; NaN before the first."""
        counted = self.counted
        if counted is None or not counted.done:
            return float("nan")
        return (time.monotonic() - self._began) / counted.done * (counted.total - counted.done)

    def runs_of(self, out: Path, study: str) -> tuple[StudyRun, ...]:
        """The runs of a study that was begun in this window, whether they are there yet or not."""
        return self._runs.get((out, study), ())

    def estimate(self, request: StudyRequest) -> None:
        """Find out how many runs are left and how long they take."""
        self._begin(request, estimate, "vidrecon-estimate")

    def start(self, request: StudyRequest) -> None:
        """Run what is missing, then measure and write."""
        self._begin(request, conduct, "vidrecon-study")

    def stop(self) -> None:
        """End soon; finished runs stay."""
        if self._job is not None:
            self._job.cancel()
            self.changed.emit()

    def wait(self, seconds: float = 120.0) -> bool:
        """Wait for the end, then take in the news; for scripts. Returns whether it came in time."""
        ended = self._job is None or self._job.wait(seconds)
        self.poll()
        return ended

    def _begin(self, request: StudyRequest, work: Callable[[StudyRequest, Job], None], name: str) -> None:
        if self.busy or self._open.closed:
            return
        self.request, self.phase, self.counted, self.estimated = request, "Preparing", None, None
        self.fault, self.stopped, self._estimates = "", False, work is estimate
        self._job = Job(partial(work, request), name)
        self._open.start(self._job)
        self._poll_timer.start()
        self.changed.emit()

    @guarded
    def poll(self) -> None:
        """Fetch what came."""
        job = self._job
        if job is None:
            self._poll_timer.stop()
            return
        ended = not job.running
        news = list(job.fetch())
        for each in news:
            self._take(each)
        if ended:
            self.stopped = job.cancelled.is_set()
            self._job, self.phase, self.counted = None, "", None
            self._poll_timer.stop()
        if news or ended:
            self.changed.emit()

    @guarded
    def _take(self, news: Any) -> None:
        assert self.request is not None
        if isinstance(news, Phase):
            self.phase, self.counted = news.text, None
        elif isinstance(news, Counted):
            if self.counted is None:
                self._began = time.monotonic()
            label = news.label or (self.counted.label if self.counted is not None else "")
            self.counted = Counted(news.done, news.total, label)
        elif isinstance(news, Listed):
            self._runs[self.request.out, news.study] = news.runs
        elif isinstance(news, Estimated):
            self.estimated = news
        elif isinstance(news, StudyWritten):
            self.written += 1
            self.model.message.emit(f"The study “{news.study}” is written; see Studies.", False)
        elif isinstance(news, Failed):
            self.fault = news.message
