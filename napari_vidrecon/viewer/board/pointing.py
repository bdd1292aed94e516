"""What a mouse can do on the board: drag outlines of masks, or the time; mark neurons, or a time on the curves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from psygnal import Signal
from scipy.ndimage import map_coordinates
from superqt.utils import QSignalThrottler

from napari_vidrecon.viewer.board.board import Board
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.board.outlines import contours
from napari_vidrecon.viewer.board.rasters import RasterRows
from napari_vidrecon.viewer.board.tiles import Box
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.main_window import go_to_frame

CLICK_SLOP_PX = 3.0
FEWEST_FRAMES = 5
"""Of a brushed time; a correlation over fewer says nothing."""
LOOK_HZ = 10.0
"""Each look costs a picture of the canvas."""
FREE_MODES = ("pan_zoom",)


GRASP_PX = 6.0
"""On the screen: an outline is under a mouse that is no farther from it."""
ALPHA_STEP = 0.01


class DraggedOutlines:
    """Lets the outlines of both masks be dragged: the threshold becomes the alpha under the mouse.

    Parameters
    ----------
    board
        On whose movies they are.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._found: tuple[tuple[object, ...], dict[str, np.ndarray]] = ((), {})

    def at(self, position: tuple[float, ...]) -> str | None:
        """Which outline is under a place, "training" or "evaluation"; the nearer one."""
        pixel = self._pixel(position)
        if pixel is None:
            return None
        away = {name: np.hypot(*(points - pixel).T).min() for name, points in self._outlines().items() if len(points)}
        layout = self._board.layout
        reach = GRASP_PX * self._board.camera.unit / layout.pitch
        name = min(away, key=away.__getitem__, default=None)
        return name if name is not None and away[name] <= reach else None

    def drag(self, event: Any, name: str) -> Generator[None, None, None]:
        """Move an outline with the mouse until it is let go; the change is one step of undo."""
        board, camera = self._board, self._board.viewer.scene.camera
        camera.mouse_pan = False
        try:
            yield
            while event.type == "mouse_move":
                pixel = self._pixel(event.position)
                if pixel is not None:
                    self._move(name, pixel)
                yield
        finally:
            camera.mouse_pan = True
            board.model.settle_edits()

    def _move(self, name: str, pixel: np.ndarray) -> None:
        model, alpha = self._board.model, self._board.model.common_mask.screen
        here = float(map_coordinates(alpha, (pixel[::-1] - 0.5)[:, np.newaxis], order=1, mode="nearest")[0])
        # One lies inside the other, and neither is of the whole screen.
        least = ALPHA_STEP if name == "training" else model.training_threshold
        most = model.evaluation_threshold if name == "training" else float(alpha.max())
        here = min(max(round(here / ALPHA_STEP) * ALPHA_STEP, least), most)
        model.set_thresholds(**{name: here}, undoable=False)

    def _outlines(self) -> dict[str, np.ndarray]:
        """Points of both, (n, 2) as x and y in pixels of a movie."""
        model = self._board.model
        made_from = (model.common_mask, model.training_threshold, model.evaluation_threshold)
        if self._found[0] != made_from:
            lines = {
                "training": contours(model.common_mask.binary(model.training_threshold)),
                "evaluation": contours(model.common_mask.binary(model.evaluation_threshold)),
            }
            points = {name: np.concatenate(each) if each else np.empty((0, 2)) for name, each in lines.items()}
            self._found = (made_from, points)
        return self._found[1]

    def _pixel(self, position: tuple[float, ...]) -> np.ndarray | None:
        """A place as x and y in pixels of the movie that it is in."""
        layout, (y, x) = self._board.layout, position[-2:]
        for tile in layout.all_movies:
            if tile.element(y, x, 1, 1) is not None:
                return np.array([(x - tile.left) / layout.pitch, (y - tile.top) / layout.pitch])
        return None


class Pointing:
    """Listens to the mouse on the canvas.

    Parameters
    ----------
    board
        Whose rasters are pointed at.
    """

    row_pointed = Signal(object)
    """Neurons of the row under the mouse, (n,); none outside the rasters."""
    row_clicked = Signal(object)
    """Neurons of the row that was clicked, (n,) in drawing order."""
    pixel_pointed = Signal(object)
    """Row and column of the movies' pixel under the mouse; None outside of the movies."""
    pixel_clicked = Signal(int, int)
    """Row and column of a movie's pixel that was clicked."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.faults = board.faults
        board.viewer.mouse_drag_callbacks.append(self.on_press)
        board.viewer.mouse_move_callbacks.append(self.on_move)
        self.outlines = DraggedOutlines(board)
        self._under, self._on_row = np.empty(0, np.intp), False
        self.neurons_at: Callable[[int, int], np.ndarray] = lambda row, column: np.empty(0, np.intp)
        """Which neurons look at a pixel of the screen."""
        self._looks = QSignalThrottler()
        self._looks.setTimeout(round(1000 / LOOK_HZ))
        self._looks.triggered.connect(self._look)

    def close(self) -> None:
        """Listen no longer."""
        if self.on_press in self.board.viewer.mouse_drag_callbacks:
            self.board.viewer.mouse_drag_callbacks.remove(self.on_press)
        if self.on_move in self.board.viewer.mouse_move_callbacks:
            self.board.viewer.mouse_move_callbacks.remove(self.on_move)
        self._looks.cancel()

    def on_move(self, viewer: Any, event: Any) -> None:
        """The mouse points somewhere else: show the activity of the row under it, or of who looks at the pixel."""
        rows, raster = self.board.activity.rows, None
        if self.board.model.magnified:
            flat = self.board.layers.flat and not self.board.model.grid
            self.pixel_pointed.emit(self._pixel_under(event.position) if flat else None)
        if not self.board.model.grid and self.board.layers.flat:
            raster = self._raster_under(event.position)
        row = None if rows is None or raster is None else self._row(event.position, raster, rows)
        under = np.empty(0, np.intp) if rows is None or row is None else rows.neurons(row)
        self._on_row = row is not None
        if rows is not None and row is None and not self.board.model.grid and self.board.layers.flat:
            pixel = self._pixel_under(event.position)
            under = under if pixel is None else self.neurons_at(*pixel)
        if not np.array_equal(under, self._under):
            self._under = under
            self._looks.throttle()

    @guarded
    def _look(self) -> None:
        self.board.activity.look_at(self._under)
        self.row_pointed.emit(self._under if self._on_row else np.empty(0, np.intp))

    def _pixel_under(self, position: tuple[float, ...]) -> tuple[int, int] | None:
        layout, (y, x) = self.board.layout, position[-2:]
        found = (tile.element(y, x, layout.rows, layout.cols) for tile in layout.tiles)
        return next((pixel for pixel in found if pixel is not None), None)

    def on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """From press to release of a mouse button."""
        raster, strip = self._raster_under(event.position), self._strip_under(event.position)
        active = self.board.viewer.layers.selection.active
        busy = active is not None and str(getattr(active, "mode", "pan_zoom")) not in FREE_MODES
        if busy or self.board.model.grid or not self.board.layers.flat:
            return
        outline = None if event.modifiers else self.outlines.at(event.position)
        if outline is not None:
            pressed = np.asarray(event.pos)
            yield from self.outlines.drag(event, outline)
            self._tell_click(event, pressed)
            return
        if strip is not None and not event.modifiers:
            yield from self._scrub(event, strip)
        curves = self._curves_under(event.position)
        if curves is not None and "Shift" in event.modifiers:
            yield from self._brush(event, curves)
        pixel = self._pixel_under(event.position)
        if pixel is not None and not event.modifiers:
            yield from self._click(event)
        if raster is None:
            return
        if "Shift" in event.modifiers:
            yield from self._mark(event, raster)
        elif not event.modifiers:
            yield from self._go(event, raster)

    def _click(self, event: Any) -> Generator[None, None, None]:
        """A click on a movie is for its pixel; a drag pans."""
        pressed = np.asarray(event.pos)
        while event.type != "mouse_release":
            yield
        self._tell_click(event, pressed)

    def _tell_click(self, event: Any, pressed: np.ndarray) -> None:
        """Where the mouse was let go at the place that was pressed, the pixel there was clicked."""
        pixel = self._pixel_under(event.position)
        if pixel is not None and np.abs(np.asarray(event.pos) - pressed).max() <= CLICK_SLOP_PX:
            self.pixel_clicked.emit(*pixel)

    def _curves_under(self, position: tuple[float, ...]) -> Box | None:
        """The curves of one raster."""
        layout, (y, x) = self.board.layout, position[-2:]
        if not layout.raster_tiles:
            return None
        curves, rasters = layout.curves, (layout.raster(0), layout.raster(1))
        boxes = (Box(curves.top, raster.left, curves.height, raster.width) for raster in rasters)
        return next((box for box in boxes if box.element(y, x, 1, 1) is not None), None)

    def _brush(self, event: Any, box: Box) -> Generator[None, None, None]:
        """Take the time that is dragged over; a click without a drag takes all of the clip again."""
        board, camera, frames = self.board, self.board.viewer.scene.camera, self.board.layout.frames

        def frame() -> int:
            x = min(max(event.position[-1], box.left), np.nextafter(box.right, box.left))
            return int((x - box.left) // (box.width / frames))

        first, span = frame(), None
        camera.mouse_pan = False
        try:
            yield
            while event.type == "mouse_move":
                last = frame()
                span = (min(first, last), max(first, last)) if abs(last - first) >= FEWEST_FRAMES else None
                board.activity.brush(span)
                yield
            board.activity.brush(span)
        finally:
            camera.mouse_pan = True

    def _scrub(self, event: Any, box: Box) -> Generator[None, None, None]:
        """Go to the time that is pressed, and with the mouse while it is held; the view stays where it is."""
        camera, layout = self.board.viewer.scene.camera, self.board.layout
        camera.mouse_pan = False
        try:
            while event.type != "mouse_release":
                x = min(max(event.position[-1], box.left), np.nextafter(box.right, box.left))
                place = box.element(box.top, x, 1, layout.frames)
                if place is not None:
                    go_to_frame(self.board.viewer, place[1])
                yield
        finally:
            camera.mouse_pan = True

    def _go(self, event: Any, raster: Box) -> Generator[None, None, None]:
        pressed = np.asarray(event.pos)
        yield from self._scrub(event, raster)
        # A click is for the row, too.
        if np.abs(np.asarray(event.pos) - pressed).max() <= CLICK_SLOP_PX:
            rows = self.board.activity.rows
            row = None if rows is None else self._row(event.position, raster, rows)
            if rows is not None and row is not None:
                self.board.activity.choose(rows.neurons(row))
                self.row_clicked.emit(rows.neurons(row))

    def _mark(self, event: Any, raster: Box) -> Generator[None, None, None]:
        board, camera = self.board, self.board.viewer.scene.camera
        rows = board.activity.rows
        first = None if rows is None else self._row(event.position, raster, rows)
        if rows is None or first is None:
            return
        before = set(board.activity.marked.tolist())
        camera.mouse_pan = False
        try:
            moved = False
            yield
            while event.type == "mouse_move":
                last = self._row(event.position, raster, rows)
                if last is not None and last != first:
                    moved = True
                if moved and last is not None:
                    chosen = rows.neurons(np.arange(min(first, last), max(first, last) + 1))
                    board.activity.mark(np.array(sorted(before | set(chosen.tolist())), np.intp))
                yield
            if not moved:
                # A Shift-click adds a row, or takes it away again.
                row = set(rows.neurons(first).tolist())
                after = before - row if row <= before else before | row
                board.activity.mark(np.array(sorted(after), np.intp))
        finally:
            camera.mouse_pan = True

    def _row(self, position: tuple[float, ...], raster: Box, rows: RasterRows) -> int | None:
        y = min(max(position[-2], raster.top), np.nextafter(raster.bottom, raster.top))
        place = raster.element(y, raster.left, rows.rows, 1)
        return None if place is None else place[0]

    def _strip_under(self, position: tuple[float, ...]) -> Box | None:
        strip = self.board.layout.strip
        y, x = position[-2:]
        return strip if strip is not None and strip.element(y, x, 1, 1) is not None else None

    def _raster_under(self, position: tuple[float, ...]) -> Box | None:
        layout = self.board.layout
        if self.board.layers.find(Role.RECORDED) is None or not layout.has_rasters:
            return None
        boxes = [layout.raster(column) for column in (0, 1)]
        y, x = position[-2:]
        return next((box for box in boxes if box.element(y, x, 1, 1) is not None), None)
