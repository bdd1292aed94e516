"""The dock "Studies": the paper's experiments, what they are run on, run in the background, and what they found."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtCore import QEvent, QItemSelectionModel, QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import QFileDialog, QHeaderView, QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_vidrecon.errors import VidreconError, number_of
from napari_vidrecon.studies import scale as scales
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.folders import default_runs_folder, last_folder
from napari_vidrecon.viewer.main_window import Letters
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import open_run
from napari_vidrecon.viewer.panels.controls import (
    advance,
    busily,
    button,
    choice,
    choose,
    emphasise,
    form,
    progress,
    row,
    stack,
    whole_number,
    words,
)
from napari_vidrecon.viewer.panels.sections import Column
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.runs.status import time_in_words
from napari_vidrecon.viewer.studies.results_view import ResultsView, StudyResults
from napari_vidrecon.viewer.studies.study_job import BoardMouse, StudyRequest
from napari_vidrecon.viewer.tooltips import explain

SAMPLE, BOARD, LIST = "sample", "board", "list"
SAMPLE_TEXT, BOARD_TEXT, LIST_TEXT = "simulated mouse (sample)", "mouse on the board", "mice of a list…"
MOST_WORKERS = 64
STUDIES_FOLDER = "studies"


def default_studies_folder() -> Path:
    """Beside the folder of runs."""
    return default_runs_folder().with_name(STUDIES_FOLDER)


class StudyForm(QWidget):
    """The choices of a study.

    Parameters
    ----------
    model
        Its session, encoders and mask are the mouse on the board.
    changed
        Called when results of another folder are to be shown, or another estimate is due.
    parent
        The widget that owns it.
    """

    def __init__(self, model: ReconstructionModel, changed: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._changed = model, changed
        self._list: Path | None = None
        places = {SAMPLE_TEXT: SAMPLE, BOARD_TEXT: BOARD, LIST_TEXT: LIST}
        self.mice = choice("study_mice", places, self._take_mice)
        self.scale = choice("study_scale", {name: name for name in scales.SCALES}, lambda _: changed())
        self.out = explain(QLineEdit(str(default_studies_folder())), "study_out")
        self.out.editingFinished.connect(changed)
        self.out_button = button("Choose…", "study_choose_out", self._ask_out)
        self.workers = whole_number("study_workers", 0, MOST_WORKERS, changed)
        self.workers.setSpecialValueText("automatic")
        fields = form()
        fields.addRow("Mice", self.mice)
        fields.addRow("Scale", self.scale)
        fields.addRow("Results in", row(self.out, self.out_button, stretch=0))
        fields.addRow("Workers", self.workers)
        stack(self, fields)
        subscribe(self, model.session_changed, self._show_board_mouse)
        self._show_board_mouse()

    @property
    def folder(self) -> Path:
        """The folder of runs and results."""
        return Path(self.out.text().strip() or str(default_studies_folder())).expanduser().absolute()

    def request(self, names: tuple[str, ...]) -> StudyRequest:
        """The request for some studies.

        Returns
        -------
        StudyRequest
            As the form stands now.

        Raises
        ------
        ConfigError
            The mouse on the board is not complete.
        """
        where = self.mice.currentData()
        return StudyRequest(
            names=names,
            mice=BoardMouse.of(self._model) if where == BOARD else self._list if where == LIST else None,
            scale=self.scale.currentData(),
            out=self.folder,
            workers=self.workers.value() or None,
            device=self._model.device,
        )

    def take_list(self, file: Path) -> None:
        """Take the mice that a JSON file lists."""
        self._list = file
        index = self.mice.findData(LIST)
        self.mice.setItemText(index, f"mice of {file.name}")
        with QSignalBlocker(self.mice):
            self.mice.setCurrentIndex(index)
        self._changed()

    def take_folder(self, folder: Path) -> None:
        """Take another folder of runs and results."""
        self.out.setText(str(folder))
        self._changed()

    def _take_mice(self, where: str) -> None:
        if where == LIST:
            name, _ = QFileDialog.getOpenFileName(self, "A list of mice", str(last_folder()), "Lists of mice (*.json)")
            if name:
                self.take_list(Path(name))
                return
            if self._list is None:
                choose(self.mice, SAMPLE)
        self._changed()

    def _ask_out(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder for runs and results", str(self.folder))
        if name:
            self.take_folder(Path(name))

    def _show_board_mouse(self) -> None:
        session = self._model.session
        text = BOARD_TEXT if session is None else f"{BOARD_TEXT}: {session.name}"
        self.mice.setItemText(self.mice.findData(BOARD), text)


HEADINGS = ("Study", "Done")
TITLE, WRITTEN = range(2)
NAME = Qt.ItemDataRole.UserRole
ROWS_SEEN = 9
WIDTH_IN_LETTERS, HEIGHT_IN_LINES = 60, 40
MEGABYTE = 1e6
DONE, NOT_YET = "✓", "–"


class Studies(QWidget):
    """Chooses, estimates, starts and stops studies, and shows what they found. It holds no state but its choices.

    Parameters
    ----------
    napari_viewer
        Of the window whose board runs are opened on.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        Letters(self)
        workspace = workspace_of(napari_viewer)
        self._model, self.controller = workspace.model, workspace.studies
        self._written = self.controller.written
        self._listed = (0, False, 0)
        self.form = StudyForm(self._model, self._show_choice)
        self.tree = explain(QTreeWidget(), "studies")
        self.tree.setHeaderLabels(HEADINGS)
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.estimate_button = button("Estimate", "study_estimate", self.estimate)
        self.start_button = button("Start", "study_start", self.start)
        self.stop_button = button("Stop", "study_stop", self.controller.stop)
        self.bar = progress("study_progress")
        self.state = words()
        self.results = ResultsView(self.open_run)
        self._list_studies()
        self._lay_out()
        self.tree.itemSelectionChanged.connect(self._show_choice)
        # Qt itself ends this connection with either of the two.
        self.controller.changed.connect(self._show)
        self._show_choice()

    def sizeHint(self) -> QSize:
        """So many letters wide and lines high."""
        metrics = self.fontMetrics()
        return QSize(WIDTH_IN_LETTERS * metrics.averageCharWidth(), HEIGHT_IN_LINES * metrics.height())

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "results"):
            self._show_state()

    # What a person asks for

    def choose(self, *names: str) -> None:
        """Choose studies; the last one's results are shown."""
        for index in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(index)
            item.setSelected(item.data(TITLE, NAME) in names)
            if names and item.data(TITLE, NAME) == names[-1]:
                self.tree.setCurrentItem(item, TITLE, QItemSelectionModel.SelectionFlag.NoUpdate)
        self._show_choice()

    def estimate(self) -> None:
        """Find out what the chosen studies cost."""
        request = self._request()
        if request is not None:
            self.controller.estimate(request)

    def start(self) -> None:
        """Run the chosen studies."""
        request = self._request()
        if request is not None:
            self.controller.start(request)

    def open_run(self, path: Path) -> None:
        """Put a run on the board."""
        try:
            with busily():
                open_run(self._model, path)
        except VidreconError as error:
            self._say(str(error), "rose")

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the chosen studies."""
        return tuple(item.data(TITLE, NAME) for item in self.tree.selectedItems())

    def _request(self) -> StudyRequest | None:
        try:
            return self.form.request(self.chosen) if self.chosen else None
        except VidreconError as error:
            self._say(str(error), "rose")
            return None

    # What is shown

    def _list_studies(self) -> None:
        from napari_vidrecon.studies import catalogue

        for study in catalogue.all_studies():
            item = QTreeWidgetItem([study.title, NOT_YET])
            item.setData(TITLE, NAME, study.name)
            item.setToolTip(TITLE, f"{study.title}\n{study.panels}")
            self.tree.addTopLevelItem(item)
        if self.tree.topLevelItemCount():
            self.tree.setCurrentItem(self.tree.topLevelItem(0))

    @property
    def _shown(self) -> str:
        """The study whose results are shown: of the chosen ones, the one clicked last."""
        current = self.tree.currentItem()
        if current is not None and current.isSelected():
            return str(current.data(TITLE, NAME))
        return self.chosen[0] if self.chosen else ""

    @property
    def _panels(self) -> str:
        """What the study whose results are shown is in the paper."""
        from napari_vidrecon.studies import catalogue

        return next((study.panels for study in catalogue.all_studies() if study.name == self._shown), "")

    def _show_choice(self) -> None:
        """Another study, another folder, or new results."""
        out = self.form.folder
        for index in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(index)
            written = StudyResults.is_there(out, item.data(TITLE, NAME))
            item.setText(WRITTEN, DONE if written else NOT_YET)
        results = StudyResults.read(out, self._shown) if self._shown else None
        begun = self.controller.runs_of(out, self._shown)
        self.results.show_results(results, begun or (() if results is None else results.runs), self._panels)
        self._show()

    def _show(self) -> None:
        controller = self.controller
        if controller.written != self._written:
            self._written = controller.written
            self._show_choice()
            return
        busy, counted = controller.busy, controller.counted
        for control in (self.estimate_button, self.start_button):
            control.setEnabled(not busy and bool(self.chosen))
        self.form.setEnabled(not busy)
        self.stop_button.setEnabled(busy and not controller.stopping)
        emphasise(self.start_button, not busy)
        self.bar.setVisible(busy)
        if counted is not None and counted.total:
            advance(self.bar, counted.done, counted.total)
            self.bar.setFormat(f"run {counted.done} of {counted.total}")
        else:
            advance(self.bar, 0, 0)
        self._show_state()
        self._show_runs()

    def _show_runs(self) -> None:
        """List the runs again when one more is there, not with every piece of news."""
        controller, counted = self.controller, self.controller.counted
        begun = controller.runs_of(self.form.folder, self._shown)
        listed = (len(begun), controller.busy, 0 if counted is None else counted.done)
        if begun and listed != self._listed:
            self._listed = listed
            self.results.show_runs(begun)

    def _show_state(self) -> None:
        controller = self.controller
        counted, estimated = controller.counted, controller.estimated
        if controller.stopping:
            self._say("Stopping; finished runs stay…", "blue")
        elif counted is not None:
            left = controller.seconds_left
            remaining = f"about {time_in_words(left)} left" if math.isfinite(left) else "waiting for the first run"
            self._say(f"Running: {counted.done} of {counted.total} runs, {remaining}. {counted.text}", "blue")
        elif controller.busy:
            self._say(f"{controller.phase}…", "blue")
        elif controller.fault:
            self._say(controller.fault, "rose")
        elif controller.stopped:
            self._say("Stopped. Finished runs are kept; Start goes on from there.", "orange")
        elif estimated is not None:
            self._say(
                f"{number_of(estimated.runs, 'run')}, {estimated.missing} still to do: "
                f"about {time_in_words(estimated.seconds)} with {number_of(estimated.workers, 'worker')}, "
                f"plus figures and movies; {estimated.disk_bytes / MEGABYTE:.0f} MB.",
                "green",
            )
        elif controller.written:
            self._say("Finished: findings, figures and runs stand below.", "green")
        else:
            self._say("", "blue")

    def _say(self, text: str, colour: str) -> None:
        self.state.setText(f'<span style="color:{theme_colours(self)[colour]}">{html.escape(text)}</span>')
        self.state.setVisible(bool(text))

    def _lay_out(self) -> None:
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(TITLE, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(WRITTEN, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.setMinimumHeight(self.fontMetrics().height() * (ROWS_SEEN + 1) * 3 // 2)
        inside = QWidget()
        buttons = row(self.estimate_button, self.start_button, self.stop_button)
        stack(inside, self.tree, self.form, buttons, self.bar, self.state, self.results)
        layout = QVBoxLayout(self)
        layout.addWidget(Column([inside]))
