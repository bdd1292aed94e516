"""The mean over every set of encoders, from covariances alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.analysis.ensembles import mean_frame_correlations, mean_video_correlations, subsets


@pytest.fixture(scope="module")
def movies() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """A truth, four noisy copies of it, and a mask."""
    random = np.random.default_rng(3)
    truth = random.uniform(0, 255, (7, 6, 8))
    return truth, [truth + random.normal(0, 80, truth.shape) for _ in range(4)], random.random((6, 8)) > 0.4


def test_every_set_of_a_size_is_taken_once() -> None:
    assert subsets(4, 2).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert [len(subsets(7, size)) for size in range(1, 8)] == [7, 21, 35, 35, 21, 7, 1]


@pytest.mark.parametrize(
    ("of_all_sets", "of_one"),
    [
        (mean_video_correlations, metrics.video_correlation),
        (mean_frame_correlations, metrics.mean_frame_correlation),
    ],
)
def test_covariances_give_what_averaged_movies_give(movies, of_all_sets, of_one) -> None:
    truth, videos, pixels = movies
    found = of_all_sets(truth, videos, pixels)
    for size, correlations in enumerate(found, start=1):
        expected = [of_one(truth, np.mean([videos[k] for k in chosen], axis=0), pixels) for chosen in subsets(4, size)]
        np.testing.assert_allclose(correlations, expected, rtol=1e-9)


def test_a_constant_movie_has_no_correlation_and_a_constant_frame_is_left_out(movies) -> None:
    truth, videos, pixels = movies
    grey = np.full_like(truth, 127.5)
    assert np.isnan(mean_video_correlations(truth, [grey], pixels)[0]).all()
    assert np.isnan(mean_frame_correlations(truth, [grey], pixels)[0]).all()
    partly = videos[0].copy()
    partly[0] = 127.5
    expected = metrics.mean_frame_correlation(truth, partly, pixels)
    np.testing.assert_allclose(mean_frame_correlations(truth, [partly], pixels)[0], expected)
