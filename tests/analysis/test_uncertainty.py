"""The uncertainty map: the spread of movies, as large at the mask's edge as within."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.errors import ConfigError

SPREAD = 12.0


@pytest.fixture
def movies():
    """Sixty, grey outside a square, with the same spread everywhere in it."""
    inside = np.zeros((20, 24))
    inside[5:15, 6:18] = 1.0
    noise = np.random.default_rng(0).normal(scale=SPREAD, size=(60, 10, 20, 24))
    return [127.5 + each * inside for each in noise], inside > 0


def test_it_is_the_standard_deviation_also_at_the_edge(movies):
    videos, inside = movies
    found = uncertainty_map(videos)
    assert found.dtype == np.float32
    assert found.shape == (10, 20, 24)
    np.testing.assert_allclose(found[:, inside], SPREAD, rtol=0.12)
    assert found[:, 5, 6].mean() == pytest.approx(SPREAD, rel=0.05)
    assert (found[:, ~inside] == 0).all()


def test_it_is_larger_where_movies_differ_more(movies):
    videos, inside = movies
    louder = [np.where(np.arange(24) < 12, 127.5 + 3 * (video - 127.5), video) for video in videos]
    found = uncertainty_map(louder)
    assert found[:, inside & (np.arange(24) < 10)].mean() == pytest.approx(3 * SPREAD, rel=0.05)
    assert found[:, inside & (np.arange(24) > 13)].mean() == pytest.approx(SPREAD, rel=0.05)


def test_one_movie_has_no_spread(movies):
    with pytest.raises(ConfigError, match="at least two movies, found 1"):
        uncertainty_map(movies[0][:1])
