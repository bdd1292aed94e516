"""The board as it plays or is scrubbed, in small windows over its tiles, where a picture of the whole canvas is slow.

Without a graphics card a picture of napari's canvas takes 60 ms and more, for the window around it is composed anew as
well. What moves while a movie plays is little: a frame a tile, and the line of the present time. Drawn alone it takes
two milliseconds. The canvas, the slider and what follows them go along as often as the machine can, and are exact as
soon as it holds.
"""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from napari.layers import Image, Layer
from napari.utils.theme import get_theme
from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QGuiApplication, QImage, QPainter
from qtpy.QtWidgets import QDialog, QDockWidget, QMainWindow, QWidget

from napari_vidrecon.viewer import live_picture
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.layers import ROLE_KEY, ComputedFrames, Role
from napari_vidrecon.viewer.board.tiles import Box
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.live_picture import (
    PictureWindow,
    WidgetPictures,
    canvas_of,
    image_of,
    in_colours,
    let_go,
    lookup,
    place_of,
    step_aside,
)  # fmt: skip
from napari_vidrecon.viewer.main_window import MAIN_DOCK_NAME, present_frame, sliders_of
from napari_vidrecon.viewer.model import RunState

FAST_S, RESTS = 0.025, 4.0
"""What takes no longer than this is drawn as a whole with every frame; else it rests for as many times as long."""
REST_S = 3.0
"""The least rest of a window of which all that follows the slider is drawn by itself: nothing has to wait for it."""
QUIET_DOCKS = frozenset(("layer controls", "layer list", "console", "activity"))
"""Napari's own docks, in which nothing follows the slider."""
STILL_S, LOOK_MS = 0.1, 10
"""The hand is still when no other frame was asked for so long; how often that is looked at."""
BLENDINGS = frozenset(("translucent", "translucent_no_depth", "opaque"))
"""What is drawn here as napari does; with another blending, napari does it."""


@dataclass
class PlayedTile:
    """A part of the board and what is drawn there.

    Parameters
    ----------
    box
        Where it is, world units.
    window
        Draws it.
    movies
        Layers of which a frame is drawn, from the lowest to the highest.
    still
        What lies over them, of the size on the screen.
    has_line
        Time runs from its left to its right.
    colours
        Of every movie, (256, 4) uint8.
    """

    box: Box
    window: PictureWindow
    movies: list[Image]
    still: QImage
    has_line: bool
    colours: dict[Image, np.ndarray] = field(default_factory=dict)


class PlayedPictures:
    """Draws a frame of all that moves on the board.

    Where it cannot, the canvas is all there is to see: in napari's grid, in three dimensions, when a person has zoomed
    or has layers of their own on the board, while a run goes on, and on systems other than X.

    Parameters
    ----------
    board
        What plays.
    main_window
        Napari's.
    """

    painted = Signal(int)
    """A frame is on the screen; for who measures."""

    def __init__(self, board: Board, main_window: QMainWindow) -> None:
        self._board, self._window_of = board, weakref.ref(main_window)
        self._tiles: list[PlayedTile] = []
        self._held: list[PictureWindow] = []
        weakref.finalize(self, let_go, self._held)
        self._frame = 0
        self._made_for: tuple[object, ...] = ()
        board.viewer.canvas.events.size.connect(self._step_aside, position="first")

    def _step_aside(self, _event: object = None) -> None:
        step_aside(self._held)

    @property
    def windows(self) -> list[PictureWindow]:
        """Where it is drawn; none while nothing plays."""
        return list(self._held)

    def _possible(self, main: QMainWindow | None) -> bool:
        board, model = self._board, self._board.model
        if main is None or not main.isVisible() or QGuiApplication.platformName() != live_picture.PLATFORM:
            return False
        if model.trial is None or model.grid or model.blinking or model.state is RunState.RUNNING:
            return False
        if not board.layers.flat or board.camera.moved:
            return False
        shown = [layer for layer in board.viewer.layers if layer.visible]
        return all(map(_is_drawn, shown)) and not any(dialog.isVisible() for dialog in main.findChildren(QDialog))

    def prepare(self) -> None:
        """Take over what the canvas shows now; to be asked for whenever the canvas was drawn anew."""
        main = self._window_of()
        canvas = None if main is None else canvas_of(main)
        if main is None or canvas is None or not self._possible(main):
            self.close()
            return
        layout, self._made_for = self._board.layout, self._now()
        moving = [(box, False) for box in layout.all_movies]
        if layout.strip is not None:
            moving.append((layout.strip, True))
        for number in range(len(layout.raster_tiles)):
            raster, top = layout.raster(number), layout.activity.top
            moving.append((Box(top, raster.left, raster.bottom - top, raster.width), True))
        if len(self._held) != len(moving):
            let_go(self._held)
            self._held += [PictureWindow() for _ in moving]
            for window in self._held:
                window.setParent(main.windowHandle())
            self._held[-1].painted.connect(lambda: self.painted.emit(self._frame))
        self._tiles = [
            self._tile(box, has_line, window, canvas)
            for (box, has_line), window in zip(moving, self._held, strict=True)
        ]

    def show(self, frame: int, at_once: bool = False) -> bool:
        """Draw a frame.

        Parameters
        ----------
        frame
            From 0.
        at_once
            Before anything else is done, and not at the next turn of the window.

        Returns
        -------
        bool
            False where the canvas has to.
        """
        main = self._window_of()
        canvas = None if main is None else canvas_of(main)
        if not self._tiles or main is None or canvas is None or self._now() != self._made_for:
            return False
        self._frame = frame
        for tile in self._tiles:
            at, whole = place_of(self._board, tile.box, canvas, main)
            shown = at.intersected(QRectF(whole)).toAlignedRect() & whole
            if not shown.isEmpty():
                share = (frame + 0.5) / self._board.layout.frames if tile.has_line else None
                tile.window.show_picture(self._composed(tile, frame), tile.still, at, shown, share)
        for window in self._held if at_once else ():
            window.paint()
        return True

    def _now(self) -> tuple[object, ...]:
        """What makes another picture of the canvas, other than time."""
        board = self._board
        shown = [id(layer) for layer in board.viewer.layers if layer.visible]
        return (board.layout, board.model.state, board.camera.view, *shown)

    def close(self) -> None:
        """Leave the board to the canvas."""
        self._tiles = []
        let_go(self._held)

    def _tile(self, box: Box, has_line: bool, window: PictureWindow, canvas: QWidget) -> PlayedTile:
        layers = [layer for layer in self._board.viewer.layers if layer.visible and isinstance(layer, Image)]
        there = [layer for layer in layers if _overlap(_box_of(layer), box)]
        base = Role.ERROR_BASE
        movies = [layer for layer in there if layer.ndim == 3 or layer.metadata[ROLE_KEY] == base]
        still = [layer for layer in there if layer not in movies and layer.metadata[ROLE_KEY] != Role.NOW]
        colours = {layer: lookup(layer) for layer in movies}
        return PlayedTile(box, window, movies, self._still(still, box, not movies, canvas), has_line, colours)

    def _still(self, layers: list[Image], box: Box, opaque: bool, canvas: QWidget) -> QImage:
        """Draw what does not move, as large as it is on the screen."""
        zoom, ratio = self._board.viewer.scene.camera.zoom, canvas.devicePixelRatioF()
        pixels = zoom * ratio
        size = (max(round(box.width * pixels), 1), max(round(box.height * pixels), 1))
        picture = QImage(*size, QImage.Format.Format_ARGB32_Premultiplied)
        ground = QColor(get_theme(self._board.viewer.theme).canvas.as_hex()) if opaque else QColor(0, 0, 0, 0)
        picture.fill(ground)
        painter = QPainter(picture)
        for layer in layers:
            at = _box_of(layer)
            where = QRectF(
                (at.left - box.left) * pixels, (at.top - box.top) * pixels, at.width * pixels, at.height * pixels
            )
            smooth = layer.interpolation2d != "nearest"
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.setOpacity(layer.opacity)
            pixels_of = layer.data if layer.rgb else in_colours(np.asarray(layer.data), layer, lookup(layer))
            painter.drawImage(where, image_of(pixels_of))
        painter.end()
        return picture

    def _composed(self, tile: PlayedTile, frame: int) -> QImage:
        """A frame of all movies of a tile, one over the other; an empty picture where there are none."""
        under: np.ndarray | None = None
        for layer in tile.movies:
            levels = self._levels(layer, frame, tile.box)
            over = in_colours(levels, layer, tile.colours[layer]).astype(np.float32)
            if under is None or under.shape != over.shape:
                under = over
            else:
                share = over[..., 3:] / 255 * layer.opacity
                under[..., :3] += share * (over[..., :3] - under[..., :3])
        if under is None:
            return QImage()
        return image_of(under)

    def _levels(self, layer: Image, frame: int, box: Box) -> np.ndarray:
        """(rows, columns) of a layer's frame inside a box."""
        movie: Layer | None = layer
        if layer.metadata[ROLE_KEY] == Role.ERROR_BASE:
            over = Role.RECONSTRUCTION if self._board.model.error_over == "reconstruction" else Role.STIMULUS
            movie = self._board.layers.adopt(over, Image)
        whole, pitch = _box_of(layer), self._board.layout.pitch
        # A person may have deleted the movie; what lies below the error stands still then, as on the canvas.
        data = layer.data[np.newaxis] if movie is None else movie.data
        number = min(frame, len(data) - 1)
        picture = data.frame(number) if isinstance(data, ComputedFrames) else np.asarray(data[number])
        top, left = round((box.top - whole.top) / pitch), round((box.left - whole.left) / pitch)
        return picture[max(top, 0) :, max(left, 0) :][: round(box.height / pitch), : round(box.width / pitch)]


class Scrubbing(QObject):
    """Draws the frame that is asked for over the canvas at once, while frames change faster than the canvas is drawn.

    The whole main window rests meanwhile, for it is composed anew whatever of it changes, and the hand waits for that.
    The slider and the line of the status are drawn over themselves. The window is drawn as often as is bearable, where
    other docks may follow the slider, else hardly ever, and when the hand is still, after which the canvas is all there
    is to see. Qt's requests for a picture are
    kept back and not refused, so that Qt knows all the while what has to be drawn.

    Parameters
    ----------
    board
        What is scrubbed.
    pictures
        Draw over the canvas.
    main_window
        Napari's.
    """

    def __init__(self, board: Board, pictures: PlayedPictures, main_window: QMainWindow) -> None:
        # Not a child of the window, nor its holder: what holds its own window for ever is never let go.
        super().__init__()
        self.faults = board.faults
        self.clock_runs = self.clock_moves = False
        """Whether the board plays, and whether it is that which moves the slider now."""
        self.pictures = pictures
        self._viewer, self._window_of = board.viewer, weakref.ref(main_window)
        self._frame = present_frame(self._viewer)
        self._is_new = self._drawing = False
        self._took_s, self._rests_until, self._last_s = 0.0, 0.0, -math.inf
        self._beside, self._all_drawn = WidgetPictures(main_window), False
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        main_window.installEventFilter(self)
        # As early as can be: only napari, whose layers are cut for 10 ms, hears of a frame before.
        self._viewer.dims.events.point.connect(self._on_point, position="first")
        self._viewer.dims.events.current_step.connect(self._on_told, position="last")
        self._viewer.events.status.connect(self._on_status, position="last")

    @property
    def active(self) -> bool:
        """Whether the window rests."""
        return self._timer.isActive()

    @property
    def _napari_plays(self) -> bool:
        """Whether the slider's own button moves it."""
        return any(getattr(each, "is_playing", False) for each in self._sliders)

    @cached_property
    def _sliders(self) -> list[QWidget]:
        # Looked for once: a window keeps the sliders that it was made with.
        return sliders_of(self._window_of())

    def close(self) -> None:
        """Listen no longer: the window is gone."""
        self._viewer.dims.events.point.disconnect(self._on_point)
        self._viewer.dims.events.current_step.disconnect(self._on_told)
        self._viewer.events.status.disconnect(self._on_status)
        # Where they were never looked for there is nothing to let go, and the window may have no Qt half any more.
        self.__dict__.pop("_sliders", None)
        self._beside.close()
        with contextlib.suppress(RuntimeError):
            self._timer.stop()

    @guarded
    def _on_point(self, _event: object = None) -> None:
        """The slider moves."""
        frame = present_frame(self._viewer)
        if frame == self._frame:
            return
        self._frame, self._is_new = frame, True
        if self.clock_moves:
            return
        if self._napari_plays:
            # It waits for a picture of the canvas before it goes on.
            self._end()
            return
        now = time.perf_counter()
        goes_on, self._last_s = now - self._last_s < STILL_S, now
        if self.active:
            if not self.pictures.show(frame, at_once=True):
                self._end()
        elif goes_on and self._took_s > FAST_S:
            self.pictures.prepare()
            if self.pictures.show(frame, at_once=True):
                main = self._window_of()
                self._all_drawn = main is not None and not others_follow(main)
                self._rest(now)
                self._timer.start()

    def _rest(self, now: float) -> None:
        self._rests_until = now + max(RESTS * self._took_s, REST_S if self._all_drawn else 0.0)

    @guarded
    def _on_told(self, _event: object = None) -> None:
        """All have heard of the frame: from now on the hand can be still."""
        if self.active:
            for slider in self._sliders:
                self._beside.show(slider)
        if self._is_new and not self.clock_moves:
            self._last_s = time.perf_counter()

    @guarded
    def _on_status(self, _event: object = None) -> None:
        """The status names another frame."""
        main = self._window_of()
        if self.active and main is not None:
            self._beside.show(main.statusBar())

    @guarded
    def _look(self) -> None:
        """Draw the window, where it has rested for long enough or the hand is still."""
        now = time.perf_counter()
        is_still = now - self._last_s >= STILL_S
        if not is_still and now < self._rests_until:
            return
        self._draw()
        if is_still or self._took_s <= FAST_S:
            self._end()
            return
        self.pictures.prepare()
        if not self.pictures.show(self._frame):
            self._end()

    def _end(self) -> None:
        if self.active:
            self._timer.stop()
            main = self._window_of()
            if main is not None:
                # What was kept back.
                QCoreApplication.postEvent(main, QEvent(QEvent.Type.UpdateRequest))
            self._beside.close()
            if not self.clock_runs:
                self.pictures.close()

    def _draw(self) -> None:
        """Draw all of the window that has changed: what that takes says how long it rests."""
        main = self._window_of()
        began, self._drawing = time.perf_counter(), True
        try:
            if main is not None:
                QCoreApplication.sendEvent(main, QEvent(QEvent.Type.UpdateRequest))
        finally:
            now, self._drawing, self._is_new = time.perf_counter(), False, False
        self._took_s = now - began
        self._rest(now)
        # The hand could not move meanwhile.
        self._last_s += self._took_s

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep back Qt's requests for a picture of the window while it rests; time one with another frame."""
        if self._drawing or event is None or event.type() != QEvent.Type.UpdateRequest:
            return False
        if not self.active:
            if not self._is_new:
                return False
            self._draw()
        return True


def others_follow(main: QMainWindow) -> bool:
    """Whether a dock is open in which something may move with the slider, as curves do."""
    docks = [dock for dock in main.findChildren(QDockWidget) if dock.isVisible()]
    return not all(
        dock.objectName() in QUIET_DOCKS or dock.findChild(QWidget, MAIN_DOCK_NAME) is not None for dock in docks
    )


def _is_drawn(layer: Layer) -> bool:
    """Whether a layer can be drawn here, or is words that no tile has."""
    role = layer.metadata.get(ROLE_KEY)
    if role == Role.CAPTIONS:
        return True
    return role is not None and isinstance(layer, Image) and (role == Role.NOW or layer.blending in BLENDINGS)


def _box_of(layer: Layer) -> Box:
    (rows, columns), (height, width), (y, x) = layer.data.shape[:2], layer.scale[-2:], layer.translate[-2:]
    if layer.ndim > 2:
        rows, columns = layer.data.shape[1:3]
    return Box(y - height / 2, x - width / 2, height * rows, width * columns)


def _overlap(one: Box, other: Box) -> bool:
    margin = min(one.height, one.width, other.height, other.width) / 100
    apart_y = one.bottom - margin <= other.top or other.bottom - margin <= one.top
    return not (apart_y or one.right - margin <= other.left or other.right - margin <= one.left)
