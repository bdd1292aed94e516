"""Line plots that follow napari's theme and the font's size, and text beside them that changes many times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPalette, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import QSignalThrottler

from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.history import History


REDRAW_HZ = 15.0
PROGRESS_HZ = 5.0
"""A curve that grows to the right is followed well enough at this rate, and each drawing costs the window time."""
LINE_WIDTH_PX = 1.8
LEVEL_WIDTH_PX = 1.4
DOT_PX, MOST_DOTS = 4.0, 30
NOT_YET = "\N{FIGURE DASH}.\N{FIGURE DASH}\N{FIGURE DASH}\N{FIGURE DASH}"
"""As wide as the correlation that will stand there, so that no line is added then."""
WIDTH_IN_LETTERS, LEAST_WIDTH_IN_LETTERS = 44, 24
HEIGHT_IN_LINES, LEAST_HEIGHT_IN_LINES = 8, 5
AXIS_WIDTH_IN_LETTERS = 6
BOTTOM_IN_LINES = 2.6
TICK_DENSITY = 0.6
DARK_BELOW_LIGHTNESS = 128
AXIS_OPACITY = 0.65
# Okabe and Ito's colours, in a lighter and a darker form, so that each has contrast on its background.
COLOURS_ON_DARK = {
    "blue": "#56B4E9", "orange": "#E69F00", "green": "#2DC39A", "rose": "#D98CB8", "now": "#F0E442", "ghost": "#9A9AA2",
}  # fmt: skip
COLOURS_ON_LIGHT = {
    "blue": "#006AA6", "orange": "#AB4700", "green": "#007456", "rose": "#9C487B", "now": "#756500", "ghost": "#65656D",
}  # fmt: skip


def theme_colours(widget: QWidget) -> dict[str, str]:
    """Blue, orange, green and rose, by name, for the background of a widget."""
    lightness = widget.palette().color(QPalette.ColorRole.Window).lightness()
    return COLOURS_ON_DARK if lightness < DARK_BELOW_LIGHTNESS else COLOURS_ON_LIGHT


class RoomyAxis(pg.AxisItem):
    """Leaves a number out where it would lie over another one, as in a plot of few lines."""

    def generateDrawSpecs(self, p: QPainter) -> tuple[Any, Any, list[Any]] | None:
        """Keep of overlapping numbers the one that comes first, of the coarser ticks."""
        specs = super().generateDrawSpecs(p)
        if specs is None:
            return None
        line, ticks, numbers = specs
        kept: list[Any] = []
        for number in numbers:
            if not any(number[0].intersects(other[0]) for other in kept):
                kept.append(number)
        return line, ticks, kept


class Plot(pg.PlotWidget):
    """Axes without menus or zoom, in the colours of the window around them; sized by its font.

    Parameters
    ----------
    bottom
        Label of the horizontal axis; empty hides its numbers too.
    height_in_lines
        Preferred height, in lines of text.
    parent
        The widget that owns it.
    """

    def __init__(self, bottom: str = "", height_in_lines: float = HEIGHT_IN_LINES, parent: QWidget | None = None):
        self._height_in_lines = height_in_lines
        super().__init__(parent, background=None, enableMenu=False, axisItems={"left": RoomyAxis("left")})
        self.setFrameShape(self.Shape.NoFrame)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        item = self.getPlotItem()
        item.hideButtons()
        item.setMouseEnabled(x=False, y=False)
        item.setClipToView(False)
        item.getViewBox().setDefaultPadding(0.0)
        metrics = self.fontMetrics()
        # Room for the halves of the outermost numbers and the feet of letters, which would be cut off at the edge.
        item.layout.setContentsMargins(0, metrics.height() / 3, metrics.averageCharWidth(), metrics.height() / 3)
        item.getAxis("left").setTickDensity(TICK_DENSITY)
        self._bottom = bottom
        self._coloured: list[tuple[pg.PlotDataItem | pg.InfiniteLine, str, bool]] = []
        self._apply_theme()

    @property
    def colours(self) -> dict[str, str]:
        """Colours by name, for the present background."""
        return theme_colours(self)

    def add_curve(self, colour: str) -> pg.PlotDataItem:
        """An empty curve in a colour of `colours`; NaN breaks the line."""
        curve = self.getPlotItem().plot(connect="finite")
        self._coloured.append((curve, colour, False))
        self._colour(curve, colour, False)
        return curve

    def add_line(self, colour: str, *, vertical: bool = False, dashed: bool = False) -> pg.InfiniteLine:
        """A line across the whole plot, hidden until it is given a place.

        Parameters
        ----------
        colour
            Name of a colour of the theme, or its code.
        vertical
            It stands, and has a place on the horizontal axis.
        dashed
            It is broken.

        Returns
        -------
        pg.InfiniteLine
            Hidden.
        """
        line = pg.InfiniteLine(angle=90 if vertical else 0)
        line.hide()
        self.getPlotItem().addItem(line, ignoreBounds=True)
        self._coloured.append((line, colour, dashed))
        self._colour(line, colour, dashed)
        return line

    def set_bottom(self, label: str) -> None:
        """Label the horizontal axis; without a label its numbers are hidden too, to leave room for the curve."""
        self._bottom = label
        self._apply_theme()

    def sizeHint(self) -> QSize:
        """So many letters wide and lines high."""
        return self._in_letters(WIDTH_IN_LETTERS, self._height_in_lines)

    def minimumSizeHint(self) -> QSize:
        """As small as it can be read."""
        return self._in_letters(LEAST_WIDTH_IN_LETTERS, min(LEAST_HEIGHT_IN_LINES, self._height_in_lines))

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and the font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._apply_theme()

    def _in_letters(self, letters: float, lines: float) -> QSize:
        metrics = self.fontMetrics()
        return QSize(round(letters * metrics.averageCharWidth()), round(lines * metrics.height()))

    def _colour(self, item: pg.PlotDataItem | pg.InfiniteLine, colour: str, dashed: bool) -> None:
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        pen = pg.mkPen(self.colours[colour], width=LEVEL_WIDTH_PX if dashed else LINE_WIDTH_PX, style=style)
        item.setPen(pen)
        if isinstance(item, pg.PlotDataItem):
            item.setSymbolBrush(pen.color())

    def _apply_theme(self) -> None:
        # Qt asks for the theme once while the base class is still being built.
        if not hasattr(self, "_coloured"):
            return
        text = self.palette().color(QPalette.ColorRole.WindowText)
        faint = QColor(text)
        faint.setAlphaF(AXIS_OPACITY)
        item = self.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(faint))
            axis.setTextPen(pg.mkPen(text))
            axis.setTickFont(self.font())
            axis.setStyle(maxTickLevel=1)
        item.getAxis("left").setWidth(AXIS_WIDTH_IN_LETTERS * self.fontMetrics().averageCharWidth())
        bottom = item.getAxis("bottom")
        bottom.setStyle(showValues=bool(self._bottom))
        bottom.setLabel(self._bottom, **{"color": text.name(), "font-size": f"{self.font().pointSize()}pt"})
        bottom.showLabel(bool(self._bottom))
        bottom.setHeight(self.fontMetrics().height() * (BOTTOM_IN_LINES if self._bottom else 0.5))
        for line, colour, dashed in self._coloured:
            self._colour(line, colour, dashed)
        self.resetCachedContent()
        self.viewport().update()


class SteadyText(QWidget):
    """A text that wraps; the window around it is laid out again only when it needs another number of lines.

    A QLabel asks for a new layout with every text. In a window with a canvas each of those costs a whole picture
    of the window, for every level of widgets above the label.

    Parameters
    ----------
    text
        To begin with.
    one_line
        It never wraps, so that nothing below it ever moves.
    parent
        The widget that owns it.
    """

    def __init__(self, text: str = "", *, one_line: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Not in a layout, so that what it asks for goes no further.
        self.label = QLabel(self)
        self.label.setWordWrap(not one_line)
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
        margins = self.label.contentsMargins()
        # Rounded as Qt does it, within the frame of a label with a style: letters reach down to the last pixel.
        line = self.label.fontMetrics().boundingRect(0, 0, 0, 0, Qt.TextFlag.TextWordWrap, "x").height()
        one_line = line + margins.top() + margins.bottom()
        wraps = self.label.wordWrap() and self.width() > 0
        return max(one_line, self.label.heightForWidth(self.width())) if wraps else one_line

    def _fit(self) -> None:
        if self.height() != self._height():
            self.updateGeometry()


class Heading(SteadyText):
    """The words above a plot; each curve's name stands in the curve's colour.

    Parameters
    ----------
    plot
        Whose colours are used.
    """

    def __init__(self, plot: Plot, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._plot = plot
        self._parts: list[tuple[str, str]] = []

    def show_parts(self, *parts: tuple[str, str]) -> None:
        """Write (text, colour name) one after the other; an empty colour name is plain text."""
        if list(parts) != self._parts:
            self._parts = list(parts)
            self._write()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._write()

    def _write(self) -> None:
        colours = self._plot.colours
        words = [
            f'<span style="color:{colours[colour]}">{text}</span>' if colour else text for text, colour in self._parts
        ]
        self.setText("&nbsp; ".join(words))


class AskingPlot(Plot):
    """A plot of which a click or a drag asks for a place on its horizontal axis."""

    asked_for = Signal(object)
    """A number in units of that axis."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Ask for the place that the left button is pressed at."""
        self._ask(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow it while it is held."""
        self._ask(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The move is over."""
        event.accept()

    def _ask(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            place = self.getPlotItem().getViewBox().mapSceneToView(self.mapToScene(event.position().toPoint()))
            self.asked_for.emit(float(place.x()))
        event.accept()


class StepPlot(AskingPlot):
    """A plot over steps; a double-click asks for the newest again, which is None."""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Back to the newest step."""
        self.asked_for.emit(None)
        event.accept()


class ProgressPlot(QWidget):
    """Loss and correlation step by step, drawn a few times a second and only while they can be seen.

    Dashed lines are what the true movie reaches (Bauer et al. 2026, Fig. 1C); a faint curve is the video correlation of
    the run before. Who drags over the steps sees the reconstruction as it was there.
    """

    step_asked_for = Signal(object)
    """A step (float), or None for the newest."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history: History | None = None
        self._levels: dict[str, float] = {}
        self._redraw = QSignalThrottler(parent=self)
        self._redraw.setTimeout(round(1000 / PROGRESS_HZ))
        self._redraw.triggered.connect(self._draw)

        self.loss_plot = StepPlot(height_in_lines=6)
        self.correlation_plot = StepPlot("optimisation step", height_in_lines=8)
        self.loss_plot.getPlotItem().setXLink(self.correlation_plot.getPlotItem())
        for plot in (self.loss_plot, self.correlation_plot):
            # The axes settle while they are painted and would ask for a second picture of the whole window each time.
            plot.setViewportUpdateMode(Plot.ViewportUpdateMode.NoViewportUpdate)
            plot.asked_for.connect(self.step_asked_for)
            plot.setCursor(Qt.CursorShape.IBeamCursor)
            explain(plot, "progress_plot")
        self._looked_at: float | None = None
        self._ghost: History | None = None
        self._lines = [plot.add_line("now", vertical=True) for plot in (self.loss_plot, self.correlation_plot)]
        self._ghost_curve = self.correlation_plot.add_curve("ghost")
        self._loss = self.loss_plot.add_curve("blue")
        self._loss_level = self.loss_plot.add_line("blue", dashed=True)
        self._video = self.correlation_plot.add_curve("orange")
        self._activity = self.correlation_plot.add_curve("green")
        self._activity_level = self.correlation_plot.add_line("green", dashed=True)
        self.loss_heading, self.correlation_heading = Heading(self.loss_plot), Heading(self.correlation_plot)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.loss_heading, self.loss_plot, self.correlation_heading, self.correlation_plot):
            layout.addWidget(widget)
        layout.setStretchFactor(self.loss_plot, 3)
        layout.setStretchFactor(self.correlation_plot, 4)
        self._draw()

    def show_run(
        self, history: History | None, *, levels: dict[str, float] | None = None, ghost: History | None = None
    ) -> None:
        """Draw a run; calls that come too fast are drawn together.

        Parameters
        ----------
        history
            Of the run; None while nothing is known of it.
        levels
            What the true movie reaches: "loss" (or else "response_loss") and "response_correlation"; may be empty.
        ghost
            Of another run, whose video correlation is drawn behind that of this one.
        """
        wanted = (history, dict(levels or {}), ghost)
        if history is not self._history or wanted[1:] != (self._levels, self._ghost):
            self._history, self._levels, self._ghost = wanted
            self._redraw.throttle()

    def mark_step(self, step: float | None) -> None:
        """Draw a line at the step that is looked back at; None takes it away."""
        if step != self._looked_at:
            self._looked_at = step
            self._redraw.throttle()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while nothing could be seen."""
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        if not self.isVisible() and self._history is not None:
            return
        history = self._history
        empty = np.zeros(0)
        loss = history["loss"] if history is not None else empty
        steps = history["step"] if history is not None else empty
        self._loss.setData(steps, loss)
        video = history.tracked("video_correlation") if history is not None else (empty, empty)
        activity = history.tracked("response_correlation") if history is not None else (empty, empty)
        before = self._ghost.tracked("video_correlation") if self._ghost is not None else (empty, empty)
        self._ghost_curve.setData(*before)
        for line in self._lines:
            _place(line, np.nan if self._looked_at is None else self._looked_at)
        _draw_points(self._video, *video)
        _draw_points(self._activity, *activity)
        level = self._levels.get("loss", self._levels.get("response_loss", np.nan))
        _place(self._loss_level, level)
        activity_level = self._levels.get("response_correlation", np.nan)
        _place(self._activity_level, activity_level if len(activity[0]) else np.nan)
        self._set_ranges(steps, loss, level, np.concatenate([video[1], activity[1]]))

        parts = [(f"loss {loss[-1]:.3f}" if len(loss) else "loss", "blue")]
        if np.isfinite(level):
            parts.append((f"dashed: true movie {level:.3f}", ""))
        self.loss_heading.show_parts(*parts)
        # Named before they are known, and in few words: a line more in the middle of a run would move all around it.
        parts = [("correlation:", ""), (f"video {_newest(video[1])}", "orange")]
        parts.append((f"activity {_newest(activity[1])}", "green"))
        if np.isfinite(activity_level):
            parts.append((f"dashed: true movie {activity_level:.3f}", ""))
        if len(before[1]):
            parts.append((f"run before {_newest(before[1])}", "ghost"))
        # A line ends between two of them, not within one.
        self.correlation_heading.show_parts(*((text.replace(" ", "&nbsp;"), colour) for text, colour in parts))
        for plot in (self.loss_plot, self.correlation_plot):
            # Views and axes would otherwise adapt one after the other, with a picture of the window for each.
            plot.scene().prepareForPaint()
            plot.viewport().update()

    def _set_ranges(self, steps: np.ndarray, loss: np.ndarray, level: float, correlations: np.ndarray) -> None:
        self.correlation_plot.getPlotItem().setXRange(0, max(float(steps[-1]) if len(steps) else 1.0, 1.0), padding=0)
        lowest = float(np.nanmin(correlations, initial=0.0))
        self.correlation_plot.getPlotItem().setYRange(min(lowest, 0.0), 1.0, padding=0.02)
        values = np.append(loss, level)
        values = values[np.isfinite(values)]
        if len(values):
            span = max(float(np.ptp(values)), 1e-6)
            self.loss_plot.getPlotItem().setYRange(values.min() - 0.05 * span, values.max() + 0.05 * span, padding=0)


def _draw_points(curve: pg.PlotDataItem, steps: np.ndarray, values: np.ndarray) -> None:
    """Few measurements are drawn with a dot each, because one alone makes no line."""
    few = len(steps) <= MOST_DOTS
    curve.setData(steps, values, symbol="o" if few else None, symbolSize=DOT_PX, symbolPen=None)


def _newest(values: np.ndarray) -> str:
    """The last number, if there is one."""
    return f"{values[-1]:.3f}" if len(values) else NOT_YET


def _place(line: pg.InfiniteLine, value: float) -> None:
    line.setVisible(bool(np.isfinite(value)))
    if np.isfinite(value):
        line.setValue(value)
