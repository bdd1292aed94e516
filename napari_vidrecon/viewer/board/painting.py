"""What a person draws on the board: the mask with napari's own brush, and a region of the stimulus."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels, Shapes
from napari.utils.colormaps import CyclicLabelColormap
from qtpy.QtCore import QTimer

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.board.colormaps import PAINT_COLOUR, heat
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers, redraw
from napari_vidrecon.viewer.board.tiles import BoardLayout
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.model import ReconstructionModel

BRUSH_PX = 4
SETTLE_MS = 250
"""The mask follows a stroke of the brush when it has rested for so long."""
ALL_ERASED = "All of the mask was erased. It stays as it was until something is painted again."
OPAQUE = 1.0
CLEAR = 0.0


class AlphaTile:
    """Alpha as heat over the stimulus: of the mask, where a person wants to see it, and of one that is being fitted.

    Parameters
    ----------
    layers
        Where it is found.
    model
        Whose mask it is.
    """

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self.fitted: np.ndarray | None = None
        """(36, 64) of a mask that is being fitted."""

    def draw(self, layout: BoardLayout) -> None:
        """Draw it, or take it away; napari's grid has no place for it."""
        alpha = self.fitted if self.fitted is not None else self._model.mask.screen
        wanted = self.fitted is not None or self._model.alpha_shown
        if not wanted or self._model.grid or self._layers.find(Role.STIMULUS) is None:
            self._layers.remove(Role.ALPHA)
            return
        style = {"colormap": heat(), "contrast_limits": (0.0, OPAQUE), "interpolation2d": "nearest"}
        self._layers.picture(Role.ALPHA, "alpha", np.array(alpha, np.float32), layout.movie(0), **style)


class MaskPainting:
    """Lends the brush while the mask is painted.

    Parameters
    ----------
    layers
        The painted layer is among them.
    model
        Whose mask it is.
    """

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self.faults = Faults(model.message.emit)
        self._settling: QTimer | None = None
        self._followed, self._before = model.mask, self._present()
        """The mask that is painted on, and what of it was there before the present stroke."""

    @property
    def layer(self) -> Labels | None:
        """What is painted on, or None."""
        return self._layers.adopt(Role.PAINTING, Labels)

    def begin(self, layout: BoardLayout) -> Labels:
        """Lay the training mask over the stimulus, ready for the brush."""
        layer = self.layer
        if layer is None:
            self._followed, self._before = self._model.mask, self._present()
            layer = self._layers.viewer.add_labels(
                self._before.copy(),
                name="mask: paint 1, erase 0",
                # Of a direct one napari compiles code at the first stroke: two seconds without a window.
                colormap=CyclicLabelColormap(colors=np.array([(0, 0, 0, 0), PAINT_COLOUR], np.float32)),
                opacity=1.0,
                units=self._layers.units[-2:],
                axis_labels=("y", "x"),
                metadata={ROLE_KEY: str(Role.PAINTING)},
            )
            layer.events.paint.connect(self._on_stroke)
            # Napari's own would take a stroke back of which the mask never hears.
            layer.bind_key("Control-Z", self._undo, overwrite=True)
            layer.bind_key("Control-Shift-Z", self._redo, overwrite=True)
        self._layers.place(layer, layout.movie(0))
        layer.selected_label, layer.brush_size, layer.mode = 1, BRUSH_PX, "paint"
        self._layers.viewer.layers.selection.active = layer
        return layer

    def end(self) -> None:
        """Take the brush away; what was painted is the mask."""
        if self.layer is not None:
            self._take_over()
        self.abandon()

    def abandon(self) -> None:
        """Take the brush away; what was not taken over yet is lost."""
        self._layers.remove(Role.PAINTING)
        self.close()

    def close(self) -> None:
        """Wait for no stroke any more."""
        if self._settling is not None:
            self._settling.stop()

    def follow_mask(self) -> None:
        """The mask or a threshold changed elsewhere, as by undo or a file: show it on what is painted."""
        layer = self.layer
        if layer is None:
            return
        if self._followed is self._model.mask:
            # Only a threshold changed: a stroke that was just drawn is meant all the same.
            self._end_stroke()
        self._followed, self._before = self._model.mask, self._present()
        if not np.array_equal(layer.data, self._before):
            layer.data[...] = self._before
            redraw(layer)

    def _present(self) -> np.ndarray:
        return self._model.mask.binary(self._model.training_threshold).astype(np.uint8)

    @guarded
    def _on_stroke(self) -> None:
        if self._settling is None:
            self._settling = QTimer()
            self._settling.setSingleShot(True)
            self._settling.timeout.connect(self._take_over)
        self._settling.start(SETTLE_MS)

    def _undo(self, _layer: Labels) -> None:
        """A stroke that was just drawn is a change, too; one that left nothing is none of the model's."""
        self._end_stroke()
        layer = self.layer
        if layer is not None and not np.asarray(layer.data).any():
            layer.data[...] = self._before
            redraw(layer)
        else:
            self._model.undo()

    def _redo(self, _layer: Labels) -> None:
        self._end_stroke()
        self._model.redo()

    def _end_stroke(self) -> None:
        if self._settling is not None and self._settling.isActive():
            self._settling.stop()
            self._take_over()

    @guarded
    def _take_over(self) -> None:
        layer, model = self.layer, self._model
        if layer is None:
            return
        inside, was = np.asarray(layer.data) > 0, self._before > 0
        if not inside.any():
            # An empty mask cannot be reconstructed in; wait until something is painted again.
            model.message.emit(ALL_ERASED, False)
            return
        if np.array_equal(inside, was):
            return
        alpha = model.mask.screen.copy()
        alpha[inside & ~was] = max(OPAQUE, model.training_threshold, model.evaluation_threshold)
        alpha[was & ~inside] = CLEAR
        model.set_mask(AlphaMask(alpha, "painted by hand", alpha.shape))


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
                units=self._layers.units[-2:],
                metadata={ROLE_KEY: str(Role.REGION)},
            )
        # Its coordinates are pixels of the movie.
        self._layers.place(layer, layout.movie(0), (layout.rows, layout.cols))
        layer.mode = "add_polygon_lasso"
        self._layers.viewer.layers.selection.active = layer
        return layer

    def mask(self, layout: BoardLayout) -> np.ndarray | None:
        """(rows, cols) bool, True inside any drawn shape; None if nothing is drawn."""
        layer = self._layers.adopt(Role.REGION, Shapes)
        if layer is None or not layer.nshapes:
            return None
        inside = layer.to_masks((layout.rows, layout.cols)).any(axis=0)
        return inside if inside.any() else None
