"""Looks at raw files and imports them, in threads of their own, and holds what came of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.importing.import_job import Imported, Previewed, import_session, preview
from napari_vidrecon.viewer.importing.report_view import in_words_of_the_form
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_vidrecon.sessions.importing.columns import Column
    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
    from napari_vidrecon.sessions.importing.sources import ImportSource


class ImportController(Background):
    """Previews and imports.

    Attributes
    ----------
    columns
        What was found at the last look; None before it.
    fault
        Why files cannot be read or imported, one line; empty if nothing is wrong.
    looking
        Whether files are being looked at.
    imported
        The last import that was finished.
    stopped
        Whether the last import was stopped.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(self._take_fault, parent)
        self.columns: tuple[Column, ...] | None = None
        self.fault = ""
        self.imported: Imported | None = None
        self.stopped = False
        self._looking: Job | None = None
        self._importing: Job | None = None

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
        if not self.free:
            return
        if self._looking is not None:
            self._looking.cancel()
        self.fault, self.stopped, self.imported = "", False, None
        self._looking = Job(partial(preview, source, settings), "vidrecon-preview")
        self.begin(self._looking)

    def start(self, source: ImportSource, settings: ImportSettings, folder: Path, *, replace: bool = False) -> None:
        """Write the session folder.

        Parameters
        ----------
        source
            Files of the recording.
        settings
            Of the import.
        folder
            The session to write; it appears whole or not at all.
        replace
            An imported session that lies there may be replaced.
        """
        if not self.free:
            return
        self.fault, self.stopped, self.imported = "", False, None
        self._importing = Job(partial(import_session, source, settings, folder, replace), "vidrecon-import")
        self.begin(self._importing, Counted(0, 0, "Reading the recording"))

    def on_news(self, job: Job, news: Previewed | Imported) -> None:
        """What was found, or written."""
        if isinstance(news, Imported):
            self.imported = news
        elif job is self._looking:
            self.columns = news.columns

    def on_failure(self, job: Job, message: str) -> None:
        """It is told in the form."""
        if job in (self._looking, self._importing):
            self.fault = in_words_of_the_form(message)

    def on_end(self, job: Job) -> None:
        """Of an import that was stopped, nothing stays."""
        if job is self._looking:
            self._looking = None
            if self.fault:
                self.columns = None
        elif job is self._importing:
            self._importing = None
            self.stopped = job.cancelled.is_set() and self.imported is None

    def _take_fault(self, text: str, _is_error: bool) -> None:
        self.fault = text
