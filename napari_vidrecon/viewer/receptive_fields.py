"""What the window knows of receptive fields: the maps, and which neurons are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_vidrecon.errors import StorageError
from napari_vidrecon.viewer.model import ReconstructionModel

if TYPE_CHECKING:
    from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps

PERCENT = 100


class ReceptiveFieldChoice:
    """Maps of the open session and the neurons whose field is shown; without Qt.

    Signals carry no data: listeners read it. Another session takes the maps away.

    Parameters
    ----------
    model
        Of the same window.
    """

    maps_changed = Signal()
    neurons_changed = Signal()

    def __init__(self, model: ReconstructionModel) -> None:
        self.model = model
        self.maps: ReceptiveFieldMaps | None = None
        self.neurons = np.empty(0, np.intp)
        model.session_changed.connect(self._forget)

    def take(self, maps: ReceptiveFieldMaps, source: str = "receptive fields") -> None:
        """Show these maps from now on.

        Parameters
        ----------
        maps
            Of as many neurons as the session has.
        source
            File they come from, for messages.

        Raises
        ------
        StorageError
            No session is open, or it has another number of neurons.
        """
        session = self.model.session
        if session is None:
            raise StorageError(f"{source}: open a session first; receptive fields belong to one")
        if len(maps) != session.n_neurons:
            raise StorageError(
                f"{source}: expected receptive fields of {session.n_neurons} neurons, as {session.name} has, "
                f"found {len(maps)}; map them anew, or open their session"
            )
        self.maps = maps
        self.maps_changed.emit()
        self.choose(self.neurons)

    def load(self, path: Path) -> None:
        """Take the maps of a file.

        Raises
        ------
        StorageError
            It cannot be read, or belongs to another session.
        """
        from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps

        session = self.model.session
        self.take(ReceptiveFieldMaps.load(path, None if session is None else session.screen), str(path))

    def choose(self, neurons: Iterable[int]) -> None:
        """Look at these neurons; none hides the field."""
        chosen = np.fromiter(neurons, np.intp)
        self.neurons = chosen[(chosen >= 0) & (chosen < len(self.maps or ()))]
        self.neurons_changed.emit()

    def field(self) -> np.ndarray | None:
        """(36, 64) on minus off of the chosen neurons, -1..1, their mean; None if none is chosen."""
        if self.maps is None or not len(self.neurons):
            return None
        return self.maps.difference(self.neurons).mean(axis=0).astype(np.float32)

    def outlines(self) -> list[np.ndarray]:
        """Fitted ellipses of the chosen neurons, each (points, 2) as row and column, px."""
        if self.maps is None:
            return []
        return [self.maps.fits.outline(int(neuron)) for neuron in self.neurons if self._fitted(int(neuron))]

    def _fitted(self, neuron: int) -> bool:
        return self.maps is not None and bool(np.isfinite(self.maps.fits.row[neuron]))

    def summary(self) -> str:
        """What the maps say of the population, in a line or two."""
        maps = self.maps
        if maps is None:
            return "Not mapped yet."
        known = maps.responsive & np.isfinite(maps.fits.row)
        if not known.any():
            return f"None of {len(maps)} neurons responds to a patch."
        return (
            f"{int(maps.responsive.sum())} of {len(maps)} neurons respond; median size "
            f"{np.median(maps.diameter_px[known]):.1f} px or {np.median(maps.diameter_deg[known]):.0f}°."
        )

    def chosen_in_words(self) -> str:
        """What the maps say of the chosen neurons."""
        maps = self.maps
        if maps is None:
            return ""
        if not len(self.neurons):
            return "Click a row of a raster, or a cell, to see its receptive field on the stimulus."
        if len(self.neurons) > 1:
            return f"{len(self.neurons)} neurons share this row; their mean is shown."
        neuron = int(self.neurons[0])
        if not maps.responsive[neuron] or not self._fitted(neuron):
            return f"Neuron {neuron} does not respond to a patch."
        on, off = (PERCENT * float(each[neuron].max()) for each in (maps.on, maps.off))
        return (
            f"Neuron {neuron}: {maps.diameter_px[neuron]:.1f} px or {maps.diameter_deg[neuron]:.0f}° wide, "
            f"{maps.eccentricity_deg[neuron]:.0f}° from the middle; bright patches raise its activity by up to "
            f"{on:.0f} %, dark ones by {off:.0f} %."
        )

    def _forget(self) -> None:
        self.maps = None
        self.maps_changed.emit()
        self.choose(())
