"""The reconstruction as it grows, many times a second, in a small window of its own over its tile.

A picture of napari's canvas has all layers, and the window around it, composed anew: without a graphics card that takes
tens of milliseconds from the run. A window of the system inside the main window is composed by nobody: half a
millisecond. It shows the frame on display, on its way from the last step's movie to the newest one.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable
from functools import partial

import numpy as np
from napari.layers import Image
from napari.utils import Colormap
from qtpy.QtCore import QCoreApplication, QEvent, QPoint, QRect, QRectF, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QGuiApplication, QImage, QPainter, QPaintEvent, QRasterWindow
from qtpy.QtWidgets import QMainWindow, QWidget
from vispy.app.base import BaseCanvasBackend

from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.board.outlines import mask_tile
from napari_vidrecon.viewer.board.tiles import Box
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.model import ErrorMode, RunState

PICTURE_MILLISECONDS = 95
PLATFORM = "xcb"
"""Qt's name of the X Window System: there a window inside a window is sure to let the mouse through."""
LONGEST_WAY_SECONDS = 3.0
LEVELS = 256
"""Of a screen: as many colours are looked up."""
UNKNOWN_LEVEL = 64.0
"""Grey level that stands for a movie of which nothing is known."""


class LivePicture:
    """Shows the movie of the run that goes on between two pictures of the board.

    Where it cannot, the board is all there is to see: in napari's grid, in three dimensions, while something is drawn
    over the reconstruction, while it is shown otherwise than as it is, and on systems other than X.

    Parameters
    ----------
    board
        Whose reconstruction is shown.
    main_window
        Napari's.
    """

    def __init__(self, board: Board, main_window: QMainWindow) -> None:
        # Not owned: what holds its own window for ever is never let go.
        self._board, self._window_of = board, weakref.ref(main_window)
        self.faults = board.faults
        self.pictures = 0
        """How many were drawn; for who measures."""
        self._movies: tuple[np.ndarray, np.ndarray] | None = None
        self._seen: tuple[int, np.ndarray] | None = None
        """The frame that was drawn last when the newest movie came, and how far it was."""
        self._arrived_s, self._way_s = 0.0, 1.0
        self._masks: tuple[object, ...] = ()
        self._outlines: QImage | None = None
        self._colours: tuple[Colormap, float, np.ndarray] | None = None
        """Those that a person has given the layer, looked up once."""
        # Also where the program ends in the middle of a run: Qt does not survive windows that are left to the very end.
        self._found: weakref.ref[QWidget] | None = None
        self._held: list[PictureWindow] = []
        weakref.finalize(self, let_go, self._held)
        self._timer = QTimer()
        self._timer.setInterval(PICTURE_MILLISECONDS)
        self._timer.timeout.connect(self.draw)
        board.model.picture_arrived.connect(self.take)
        board.model.state_changed.connect(self._on_state)
        board.viewer.scene.camera.events.connect(self._follow)
        # Before the camera, which fits the board to the new size.
        board.viewer.canvas.events.size.connect(self._step_aside, position="first")

    def _follow(self, _event: object = None) -> None:
        """The board moved below it, as with another layout."""
        if self._held and self._held[0].isVisible():
            self.draw()

    def _step_aside(self, _event: object = None) -> None:
        """The canvas has another size, and is not painted yet: the next picture finds its new place."""
        step_aside(self._held)

    def close(self) -> None:
        """Draw no more: the window is gone."""
        self._movies = None
        self._held.clear()
        with contextlib.suppress(RuntimeError):
            self._timer.stop()

    def take(self, snapshot: Snapshot) -> None:
        """A newer movie of the run."""
        now = time.monotonic()
        if self._movies is None:
            self._movies, self._seen = (snapshot.video, snapshot.video), None
        else:
            # Of all the frames only the one on display is on its way: the run waits while a movie is made.
            frame = self._frame
            self._seen = (frame, self._present(frame, now))
            self._movies = (self._movies[1], snapshot.video)
        self._way_s = min(max(now - self._arrived_s, PICTURE_MILLISECONDS / 1000), LONGEST_WAY_SECONDS)
        self._arrived_s = now
        if self._board.model.state == RunState.RUNNING and not self._timer.isActive():
            self._timer.start()
            self.draw()

    @property
    def _frame(self) -> int:
        assert self._movies is not None
        return min(self._board.layers.frame, len(self._movies[1]) - 1)

    def _present(self, frame: int, now: float) -> np.ndarray:
        """A frame (rows, columns) as far as it is on its way."""
        assert self._movies is not None
        before, after = (movie[frame] for movie in self._movies)
        if self._seen is not None and self._seen[0] == frame:
            before = self._seen[1]
        part = np.float32(min((now - self._arrived_s) / self._way_s, 1.0))
        return (1 - part) * before + part * after

    def _on_state(self) -> None:
        if self._board.model.state != RunState.RUNNING:
            self._timer.stop()
            self._movies = None
            let_go(self._held)

    @property
    def window(self) -> PictureWindow | None:
        """Where it is drawn; None while there is nothing to draw."""
        return self._held[0] if self._held else None

    @property
    def _main(self) -> QMainWindow | None:
        window = self._window_of()
        return window if window is not None and window.isVisible() else None

    @property
    def _canvas(self) -> QWidget | None:
        """Looked for once: the window has hundreds of widgets, and this is asked with every picture."""
        found = None if self._found is None else self._found()
        if found is None and (main := self._main) is not None:
            found = canvas_of(main)
            self._found = None if found is None else weakref.ref(found)
        return found

    @property
    def possible(self) -> bool:
        """Whether nothing else is to be seen at the reconstruction's place."""
        board, model = self._board, self._board.model
        if QGuiApplication.platformName() != PLATFORM or model.grid or model.blinking or model.presented.changes:
            return False
        if not board.layers.flat or self._main is None or model.looked_back is not None:
            return False
        layer = board.layers.adopt(Role.RECONSTRUCTION, Image)
        if layer is None or not layer.visible:
            return False
        numbers = board.movies.number_of
        return model.error_mode == ErrorMode.NONE or numbers(Role.ERROR_MAP) != numbers(Role.RECONSTRUCTION)

    @guarded
    def draw(self) -> None:
        """Draw the frame on display as it is now."""
        main, movies, canvas = self._main, self._movies, self._canvas
        if movies is None or main is None or canvas is None or not self.possible:
            let_go(self._held)
            return
        levels = self._present(self._frame, time.monotonic())
        box = self._board.layout.movie(self._board.movies.number_of(Role.RECONSTRUCTION))
        tile, whole = place_of(self._board, box, canvas, main)
        shown = tile.intersected(QRectF(whole))
        if shown.isEmpty():
            return
        if not self._held:
            self._held.append(PictureWindow())
            self._held[0].setParent(main.windowHandle())
        self._held[0].show_picture(self._coloured(levels), self._masks_drawn(), tile, shown.toAlignedRect() & whole)
        self.pictures += 1

    def _coloured(self, levels: np.ndarray) -> QImage:
        layer = self._board.layers.adopt(Role.RECONSTRUCTION, Image)
        assert layer is not None
        if self._colours is None or self._colours[0] is not layer.colormap or self._colours[1] != layer.gamma:
            self._colours = (layer.colormap, layer.gamma, lookup(layer))
        return image_of(in_colours(levels, layer, self._colours[2]))

    def _masks_drawn(self) -> QImage:
        model = self._board.model
        mice = model.masks_of_mice
        made_from = (model.common_mask, model.training_threshold, model.evaluation_threshold)
        if self._outlines is None or made_from != self._masks:
            training, evaluation = (model.common_mask.binary(each) for each in made_from[1:])
            self._masks, self._outlines = made_from, image_of(mask_tile(training, evaluation, mice))
        return self._outlines


class PicturesOfNow:
    """The pictures of a live session over the tiles of stimulus and reconstruction, while it goes on.

    Where they cannot be, for the reasons that a `LivePicture` has, the dock is where they are seen.

    Parameters
    ----------
    live_picture
        Of the same window; the run that it shows goes before.
    """

    def __init__(self, live_picture: LivePicture) -> None:
        self._over = live_picture
        self._held: list[PictureWindow] = []
        weakref.finalize(self, let_go, self._held)
        live_picture._board.viewer.canvas.events.size.connect(self._step_aside, position="first")

    def _step_aside(self, _event: object = None) -> None:
        step_aside(self._held)

    @property
    def windows(self) -> list[PictureWindow]:
        """Where they are drawn: what was shown, what is seen; none at rest."""
        return list(self._held)

    def show(self, truth: np.ndarray | None, picture: np.ndarray) -> None:
        """Show what is seen now.

        Parameters
        ----------
        truth
            (rows, columns) grey levels of what was shown, or None where that is not known.
        picture
            Of what is seen.
        """
        over, board = self._over, self._over._board
        main, canvas = over._main, over._canvas
        if main is None or canvas is None or not over.possible or board.model.state == RunState.RUNNING:
            self.close()
            return
        if not self._held:
            self._held += [PictureWindow(), PictureWindow()]
            for window in self._held:
                window.setParent(main.windowHandle())
        unknown = np.full_like(picture, UNKNOWN_LEVEL)
        for window, role, levels in (
            (self._held[0], Role.STIMULUS, unknown if truth is None else truth),
            (self._held[1], Role.RECONSTRUCTION, picture),
        ):
            layer = board.layers.adopt(role, Image)
            tile, whole = place_of(board, board.layout.movie(board.movies.number_of(role)), canvas, main)
            shown = tile.intersected(QRectF(whole))
            if layer is not None and not shown.isEmpty():
                at = shown.toAlignedRect() & whole
                window.show_picture(coloured(layer, levels), over._masks_drawn(), tile, at)

    def close(self) -> None:
        """Show the board itself again."""
        let_go(self._held)


def coloured(layer: Image, levels: np.ndarray) -> QImage:
    """A frame (rows, columns) in the colours, contrast and gamma that a person has given its layer."""
    return image_of(in_colours(levels, layer, lookup(layer)))


def lookup(layer: Image) -> np.ndarray:
    """(256, 4) uint8 colours of a layer, from the lower of its limits to the upper."""
    if layer.rgb:
        return np.zeros((LEVELS, 4), np.uint8)
    share = np.linspace(0, 1, LEVELS) ** layer.gamma
    return np.round(255 * layer.colormap.map(share)).astype(np.uint8)


def in_colours(levels: np.ndarray, layer: Image, colours: np.ndarray) -> np.ndarray:
    """Every level in its colour.

    Parameters
    ----------
    levels
        (rows, columns).
    layer
        Whose limits they are held against.
    colours
        Of that layer, see `lookup`.

    Returns
    -------
    np.ndarray
        (rows, columns, 4) uint8; clear where nothing is known.
    """
    low, high = layer.contrast_limits
    share = (levels - np.float32(low)) * np.float32((LEVELS - 1) / max(high - low, 1e-6))
    known = np.isfinite(share)
    found = colours[np.clip(np.where(known, share, 0), 0, LEVELS - 1).astype(np.intp)]
    if not known.all():
        found[~known] = 0
    return found


def canvas_of(main: QMainWindow) -> QWidget | None:
    """The board's own canvas; docks may have others."""
    middle = main.centralWidget()
    found = [] if middle is None else middle.findChildren(QWidget)
    return next((each for each in found if isinstance(each, BaseCanvasBackend)), None)


def place_of(board: Board, box: Box, canvas: QWidget, main: QMainWindow) -> tuple[QRectF, QRect]:
    """Where a part of the board is on the screen.

    Parameters
    ----------
    board
        What the canvas shows.
    box
        The part of it, world units.
    canvas
        Napari's.
    main
        Its window.

    Returns
    -------
    tuple[QRectF, QRect]
        The part, and the canvas, in pixels of the main window.
    """
    camera, origin = board.viewer.scene.camera, canvas.mapTo(main, canvas.rect().topLeft())
    middle_y, middle_x = camera.center[-2:]
    left = origin.x() + canvas.width() / 2 + (box.left - middle_x) * camera.zoom
    top = origin.y() + canvas.height() / 2 + (box.top - middle_y) * camera.zoom
    return QRectF(left, top, box.width * camera.zoom, box.height * camera.zoom), QRect(origin, canvas.size())


LINE_COLOUR, LINE_WIDTH_PX = QColor(255, 255, 255, 230), 1.6


class PictureWindow(QRasterWindow):
    """Draws a picture and outlines over it, and a line; the mouse goes through."""

    painted = Signal()
    """Something new is on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.setFlag(Qt.WindowType.WindowTransparentForInput, True)
        self.setFlag(Qt.WindowType.WindowDoesNotAcceptFocus, True)
        self.picture, self._outlines, self._at = QImage(), QImage(), QRectF()
        self.line: float | None = None

    def show_picture(
        self, picture: QImage, outlines: QImage, tile: QRectF, shown: QRect, line: float | None = None
    ) -> None:
        """Show another picture.

        Parameters
        ----------
        picture, outlines
            Both fill the tile.
        tile
            In pixels of the parent.
        shown
            The part of it that can be seen.
        line
            Where a line is drawn from top to bottom, as a share of the width.
        """
        self.picture, self._outlines, self.line = picture, outlines, line
        self._at = tile.translated(-shown.x(), -shown.y())
        if self.geometry() != shown:
            self.setGeometry(shown)
        if not self.isVisible():
            self.show()
        self.update()

    def paint(self) -> None:
        """Draw what has changed now; a window that is not on the screen yet does when it is."""
        if self.isExposed():
            QCoreApplication.sendEvent(self, QEvent(QEvent.Type.UpdateRequest))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Enlarged as napari does: pixels stay squares."""
        painter = QPainter(self)
        painter.drawImage(self._at, self.picture)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self._at, self._outlines)
        if self.line is not None:
            x = self._at.left() + self.line * self._at.width() - LINE_WIDTH_PX / 2
            painter.fillRect(QRectF(x, self._at.top(), LINE_WIDTH_PX, self._at.height()), LINE_COLOUR)
        painter.end()
        self.painted.emit()


class WidgetPictures:
    """Ordinary widgets of a window that rests, drawn over themselves as they are now.

    Parameters
    ----------
    main_window
        In which they are.
    """

    def __init__(self, main_window: QMainWindow) -> None:
        self._window_of = weakref.ref(main_window)
        self._held: list[PictureWindow] = []
        self._over: dict[QWidget, PictureWindow] = {}
        self._kept_back: tuple[QWidget, ...] = ()
        weakref.finalize(self, let_go, self._held)

    def change(self, widgets: tuple[QWidget, ...], change: Callable[[], object]) -> None:
        """Have widgets changed without the window being composed for it, which shows what they are now at `close`.

        Parameters
        ----------
        widgets
            All that changes, each without children: Qt leaves out those of a widget that is not updated.
        change
            Changes them.
        """
        main = self._window_of()
        seen = main is not None and all(each.isVisible() and each.window() is main for each in widgets)
        if not seen or QGuiApplication.platformName() != PLATFORM:
            self.close()
            change()
            return
        self._kept_back = widgets
        for each in widgets:
            each.setUpdatesEnabled(False)
        change()
        for each in widgets:
            self.show(each)

    def show(self, widget: QWidget) -> None:
        """Draw one of them, at once."""
        main = self._window_of()
        if main is None or not widget.isVisible():
            return
        if widget not in self._over:
            self._over[widget] = PictureWindow()
            self._held.append(self._over[widget])
            self._held[-1].setParent(main.windowHandle())
        # A longer text has its room only once it was laid out.
        for each in (widget, *widget.findChildren(QWidget)):
            QCoreApplication.sendPostedEvents(each, QEvent.Type.LayoutRequest.value)
        window, at = self._over[widget], QRect(widget.mapTo(main, QPoint(0, 0)), widget.size())
        window.show_picture(widget.grab().toImage(), QImage(), QRectF(at), at)
        window.paint()

    def close(self) -> None:
        """Leave them to the window, once it is drawn: until then it shows what they were."""
        kept_back, self._kept_back = self._kept_back, ()
        for each in kept_back:
            # Gone with their window.
            with contextlib.suppress(RuntimeError):
                each.setUpdatesEnabled(True)
        windows = list(self._over.values())
        self._over.clear()
        if windows:
            QTimer.singleShot(0, partial(_let_go_of, windows, self._held))


def _let_go_of(windows: list[PictureWindow], held: list[PictureWindow]) -> None:
    held[:] = [each for each in held if each not in windows]
    let_go(windows)


def step_aside(held: list[PictureWindow]) -> None:
    """Leave the canvas alone until there is another picture: what was drawn below is no more at its place."""
    for window in held:
        # Gone with the main window, when that is closed.
        with contextlib.suppress(RuntimeError):
            window.hide()


def let_go(held: list[PictureWindow]) -> None:
    """Take the window out of the main window, which would own it, and end it."""
    while held:
        window = held.pop()
        with contextlib.suppress(RuntimeError):
            window.hide()
            window.setParent(None)


def image_of(pixels: np.ndarray) -> QImage:
    """(rows, columns, 4) RGBA, 0..255, as a picture that owns its pixels."""
    whole = np.ascontiguousarray(pixels, dtype=np.uint8)
    rows, columns = whole.shape[:2]
    return QImage(whole.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()
