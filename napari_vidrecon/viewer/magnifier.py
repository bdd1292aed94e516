"""A magnifier: what is under the mouse in every movie at once, with its grey levels."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPoint, QRect, QSize, Qt
from qtpy.QtGui import QColor, QCursor, QGuiApplication, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_vidrecon.viewer.board.pointing import Pointing
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.live_picture import coloured
from napari_vidrecon.viewer.second_screen import shown_movies
from napari_vidrecon.viewer.subscriptions import subscribe

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
    def _side(self) -> int:
        pixel = max(round(PIXEL_IN_LINES * self.fontMetrics().lineSpacing()), 1)
        return pixel * (2 * REACH + 1)

    def sizeHint(self) -> QSize:
        """As many pictures as movies are shown, side by side, and a line below them."""
        line, movies = self.fontMetrics().lineSpacing(), max(len(shown_movies(self._board)), 1)
        return QSize(movies * (self._side + 2), self._side + 2 * line)

    @guarded
    def paintEvent(self, _event: QPaintEvent) -> None:
        """The pixels around the one under the mouse; beyond the movie there is nothing."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), BACKGROUND)
        if self.pixel is not None:
            row, column = self.pixel
            frame, side, line = self._board.layers.frame, self._side, self.fontMetrics().lineSpacing()
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
