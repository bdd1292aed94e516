"""`StudyResults`: what a study left in its folder, read back for looking at."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.viewer.studies.study_job import StudyRun

TRUTH = {"True": True, "False": False}


@dataclass(frozen=True)
class FindingRead:
    """A result of the paper, and whether these mice show it: True, False, or None where it cannot be told."""

    statement: str
    shows: bool | None
    numbers: str


@dataclass(frozen=True)
class StudyResults:
    """What a study found.

    Parameters
    ----------
    page : HTML page with everything.
    written : when, as "2026-01-31 17:05".
    scale, mice : how large it was, and who took part.
    simulated : some mouse is a simulation.
    findings, figures, runs : in order.
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
        from napari_vidrecon.studies.pages.writing import PAGE

        return (out / study / PAGE).is_file()

    @classmethod
    def read(cls, out: Path, study: str) -> StudyResults | None:
        """The results of a study below an output folder; None if there are none that can be read."""
        from napari_vidrecon.reconstruction.results import SUFFIX
        from napari_vidrecon.studies.pages.writing import FINDINGS_TABLE, PAGE, PROVENANCE

        folder = out / study
        try:
            told = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
            return cls(
                page=folder / PAGE,
                written=str(told["written"])[:16].replace("T", " "),
                scale=str(told["scale"]["name"]),
                mice=tuple(str(mouse["name"]) for mouse in told["mice"]),
                simulated=bool(told["simulated"]),
                findings=_findings(folder / "tables" / f"{FINDINGS_TABLE}.csv"),
                figures=tuple(sorted((folder / "figures").glob("*.png"))),
                runs=tuple(StudyRun(out / f"{name}{SUFFIX}", str(label)) for name, label in told["runs"].items()),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _findings(file: Path) -> tuple[FindingRead, ...]:
    if not file.is_file():
        return ()
    with file.open(encoding="utf-8", newline="") as table:
        return tuple(
            FindingRead(row["statement"], TRUTH.get(row["shows"]), row["numbers"]) for row in csv.DictReader(table)
        )
