"""Where a movie differs from what the encoder would have led to expect, and which neurons hold a pixel of it.

Positive errors: brighter than expected; negative: darker. Inputs are means over encoders, smoothed, without
matching of luminance and contrast. Source: Bauer et al. 2026, Fig. 6 and Video 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.trial import Trial


WHITE_LEVEL = 255.0
LIMIT_PERCENTILE = 99.0
SMALLEST_LIMIT = 1.0  # grey levels: an error below one level cannot be seen
# Okabe and Ito's vermillion and blue, told apart by all common kinds of colour vision.
BRIGHTER_COLOUR = (213, 94, 0)
DARKER_COLOUR = (0, 114, 178)


def error_map(
    recon_recorded: ArrayLike, recon_predicted: ArrayLike, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Reconstruction from recorded activity minus reconstruction from predicted activity.

    Parameters
    ----------
    recon_recorded, recon_predicted
        (T, H, W), grey levels.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (T, H, W), signed, in grey levels, -255..255; 0 outside the mask.

    Raises
    ------
    ValueError
        Shapes that differ.

    References
    ----------
    Bauer et al. 2026, Fig. 6D.
    """
    recorded, predicted = np.asarray(recon_recorded), np.asarray(recon_predicted)
    if recorded.shape != predicted.shape or recorded.ndim != 3:
        raise ValueError(
            f"the movies have shapes {recorded.shape} and {predicted.shape}; "
            "expected (frames, height, width), the same for both"
        )
    error = recorded.astype(np.float64) - predicted
    if mask is not None:
        error[:, ~_as_mask(mask, error.shape[1:])] = 0.0
    return error


def stimulus_difference(
    reconstruction: ArrayLike, stimulus: ArrayLike, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Reconstruction minus the stimulus that was shown.

    Parameters
    ----------
    reconstruction
        (T, H, W), grey levels.
    stimulus
        (T, H, W), grey levels.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (T, H, W), signed grey levels; 0 outside the mask.
    """
    return error_map(reconstruction, stimulus, mask)


def lost_map(stimulus: ArrayLike, before: ArrayLike, after: ArrayLike) -> NDArray[np.float64]:
    """Where in the picture a reconstruction is further from the stimulus than another one, e.g. after an ablation.

    The rise, at every pixel, of the root mean square over frames of reconstruction minus stimulus.

    Parameters
    ----------
    stimulus
        (T, H, W), grey levels.
    before, after
        (T, H, W), grey levels: both reconstructions of it.

    Returns
    -------
    NDArray[np.float64]
        (H, W), grey levels, -255..255: positive where something is lost, negative where something is gained.

    Raises
    ------
    ValueError
        Shapes that differ.
    """
    first, second = (error_map(movie, stimulus) for movie in (before, after))
    rise = np.sqrt((second**2).mean(axis=0)) - np.sqrt((first**2).mean(axis=0))
    return np.asarray(rise, np.float64)


def symmetric_limit(error: ArrayLike, mask: ArrayLike | None = None, percentile: float = LIMIT_PERCENTILE) -> float:
    """The limit v of a colour range -v..v that keeps all but the largest errors: a percentile of |error|.

    Parameters
    ----------
    error
        (T, H, W), signed grey levels.
    mask
        (H, W) boolean or 0/1; without it the zeros outside a mask count too.
    percentile
        0..100.

    Returns
    -------
    float
        grey levels, at least 1.
    """
    values = np.asarray(error, dtype=np.float64)
    if mask is not None:
        values = values[:, _as_mask(mask, values.shape[1:])]
    if not values.size:
        return SMALLEST_LIMIT
    return max(float(np.percentile(np.abs(values), percentile)), SMALLEST_LIMIT)


def overlay(stimulus: ArrayLike, error: ArrayLike, limit: float) -> NDArray[np.uint8]:
    """Tint a grey movie by its error: vermillion where brighter, blue where darker than expected.

    Parameters
    ----------
    stimulus
        (..., H, W), grey levels 0..255.
    error
        The same shape, signed grey levels.
    limit
        Error in grey levels, > 0, at which the tint is opaque; below, its opacity is in proportion.

    Returns
    -------
    NDArray[np.uint8]
        (..., H, W, 3) 8-bit RGB.

    Raises
    ------
    ValueError
        Shapes that differ, or a limit that is not positive.
    """
    grey, signed = np.asarray(stimulus, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if grey.shape != signed.shape:
        raise ValueError(f"stimulus has shape {grey.shape} and error has shape {signed.shape}; expected equal shapes")
    if not limit > 0:
        raise ValueError(f"limit is {limit}; expected a number above 0")
    opacity = np.clip(np.abs(signed) / limit, 0.0, 1.0)[..., np.newaxis]
    tint = np.where(signed[..., np.newaxis] > 0, BRIGHTER_COLOUR, DARKER_COLOUR)
    base = np.clip(grey, 0.0, WHITE_LEVEL)[..., np.newaxis]
    return np.round(base * (1 - opacity) + tint * opacity).astype(np.uint8)


def _as_mask(mask: ArrayLike, frame_shape: tuple[int, ...]) -> NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.shape != frame_shape:
        raise ValueError(f"mask has shape {array.shape} and the frames {frame_shape}; expected equal shapes")
    return array == 1


BUMP_LEVELS, BUMP_REACH_PX, BUMP_REACH_FRAMES = 8.0, 1, 2
"""A small square of so many grey levels, so many pixels (of 36 x 64) and frames (at 30 Hz) to each side: what a
neuron can tell apart."""
LEAST_CONTEXT_FRAMES, USUAL_SPAN_FRAMES = 24, 31
"""Frames to each side that are predicted: more than a window of that span reaches back from the last bumped one."""
LEAST_ACTIVITY = 1e-8


def pulls_on_pixel(
    encoder: Encoder, trial: Trial, video: np.ndarray, target: np.ndarray, frame: int, pixel: tuple[int, int]
) -> np.ndarray:
    """How strongly each neuron pulls a pixel of a movie brighter, by the likelihood of its activity.

    By a finite difference: the movie is made a little brighter, then a little darker, at the pixel, and each neuron's
    Poisson loss is compared. It says what the encoder believes, about the movie as it is; the prior pulls, too.

    Parameters
    ----------
    encoder
        Bound to this mouse.
    trial
        Whose behaviour goes with the movie; at least 32 frames.
    video
        (T, rows, columns) the reconstruction, grey levels.
    target
        (N, T) activity to match.
    frame
        Of the pixel.
    pixel
        Its row and column.

    Returns
    -------
    np.ndarray
        (N,) float64, nats a grey level: positive where brighter would fit the neuron's activity better.
    """
    from napari_vidrecon.encoders.window_encoder import predict_clip

    # At a higher rate a window spans more frames, and a shorter clip would be predicted by none.
    longer = max(1.0, encoder.spec.windows.span / USUAL_SPAN_FRAMES)
    context = round(LEAST_CONTEXT_FRAMES * longer)
    first = max(min(frame - context, trial.frames - 2 * context), 0)
    span = slice(first, min(first + 2 * context, trial.frames))
    part, wanted = trial.part(span.start, span.stop), target[:, span].astype(np.float64)
    row, column = pixel
    rows = video.shape[1] // trial.planes
    top = row // rows * rows
    reach_px = max(1, round(BUMP_REACH_PX * rows / USUAL_SCREEN.rows))
    reach = max(1, round(BUMP_REACH_FRAMES * trial.frame_rate_hz / FRAME_RATE_HZ))
    place = (
        slice(max(frame - reach - first, 0), frame + reach + 1 - first),
        # Not over the seam to the next colour, which is another part of the screen.
        slice(max(row - reach_px, top), min(row + reach_px + 1, top + rows)),
        slice(max(column - reach_px, 0), column + reach_px + 1),
    )

    def loss(levels: float) -> np.ndarray:
        bumped = video[span].astype(np.float32, copy=True)
        bumped[place] += levels
        inputs = encoder.pack(bumped, part.behavior, part.pupil_center)
        predicted = predict_clip(encoder, inputs).cpu().numpy().astype(np.float64)
        return np.asarray((predicted - wanted * np.log(predicted + LEAST_ACTIVITY)).sum(axis=1))

    return (loss(-BUMP_LEVELS) - loss(BUMP_LEVELS)) / (2 * BUMP_LEVELS)
