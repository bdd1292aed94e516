"""How sure a reconstruction is: the spread of movies that all fit the activity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_vidrecon.errors import ConfigError

POOLED_PX, POOLED_FRAMES = 1.0, 2.0
"""SD of the neighbourhood whose variances are averaged: of a few movies, that of a single pixel is mostly chance."""


def uncertainty_map(videos: Sequence[np.ndarray]) -> np.ndarray:
    """Standard deviation over movies, pixel by pixel and frame by frame.

    With movies of several draws it is the spread that activity and prior leave open; with those of several encoders
    what the encoders disagree about; with both, both.

    Parameters
    ----------
    videos
        At least two movies (T, rows, columns), grey levels 0..255.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, grey levels, >= 0.

    Raises
    ------
    ConfigError
        Fewer than two movies.
    """
    if len(videos) < 2:
        raise ConfigError(f"uncertainty: expected at least two movies, found {len(videos)}; use draws or encoders")
    variance = np.var(np.stack(videos), axis=0, ddof=1, dtype=np.float64)
    # Beyond the mask nothing varies, and that must not thin out the variance at its edge.
    moves = (variance > 0).any(axis=0)
    sigmas = (POOLED_FRAMES, POOLED_PX, POOLED_PX)
    pooled = gaussian_filter(variance, sigmas, mode="nearest")
    share = gaussian_filter(moves.astype(np.float64), sigmas[1:], mode="nearest")
    pooled = np.divide(pooled, share, out=np.zeros_like(pooled), where=moves)
    return np.sqrt(pooled).astype(np.float32)
