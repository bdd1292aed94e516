"""How the simulated eye's movements shift the movie over the receptive fields."""

from __future__ import annotations

import numpy as np

from napari_vidrecon.sessions.simulation.behavior import EYE_CENTRE_PX

# Screen pixels the receptive fields move for one camera pixel of the pupil: about half a pixel in typical use.
SCREEN_PX_PER_CAMERA_PX = 0.12


def gaze_shift(pupil_center: np.ndarray) -> np.ndarray:
    """Displacement of all receptive fields on the screen.

    Parameters
    ----------
    pupil_center
        (2, T) horizontal and vertical eye position, camera pixels.

    Returns
    -------
    np.ndarray
        (2, T) columns and rows, screen pixels.
    """
    return SCREEN_PX_PER_CAMERA_PX * (np.asarray(pupil_center) - np.array(EYE_CENTRE_PX)[:, None])


def as_seen(video: np.ndarray, pupil_center: np.ndarray) -> np.ndarray:
    """The movie in the coordinates of the retina: each frame moved against the gaze.

    Parameters
    ----------
    video
        (T, H, W) on the screen.
    pupil_center
        (2, T) camera pixels.

    Returns
    -------
    np.ndarray
        (T, H, W) float32; the border is repeated outwards.
    """
    columns, rows = gaze_shift(pupil_center)
    return _shifted(_shifted(np.asarray(video, dtype=np.float32), rows, axis=1), columns, axis=2)


def _shifted(video: np.ndarray, shift: np.ndarray, axis: int) -> np.ndarray:
    """Cubic (Catmull-Rom) interpolation at `position + shift` along one axis, another shift for every frame."""
    length = video.shape[axis]
    whole = np.floor(shift).astype(int)
    f = (shift - whole).astype(np.float32)
    weights = (
        0.5 * (-f + 2 * f**2 - f**3),
        0.5 * (2 - 5 * f**2 + 3 * f**3),
        0.5 * (f + 4 * f**2 - 3 * f**3),
        0.5 * (-(f**2) + f**3),
    )
    spread = (slice(None), None, slice(None)) if axis == 2 else (slice(None), slice(None), None)
    moved = np.zeros_like(video)
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        source = np.clip(np.arange(length)[None, :] + whole[:, None] + offset, 0, length - 1)
        moved += weight[:, None, None] * np.take_along_axis(video, source[spread], axis=axis)
    return moved
