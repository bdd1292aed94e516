"""The order of the neurons the model asks for: found at once, and again in the background where that takes long."""

from __future__ import annotations

import threading

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_vidrecon.analysis import raster_order
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.model import RasterOrder, ReconstructionModel

POLL_MS = 200


class NeuronOrder:
    """Orders neurons for the rasters, and remembers the answer.

    Parameters
    ----------
    model
        Asks for an order, and holds what it is made from.
    """

    found = Signal()
    """A better order than the one given at first is there."""

    def __init__(self, model: ReconstructionModel) -> None:
        self._model = model
        self.faults = Faults(model.message.emit)
        self._known: dict[RasterOrder, np.ndarray] = {}
        self._search: _Search | None = None
        self._timer: QTimer | None = None

    @property
    def waits_for_prediction(self) -> bool:
        """Whether the order asked for needs a prediction from the stimulus."""
        return self._model.raster_order == RasterOrder.PREDICTION

    def forget(self) -> None:
        """The activity changed: what was found no longer holds."""
        self._known = {}
        self._search = None

    def order(self) -> np.ndarray:
        """(N,) neurons from top to bottom."""
        wanted = self._model.raster_order
        if wanted not in self._known:
            self._known[wanted] = self._find(wanted)
        return self._known[wanted]

    def close(self) -> None:
        """Look for nothing any more."""
        if self._timer is not None:
            self._timer.stop()
        self._search = None

    def _find(self, wanted: RasterOrder) -> np.ndarray:
        model, trial = self._model, self._model.trial
        assert model.neurons is not None
        as_recorded = np.arange(len(model.neurons.keep))
        recorded = trial.responses if trial is not None and trial.labelled else None
        activity = recorded if recorded is not None else model.stimulus_prediction
        if wanted == RasterOrder.SIMILARITY and activity is not None:
            if raster_order.rastermap_installed():
                self._search_thoroughly(activity)
            return raster_order.by_similarity(activity, thorough=False)
        if wanted == RasterOrder.PREDICTION and recorded is not None and model.stimulus_prediction is not None:
            return raster_order.by_prediction(recorded, model.stimulus_prediction)
        coordinates = None if model.session is None else model.session.coordinates
        if wanted == RasterOrder.POSITION and coordinates is not None:
            return raster_order.by_position(coordinates)
        return as_recorded

    def _search_thoroughly(self, activity: np.ndarray) -> None:
        self._search = _Search(activity)
        if self._timer is None:
            self._timer = QTimer()
            self._timer.setInterval(POLL_MS)
            self._timer.timeout.connect(self._look)
        self._timer.start()

    @guarded
    def _look(self) -> None:
        search = self._search
        if search is None or search.finished:
            if self._timer is not None:
                self._timer.stop()
            self._search = None
        if search is not None and search.order is not None:
            self._known[RasterOrder.SIMILARITY] = search.order
            if self._model.raster_order == RasterOrder.SIMILARITY:
                self.found.emit()


class _Search:
    """Rastermap in a thread of its own, which ends with the program: it may take a minute the first time."""

    def __init__(self, activity: np.ndarray) -> None:
        self.order: np.ndarray | None = None
        self._thread = threading.Thread(target=self._run, args=(activity,), daemon=True, name="vidrecon-rastermap")
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._thread.is_alive()

    def _run(self, activity: np.ndarray) -> None:
        try:
            self.order = raster_order.by_rastermap(activity)
        except (ImportError, ValueError, ArithmeticError, np.linalg.LinAlgError):
            # The first component stays: an optional package that fails must not take the window along.
            self.order = None
