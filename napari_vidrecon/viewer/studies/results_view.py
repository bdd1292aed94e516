"""What a study found, read back from its folder and shown: findings, figures, and runs that open on the board."""

from __future__ import annotations

import csv
import html
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import QEvent, QSize, Qt, QUrl
from qtpy.QtGui import QDesktopServices, QIcon, QPixmap
from qtpy.QtWidgets import QLayout, QListWidget, QListWidgetItem, QTreeWidget, QTreeWidgetItem, QWidget

from napari_vidrecon.errors import VidreconError, one_line
from napari_vidrecon.reconstruction.results import SUFFIX
from napari_vidrecon.storage import read_json, read_text, reading
from napari_vidrecon.viewer.panels.controls import button, row, stack, words
from napari_vidrecon.viewer.panels.sections import Section
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.studies.study_job import StudyRun
from napari_vidrecon.viewer.tooltips import explain

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


THUMBNAIL_IN_LINES, THUMBNAIL_IN_LETTERS = 9, 34
ROWS_SEEN = 7
VERDICTS = {True: ("green", "shows"), False: ("orange", "does not show"), None: ("blue", "cannot be told")}
PATH = Qt.ItemDataRole.UserRole


class ResultsView(QWidget):
    """The results of one study.

    Parameters
    ----------
    open_run
        Called with the folder of a run that a person wants on the board.
    """

    def __init__(self, open_run: Callable[[Path], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._open_run = open_run
        self._results: StudyResults | None = None
        self.about = words()
        self.findings = words(name="study_findings")
        self.figures = explain(QListWidget(), "study_figures")
        self.figures.setViewMode(QListWidget.ViewMode.IconMode)
        self.figures.setFlow(QListWidget.Flow.LeftToRight)
        self.figures.setWrapping(False)
        self.figures.setMovement(QListWidget.Movement.Static)
        self.figures.itemDoubleClicked.connect(lambda item: open_outside(item.data(PATH)))
        self.page_button = button("Open the page", "study_page", self._open_page)
        self.runs = explain(QTreeWidget(), "study_runs")
        self.runs.setHeaderHidden(True)
        self.runs.setRootIsDecorated(False)
        self.runs.setUniformRowHeights(True)
        self.runs.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.runs.itemDoubleClicked.connect(lambda _item, _column: self.open_selected())
        self.runs.itemSelectionChanged.connect(self._enable)
        self.open_button = button("Open on the board", "study_open_run", self.open_selected)
        self.found_section = Section("Findings", self._column(self.about, self.findings), minor=True)
        self.figure_section = Section("Figures", self._column(self.figures, row(self.page_button)), minor=True)
        self.run_section = Section("Runs", self._column(self.runs, row(self.open_button)), minor=True)
        stack(self, self.found_section, self.figure_section, self.run_section)
        self._fit_icons()

    def show_results(self, results: StudyResults | None, runs: tuple[StudyRun, ...], panels: str = "") -> None:
        """Show what was found, or that there is nothing yet.

        Parameters
        ----------
        results
            None before there are any.
        runs
            Those that are there, and those that are to come.
        panels
            What the study is in the paper.
        """
        self._results = results
        place = f"In the paper: {html.escape(panels)}.<br>" if panels else ""
        self.about.setText(place + self._about(results))
        self.findings.setText("" if results is None else self._findings(results))
        self.findings.setVisible(results is not None)
        self.figures.clear()
        self._fit_icons()
        for figure in () if results is None else results.figures:
            item = QListWidgetItem(self._thumbnail(figure), figure.stem.replace("_", " "))
            item.setData(PATH, figure)
            item.setToolTip(str(figure))
            self.figures.addItem(item)
        self.figure_section.setVisible(results is not None)
        self.show_runs(runs)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "findings"):
            self.findings.setText("" if self._results is None else self._findings(self._results))

    def show_runs(self, runs: tuple[StudyRun, ...]) -> None:
        """List runs; those that are not there yet cannot be chosen."""
        kept = self.selected
        self.runs.clear()
        there = [run.path.is_dir() for run in runs]
        for run, is_there in zip(runs, there, strict=True):
            item = QTreeWidgetItem([run.label if is_there else f"{run.label} (not done yet)"])
            item.setData(0, PATH, run.path)
            item.setToolTip(0, f"{run.label}\n{run.path}")
            item.setDisabled(not is_there)
            self.runs.addTopLevelItem(item)
            item.setSelected(run.path == kept)
        self.run_section.set_title(f"Runs: {sum(there)} of {len(runs)} are there" if runs else "Runs")
        self.run_section.setVisible(bool(runs))
        self._enable()

    @property
    def selected(self) -> Path | None:
        """Folder of the selected run."""
        items = self.runs.selectedItems()
        return items[0].data(0, PATH) if items else None

    def open_selected(self) -> None:
        """Put the selected run on the board."""
        path = self.selected
        if path is not None and path.is_dir():
            self._open_run(path)

    def _open_page(self) -> None:
        if self._results is not None:
            open_outside(self._results.page)

    def _enable(self) -> None:
        self.open_button.setEnabled(self.selected is not None)

    def _about(self, results: StudyResults | None) -> str:
        if results is None:
            return "Nothing found yet in this folder: press Start."
        mice = html.escape(", ".join(results.mice))
        mark = "<b>Simulated mouse</b>, no animal: " if results.simulated else ""
        return f"{mark}{mice}; scale “{html.escape(results.scale)}”, written {html.escape(results.written)}."

    def _findings(self, results: StudyResults) -> str:
        colours, items = theme_colours(self), []
        for finding in results.findings:
            colour, verdict = VERDICTS[finding.shows]
            items.append(
                f'<p><span style="color:{colours[colour]}"><b>{verdict}:</b></span> {html.escape(finding.statement)}'
                f"<br><small>{html.escape(finding.numbers)}</small></p>"
            )
        return "".join(items)

    def _thumbnail(self, figure: Path) -> QIcon:
        picture = QPixmap(str(figure))
        mode = Qt.TransformationMode.SmoothTransformation
        return QIcon(picture.scaled(self.figures.iconSize(), Qt.AspectRatioMode.KeepAspectRatio, mode))

    def _fit_icons(self) -> None:
        metrics = self.fontMetrics()
        size = QSize(THUMBNAIL_IN_LETTERS * metrics.averageCharWidth(), THUMBNAIL_IN_LINES * metrics.height())
        self.figures.setIconSize(size)
        self.figures.setFixedHeight(size.height() + 3 * metrics.height())
        self.runs.setMinimumHeight(metrics.height() * ROWS_SEEN * 3 // 2)

    def _column(self, *parts: QWidget | QLayout) -> QWidget:
        holder = QWidget()
        stack(holder, *parts)
        return holder


def open_outside(path: Path) -> None:
    """Open a file with the program the system has for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
