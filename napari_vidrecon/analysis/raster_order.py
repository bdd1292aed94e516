"""In which order the neurons of a raster are drawn, so that the eye finds structure.

Every function returns (N,) indices: the neuron drawn first, the one drawn second, and so on.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import ArrayLike, NDArray

Order = NDArray[np.intp]

# Below these, rastermap's clusters and components outnumber what they are to describe.
RASTERMAP_LEAST_NEURONS = 200
RASTERMAP_LEAST_FRAMES = 50
RASTERMAP_COMPONENTS = 64
RASTERMAP_CLUSTERS = 50


def rastermap_installed() -> bool:
    """Whether the optional package rastermap is there; it is not loaded."""
    return importlib.util.find_spec("rastermap") is not None


def by_first_component(activity: ArrayLike) -> Order:
    """Order neurons by their share in the strongest common fluctuation.

    Neurons that never change come last. The same activity always gives the same order: the component's sign
    is the one in which it goes along with the mean activity.

    Parameters
    ----------
    activity
        (N, T), any unit; each neuron is taken relative to its own mean and spread.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first.
    """
    scored = _scored(activity)
    varying = scored.any(axis=1)
    if not varying.any():
        return np.arange(len(scored))
    # The T x T side is small whatever N; its leading eigenvector is the component's time course.
    _, vectors = np.linalg.eigh((scored.T @ scored).astype(np.float64))
    course = vectors[:, -1]
    if course @ scored.sum(axis=0) < 0:
        course = -course
    weights = np.where(varying, scored @ course, -np.inf)
    return np.argsort(-weights, kind="stable")


def by_rastermap(activity: ArrayLike) -> Order:
    """Order neurons with rastermap (Stringer et al. 2024); seconds, not milliseconds.

    Parameters
    ----------
    activity
        (N, T); at least 200 neurons and 50 frames, or the first principal component is used.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first.

    Raises
    ------
    ImportError
        Rastermap is not installed.
    """
    scored = _scored(activity)
    neurons, frames = scored.shape
    varying = np.flatnonzero(scored.any(axis=1))
    if len(varying) < RASTERMAP_LEAST_NEURONS or frames < RASTERMAP_LEAST_FRAMES:
        return by_first_component(activity)
    from rastermap import Rastermap

    sorting = Rastermap(
        n_clusters=RASTERMAP_CLUSTERS,
        n_PCs=min(RASTERMAP_COMPONENTS, frames - 1),
        locality=0.5,
        time_lag_window=0,
        normalize=False,
        mean_time=False,
        verbose=False,
    ).fit(scored[varying])
    silent = np.setdiff1d(np.arange(neurons), varying)
    return np.concatenate([varying[np.asarray(sorting.isort)], silent])


def by_similarity(activity: ArrayLike, *, thorough: bool = True) -> Order:
    """Neurons of like activity side by side: with rastermap where it is installed, else by first component.

    Parameters
    ----------
    activity
        (N, T).
    thorough
        False takes the first component, whatever is installed.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first.
    """
    return by_rastermap(activity) if thorough and rastermap_installed() else by_first_component(activity)


def by_prediction(recorded: ArrayLike, predicted: ArrayLike) -> Order:
    """Best predicted neurons first, by the correlation over time of recorded and predicted activity.

    Parameters
    ----------
    recorded, predicted
        (N, T); neurons without a correlation (constant, or not predicted: NaN) come last.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first; neurons without a correlation come last.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    truth, guess = np.asarray(recorded), np.asarray(predicted)
    if truth.shape != guess.shape:
        raise ValueError(f"recorded has shape {truth.shape} and predicted {guess.shape}; expected equal shapes")
    correlation = (_scored(truth) * _scored(guess)).sum(axis=1)
    defined = _scored(truth).any(axis=1) & _scored(guess).any(axis=1)
    return np.argsort(-np.where(defined, correlation, -np.inf), kind="stable")


def by_position(coordinates: ArrayLike) -> Order:
    """Order neurons along the axis in which they are spread widest, such as across the cortex.

    Parameters
    ----------
    coordinates
        (N, 3) or (N, 2), µm; neurons without a position (NaN) come last.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first.
    """
    positions = np.asarray(coordinates, dtype=np.float64)
    known = ~np.isnan(positions.sum(axis=1))
    if known.sum() < 2:
        return np.arange(len(positions))
    centred = positions - positions[known].mean(axis=0)
    _, vectors = np.linalg.eigh(centred[known].T @ centred[known])
    axis = vectors[:, -1]
    # The axis points the way its largest coordinate grows, or two sessions of one mouse could be mirrored.
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    along = np.where(known, np.where(known[:, np.newaxis], centred, 0.0) @ axis, np.inf)
    return np.argsort(along, kind="stable")


def by_depth(coordinates: ArrayLike) -> Order:
    """Uppermost neurons first.

    Parameters
    ----------
    coordinates
        (N, 3), µm, the last one the depth; neurons without one (NaN) come last.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first; as recorded where there is no depth.
    """
    positions = np.asarray(coordinates, dtype=np.float64)
    if positions.shape[1] < 3:
        return np.arange(len(positions))
    return np.argsort(positions[:, 2], kind="stable")


def by_field(rows: ArrayLike, columns: ArrayLike) -> Order:
    """By the place of the receptive field, from the left of the screen to the right.

    Parameters
    ----------
    rows, columns
        (N,) middle of each field, pixels; neurons without one (NaN) come last.

    Returns
    -------
    Order
        (N,) indices, the first to be drawn first.
    """
    return np.lexsort((np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64)))


def _scored(activity: ArrayLike) -> NDArray[np.float32]:
    """Each neuron minus its mean, divided by its norm; 0 throughout where it does not vary or is NaN."""
    values = np.asarray(activity, dtype=np.float32)
    centred = values - values.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    varies = values.max(axis=1, keepdims=True) > values.min(axis=1, keepdims=True)
    return np.divide(centred, norm, out=np.zeros_like(centred), where=varies)
