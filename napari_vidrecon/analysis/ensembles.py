"""What several movies of one clip say: how good means over sets of encoders would be, and how sure their mean is.

No movie is averaged for the first: the mean of some movies correlates with the truth as their covariances say, so one
small matrix of covariances answers for all sets. Source of the question: Bauer et al. 2026, Fig. 3; that all sets are
taken is this program's choice, as the paper does not say which it took.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from napari_vidrecon.errors import ConfigError

Floats = NDArray[np.float64]


def subsets(members: int, size: int) -> NDArray[np.intp]:
    """All sets of `size` out of `members`: (sets, size) positions."""
    return np.array(list(combinations(range(members), size)), dtype=np.intp).reshape(-1, size)


def mean_video_correlations(truth: ArrayLike, videos: Sequence[ArrayLike], pixels: ArrayLike) -> list[Floats]:
    """Video correlation of the mean of every set of movies, by the size of the set.

    Parameters
    ----------
    truth
        (T, H, W), grey levels.
    videos
        K movies (T, H, W), as they are averaged: clipped, and smoothed (a linear filter, which may come first).
    pixels
        (H, W) bool, pixels that are measured.

    Returns
    -------
    list[Floats]
        K arrays: of sets of 1, of 2, ... of all K movies; NaN where truth or mean is constant.
    """
    inside = np.asarray(pixels) == 1
    rows = np.stack([np.asarray(movie, dtype=np.float64)[:, inside].ravel() for movie in (truth, *videos)])
    covariance = _covariance(rows)[np.newaxis]
    return [_correlations(covariance, subsets(len(videos), size))[:, 0] for size in range(1, len(videos) + 1)]


def mean_frame_correlations(truth: ArrayLike, videos: Sequence[ArrayLike], pixels: ArrayLike) -> list[Floats]:
    """Mean frame correlation of the mean of every set of movies.

    Parameters
    ----------
    truth
        (T, H, W), grey levels.
    videos
        Movies (T, H, W), one an encoder.
    pixels
        (H, W) boolean or 0/1, what is measured.

    Returns
    -------
    list[NDArray[np.float64]]
        One array for each size of a set, from one movie to all; a value for each set.
    """
    inside = np.asarray(pixels) == 1
    movies = np.stack([np.asarray(movie, dtype=np.float64)[:, inside] for movie in (truth, *videos)])
    covariance = np.stack([_covariance(movies[:, frame]) for frame in range(movies.shape[1])])
    means = []
    for size in range(1, len(videos) + 1):
        frames = _correlations(covariance, subsets(len(videos), size))
        defined = np.isfinite(frames)
        counts = defined.sum(axis=1)
        total = np.where(defined, frames, 0.0).sum(axis=1)
        means.append(np.divide(total, counts, out=np.full(len(frames), np.nan), where=counts > 0))
    return means


def _covariance(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    # The rounding of a mean would make a constant movie look as if it varied.
    centred[rows.min(axis=1) == rows.max(axis=1)] = 0.0
    return centred @ centred.T


def _correlations(covariance: Floats, sets: NDArray[np.intp]) -> Floats:
    """(sets, frames) from (frames, 1 + K, 1 + K), whose first row is the truth's."""
    member = np.zeros((len(sets), covariance.shape[1] - 1))
    np.put_along_axis(member, sets, 1.0 / sets.shape[1], axis=1)
    with_truth = np.einsum("sk,fk->sf", member, covariance[:, 0, 1:])
    of_mean = np.einsum("sk,fkl,sl->sf", member, covariance[:, 1:, 1:], member)
    norm = np.sqrt(np.maximum(of_mean, 0.0) * covariance[:, 0, 0])
    return np.divide(with_truth, norm, out=np.full(with_truth.shape, np.nan), where=norm > 0)


POOLED_PX, POOLED_FRAMES = 1.0, 2.0
"""SD of the neighbourhood whose variances are averaged: of a few movies, that of a single pixel is mostly chance."""


def uncertainty_map(videos: Sequence[np.ndarray], scale: float = 1.0) -> np.ndarray:
    """Standard deviation over movies, pixel by pixel and frame by frame.

    With movies of several draws it is the spread that activity and prior leave open; with those of several encoders
    what the encoders disagree about; with both, both.

    Parameters
    ----------
    videos
        At least two movies (T, rows, columns), grey levels 0..255.
    scale
        What it is multiplied with, to be as large as the error (`calibrate_uncertainty`).

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
    return (scale * np.sqrt(pooled)).astype(np.float32)
