"""The prior of natural movies, and the update that goes to the most probable movie under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import likelihood_scale
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum, SpectralPrior
from napari_vidrecon.reconstruction.update import SpectralUpdate, build_update

SHAPE = (12, 8, 10)
LIKE = torch.zeros(1, dtype=torch.float64)


@pytest.fixture
def config():
    return ReconstructionConfig.preset("best", steps=300, learning_rate=0.05)


@pytest.fixture
def prior(config):
    return SpectralPrior(NaturalSpectrum.of(config.update.prior), SHAPE, 30.0, LIKE)


def observed(prior, seed=0):
    return prior.synthesis(torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))


def test_its_movies_have_the_stated_deviation_and_are_smooth_in_space_and_time(prior):
    movies = torch.stack([observed(prior, seed) for seed in range(40)])
    assert float(movies.square().mean().sqrt()) == pytest.approx(60.0, rel=0.1)
    white = torch.randn_like(movies)
    for axis in (1, 2, 3):
        roughness = movies.diff(dim=axis).square().mean() / movies.square().mean()
        assert float(roughness) < 0.7 * float(white.diff(dim=axis).square().mean())


def test_frequencies_are_in_hz_so_that_the_frame_rate_counts(config):
    spectrum = NaturalSpectrum.of(config.update.prior)
    slow, fast = spectrum.deviations(*SHAPE, 10.0), spectrum.deviations(*SHAPE, 60.0)
    assert slow[-1, 0, 0] / slow[0, 0, 0] > fast[-1, 0, 0] / fast[0, 0, 0]


def test_the_adjoint_is_the_gradient_of_the_synthesis(prior):
    coefficients = torch.randn(SHAPE, dtype=torch.float64).requires_grad_(True)
    weights = torch.randn(SHAPE, dtype=torch.float64)
    (expected,) = torch.autograd.grad((prior.synthesis(coefficients) * weights).sum(), coefficients)
    assert torch.allclose(prior.adjoint(weights), expected, atol=1e-10)


def test_analysis_undoes_synthesis(prior):
    coefficients = torch.randn(SHAPE, dtype=torch.float64)
    assert torch.allclose(prior.analysis(prior.synthesis(coefficients)), coefficients, atol=1e-10)


def test_about_a_decoders_movie_less_is_open_and_least_of_the_lowest_frequencies(config):
    whole, about = (
        each.deviations(*SHAPE, 30.0)
        for each in (NaturalSpectrum.of(config.update.prior), NaturalSpectrum.about_decoded(config.update.prior))
    )
    assert (about < whole).all()
    assert about[0, 0, 0] / whole[0, 0, 0] < about[0, -1, -1] / whole[0, -1, -1]
    assert np.sqrt((about**2).mean()) == pytest.approx(config.update.prior.decoded_sd)


def test_it_ends_at_the_exact_most_probable_movie_of_a_linear_observation(config, prior):
    """Noisy pixels have a posterior mean in closed form: coefficients shrink by S / (S + noise)."""
    truth, noise_sd = 0.3 * observed(prior), 20.0
    noisy = truth + noise_sd * torch.randn(SHAPE, dtype=torch.float64)
    update = SpectralUpdate(config, prior, (slice(None), slice(None)))
    grey = config.initial_level
    video = torch.full(SHAPE, grey, dtype=torch.float64)
    for step in range(config.steps):
        video = update(video, (video - grey - noisy) / noise_sd**2, step)
    gain = 1 / (1 + noise_sd**2 / prior.deviations**2)
    expected = prior.synthesis(prior.adjoint(noisy) / prior.deviations * gain / prior.deviations)
    assert float((video - grey - expected).abs().max()) < 0.5
    assert (video - grey - truth).square().mean() < 0.7 * (noisy - truth).square().mean()


def test_without_activity_it_stays_grey(config, prior):
    update = SpectralUpdate(config, prior, (slice(None), slice(None)))
    video = torch.full(SHAPE, config.initial_level, dtype=torch.float64)
    for step in range(5):
        video = update(video, torch.zeros_like(video), step)
    assert torch.allclose(video, torch.full_like(video, config.initial_level))


def test_it_changes_the_screen_only_and_within_grey_levels(config):
    blank = torch.full((12, 12, 10), 50.0, dtype=torch.float64)
    screen = (slice(2, 10), slice(0, 10))
    update = build_update(config.changed(learning_rate=1.0), blank, screen, 30.0)
    mask = torch.zeros(12, 10, dtype=torch.bool)
    mask[2:10, :5] = True
    video = update.restrict_to(blank, mask, blank)
    for step in range(20):
        video = update(video, -100.0 * torch.ones_like(video), step)
    assert torch.equal(video[:, ~mask], blank[:, ~mask])
    assert float(video.min()) >= 0.0
    assert float(video.max()) == 255.0


def test_the_scale_follows_units_and_noise(config):
    random = np.random.default_rng(0)
    counts = random.poisson(3.0, (50, 400)).astype(np.float32)
    scale = likelihood_scale(config, counts, 32)
    assert scale == pytest.approx(config.update.likelihood_weight * 50 * 32, rel=0.1)
    assert likelihood_scale(config, 10 * counts, 32) == pytest.approx(scale / 10, rel=1e-4)


def test_a_normalised_gradient_cannot_be_weighed_against_a_prior():
    assert ReconstructionConfig.preset("paper", update="spectral").values["gradient_norm"] == "none"
    with pytest.raises(ConfigError, match="gradient_norm: with spectral it must be none, found 'video'"):
        ReconstructionConfig.preset("paper", update="spectral", gradient_norm="video")


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_the_movie_comes_to_explain_the_activity(trial, encoder, disc_mask, preset):
    # This small encoder's neurons say little beside the prior, so they get more weight.
    config = ReconstructionConfig.preset(
        preset, steps=20, likelihood_weight=10.0, schedule="sliding", sub_batch_stride=8
    )
    losses = reconstruct(trial, [encoder], disc_mask, config).history["loss"]
    assert losses[-1] < losses[0]


def test_pixels_outside_the_mask_stay_grey_and_may_join_while_it_runs(trial, encoder, disc_mask):
    config = ReconstructionConfig.preset("fast", steps=4)
    video = reconstruct(trial, [encoder], disc_mask, config, mask_threshold=0.8).video
    inside = disc_mask.binary(0.8)
    assert (video[:, ~inside] == np.float32(trial.movies().level)).all()
    assert video[:, inside].std() > 1.0


def test_an_inferred_surround_takes_part_in_the_prediction_and_is_shown_grey(trial, encoder, disc_mask):
    inferred = ReconstructionConfig.preset("fast", steps=10)
    videos = {
        surround: reconstruct(trial, [encoder], disc_mask, inferred.changed(surround=surround)).video
        for surround in ("grey", "inferred")
    }
    outside = ~disc_mask.binary(0.5)
    level = np.float32(trial.movies().level)
    assert all((video[:, outside] == level).all() for video in videos.values())
    assert not np.allclose(videos["grey"], videos["inferred"], atol=1.0)


def test_a_surround_is_only_inferred_under_a_prior():
    with pytest.raises(ConfigError, match="surround: with momentum it must be grey"):
        ReconstructionConfig.preset("paper", surround="inferred")


def test_a_run_continued_from_disk_ends_with_the_same_bits(trial, encoder, disc_mask, tmp_path):
    config = ReconstructionConfig.preset("fast", steps=6)
    whole = reconstruct(trial, [encoder], disc_mask, config)
    out = tmp_path / "run.zarr"
    reconstruct(trial, [encoder], disc_mask, config, save_to=out, on_step=lambda info: info.step < 3)
    assert not Reconstruction.load(out).finished
    again = reconstruct(trial, [encoder], disc_mask, config, save_to=out)
    assert again.finished
    assert np.array_equal(whole.video, again.video)
