"""The movies alone, full screen: for a second monitor, a beamer, or the only screen there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QFontMetrics, QGuiApplication, QKeyEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board import captions
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.live_picture import coloured
from napari_vidrecon.viewer.main_window import go_to_frame

if TYPE_CHECKING:
    from qtpy.QtGui import QScreen

    from napari_vidrecon.viewer.board import Board
    from napari_vidrecon.viewer.player import Player

KEY, TITLE = "F9", "Movies alone"
SHOWN = (Role.STIMULUS, Role.RECONSTRUCTION, Role.COMPARISON)
EMPTY = "Open a session in the other window, and its movies appear here.   Escape: leave"
BACKGROUND, WORDS = QColor(0, 0, 0), QColor(190, 190, 190)
WORDS_SHARE, LEAST_WORDS_PX = 0.018, 11
GAP_SHARE = 0.02
"""Of the window's height, between movies and around them."""


class MoviesAlone(QWidget):
    """Stimulus, reconstruction, and the compared run, as large as the screen has room for; they follow the board.

    Parameters
    ----------
    board
        Whose movies are shown: its frame, its colours, and as what they are shown.
    player
        Space plays.
    window
        napari's main window, which owns this one.
    """

    def __init__(self, board: Board, player: Player, window: QMainWindow) -> None:
        super().__init__(window, Qt.WindowType.Window)
        self.setWindowTitle(f"{TITLE} - Movie reconstruction")
        self.setAccessibleName("the movies alone, full screen")
        self._board, self._player = board, player
        self.faults = board.faults
        model = board.model
        for signal in (
            model.trial_changed, model.shown_changed, model.view_changed, model.snapshot_arrived, model.mask_changed,
            model.looked_back_changed, model.state_changed, board.viewer.dims.events.current_step, player.frame_shown,
        ):  # fmt: skip
            subscribe(self, signal, self._follow)

    def toggle(self) -> None:
        """Fill a screen, another one than the main window's where there is one; or go away."""
        if self.isVisible():
            self.close()
            return
        screen = other_screen(self.parentWidget().screen(), QGuiApplication.screens())
        self.setGeometry(screen.geometry())
        self.showFullScreen()
        self.activateWindow()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape leaves; Space plays; the arrows go from frame to frame."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Escape, Qt.Key.Key_F9):
            self.close()
        elif key == Qt.Key.Key_Space:
            self._player.toggle()
        elif key in steps:
            go_to_frame(self._board.viewer, self._board.layers.frame + steps[key])
        else:
            super().keyPressEvent(event)

    def _follow(self, *_news: object) -> None:
        if self.isVisible():
            self.update()

    @guarded
    def paintEvent(self, _event: QPaintEvent) -> None:
        """The frame on display of every movie."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), BACKGROUND)
        painter.setPen(WORDS)
        shown = shown_movies(self._board) if self._board.model.trial is not None else []
        font = painter.font()
        font.setPixelSize(max(round(WORDS_SHARE * self.height()), LEAST_WORDS_PX))
        painter.setFont(font)
        line = 2 * QFontMetrics(font).height()
        if not shown:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, EMPTY)
        smooth = self._board.model.smooth_pixels
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        gap = GAP_SHARE * self.height()
        whole = QRectF(gap, gap, self.width() - 2 * gap, self.height() - 2 * gap - line)
        rows, columns = (self._board.layout.rows, self._board.layout.cols)
        for (layer, title), place in zip(shown, places(whole, len(shown), rows / columns, line, gap), strict=True):
            levels = layer.data[min(self._player.frame, len(layer.data) - 1)]
            painter.drawImage(place, coloured(layer, levels))
            words = QRectF(place.left(), place.bottom(), place.width(), line)
            painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        if shown:
            foot = QRectF(gap, self.height() - line, self.width() - 2 * gap, line)
            told = f"{captions.heading(self._board.model)}   ·   Space: play   ·   Escape: leave"
            painter.drawText(foot, Qt.AlignmentFlag.AlignCenter, told)
        painter.end()


def shown_movies(board: Board) -> list[tuple[Image, str]]:
    """The layers of the movies on the board, and their titles."""
    words = captions.titles(board.model, board.movies.has_error)
    layers = ((board.layers.adopt(role, Image), words[role]) for role in SHOWN)
    return [(layer, title) for layer, title in layers if layer is not None]


def other_screen(own: QScreen, screens: list[QScreen]) -> QScreen:
    """Another screen than the main window's; that one where there is no other."""
    return next((screen for screen in screens if screen is not own), own)


def places(whole: QRectF, movies: int, aspect: float, line: float, gap: float) -> list[QRectF]:
    """Where so many movies are largest, in columns and rows.

    Parameters
    ----------
    whole
        The room there is.
    movies
        How many.
    aspect
        Height by width of a movie.
    line
        Room below every movie for its title, pixels.
    gap
        Between movies, pixels.

    Returns
    -------
    list[QRectF]
        One a movie, in the middle of the room.
    """

    def width(columns: int) -> float:
        lines = math.ceil(movies / columns)
        by_width = (whole.width() - (columns - 1) * gap) / columns
        return min(by_width, ((whole.height() - (lines - 1) * gap) / lines - line) / aspect)

    if not movies:
        return []
    columns = max(range(1, movies + 1), key=width)
    wide, lines = width(columns), math.ceil(movies / columns)
    high = wide * aspect
    left = whole.left() + (whole.width() - columns * wide - (columns - 1) * gap) / 2
    top = whole.top() + (whole.height() - lines * (high + line) - (lines - 1) * gap) / 2
    numbers = (divmod(number, columns) for number in range(movies))
    return [
        QRectF(left + column * (wide + gap), top + row * (high + line + gap), wide, high) for row, column in numbers
    ]
