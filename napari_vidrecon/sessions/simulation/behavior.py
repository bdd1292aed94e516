"""What the simulated mouse does while it watches, and how its gaze moves the movie over the receptive fields."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck, smoothed
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

BEHAVIOR_STREAM = 2

RUNNING_FRACTION = 0.10
MEAN_BOUT_S = 4.0
TYPICAL_SPEED_CM_S, SPEED_SPREAD = 6.0, 0.5
TOP_SPEED_CM_S = 25.0
REST_BELOW_CM_S = 0.05
STRIDE_SPREAD, STRIDE_S = 0.3, 0.6
SPEED_TIME_CONSTANT_S = 0.35

PUPIL_MEAN, PUPIL_MIN, PUPIL_MAX = 50.0, 10.0, 92.0
PUPIL_TRIAL_SPREAD = 11.0
PUPIL_DRIFT, PUPIL_DRIFT_S = 6.0, 2.5
PUPIL_NOISE = 0.4
PUPIL_PER_CM_S, PUPIL_FULL_AT_CM_S = 2.2, 12.0
PUPIL_FOLLOWS_RUNNING_S = 1.2

EYE_CENTRE_PX = (150.0, 150.0)
EYE_TRIAL_SPREAD_PX = (3.0, 2.5)
EYE_DRIFT_PX, EYE_DRIFT_S = 1.0, 3.0
EYE_NOISE_PX = 0.15
SACCADES_PER_SECOND = 0.35
SACCADE_SPREAD_PX = (4.0, 3.0)
SACCADE_FRAMES = 3


def simulate_behavior(seed: int, trial: int, frames: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Behaviour during one trial, a pure function of seed and trial.

    Parameters
    ----------
    seed
        Of the mouse, >= 0.
    trial
        Number of the trial, >= 0.
    frames
        Length at 30 Hz, >= 1.

    Returns
    -------
    behavior
        (2, frames) float32: pupil dilation 10..92, running speed 0..25 cm/s (median 0).
    pupil_center
        (2, frames) float32: horizontal and vertical eye position, camera pixels, about (150, 150).

    References
    ----------
    Means and spreads of the Sensorium 2023 mice.
    """
    rng = np.random.default_rng([seed, BEHAVIOR_STREAM, trial])
    running = _running_speed(rng, frames)
    pupil = _pupil_dilation(rng, running)
    eye = np.stack([_eye_position(rng, frames, axis) for axis in (0, 1)])
    eye += _saccades(rng, frames)
    return np.stack([pupil, running]).astype(np.float32), eye.astype(np.float32)


def _drift(rng: np.random.Generator, frames: int, spread: float, seconds: float) -> np.ndarray:
    return ornstein_uhlenbeck(rng, frames, spread, seconds, FRAME_RATE_HZ)


def _bout_speed(rng: np.random.Generator) -> float:
    return TYPICAL_SPEED_CM_S * float(np.exp(rng.normal(0.0, SPEED_SPREAD)))


def _running_speed(rng: np.random.Generator, frames: int) -> np.ndarray:
    stop = 1.0 / (MEAN_BOUT_S * FRAME_RATE_HZ)
    start = stop * RUNNING_FRACTION / (1.0 - RUNNING_FRACTION)
    wanted = np.zeros(frames)
    moving = bool(rng.random() < RUNNING_FRACTION)
    speed = _bout_speed(rng)
    for t, chance in enumerate(rng.random(frames)):
        if chance < (stop if moving else start):
            moving = not moving
            speed = _bout_speed(rng)
        wanted[t] = speed if moving else 0.0
    wanted *= np.exp(_drift(rng, frames, STRIDE_SPREAD, STRIDE_S))
    speed_trace = smoothed(wanted, wanted[0], SPEED_TIME_CONSTANT_S, FRAME_RATE_HZ)
    # A wheel at rest reads exactly 0.
    return np.where(speed_trace < REST_BELOW_CM_S, 0.0, np.minimum(speed_trace, TOP_SPEED_CM_S))


def _pupil_dilation(rng: np.random.Generator, running: np.ndarray) -> np.ndarray:
    frames = len(running)
    exertion = np.minimum(running, PUPIL_FULL_AT_CM_S)
    # A trial that begins in a fast run begins with a pupil wider than the run alone would keep it.
    arousal = smoothed(exertion, running[0], PUPIL_FOLLOWS_RUNNING_S, FRAME_RATE_HZ)
    typical = PUPIL_MEAN + rng.normal(0.0, PUPIL_TRIAL_SPREAD)
    pupil = typical + _drift(rng, frames, PUPIL_DRIFT, PUPIL_DRIFT_S) + PUPIL_PER_CM_S * arousal
    return np.clip(pupil + rng.normal(0.0, PUPIL_NOISE, frames), PUPIL_MIN, PUPIL_MAX)


def _eye_position(rng: np.random.Generator, frames: int, axis: int) -> np.ndarray:
    place = EYE_CENTRE_PX[axis] + rng.normal(0.0, EYE_TRIAL_SPREAD_PX[axis])
    return place + _drift(rng, frames, EYE_DRIFT_PX, EYE_DRIFT_S) + rng.normal(0.0, EYE_NOISE_PX, frames)


def _saccades(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Jumps between fixations, drawn around the resting position so that the eye does not wander off."""
    jumps = np.flatnonzero(rng.random(frames) < SACCADES_PER_SECOND / FRAME_RATE_HZ)
    fixations = rng.normal(0.0, 1.0, (2, len(jumps) + 1)) * np.array(SACCADE_SPREAD_PX)[:, None]
    which = np.searchsorted(jumps, np.arange(frames), side="right")
    return ndimage.uniform_filter1d(fixations[:, which], SACCADE_FRAMES, axis=1, mode="nearest")


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
