"""Panels in pages behind tabs, with more behind a click; under headings that fold; in a column that scrolls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QShowEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QFormLayout,
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

from napari_vidrecon.viewer.main_window import letter_scale
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
        # Where all of it fits, its size stays, and with it where its parts lie.
        inside = self.widget().layout()
        inside.invalidate()
        inside.activate()

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
    """As large as what is in sight needs to be.

    Parameters
    ----------
    tabs
        Written in the size that napari's settings have; a widget without words keeps the system's.
    """

    def __init__(self, tabs: QTabBar) -> None:
        super().__init__()
        self._tabs = tabs

    def minimumSizeHint(self) -> QSize:
        """Of the page in sight; a page that was never shown asks for more, as it does not know its style yet."""
        shown = self.currentWidget()
        hint = super().minimumSizeHint() if shown is None else shown.minimumSizeHint()
        # What lies around letters does not become smaller with them.
        letter_px = self._tabs.fontMetrics().averageCharWidth() / min(letter_scale(), 1.0)
        return hint.boundedTo(QSize(round(WIDEST_LETTERS * letter_px), hint.height()))

    def sizeHint(self) -> QSize:
        """Of the page in sight."""
        shown = self.currentWidget()
        return super().sizeHint() if shown is None else shown.sizeHint()


ROLES = (QFormLayout.ItemRole.FieldRole, QFormLayout.ItemRole.SpanningRole)
TIGHT_PX = 2
"""Between two rows of a low window."""
ROOMY = "roomy"
"""What a layout of a low window knows: how far apart its rows were."""


@dataclass(frozen=True)
class _Part:
    """What stands in one of two layouts."""

    widget: QWidget
    label: QWidget | None
    home: QFormLayout | QBoxLayout
    index: int
    stretch: int
    away: QFormLayout | QBoxLayout


class Fold:
    """Parts of pages that are needed less often: while the window is low, they stand behind a click."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def add(self, part: QWidget, home: QFormLayout | QBoxLayout, away: QFormLayout | QBoxLayout) -> None:
        """Know one of them; of one layout those further up come first.

        Parameters
        ----------
        part
            With its label, if it has one.
        home
            Where it stands.
        away
            Where it stands, at the end, while the window is low.
        """
        label = home.labelForField(part) if isinstance(home, QFormLayout) else None
        index = _place(home, part)
        stretch = home.stretch(index) if isinstance(home, QBoxLayout) else 0
        self._parts.append(_Part(part, label, home, index, stretch, away))

    def move(self, is_low: bool) -> None:
        """Put all of them where they belong."""
        for part in self._parts:
            before, after = (part.home, part.away) if is_low else (part.away, part.home)
            index = part.index if after is part.home else after.count()
            if isinstance(before, QFormLayout):
                before.takeRow(_place(before, part.widget))
            else:
                before.removeWidget(part.widget)
            if isinstance(after, QBoxLayout):
                # Away from home it is as wide as what stands beside it.
                after.insertWidget(index, part.widget, after.stretch(index - 1) if is_low else part.stretch)
            elif part.label is None:
                after.insertRow(index, part.widget)
            else:
                after.insertRow(index, part.label, part.widget)


def _place(layout: QFormLayout | QBoxLayout, widget: QWidget) -> int:
    """In which row it stands."""
    if isinstance(layout, QBoxLayout):
        return layout.indexOf(widget)
    places = [(row, layout.itemAt(row, role)) for row in range(layout.rowCount()) for role in ROLES]
    return next(row for row, item in places if item is not None and item.widget() is widget)


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
        self._stack = _Stack(self.tabs)
        self._pages: dict[str, Column] = {}
        self._details: dict[str, Column] = {}
        self._prepare: dict[str, Callable[[], object]] = {}
        self._only_low: set[str] = set()
        self.is_low = False
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

    def add_detail(
        self, title: str, widget: QWidget, prepare: Callable[[], object] | None = None, *, only_low: bool = False
    ) -> None:
        """Keep a widget for `open_detail`.

        Parameters
        ----------
        title
            Above it, when it is open.
        widget
            What is shown instead of the page.
        prepare
            Called before it is shown.
        only_low
            There is something in it while the window is low.
        """
        if only_low:
            self._only_low.add(title)
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
        """Of all details that have something to show."""
        return [title for title in self._details if self.is_low or title not in self._only_low]

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

    def set_low(self, is_low: bool) -> None:
        """Put the rows close together, or as far apart as they were."""
        self.is_low = is_low
        for column in (*self._pages.values(), *self._details.values()):
            inside = column.widget()
            for layout in (*inside.findChildren(QFormLayout), *inside.findChildren(QVBoxLayout)):
                _set_low(layout, is_low)
        if not is_low and self._open in self._only_low:
            self.close_detail()

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


def _set_low(layout: QFormLayout | QVBoxLayout, is_low: bool) -> None:
    """Rows of one layout, which notes itself how far apart they were: forms come and go while a window is low."""
    is_form = isinstance(layout, QFormLayout)
    set_spacing = layout.setVerticalSpacing if is_form else layout.setSpacing
    spacing = layout.verticalSpacing() if is_form else layout.spacing()
    if is_low and spacing > TIGHT_PX:
        layout.setProperty(ROOMY, spacing)
        set_spacing(TIGHT_PX)
    elif not is_low and layout.property(ROOMY) is not None:
        set_spacing(layout.property(ROOMY))
        layout.setProperty(ROOMY, None)
