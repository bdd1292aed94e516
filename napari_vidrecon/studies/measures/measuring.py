"""Measurements that several studies share: from finished runs to rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import apply_mask, match_luminance_contrast
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.study import Clip, Plan

EVALUATION_THRESHOLD = 1.0


def evaluation_mask(clip: Clip) -> np.ndarray:
    """(36, 64) bool: pixels that are measured."""
    return clip.mouse.load_mask().binary(EVALUATION_THRESHOLD)


def scores(plan: Plan, trial: Trial, video: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    """Video correlation, mean frame correlation and RMSE of a reconstruction, at the scale's frames.

    Parameters
    ----------
    plan
        Says which frames are measured.
    trial
        The clip; its movie is the truth.
    video
        (T, 36, 64) averaged over encoders and smoothed.
    pixels
        (36, 64) bool, the evaluation mask.

    Returns
    -------
    dict[str, float]
        {"video_correlation", "mean_frame_correlation", "rmse": value}.
    """
    part = plan.measured(len(video))
    truth, shown = trial.video[part], video[part]
    return {
        "video_correlation": metrics.video_correlation(truth, shown, pixels),
        "mean_frame_correlation": metrics.mean_frame_correlation(truth, shown, pixels),
        "rmse": metrics.rmse(truth, shown, pixels),
    }


def row(clip: Clip, **values: Any) -> dict[str, Any]:
    """One row of a table: which mouse and clip, and the values."""
    return {"mouse": clip.mouse.name, "clip": clip.trial, **values}


def presented(truth: np.ndarray, video: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and reconstruction as the paper shows them: luminance and contrast matched, grey outside the mask.

    Parameters
    ----------
    truth
        (T, 36, 64), grey levels.
    video
        (T, 36, 64), grey levels.
    pixels
        (36, 64) bool, the evaluation mask.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Truth and reconstruction, (T, 36, 64).
    """
    return apply_mask(truth, pixels), match_luminance_contrast(video, truth, pixels)


def other_movies(clips: Sequence[Clip]) -> dict[Clip, Clip]:
    """For each clip the next one of the same mouse, whose movie is its random control; none where there is but one."""
    others: dict[Clip, Clip] = {}
    for mouse in dict.fromkeys(clip.mouse for clip in clips):
        own = [clip for clip in clips if clip.mouse == mouse]
        if len(own) > 1:
            others.update(zip(own, own[1:] + own[:1], strict=True))
    return others
