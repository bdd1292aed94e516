"""Runs studies in the background of a window, and holds how far they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_vidrecon.viewer.background import Background
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.studies.study_job import (
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

    from qtpy.QtCore import QObject

    from napari_vidrecon.viewer.model import ReconstructionModel
    from napari_vidrecon.viewer.studies.study_job import StudyRequest


class StudyController(Background):
    """Estimate, start and stop studies.

    One call at a time. It ends with the window; finished runs stay, and the same request goes on from there.

    Attributes
    ----------
    request
        What goes on, or went on last.
    phase
        What is being done, in words; empty at rest.
    counted
        How many runs are done, and which was the last; None before the first worker is there.
    estimated
        The last estimate, or None.
    written
        How many studies were written by this window.
    fault
        Why it ended, one line; empty if nothing went wrong.
    stopped
        The last call was stopped.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self.request: StudyRequest | None = None
        self.phase = ""
        self.estimated: Estimated | None = None
        self.written = 0
        self.fault = ""
        self.stopped = False
        self._runs: dict[tuple[Path, str], tuple[StudyRun, ...]] = {}

    def runs_of(self, out: Path, study: str) -> tuple[StudyRun, ...]:
        """The runs of a study that was begun in this window, whether they are there yet or not."""
        return self._runs.get((out, study), ())

    def estimate(self, request: StudyRequest) -> None:
        """Find out how many runs are left and how long they take."""
        self._begin(request, estimate, "vidrecon-estimate")

    def start(self, request: StudyRequest) -> None:
        """Run what is missing, then measure and write."""
        self._begin(request, conduct, "vidrecon-study")

    def _begin(self, request: StudyRequest, work: Callable[[StudyRequest, Job], None], name: str) -> None:
        if not self.free:
            return
        self.request, self.phase, self.estimated = request, "Preparing", None
        self.fault, self.stopped = "", False
        self.begin(Job(partial(work, request), name))

    def on_news(self, job: Job, news: Any) -> None:
        """What is done now, what was found out, what was written."""
        assert self.request is not None
        if isinstance(news, Phase):
            self.phase, self.counted = news.text, None
        elif isinstance(news, Listed):
            self._runs[self.request.out, news.study] = news.runs
        elif isinstance(news, Estimated):
            self.estimated = news
        elif isinstance(news, StudyWritten):
            self.written += 1
            self.model.message.emit(f"The study “{news.study}” is written; see Studies.", False)

    def on_failure(self, job: Job, message: str) -> None:
        """It is told beside the buttons."""
        self.fault = message

    def on_end(self, job: Job) -> None:
        """Finished runs stay."""
        self.stopped, self.phase = job.cancelled.is_set(), ""
