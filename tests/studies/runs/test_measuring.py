"""Which frames are shown, and how clips stand beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.studies.runs.measuring import (
    cropped,
    evaluation_mask,
    example_times_s,
    other_movies,
    rows_of_clips,
    same_length,
    spread_frames,
)


def test_a_whole_clip_shows_one_frame_a_second_and_the_last() -> None:
    assert spread_frames(270, 30, 10).tolist() == [*range(0, 270, 30), 269]


@pytest.mark.parametrize("frames", [34, 138])
def test_a_shorter_clip_shows_as_many_frames_equally_spaced(frames: int) -> None:
    chosen = spread_frames(frames, 30, 10)
    assert len(chosen) == 10
    assert (chosen[0], chosen[-1]) == (0, frames - 1)
    assert np.ptp(np.diff(chosen)) <= 1


def test_clips_stand_in_a_row_a_mouse_and_those_of_one_mouse_are_wrapped(tiny_plan, two_mice_plan) -> None:
    assert [[clip.mouse.name for clip in row] for row in rows_of_clips(two_mice_plan, two_mice_plan.clips)] == [
        ["tiny", "tiny"],
        ["other", "other"],
    ]
    many = list(tiny_plan.clips) * 4
    assert [len(row) for row in rows_of_clips(tiny_plan, many)] == [5, 3]


def test_every_clips_random_movie_is_the_next_one_of_its_own_mouse(two_mice_plan) -> None:
    pairs = [(clip.mouse.name, clip.trial, other.trial) for clip, other in other_movies(two_mice_plan.clips).items()]
    assert pairs == [("tiny", 0, 1), ("tiny", 1, 0), ("other", 0, 2), ("other", 2, 0)]
    assert other_movies(two_mice_plan.clips[:1]) == {}


def test_movies_of_different_lengths_are_cut_and_cropped_around_the_masks(tiny_plan) -> None:
    movies = [[np.zeros((5, 36, 64)), np.zeros((7, 36, 64, 3))]]
    cut = cropped(tiny_plan, same_length(movies))
    rows, columns = np.nonzero(evaluation_mask(tiny_plan.clips[0]))
    expected = np.ptp(rows) + 1 + 4, np.ptp(columns) + 1 + 4
    assert [movie.shape for movie in cut[0]] == [(5, *expected), (5, *expected, 3)]


def test_times_are_those_of_the_whole_clip(tiny_plan) -> None:
    trial = tiny_plan.trial(tiny_plan.examples[0], frames=None)
    np.testing.assert_allclose(example_times_s(tiny_plan, trial), np.arange(60) / 30)
