"""Which neurons hold a pixel of a reconstruction where it is: how their likelihood changes when it is brightened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.trial import Trial

BUMP_LEVELS, BUMP_REACH_PX, BUMP_REACH_FRAMES = 8.0, 1, 2
"""A small square of so many grey levels, so many pixels and frames to each side: what one neuron can tell apart."""
CONTEXT_FRAMES = 24
"""Frames to each side that are predicted: more than a window of any encoder reaches back from the last bumped one."""
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

    first = max(min(frame - CONTEXT_FRAMES, trial.frames - 2 * CONTEXT_FRAMES), 0)
    span = slice(first, min(first + 2 * CONTEXT_FRAMES, trial.frames))
    part, wanted = trial.part(span.start, span.stop), target[:, span].astype(np.float64)
    row, column = pixel
    place = (
        slice(max(frame - BUMP_REACH_FRAMES - first, 0), frame + BUMP_REACH_FRAMES + 1 - first),
        slice(max(row - BUMP_REACH_PX, 0), row + BUMP_REACH_PX + 1),
        slice(max(column - BUMP_REACH_PX, 0), column + BUMP_REACH_PX + 1),
    )

    def loss(levels: float) -> np.ndarray:
        bumped = video[span].astype(np.float32, copy=True)
        bumped[place] += levels
        inputs = encoder.pack(bumped, part.behavior, part.pupil_center)
        predicted = predict_clip(encoder, inputs).cpu().numpy().astype(np.float64)
        return np.asarray((predicted - wanted * np.log(predicted + LEAST_ACTIVITY)).sum(axis=1))

    return (loss(-BUMP_LEVELS) - loss(BUMP_LEVELS)) / (2 * BUMP_LEVELS)
