"""Natural-like movies for the simulated mouse, each a pure function of a seed and a clip number.

A clip is a row of shots. A shot is a plate filmed by a moving camera, with objects passing in front of it,
graded in contrast, luminance and gamma under a drifting illumination. It is drawn on a screen of twice the
resolution and area-averaged, so that edges move smoothly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_vidrecon.sessions.simulation.fluctuations import ornstein_uhlenbeck
from napari_vidrecon.sessions.simulation.plates import fractal_plate, photograph_plate, random_plate
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

HEIGHT, WIDTH = 36, 64
SUPERSAMPLING = 2
MOVIE_STREAM = 1

MEAN_GREY, LUMINANCE_SPREAD_GREY = 120.0, 26.0
CONTRAST_GREY = 66.0
SHORTEST_SHOT, LONGEST_SHOT = 40, 300
CAMERA_SPEEDS_PX_S = (2.0, 32.0)
TRIPOD_FRACTION, TRIPOD_SLOWNESS = 0.2, 0.1
SHAKE_S = 0.08

OBJECTS_PER_SHOT = 1.4
OBJECT_SPEEDS_PX_S = (4.0, 36.0)
OBJECT_RADII = (8.0, 34.0)
# Amplitude of the 1st to 4th harmonic of an object's outline, in units of its radius.
OUTLINE_WAVES = (0.25, 0.18, 0.12, 0.08)


class CameraPath(NamedTuple):
    """Where the camera looks at every frame: centre on the plate (px), log of the zoom-out, angle (rad)."""

    row: np.ndarray
    column: np.ndarray
    log_scale: np.ndarray
    angle: np.ndarray


def movie(seed: int, clip: int, frames: int = 300) -> np.ndarray:
    """Draw one clip.

    Parameters
    ----------
    seed : of the mouse; all its clips differ from those of another seed.
    clip : number of the clip, >= 0.
    frames : length at 30 Hz, >= 1.

    Returns
    -------
    (frames, 36, 64) float32, whole grey levels 0..255.
    """
    rng = np.random.default_rng([seed, MOVIE_STREAM, clip])
    shots: list[np.ndarray] = []
    missing = frames
    while missing > 0:
        length = int(np.exp(rng.uniform(np.log(SHORTEST_SHOT), np.log(LONGEST_SHOT))))
        length = missing if missing - length < SHORTEST_SHOT else length
        shots.append(_shot(rng, length))
        missing -= length
    return np.concatenate(shots)


def _shot(rng: np.random.Generator, frames: int) -> np.ndarray:
    plate = random_plate(rng)
    camera = _camera_path(rng, frames, plate.shape)
    scene = _film(plate, camera)
    for _ in range(rng.poisson(OBJECTS_PER_SHOT)):
        _draw_object(rng, scene)
    return _graded(rng, scene)


def _drift(rng: np.random.Generator, frames: int, spread: float, seconds: float) -> np.ndarray:
    return ornstein_uhlenbeck(rng, frames, spread, seconds, FRAME_RATE_HZ)


def _speed(rng: np.random.Generator, bounds_px_s: tuple[float, float]) -> float:
    """Log-uniform speed, supersampled pixels a frame."""
    slowest, fastest = np.log(bounds_px_s)
    return float(np.exp(rng.uniform(slowest, fastest))) * SUPERSAMPLING / FRAME_RATE_HZ


def _rate(rng: np.random.Generator, mean_per_s: float) -> float:
    """Exponentially distributed rate of change, per frame."""
    return rng.exponential(mean_per_s) / FRAME_RATE_HZ


def _camera_path(rng: np.random.Generator, frames: int, plate_shape: tuple[int, int]) -> CameraPath:
    speed = _speed(rng, CAMERA_SPEEDS_PX_S)
    if rng.random() < TRIPOD_FRACTION:
        speed *= TRIPOD_SLOWNESS
    rows = np.cumsum(_drift(rng, frames, 0.6 * speed, 0.9))
    columns = np.cumsum(_drift(rng, frames, speed, 0.9))
    shake = float(rng.uniform(0.0, 0.8))
    middle = frames // 2
    rows += _drift(rng, frames, shake, SHAKE_S) + rng.uniform(0.25, 0.75) * plate_shape[0] - rows[middle]
    columns += _drift(rng, frames, shake, SHAKE_S) + rng.uniform(0.25, 0.75) * plate_shape[1] - columns[middle]
    zoom = rng.uniform(-0.35, 0.2) + np.cumsum(_drift(rng, frames, _rate(rng, 0.12), 1.5))
    angle = rng.normal(0.0, 0.1) + np.cumsum(_drift(rng, frames, _rate(rng, 0.1), 1.0))
    return CameraPath(rows, columns, np.clip(zoom, -0.8, 0.5), angle)


def _screen() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the supersampled screen, measured from its centre."""
    rows = np.arange(HEIGHT * SUPERSAMPLING, dtype=np.float32) - (HEIGHT * SUPERSAMPLING - 1) / 2
    columns = np.arange(WIDTH * SUPERSAMPLING, dtype=np.float32) - (WIDTH * SUPERSAMPLING - 1) / 2
    return rows[:, None], columns[None, :]


def _film(plate: np.ndarray, camera: CameraPath) -> np.ndarray:
    y, x = _screen()
    scene = np.empty((len(camera.row), y.size, x.size), dtype=np.float32)
    for t in range(len(camera.row)):
        scale = np.exp(camera.log_scale[t])
        cosine, sine = scale * np.cos(camera.angle[t]), scale * np.sin(camera.angle[t])
        where = np.stack([camera.row[t] + cosine * y + sine * x, camera.column[t] - sine * y + cosine * x])
        ndimage.map_coordinates(plate, where, output=scene[t], order=1, mode="mirror")
    return scene


def _draw_object(rng: np.random.Generator, scene: np.ndarray) -> None:
    """Let one textured blob with a wavy outline pass in front of the scene."""
    frames = len(scene)
    radius = float(np.exp(rng.uniform(*np.log(OBJECT_RADII))))
    waves = (rng.normal(0.0, OUTLINE_WAVES) * np.exp(2j * np.pi * rng.random(4))).astype(np.complex64)
    plate = photograph_plate(rng) if rng.random() < 0.6 else fractal_plate(rng)
    tone, texture = rng.normal(0.0, 1.3), rng.uniform(0.1, 0.9)
    speed = _speed(rng, OBJECT_SPEEDS_PX_S)
    rows = np.cumsum(_drift(rng, frames, 0.6 * speed, 0.7))
    columns = np.cumsum(_drift(rng, frames, speed, 0.7))
    middle = int(rng.integers(frames))
    rows += rng.normal(0.0, 0.25 * scene.shape[1]) - rows[middle]
    columns += rng.normal(0.0, 0.25 * scene.shape[2]) - columns[middle]
    growth = np.clip(np.cumsum(_drift(rng, frames, _rate(rng, 0.2), 1.0)), -0.7, 0.7)
    turn = np.cumsum(_drift(rng, frames, _rate(rng, 0.5), 1.0))
    y_screen, x_screen = _screen()
    for t in range(frames):
        size = radius * np.exp(growth[t])
        reach = 1.8 * size
        inside_rows = np.flatnonzero(np.abs(y_screen[:, 0] - rows[t]) < reach)
        inside_columns = np.flatnonzero(np.abs(x_screen[0] - columns[t]) < reach)
        if not (inside_rows.size and inside_columns.size):
            continue
        y = y_screen[inside_rows] - rows[t]
        x = x_screen[:, inside_columns] - columns[t]
        cosine, sine = np.cos(turn[t]), np.sin(turn[t])
        v, u = (cosine * y + sine * x) / size, (-sine * y + cosine * x) / size
        distance = np.hypot(u, v)
        around = ((u + 1j * v) / (distance + 1e-6)).astype(np.complex64)
        edge = 1.0 + (around * (waves[0] + around * (waves[1] + around * (waves[2] + around * waves[3])))).real
        opacity = np.clip((np.maximum(edge, 0.25) - distance) * size + 0.5, 0.0, 1.0)
        where = np.stack([plate.shape[0] / 2 + v * radius, plate.shape[1] / 2 + u * radius])
        skin = tone + texture * ndimage.map_coordinates(plate, where, order=1, mode="mirror")
        patch = scene[t, inside_rows[0] : inside_rows[-1] + 1, inside_columns[0] : inside_columns[-1] + 1]
        patch += opacity.astype(np.float32) * (skin - patch)


def _graded(rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """Average to the screen's pixels, then set contrast, luminance, gamma and a drifting illumination."""
    frames = len(scene)
    fine = scene.reshape(frames, HEIGHT, SUPERSAMPLING, WIDTH, SUPERSAMPLING).mean(axis=(2, 4))
    contrast = CONTRAST_GREY * float(np.exp(rng.normal(0.0, 0.25)))
    luminance = MEAN_GREY + rng.normal(0.0, LUMINANCE_SPREAD_GREY)
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
    lean = rng.normal(0.0, 9.0, 2)
    light = 1.0 + _drift(rng, frames, 0.05, 2.0)[:, None, None] + (lean[0] * y + lean[1] * x) / MEAN_GREY
    graded = (luminance + contrast * (fine - fine.mean()) / (fine.std() + 0.2)) * light
    gamma = float(np.exp(rng.normal(0.0, 0.2)))
    levels = 255.0 * np.clip(graded / 255.0, 0.0, 1.0) ** gamma
    return np.rint(levels).astype(np.float32)
