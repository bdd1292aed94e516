"""Two movies in one place, by turns: differences jump at the eye."""

from __future__ import annotations

from qtpy.QtCore import QTimer

from napari_vidrecon.viewer.board.layers import Role, RoleLayers
from napari_vidrecon.viewer.faults import Faults, guarded

BLINK_HZ = 2.0
"""Both movies are seen so many times a second."""


class Blinking:
    """Shows and hides the compared run, which lies over the reconstruction.

    Parameters
    ----------
    layers
        The compared run is among them.
    faults
        Take what goes wrong.
    """

    def __init__(self, layers: RoleLayers, faults: Faults) -> None:
        self._layers, self.faults = layers, faults
        self._timer: QTimer | None = None

    def set_on(self, on: bool) -> None:
        """Blink, or hold."""
        if on and self._timer is None:
            self._timer = QTimer()
            self._timer.setInterval(round(1000 / BLINK_HZ / 2))
            self._timer.timeout.connect(self._turn)
            self._timer.start()
        elif not on and self._timer is not None:
            self._timer.stop()
            self._timer = None

    @guarded
    def _turn(self) -> None:
        layer = self._layers.find(Role.COMPARISON)
        if layer is not None and self._layers.flat:
            layer.visible = not layer.visible

    def close(self) -> None:
        """Hold."""
        self.set_on(False)
