"""Small pieces that panels are built from."""

from __future__ import annotations

import bisect
import contextlib
import html
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from qtpy.QtCore import QCoreApplication, QEvent, QLocale, QObject, QSignalBlocker, QSize, Qt, QTimer
from qtpy.QtGui import QGuiApplication, QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_vidrecon.viewer.background import Background
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.runs.status import time_in_words, without_middle
from napari_vidrecon.viewer.tooltips import explain

Box = TypeVar("Box", QSpinBox, QDoubleSpinBox)
EMPHASIS_STYLE = (
    "QPushButton:enabled { background-color: #0072B2; color: white; font-weight: bold; }\n"
    "QPushButton:focus { border: 1px solid white; }"
)
PLAIN_NUMBERS = QLocale.c()
PLAIN_NUMBERS.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
LETTERS_OF_A_CHOICE, LETTERS_OF_A_NARROW_ONE = 8, 14
"""A list may be narrower than its longest entry, but not than this."""


def button(text: str, name: str, action: Callable[[], None], *, checkable: bool = False) -> QPushButton:
    """A named button with its tooltip.

    Parameters
    ----------
    text
        On the button.
    name
        By which its tooltip, and tests, find it.
    action
        Called when a person presses or toggles it.
    checkable
        It stays down until it is pressed again.

    Returns
    -------
    QPushButton
        Without an owner.
    """
    made = explain(QPushButton(text), name)
    made.setCheckable(checkable)
    made.clicked.connect(lambda _checked=False: action())
    return made


def menu_button(text: str, name: str, fill: Callable[[QMenu], None]) -> QPushButton:
    """A named button with a menu.

    Parameters
    ----------
    text
        On the button.
    name
        By which its tooltip, and tests, find it.
    fill
        Fills the menu, whenever it opens.

    Returns
    -------
    QPushButton
        Without an owner.
    """
    made = explain(QPushButton(text), name)
    menu = QMenu(made)
    menu.setToolTipsVisible(True)

    def refill() -> None:
        menu.clear()
        fill(menu)
        for action in menu.actions():
            # Names of files, in which Qt would take the sign for a key.
            action.setText(action.text().replace("&", "&&"))

    menu.aboutToShow.connect(refill)
    made.setMenu(menu)
    return made


def choice(name: str, options: Mapping[str, Any], action: Callable[[Any], object] | None = None) -> QComboBox:
    """A named drop-down list.

    Parameters
    ----------
    name
        By which its tooltip, and tests, find it.
    options
        What is shown, and what `action` is given for it.
    action
        Called when a person chooses; None: it is asked when it is needed.

    Returns
    -------
    QComboBox
        Without an owner.
    """
    made = explain(QComboBox(), name)
    narrow(made)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(LETTERS_OF_A_CHOICE)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    set_options(made, options)
    if action is not None:
        made.activated.connect(lambda index: action(made.itemData(index)))
    return made


def set_options(combo: QComboBox, options: Mapping[str, Any]) -> None:
    """Replace what a list offers, without telling anybody."""
    with QSignalBlocker(combo):
        combo.clear()
        for text, value in options.items():
            combo.addItem(text, value)


def take_out_rows(rows: QTreeWidget | QListWidget) -> None:
    """Take out all rows; they live on until Qt is at rest, for it may be in the middle of choosing or ticking one.

    Parameters
    ----------
    rows
        A list or table of ours.
    """
    if isinstance(rows, QListWidget):
        gone: list[QListWidgetItem | QTreeWidgetItem | None] = [rows.takeItem(0) for _ in range(rows.count())]
    else:
        gone = [rows.takeTopLevelItem(0) for _ in range(rows.topLevelItemCount())]
    QTimer.singleShot(0, gone.clear)


def choose(combo: QComboBox, value: Any) -> None:
    """Show a value in a list, without telling anybody."""
    for index in range(combo.count()):
        if combo.itemData(index) == value:
            if combo.currentIndex() != index:
                with QSignalBlocker(combo):
                    combo.setCurrentIndex(index)
            return


def whole_number(
    name: str,
    lowest: int,
    highest: int,
    action: Callable[[], object] | None = None,
    step: int = 1,
    *,
    before: str = "",
    after: str = "",
    value: int | None = None,
) -> QSpinBox:
    """A named box for a whole number.

    Parameters
    ----------
    name
        By which its tooltip, and tests, find it.
    lowest, highest
        Limits, both allowed.
    action
        Called when a person has finished typing or steps; None: it is asked when it is needed.
    step
        Of the arrows.
    before, after
        Words beside the number.
    value
        At first; None: the one next to 0.

    Returns
    -------
    QSpinBox
        Without an owner.
    """
    made = explain(QSpinBox(), name)
    made.setAlignment(Qt.AlignmentFlag.AlignLeft)
    return _prepared(made, (lowest, highest), action, step, (before, after), value)


def number(
    name: str,
    lowest: float,
    highest: float,
    action: Callable[[], object] | None = None,
    *,
    decimals: int = 2,
    step: float = 0.1,
    after: str = "",
    value: float | None = None,
) -> QDoubleSpinBox:
    """A named box for a number.

    Parameters
    ----------
    name
        By which its tooltip, and tests, find it.
    lowest, highest
        Limits, both allowed.
    action
        Called when a person has finished typing or steps; None: it is asked when it is needed.
    decimals
        Digits shown after the point.
    step
        Of the arrows.
    after
        Words behind the number.
    value
        At first; None: the one next to 0.

    Returns
    -------
    QDoubleSpinBox
        Without an owner.
    """
    made = explain(QDoubleSpinBox(), name)
    made.setDecimals(decimals)
    return _prepared(made, (lowest, highest), action, step, ("", after), value)


def write_plainly(box: QAbstractSpinBox) -> None:
    """Digits and a point in whatever language the system speaks, as in files and scripts; a typed comma is one."""
    box.setLocale(PLAIN_NUMBERS)
    box.installEventFilter(_CommaIsPoint(box))


class _CommaIsPoint(QObject):
    """Types a point where a person types a comma; else a box would take it for nothing."""

    def eventFilter(self, box: QObject, event: QEvent) -> bool:
        """Exchange the key."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.text() == ",":
            point = QKeyEvent(event.type(), Qt.Key.Key_Period, event.modifiers(), ".")
            return bool(QCoreApplication.sendEvent(box, point))
        return super().eventFilter(box, event)


def _prepared(
    made: Box,
    limits: tuple[float, float],
    action: Callable[[], object] | None,
    step: float,
    beside: tuple[str, str],
    value: float | None,
) -> Box:
    write_plainly(made)
    made.setRange(*limits)
    made.setSingleStep(step)
    made.setKeyboardTracking(False)
    made.setPrefix(beside[0])
    made.setSuffix(beside[1])
    if value is not None:
        made.setValue(value)
    if action is not None:
        made.valueChanged.connect(lambda _value: action())
    return made


def narrow(*controls: QWidget) -> None:
    """Let numbers and lists be narrower than napari's style would have them, where they share a row."""
    for control in controls:
        control.setMinimumWidth(LETTERS_OF_A_NARROW_ONE * control.fontMetrics().averageCharWidth())


def tick(text: str, name: str, action: Callable[[bool], object] | None = None) -> QCheckBox:
    """A named box to tick.

    Parameters
    ----------
    text
        Beside the box.
    name
        By which its tooltip, and tests, find it.
    action
        Called with whether it is ticked; None: it is asked when it is needed.

    Returns
    -------
    QCheckBox
        Without an owner.
    """
    made = explain(QCheckBox(text), name)
    if action is not None:
        made.toggled.connect(action)
    return made


def progress(name: str) -> QProgressBar:
    """A named bar; move it with `advance`."""
    return explain(QProgressBar(), name)


def advance(bar: QProgressBar, done: int, of: int) -> None:
    """Show how far something is, with the window's next picture.

    Left to itself a QProgressBar paints at once; beside a canvas that makes the whole window paint, every time.

    Parameters
    ----------
    bar
        To be moved.
    done
        How far.
    of
        How far it goes; 0: not known.
    """
    if (bar.value(), bar.maximum()) == (done, of):
        return
    waits = bar.testAttribute(Qt.WidgetAttribute.WA_ForceUpdatesDisabled)
    bar.setUpdatesEnabled(False)
    bar.setRange(0, of)
    bar.setValue(done)
    bar.setUpdatesEnabled(not waits)


class JobBar(QWidget):
    """How far a job in the background is, how long it still takes, and a button that ends it; nothing at rest.

    Parameters
    ----------
    background
        Whose job it is.
    names
        Of the bar and of the button, which have tooltips.
    stop
        What stands on the button.
    what
        What is counted, where the job does not say it itself: "fitting: step".
    parent
        The panel it belongs to.
    """

    def __init__(
        self, background: Background, names: tuple[str, str], stop: str, what: str = "", *, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._background, self._what = background, what
        self.bar = progress(names[0])
        self.stop_button = button(stop, names[1], background.stop)
        layout = row(self.bar, self.stop_button, stretch=0)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        background.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        counted, left = self._background.counted, self._background.seconds_left
        self.setVisible(counted is not None)
        self.stop_button.setEnabled(not self._background.stopping)
        if counted is not None:
            advance(self.bar, counted.done, counted.total)
            what = f"{counted.text}:" if counted.text else self._what
            time_left = f", {time_in_words(left)} left" if math.isfinite(left) and left > 0 else ""
            self.bar.setFormat(f"{what} {counted.done} of {counted.total}{time_left}")


def put(control: QSpinBox | QDoubleSpinBox | QCheckBox | QPushButton, value: Any) -> None:
    """Show a value, without telling anybody."""
    with QSignalBlocker(control):
        if isinstance(control, (QCheckBox, QPushButton)):
            control.setChecked(value)
        else:
            control.setValue(value)


def emphasise(control: QPushButton, wanted: bool) -> None:
    """Show that this button is the one to press next, or no longer."""
    style = EMPHASIS_STYLE if wanted else ""
    if control.styleSheet() != style:
        control.setStyleSheet(style)


def row(*widgets: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Widgets side by side; the one numbered `stretch` takes the room that is left."""
    layout = QHBoxLayout()
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if stretch is None or index == stretch else 0)
    return layout


def stack(inside: QWidget, *parts: QWidget | QLayout, close: bool = False) -> QVBoxLayout:
    """Widgets and rows of them below each other, without a margin around.

    Parameters
    ----------
    inside
        Where they lie.
    parts
        From the top.
    close
        Half a letter apart, and not as far as the style has it.

    Returns
    -------
    QVBoxLayout
        To add what else there is.
    """
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(0, 0, 0, 0)
    if close:
        layout.setSpacing(inside.fontMetrics().averageCharWidth() // 2)
    for part in parts:
        if isinstance(part, QLayout):
            layout.addLayout(part)
        else:
            layout.addWidget(part)
    return layout


@contextlib.contextmanager
def busily() -> Iterator[None]:
    """The pointer says that there is to wait."""
    QGuiApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
    try:
        yield
    finally:
        QGuiApplication.restoreOverrideCursor()


def in_one_place(*parts: QWidget | QLayout) -> QGridLayout:
    """What takes turns to be seen, in a place as large as the largest of them: nothing around it ever moves."""
    layout = QGridLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        if isinstance(part, QLayout):
            layout.addLayout(part, 0, 0)
            continue
        kept = part.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        part.setSizePolicy(kept)
        layout.addWidget(part, 0, 0)
    return layout


def line() -> QFrame:
    """A thin line between two parts of a page."""
    made = QFrame()
    made.setFrameShape(QFrame.Shape.HLine)
    made.setFixedHeight(1)
    made.setStyleSheet("background-color: rgba(128, 128, 128, 90);")
    return made


def form() -> QFormLayout:
    """Labels on the left, controls that grow on the right; long rows wrap."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
    return layout


def words(text: str = "", name: str | None = None) -> QLabel:
    """A text that wraps and never widens its panel."""
    made = QLabel(text)
    made.setWordWrap(True)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return explain(made, name) if name else made


WORD_LETTERS = (48, 36, 28, 20)
"""Names and paths of more letters lose their middle, one after the other, before a text loses its end."""


class FewLines(QLabel):
    """A text of a few lines: as much is seen as fits, the tooltip has it all. It never moves its neighbours.

    Parameters
    ----------
    lines
        Room for so many, in whatever font the window has.
    parent
        The widget that owns it.
    """

    def __init__(self, lines: int, parent: QWidget | None = None) -> None:
        self._told, self._short, self._colour, self._lines = "", "", "", lines
        super().__init__(parent)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        # Of a label with a style Qt would indent the first line from above, too, and cut the last one off below.
        self.setIndent(0)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._keep_height()

    def write(self, text: str, colour: str, short: str = "") -> None:
        """Write something else.

        Parameters
        ----------
        text
            Plain.
        colour
            By its name in the theme's colours, or as HTML has it.
        short
            What is written where there is no room for all of it.
        """
        if (text, short, colour) != (self._told, self._short, self._colour):
            self._told, self._short, self._colour = text, short, colour
            self.setToolTip(f"<qt>{html.escape(text)}</qt>" if text else "")
            self._show()

    @property
    def told(self) -> str:
        """All that it is to say, also where less is seen."""
        return self._told

    def set_lines(self, lines: int) -> None:
        """Keep room for so many lines from now on."""
        if lines != self._lines:
            self._lines = lines
            self._keep_height()
            self._show()

    def sizeHint(self) -> QSize:
        """The height it was fixed to: with none a page would take that from its neighbours."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def minimumSizeHint(self) -> QSize:
        """The same."""
        return QSize(0, self.minimumHeight())

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and its font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._keep_height()
            self._show()

    def hasHeightForWidth(self) -> bool:
        """Never: a label that wraps would otherwise be given its text's height, not the one it was fixed to."""
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As much as fits now."""
        super().resizeEvent(event)
        self._show()

    def _keep_height(self) -> None:
        margins = self.contentsMargins()
        # Rounded as Qt does it: lines of a text that wraps may be lower than two font heights, or higher.
        words = self.fontMetrics().boundingRect(0, 0, 0, 0, Qt.TextFlag.TextWordWrap, "x " * self._lines).height()
        self.setFixedHeight(words + margins.top() + margins.bottom())

    def _fits(self, text: str) -> bool:
        metrics, room = self.fontMetrics(), self.contentsRect()
        # Beside a frame Qt leaves half a letter free.
        width = room.width() - metrics.horizontalAdvance("x")
        needed = metrics.boundingRect(0, 0, width, 0, Qt.TextFlag.TextWordWrap, text)
        return needed.height() <= max(room.height(), metrics.lineSpacing()) and needed.width() <= width

    def _show(self) -> None:
        text = self._told
        if self._short and not self._fits(text):
            text = self._short
        for most in WORD_LETTERS:
            # A name or a path would otherwise take all the room, and what is wrong with it would not be seen.
            if not self._fits(text):
                text = " ".join(without_middle(word, most) for word in text.split(" "))
        if not self._fits(text):
            letters = bisect.bisect_left(range(len(text)), True, key=lambda count: not self._fits(f"{text[:count]}…"))
            text = f"{text[: max(letters - 1, 0)].rstrip()}…"
        colour = theme_colours(self).get(self._colour, self._colour)
        # Where the labels of its neighbours begin.
        left = self.fontMetrics().horizontalAdvance("x") // 2
        style = f"margin-left:{left}px; color:{colour}"
        self.setText(f'<div style="{style}">{html.escape(text)}</div>' if text else "")
