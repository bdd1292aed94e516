"""Panels in pages behind tabs, with more behind a click; under headings that fold; in a column that scrolls."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari_vidrecon.viewer.panels.controls import stack

WIDEST_LETTERS = 52
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
        # A stop of the Tab key at which nothing could be done; it scrolls along with what has the keyboard.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        inside.installEventFilter(self)

    def sizeHint(self) -> QSize:
        """All of it, so that nothing scrolls where there is room."""
        hint = self.minimumSizeHint()
        inside = self.widget()
        return hint if inside is None else QSize(hint.width(), inside.sizeHint().height())

    def showEvent(self, event: QShowEvent) -> None:
        """Lie at once as what changed meanwhile needs it; Qt would do so later, with rows over each other till then."""
        super().showEvent(event)
        for part in reversed(self.widget().findChildren(QWidget)):
            if part.layout() is not None:
                part.updateGeometry()
        QCoreApplication.sendEvent(self, QEvent(QEvent.Type.LayoutRequest))

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


class _Stack(QStackedWidget):
    """As large as what is in sight needs to be."""

    def minimumSizeHint(self) -> QSize:
        """Of the page in sight; a page that was never shown asks for more, as it does not know its style yet."""
        shown = self.currentWidget()
        hint = super().minimumSizeHint() if shown is None else shown.minimumSizeHint()
        return hint.boundedTo(QSize(WIDEST_LETTERS * self.fontMetrics().averageCharWidth(), hint.height()))

    def sizeHint(self) -> QSize:
        """Of the page in sight."""
        shown = self.currentWidget()
        return super().sizeHint() if shown is None else shown.sizeHint()


class Pages(QWidget):
    """A few pages behind tabs; what is needed less often is a detail of a page, one click behind it.

    Parameters
    ----------
    parent
        The widget that owns it.
    """

    changed = Signal()
    """Another page or detail is in sight."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(True)
        self.tabs.setAccessibleName("pages of the dock")
        self.back_button = QPushButton("‹ Back")
        self.back_button.setToolTip("<qt>Back to the page (Escape).</qt>")
        self.back_button.clicked.connect(lambda _checked=False: self.close_detail())
        self._detail_title = QLabel()
        self._stack = _Stack()
        self._pages: dict[str, Column] = {}
        self._details: dict[str, Column] = {}
        self._prepare: dict[str, Callable[[], object]] = {}
        self._open = ""
        # Napari would else put an empty stretch below the dock, which takes half of the page's room.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._lay_out()
        self.tabs.currentChanged.connect(lambda _index: self.close_detail())
        self.tabs.tabBarClicked.connect(lambda _index: self.close_detail())

    def add_page(self, title: str, widget: QWidget, told: str) -> None:
        """Put a widget behind a tab of its own.

        Parameters
        ----------
        title
            On the tab.
        widget
            The page.
        told
            Tooltip of the tab.
        """
        self._pages[title] = Column([widget])
        self._stack.addWidget(self._pages[title])
        self.tabs.setTabToolTip(self.tabs.addTab(title), f"<qt>{told}</qt>")
        self._show()

    def add_detail(self, title: str, widget: QWidget, prepare: Callable[[], object] | None = None) -> None:
        """Keep a widget for `open_detail`.

        Parameters
        ----------
        title
            Above it, when it is open.
        widget
            What is shown instead of the page.
        prepare
            Called before it is shown.
        """
        self._details[title] = Column([widget])
        self._stack.addWidget(self._details[title])
        if prepare is not None:
            self._prepare[title] = prepare

    @property
    def titles(self) -> list[str]:
        """Of all pages."""
        return list(self._pages)

    @property
    def details(self) -> list[str]:
        """Of all details."""
        return list(self._details)

    @property
    def page(self) -> str:
        """Title of the page in sight, or of the one behind the detail."""
        return self.tabs.tabText(self.tabs.currentIndex())

    @property
    def detail(self) -> str:
        """Title of the detail in sight; empty if there is none."""
        return self._open

    def open_page(self, title: str) -> None:
        """Show a page."""
        self.tabs.setCurrentIndex(self.titles.index(title))
        self.close_detail()

    def open_detail(self, title: str) -> None:
        """Show a detail instead of the page."""
        self._prepare.get(title, lambda: None)()
        self._open = title
        self._show()

    def close_detail(self) -> None:
        """Back to the page."""
        self._open = ""
        self._show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape goes back."""
        if event.key() == Qt.Key.Key_Escape and self._open:
            self.close_detail()
        else:
            super().keyPressEvent(event)

    def _show(self) -> None:
        shown = self._details[self._open] if self._open else self._pages.get(self.page)
        self._head.setVisible(bool(self._open))
        self._detail_title.setText(f"<b>{self._open}</b>")
        if shown is not None and shown is not self._stack.currentWidget():
            self._stack.setCurrentWidget(shown)
            self._stack.updateGeometry()
        self.updateGeometry()
        self.changed.emit()

    @property
    def shown(self) -> QWidget:
        """The page, or the detail of one, that is in sight."""
        return self._stack.currentWidget()

    @property
    def wished_height(self) -> int:
        """So high that nothing of what is in sight scrolls, pixels."""
        shown = self.shown
        spacing = self.layout().spacing()
        heads = [self.tabs, *([self._head] if self._open else [])]
        return sum(head.sizeHint().height() + spacing for head in heads) + (
            shown.widget().minimumSizeHint().height() if isinstance(shown, Column) else 0
        )

    def _lay_out(self) -> None:
        self._head = QWidget()
        head = QHBoxLayout(self._head)
        head.setContentsMargins(0, 0, 0, 0)
        head.addWidget(self.back_button)
        head.addWidget(self._detail_title, 1)
        layout = stack(self, self.tabs, self._head, close=True)
        layout.addWidget(self._stack, 1)
