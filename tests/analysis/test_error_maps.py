from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.analysis import error_maps


@pytest.fixture
def error_and_mask() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:5, 2:6] = True
    recorded, predicted = random.uniform(0, 255, (2, 5, 6, 8))
    return error_maps.error_map(recorded, predicted, mask), mask


def test_the_error_is_recorded_minus_predicted_and_nothing_outside_the_mask() -> None:
    recorded = np.full((2, 3, 4), 100, dtype=np.uint8)
    predicted = np.full((2, 3, 4), 130, dtype=np.uint8)
    mask = np.zeros((3, 4))
    mask[1, 1] = 1
    error = error_maps.error_map(recorded, predicted, mask)
    assert (error[:, 1, 1] == -30).all()
    assert np.count_nonzero(error) == 2


def test_the_difference_to_the_stimulus_is_positive_where_the_reconstruction_is_brighter() -> None:
    difference = error_maps.stimulus_difference(np.full((1, 2, 2), 90.0), np.full((1, 2, 2), 50.0))
    assert (difference == 40).all()


def test_the_limit_is_the_99th_percentile_inside_the_mask(
    error_and_mask: tuple[np.ndarray, np.ndarray],
) -> None:
    error, mask = error_and_mask
    limit = error_maps.symmetric_limit(error, mask)
    assert limit == pytest.approx(np.percentile(np.abs(error[:, mask]), 99))
    assert limit > error_maps.symmetric_limit(error)
    assert error_maps.symmetric_limit(-error, mask) == limit


def test_the_limit_of_no_error_is_one_grey_level() -> None:
    assert error_maps.symmetric_limit(np.zeros((2, 3, 4))) == 1
    assert error_maps.symmetric_limit(np.zeros((2, 3, 4)), np.zeros((3, 4))) == 1


def test_the_overlay_leaves_the_stimulus_where_there_is_no_error() -> None:
    stimulus = np.arange(0.0, 240.0, 10).reshape(1, 4, 6)
    shown = error_maps.overlay(stimulus, np.zeros_like(stimulus), limit=50)
    np.testing.assert_array_equal(shown, np.repeat(stimulus[..., None], 3, axis=-1).astype(np.uint8))


def test_the_overlay_takes_one_colour_for_each_sign_and_mixes_in_proportion() -> None:
    stimulus = np.full((1, 1, 3), 100.0)
    shown = error_maps.overlay(stimulus, np.array([[[80.0, -80.0, 20.0]]]), limit=40)
    assert tuple(shown[0, 0, 0]) == error_maps.BRIGHTER_COLOUR
    assert tuple(shown[0, 0, 1]) == error_maps.DARKER_COLOUR
    half = [round((100 + level) / 2) for level in error_maps.BRIGHTER_COLOUR]
    assert np.abs(shown[0, 0, 2].astype(int) - half).max() <= 1


def test_shapes_that_differ_and_limits_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*\(2, 3, 5\)"):
        error_maps.error_map(np.zeros((2, 3, 4)), np.zeros((2, 3, 5)))
    with pytest.raises(ValueError, match=r"\(64, 64\).*\(3, 4\)"):
        error_maps.error_map(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), np.ones((64, 64)))
    with pytest.raises(ValueError, match="above 0"):
        error_maps.overlay(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), limit=0)
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*\(1, 3, 4\)"):
        error_maps.overlay(np.zeros((2, 3, 4)), np.zeros((1, 3, 4)), limit=1)


def test_what_is_lost_is_the_rise_of_the_error_where_it_rises() -> None:
    stimulus = np.full((3, 2, 2), 100.0)
    before, after = stimulus + 10, stimulus + 10
    after[:, 0, 0], after[:, 1, 1] = 130, 100
    assert np.allclose(error_maps.lost_map(stimulus, before, after), [[20, 0], [0, -10]])
