"""The receptive field of a neuron over the stimulus: blue where it likes dark, vermillion where it likes light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Layer, Shapes

from napari_vidrecon.viewer.board.colormaps import signed_error
from napari_vidrecon.viewer.board.explained import named
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, redraw

if TYPE_CHECKING:
    from napari_vidrecon.viewer.board.board import Board
    from napari_vidrecon.viewer.board.pointing import Pointing
    from napari_vidrecon.viewer.receptive_fields import ReceptiveFieldChoice

OUTLINE_COLOUR = "white"
OUTLINE_PX = 0.4
NO_FIELDS = "To see where on the screen it looks, map its receptive field under Receptive fields."
MOST_OUTLINES = 8
"""More ellipses than this, of a row that many neurons share, hide the stimulus."""


class ReceptiveFieldTile:
    """Keeps two layers over the stimulus: the field, and the fitted ellipses at half height.

    Parameters
    ----------
    board
        Whose stimulus it lies over, and whose cells are clicked.
    pointing
        Tells which row of a raster was clicked.
    fields
        The maps and the chosen neurons.
    """

    def __init__(self, board: Board, pointing: Pointing, fields: ReceptiveFieldChoice) -> None:
        self._board, self._fields = board, fields
        self._clicked = np.empty(0, np.intp)
        self._slots = (
            (fields.neurons_changed, self.draw),
            (fields.model.trial_changed, self.draw),
            (fields.model.view_changed, self.draw),
            (pointing.row_clicked, self._on_row),
            (pointing.row_pointed, self._on_pointed),
            (board.cells.cell_clicked, self._on_cell),
        )
        for signal, slot in self._slots:
            signal.connect(slot)

    def close(self) -> None:
        """Listen to nothing any more; the layers stay."""
        for signal, slot in self._slots:
            signal.disconnect(slot)

    def draw(self) -> None:
        """Draw the chosen neurons, or take the layers away; napari's grid has no place for them."""
        field, layers = self._fields.field(), self._board.layers
        if field is None or self._board.model.grid or layers.find(Role.STIMULUS) is None:
            layers.remove(Role.RECEPTIVE_FIELD)
            layers.remove(Role.RECEPTIVE_FIELD_OUTLINE)
            return
        active = layers.viewer.layers.selection.active
        self._draw_field(field)
        self._draw_outlines()
        # A new layer becomes the selected one; what the person had selected stays selected.
        layers.viewer.layers.selection.active = active

    def _draw_field(self, field: np.ndarray) -> None:
        board = self._board
        layer = board.layers.adopt(Role.RECEPTIVE_FIELD, Image)
        if layer is not None and layer.data.shape == field.shape:
            np.copyto(layer.data, field)
            board.layers.place(layer, board.layout.movie(0))
            redraw(layer)
            return
        style = {"colormap": signed_error(), "contrast_limits": (-1.0, 1.0), "interpolation2d": "linear"}
        board.layers.image(Role.RECEPTIVE_FIELD, "receptive field", field, board.layout.movie(0), **style)

    def _draw_outlines(self) -> None:
        board = self._board
        lines = self._fields.outlines()
        shown = lines if len(lines) <= MOST_OUTLINES else []
        layer: Layer | None = board.layers.adopt(Role.RECEPTIVE_FIELD_OUTLINE, Shapes)
        if layer is None:
            layer = board.layers.viewer.add_shapes(
                None,
                ndim=2,
                name="receptive field outline",
                units=board.layers.units[-2:],
                metadata={ROLE_KEY: str(Role.RECEPTIVE_FIELD_OUTLINE)},
            )
        layer.selected_data = set()
        layer.data = []
        if shown:
            layer.add_paths(shown, edge_color=OUTLINE_COLOUR, edge_width=OUTLINE_PX)
        # Coordinates are pixels of the movie.
        board.layers.place(layer, board.layout.movie(0), (board.layout.rows, board.layout.cols))

    def _on_row(self, neurons: np.ndarray) -> None:
        self._clicked = neurons if len(self._board.activity.explained.chosen) else np.empty(0, np.intp)
        if self._fields.maps is not None:
            self._fields.choose(self._clicked)
        elif len(self._clicked):
            self._fields.model.message.emit(f"{self._told(neurons)} {NO_FIELDS}", False)

    def _on_pointed(self, neurons: np.ndarray) -> None:
        """While the mouse is on a row its field is shown, then that of the row clicked last."""
        if self._fields.maps is not None:
            self._fields.choose(neurons if len(neurons) else self._clicked)

    def _told(self, neurons: np.ndarray) -> str:
        """Which neurons, and how well they are explained."""
        activity = self._board.activity
        r = activity.explained.told_correlation(neurons, activity.predicted)
        return f"{named(neurons).capitalize()}{r}: activity is drawn above the rasters."

    def _on_cell(self, cell: np.ndarray) -> None:
        if self._fields.maps is None:
            self._board.activity.choose(cell)
            self._fields.model.message.emit(f"{self._told(cell)} {NO_FIELDS}", False)
        else:
            self._board.activity.choose(cell)
            self._fields.choose(cell)
