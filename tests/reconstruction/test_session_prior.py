"""The prior is about the movies of the session: its level, contrast and spectrum, unless settings state others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.inputs import check_colour_levels
from napari_vidrecon.reconstruction.spectral_prior import about_movies, movies_of
from napari_vidrecon.sessions.session_statistics import PUBLIC_MOVIES, MovieStatistics

DARK = MovieStatistics(level=70.0, sd=40.0, spatial_exponent=2.9, source="a dark session")


def test_best_takes_level_contrast_and_exponent_of_the_session(encoder, trial) -> None:
    best = vr.ReconstructionConfig.preset("best")
    config, movies = about_movies(best, replace(trial, movies=lambda: DARK), [encoder])
    assert movies == DARK
    assert (config.initial_level, config.padding_level, config.update.prior.sd) == (70.0, 70.0, 40.0)
    assert (config.update.prior.spatial_exponent, config.update.prior.temporal_exponent) == (2.9, 2.0)


def test_what_was_set_by_hand_stays(encoder, trial) -> None:
    chosen = vr.ReconstructionConfig.preset("best", prior_sd=33.0)
    config, _ = about_movies(chosen, replace(trial, movies=lambda: DARK), [encoder])
    assert (config.update.prior.sd, config.initial_level) == (33.0, 70.0)


def test_paper_and_stated_settings_keep_the_middle_grey(encoder, trial) -> None:
    for config in (
        vr.ReconstructionConfig.preset("paper"),
        vr.ReconstructionConfig.preset("best", prior_from="stated"),
    ):
        assert about_movies(config, replace(trial, movies=lambda: DARK), [encoder]) == (config, None)
        assert config.initial_level == 127.5


def test_the_encoders_movies_come_second_and_the_public_mice_last(encoder, trial) -> None:
    silent = replace(trial, movies=None)
    assert movies_of(silent, [encoder]) == encoder.movies
    assert movies_of(replace(trial, movies=lambda: None), [object()]) == PUBLIC_MOVIES


def test_a_trained_encoder_knows_what_its_movies_were_like(encoder, small_session_folder) -> None:
    assert encoder.movies == vr.open_session(small_session_folder).movie_statistics()


def test_a_run_shows_the_level_of_the_session_outside_the_mask_and_tells_whose_it_is(
    encoder, trial, disc_mask, quick_config
) -> None:
    dark = replace(trial, movies=lambda: DARK)
    config = vr.ReconstructionConfig.preset("best", steps=1)
    result = vr.reconstruct(dark, [encoder], disc_mask, config)
    assert np.unique(result.video[:, ~disc_mask.binary(0.5)]) == [70.0]
    assert result.provenance["movies"]["source"] == "a dark session"
    assert result.config.update.prior_from == "session"
    other = vr.reconstruct(replace(trial, movies=None), [encoder], disc_mask, config)
    assert other.provenance["fingerprint"] != result.provenance["fingerprint"]


def test_a_fingerprint_of_stated_settings_is_that_of_earlier_versions() -> None:
    assert "prior_from" not in vr.ReconstructionConfig.preset("best", prior_from="stated").decisive


def test_momentum_has_no_prior_and_takes_nothing(encoder, trial) -> None:
    config = vr.ReconstructionConfig.preset("paper", prior_from="session")
    assert about_movies(config, replace(trial, movies=lambda: DARK), [encoder]) == (config, None)


def noise_in_colours() -> list[np.ndarray]:
    """Movies in two colours of unlike level and contrast, of one spectrum: white."""
    random = np.random.default_rng(0)
    planes = [random.normal(level, sd, (8, 64, 12, 16)) for level, sd in ((60.0, 10.0), (150.0, 30.0))]
    return list(np.concatenate(planes, axis=2).clip(0, 255).astype(np.float32))


def test_each_colour_has_a_level_of_its_own_and_no_seam_is_in_contrast_and_spectrum() -> None:
    found = MovieStatistics.of(noise_in_colours(), 30.0, "two colours", colours=2)
    assert found.colour_levels == pytest.approx((60.0, 150.0), abs=0.5)
    assert (found.level, found.sd) == pytest.approx((105.0, np.sqrt(500.0)), abs=0.5)
    assert found.spatial_exponent < 0.01
    assert MovieStatistics.of(noise_in_colours(), 30.0).spatial_exponent > 0.05
    assert MovieStatistics(**found.model_dump(mode="json")) == found
    assert set(DARK.model_dump()) == {"level", "sd", "spatial_exponent", "source"}


def test_settings_state_the_colours_of_the_session_unless_others_were_set_by_hand(encoder, trial) -> None:
    movies = MovieStatistics.of(noise_in_colours(), 30.0, colours=2)
    shown_in_two = replace(trial, movies=lambda: movies, colours=("green", "uv"))
    config, _ = about_movies(vr.ReconstructionConfig.preset("best"), shown_in_two, [encoder])
    assert (config.colour_levels, config.update.prior.sd) == (movies.colour_levels, movies.sd)
    levels = config.blank(36)[:, 0]
    assert np.array_equal(levels, np.repeat(np.float32(movies.colour_levels), 18))
    by_hand = vr.ReconstructionConfig.preset("best", initial_level=90.0)
    config, _ = about_movies(by_hand, shown_in_two, [encoder])
    assert config.colour_levels == ()
    some = vr.ReconstructionConfig.preset("best", colour_levels=(10.0, 20.0))
    config, _ = about_movies(some, shown_in_two, [encoder])
    assert config.colour_levels == (10.0, 20.0)
    assert vr.ReconstructionConfig(**config.model_dump(mode="json")) == config
    check_colour_levels(config, shown_in_two)
    with pytest.raises(ConfigError, match="colour_levels: expected none for movies of grey levels, found 2"):
        vr.reconstruct(trial, [encoder], vr.AlphaMask.full(), some)
    three = replace(shown_in_two, colours=("red", "green", "uv"))
    with pytest.raises(ConfigError, match="colour_levels: expected one for each of 3 colours, found 2"):
        check_colour_levels(some, three)


def test_runs_of_grey_levels_are_described_and_told_apart_as_before() -> None:
    config = vr.ReconstructionConfig.preset("best")
    for told in (config.model_dump(), config.decisive):
        assert "colour_levels" not in told
    assert config.changed(colour_levels=(20.0, 50.0)).decisive["colour_levels"] == (20.0, 50.0)
