"""Slow random fluctuations: the one source of drift for cameras, objects, light, eyes and brain states."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter


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
