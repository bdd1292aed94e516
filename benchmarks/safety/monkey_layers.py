"""What a monkey does with the layers of a window, ours and a person's own."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points

KINDS = ("image", "labels", "points", "shapes", "colour image")
SIZES = ((9, 7), (5, 9, 7), (2, 5, 9, 7))


class LayerMoves:
    """Deletes, adds, moves, duplicates and restyles layers.

    Parameters
    ----------
    viewer
        Holds them.
    seed
        Of everything that is done.

    `done` lists what was done, the newest last.
    """

    def __init__(self, viewer: Any, seed: int) -> None:
        self.viewer = viewer
        self.random = random.Random(seed)
        self.done: list[str] = []

    def _say(self, what: str) -> None:
        self.done[-1] += f" {what}"

    def _layer(self) -> Layer | None:
        return self.random.choice(list(self.viewer.layers)) if len(self.viewer.layers) else None

    def delete_layer(self) -> None:
        """Any layer, ours or another."""
        layer = self._layer()
        if layer is not None:
            self._say(layer.name)
            self.viewer.layers.remove(layer)

    def delete_all_layers(self) -> None:
        """All of them, or all that are selected."""
        if self.random.random() < 0.5:
            self.viewer.layers.clear()
        else:
            self.viewer.layers.select_all()
            self.viewer.layers.remove_selected()

    def add_layer(self) -> None:
        """Something of a person's own, of two, three or four dimensions."""
        self._add(self.random.choice(KINDS), self.random.choice(SIZES))

    def add_every_layer(self) -> None:
        """All that `add_layer` may add: napari compiles what draws labels and shapes when it meets the first."""
        for kind, size in itertools.product(KINDS, SIZES):
            self._add(kind, size)
            layer = self.viewer.layers[-1]
            if isinstance(layer, Labels):
                layer.paint((0,) * layer.ndim, 1)

    def _add(self, kind: str, size: tuple[int, ...]) -> None:
        if kind == "image":
            self.viewer.add_image(np.zeros(size, np.float32))
        elif kind == "labels":
            self.viewer.add_labels(np.zeros(size, np.uint8))
        elif kind == "points":
            self.viewer.add_points(np.zeros((3, len(size))))
        elif kind == "shapes":
            self.viewer.add_shapes([np.eye(4, len(size)) * 9] if len(size) < 4 else None, ndim=len(size))
        else:
            self.viewer.add_image(np.zeros((9, 7, 3), np.uint8), rgb=True)

    def move_layer(self) -> None:
        """To another place in the list."""
        count = len(self.viewer.layers)
        if count > 1:
            self.viewer.layers.move(self.random.randrange(count), self.random.randrange(count))

    def duplicate_layer(self) -> None:
        """As napari does: with its metadata."""
        layer = self._layer()
        if isinstance(layer, Image) and layer.rgb and not layer.visible and self.viewer.dims.ndisplay == 3:
            # Napari's own fault, with its menu as well: a hidden colour image that is made in 3-D has no slice to draw.
            return
        if layer is not None:
            self._say(layer.name)
            self.viewer.add_layer(Layer.create(*layer.as_layer_data_tuple()))

    def restyle_layer(self) -> None:
        """Rename, hide, fade, select, recolour; another mode, other data, another place."""
        layer = self._layer()
        if layer is None:
            return
        change = self.random.randrange(9)
        self._say(f"{change} {layer.name}")
        if change == 0:
            layer.name = self.random.choice(["stimulus", "a", "ü\n", "<b>x</b>", "reconstruction"])
        elif change == 1:
            layer.visible = not layer.visible
        elif change == 2:
            layer.opacity = self.random.random()
        elif change == 3:
            self.viewer.layers.selection = set(
                self.random.sample(list(self.viewer.layers), self.random.randint(0, len(self.viewer.layers)))
            )
        elif change == 4 and isinstance(layer, Image) and not layer.rgb:
            layer.contrast_limits = self.random.choice([(0, 1), (-5.0, 5.0), (0, 255)])
            layer.colormap = self.random.choice(["gray", "magma", "red"])
        elif change == 5:
            layer.mode = self.random.choice(["pan_zoom", "transform"])
        elif change == 6 and isinstance(layer, Labels):
            layer.paint((0,) * layer.ndim, 1)
            layer.undo()
        elif change == 7:
            layer.metadata = self.random.choice([{}, {"vidrecon_role": "stimulus"}, {"vidrecon_role": 5}])
        elif change == 8 and isinstance(layer, Points):
            layer.selected_data = set(range(min(2, len(layer.data))))
