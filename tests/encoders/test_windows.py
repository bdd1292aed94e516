"""Frame windows cover a clip as the reference's do."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_vidrecon.encoders.windows import FrameWindows


def test_a_ten_second_clip_has_270_windows_and_mirrored_coverage():
    windows = FrameWindows()
    coverage = windows.coverage(300)
    assert len(windows.starts(300)) == 270
    assert coverage[[0, 1, 2, 28, 29, 30, 269, 270, 299]].tolist() == [1, 1, 2, 15, 15, 16, 16, 15, 1]
    assert np.array_equal(coverage, coverage[::-1])


def test_a_window_takes_every_second_frame_of_31():
    windows = FrameWindows()
    assert windows.span == 31
    assert windows.sub_batch_frames == 32
    assert windows.indices(np.array([3]))[0].tolist() == list(range(3, 34, 2))


@given(frames=st.integers(0, 120), size=st.integers(1, 20), step=st.integers(1, 4))
def test_every_window_counts_each_of_its_frames_once(frames, size, step):
    windows = FrameWindows(size, step)
    assert windows.coverage(frames).sum() == size * len(windows.starts(frames))
