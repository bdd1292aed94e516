"""What lies under the mouse: in the status bar, in the field's units, and magnified in every movie at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QPoint, QRect, QSize, Qt
from qtpy.QtGui import QColor, QCursor, QGuiApplication, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QMainWindow, QWidget
from superqt.utils import QSignalThrottler

from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board.board import Board
from napari_vidrecon.viewer.board.explained import named
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.board.pointing import Pointing
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.live_picture import coloured
from napari_vidrecon.viewer.main_window import present_frame
from napari_vidrecon.viewer.model import ActivityMode, ErrorMode
from napari_vidrecon.viewer.playing import shown_movies

WORDS_OF_ERROR = {ErrorMode.UNCERTAINTY: "uncertainty", ErrorMode.LOST: "lost", ErrorMode.ADDED: "added"}
READ_OUT_HZ = 5.0
"""Each new line costs a picture of the whole window; while the slider moves nobody reads faster."""


class Readout:
    """Writes napari's status line for the board's tiles.

    Parameters
    ----------
    board
        What is read out.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self.faults = board.faults
        self.outline_at: Callable[[tuple[float, ...]], str | None] = lambda position: None
        """Which mask's outline is under a place."""
        self._writing = False
        board.viewer.events.status.connect(self._on_status)
        self._moved = QSignalThrottler()
        self._moved.setTimeout(round(1000 / READ_OUT_HZ))
        self._moved.triggered.connect(self._say_moment)
        board.viewer.dims.events.current_step.connect(self._on_step)

    def close(self) -> None:
        """Leave the status bar to napari."""
        self._board.viewer.events.status.disconnect(self._on_status)
        self._board.viewer.dims.events.current_step.disconnect(self._on_step)
        self._moved.cancel()

    def text(self, position: tuple[float, ...]) -> str | None:
        """What lies at a place (time, y, x), or only (y, x), in world units; None outside the tiles."""
        board = self._board
        if board.model.trial is None:
            return None
        y, x = position[-2:]
        if board.model.grid:
            # In napari's grid all tiles share their coordinates, so a place is a pixel of every movie.
            return self._pixel(board.layout.movie(0).element(y, x, board.layout.rows, board.layout.cols))
        for tile in board.layout.all_movies:
            pixel = tile.element(y, x, board.layout.rows, board.layout.cols)
            if pixel is not None:
                words, outline = self._pixel(pixel), self.outline_at(position)
                return words if words is None or outline is None else f"{words}   drag: the {outline} threshold"
        for column in (0, 1) if board.layout.has_rasters else ():
            box = board.layout.raster(column)
            rows = board.activity.rows
            place = None if rows is None else box.element(y, x, rows.rows, board.layout.frames)
            if place is not None:
                return self._neuron(*place)
        curves = board.layout.curves
        if board.layout.raster_tiles and curves.element(y, x, 1, 1) is not None:
            words = board.activity.explained.words(board.activity.predicted)
            return f"recorded and predicted activity: {words}   Shift-drag: take a time for the bars, Shift-click: all"
        return None

    @property
    def frame(self) -> int:
        """The frame on display."""
        trial = self._board.model.trial
        last = 0 if trial is None else trial.frames - 1
        return min(present_frame(self._board.viewer), last)

    def _moment(self, frame: int) -> str:
        model = self._board.model
        assert model.trial is not None
        return f"frame {frame}, {(model.clip[0] + frame) / model.trial.frame_rate_hz:.2f} s"

    def _pixel(self, pixel: tuple[int, int] | None) -> str | None:
        if pixel is None:
            return None
        board, frame = self._board, self.frame
        row, column = pixel
        parts = [self._moment(frame), f"row {row}, column {column}{self._place(row, column)}"]
        words = {Role.STIMULUS: "stimulus", Role.RECONSTRUCTION: "reconstruction", Role.COMPARISON: "compared"}
        for role, word in words.items():
            layer = board.layers.adopt(role, Image)
            if layer is not None and (role is not Role.RECONSTRUCTION or board.model.video is not None):
                parts.append(f"{word} {_level(layer.data[frame, row, column])}")
                if role is Role.RECONSTRUCTION and board.model.presented.words:
                    parts[-1] += f" ({board.model.presented.words})"
        error = board.layers.adopt(Role.ERROR_MAP, Image)
        if error is not None and board.movies.has_error and board.model.error_mode != ErrorMode.NONE:
            word = WORDS_OF_ERROR.get(board.model.error_mode, "error")
            level = _level(error.data[frame, row, column], board.model.error_has_sign)
            parts.append(f"{word} {level} grey levels")
        inside = [
            name
            for name, threshold in (
                ("training", board.model.training_threshold),
                ("evaluation", board.model.evaluation_threshold),
            )
            if board.model.common_mask.screen[row, column] >= threshold
        ]
        parts.append(f"in {' and '.join(inside)} mask" if inside else "outside the masks")
        return "   ".join(parts)

    def _place(self, row: int, column: int) -> str:
        """Where on the screen of the mouse, and in which of its colours, each of which shows all of it."""
        session = self._board.model.session
        screen = None if session is None else session.screen
        if screen is None:
            return ""
        colour = f" of {screen.colours[row // screen.rows_a_colour]}" if screen.colours else ""
        row %= screen.rows_a_colour
        middle_row, middle_column = screen.centre
        pitch = screen.pixel_pitch_cm / screen.distance_cm
        right = np.degrees(np.arctan((column - middle_column) * pitch))
        up = np.degrees(np.arctan((middle_row - row) * pitch * screen.pixel_height_over_width))
        return f"{colour} ({right:+.0f}°, {up:+.0f}° from the middle)"

    def _neuron(self, row: int, frame: int) -> str:
        model, rows = self._board.model, self._board.activity.rows
        assert rows is not None
        assert model.trial is not None
        assert model.neurons is not None
        neurons = rows.neurons(row)
        if not len(neurons):
            return self._moment(frame)
        tiles = self._board.activity
        explained = tiles.explained.told_correlation(neurons, tiles.predicted)
        parts = [self._moment(frame), named(neurons) + explained]
        recorded = model.trial.responses if model.trial.labelled else None
        activities = {
            "recorded": recorded,
            ActivityMode.FROM_STIMULUS: model.stimulus_prediction,
            ActivityMode.FROM_RECONSTRUCTION: model.reconstruction_prediction,
        }
        for name, activity in activities.items():
            if activity is not None and activity.shape == (len(model.neurons.keep), model.trial.frames):
                values = activity[neurons, frame]
                if not np.isnan(values).all():
                    parts.append(f"{name} {np.nanmean(values):.2f}")
        ablated = int((~model.neurons.keep[neurons]).sum())
        if ablated:
            parts.append("ablated" if ablated == len(neurons) else f"{ablated} of them ablated")
        parts.append("click: go there and keep its curves, Shift-drag: mark")
        return "   ".join(parts)

    @guarded
    def _on_status(self) -> None:
        # Napari has just written its own line; in the same turn of the event loop ours takes its place.
        if not self._writing and self._board.viewer.mouse_over_canvas:
            self._write(self.text(tuple(self._board.viewer.cursor.position)))

    @guarded
    def _on_step(self) -> None:
        self._moved.throttle()

    @guarded
    def _say_moment(self) -> None:
        # Under the mouse, napari itself asks for a new line.
        if not self._board.viewer.mouse_over_canvas and self._board.model.trial is not None:
            self._write(self._moment(self.frame))

    def _write(self, text: str | None) -> None:
        if text is not None:
            self._writing = True
            self._board.viewer.status = text
            self._writing = False


def _level(value: float, signed: bool = False) -> str:
    """A grey level in whole numbers, without a minus before zero."""
    if np.isnan(value):
        return "hidden"
    whole = int(np.rint(value))
    return f"{whole:+d}" if signed and whole else str(whole)


REACH = 6
"""Pixels of the movie to each side of the one under the mouse."""
PIXEL_IN_LINES = 0.75
"""Side of a magnified pixel, in lines of text."""
AWAY_LINES = 1.5
MARK, WORDS, BACKGROUND = QColor(240, 228, 66), QColor(235, 235, 235), QColor(20, 20, 24)


class Magnifier(QWidget):
    """A small window beside the mouse, while it is on a movie; the mouse goes through.

    Parameters
    ----------
    pointing
        Says where the mouse is.
    window
        napari's main window, which owns this one.
    """

    def __init__(self, pointing: Pointing, window: QMainWindow) -> None:
        flags = Qt.WindowType.ToolTip | Qt.WindowType.FramelessWindowHint | Qt.WindowType.WindowTransparentForInput
        super().__init__(window, flags)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self._board, model = pointing.board, pointing.board.model
        self.faults = self._board.faults
        self.pixel: tuple[int, int] | None = None
        subscribe(self, pointing.pixel_pointed, self._point)
        for signal in (model.snapshot_arrived, model.view_changed, model.trial_changed):
            subscribe(self, signal, self._follow)
        subscribe(self, self._board.viewer.dims.events.current_step, self._follow)

    @guarded
    def _point(self, pixel: tuple[int, int] | None) -> None:
        self.pixel = pixel
        self._follow()

    def _follow(self, *_news: object) -> None:
        wanted = self._board.model.magnified and self.pixel is not None and self._board.model.trial is not None
        if wanted:
            self._stand_beside(QCursor.pos())
            self.update()
        if wanted != self.isVisible():
            self.setVisible(wanted)

    def _stand_beside(self, mouse: QPoint) -> None:
        """Right of and below the mouse, or on its other side where the screen ends."""
        size, away = self.sizeHint(), round(AWAY_LINES * self.fontMetrics().lineSpacing())
        screen = QGuiApplication.screenAt(mouse)
        room = QRect(mouse, size) if screen is None else screen.availableGeometry()
        left, top = mouse.x() + away, mouse.y() + away
        if left + size.width() > room.right():
            left = mouse.x() - away - size.width()
        if top + size.height() > room.bottom():
            top = mouse.y() - away - size.height()
        self.setGeometry(QRect(QPoint(left, top), size))

    @property
    def side_px(self) -> int:
        """Of one movie's part: wide and high."""
        pixel = max(round(PIXEL_IN_LINES * self.fontMetrics().lineSpacing()), 1)
        return pixel * (2 * REACH + 1)

    def sizeHint(self) -> QSize:
        """As many pictures as movies are shown, side by side, and a line below them."""
        line, movies = self.fontMetrics().lineSpacing(), max(len(shown_movies(self._board)), 1)
        return QSize(movies * (self.side_px + 2), self.side_px + 2 * line)

    @guarded
    def paintEvent(self, _event: QPaintEvent) -> None:
        """The pixels around the one under the mouse; beyond the movie there is nothing."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), BACKGROUND)
        if self.pixel is not None:
            row, column = self.pixel
            frame, side, line = self._board.layers.frame, self.side_px, self.fontMetrics().lineSpacing()
            for number, (layer, title) in enumerate(shown_movies(self._board)):
                levels = np.pad(
                    layer.data[min(frame, len(layer.data) - 1)].astype(np.float32), REACH, constant_values=np.nan
                )
                near = levels[row : row + 2 * REACH + 1, column : column + 2 * REACH + 1]
                place = QRect(number * (side + 2) + 1, 1, side, side)
                painter.drawImage(place, coloured(layer, near))
                pixel = side / (2 * REACH + 1)
                painter.setPen(QPen(MARK, 1.5))
                painter.drawRect(
                    round(place.left() + REACH * pixel), round(1 + REACH * pixel), round(pixel), round(pixel)
                )
                painter.setPen(WORDS)
                level = near[REACH, REACH]
                told = f"{title}: {'hidden' if np.isnan(level) else f'{level:.0f}'}"
                words = QRect(place.left() + 2, side + 2, side - 4, 2 * line)
                painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap, told)
        painter.end()
