"""Text that changes many times a second."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget


class SteadyText(QWidget):
    """A text that wraps; the window around it is laid out again only when it needs another number of lines.

    A QLabel asks for a new layout with every text. In a window with a canvas each of those costs a whole picture
    of the window, for every level of widgets above the label.
    """

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Not in a layout, so that what it asks for goes no further.
        self.label = QLabel(self)
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.AutoText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def text(self) -> str:
        """What stands there."""
        return self.label.text()

    def setText(self, text: str) -> None:
        """Write something else."""
        if text != self.label.text():
            self.label.setText(text)
            self._fit()

    def setAlignment(self, alignment: Qt.AlignmentFlag) -> None:
        """Where the text stands."""
        self.label.setAlignment(alignment)

    def sizeHint(self) -> QSize:
        """As wide as it gets, and one line high or more."""
        return QSize(0, self._height())

    def minimumSizeHint(self) -> QSize:
        """As high as its lines."""
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the text all the room."""
        super().resizeEvent(event)
        self.label.setGeometry(self.rect())
        self._fit()

    def _height(self) -> int:
        one_line = self.label.fontMetrics().lineSpacing()
        return max(one_line, self.label.heightForWidth(self.width())) if self.width() > 0 else one_line

    def _fit(self) -> None:
        if self.height() != self._height():
            self.updateGeometry()
