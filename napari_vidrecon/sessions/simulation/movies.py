"""Natural-like movies for the simulated mouse, each a pure function of a seed and a clip number.

A clip is a row of shots. A shot is a plate filmed by a moving camera, with objects passing in front of it,
graded in contrast, luminance and gamma under a drifting illumination. It is drawn on a screen of twice the
resolution and area-averaged, so that edges move smoothly. A plate (a photograph,
dead leaves, fractal noise) is a float32 luminance picture, mean 0 and standard deviation 1, in pixels of that screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from scipy import ndimage

from napari_vidrecon.sessions.simulation.camera import (
    HEIGHT,
    SUPERSAMPLING,
    WIDTH,
    draw_camera_path,
    film,
    log_uniform,
    of_size,
    screen_grid,
    wander,
)
from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

PLATE_SHAPE = (224, 352)

# Files inside the scikit-image wheel, public domain or CC0; nothing is ever downloaded.
PHOTOGRAPHS = {
    "astronaut.png": "public domain (NASA)",
    "brick.png": "CC0",
    "camera.png": "CC0",
    "chelsea.png": "CC0",
    "clock_motion.png": "public domain",
    "coffee.png": "CC0",
    "grass.png": "CC0",
    "gravel.png": "CC0",
    "hubble_deep_field.jpg": "public domain (NASA)",
    "retina.jpg": "CC0",
    "rocket.jpg": "public domain (SpaceX)",
}
TEXTURE_PHOTOGRAPHS = frozenset({"brick.png", "grass.png", "gravel.png"})

# Photograph pixels to a plate pixel: from a little enlarged to this many rows and columns for the whole picture.
SMALLEST_SHRINK = 0.9
SMALLEST_PICTURE = (100, 160)

# Radii of dead leaves, plate pixels; the largest differs from plate to plate.
SMALLEST_LEAF = 2.5
LARGEST_LEAVES = (35.0, 90.0)

PHOTOGRAPHS_AMONG_PLATES, DEAD_LEAVES_FRACTION = 0.5, 0.4


@lru_cache(maxsize=len(PHOTOGRAPHS))
def photograph(name: str) -> np.ndarray:
    """Luminance of a bundled photograph.

    Parameters
    ----------
    name
        A key of `PHOTOGRAPHS`.

    Returns
    -------
    np.ndarray
        (height, width) float32, 0..1; read-only.
    """
    path = Path(skimage.data.__file__).parent / name
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L"), dtype=np.float32) / 255.0
    grey.setflags(write=False)
    return grey


def photograph_plate(rng: np.random.Generator) -> np.ndarray:
    """A random crop of a random photograph, at a random scale and perhaps mirrored."""
    name = str(rng.choice(sorted(PHOTOGRAPHS)))
    if name in TEXTURE_PHOTOGRAPHS and rng.random() < 0.5:
        name = str(rng.choice(sorted(set(PHOTOGRAPHS) - TEXTURE_PHOTOGRAPHS)))
    picture = photograph(name)
    largest = min(extent / least for extent, least in zip(picture.shape, SMALLEST_PICTURE, strict=True))
    shrink = float(np.exp(rng.uniform(np.log(SMALLEST_SHRINK), np.log(max(1.0, largest)))))
    rows = min(picture.shape[0], int(PLATE_SHAPE[0] * shrink))
    columns = min(picture.shape[1], int(PLATE_SHAPE[1] * shrink))
    top = int(rng.integers(picture.shape[0] - rows + 1))
    left = int(rng.integers(picture.shape[1] - columns + 1))
    crop = Image.fromarray(np.ascontiguousarray(picture[top : top + rows, left : left + columns]))
    size = (max(80, int(columns / shrink)), max(60, int(rows / shrink)))
    plate = np.asarray(crop.resize(size, Image.Resampling.BOX if shrink > 2 else Image.Resampling.BILINEAR))
    if rng.random() < 0.5:
        plate = plate[:, ::-1]
    return standardised(plate)


def fractal_plate(rng: np.random.Generator, slope: float | None = None) -> np.ndarray:
    """Gaussian noise whose amplitude falls as 1/f**slope; slope 0.9..1.5 if not given."""
    slope = float(rng.uniform(0.9, 1.5)) if slope is None else slope
    rows, columns = PLATE_SHAPE
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(PLATE_SHAPE)) * frequency**-slope
    return standardised(np.fft.irfft2(spectrum, s=PLATE_SHAPE))


def dead_leaves_plate(rng: np.random.Generator, leaves: int = 900) -> np.ndarray:
    """Overlapping textured discs with radii distributed as r**-3, which have the statistics of cluttered scenes.

    Source: Lee, Mumford & Huang 2001, occlusion models for natural images.

    Returns
    -------
    np.ndarray
        As large as every plate, of mean 0 and standard deviation 1.
    """
    rows, columns = PLATE_SHAPE
    smallest, largest = SMALLEST_LEAF, float(rng.uniform(*LARGEST_LEAVES))
    u = rng.random(leaves)
    radii = (smallest**-2 - u * (smallest**-2 - largest**-2)) ** -0.5
    texture = fractal_plate(rng, slope=1.0) * float(rng.uniform(0.05, 0.35))
    plate = np.full(PLATE_SHAPE, rng.normal(0.0, 1.0), dtype=np.float32) + texture
    centre_rows, centre_columns = rng.uniform(0, rows, leaves), rng.uniform(0, columns, leaves)
    tones, shading = rng.normal(0.0, 1.0, leaves), rng.normal(0.0, 0.35, (2, leaves))
    stretch, tilt = np.exp(rng.normal(0.0, 0.35, leaves)), rng.uniform(0, np.pi, leaves)
    for i in range(leaves):
        reach = radii[i] * max(stretch[i], 1 / stretch[i])
        top, bottom = max(0, int(centre_rows[i] - reach)), min(rows, int(centre_rows[i] + reach) + 2)
        left, right = max(0, int(centre_columns[i] - reach)), min(columns, int(centre_columns[i] + reach) + 2)
        y = (np.arange(top, bottom, dtype=np.float32)[:, None] - centre_rows[i]) / radii[i]
        x = (np.arange(left, right, dtype=np.float32)[None, :] - centre_columns[i]) / radii[i]
        along = (x * np.cos(tilt[i]) + y * np.sin(tilt[i])) / stretch[i]
        across = (y * np.cos(tilt[i]) - x * np.sin(tilt[i])) * stretch[i]
        inside = along**2 + across**2 < 1.0
        leaf = tones[i] + shading[0, i] * x + shading[1, i] * y + texture[top:bottom, left:right]
        plate[top:bottom, left:right] = np.where(inside, leaf, plate[top:bottom, left:right])
    return standardised(plate)


def random_plate(rng: np.random.Generator) -> np.ndarray:
    """One of the three kinds: a photograph (50 %), dead leaves (40 %) or fractal noise (10 %)."""
    kind = rng.random()
    if kind < PHOTOGRAPHS_AMONG_PLATES:
        return photograph_plate(rng)
    return dead_leaves_plate(rng) if kind < PHOTOGRAPHS_AMONG_PLATES + DEAD_LEAVES_FRACTION else fractal_plate(rng)


def standardised(picture: np.ndarray) -> np.ndarray:
    """Float32 copy with mean 0 and standard deviation 1."""
    picture = np.asarray(picture, dtype=np.float64)
    return ((picture - picture.mean()) / (picture.std() + 1e-6)).astype(np.float32)


# Keeps the random numbers of movies apart from the mouse's others.
MOVIE_STREAM = 1

SHOT_FRAMES = (40, 300)
OBJECTS_PER_SHOT = 1.4

BRIGHTEST_GREY = 255.0
# Keeps shots of almost nothing from being stretched to full contrast; in units of a plate's contrast.
LEAST_CONTRAST = 0.2


@dataclass(frozen=True)
class Grading:
    """How bright and how contrasty shots are, before what is beyond black and white is cut off.

    Parameters
    ----------
    mean, mean_spread
        Grey level of a shot, and its standard deviation over shots.
    contrast, contrast_spread
        Standard deviation within a shot, grey levels, and that of its logarithm over shots.
    gamma, gamma_spread
        Exponent of what is shown, and the standard deviation of its logarithm over shots.
    """

    mean: float = 120.0
    mean_spread: float = 26.0
    contrast: float = 66.0
    contrast_spread: float = 0.25
    gamma: float = 1.0
    gamma_spread: float = 0.2


USUAL_GRADING = Grading()
"""Of the movies of the usual simulated mouse: mean grey about 120 over many shots, pixels deviate by 60."""
# Illumination: brighter by this much at one border than in the middle, and flickering slowly.
LIGHT_LEAN_GREY, LIGHT_DRIFT, LIGHT_DRIFT_S = 9.0, 0.05, 2.0


def movie(
    seed: int,
    clip: int,
    frames: int = 300,
    grading: Grading = USUAL_GRADING,
    size_px: tuple[int, int] = (HEIGHT, WIDTH),
) -> np.ndarray:
    """Draw one clip.

    Parameters
    ----------
    seed
        Of the mouse, >= 0.
    clip
        Number of the clip, >= 0.
    frames
        Length at 30 Hz, >= 1.
    grading
        How bright and how contrasty.
    size_px
        Rows and columns; the same scene on every screen, and detail up to 72 x 128.

    Returns
    -------
    np.ndarray
        (frames, rows, columns) float32, whole grey levels 0..255.
    """
    rng = np.random.default_rng([seed, MOVIE_STREAM, clip])
    shots: list[np.ndarray] = []
    missing = frames
    while missing > 0:
        length = int(log_uniform(rng, SHOT_FRAMES))
        length = missing if missing - length < SHOT_FRAMES[0] else length
        shots.append(_shot(rng, length, grading, size_px))
        missing -= length
    return np.concatenate(shots)


def _shot(rng: np.random.Generator, frames: int, grading: Grading, size_px: tuple[int, int]) -> np.ndarray:
    plate = random_plate(rng)
    scene = film(plate, draw_camera_path(rng, frames, plate.shape))
    for _ in range(rng.poisson(OBJECTS_PER_SHOT)):
        draw_passing_object(rng, scene)
    return _graded(rng, scene, grading, size_px)


def _graded(rng: np.random.Generator, scene: np.ndarray, grading: Grading, size_px: tuple[int, int]) -> np.ndarray:
    """Average to the screen's pixels, then set contrast, luminance, gamma and a drifting illumination."""
    frames = len(scene)
    if size_px == (HEIGHT, WIDTH):
        shot = scene.reshape(frames, HEIGHT, SUPERSAMPLING, WIDTH, SUPERSAMPLING).mean(axis=(2, 4))
    else:
        shot = of_size(scene, size_px)
    contrast = grading.contrast * float(np.exp(rng.normal(0.0, grading.contrast_spread)))
    luminance = grading.mean + rng.normal(0.0, grading.mean_spread)
    y = np.linspace(-1, 1, size_px[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size_px[1], dtype=np.float32)[None, :]
    lean = rng.normal(0.0, LIGHT_LEAN_GREY, 2) / grading.mean
    flicker = ornstein_uhlenbeck(rng, frames, LIGHT_DRIFT, LIGHT_DRIFT_S, FRAME_RATE_HZ)
    light = 1.0 + flicker[:, None, None] + (lean[0] * y + lean[1] * x)
    graded = (luminance + contrast * (shot - shot.mean()) / (shot.std() + LEAST_CONTRAST)) * light
    gamma = float(np.exp(rng.normal(np.log(grading.gamma), grading.gamma_spread)))
    return np.rint(BRIGHTEST_GREY * np.clip(graded / BRIGHTEST_GREY, 0.0, 1.0) ** gamma).astype(np.float32)


# Lengths are in pixels of the supersampled screen.
RADII_PX = (8.0, 34.0)
SPEEDS_PX_S = (4.0 * SUPERSAMPLING, 36.0 * SUPERSAMPLING)
VERTICAL_SHARE = 0.6
DRIFT_S = 0.7
# Spread of the place an object crosses at some moment of the shot, as a share of the screen.
CROSSING_SPREAD = 0.25
GROWTH_PER_S, GROWTH_S, MOST_GROWTH = 0.2, 1.0, 0.7
TURN_RAD_S, TURN_S = 0.5, 1.0

# Amplitude of the 1st to 4th harmonic of the outline, in radii; how thin it may get; how far it is drawn.
OUTLINE_WAVES = (0.25, 0.18, 0.12, 0.08)
THINNEST, FARTHEST = 0.25, 1.8

# Luminance and texture in units of the scene's contrast.
TONE_SPREAD, TEXTURES = 1.3, (0.1, 0.9)
PHOTOGRAPH_FRACTION = 0.6


def draw_passing_object(rng: np.random.Generator, scene: np.ndarray) -> None:
    """Paint one object into every frame of a scene that it crosses.

    Parameters
    ----------
    rng
        Random generator.
    scene
        (frames, 72, 128) float32 of the supersampled screen; changed in place.
    """
    frames, *extents = scene.shape
    radius = log_uniform(rng, RADII_PX)
    waves = (rng.normal(0.0, OUTLINE_WAVES) * np.exp(2j * np.pi * rng.random(4))).astype(np.complex64)
    plate = photograph_plate(rng) if rng.random() < PHOTOGRAPH_FRACTION else fractal_plate(rng)
    tone, texture = rng.normal(0.0, TONE_SPREAD), rng.uniform(*TEXTURES)
    speed = log_uniform(rng, SPEEDS_PX_S)
    rows, columns = (wander(rng, frames, share * speed, DRIFT_S) for share in (VERTICAL_SHARE, 1.0))
    crossing = int(rng.integers(frames))
    for path, extent in zip((rows, columns), extents, strict=True):
        path += rng.normal(0.0, CROSSING_SPREAD * extent) - path[crossing]
    growth = wander(rng, frames, rng.exponential(GROWTH_PER_S), GROWTH_S)
    sizes = radius * np.exp(np.clip(growth, -MOST_GROWTH, MOST_GROWTH))
    turn = wander(rng, frames, rng.exponential(TURN_RAD_S), TURN_S)
    grid_rows, grid_columns = screen_grid()
    for t in range(frames):
        reach = FARTHEST * sizes[t]
        near_rows = np.flatnonzero(np.abs(grid_rows[:, 0] - rows[t]) < reach)
        near_columns = np.flatnonzero(np.abs(grid_columns[0] - columns[t]) < reach)
        if not (near_rows.size and near_columns.size):
            continue
        y, x = grid_rows[near_rows] - rows[t], grid_columns[:, near_columns] - columns[t]
        cosine, sine = np.cos(turn[t]) / sizes[t], np.sin(turn[t]) / sizes[t]
        v, u = cosine * y + sine * x, cosine * x - sine * y
        opacity = _opacity(u, v, waves, sizes[t])
        where = np.stack([plate.shape[0] / 2 + v * radius, plate.shape[1] / 2 + u * radius])
        skin = tone + texture * ndimage.map_coordinates(plate, where, order=1, mode="mirror")
        patch = scene[t, near_rows[0] : near_rows[-1] + 1, near_columns[0] : near_columns[-1] + 1]
        patch += opacity.astype(np.float32) * (skin - patch)


def _opacity(u: np.ndarray, v: np.ndarray, waves: np.ndarray, size: float) -> np.ndarray:
    """1 inside the outline, 0 outside, with an edge one pixel wide; u and v are in radii."""
    distance = np.hypot(u, v)
    around = ((u + 1j * v) / (distance + 1e-6)).astype(np.complex64)
    outline = np.zeros_like(around)
    for wave in waves[::-1]:
        outline = around * (wave + outline)
    edge = np.maximum(1.0 + outline.real, THINNEST)
    return np.clip((edge - distance) * size + 0.5, 0.0, 1.0)
