"""The rasters' rows: neurons in the order that is asked for, binned to as many rows as a screen shows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer
from scipy.sparse import csr_matrix

from napari_vidrecon.analysis import raster_order
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.model import RasterOrder, ReconstructionModel

if TYPE_CHECKING:
    from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps

MOST_ROWS = 500
ABLATED_SHARE = 0.2
"""How much of its brightness an ablated neuron keeps."""
LEAST_SHARE = 0.5
"""Of the middle neuron's standard deviation."""
LIMIT_PERCENTILE = 99.0
LEAST_LIMIT = 1e-6


class RasterRows:
    """Which neurons each row shows.

    Parameters
    ----------
    order
        Neurons from top to bottom; those that are not in it are not drawn.
    spread
        (N,) standard deviation of each neuron, > 0; activity is drawn relative to it.
    keep
        (N,) bool, False where a neuron is ablated; it is drawn dim.
    most_rows
        Neurons beyond that share rows, as means over neighbours in the order.
    """

    def __init__(self, order: np.ndarray, spread: np.ndarray, keep: np.ndarray, most_rows: int = MOST_ROWS) -> None:
        neurons = len(order)
        self.order = np.asarray(order, dtype=np.intp)
        # A picture has a row at least.
        self.rows = max(min(neurons, most_rows), 1)
        self._edges = np.linspace(0, neurons, self.rows + 1).astype(np.intp)
        self._row_of_place = np.repeat(np.arange(self.rows), np.diff(self._edges))
        self._weight = np.where(keep, 1.0, ABLATED_SHARE) / spread
        self._known = np.ones(len(spread), dtype=bool)
        self._matrix = self._averaging(self._known)

    def neurons(self, rows: np.ndarray | int) -> np.ndarray:
        """Indices of the neurons of one or more rows, in drawing order."""
        chosen = np.atleast_1d(rows)
        return np.concatenate(
            [self.order[self._edges[row] : self._edges[row + 1]] for row in chosen] or [np.empty(0, np.intp)]
        )

    def rows_of(self, neurons: np.ndarray) -> np.ndarray:
        """Rows, ascending, that show any of the given neurons."""
        return np.unique(self._row_of_place[np.isin(self.order, neurons)])

    def means(self, values: np.ndarray) -> np.ndarray:
        """(rows,) mean over each row's neurons of one value a neuron; those that are NaN are left out."""
        chosen = values[self.order]
        known = np.isfinite(chosen)
        total = np.bincount(self._row_of_place[known], chosen[known], minlength=self.rows)
        count = np.bincount(self._row_of_place[known], minlength=self.rows)
        return np.divide(total, count, out=np.full(self.rows, np.nan), where=count > 0)

    def picture(self, activity: np.ndarray) -> np.ndarray:
        """Mean activity of each row's neurons in standard deviations; unknown (NaN) adds 0.

        Parameters
        ----------
        activity
            (N, T) float32; a neuron is NaN throughout or nowhere.

        Returns
        -------
        np.ndarray
            (rows, T) float32.
        """
        known = ~np.isnan(activity[:, 0])
        if not np.array_equal(known, self._known):
            self._known, self._matrix = known, self._averaging(known)
        return self._matrix @ activity

    def _averaging(self, known: np.ndarray) -> csr_matrix:
        # A sparse product reads every neuron once and skips NaN ones, which hold no weight: no copy, no sorting.
        used = known[self.order]
        size = np.diff(self._edges)[self._row_of_place]
        weight = (self._weight[self.order] / size).astype(np.float32)
        entries = (weight[used], (self._row_of_place[used], self.order[used]))
        return csr_matrix(entries, shape=(self.rows, len(known)), dtype=np.float32)


def neuron_spread(activity: np.ndarray) -> np.ndarray:
    """Standard deviation over time of each neuron, never much below that of the middle neuron.

    Returns
    -------
    np.ndarray
        (N,), > 0 where any neuron is active.
    """
    spread = np.nan_to_num(np.asarray(activity).std(axis=1))
    active = spread[spread > 0]
    return np.maximum(spread, LEAST_SHARE * np.median(active)) if len(active) else np.ones_like(spread)


def upper_limit(picture: np.ndarray) -> float:
    """Where the colours of a raster end: nearly all of its values are below."""
    return max(float(np.percentile(np.abs(picture), LIMIT_PERCENTILE)), LEAST_LIMIT)


class TimeLine:
    """The line at the present frame, as a picture one row high and as wide as both rasters.

    Parameters
    ----------
    frames
        Length T of the clip.
    columns_apart
        From a frame in the first raster to the same frame in the second; 0 for one raster.
    fineness
        Elements a frame, odd; the line is one element wide.
    """

    def __init__(self, frames: int, columns_apart: int, fineness: int) -> None:
        self._frames, self._apart, self._fineness = frames, columns_apart, fineness
        self.picture = np.zeros((1, (frames + columns_apart) * fineness), np.uint8)
        """(1, W): 1 on the line."""

    def move(self, frame: int) -> None:
        """Mark another frame, in place; one beyond the clip is its last."""
        self.picture[...] = 0
        for first in {0, self._apart}:
            self.picture[0, (min(frame, self._frames - 1) + first) * self._fineness + self._fineness // 2] = 1


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
        self._explained: np.ndarray | None = None
        self.fields: ReceptiveFieldMaps | None = None
        """Maps of the session's neurons, where there are some."""
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
        if wanted == RasterOrder.EXPLAINED and not self._model.going_on:
            # Not while a run goes on: rows that change their places cannot be followed.
            predicted = self._model.reconstruction_prediction
            if predicted is not self._explained:
                self._explained = predicted
                self._known.pop(wanted, None)
        if wanted not in self._known:
            self._known[wanted] = self._find(wanted)
        return self._known[wanted]

    def take_fields(self, maps: ReceptiveFieldMaps | None) -> None:
        """Receptive fields were mapped, or are another session's."""
        self.fields = maps
        self._known.pop(RasterOrder.FIELD, None)
        if self._model.raster_order == RasterOrder.FIELD and maps is not None:
            self.found.emit()

    def looks_at(self) -> np.ndarray | None:
        """(N, 2) row and column of each neuron's receptive field, px; None while they are not mapped."""
        return None if self.fields is None else self.fields.looks_at

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
        from_video = model.reconstruction_prediction
        if wanted == RasterOrder.EXPLAINED and recorded is not None and from_video is not None:
            return raster_order.by_prediction(recorded, from_video)
        if wanted == RasterOrder.FIELD:
            if self.fields is not None:
                return raster_order.by_field(*self.fields.looks_at.T)
            model.message.emit("Map the receptive fields first; until then the rows are as recorded.", False)
        coordinates = None if model.session is None else model.session.coordinates
        if wanted == RasterOrder.POSITION and coordinates is not None:
            return raster_order.by_position(coordinates)
        if wanted == RasterOrder.DEPTH and coordinates is not None:
            return raster_order.by_depth(coordinates)
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
