"""Two courses over time, one shifted against the other."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.studies.experiments.correlates import cross_correlation


def test_at_lag_zero_it_is_pearsons_r() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    assert cross_correlation(first, second, 0)[0] == pytest.approx(np.corrcoef(first, second)[0, 1])


def test_a_course_that_comes_later_peaks_at_a_positive_lag() -> None:
    course = np.random.default_rng(1).normal(size=203)
    found = cross_correlation(course[3:], course[:-3], 6)
    assert found.argmax() - 6 == 3
    assert cross_correlation(course[:-3], course[3:], 6).argmax() - 6 == -3


def test_frames_without_a_value_are_left_out_of_both_courses() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 40))
    first[5], second[9] = np.nan, np.nan
    kept = [frame for frame in range(40) if frame not in (5, 9)]
    expected = np.corrcoef(first[kept], second[kept])[0, 1]
    assert cross_correlation(first, second, 2)[2] == pytest.approx(expected)


def test_a_constant_course_has_no_correlation() -> None:
    assert np.isnan(cross_correlation(np.ones(9), np.arange(9.0), 2)).all()


@pytest.mark.parametrize(("second", "lag"), [(np.zeros(4), 1), (np.zeros(5), 5), (np.zeros(5), -1)])
def test_courses_that_do_not_fit_are_refused(second: np.ndarray, lag: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        cross_correlation(np.zeros(5), second, lag)


def test_a_lag_at_which_few_known_frames_overlap_has_no_number() -> None:
    # Two courses whose ends stand out, known in few frames: their product alone would be many times 1.
    first, second = np.full((2, 30), np.nan)
    known = [0, 12, 13, 14, 15, 16, 17, 29]
    first[known], second[known] = [0, 0, 1, 0, 1, 0, 1, 9], [9, 0, 1, 0, 1, 0, 1, 0]
    found = cross_correlation(first, second, 29)
    assert np.isnan(found[[0, -1]]).all()
    assert np.nanmax(np.abs(found)) <= 1
    assert np.isfinite(found[29])
