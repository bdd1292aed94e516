"""Looks at raw files and imports them, in threads of their own, and holds what came of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_vidrecon.viewer.controller import POLL_MILLISECONDS
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.importing.import_job import Imported, Previewed, Progressed, import_session, preview
from napari_vidrecon.viewer.importing.wording import in_words_of_the_form
from napari_vidrecon.viewer.runs.jobs import Failed, Job, OpenJobs

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column
    from napari_vidrecon.sessions.importing.settings import ImportSettings
    from napari_vidrecon.sessions.importing.sources import ImportSource


class ImportController(QObject):
    """Previews and imports; `changed` says that there is something new to show.

    Attributes
    ----------
    columns
        What was found at the last look; None before it.
    fault
        Why files cannot be read or imported, one line; empty if nothing is wrong.
    looking
        Whether files are being looked at.
    progress
        Of the import that goes on; None if none does.
    imported
        The last import that was finished.
    stopped
        Whether the last import was stopped.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.faults = Faults(self._take_fault)
        self.columns: tuple[Column, ...] | None = None
        self.fault = ""
        self.progress: Progressed | None = None
        self.imported: Imported | None = None
        self.stopped = False
        self._looking: Job | None = None
        self._importing: Job | None = None
        self._open = OpenJobs()
        self.destroyed.connect(self._open.close)
        self._poll_timer = QTimer(self, interval=POLL_MILLISECONDS)
        self._poll_timer.timeout.connect(self.poll)

    @property
    def looking(self) -> bool:
        """Whether files are being looked at."""
        return self._looking is not None

    @property
    def busy(self) -> bool:
        """Whether an import goes on."""
        return self._importing is not None

    def look(self, source: ImportSource, settings: ImportSettings) -> None:
        """List the arrays of a source; an earlier look is given up."""
        if self._open.closed or self.busy:
            return
        if self._looking is not None:
            self._looking.cancel()
        self.fault, self.stopped, self.imported = "", False, None
        self._looking = self._begin(partial(preview, source, settings), "vidrecon-preview")
        self.changed.emit()

    def start(self, source: ImportSource, settings: ImportSettings, folder: Path, *, replace: bool = False) -> None:
        """Write the session folder.

        Parameters
        ----------
        folder
            The session to write; it appears whole or not at all.
        replace
            An imported session that lies there may be replaced.
        """
        if self.busy or self._open.closed:
            return
        self.fault, self.stopped, self.imported = "", False, None
        self.progress = Progressed("Reading the recording", 0, 0)
        self._importing = self._begin(partial(import_session, source, settings, folder, replace), "vidrecon-import")
        self.changed.emit()

    def stop(self) -> None:
        """End the import after the present clip; nothing of it stays."""
        if self._importing is not None:
            self._importing.cancel()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait for the end of everything, then take in the news; for scripts. Returns whether it came in time."""
        ended = all(job.wait(seconds) for job in (self._looking, self._importing) if job is not None)
        self.poll()
        return ended

    def _begin(self, work: Any, name: str) -> Job:
        job = Job(work, name)
        self._open.start(job)
        self._poll_timer.start()
        return job

    @guarded
    def poll(self) -> None:
        """Fetch what came."""
        news = False
        for job in (self._looking, self._importing):
            if job is None:
                continue
            ended = not job.running
            for each in job.fetch():
                self._take(each)
                news = True
            if ended:
                self._end(job)
                news = True
        if not self.looking and not self.busy:
            self._poll_timer.stop()
        if news:
            self.changed.emit()

    @guarded
    def _take(self, news: Any) -> None:
        if isinstance(news, Previewed):
            self.columns = news.columns
        elif isinstance(news, Progressed):
            self.progress = news
        elif isinstance(news, Imported):
            self.imported = news
        elif isinstance(news, Failed):
            self.fault = in_words_of_the_form(news.message)

    def _take_fault(self, text: str, _is_error: bool) -> None:
        self.fault = text

    def _end(self, job: Job) -> None:
        if job is self._looking:
            self._looking = None
            if self.fault:
                self.columns = None
        else:
            self._importing, self.progress = None, None
            self.stopped = job.cancelled.is_set() and self.imported is None
