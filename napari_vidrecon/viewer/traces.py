"""The Traces widget: everything that changes from frame to frame, above one time axis that moves the slider."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import napari
import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget
from superqt.utils import QSignalThrottler

from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.evaluation import GROUPS, Group, TimeCourse, TimeCourses
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.main_window import Letters, go_to_frame, present_frame
from napari_vidrecon.viewer.plots import BOTTOM_IN_LINES, LEAST_WIDTH_IN_LETTERS, REDRAW_HZ, AskingPlot, Heading, Plot
from napari_vidrecon.viewer.registry import model_of
from napari_vidrecon.viewer.tooltips import explain

TIME_AXIS = "time in the trial (s)"
COLOURS = {
    "stimulus": "blue",
    "reconstruction": "orange",
    "compared run": "rose",
    "to the right": "blue",
    "down": "orange",
    "": "green",
}
LINES_PER_LETTER = 3
CORRELATION_TICKS = (-1.0, -0.5, 0.0, 0.5, 1.0)
READ_OUT_HZ = 5.0
SHARE_OF_TIME = 0.05
"""Of the window's time, the share that drawing curves may take while a run goes on."""
ROW_IN_LINES, LEAST_ROW_IN_LINES = 7.0, 5.5
ROWS_AT_FIRST = 3
GAP_BELOW_LIMIT = 0.05
BOLD_SHARE = 1.12
"""Bold letters and the blanks between parts, of the width of plain ones."""


class NowLine(QWidget):
    """A line at the present moment, laid over a plot: moving it redraws two strips and not the curves."""

    def __init__(self, plot: Plot) -> None:
        super().__init__(plot.viewport())
        self._plot, self.time_s = plot, 0.0
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        plot.getPlotItem().getViewBox().sigRangeChanged.connect(self.follow)
        plot.getPlotItem().getViewBox().sigResized.connect(self.follow)
        self.hide()

    def stand_at(self, time_s: float) -> None:
        """Move to a time, seconds."""
        self.time_s = time_s
        self.follow()

    def follow(self, *_range: object) -> None:
        """Stay at the same time when the axes move."""
        box = self._plot.getPlotItem().getViewBox()
        area = box.sceneBoundingRect()
        width = max(1, self._plot.fontMetrics().averageCharWidth() // LINES_PER_LETTER)
        centre = box.mapViewToScene(QPointF(self.time_s, 0.0)).x()
        self.setGeometry(round(centre - width / 2), round(area.top()), width, round(area.height()))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """One colour, from the theme."""
        QPainter(self).fillRect(self.rect(), QColor(self._plot.colours["now"]))


class TimePlot(AskingPlot):
    """A plot over time; a click or a drag asks for a moment, a line shows the present one."""

    def __init__(self, group: Group, parent: QWidget | None = None) -> None:
        super().__init__(TIME_AXIS, ROW_IN_LINES - 1, parent)
        self.now = NowLine(self)
        self.curves: dict[str, pg.PlotDataItem] = {}
        self._group = group
        if group.is_correlation:
            self.getPlotItem().getAxis("left").setTicks([[(value, f"{value:g}") for value in CORRELATION_TICKS], []])
        self.setCursor(Qt.CursorShape.IBeamCursor)

    def draw(self, times_s: np.ndarray, curves: list[TimeCourse]) -> None:
        """Draw these curves and no others; the axis of a correlation ends at 1."""
        values = {curve.name: curve.values for curve in curves}
        for name in values:
            if name not in self.curves:
                self.curves[name] = self.add_curve(COLOURS.get(name, "green"))
        for name, line in self.curves.items():
            line.setData(times_s if name in values else [], values.get(name, []))
        finite = np.concatenate([v[np.isfinite(v)] for v in values.values()]) if values else np.zeros(0)
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        if self._group.is_correlation:
            low, high = min(low, 0.0), 1.0
        high = high if high > low else low + 1.0
        margin = GAP_BELOW_LIMIT * (high - low)
        self.getPlotItem().setYRange(low - margin, high + margin, padding=0)
        if len(times_s) > 1:
            self.getPlotItem().setXRange(times_s[0], times_s[-1], padding=0)


class Row(QWidget):
    """A plot and its heading, which also says the values at the present frame.

    Parameters
    ----------
    key
        Of `GROUPS`.
    """

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.group, self._curves = GROUPS[key], list[TimeCourse]()
        self._read: tuple[int, str] | None = None
        self.plot = TimePlot(self.group)
        self.heading = Heading(self.plot)
        for widget in (self, self.plot, self.heading):
            explain(widget, f"{key}_trace")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.heading)
        layout.addWidget(self.plot, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """With as many words as there is room for now."""
        super().resizeEvent(event)
        if self._read is not None:
            self.read_out(*self._read)

    def draw(self, times_s: np.ndarray, curves: list[TimeCourse]) -> None:
        """Draw the curves of this row."""
        self._curves = curves
        self.plot.draw(times_s, curves)
        self.plot.now.setVisible(bool(curves))

    def read_out(self, frame: int, missing: str = "") -> None:
        """Say the values at a frame, or why there is none."""
        self._read = frame, missing
        group, unit = self.group, (f"({self.group.unit})", "")
        title, short = (group.title, ""), (group.short or group.title, "")
        values = [(_value_text(curve, frame), COLOURS.get(curve.name, "green")) for curve in self._curves]
        numbers = [(text.rpartition(" ")[2], colour) for text, colour in values]
        told = values or [(missing, "")]
        # A heading of several lines would leave the curve of a low dock none; the colours say whose numbers they are.
        offered = ([title, unit, *told], [title, *told], [short, *told], [short, *(numbers or [("–", "")])])
        room = self.width()
        parts = next((each for each in offered if self._width_of(each) <= room), offered[-1])
        marks = {title[0]: "b", short[0]: "b", unit[0]: "small"}
        dressed = [f"<{marks[text]}>{text}</{marks[text]}>" if text in marks else text for text, _ in parts]
        if missing and parts[-1][0] == missing:
            dressed[-1] = f"<i>{missing}</i>"
        self.heading.show_parts(*zip(dressed, (colour for _, colour in parts), strict=True))

    def _width_of(self, parts: list[tuple[str, str]]) -> float:
        """About, as the title is bold."""
        return BOLD_SHARE * self.heading.fontMetrics().horizontalAdvance("  ".join(text for text, _ in parts))


class Traces(QWidget):
    """Curves over the frames of the trial on the board, with a line at the present frame.

    Parameters
    ----------
    napari_viewer
        The viewer whose slider is followed and moved.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        Letters(self)
        self.viewer, self.model = napari_viewer, model_of(napari_viewer)
        self.faults = Faults(self.model.message.emit)
        self._courses = TimeCourses(self.model)
        self._times_s, self._columns = np.zeros(0), 0
        self._there = {key for key, group in GROUPS.items() if not group.is_inferred}
        self.rows = {key: Row(key) for key in GROUPS}
        self._lay_out()
        self._redraw = self._throttler(self._draw, REDRAW_HZ)
        self._move = self._throttler(self._move_lines, REDRAW_HZ)
        self._read = self._throttler(self._read_out, READ_OUT_HZ)
        for row in self.rows.values():
            row.plot.asked_for.connect(self.go_to_time)
        model = self.model
        for signal in (
            model.trial_changed,
            model.shown_changed,
            model.snapshot_arrived,
            model.mask_changed,
            model.thresholds_changed,
            model.neurons_changed,
            model.stimulus_prediction_changed,
            model.session_changed,
        ):
            subscribe(self, signal, self._ask_to_redraw)
        subscribe(self, napari_viewer.dims.events.current_step, self._ask_to_move)
        self._draw()

    @property
    def frame(self) -> int:
        """The frame the slider stands at."""
        return min(present_frame(self.viewer), max(len(self._times_s) - 1, 0))

    def go_to_time(self, time_s: float) -> None:
        """Move the slider to the frame nearest to a time in the trial, seconds."""
        if len(self._times_s):
            go_to_frame(self.viewer, int(np.abs(self._times_s - time_s).argmin()))

    def sizeHint(self) -> QSize:
        """Room for a few plots one below the other; the others move beside them."""
        row = next(iter(self.rows.values())).sizeHint()
        return QSize(row.width(), round(ROWS_AT_FIRST * ROW_IN_LINES * self.fontMetrics().height()))

    def minimumSizeHint(self) -> QSize:
        """One plot: the others move beside it when there is no room below."""
        metrics = self.fontMetrics()
        lines = LEAST_ROW_IN_LINES + 2
        return QSize(LEAST_WIDTH_IN_LETTERS * metrics.averageCharWidth(), round(lines * metrics.height()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the plots into as many columns as the shape of the widget asks for."""
        super().resizeEvent(event)
        self._arrange()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what changed while nothing could be seen."""
        super().showEvent(event)
        self._draw()

    def _throttler(self, slot: Callable[[], None], most_hz: float) -> QSignalThrottler:
        throttler = QSignalThrottler(parent=self)
        throttler.setTimeout(round(1000 / most_hz))
        throttler.triggered.connect(slot)
        return throttler

    def _lay_out(self) -> None:
        self.position = explain(QLabel(), "trace_position")
        self.position.setWordWrap(True)
        self.position.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.choice = explain(QToolButton(), "choose_traces")
        self.choice.setText("Curves")
        self.choice.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.choice)
        for key, group in GROUPS.items():
            action = menu.addAction(group.title)
            action.setCheckable(True)
            action.setChecked(True)
            action.toggled.connect(self._choose)
            action.setData(key)
        self.choice.setMenu(menu)
        top = QHBoxLayout()
        top.addWidget(self.position, 1)
        top.addWidget(self.choice)
        self._grid = QGridLayout()
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addLayout(self._grid, 1)
        self._choose()

    def _choose(self) -> None:
        for action in self.choice.menu().actions():
            action.setVisible(action.data() in self._there)
            self.rows[action.data()].setVisible(action.isChecked() and action.isVisible())
        self._arrange(anew=True)

    def _chosen(self) -> list[Row]:
        actions = self.choice.menu().actions()
        return [self.rows[each.data()] for each in actions if each.isChecked() and each.data() in self._there]

    def _arrange(self, *, anew: bool = False) -> None:
        rows = self._chosen()
        if not rows:
            return
        metrics = self.fontMetrics()
        room = max(self.height() - 2 * metrics.height(), 1)
        plots = room - BOTTOM_IN_LINES * metrics.height()
        fit_below = max(int(plots / (LEAST_ROW_IN_LINES * metrics.height())), 1)
        fit_beside = max(int(self.width() / (LEAST_WIDTH_IN_LETTERS * metrics.averageCharWidth())), 1)
        columns = min(math.ceil(len(rows) / fit_below), fit_beside)
        height = math.ceil(len(rows) / columns)
        self._share_height(room, height)
        if columns == self._columns and not anew:
            return
        self._columns = columns
        for row in self.rows.values():
            self._grid.removeWidget(row)
        for index, row in enumerate(rows):
            line, column = index % height, index // height
            lowest = line == height - 1 or index == len(rows) - 1
            self._grid.addWidget(row, line, column, height - line if lowest else 1, 1)
            row.plot.set_bottom(TIME_AXIS if lowest else "")
        for column in range(len(GROUPS)):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)

    def _share_height(self, room: int, lines: int) -> None:
        """Give every plot the same height; the lowest one also carries the time axis."""
        axis = round(BOTTOM_IN_LINES * self.fontMetrics().height())
        each = max((room - axis) // lines, 1)
        for line in range(len(GROUPS)):
            self._grid.setRowStretch(line, 0 if line >= lines else each + axis if line == lines - 1 else each)

    def _ask_to_redraw(self, _snapshot: object = None) -> None:
        self._redraw.throttle()

    def _ask_to_move(self, _event: object = None) -> None:
        self._move.throttle()
        self._read.throttle()

    @guarded
    def _draw(self) -> None:
        if not self.isVisible():
            return
        began = time.perf_counter()
        self._times_s = self._courses.times_s()
        curves = self._courses.all()
        there = {key for key, group in GROUPS.items() if not group.is_inferred} | {curve.group for curve in curves}
        if there != self._there:
            # What a run inferred has a row where it did.
            self._there = there
            self._choose()
        for key, row in self.rows.items():
            row.draw(self._times_s, [curve for curve in curves if curve.group == key])
        self._move_lines()
        self._read_out()
        cost_ms = 1000 * (time.perf_counter() - began)
        self._redraw.setTimeout(round(max(1000 / REDRAW_HZ, cost_ms / SHARE_OF_TIME)))

    @guarded
    def _move_lines(self) -> None:
        if self.isVisible() and len(self._times_s):
            for row in self._chosen():
                row.plot.now.stand_at(float(self._times_s[self.frame]))

    @guarded
    def _read_out(self) -> None:
        if not self.isVisible():
            return
        if self.model.trial is None or not len(self._times_s):
            self.position.setText("Open a session under “Movie reconstruction” first.")
            return
        frame = self.frame
        mouse = " · simulated mouse" if self.model.trial.simulated else ""
        self.position.setText(f"frame {frame} of {len(self._times_s)} · {self._times_s[frame]:.2f} s{mouse}")
        for row in self._chosen():
            row.read_out(frame, self._missing(row.group))

    def _missing(self, group: Group) -> str:
        """Why a row is empty, in words."""
        trial = self.model.trial
        if trial is not None and group is GROUPS["frame_correlation"] and not trial.has_movie:
            return "no movie to compare with"
        if group.recorded_as:
            return "not recorded"
        return "once there is a reconstruction" if group.is_correlation else ""


def _value_text(curve: TimeCourse, frame: int) -> str:
    value = curve.values[frame] if frame < len(curve.values) else np.nan
    number = f"{value:.2f}" if np.isfinite(value) else "–"
    return f"{curve.name} {number}".strip()
