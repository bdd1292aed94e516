"""Choosing neurons by what a person selects: rows, cells, or a region of the screen."""

from __future__ import annotations

import numpy as np

from napari_vidrecon.reconstruction.neurons import NeuronSet
from napari_vidrecon.sessions.session import Session


def receptive_field_centres(session: Session) -> np.ndarray | None:
    """Row and column of every neuron's receptive field, (N, 2) in pixels, or None where nothing knows them.

    A simulated mouse says where it put them.
    """
    notes = (session.simulation or {}).get("per_neuron", {})
    if not isinstance(notes, dict) or not {"row_px", "column_px"} <= notes.keys():
        return None
    try:
        centres = np.stack([np.asarray(notes[name], dtype=np.float64) for name in ("row_px", "column_px")], axis=1)
    except (TypeError, ValueError):
        return None
    return centres if centres.shape == (session.n_neurons, 2) else None


def in_region(centres: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Indices of the neurons whose centre lies in a region.

    Parameters
    ----------
    centres
        (N, 2) row and column, pixels; NaN where unknown.
    region
        (36, 64) bool.
    """
    known = np.isfinite(centres).all(axis=1)
    places = np.round(np.where(known[:, np.newaxis], centres, -1)).astype(np.int64)
    on_screen = known & (places >= 0).all(axis=1) & (places < region.shape).all(axis=1)
    chosen = np.zeros(len(centres), dtype=bool)
    chosen[on_screen] = region[places[on_screen, 0], places[on_screen, 1]]
    return np.flatnonzero(chosen)


def ablated(present: NeuronSet, indices: np.ndarray, what: str, *, keep_only: bool = False) -> NeuronSet:
    """The present choice without some more neurons, or with nothing but those.

    Parameters
    ----------
    present
        The choice so far.
    indices
        Neurons a person selected.
    what
        How they were selected, for the reason: "marked rows", "selected cells", "drawn region".
    keep_only
        Ablate all others instead.

    Raises
    ------
    ConfigError
        None would be left.
    """
    chosen = np.zeros(len(present.keep), dtype=bool)
    chosen[indices] = True
    keep = present.keep & (chosen if keep_only else ~chosen)
    reason = f"only {what} ({int(keep.sum())})" if keep_only else f"{what} ablated ({int((~keep).sum())} in all)"
    return NeuronSet(keep, reason, {"kind": "list"})
