"""The window in which a recording of one's own becomes a session: choose, look, import, open."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QBrush, QDragEnterEvent, QDropEvent, QPalette, QShowEvent
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_vidrecon.errors import ConfigError, number_of
from napari_vidrecon.sessions.importing.columns import NOT_USED
from napari_vidrecon.viewer.folders import last_folder, remember_last_folder
from napari_vidrecon.viewer.importing.controller import ImportController, Imported, in_words_of_the_form
from napari_vidrecon.viewer.importing.options import ReadingOptions, SettingsOptions
from napari_vidrecon.viewer.main_window import Letters
from napari_vidrecon.viewer.panels.controls import (
    JobBar,
    busily,
    button,
    choice,
    choose,
    emphasise,
    form,
    row,
    stack,
    tick,
    words,
)
from napari_vidrecon.viewer.panels.sections import Column, Section
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column as Found
    from napari_vidrecon.sessions.importing.recording import Kind
    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings

SCREEN_FOLD = "Screen, colours and frame rate"
SESSION_ENDING = "_session"
LOOK_AFTER_MILLISECONDS = 150
WIDTH_IN_LETTERS, HEIGHT_IN_LINES = 200, 44
PART_OF_SCREEN = 0.9
NEEDED = ("activity", "stimulus")
WISHED = ("running", "pupil size", "pupil centre", "coordinates")
START_HERE = (
    "Choose the folder of suite2p, a folder of arrays, or an NWB file; or drag it here. "
    "Nothing is changed there: a new session folder is written."
)
HEADINGS = ("Array", "Taken for", "Shape", "Numbers", "Rate", "Range")
NAME, USE = 0, 1
ROWS_SEEN, MOST_LETTERS = 9, 36
NOTHING = "–"
KINDS: dict[Kind, str] = {
    "read": "taken from",
    "resampled": "resampled",
    "filled": "filled in",
    "dropped": "left out",
    "repaired": "repaired",
    "assumed": "assumed",
    "warning": "warning",
}
LINES_SEEN = 9


class ImportForm(QDialog):
    """Choose raw files, see every array found in them and what it is taken for, and write a session.

    Parameters
    ----------
    open_session
        Called with the folder of a finished session that a person wants to see.
    """

    def __init__(self, open_session: Callable[[Path], object], parent: QWidget | None = None) -> None:
        from napari_vidrecon.sessions.importing.sources import all_readers

        super().__init__(parent)
        Letters(self)
        self._readers = all_readers()
        self.setWindowTitle("Import a recording")
        self.setAcceptDrops(True)
        self.controller = ImportController(self)
        self._open_session, self._out_is_chosen = open_session, False
        self._source: Path | None = None
        self._mistyped = ""
        self._shown_columns: object = None
        self._was_shown = False
        self.source_name = QElidingLabel("nothing chosen yet")
        self.source_name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.folder_button = button("Folder…", "import_folder", self._ask_folder)
        self.file_button = button("File…", "import_file", self._ask_file)
        kinds = {reader.title: kind for kind, reader in self._readers.items()}
        self.kind = choice("import_kind", kinds, lambda _kind: self._look())
        self.reading = ReadingOptions(self._readers, self._look)
        self.settings = SettingsOptions(self._look)
        self.out = explain(QLineEdit(), "import_out")
        self.out.textEdited.connect(lambda _text: self._keep_out())
        self.out_button = button("Choose…", "import_choose_out", self._ask_out)
        self.replace = tick("Replace a session imported before", "import_replace")
        self.table = ColumnTable()
        self.summary = words(START_HERE)
        self.message = words()
        self.report = ReportView()
        self.bar = JobBar(self.controller, ("import_progress", "import_stop"), "Stop", parent=self)
        self.import_button = button("Import", "import_start", self.start)
        self.open_button = button("Open this session", "import_open", self._open)
        self._look_soon = QTimer(self, interval=LOOK_AFTER_MILLISECONDS, singleShot=True)
        self._look_soon.timeout.connect(self.look)
        self._lay_out()
        self.controller.changed.connect(self._show)
        self._show()

    def sizeHint(self) -> QSize:
        """So many letters wide and lines high."""
        metrics = self.fontMetrics()
        return QSize(WIDTH_IN_LETTERS * metrics.averageCharWidth(), HEIGHT_IN_LINES * metrics.height())

    def showEvent(self, event: QShowEvent) -> None:
        """At first, as large as it needs to be with the theme's letters; later as a person left it."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            screen = self.screen().availableGeometry()
            self.resize(self.sizeHint().boundedTo(screen.size() * PART_OF_SCREEN))
            if not screen.contains(self.geometry()):
                # Qt had put a smaller one in the middle of its window.
                place = self.geometry()
                place.moveCenter(screen.center())
                self.move(place.topLeft())

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "open_button"):
            self._show_message()

    # What a person asks for

    def choose(self, path: Path) -> None:
        """Take raw files, tell their kind by their names, and look at them."""
        from napari_vidrecon.sessions.importing.sources import kind_of

        if self.controller.busy:
            return
        self._source = path.absolute()
        choose(self.kind, kind_of(path))
        self.reading.forget()
        self.source_name.setText(str(self._source))
        if not self._out_is_chosen:
            # The root of a disk has no name.
            self.out.setText(str(self._source.parent / ((self._source.stem or "recording") + SESSION_ENDING)))
        self.look()

    def look(self) -> None:
        """List the arrays."""
        self._look_soon.stop()
        if self._source is not None:
            source = self.reading.source(self.kind.currentData(), self._source)
            settings = self._settings()
            if settings is not None:
                self.controller.look(source, settings)

    def start(self) -> None:
        """Write the session."""
        name = self.out.text().strip()
        settings = self._settings()
        if self._source is None or not name or settings is None:
            return
        source = self.reading.source(self.kind.currentData(), self._source)
        out = Path(name).expanduser().absolute()
        self.controller.start(source, settings, out, replace=self.replace.isChecked())

    def _settings(self) -> ImportSettings | None:
        """The choices; where one cannot be used, none, and the form says why."""
        try:
            settings, self._mistyped = self.settings.settings(), ""
        except ConfigError as fault:
            settings, self._mistyped = None, str(fault)
        self._show()
        return settings

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """One folder or file that lies on this machine."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take it."""
        self.choose(Path(event.mimeData().urls()[0].toLocalFile()))
        event.acceptProposedAction()

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "A suite2p folder, or a folder of arrays", str(last_folder()))
        if name:
            remember_last_folder(Path(name).parent)
            self.choose(Path(name))

    def _ask_file(self) -> None:
        kinds = [reader for reader in self._readers.values() if reader.suffixes]
        known = [f"{reader.title} ({' '.join(f'*{suffix}' for suffix in reader.suffixes)})" for reader in kinds]
        name, _ = QFileDialog.getOpenFileName(self, "A recording", str(last_folder()), ";;".join(known))
        if name:
            remember_last_folder(Path(name).parent)
            self.choose(Path(name))

    def _ask_out(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "The session folder to write", self.out.text() or str(last_folder()),
            options=QFileDialog.Option.ShowDirsOnly | QFileDialog.Option.DontConfirmOverwrite,
        )  # fmt: skip
        if name:
            self.out.setText(name)
            self._keep_out()

    def _keep_out(self) -> None:
        self._out_is_chosen = bool(self.out.text().strip())
        self._show()

    def _look(self) -> None:
        self.reading.show_kind(self.kind.currentData())
        self._look_soon.start()

    def _open(self) -> None:
        imported = self.controller.imported
        if imported is not None:
            # First out of the way: opening takes seconds, in which a form that stays looks as if nothing came of it.
            self.hide()
            with busily():
                self._open_session(imported.folder)

    # What is shown

    def _show(self) -> None:
        controller = self.controller
        if controller.columns is not self._shown_columns:
            self._shown_columns = controller.columns
            columns = controller.columns or ()
            self.table.show_columns(columns)
            self.reading.offer_columns(columns)
        self.reading.show_kind(self.kind.currentData())
        busy, imported = controller.busy, controller.imported
        for control in (self.folder_button, self.file_button, self.kind, self.reading, self.settings,
                        self.settings.screen, self.out, self.out_button, self.replace):  # fmt: skip
            control.setEnabled(not busy)
        ready = self._source is not None and bool(self.out.text().strip()) and not controller.looking
        self.import_button.setEnabled(ready and not busy and bool(self._used) and not self._mistyped)
        emphasise(self.import_button, imported is None and not self._lacking)
        emphasise(self.folder_button, self._source is None)
        self.open_button.setVisible(imported is not None)
        emphasise(self.open_button, True)
        self.report.setVisible(imported is not None)
        self.table.setVisible(imported is None)
        if imported is not None:
            self.report.show_report(imported)
        self.summary.setText(self._summary())
        self._show_message()

    @property
    def _used(self) -> set[str]:
        return {column.use for column in self.controller.columns or () if column.shape}

    @property
    def _lacking(self) -> list[str]:
        return [use for use in NEEDED if use not in self._used]

    def _summary(self) -> str:
        controller = self.controller
        if self._source is None:
            return START_HERE
        if controller.looking:
            return "Looking at the files…"
        if controller.imported is not None:
            return f"The session is written: <b>{html.escape(str(controller.imported.folder))}</b>"
        if controller.columns is None:
            return ""
        found = [use for use in (*NEEDED, *WISHED) if use in self._used]
        neutral = [use for use in WISHED[:-1] if use not in self._used]
        entries = number_of(len(controller.columns), "entry", "entries")
        text = f"{entries}; found {', '.join(found) or 'nothing that can be used'}."
        return text + (f" Without {', '.join(neutral)}: neutral values are taken." if neutral else "")

    def _show_message(self) -> None:
        controller = self.controller
        faults = [self._told_of(column) for column in controller.columns or () if column.fault]
        text, colour = "", theme_colours(self)["rose"]
        if self._mistyped or controller.fault:
            text = self._mistyped or controller.fault
        elif controller.stopped:
            text, colour = "Stopped; nothing was written.", theme_colours(self)["orange"]
        elif controller.imported is None and not controller.looking and not controller.busy and faults:
            text, colour = faults[0], theme_colours(self)["orange"]
        self.message.setText(f'<span style="color:{colour}">{html.escape(text)}</span>')
        self.message.setVisible(bool(text))

    def _told_of(self, column: Found) -> str:
        """What is wrong with an array, and with which."""
        names_it = self._source is not None and str(self._source) in column.use
        return in_words_of_the_form(column.use if names_it else f"{column.name}: {column.use}")

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Files", row(self.source_name, self.folder_button, self.file_button, stretch=0))
        fields.addRow("They are", self.kind)
        left = QWidget()
        self.fold = Section("Settings", self.settings, open_at_first=True, minor=True)
        self.screen_fold = Section(SCREEN_FOLD, self.settings.screen, open_at_first=False, minor=True)
        stack(left, self.reading, self.fold, self.screen_fold)
        right = QVBoxLayout()
        right.addWidget(self.summary)
        right.addWidget(self.table, 1)
        right.addWidget(self.report, 1)
        right.addWidget(self.message)
        middle = QHBoxLayout()
        middle.addWidget(Column([left]))
        middle.addLayout(right, 1)
        target = form()
        target.addRow("Session to write", row(self.out, self.out_button, self.replace, stretch=0))
        layout = QVBoxLayout(self)
        layout.addLayout(fields)
        layout.addLayout(middle, 1)
        layout.addLayout(target)
        layout.addLayout(row(self.bar, self.open_button, self.import_button, stretch=0))


class ColumnTable(QTreeWidget):
    """One row an array: name, use, shape, kind of numbers, rate and range. Those without a use are dimmed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        explain(self, "import_columns")
        self.setHeaderLabels(HEADINGS)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QTreeWidget.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.header()
        header.setStretchLastSection(True)
        for column in range(len(HEADINGS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setMaximumSectionSize(self.fontMetrics().averageCharWidth() * MOST_LETTERS)
        self.setMinimumHeight(self.fontMetrics().height() * (ROWS_SEEN + 1) * 3 // 2)

    def show_columns(self, columns: Sequence[Found]) -> None:
        """Show these, those with a use first."""
        self.clear()
        dimmed = QBrush(self.palette().color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text))
        for column in sorted(columns, key=lambda column: column.use.startswith(NOT_USED)):
            use = in_words_of_the_form(column.use)
            item = QTreeWidgetItem([column.name, use, *_facts(column)])
            item.setToolTip(NAME, column.name)
            item.setToolTip(USE, use)
            font = item.font(USE)
            font.setBold(not column.use.startswith(NOT_USED) and not column.fault)
            font.setItalic(column.fault)
            item.setFont(USE, font)
            if column.use.startswith(NOT_USED):
                for place in range(len(HEADINGS)):
                    item.setForeground(place, dimmed)
            self.addTopLevelItem(item)


def _facts(column: Found) -> tuple[str, str, str, str]:
    shape = " × ".join(map(str, column.shape)) or NOTHING
    rate = NOTHING if column.rate_hz is None else f"{column.rate_hz:.4g} Hz"
    span = NOTHING if column.lowest is None else f"{column.lowest:.4g} … {column.highest:.4g}"
    span += " (sample)" if column.sampled else ""
    return shape, column.dtype.replace("-", NOTHING), rate, span


class ReportView(QTextBrowser):
    """The report of an import."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        explain(self, "import_report")
        self.setOpenLinks(False)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setMinimumHeight(self.fontMetrics().lineSpacing() * LINES_SEEN)

    def show_report(self, imported: Imported) -> None:
        """Write it."""
        report = imported.report
        totals = ", ".join(f"{_text(value)} {name.replace('_', ' ')}" for name, value in _plain(report.totals).items())
        tiers = ", ".join(f"{count} {tier}" for tier, count in report.totals.get("trials_by_tier", {}).items())
        parts = [f"<p><b>{totals}</b><br>trials by tier: {_text(tiers)}</p>"]
        for kind, title in sorted(KINDS.items(), key=lambda pair: pair[0] != "warning"):
            notes = report.of_kind(kind)
            if notes:
                items = "".join(
                    f"<li>{_text(note.about)}: {_text(in_words_of_the_form(note.text))}</li>" for note in notes
                )
                parts.append(f"<p><b>{title.capitalize()}</b></p><ul style='margin-top: 0'>{items}</ul>")
        parts.append("<p>The same is kept in the session as import.txt.</p>")
        self.setHtml("".join(parts))


def _plain(totals: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in totals.items() if not isinstance(value, dict)}


def _text(value: object) -> str:
    return html.escape(str(value))
