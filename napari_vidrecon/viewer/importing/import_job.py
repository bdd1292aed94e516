"""What an import does in its thread: look at the files, or write the session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_vidrecon.viewer.background import Counted
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
    from napari_vidrecon.sessions.importing.sources import require_replaceable

    texts = {"hashing": "Telling which clips show the same movie", "writing": "Writing trials"}

    def told(what: str, done: int, total: int) -> None:
        job.leave_if_cancelled()
        # Every clip is looked at twice.
        job.tell(Counted(done + total * (what == "writing"), 2 * total, texts.get(what, what)))

    require_replaceable(folder, replace)
    job.tell(Counted(0, 0, "Reading the recording"))
    with source.opened(settings) as opened:
        recording = opened.recording()
        job.leave_if_cancelled()
        report = import_recording(recording, folder, settings, told)
    job.tell(Imported(folder, report))
