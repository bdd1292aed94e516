from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vidrecon import metrics
from napari_vidrecon.analysis import postprocess
from napari_vidrecon.analysis.postprocess import (
    GREY_LEVEL,
    Outside,
    Presentation,
    ShowAs,
    match_luminance_contrast,
    smooth,
)
from napari_vidrecon.storage import read_array

SCREEN_ROWS = slice(14, 50)
FIRST_FOLD_TRIAL = 10


def low_contrast_pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.uniform(60, 180, (5, 8, 10))
    video = 127.5 + 0.1 * (truth - 127.5) + random.normal(0, 4, truth.shape)
    return truth, video, random.random((8, 10)) > 0.3


def test_matching_and_masking_equal_those_of_the_reference(
    golden: Mapping[str, np.ndarray], golden_session_folder: Path
) -> None:
    mask = golden["alpha_m1"][SCREEN_ROWS] >= 1
    truth = read_array(golden_session_folder / "data" / "videos" / f"{FIRST_FOLD_TRIAL}.npy")
    video = golden["metric_reconstruction"]
    truth = truth.transpose(2, 0, 1)[: len(video)]
    matched = postprocess.match_luminance_contrast(video, truth, mask)
    np.testing.assert_allclose(matched, golden["matched_reconstruction"], rtol=0, atol=1e-9)
    masked = postprocess.apply_mask(truth, mask)
    np.testing.assert_allclose(masked, golden["masked_ground_truth"], rtol=0, atol=1e-9)


def test_matched_movies_have_the_truths_luminance_and_contrast() -> None:
    truth, video, mask = low_contrast_pair()
    matched = postprocess.match_luminance_contrast(video, truth, mask, clip=False)
    assert metrics.luminance(matched, mask) == pytest.approx(metrics.luminance(truth, mask), abs=1e-6)
    assert metrics.contrast(matched, mask) == pytest.approx(metrics.contrast(truth, mask), abs=1e-6)


def test_matching_by_the_mean_frame_matches_the_mean_frame() -> None:
    truth, video, mask = low_contrast_pair()
    matched = postprocess.match_luminance_contrast(video, truth, mask, version="mean_frame", clip=False)
    assert matched.mean(axis=0)[mask].std() == pytest.approx(truth.mean(axis=0)[mask].std())
    assert matched[:, mask].std() != pytest.approx(truth[:, mask].std(), rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_matching_without_clipping_leaves_the_correlation(seed: int) -> None:
    truth, video, mask = low_contrast_pair(seed)
    matched = postprocess.match_luminance_contrast(video, truth, mask, clip=False)
    before = metrics.video_correlation(truth, video, mask)
    assert metrics.video_correlation(truth, matched, mask) == pytest.approx(before, abs=1e-9)


def test_matching_clips_to_the_screens_range() -> None:
    truth, video, mask = low_contrast_pair()
    truth = np.where(truth > 120, 255.0, 0.0)
    matched = postprocess.match_luminance_contrast(video, truth, mask)
    assert matched.min() == 0
    assert matched.max() == 255


def test_matching_can_change_the_pixels_outside_the_mask_too() -> None:
    truth, video, mask = low_contrast_pair()
    assert (postprocess.match_luminance_contrast(video, truth, mask)[:, ~mask] == 127.5).all()
    everywhere = postprocess.match_luminance_contrast(video, truth, mask, outside=None)
    assert everywhere[:, ~mask].std() > video[:, ~mask].std()


def test_matching_a_constant_movie_changes_its_luminance_only() -> None:
    truth, video, mask = low_contrast_pair()
    matched = postprocess.match_luminance_contrast(np.full_like(video, 127.3), truth, mask)
    np.testing.assert_allclose(matched[:, mask], truth[:, mask].mean())


def test_matching_refuses_what_cannot_be_matched() -> None:
    truth, video, mask = low_contrast_pair()
    with pytest.raises(ValueError, match="no pixel"):
        postprocess.match_luminance_contrast(video, truth, np.zeros_like(mask))
    with pytest.raises(ValueError, match="mean_frame"):
        postprocess.match_luminance_contrast(video, truth, mask, version="frame")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(5, 8, 10\).*\(4, 8, 10\)"):
        postprocess.match_luminance_contrast(video[:4], truth, mask)


def test_smoothing_spreads_a_flash_in_time_and_space_and_keeps_its_light() -> None:
    video = np.zeros((7, 9, 9), dtype=np.float32)
    video[3, 4, 4] = 100
    smoothed = postprocess.smooth(video)
    assert smoothed.dtype == np.float32
    assert smoothed.sum() == pytest.approx(100, rel=1e-5)
    assert smoothed[2, 4, 4] == pytest.approx(smoothed[3, 4, 5])
    assert 0 < smoothed[2, 4, 4] < smoothed[3, 4, 4]


def test_smoothing_with_a_width_of_zero_changes_nothing() -> None:
    video = low_contrast_pair()[1]
    np.testing.assert_array_equal(postprocess.smooth(video, (0, 0, 0)), video)


def test_smoothing_refuses_a_negative_width() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        postprocess.smooth(np.zeros((3, 4, 5)), (0.5, -1, 0.5))


def test_masking_leaves_the_inside_and_the_input_alone() -> None:
    _, video, mask = low_contrast_pair()
    before = video.copy()
    masked = postprocess.apply_mask(video, mask, outside=0)
    np.testing.assert_array_equal(masked[:, mask], video[:, mask])
    assert (masked[:, ~mask] == 0).all()
    np.testing.assert_array_equal(video, before)


def test_masking_an_8_bit_movie_keeps_half_grey_levels() -> None:
    masked = postprocess.apply_mask(np.zeros((2, 3, 4), dtype=np.uint8), np.zeros((3, 4)))
    assert (masked == 127.5).all()


def test_masking_refuses_a_mask_of_another_size_and_one_without_threshold() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64\).*\(3, 4\)"):
        postprocess.apply_mask(np.zeros((2, 3, 4)), np.ones((64, 64)))
    with pytest.raises(ValueError, match="threshold"):
        postprocess.apply_mask(np.zeros((2, 3, 4)), np.full((3, 4), 1.5))


def test_the_ensemble_is_the_mean_of_its_members() -> None:
    members = np.random.default_rng(2).uniform(0, 255, (3, 4, 5, 6)).astype(np.float32)
    mean = postprocess.ensemble_mean(member for member in members)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, members.mean(axis=0), rtol=1e-6)


def test_the_ensemble_refuses_nothing_and_unequal_members() -> None:
    with pytest.raises(ValueError, match="at least one"):
        postprocess.ensemble_mean([])
    with pytest.raises(ValueError, match=r"\(3, 5, 6\).*\(4, 5, 6\)"):
        postprocess.ensemble_mean([np.zeros((4, 5, 6)), np.zeros((3, 5, 6))])


def test_the_crop_holds_the_last_row_and_column_of_the_union() -> None:
    first, second = np.zeros((2, 36, 64), dtype=bool)
    first[3:6, 10:12] = True
    second[30:36, 60:64] = True
    assert postprocess.union_crop([first, second]) == (slice(3, 36), slice(10, 64))
    assert postprocess.union_crop(first, margin=2) == (slice(1, 8), slice(8, 14))
    assert postprocess.union_crop(second, margin=2) == (slice(28, 36), slice(58, 64))


def test_a_square_crop_lengthens_the_shorter_side_around_its_middle() -> None:
    mask = np.zeros((36, 64))
    mask[15:20, 20:31] = 1
    assert postprocess.union_crop(mask, square=True) == (slice(12, 23), slice(20, 31))


def test_the_crop_refuses_empty_and_unequal_masks() -> None:
    with pytest.raises(ValueError, match="nothing to crop"):
        postprocess.union_crop(np.zeros((36, 64)))
    with pytest.raises(ValueError, match="same for all"):
        postprocess.union_crop([np.ones((36, 64)), np.ones((64, 64))])


@pytest.mark.parametrize("outside", get_args(Outside))
@pytest.mark.parametrize("show_as", get_args(ShowAs))
def test_a_single_frame_is_shown_as_it_is_in_the_whole_movie(show_as: ShowAs, outside: Outside) -> None:
    random = np.random.default_rng(4)
    video, truth = (random.uniform(0, 255, (30, 36, 64)).astype(np.float32) for _ in range(2))
    rows, columns = np.mgrid[:36, :64]
    mask = np.hypot(rows - 3, columns - 60) < 9
    presentation = Presentation(show_as, outside)
    whole, level = presentation.of(video, truth, mask), presentation.level(video, truth, mask)
    for frame in (0, 1, 17, 29):
        shown = presentation.frame(video, truth, mask, frame, level)
        np.testing.assert_allclose(shown, whole[frame], atol=0.02, equal_nan=True)


def test_as_in_the_paper_a_movie_is_smoothed_masked_and_matched() -> None:
    random = np.random.default_rng(5)
    video, truth = (random.uniform(0, 255, (20, 36, 64)) for _ in range(2))
    mask = np.zeros((36, 64), bool)
    mask[10:20, 20:40] = True
    shown = Presentation("paper").of(video, truth, mask)
    np.testing.assert_allclose(shown, match_luminance_contrast(smooth(video), truth, mask))
    assert (shown[:, ~mask] == GREY_LEVEL).all()
    assert Presentation().of(video, truth, mask) is video
