"""The board in a viewer that is turned to three dimensions: put aside, and back again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_vidrecon.viewer.board.layers import ROLE_KEY, RoleLayers
from napari_vidrecon.viewer.faults import Faults, guarded

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

TOLD = "The board is flat: its layers are hidden in 3-D, and come back in 2-D."
PLAIN_MODE = "pan_zoom"


class Flatness:
    """Hides the board's layers while the viewer shows three dimensions.

    Time and screen make no body: napari would draw every movie as a cloud, for seconds each without a graphics card,
    and its brush fails beside the layer. What is hidden is not drawn.

    Parameters
    ----------
    layers
        The board's.
    faults
        Take what goes wrong.
    tell
        Called with one line and whether it is an error.
    """

    def __init__(self, layers: RoleLayers, faults: Faults, tell: Callable[[str, bool], object]) -> None:
        self._layers, self.faults, self._tell = layers, faults, tell
        layers.viewer.dims.events.ndisplay.connect(self._on_turned)
        layers.viewer.layers.events.inserted.connect(self._on_inserted)

    def close(self) -> None:
        """Leave the layers as they are."""
        self._layers.viewer.dims.events.ndisplay.disconnect(self._on_turned)
        self._layers.viewer.layers.events.inserted.disconnect(self._on_inserted)

    @guarded
    def _on_turned(self) -> None:
        if self._layers.flat:
            for layer in list(self._layers.waiting):
                self._layers.show(layer, True)
            return
        shown = [layer for layer in self._layers.ours() if layer.visible]
        for layer in shown:
            self._put_aside(layer)
        if shown:
            self._tell(TOLD, False)

    @guarded
    def _on_inserted(self, event: Event) -> None:
        if not self._layers.flat and ROLE_KEY in event.value.metadata:
            self._put_aside(event.value)

    def _put_aside(self, layer: Layer) -> None:
        if hasattr(layer, "mode"):
            layer.mode = PLAIN_MODE
        self._layers.show(layer, layer.visible)
