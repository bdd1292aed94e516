"""The line at the present frame, in both rasters."""

from __future__ import annotations

import numpy as np
from napari.layers import Vectors

from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers
from napari_vidrecon.viewer.board.tiles import BoardLayout

WIDTH_PX = 0.4
OPACITY = 0.9
COLOUR = "white"


class TimeLine:
    """Follows the slider by itself.

    Two short lines without an axis of time: as a movie of lines, napari would take a slice of it for every frame and
    paint both rasters once more.

    Parameters
    ----------
    layers : where the layer of the role "now" is found.
    """

    def __init__(self, layers: RoleLayers) -> None:
        self._layers = layers
        self._layout: BoardLayout | None = None

    def arrange(self, layout: BoardLayout) -> None:
        """Make the layer if it is not there, and put its lines into the rasters at the frame on display."""
        self._layout = layout
        lines = lines_at(layout, self._layers.frame)
        layer = self._layers.adopt(Role.NOW, Vectors)
        if layer is None:
            self._layers.remove(Role.NOW)
            self._layers.viewer.add_vectors(
                lines,
                name="now",
                edge_width=WIDTH_PX * layout.pitch,
                edge_color=COLOUR,
                opacity=OPACITY,
                vector_style="line",
                blending="translucent_no_depth",
                units=(self._layers.unit,) * 2,
                metadata={ROLE_KEY: str(Role.NOW)},
            )
            return
        if {str(unit) for unit in layer.units} != {self._layers.unit}:
            layer.units = (self._layers.unit,) * 2
            layer.edge_width = WIDTH_PX * layout.pitch
        if layer.data.shape == lines.shape:
            self.follow()
        else:
            layer.data = lines

    def follow(self) -> None:
        """The slider moved."""
        if self._layout is None:
            return
        lines = lines_at(self._layout, self._layers.frame)
        for layer in (*self._layers.all_of(Role.NOW), *self._layers.all_of(Role.GRID_COPY)):
            if isinstance(layer, Vectors) and layer.data.shape == lines.shape and not np.array_equal(layer.data, lines):
                np.copyto(layer.data, lines)
                layer.refresh(thumbnail=False, highlight=False, extent=False)


def lines_at(layout: BoardLayout, frame: int) -> np.ndarray:
    """(lines, 2, 2) float32: upper end and direction, each as y and x in world units; one line a raster.

    Parameters
    ----------
    frame : one beyond the clip counts as its last.
    """
    boxes = [layout.raster(0)] if layout.gridded else [layout.raster(0), layout.raster(1)]
    share = (min(frame, layout.frames - 1) + 0.5) / layout.frames
    return np.array([[[box.top, box.left + share * box.width], [box.height, 0.0]] for box in boxes], dtype=np.float32)
