"""The prior is about the movies of the session: its level, contrast and spectrum, unless settings state others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.fft import dct

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.inputs import check_colour_levels
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum, about_movies, movies_of
from napari_vidrecon.sessions.session_statistics import (
    LEAST_RATIO,
    PUBLIC_MOVIES,
    RATIO_HZ,
    RATIO_PER_PX,
    MovieStatistics,
)

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
    assert result.config.update.prior_from == "movies"
    other = vr.reconstruct(replace(trial, movies=None), [encoder], disc_mask, config)
    assert other.provenance["fingerprint"] != result.provenance["fingerprint"]


def white_noise(clips: int) -> list[np.ndarray]:
    """Movies as fast as can be."""
    return list(np.random.default_rng(1).normal(80, 20, (clips, 64, 9, 16)).clip(0, 255).astype(np.float32))


def test_how_movies_differ_from_the_formula_is_told_frequency_by_frequency() -> None:
    fast, still = white_noise(16), [np.repeat(video[:1], 64, axis=0) for video in white_noise(16)]
    noise = MovieStatistics.of(fast, 30.0)
    in_time = np.array(noise.power_ratios)[2:-1, -1]
    expected = np.array(RATIO_HZ[2:-1]) ** 2 + 0.65**2
    np.testing.assert_allclose(in_time / in_time[0], expected / expected[0], rtol=0.25)
    of_stills = np.array(MovieStatistics.of(still, 30.0).power_ratios)
    assert of_stills[0].min() > 1
    assert of_stills[2:].max() == LEAST_RATIO
    assert MovieStatistics.of(fast[:1], 30.0).power_ratios == ()


def test_frequencies_that_a_slow_or_small_screen_does_not_show_are_as_their_neighbours() -> None:
    slow = np.array(MovieStatistics.of(white_noise(16), 6.0).power_ratios)
    assert slow.shape == (len(RATIO_HZ), len(RATIO_PER_PX))
    np.testing.assert_array_equal(slow[-1], slow[-2])
    assert np.isfinite(slow).all()


def test_a_table_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 8 x 9 numbers, or none, found 2 x 1"):
        MovieStatistics(**DARK.model_dump() | {"power_ratios": ((1.0,), (2.0,))})


STILL = DARK.model_copy(update={"sd": 20.0, "power_ratios": ((3.0,) * 9,) * 3 + ((0.05,) * 9,) * 5})


def shares(deviations: np.ndarray) -> np.ndarray:
    """(frames,) of the power that lies at each frequency in time."""
    power = np.square(deviations).sum(axis=(1, 2))
    return power / power.sum()


def test_the_prior_of_best_follows_the_sessions_movies_most_of_the_way(encoder, trial) -> None:
    def spectrum(movies: MovieStatistics, prior_from: str) -> NaturalSpectrum:
        config = vr.ReconstructionConfig.preset("best", prior_from=prior_from)
        config, _ = about_movies(config, replace(trial, movies=lambda: movies), [encoder])
        return NaturalSpectrum.of(config.update.prior)

    spectra = [spectrum(DARK, "movies"), spectrum(STILL, "movies"), spectrum(STILL, "session")]
    formula, followed, as_before = (each.deviations(64, 36, 64, 30.0) for each in spectra)
    assert [np.sqrt(np.square(each).mean()) for each in (formula, followed)] == pytest.approx([40.0, 20.0])
    np.testing.assert_allclose(as_before, formula / 2)
    fast = np.arange(64) / 128 * 30 > 2
    wholly = spectra[1].deviations(64, 36, 64, 30.0, trust=1.0)
    parts = [shares(each)[fast].sum() for each in (formula, followed, wholly)]
    assert parts[2] < 0.5 * parts[1] < 0.25 * parts[0]


@pytest.mark.parametrize(
    "changes", [{"prior_spatial_corner": 0.1}, {"prior_spatial_exponent": 2.0}, {"prior_temporal_corner": 0.1}]
)
def test_a_spectrum_that_was_set_by_hand_is_not_bent_to_that_of_the_movies(changes, encoder, trial) -> None:
    chosen = vr.ReconstructionConfig.preset("best", **changes)
    config, _ = about_movies(chosen, replace(trial, movies=lambda: STILL), [encoder])
    assert config.update.prior.power_ratios == ()
    assert config.update.prior.sd == STILL.sd


def test_a_contrast_that_was_set_by_hand_leaves_the_spectrum_to_the_movies(encoder, trial) -> None:
    chosen = vr.ReconstructionConfig.preset("best", prior_sd=33.0)
    config, _ = about_movies(chosen, replace(trial, movies=lambda: STILL), [encoder])
    assert (config.update.prior.sd, config.update.prior.power_ratios) == (33.0, STILL.power_ratios)


def test_what_activity_leaves_open_varies_as_the_sessions_movies_do(encoder, trial, disc_mask) -> None:
    config = vr.ReconstructionConfig.preset("best", likelihood_weight=1e-9, draws=2, steps=12, learning_rate=0.7)

    def fast_share(movies: MovieStatistics) -> float:
        result = vr.reconstruct(replace(trial, movies=lambda: movies), [encoder], disc_mask, config)
        inside = np.stack(result.videos)[:, :, disc_mask.binary(0.5)] - movies.level
        power = np.square(dct(inside, axis=1, norm="ortho")).mean(axis=(0, 2))
        hertz = np.arange(trial.frames) / (2 * trial.frames) * trial.frame_rate_hz
        return float(power[(hertz > 2) & (hertz < 8)].sum() / power.sum())

    assert fast_share(STILL) < 0.1 * fast_share(DARK)


def test_a_run_of_before_keeps_its_prior_and_its_fingerprint(encoder, trial, disc_mask) -> None:
    def marked(movies: MovieStatistics, **changes) -> str:
        config = vr.ReconstructionConfig.preset("best", steps=1, **changes)
        told = vr.plan_run(replace(trial, movies=lambda: movies), [encoder], disc_mask, config).provenance
        return told["fingerprint"]

    without = STILL.model_copy(update={"power_ratios": ()})
    assert marked(STILL, prior_from="session") == marked(without, prior_from="session")
    assert marked(STILL) != marked(without)
    assert "prior_power_ratios" not in vr.ReconstructionConfig.preset("best").decisive


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
