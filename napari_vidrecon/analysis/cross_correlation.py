"""How two courses over time go together when one is shifted against the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cross_correlation(first: ArrayLike, second: ArrayLike, largest_lag: int) -> NDArray[np.float64]:
    """Normalised cross-correlation: mean product of the z-scored courses over the frames that overlap.

    Parameters
    ----------
    first, second
        (T,); a frame where either is NaN is left out of both.
    largest_lag
        Frames, 0 <= lag < T.

    Returns
    -------
    NDArray[np.float64]
        (2 * largest_lag + 1,), lags from -largest_lag; at a positive lag `second` comes later. At lag 0 it is Pearson's
        r. NaN where a course does not vary, or no frame overlaps.

    Raises
    ------
    ValueError
        Courses of different lengths, or a lag beyond them.

    References
    ----------
    Bauer et al. 2026, Fig. 2-S1 B.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"the courses have shapes {x.shape} and {y.shape}; expected one (frames,)")
    if not 0 <= largest_lag < max(len(x), 1):
        raise ValueError(f"largest lag {largest_lag}; expected 0 to {len(x) - 1} frames")
    known = np.isfinite(x) & np.isfinite(y)
    x, y = _scored(x, known), _scored(y, known)
    lags = range(-largest_lag, largest_lag + 1)
    return np.array([_mean_product(x, y, lag) for lag in lags])


def _scored(course: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    values = course[known]
    scored = np.full(len(course), np.nan)
    if values.size and values.min() < values.max():
        scored[known] = (values - values.mean()) / values.std()
    return scored


def _mean_product(x: NDArray[np.float64], y: NDArray[np.float64], lag: int) -> float:
    early, late = (x[: len(x) - lag], y[lag:]) if lag >= 0 else (x[-lag:], y[: len(y) + lag])
    products = early * late
    products = products[np.isfinite(products)]
    return float(products.mean()) if products.size else float("nan")
