"""The board in napari's own grid: every tile on a canvas of its own, zoomed together, for close comparison."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Layer

from napari_vidrecon.viewer.board.captions import fitted
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers

LAYERS_A_TILE = 2
COLUMNS = 3
SPACING = 0.06
TITLE_LETTERS, TITLE_POINTS = 28, 8.0
TILES: tuple[tuple[Role, Role], ...] = (
    (Role.STIMULUS, Role.MASK),
    (Role.RECONSTRUCTION, Role.MASK),
    (Role.COMPARISON, Role.MASK),
    (Role.ERROR_BASE, Role.ERROR_MAP),
    (Role.RECORDED, Role.NOW),
    (Role.PREDICTED, Role.NOW),
    (Role.DIFFERENCE, Role.NOW),
)
"""Below and above in each tile; what lies above in several is drawn once more for each."""
TITLED = {Role.ERROR_BASE: Role.ERROR_MAP, Role.DIFFERENCE: Role.PREDICTED}
"""Tiles whose title is written under another role."""


class GridTiles:
    """Orders and copies layers so that each pair falls into one tile of the grid, and takes it back.

    Parameters
    ----------
    layers
        The board's layers.
    """

    def __init__(self, layers: RoleLayers) -> None:
        self._layers = layers
        self._names: dict[Layer, str] = {}

    @property
    def on(self) -> bool:
        """Whether napari shows the grid for us."""
        return bool(self._names)

    def enter(self, titles: dict[Role, str]) -> None:
        """Lay the tiles out in the grid.

        Parameters
        ----------
        titles
            What each tile shows; written in it through the layer's name.
        """
        self.leave()
        ordered: list[Layer] = []
        for below, above in TILES:
            base, over = self._layers.find(below), self._layers.find(above)
            if base is None or over is None:
                continue
            if over in ordered:
                over = self._copy(over)
            over.visible = base.visible
            ordered += [base, over]
            self._names[base] = base.name
            base.name = fitted(titles.get(TITLED.get(below, below), base.name), TITLE_LETTERS)
            base.name_overlay.visible, base.name_overlay.font_size = True, TITLE_POINTS
        self._sort(ordered)
        grid = self._layers.viewer.canvas.grid
        grid.stride, grid.shape, grid.spacing, grid.enabled = LAYERS_A_TILE, (-1, COLUMNS), SPACING, True

    def leave(self) -> None:
        """Back to one canvas."""
        self._layers.remove(Role.GRID_COPY)
        for layer, name in self._names.items():
            layer.name_overlay.visible = False
            layer.name = name
        if self._names:
            self._layers.viewer.canvas.grid.enabled = False
        self._names = {}

    def copies_of(self, layer: Layer) -> list[Layer]:
        """The layers in other tiles that show the same data."""
        return [copy for copy in self._layers.all_of(Role.GRID_COPY) if copy.data is layer.data]

    def _copy(self, layer: Layer) -> Layer:
        assert isinstance(layer, Image)
        style: dict[str, Any] = {
            "name": layer.name,
            "scale": layer.scale,
            "translate": layer.translate,
            "units": layer.units,
            "axis_labels": layer.axis_labels,
            "blending": str(layer.blending),
            "interpolation2d": str(layer.interpolation2d),
            "metadata": {ROLE_KEY: str(Role.GRID_COPY)},
        }
        if layer.rgb:
            return self._layers.viewer.add_image(layer.data, rgb=True, **style)
        limits = tuple(layer.contrast_limits)
        return self._layers.viewer.add_image(layer.data, colormap=layer.colormap, contrast_limits=limits, **style)

    def _sort(self, ordered: list[Layer]) -> None:
        # The grid puts layers into tiles by their place in the list, whatever else the person has there.
        layers = self._layers.viewer.layers
        for target, layer in enumerate(ordered):
            present = layers.index(layer)
            if present != target:
                layers.move(present, target)
