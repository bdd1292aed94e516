"""A table of every array that was found in raw files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QPalette
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_vidrecon.viewer.importing.report_view import in_words_of_the_form
from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column

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
        from napari_vidrecon.sessions.importing.columns import NOT_USED

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
