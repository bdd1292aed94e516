"""Keeping the whole board in view, at any size of the window, until a person looks elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points

from napari_vidrecon.viewer.board.captions import LETTER_WIDTH, POINTS_PER_SCREEN_PX, TEXT_HEIGHT_PX, text_points
from napari_vidrecon.viewer.board.layers import Role, RoleLayers
from napari_vidrecon.viewer.board.tiles import BoardLayout

if TYPE_CHECKING:
    import napari

MARGIN = 0.03


class BoardCamera:
    """Fits the board to the canvas, again and again while the canvas changes its size.

    Parameters
    ----------
    viewer
        Whose camera it is.
    layers
        The captions, whose letters follow the size of the tiles, are among them.
    refit
        Called when the canvas has another size and the view is still as `fit` left it.
    """

    def __init__(self, viewer: napari.components.ViewerModel, layers: RoleLayers, refit: Callable[[], None]) -> None:
        self._viewer, self._layers, self._refit = viewer, layers, refit
        self._left: tuple[float, ...] | None = None
        self.letter_px = TEXT_HEIGHT_PX * LETTER_WIDTH
        """Width of a letter in pixels of the movie, as last fitted."""
        viewer.canvas.events.size.connect(self._on_canvas_size)

    def fit(self, layout: BoardLayout) -> None:
        """Show all of the board as large as it goes."""
        if layout.gridded:
            shown = [layer for layer in self._layers.ours() if layer.visible]
            # Napari looks for every axis on display in the layers it is given; a layer of a person's may add some.
            whole = all(layer.ndim < self._viewer.dims.ndim for layer in shown)
            self._viewer.reset_view(layers=None if whole else shown, margin=MARGIN)
        else:
            camera, extent = self._viewer.scene.camera, layout.extent
            height, width = self.canvas
            zoom = (1 - MARGIN) * min(height / extent.height, width / extent.width)
            camera.center = (0.0, (extent.top + extent.bottom) / 2, (extent.left + extent.right) / 2)
            camera.zoom = zoom
            self._size_text(zoom * layout.pitch)
        self._left = self._place()

    @property
    def canvas(self) -> tuple[float, float]:
        """Height and width of the canvas on the screen."""
        height, width = self._viewer.canvas.size
        return float(height), float(width)

    def close(self) -> None:
        """Follow the canvas no longer."""
        self._viewer.canvas.events.size.disconnect(self._on_canvas_size)

    def _on_canvas_size(self) -> None:
        # Where a person has zoomed or moved, the view is theirs.
        if self._left is not None and np.allclose(self._place(), self._left):
            self._refit()

    def _place(self) -> tuple[float, ...]:
        camera = self._viewer.scene.camera
        return (*camera.center, camera.zoom)

    def _size_text(self, screen_px: float) -> None:
        points = text_points(screen_px)
        self.letter_px = LETTER_WIDTH * points / POINTS_PER_SCREEN_PX / screen_px
        captions = self._layers.adopt(Role.CAPTIONS, Points)
        if captions is not None and captions.text.size != points:
            captions.text.size = points
