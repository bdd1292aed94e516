"""How well an encoder predicts trials it did not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_vidrecon.encoders.answers import check_finite, predicted
from napari_vidrecon.errors import SessionError

if TYPE_CHECKING:
    from napari_vidrecon.encoders.window_encoder import WindowEncoder
    from napari_vidrecon.sessions.session import Session

SPREAD_EPSILON = 1e-8
SKIPPED_FRAMES = 50
"""The competition's score leaves out the first frames of every clip (Sensorium 2023)."""


def single_trial_correlation(
    encoder: WindowEncoder,
    session: Session,
    trial_ids: list[int],
    *,
    every_window: bool = True,
    skip_frames: int = SKIPPED_FRAMES,
) -> np.ndarray:
    """Correlation of each neuron's predicted with its recorded single-trial activity, (N,).

    Trials are joined after leaving out their first frames (the Sensorium 2023 score, without its
    normalisation). Neurons that never vary give 0.

    Parameters
    ----------
    every_window
        Slide over all windows; otherwise take windows that do not overlap and score every second frame, as in the
        training of the published encoders, which is 30 times faster.
    skip_frames
        Left out at the beginning of every clip that is more than twice as long.
    """
    recorded, answered = [], []
    for trial_id in trial_ids:
        trial = session.trial(trial_id)
        frames = np.arange(trial.video.shape[0])
        if every_window:
            activity = predicted(encoder, trial.video, trial.behavior, trial.pupil_center, clip=trial.name)
        else:
            windows = encoder.spec.windows
            indices = windows.indices(np.arange(0, len(frames) - windows.span + 1, windows.span))
            inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
            with torch.no_grad():
                parts = encoder.responses(inputs[:, torch.as_tensor(indices)].transpose(0, 1))
            check_finite(encoder, parts, trial.name)
            frames = indices.ravel()
            activity = parts.transpose(0, 1).flatten(1).cpu().numpy()
        kept = frames >= (skip_frames if trial.video.shape[0] > 2 * skip_frames else 0)
        recorded.append(trial.responses[:, frames[kept]])
        answered.append(activity[:, kept])
    if not recorded:
        raise SessionError(f"{session.path}: expected trials to score the encoder on, found none")
    a, b = np.concatenate(recorded, axis=1), np.concatenate(answered, axis=1)
    a = (a - a.mean(1, keepdims=True)) / (a.std(1, keepdims=True) + SPREAD_EPSILON)
    b = (b - b.mean(1, keepdims=True)) / (b.std(1, keepdims=True) + SPREAD_EPSILON)
    return (a * b).mean(axis=1)
