"""Looks at raw files and imports them, in threads of their own, and holds what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column
    from napari_vidrecon.sessions.importing.recording import ImportReport
    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
    from napari_vidrecon.sessions.importing.sources import ImportSource


@dataclass(frozen=True)
class Previewed:
    """News: every array that was found."""

    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Imported:
    """News: the session is there."""

    folder: Path
    report: ImportReport


def preview(source: ImportSource, settings: ImportSettings, job: Job) -> None:
    """Tell `Previewed`; only samples of the arrays are read.

    Parameters
    ----------
    source
        Files of the recording.
    settings
        Of the import.
    job
        Takes the news, and says when to stop.
    """
    with source.opened(settings) as opened:
        columns = tuple(opened.columns())
    job.leave_if_cancelled()
    job.tell(Previewed(columns))


def import_session(source: ImportSource, settings: ImportSettings, folder: Path, replace: bool, job: Job) -> None:
    """Tell `Counted` after every clip and `Imported` at the end; a job that is left leaves nothing behind.

    Parameters
    ----------
    source
        Files of the recording.
    settings
        Of the import.
    folder
        The session to write.
    replace
        An imported session that lies there may be replaced.
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.sessions.importing.importer import import_recording
    from napari_vidrecon.sessions.writer import require_replaceable

    texts = {"hashing": "Telling which clips show the same movie", "writing": "Writing trials"}

    def told(what: str, done: int, total: int) -> None:
        # Every clip is looked at twice.
        job.count(done + total * (what == "writing"), 2 * total, texts.get(what, what))

    require_replaceable(folder, replace)
    job.tell(Counted(0, 0, "Reading the recording"))
    with source.opened(settings) as opened:
        recording = opened.recording()
        job.leave_if_cancelled()
        report = import_recording(recording, folder, settings, told)
    job.tell(Imported(folder, report))


CONTROLS = {
    "give --overwrite": "tick “Replace a session imported before”",
    "give --all-regions": "tick “All regions, not only cells”",
    "take --signal dff": "take the activity “dF/F”",
    "--levels 0:4095": "tick “Black and white are”",
    "give --axes twh": "choose “Axes of movies: frame, x, y”",
    "(--axes hwt)": "(“Axes of movies: row, column, frame”)",
    "--axes twh": "“Axes of movies: frame, x, y”",
    "--axes thw": "“Axes of movies: frame, row, column”",
    "with --negative clip": "with “Activity below 0: set to 0”",
    "with --negative lift": "with “Activity below 0: raise each neuron”",
    "--negative lift keeps it": "“Activity below 0: raise each neuron” keeps it",
    "(--stills 0.5)": "(“Stills, any order”)",
    "levels = [0, 1], or --levels 0:1": "tick “Black and white are”, 0 and 1",
    "(--levels)": "(“Black and white are”)",
    "(--stills 0.5; stills_s below [stimulus])": "(“Stills, any order”)",
    "(--bad-neurons drop)": "(“Bad neurons: leave out”)",
    "(--within-movie)": "(“Hold out parts of movies”)",
    "(--trim)": "(“Cut the longer of two arrays”)",
    "with --trim": "with “Cut the longer of two arrays”",
    "(--clock-tolerance)": "(“Clocks may run apart by”)",
    "(--trial-frames)": "(“Longest trial”)",
    "see --preview": "see the table of arrays",
}
SERIES_OPTION = re.compile(r"name one with --(activity|stimulus|running|pupil-size|pupil-center)")


def in_words_of_the_form(message: str) -> str:
    """A message of the core, with the controls of the form in place of options."""
    for option, control in CONTROLS.items():
        message = message.replace(option, control)
    return SERIES_OPTION.sub("choose one under “Series”", message)


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
