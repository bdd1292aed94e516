"""Natural-like movies for the simulated mouse, each a pure function of a seed and a clip number.

A clip is a row of shots. A shot is a plate filmed by a moving camera, with objects passing in front of it,
graded in contrast, luminance and gamma under a drifting illumination. It is drawn on a screen of twice the
resolution and area-averaged, so that edges move smoothly.
"""

from __future__ import annotations

import numpy as np

from napari_vidrecon.sessions.simulation.camera import (
    HEIGHT,
    SUPERSAMPLING,
    WIDTH,
    draw_camera_path,
    film,
    log_uniform,
)
from napari_vidrecon.sessions.simulation.fluctuations import ornstein_uhlenbeck
from napari_vidrecon.sessions.simulation.passing_objects import draw_passing_object
from napari_vidrecon.sessions.simulation.plates import random_plate
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

# Keeps the random numbers of movies apart from the mouse's others.
MOVIE_STREAM = 1

SHOT_FRAMES = (40, 300)
OBJECTS_PER_SHOT = 1.4

BRIGHTEST_GREY = 255.0
MEAN_GREY, LUMINANCE_SPREAD_GREY = 120.0, 26.0
CONTRAST_GREY, CONTRAST_SPREAD = 66.0, 0.25
# Keeps shots of almost nothing from being stretched to full contrast; in units of a plate's contrast.
LEAST_CONTRAST = 0.2
GAMMA_SPREAD = 0.2
# Illumination: brighter by this much at one border than in the middle, and flickering slowly.
LIGHT_LEAN_GREY, LIGHT_DRIFT, LIGHT_DRIFT_S = 9.0, 0.05, 2.0


def movie(seed: int, clip: int, frames: int = 300) -> np.ndarray:
    """Draw one clip.

    Parameters
    ----------
    seed
        Of the mouse, >= 0.
    clip
        Number of the clip, >= 0.
    frames
        Length at 30 Hz, >= 1.

    Returns
    -------
    np.ndarray
        (frames, 36, 64) float32, whole grey levels 0..255.
    """
    rng = np.random.default_rng([seed, MOVIE_STREAM, clip])
    shots: list[np.ndarray] = []
    missing = frames
    while missing > 0:
        length = int(log_uniform(rng, SHOT_FRAMES))
        length = missing if missing - length < SHOT_FRAMES[0] else length
        shots.append(_shot(rng, length))
        missing -= length
    return np.concatenate(shots)


def _shot(rng: np.random.Generator, frames: int) -> np.ndarray:
    plate = random_plate(rng)
    scene = film(plate, draw_camera_path(rng, frames, plate.shape))
    for _ in range(rng.poisson(OBJECTS_PER_SHOT)):
        draw_passing_object(rng, scene)
    return _graded(rng, scene)


def _graded(rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """Average to the screen's pixels, then set contrast, luminance, gamma and a drifting illumination."""
    frames = len(scene)
    shot = scene.reshape(frames, HEIGHT, SUPERSAMPLING, WIDTH, SUPERSAMPLING).mean(axis=(2, 4))
    contrast = CONTRAST_GREY * float(np.exp(rng.normal(0.0, CONTRAST_SPREAD)))
    luminance = MEAN_GREY + rng.normal(0.0, LUMINANCE_SPREAD_GREY)
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
    lean = rng.normal(0.0, LIGHT_LEAN_GREY, 2) / MEAN_GREY
    flicker = ornstein_uhlenbeck(rng, frames, LIGHT_DRIFT, LIGHT_DRIFT_S, FRAME_RATE_HZ)
    light = 1.0 + flicker[:, None, None] + (lean[0] * y + lean[1] * x)
    graded = (luminance + contrast * (shot - shot.mean()) / (shot.std() + LEAST_CONTRAST)) * light
    gamma = float(np.exp(rng.normal(0.0, GAMMA_SPREAD)))
    return np.rint(BRIGHTEST_GREY * np.clip(graded / BRIGHTEST_GREY, 0.0, 1.0) ** gamma).astype(np.float32)
