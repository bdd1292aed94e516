"""Runs: every run of this session, to show, compare, name, save, open and delete."""

from __future__ import annotations

import html
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QFont, QFontMetrics
from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QLabel,
    QMenu,
    QMessageBox,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board.movies import named
from napari_vidrecon.viewer.evaluation import Evaluator
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.folders import kept_runs, last_folder, remember_folder, remember_last_folder
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunRecord
from napari_vidrecon.viewer.opening import is_run, open_run, show_run, take_over_settings, try_to
from napari_vidrecon.viewer.panels.controls import (
    button,
    choice,
    choose,
    form,
    menu_button,
    row,
    set_options,
    stack,
    take_out_rows,
)
from napari_vidrecon.viewer.runs.status import time_in_words
from napari_vidrecon.viewer.tooltips import explain

NAME, CHANGED, CORRELATION, TIME = range(4)
HEADINGS = ("Run", "What changed", "r", "Took")
SIDE_BY_SIDE, BLINK, DIFFERENCE, LOST = "side by side", "blink", "difference", "what is lost"
ERROR_OF_MODE = {DIFFERENCE: ErrorMode.COMPARISON, LOST: ErrorMode.LOST}
ROWS_SEEN, ROWS_SEEN_LOW = 3, 2
LETTERS_OF_A_NAME, ROOM_OF_A_NAME = 16, 2
NO_RUN = "No run yet. Press Start, or open a saved one below."
MOST_KEPT_LISTED = 20
RESCORE_MILLISECONDS = 150


class RunsPanel(QWidget):
    """A list of runs with what can be done to them.

    Parameters
    ----------
    model
        The state of the window.
    runs_folder
        Where runs are kept on disk.
    parent
        The widget that owns it.
    """

    def __init__(self, model: ReconstructionModel, runs_folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._runs_folder = model, runs_folder
        self.faults = Faults(model.message.emit)
        self._evaluator = Evaluator(model)
        self._is_low = False
        self._in_sight: RunRecord | None = None
        """The run that was scrolled to last."""
        self.tree = explain(QTreeWidget(), "runs")
        self.tree.setHeaderLabels(HEADINGS)
        self.tree.setRootIsDecorated(False)
        self.tree.installEventFilter(self)
        self.tree.setUniformRowHeights(True)
        self.tree.setEditTriggers(QTreeWidget.EditTrigger.NoEditTriggers)
        self.tree.itemSelectionChanged.connect(self._show_selected)
        self.tree.itemDoubleClicked.connect(self._edit_name)
        self.tree.itemChanged.connect(self._take_name)
        self.compare = choice("compare", {}, self._take_compared)
        modes = {mode: mode for mode in (SIDE_BY_SIDE, BLINK, DIFFERENCE, LOST)}
        self.compare_mode = choice("compare_mode", modes, self._take_mode)
        self.compare_mode.setMinimumContentsLength(len(SIDE_BY_SIDE))
        self.settings_button = button("Use its settings", "take_settings", self._take_settings)
        self.save_button = button("Save…", "save_run", self._ask_save)
        self.open_button = button("Open…", "open_run", self._ask_open)
        self.delete_button = button("Delete", "delete_run", self._ask_delete)
        self.kept_button = menu_button("Earlier", "kept_runs", self._fill_kept)
        self.empty = QLabel(NO_RUN, self.tree.viewport())
        self.empty.setWordWrap(True)
        self.empty.setMargin(self.fontMetrics().averageCharWidth())
        self._rescore_soon = QTimer(self, interval=RESCORE_MILLISECONDS, singleShot=True)
        self._rescore_soon.timeout.connect(self._show_scores)
        self._lay_out()
        for signal in (model.runs_changed, model.trial_changed):
            subscribe(self, signal, self._show_runs)
        for signal in (model.shown_changed, model.view_changed):
            subscribe(self, signal, self._show_choice)
        for signal in (model.thresholds_changed, model.mask_changed):
            subscribe(self, signal, self._rescore)
        self._show_runs()

    # What a person asks for

    def save(self, record: RunRecord, path: Path) -> None:
        """Save a copy of a run; a folder that is no run is never replaced."""
        if path.exists() and not is_run(path):
            self._model.message.emit(f"{path}: is something else than a run; choose another name.", True)
        elif try_to(self._model, record.result.save, path):
            remember_last_folder(path.parent)
            # Of one that could not be kept this is its only place.
            record.path = record.path or path
            self._show_runs()
            self._model.message.emit(f"{record.name} was saved as {path}.", False)

    def open(self, path: Path) -> None:
        """Open a saved run with everything it was made with."""
        if try_to(self._model, open_run, self._model, path):
            remember_folder(path)

    def delete(self, record: RunRecord) -> None:
        """Forget a run and delete its folder, if that is one of the window's own."""
        self._model.remove_run(record)
        if self._is_ours(record):
            assert record.path is not None
            shutil.rmtree(record.path, ignore_errors=True)
            if record.path.exists():
                text = f"{record.path}: could not be deleted, or not all of it; {record.name} is listed no more."
                self._model.message.emit(text, True)

    def _is_ours(self, record: RunRecord) -> bool:
        """Whether a run lies in the folder where the window keeps its own."""
        return record.path is not None and os.path.realpath(record.path.parent) == os.path.realpath(self._runs_folder)

    def set_low(self, is_low: bool) -> None:
        """In a low window the list scrolls a little sooner."""
        self._is_low = is_low
        rows = ROWS_SEEN_LOW if is_low else ROWS_SEEN
        self.tree.setFixedHeight(self.tree.fontMetrics().height() * (rows + 1) * 3 // 2)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """With larger letters the list is higher, and the column of names wider."""
        if watched is self.tree and event is not None and event.type() == QEvent.Type.FontChange:
            self.set_low(self._is_low)
            self._show_runs()
        return False

    @property
    def selected(self) -> RunRecord | None:
        """The run whose row is selected."""
        items = self.tree.selectedItems()
        listed, row = self._listed, self.tree.indexOfTopLevelItem(items[0]) if items else -1
        # A run may be gone whose row is still there.
        return listed[row] if 0 <= row < len(listed) else None

    @property
    def _listed(self) -> list[RunRecord]:
        """A row each: the runs of this session, then those of others."""
        return [*self._model.runs, *self._model.elsewhere]

    def _ask_save(self) -> None:
        record = self.selected
        if record is not None:
            start = str(last_folder() / f"{record.name.replace('/', '-')}.zarr")
            name, _ = QFileDialog.getSaveFileName(self, "Save the run", start, "Run folders (*.zarr)")
            if name:
                self.save(record, Path(name).with_suffix(".zarr"))

    def _ask_open(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a saved run", str(self._runs_folder))
        if name:
            self.open(Path(name))

    def _ask_delete(self) -> None:
        record = self.selected
        if record is None:
            return
        stays = f"Take {record.name} from the list? {record.path} stays where it is."
        lost = f"Delete {record.name}{', also from disk' * (record.path is not None)}? This cannot be undone."
        # A name with brackets in it is no markup.
        question = html.escape(lost if self._is_ours(record) or record.path is None else stays)
        answer = QMessageBox.question(self, "Delete run", f"<qt>{question}</qt>")
        if answer == QMessageBox.StandardButton.Yes:
            self.delete(record)

    def _fill_kept(self, menu: QMenu) -> None:
        session = self._model.session
        open_already = {record.path for record in self._model.runs}
        kept = [] if session is None else kept_runs(self._runs_folder, session.name)
        for run in [run for run in kept if run.path not in open_already][:MOST_KEPT_LISTED]:
            menu.addAction(f"{run.clip}, {run.when}", partial(self.open, run.path))
        if menu.isEmpty():
            menu.addAction("None of this session").setEnabled(False)

    def _take_settings(self) -> None:
        record = self.selected
        if record is not None:
            try_to(self._model, take_over_settings, self._model, record)

    def _take_compared(self, record: RunRecord | None) -> None:
        self._model.compare_with(record)
        if record is None:
            self._model.set_view(blinking=False, error_mode=self._plain_error_mode)
        else:
            self._take_mode(self.compare_mode.currentData())

    def _take_mode(self, mode: str) -> None:
        error_mode = ERROR_OF_MODE.get(mode, self._plain_error_mode)
        if self._model.compared is not None:
            self._model.set_view(blinking=mode == BLINK, error_mode=error_mode)

    @property
    def _plain_error_mode(self) -> ErrorMode:
        mode = self._model.error_mode
        return ErrorMode.STIMULUS if mode in ERROR_OF_MODE.values() else mode

    def _edit_name(self, item: QTreeWidgetItem, column: int) -> None:
        if column == NAME:
            self.tree.editItem(item, NAME)

    def _take_name(self, item: QTreeWidgetItem, column: int) -> None:
        if column == NAME:
            record = self._listed[self.tree.indexOfTopLevelItem(item)]
            self._model.rename_run(record, item.text(NAME).strip() or record.name)

    def _show_selected(self) -> None:
        record = self.selected
        self._enable()
        if record in self._model.elsewhere:
            # Of another session: it is put beside the run on the board, and that stays.
            self._take_compared(record)
        elif record is not None and record is not self._model.shown:
            try_to(self._model, show_run, self._model, record)

    # From the model to the controls

    def _show_runs(self) -> None:
        model = self._model
        with QSignalBlocker(self.tree):
            place = self.tree.verticalScrollBar().value()
            take_out_rows(self.tree)
            for record in self._listed:
                foreign = record in model.elsewhere
                changed = f"{Path(record.recipe.session).name}, {record.recipe.clip_name}" if foreign else ""
                changed = changed or _changed(record)
                item = QTreeWidgetItem([record.name, changed, "", time_in_words(record.seconds)])
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                item.setTextAlignment(CORRELATION, Qt.AlignmentFlag.AlignRight)
                item.setTextAlignment(TIME, Qt.AlignmentFlag.AlignRight)
                item.setToolTip(CHANGED, changed)
                item.setToolTip(NAME, _facts(record))
                self.tree.addTopLevelItem(item)
        # A long name is cut, and not the number beside it; the one that is shown is bold.
        bold = QFont(self.tree.font())
        bold.setBold(True)
        metrics = QFontMetrics(bold)
        names = [HEADINGS[NAME], *(record.name for record in self._listed)]
        widest = max(metrics.horizontalAdvance(name[:LETTERS_OF_A_NAME]) for name in names)
        self.tree.header().resizeSection(NAME, widest + ROOM_OF_A_NAME * metrics.averageCharWidth())
        self.empty.setVisible(not self._listed)
        # Where a person had scrolled to, before the shown one is brought into sight, if it is another one now.
        self.tree.doItemsLayout()
        self.tree.verticalScrollBar().setValue(place)
        self._show_scores()
        self._show_choice()

    def _rescore(self) -> None:
        if self._model.runs:
            self._rescore_soon.start()

    @guarded
    def _show_scores(self) -> None:
        with QSignalBlocker(self.tree):
            for index, record in enumerate(self._listed):
                correlation = self._evaluator.video_correlation(record)
                text = f"{correlation:.3f}" if np.isfinite(correlation) else "–"
                self.tree.topLevelItem(index).setText(CORRELATION, text)

    def _show_choice(self) -> None:
        model = self._model
        with QSignalBlocker(self.tree):
            for index, record in enumerate(self._listed):
                item = self.tree.topLevelItem(index)
                item.setSelected(record is model.shown)
                font = item.font(NAME)
                font.setBold(record is model.shown)
                item.setFont(NAME, font)
            listed = self._listed
            shown = model.shown if model.shown in listed else None
            if shown is not None and shown is not self._in_sight:
                # Once, so that a person can look for another one.
                self.tree.scrollToItem(self.tree.topLevelItem(listed.index(shown)))
            self._in_sight = shown
        offered = [*(run for run in model.runs_here if run is not model.shown), *model.elsewhere]
        names = [named(model, record) for record in offered]
        options: dict[str, RunRecord | None] = {"–": None}
        for index, (name, record) in enumerate(zip(names, offered, strict=True)):
            # Two may have one name, as two folders of one name have, and both can be compared with.
            again = 1 + names[:index].count(name)
            options[f"{name} ({again})" if again > 1 else name] = record
        set_options(self.compare, options)
        choose(self.compare, model.compared)
        of_error = {error: mode for mode, error in ERROR_OF_MODE.items()}
        mode = of_error.get(model.error_mode, BLINK if model.blinking else None)
        if mode is not None:
            choose(self.compare_mode, mode)
        self._enable()

    def _enable(self) -> None:
        has_selection = bool(self.tree.selectedItems())
        for control in (self.save_button, self.delete_button):
            control.setEnabled(has_selection)
        self.settings_button.setEnabled(has_selection and self.selected not in self._model.elsewhere)
        self.compare.setEnabled(len(self._model.runs_here) + len(self._model.elsewhere) > 1)
        self.compare_mode.setEnabled(self._model.compared is not None)
        self.kept_button.setEnabled(self._model.session is not None)

    def _lay_out(self) -> None:
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Interactive)
        for column in (CORRELATION, TIME):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(CHANGED, QHeaderView.ResizeMode.Stretch)
        # It scrolls itself, so that the page need not. Of a tree that is said to need no height the layout gives a part
        # to the row below, over which it then lies.
        self.set_low(False)
        stack(self.tree.viewport(), self.empty)
        fields = form()
        fields.addRow("Compare", row(self.compare, self.compare_mode, stretch=0))
        self.of_run = row(self.settings_button, self.save_button, self.delete_button)
        self.of_files = row(self.open_button, self.kept_button)
        stack(self, self.tree, fields, self.of_run, self.of_files)


def _changed(record: RunRecord) -> str:
    """What differs from the run before, and whether it was stopped on its way."""
    steps = record.result.config.steps
    stopped = "" if record.result.finished else f"stopped at step {len(record.result.history)} of {steps}"
    return ", ".join(part for part in (stopped, record.changed_from_before) if part) or "–"


def _facts(record: RunRecord) -> str:
    result, made_with = record.result, record.recipe
    lines = [
        f"{made_with.clip_name}, {made_with.target} activity",
        f"{len(result.history)} of {result.config.steps} steps",
        f"preset {result.config.preset_name}, {made_with.neurons}",
        *(f"{name} {told}" for name, told in result.inferred().items()),
        f"kept in {record.path}" if record.path is not None else "not kept on disk",
    ]
    return "\n".join(lines)
