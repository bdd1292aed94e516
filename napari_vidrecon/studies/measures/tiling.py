"""Which frames and which part of the screen are shown, and how clips stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_vidrecon.analysis.postprocess import union_crop
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.study import Clip, Plan

CLIPS_A_ROW = 5
CROP_MARGIN_PX = 2


def example_times_s(plan: Plan, trial: Trial) -> np.ndarray:
    """Times of all frames of an example, in seconds from the beginning of the whole clip."""
    return ((plan.scale.example_frames or (0, 0))[0] + np.arange(trial.frames)) / trial.frame_rate_hz


def spread_frames(frames: int, every: int, most: int) -> np.ndarray:
    """Frames to show: the first, one every `every` frames, and the last, as the paper does; at most `most`.

    Where that gives fewer than `most`, as in a short clip, they are equally spaced instead.

    Parameters
    ----------
    frames
        Length of the clip.
    every
        Frames between two that are shown.
    most
        How many are shown.

    Returns
    -------
    np.ndarray
        Indices, ascending.
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
    masks = [mouse.load_mask().binary(EVALUATION_THRESHOLD) for mouse in plan.mice]
    return union_crop(masks, margin=CROP_MARGIN_PX)


def cropped(plan: Plan, rows: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Rows of movies (T, H, W) or (T, H, W, 3) cut to `screen_window`."""
    window = screen_window(plan)
    return [[movie[:, *window] for movie in movies] for movies in rows]
