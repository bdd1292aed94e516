"""A region drawn on the stimulus."""

from __future__ import annotations

import numpy as np
from napari.layers import Shapes

from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers
from napari_vidrecon.viewer.board.tiles import BoardLayout

EDGE_COLOUR = "#CC79A7"
EDGE_PX = 0.5


class Region:
    """A Shapes layer over the stimulus, and the pixels inside what is drawn on it.

    Parameters
    ----------
    layers
        It is among them.
    """

    def __init__(self, layers: RoleLayers) -> None:
        self._layers = layers

    def begin(self, layout: BoardLayout) -> Shapes:
        """Offer the pen: a polygon drawn with the mouse held down."""
        layer = self._layers.adopt(Role.REGION, Shapes)
        if layer is None:
            layer = self._layers.viewer.add_shapes(
                None,
                ndim=2,
                name="region",
                edge_color=EDGE_COLOUR,
                face_color="transparent",
                edge_width=EDGE_PX,
                units=(self._layers.unit,) * 2,
                metadata={ROLE_KEY: str(Role.REGION)},
            )
        self.arrange(layout)
        layer.mode = "add_polygon_lasso"
        self._layers.viewer.layers.selection.active = layer
        return layer

    def arrange(self, layout: BoardLayout) -> None:
        """Put it over the stimulus; its coordinates are pixels of the movie."""
        layer = self._layers.adopt(Role.REGION, Shapes)
        if layer is not None:
            self._layers.place(layer, layout.movie(0), (layout.rows, layout.cols))

    def mask(self, layout: BoardLayout) -> np.ndarray | None:
        """(rows, cols) bool, True inside any drawn shape; None if nothing is drawn."""
        layer = self._layers.adopt(Role.REGION, Shapes)
        if layer is None or not layer.nshapes:
            return None
        inside = layer.to_masks((layout.rows, layout.cols)).any(axis=0)
        return inside if inside.any() else None
