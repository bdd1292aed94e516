"""Sub-batches cover a clip as the published code's do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.schedule import build_schedule

PAPER = ReconstructionConfig.preset("paper")


@pytest.mark.parametrize(
    ("frames", "count", "starts"),
    [(32, 2, [0]), (33, 2, [0, 1]), (40, 3, [0, 8]), (45, 3, [0, 8, 13]), (60, 5, [0, 8, 16, 24, 28]), (64, 6, None)],
)
def test_the_number_of_sub_batches_is_the_published_one(frames, count, starts):
    sub_batches = build_schedule(PAPER, frames, 32).at(0)
    assert sub_batches.weights.sum() == count
    if starts is not None:
        assert sub_batches.starts.tolist() == starts


def test_a_ten_second_clip_is_covered_as_published():
    sub_batches = build_schedule(PAPER, 300, 32).at(0)
    coverage = np.zeros(300)
    for start, weight in zip(sub_batches.starts, sub_batches.weights, strict=True):
        coverage[start : start + 32] += weight
    assert len(sub_batches.starts) == 35
    expected = [(0, 8, 1), (8, 16, 2), (16, 24, 3), (24, 268, 4), (268, 272, 5), (272, 280, 4), (280, 288, 3)]
    for first, last, count in [*expected, (288, 296, 2), (296, 300, 1)]:
        assert set(coverage[first:last]) == {count}


def test_the_duplicated_last_sub_batch_is_an_option():
    single = build_schedule(PAPER.changed(duplicate_last_sub_batch=False), 64, 32).at(0)
    assert single.weights.tolist() == [1.0] * 5
    assert build_schedule(PAPER, 64, 32).at(0).weights.tolist() == [1.0] * 4 + [2.0]


def test_a_clip_that_is_too_short_is_one_clear_error():
    with pytest.raises(ConfigError, match="clip of 31 frames: expected at least 32"):
        build_schedule(PAPER, 31, 32)


@given(frames=st.integers(32, 200), stride=st.integers(2, 32), step=st.integers(0, 50), seed=st.integers(0, 9))
def test_random_offsets_cover_every_frame_and_repeat_with_the_seed(frames, stride, step, seed):
    config = PAPER.changed(schedule="random_offset", sub_batch_stride=stride, seed=seed)
    sub_batches = build_schedule(config, frames, 32).at(step)
    covered = np.zeros(frames, bool)
    for start in sub_batches.starts:
        covered[start : start + 32] = True
    assert covered.all()
    assert sub_batches.starts.max() == frames - 32
    assert np.array_equal(sub_batches.starts, build_schedule(config, frames, 32).at(step).starts)
