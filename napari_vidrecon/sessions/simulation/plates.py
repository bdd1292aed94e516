"""Still pictures from which simulated movies are cut: photographs, dead leaves, fractal noise.

A plate is a float32 luminance picture, mean 0 and standard deviation 1, in the pixels of the supersampled screen.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

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

PHOTOGRAPH_FRACTION, DEAD_LEAVES_FRACTION = 0.5, 0.4


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
    if kind < PHOTOGRAPH_FRACTION:
        return photograph_plate(rng)
    return dead_leaves_plate(rng) if kind < PHOTOGRAPH_FRACTION + DEAD_LEAVES_FRACTION else fractal_plate(rng)


def standardised(picture: np.ndarray) -> np.ndarray:
    """Float32 copy with mean 0 and standard deviation 1."""
    picture = np.asarray(picture, dtype=np.float64)
    return ((picture - picture.mean()) / (picture.std() + 1e-6)).astype(np.float32)
