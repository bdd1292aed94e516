"""An import for reading: the arrays that were found, and what was done: totals, warnings first, then every change."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QPalette
from qtpy.QtWidgets import QHeaderView, QTextBrowser, QTreeWidget, QTreeWidgetItem, QWidget

from napari_vidrecon.sessions.importing.columns import NOT_USED, Column
from napari_vidrecon.sessions.importing.recording import Kind
from napari_vidrecon.viewer.importing.controller import Imported, in_words_of_the_form
from napari_vidrecon.viewer.tooltips import explain

HEADINGS = ("Array", "Taken for", "Shape", "Numbers", "Rate", "Range")
NAME, USE = 0, 1
ROWS_SEEN, MOST_LETTERS = 9, 36
NOTHING = "–"


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

    def show_columns(self, columns: Sequence[Column]) -> None:
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


def _facts(column: Column) -> tuple[str, str, str, str]:
    shape = " × ".join(map(str, column.shape)) or NOTHING
    rate = NOTHING if column.rate_hz is None else f"{column.rate_hz:.4g} Hz"
    span = NOTHING if column.lowest is None else f"{column.lowest:.4g} … {column.highest:.4g}"
    span += " (sample)" if column.sampled else ""
    return shape, column.dtype.replace("-", NOTHING), rate, span


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
