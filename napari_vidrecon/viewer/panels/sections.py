"""Panels under headings that fold them away, in a column that scrolls."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

OPEN_MARK, FOLDED_MARK = "▾", "▸"
HEADING_STYLE = """
QPushButton {{
    text-align: left; border: none; font-weight: {weight}; padding: {padding}px;
    background-color: rgba(128, 128, 128, {opacity});
}}
QPushButton:hover {{ background-color: rgba(128, 128, 128, 90); }}
"""


class Section(QWidget):
    """A widget under a heading; a click on the heading folds it away or back.

    Unlike superqt's QCollapsible it follows its content when that grows or shrinks while it is open.

    Parameters
    ----------
    title
        The heading.
    content
        What is folded.
    open_at_first
        Whether it is open.
    minor
        A fold within a panel; its heading is quieter.
    parent
        The widget that owns it.
    """

    def __init__(
        self,
        title: str,
        content: QWidget,
        *,
        open_at_first: bool = True,
        minor: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title, self.content = title, content
        letter = self.fontMetrics().averageCharWidth()
        weight, opacity = ("normal", 0) if minor else ("bold", 45)
        self.heading = QPushButton()
        self.heading.setStyleSheet(HEADING_STYLE.format(weight=weight, opacity=opacity, padding=letter // 2))
        self.heading.clicked.connect(lambda _checked=False: self.set_open(not self.is_open))
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(letter, letter // 2, letter, letter)
        inside.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, letter // 2)
        layout.setSpacing(0)
        layout.addWidget(self.heading)
        layout.addWidget(self._inside)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.set_open(open_at_first)

    @property
    def is_open(self) -> bool:
        """Whether the content is in sight."""
        return not self._inside.isHidden()

    def set_open(self, is_open: bool) -> None:
        """Fold the content away, or back."""
        self._inside.setVisible(is_open)
        self._write()

    def set_title(self, title: str) -> None:
        """Change the heading."""
        self._title = title
        self._write()

    def _write(self) -> None:
        self.heading.setText(f"{OPEN_MARK if self.is_open else FOLDED_MARK}  {self._title}")


class Column(QScrollArea):
    """Widgets under each other that scroll up and down, never sideways: it is at least as wide as they are."""

    def __init__(self, widgets: list[QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in widgets:
            layout.addWidget(widget)
        layout.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        inside.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for more room when something inside has become wider."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        """As wide as what is inside needs to be."""
        hint = super().minimumSizeHint()
        inside = self.widget()
        if inside is not None:
            hint.setWidth(inside.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width())
        return hint
