"""Traces: the slow fluctuations behind all that drifts, and how a deconvolved two-photon recording shows events."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from napari_vidrecon.sessions.trial import FRAME_RATE_HZ


def ornstein_uhlenbeck(
    rng: np.random.Generator, samples: int, spread: float, seconds: float, rate_hz: float
) -> np.ndarray:
    """Stationary Gaussian noise with exponentially falling correlation.

    Parameters
    ----------
    rng
        Random generator; `samples` + 1 numbers are drawn from it.
    samples
        Length, >= 1.
    spread
        Standard deviation.
    seconds
        Correlation time, s.
    rate_hz
        Samples a second.

    Returns
    -------
    np.ndarray
        (samples,) float64.
    """
    keep = np.exp(-1.0 / (seconds * rate_hz))
    noise = rng.standard_normal(samples) * spread * np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], noise, zi=[rng.standard_normal() * spread * keep])[0]


def smoothed(trace: np.ndarray, start: float, seconds: float, rate_hz: float) -> np.ndarray:
    """Trace after a first-order low-pass filter.

    Parameters
    ----------
    trace
        (samples,).
    start
        Value on which the filter is settled before the first sample.
    seconds
        Time constant, s.
    rate_hz
        Samples a second.

    Returns
    -------
    np.ndarray
        Of the same length.
    """
    keep = np.exp(-1.0 / (seconds * rate_hz))
    return lfilter([1 - keep], [1.0, -keep], trace, zi=[start * keep])[0]


SCAN_RATE_HZ = 8.0

# What deconvolution leaves around an event, in scan bins from one before it to two after it.
RESIDUAL_KERNEL = (0.12, 1.0, 0.38, 0.12)
BINS_BEFORE_EVENT = 1

# Events are bursts of varying size: gamma distributed, mean 1, this coefficient of variation.
EVENT_SIZE_CV = 0.45


def scan_bins(frames: int) -> int:
    """Number of 8 Hz bins that cover a clip of `frames` frames at 30 Hz."""
    return int(np.ceil(frames * SCAN_RATE_HZ / FRAME_RATE_HZ))


@lru_cache(maxsize=8)
def bin_average(frames: int) -> np.ndarray:
    """(frames, bins) float32 matrix that averages a 30 Hz trace into 8 Hz bins; read-only."""
    edges = np.minimum(np.arange(scan_bins(frames) + 1) * FRAME_RATE_HZ / SCAN_RATE_HZ, frames)
    start = np.arange(frames)[:, None]
    overlap = np.clip(np.minimum(start + 1, edges[None, 1:]) - np.maximum(start, edges[None, :-1]), 0.0, None)
    matrix = (overlap / overlap.sum(axis=0, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=8)
def interpolation(frames: int) -> np.ndarray:
    """(bins, frames) float32 matrix that interpolates 8 Hz bins linearly to the video clock; read-only."""
    bins = scan_bins(frames)
    position = np.clip((np.arange(frames) + 0.5) * SCAN_RATE_HZ / FRAME_RATE_HZ - 0.5, 0, bins - 1)
    left = np.minimum(position.astype(int), max(bins - 2, 0))
    weight = position - left
    matrix = np.zeros((bins, frames), dtype=np.float32)
    matrix[left, np.arange(frames)] = 1.0 - weight
    matrix[np.minimum(left + 1, bins - 1), np.arange(frames)] += weight
    matrix.setflags(write=False)
    return matrix


def to_video_clock(scan: np.ndarray, frames: int) -> np.ndarray:
    """Interpolate a recording at scan rate to the video's frames.

    Parameters
    ----------
    scan
        (N, bins) at 8 Hz, `bins` = `scan_bins(frames)`.
    frames
        Length of the clip at 30 Hz.

    Returns
    -------
    np.ndarray
        (N, frames) float32.
    """
    return np.asarray(scan, dtype=np.float32) @ interpolation(frames)


def residual(events: np.ndarray) -> np.ndarray:
    """Spread events (N, bins) over neighbouring bins as an imperfect deconvolution does."""
    bins = events.shape[1]
    spread = np.zeros((events.shape[0], bins + len(RESIDUAL_KERNEL) - 1), dtype=np.float32)
    for lag, weight in enumerate(RESIDUAL_KERNEL):
        spread[:, lag : lag + bins] += np.float32(weight) * events
    return spread[:, BINS_BEFORE_EVENT : BINS_BEFORE_EVENT + bins]


def draw_events(rng: np.random.Generator, expected_counts: np.ndarray, cv: float = EVENT_SIZE_CV) -> np.ndarray:
    """Summed sizes of the events of each bin: Poisson in number, gamma in size (mean 1).

    Parameters
    ----------
    rng
        Random generator.
    expected_counts
        (N, bins) expected number of events, >= 0.
    cv
        Coefficient of variation of an event's size.

    Returns
    -------
    np.ndarray
        (N, bins) float32.
    """
    counts = rng.poisson(expected_counts)
    shape = cv**-2
    sizes = np.zeros(counts.shape, dtype=np.float32)
    active = counts > 0
    sizes[active] = rng.standard_gamma(shape * counts[active]) / shape
    return sizes
