"""Movies to learn a prior of movies from: cameras over dead leaves and fractal surfaces, things that pass in front.

Written apart from the movies that simulated mice see (`movies.py`), with no photograph in them: what is learned here
must not know what is reconstructed. Both are of the same kind nevertheless, as both imitate what films are like.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck

PLATE_ROWS, PLATE_COLUMNS = 120, 180
"""Of a surface, in pixels of a screen of 36 x 64; larger screens look at as much of it."""
USUAL_ROWS = 36
LEAVES = (60, 500)
CUT_SHARE, STILL_SHARE = 0.3, 0.25
MOST_OBJECTS = 3


def practice_movie(
    rng: np.random.Generator, shape: tuple[int, int, int], frame_rate_hz: float, level: float, sd: float
) -> np.ndarray:
    """Draw one clip.

    Parameters
    ----------
    rng
        Draws it.
    shape
        (frames, rows, columns).
    frame_rate_hz
        Frames a second.
    level, sd
        Mean grey level of many clips, and the standard deviation of a pixel over them, about.

    Returns
    -------
    np.ndarray
        `shape` float32, 0..255.
    """
    frames, rows, columns = shape
    cut = int(rng.integers(1, frames)) if frames > 1 and rng.random() < CUT_SHARE else frames
    lengths = [cut, frames - cut] if cut < frames else [frames]
    return np.concatenate([_shot(rng, (each, rows, columns), frame_rate_hz, level, sd) for each in lengths])


def _shot(rng: np.random.Generator, shape: tuple[int, int, int], rate_hz: float, level: float, sd: float) -> np.ndarray:
    frames, rows, columns = shape
    scene = _filmed(rng, _plate(rng), shape, rate_hz, float(rng.random() > STILL_SHARE))
    for _ in range(rng.integers(0, MOST_OBJECTS + 1)):
        radius = rows * float(np.exp(rng.uniform(np.log(0.08), np.log(0.6))))
        speed = USUAL_ROWS * float(np.exp(rng.uniform(np.log(0.1), np.log(1.2)))) * rows / USUAL_ROWS
        centre = [extent * rng.random() + speed * _way(rng, frames, rate_hz, steady=0.7) for extent in (rows, columns)]
        inside = _outline(rng, radius, centre, shape)
        cover = rng.normal(0.0, 1.3) + rng.uniform(0, 0.8) * _filmed(rng, _plate(rng), shape, rate_hz, 0.3)
        scene = scene + inside * (cover - scene)
    contrast = 0.8 * sd * np.exp(rng.normal(0.0, 0.35))
    mean = level + rng.normal(0.0, 0.45 * sd)
    light = 1.0 + ornstein_uhlenbeck(rng, frames, rng.uniform(0, 0.12), 1.5, rate_hz)[:, None, None]
    shown = (mean + contrast * (scene - scene.mean()) / (scene.std() + 0.15)) * light / 255.0
    gamma = np.exp(rng.normal(0.0, 0.25))
    return (255.0 * np.clip(shown, 0.0, 1.0) ** gamma).astype(np.float32)


def _plate(rng: np.random.Generator) -> np.ndarray:
    """A surface of mean 0 and standard deviation 1."""
    kind = rng.random()
    slope = rng.uniform(0.8, 1.7)
    if kind < 0.25:
        plate = _fractal(rng, slope)
        if rng.random() < 0.5:
            plate = np.exp(rng.uniform(0.4, 1.2) * plate * rng.choice([-1, 1]))
    elif kind < 0.4:
        plate = np.tanh(rng.uniform(1, 6) * (_fractal(rng, slope) - rng.normal(0, 0.5))) + 0.2 * _fractal(rng, 1.0)
    else:
        plate = _leaves(rng)
    return (plate - plate.mean()) / (plate.std() + 1e-6)


def _fractal(rng: np.random.Generator, slope: float) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(PLATE_ROWS)[:, None], np.fft.rfftfreq(PLATE_COLUMNS)[None, :])
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(rng.standard_normal((PLATE_ROWS, PLATE_COLUMNS)))
    plate = np.fft.irfft2(white * frequency**-slope, s=(PLATE_ROWS, PLATE_COLUMNS))
    return plate / plate.std()


def _leaves(rng: np.random.Generator) -> np.ndarray:
    """Ellipses and slabs that fall on each other."""
    count = int(np.exp(rng.uniform(*np.log(LEAVES))))
    least, most = rng.uniform(1.0, 3.0), rng.uniform(12.0, 60.0)
    power = rng.uniform(1.2, 3.0)
    chance = rng.random(count)
    radii = (least**-power + chance * (most**-power - least**-power)) ** (-1 / power)
    tones = rng.normal(size=count) if rng.random() < 0.6 else rng.random(count) ** rng.uniform(0.5, 3.0) * 3
    texture = rng.uniform(0.0, 0.4) * _fractal(rng, rng.uniform(0.5, 1.3))
    plate = tones[0] + texture
    slabs = rng.random(count) < rng.uniform(0, 0.6)
    for radius, tone, slab in zip(radii, tones, slabs, strict=True):
        tilt, stretch = rng.uniform(0, np.pi), np.exp(rng.normal(0, 0.5))
        row, column = rng.uniform(0, PLATE_ROWS), rng.uniform(0, PLATE_COLUMNS)
        reach = 1.5 * radius * max(stretch, 1 / stretch) + 1
        near = (
            slice(max(int(row - reach), 0), int(row + reach) + 2),
            slice(max(int(column - reach), 0), int(column + reach) + 2),
        )
        down, right = np.ogrid[
            near[0].start : min(near[0].stop, PLATE_ROWS), near[1].start : min(near[1].stop, PLATE_COLUMNS)
        ]
        down, right = down - row, right - column
        along = (down * np.cos(tilt) + right * np.sin(tilt)) / (radius * stretch)
        across = (right * np.cos(tilt) - down * np.sin(tilt)) / (radius / stretch)
        distance = np.maximum(abs(along), abs(across)) if slab else np.hypot(along, across)
        leaf = tone + 0.4 * rng.normal() * along + texture[near]
        plate[near] = np.where(distance < 1, leaf, plate[near])
    return plate


def _way(rng: np.random.Generator, frames: int, rate_hz: float, steady: float) -> np.ndarray:
    """A path in units of its speed: partly steady, partly wandering, about 0 in the middle."""
    speed = steady * rng.normal() + ornstein_uhlenbeck(rng, frames, 1.0 - steady, rng.uniform(0.2, 1.5), rate_hz)
    way = np.cumsum(speed) / rate_hz
    return way - way[frames // 2]


def _filmed(
    rng: np.random.Generator, plate: np.ndarray, shape: tuple[int, int, int], rate_hz: float, moving: float
) -> np.ndarray:
    """(frames, rows, columns) of a plate under a camera that pans, shakes, turns and zooms."""
    frames, rows, columns = shape
    scale = np.exp(rng.uniform(-0.6, 0.5)) * USUAL_ROWS / rows
    plate = ndimage.gaussian_filter(plate, max(0.45 * scale, 0.3), mode="wrap")
    speed = moving * np.exp(rng.uniform(np.log(1.5), np.log(35.0)))
    steady = rng.uniform(0.0, 1.0)
    paths = [extent * rng.random() + speed * _way(rng, frames, rate_hz, steady) for extent in plate.shape]
    if moving and rng.random() < 0.25:
        # The eye jumps.
        for path in paths:
            path[int(rng.integers(frames)) :] += rng.normal(0, 8.0)
    shake = moving * rng.uniform(0, 0.5)
    paths = [path + shake * rng.standard_normal(frames) for path in paths]
    turn = rng.normal(0, 0.2) + moving * rng.uniform(0, 0.3) * _way(rng, frames, rate_hz, 0.5)
    zoom = scale * np.exp(np.clip(moving * rng.uniform(0, 0.3) * _way(rng, frames, rate_hz, 0.5), -0.5, 0.5))
    down, right = (np.arange(rows) - rows / 2)[:, None], (np.arange(columns) - columns / 2)[None, :]
    cosine, sine = (zoom * np.cos(turn))[:, None, None], (zoom * np.sin(turn))[:, None, None]
    at = np.stack(
        [
            paths[0][:, None, None] + cosine * down - sine * right,
            paths[1][:, None, None] + sine * down + cosine * right,
        ]
    )
    return ndimage.map_coordinates(plate.astype(np.float32), at.astype(np.float32), order=1, mode="grid-wrap")


def _outline(
    rng: np.random.Generator, radius: float, centre: list[np.ndarray], shape: tuple[int, int, int]
) -> np.ndarray:
    """(frames, rows, columns) 0..1, 1 inside a wavy disc that passes."""
    down = np.arange(shape[1])[None, :, None] - centre[0][:, None, None]
    right = np.arange(shape[2])[None, None, :] - centre[1][:, None, None]
    waves, stretch = int(rng.integers(2, 6)), np.exp(rng.normal(0, 0.4))
    edge = 1.0 + rng.uniform(0, 0.3) * np.cos(waves * np.arctan2(down, right) + rng.uniform(0, 6.3))
    distance = np.hypot(down / stretch, right * stretch) - radius * edge
    return np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)
