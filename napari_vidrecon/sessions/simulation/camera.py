"""The camera of the simulated movies: how it moves over a plate, and what a screen of any size and rate then shows.

The neurons live on the usual screen of 36 x 64 pixels at 30 Hz: they see what is shown averaged to that, and their
activity is told at the rate of the screen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

HEIGHT, WIDTH = 36, 64
# The camera films on a grid this much finer than the screen; distances below are in pixels of that grid.
SUPERSAMPLING = 2

SPEEDS_PX_S = (2.0 * SUPERSAMPLING, 32.0 * SUPERSAMPLING)
PAN_S = 0.9
# Cameras pan more than they tilt.
VERTICAL_SHARE = 0.6
TRIPOD_FRACTION, TRIPOD_SLOWNESS = 0.2, 0.1
MOST_SHAKE_PX, SHAKE_S = 0.8, 0.08
# Where on the plate the middle of a shot may look, as a share of the plate.
PLATE_MIDDLE = (0.25, 0.75)

# Natural logarithm of plate pixels to a pixel of the grid: at the start, fastest change a second, at most.
ZOOM_START, ZOOM_RATE_PER_S, ZOOM_S, ZOOM_LIMITS = (-0.35, 0.2), 0.12, 1.5, (-0.8, 0.5)
ROLL_START_RAD, ROLL_RATE_RAD_S, ROLL_S = 0.1, 0.1, 1.0


class CameraPath(NamedTuple):
    """Where the camera looks at every frame: centre on the plate (px), log of the zoom-out, angle (rad)."""

    row: np.ndarray
    column: np.ndarray
    log_scale: np.ndarray
    angle: np.ndarray


def wander(rng: np.random.Generator, frames: int, speed_per_s: float, seconds: float) -> np.ndarray:
    """A path whose speed fluctuates slowly and at random.

    Parameters
    ----------
    rng
        Draws it.
    frames
        Its length.
    speed_per_s
        Spread of the speed, per second.
    seconds
        Duration of a fluctuation.

    Returns
    -------
    np.ndarray
        (frames,).
    """
    return np.cumsum(ornstein_uhlenbeck(rng, frames, speed_per_s / FRAME_RATE_HZ, seconds, FRAME_RATE_HZ))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """One number, every ratio within the bounds equally likely."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def screen_grid() -> tuple[np.ndarray, np.ndarray]:
    """Rows (72, 1) and columns (1, 128) of the fine grid, measured from the screen's centre."""
    height, width = HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING
    rows = np.arange(height, dtype=np.float32) - (height - 1) / 2
    columns = np.arange(width, dtype=np.float32) - (width - 1) / 2
    return rows[:, None], columns[None, :]


def draw_camera_path(rng: np.random.Generator, frames: int, plate_shape: tuple[int, ...]) -> CameraPath:
    """A hand-held pan with some zoom and roll, or nearly none from a tripod.

    Parameters
    ----------
    rng
        Random generator.
    frames
        Length of the shot at 30 Hz.
    plate_shape
        (rows, columns) of the plate that is filmed.

    Returns
    -------
    CameraPath
        A place, zoom and angle a frame.
    """
    speed = log_uniform(rng, SPEEDS_PX_S)
    if rng.random() < TRIPOD_FRACTION:
        speed *= TRIPOD_SLOWNESS
    rows, columns = (wander(rng, frames, share * speed, PAN_S) for share in (VERTICAL_SHARE, 1.0))
    shake = float(rng.uniform(0.0, MOST_SHAKE_PX))
    for path, extent in zip((rows, columns), plate_shape, strict=True):
        middle = path[frames // 2]
        path += ornstein_uhlenbeck(rng, frames, shake, SHAKE_S, FRAME_RATE_HZ)
        path += rng.uniform(*PLATE_MIDDLE) * extent - middle
    zoom = rng.uniform(*ZOOM_START) + wander(rng, frames, rng.exponential(ZOOM_RATE_PER_S), ZOOM_S)
    angle = rng.normal(0.0, ROLL_START_RAD) + wander(rng, frames, rng.exponential(ROLL_RATE_RAD_S), ROLL_S)
    return CameraPath(rows, columns, np.clip(zoom, *ZOOM_LIMITS), angle)


def film(plate: np.ndarray, camera: CameraPath) -> np.ndarray:
    """What the fine grid sees of the plate: (frames, 72, 128) float32; the plate goes on mirrored beyond its edge."""
    y, x = screen_grid()
    scene = np.empty((len(camera.row), y.size, x.size), dtype=np.float32)
    for t in range(len(camera.row)):
        scale = np.exp(camera.log_scale[t])
        cosine, sine = scale * np.cos(camera.angle[t]), scale * np.sin(camera.angle[t])
        where = np.stack([camera.row[t] + cosine * y + sine * x, camera.column[t] - sine * y + cosine * x])
        ndimage.map_coordinates(plate, where, output=scene[t], order=1, mode="mirror")
    return scene


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
