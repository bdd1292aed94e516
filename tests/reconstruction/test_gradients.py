"""What activity costs, and what becomes of a gradient before the update."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon import metrics
from napari_vidrecon.reconstruction.gradients import (
    Blur,
    TotalVariation,
    negative_log_likelihood,
    sub_batch_gradients,
)
from napari_vidrecon.reconstruction.run import plan_run

POWERS = (0.0, 0.5, 1.0, 1.3, 2.0)
NO_MOVIE = torch.zeros(1)


@pytest.fixture
def activity():
    """Predicted and wanted."""
    random = np.random.default_rng(0)
    return [torch.as_tensor(random.gamma(2.0, 2.0, (20, 30)) + 0.05) for _ in range(2)]


@pytest.fixture
def gradient():
    return torch.randn(8, 10, 12, generator=torch.Generator().manual_seed(0))


def slope(predicted, wanted, power):
    leaf = predicted.clone().requires_grad_(True)
    config = vr.ReconstructionConfig.preset("paper", variance_power=power)
    (found,) = torch.autograd.grad(negative_log_likelihood(leaf, wanted, config).sum(), leaf)
    return found


@pytest.mark.parametrize("power", POWERS)
def test_the_cost_rises_with_the_misfit_over_the_variance(power, activity):
    predicted, wanted = activity
    assert torch.allclose(slope(predicted, wanted, power), (predicted - wanted) / predicted**power, rtol=1e-5)


@pytest.mark.parametrize("power", POWERS)
def test_what_is_wanted_costs_least(power, activity):
    _, wanted = activity
    config = vr.ReconstructionConfig.preset("paper", variance_power=power)
    least = negative_log_likelihood(wanted, wanted, config)
    for factor in (0.5, 0.95, 1.05, 2.0):
        assert (negative_log_likelihood(factor * wanted, wanted, config) > least).all()


def test_the_default_cost_is_the_published_poisson_loss(activity):
    predicted, wanted = activity
    cost = negative_log_likelihood(predicted, wanted, vr.ReconstructionConfig.preset("paper"))
    assert torch.equal(cost, predicted - wanted * torch.log(predicted + 1e-8))
    assert float(cost.mean()) == pytest.approx(metrics.poisson_loss(predicted.numpy(), wanted.numpy()), rel=1e-6)


@pytest.mark.parametrize("power", POWERS)
def test_activity_of_zero_has_a_finite_cost(power):
    nothing = torch.zeros(3)
    config = vr.ReconstructionConfig.preset("paper", variance_power=power)
    assert negative_log_likelihood(nothing, nothing, config).isfinite().all()


def test_a_neuron_of_weight_zero_adds_no_gradient_as_if_dropped(trial, encoder, disc_mask):
    config = vr.ReconstructionConfig.preset("paper", gradient_norm="none")
    run = plan_run(trial, [encoder], disc_mask, config).steppable
    keep = np.arange(encoder.spec.neurons) % 4 > 0
    shared = {"starts": np.array([0, 8]), "config": config, "chunk": 2}
    inputs, matched = run.inputs(0), run.matched[0]
    weights = torch.as_tensor(keep.astype(np.float32))[:, None].expand(matched.shape)
    weighted = sub_batch_gradients(encoder, inputs, matched, None, weights=weights, **shared)
    dropped = sub_batch_gradients(encoder, inputs, matched[keep], torch.as_tensor(np.flatnonzero(keep)), **shared)
    scale = float(dropped.video.abs().max())
    assert torch.allclose(weighted.video, dropped.video * keep.mean(), atol=1e-4 * scale)
    assert torch.allclose(weighted.losses, dropped.losses * keep.mean(), rtol=1e-4)


def test_a_neuron_of_twice_the_weight_counts_twice(trial, encoder, disc_mask):
    config = vr.ReconstructionConfig.preset("paper", gradient_norm="none")
    run = plan_run(trial, [encoder], disc_mask, config).steppable
    neurons = encoder.spec.neurons

    def gradient_of(weights):
        given = torch.as_tensor(weights, dtype=torch.float32)[:, None].expand(run.matched[0].shape)
        found = sub_batch_gradients(
            encoder, run.inputs(0), run.matched[0], None, np.array([0]), config, chunk=2, weights=given
        )
        return found.video

    plain, one, twice = (gradient_of(w) for w in (np.ones(neurons), np.eye(neurons)[3], 1 + np.eye(neurons)[3]))
    assert torch.allclose(plain + one, twice, atol=1e-5 * float(plain.abs().max()))
    assert float(one.abs().max()) > 0


def test_an_annealed_blur_starts_whole_and_leaves_the_last_gradient_alone(gradient):
    annealed, constant = Blur(2.0, 1.0, end_share=0.0, steps=11), Blur(2.0, 1.0)
    assert torch.equal(annealed(gradient, NO_MOVIE, 0), constant(gradient, NO_MOVIE, 0))
    assert torch.equal(constant(gradient, NO_MOVIE, 10), constant(gradient, NO_MOVIE, 0))
    assert torch.allclose(annealed(gradient, NO_MOVIE, 10), gradient)
    assert torch.allclose(annealed(gradient, NO_MOVIE, 5), Blur(1.0, 0.5)(gradient, NO_MOVIE, 0), atol=1e-5)


def test_a_blurred_gradient_keeps_its_norm_and_is_smoother(gradient):
    blurred = Blur(1.5, 1.0)(gradient, NO_MOVIE, 0)
    assert float(blurred.norm()) == pytest.approx(float(gradient.norm()), rel=1e-5)
    for axis in range(3):
        assert float(blurred.diff(dim=axis).norm()) < 0.8 * float(gradient.diff(dim=axis).norm())


def test_a_flat_movie_has_no_total_variation_to_lessen(gradient):
    flat = torch.full((8, 10, 12), 90.0)
    assert torch.equal(TotalVariation(3.0)(gradient, flat, 0), gradient)


def test_total_variation_pulls_a_bright_pixel_down_and_its_neighbours_up():
    movie = torch.full((5, 5, 5), 100.0)
    movie[2, 2, 2] = 120.0
    pull = -TotalVariation(2.0)(torch.zeros_like(movie), movie, 0)
    assert float(pull[2, 2, 2]) == float(pull.min()) < 0
    neighbours = [(1, 2, 2), (3, 2, 2), (2, 1, 2), (2, 3, 2), (2, 2, 1), (2, 2, 3)]
    assert all(float(pull[place]) > 0 for place in neighbours)
    assert int((pull != 0).sum()) == 1 + len(neighbours)
    assert abs(float(pull.sum())) < 1e-4
    assert torch.allclose(2 * -TotalVariation(1.0)(torch.zeros_like(movie), movie, 0), pull)


def test_total_variation_smooths_a_run(trial, encoder, disc_mask):
    plain = vr.ReconstructionConfig.preset("fast", steps=6, track_every=100)
    roughness = {}
    for weight in (0.0, 0.5):
        run = plan_run(trial, [encoder], disc_mask, plain.changed(total_variation=weight, likelihood_weight=100.0))
        while not run.finished:
            run.step()
        roughness[weight] = np.abs(np.diff(run.steppable.video, axis=1)).mean()
    assert roughness[0.5] < roughness[0.0]
