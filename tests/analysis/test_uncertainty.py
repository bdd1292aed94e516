"""The uncertainty map: the spread of movies, as large at the mask's edge as within."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.analysis.ensembles import prior_share_map, uncertainty_map
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.session_statistics import MovieStatistics

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


def test_where_activity_says_nothing_all_of_a_movie_is_the_prior(small_session_folder, small_encoder_file):
    trial = vr.open_session(small_session_folder).trial(0)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    config = vr.ReconstructionConfig.preset("fast", steps=2, draws=2)
    result = vr.reconstruct(trial, [encoder], vr.AlphaMask.full(), config)
    told = MovieStatistics(**result.provenance["movies"])
    noise = np.random.default_rng(0).normal(told.level, told.sd, size=(40, *result.video.shape))
    noise[:, :, :, 32:] = told.level + 0.5 * (noise[:, :, :, 32:] - told.level)
    noise[:, :, :4] = 80.0
    share = prior_share_map(replace(result, videos=list(noise.clip(0, 255))))
    assert share[:, 8:, :28].mean() == pytest.approx(1.0, abs=0.06)
    assert 0.2 < share[:, 8:, 36:].mean() < 0.4
    assert (share[:, :4] == 1).all(), "what was not reconstructed is no news of the neurons"
    with pytest.raises(ConfigError, match="expected a run with draws"):
        prior_share_map(replace(result, config=config.changed(draws=1)))
