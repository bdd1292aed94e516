"""The camera of the simulated movies: how it moves over a plate, and what its screen then shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_vidrecon.sessions.simulation.fluctuations import ornstein_uhlenbeck
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
