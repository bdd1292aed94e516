"""Simulated mice before screens of other sizes and rates: what is shown there, and what their neurons see of it.

The neurons live on the usual screen of 36 x 64 pixels at 30 Hz: they see what is shown averaged to that, and their
activity is told at the rate of the screen.
"""

from __future__ import annotations

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

USUAL_RATES_HZ = 5.0, 240.0


def area_average(length: int, parts: int) -> np.ndarray:
    """(parts, length) float32: the mean of a row of `length` cells over each of `parts` equal stretches of it."""
    edges = np.linspace(0.0, length, parts + 1)
    cells = np.arange(length)
    shared = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(shared, 0.0, None) * (parts / length)).astype(np.float32)


def of_size(movie: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """(T, H, W) averaged over area to (T, rows, columns) float32."""
    rows, columns = map(area_average, movie.shape[1:], size_px)
    return np.asarray(np.matmul(np.matmul(rows, movie), columns.T), np.float32)


def usual_frames(frames: int, frame_rate_hz: float) -> int:
    """Frames at 30 Hz that last as long as so many at another rate, rounded up."""
    return int(np.ceil(frames * FRAME_RATE_HZ / frame_rate_hz - 1e-9))


def at_rate(traces: np.ndarray, frames: int, frame_rate_hz: float) -> np.ndarray:
    """Traces (..., T) at 30 Hz interpolated linearly to (..., frames) at another rate.

    Parameters
    ----------
    traces
        Time is the last axis.
    frames
        Wanted.
    frame_rate_hz
        Their rate.

    Returns
    -------
    np.ndarray
        float32; the ends are held.
    """
    count = traces.shape[-1]
    place = np.clip((np.arange(frames) + 0.5) * FRAME_RATE_HZ / frame_rate_hz - 0.5, 0.0, count - 1.0)
    left = np.minimum(place.astype(int), max(count - 2, 0))
    weight = (place - left).astype(np.float32)
    after = np.minimum(left + 1, count - 1)
    return (traces[..., left] * (1.0 - weight) + traces[..., after] * weight).astype(np.float32)


def seen_by_neurons(movie: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """(T, rows, columns) at another rate as the simulated neurons take it: 36 x 64 pixels at 30 Hz, averaged."""
    small = of_size(movie, USUAL_SCREEN.size_px)
    frames = usual_frames(len(movie), frame_rate_hz)
    per_frame = frame_rate_hz / FRAME_RATE_HZ
    edges = np.minimum(np.arange(frames + 1) * per_frame, len(movie))
    cells = np.arange(len(movie))
    shared = np.clip(np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells), 0.0, None)
    weights = (shared / shared.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.asarray(np.tensordot(weights, small, axes=1), np.float32)


def require_screen(screen: ScreenGeometry, frame_rate_hz: float) -> None:
    """Refuse a rate that no simulation is made at.

    Raises
    ------
    ConfigError
        With the rates that are.
    """
    lowest, highest = USUAL_RATES_HZ
    if not lowest <= frame_rate_hz <= highest:
        raise ConfigError(
            f"simulated mouse: expected {lowest:g} to {highest:g} frames a second, found {frame_rate_hz:g}"
        )
    if min(screen.size_px) < 4:
        raise ConfigError(
            f"simulated mouse: expected a screen of at least 4 x 4 pixels, found {screen.rows} x {screen.cols}"
        )
