"""Measurements that several studies share: from finished runs to rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import apply_mask, match_luminance_contrast, union_crop
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.study import Clip, Plan

EVALUATION_THRESHOLD = 1.0
CLIPS_A_ROW = 5
CROP_MARGIN_PX = 2


def evaluation_mask(clip: Clip) -> np.ndarray:
    """(36, 64) bool: pixels that are measured."""
    return clip.mouse.load_mask().binary(EVALUATION_THRESHOLD)


def scores(plan: Plan, trial: Trial, video: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    """Video correlation, mean frame correlation and RMSE of a reconstruction, at the scale's frames.

    Parameters
    ----------
    trial : the clip; its movie is the truth.
    video : (T, 36, 64) averaged over encoders and smoothed.
    pixels : (36, 64) bool, the evaluation mask.
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
    """Truth and reconstruction as the paper shows them: luminance and contrast matched, grey outside the mask."""
    return apply_mask(truth, pixels), match_luminance_contrast(video, truth, pixels)


def other_movies(clips: Sequence[Clip]) -> dict[Clip, Clip]:
    """For each clip the next one of the same mouse, whose movie is its random control; none where there is but one."""
    others: dict[Clip, Clip] = {}
    for mouse in dict.fromkeys(clip.mouse for clip in clips):
        own = [clip for clip in clips if clip.mouse == mouse]
        if len(own) > 1:
            others.update(zip(own, own[1:] + own[:1], strict=True))
    return others


def example_times_s(plan: Plan, trial: Trial) -> np.ndarray:
    """Times of all frames of an example, in seconds from the beginning of the whole clip."""
    return ((plan.scale.example_frames or (0, 0))[0] + np.arange(trial.frames)) / trial.frame_rate_hz


def spread_frames(frames: int, every: int, most: int) -> np.ndarray:
    """Frames to show: the first, one every `every` frames, and the last, as the paper does; at most `most`.

    Where that gives fewer than `most`, as in a short clip, they are equally spaced instead.
    """
    regular = [*range(0, frames - 1, every), frames - 1]
    if len(regular) != most:
        regular = np.unique(np.round(np.linspace(0, frames - 1, min(most, frames)))).astype(int).tolist()
    return np.array(regular)


def same_length(rows: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Rows of movies cut to the shortest, so that they can play beside each other."""
    shortest = min(len(movie) for movies in rows for movie in movies)
    return [[movie[:shortest] for movie in movies] for movies in rows]


def rows_of_clips(plan: Plan, clips: Sequence[Clip]) -> list[list[Clip]]:
    """Clips as the paper tiles them, a row a mouse; those of a single mouse wrapped."""
    if len(plan.mice) > 1:
        return [[clip for clip in clips if clip.mouse == mouse] for mouse in plan.mice]
    return [list(clips[start : start + CLIPS_A_ROW]) for start in range(0, len(clips), CLIPS_A_ROW)]


def screen_window(plan: Plan) -> tuple[slice, slice]:
    """The part of the screen that holds every mouse's evaluation mask, with a little room around."""
    return union_crop([mouse.load_mask().binary(EVALUATION_THRESHOLD) for mouse in plan.mice], margin=CROP_MARGIN_PX)


def cropped(plan: Plan, rows: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Rows of movies (T, H, W) or (T, H, W, 3) cut to `screen_window`."""
    window = screen_window(plan)
    return [[movie[:, *window] for movie in movies] for movies in rows]
