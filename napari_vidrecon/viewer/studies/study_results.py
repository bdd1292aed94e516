"""`StudyResults`: what a study left in its folder, read back for looking at."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.errors import VidreconError, one_line
from napari_vidrecon.storage import read_json, read_text, reading
from napari_vidrecon.viewer.studies.study_job import StudyRun

LONGEST_FINDING = 2000
LONGEST_TABLE_BYTES = 16 << 20
TRUTH = {"True": True, "False": False}


@dataclass(frozen=True)
class FindingRead:
    """A result of the paper, and whether these mice show it.

    Parameters
    ----------
    statement
        The result.
    shows
        True, False, or None where it cannot be told.
    numbers
        From which that was told, in words.
    """

    statement: str
    shows: bool | None
    numbers: str


@dataclass(frozen=True)
class StudyResults:
    """What a study found.

    Parameters
    ----------
    page
        HTML page with everything.
    written
        When, as "2026-01-31 17:05".
    scale, mice
        How large it was, and who took part.
    simulated
        Some mouse is a simulation.
    findings, figures, runs
        In order.
    """

    page: Path
    written: str
    scale: str
    mice: tuple[str, ...]
    simulated: bool
    findings: tuple[FindingRead, ...]
    figures: tuple[Path, ...]
    runs: tuple[StudyRun, ...]

    @staticmethod
    def is_there(out: Path, study: str) -> bool:
        """Whether a study has left results below an output folder."""
        from napari_vidrecon.studies.page import PAGE

        return (out / study / PAGE).is_file()

    @classmethod
    def read(cls, out: Path, study: str) -> StudyResults | None:
        """The results of a study below an output folder; None if there are none that can be read."""
        from napari_vidrecon.reconstruction.results import SUFFIX
        from napari_vidrecon.studies.page import FINDINGS_TABLE, PAGE, PROVENANCE

        folder = out / study
        try:
            with reading(folder, expected="the results of a study"):
                told = read_json(folder / PROVENANCE)
                return cls(
                    page=folder / PAGE,
                    written=one_line(told["written"])[:16].replace("T", " "),
                    scale=one_line(told["scale"]["name"]),
                    mice=tuple(one_line(mouse["name"]) for mouse in told["mice"]),
                    simulated=bool(told["simulated"]),
                    findings=_findings(folder / "tables" / f"{FINDINGS_TABLE}.csv"),
                    figures=tuple(sorted(file for file in (folder / "figures").glob("*.png") if file.is_file())),
                    runs=tuple(
                        StudyRun(_run_folder(out, f"{name}{SUFFIX}"), one_line(label))
                        for name, label in told["runs"].items()
                    ),
                )
        except VidreconError:
            return None


def _run_folder(out: Path, name: str) -> Path:
    folder = Path(os.path.normpath(out / name))
    if "\0" in name or not folder.is_relative_to(os.path.normpath(out)):
        raise ValueError(f"a run outside the folder: {name}")
    return folder


def _findings(file: Path) -> tuple[FindingRead, ...]:
    if not file.is_file():
        return ()
    return tuple(
        FindingRead(one_line(row["statement"], LONGEST_FINDING), TRUTH.get(row["shows"]), one_line(row["numbers"]))
        for row in csv.DictReader(io.StringIO(read_text(file, most=LONGEST_TABLE_BYTES), newline=""))
    )
