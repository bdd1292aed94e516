"""The update rule has the published multipliers, quirks included."""

from __future__ import annotations

import pytest
import torch

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import build_transforms
from napari_vidrecon.reconstruction.update import Disturbance, MomentumUpdate, build_update, learning_rate

SCREEN = (slice(2, 10), slice(0, 10))
"""Of a canvas of 12 x 10 pixels."""

PUBLISHED_MULTIPLIERS = {
    1: 12.385,
    2: 28.326,
    3: 43.444,
    5: 72.150,
    9: 129.669,
    10: 144.717,
    11: 145.583,
    20: 159.697,
    50: 223.960,
    100: 310.027,
    200: 426.814,
    500: 627.875,
    999: 795.176,
}


def test_a_constant_gradient_moves_the_movie_by_the_published_amounts():
    update = MomentumUpdate(ReconstructionConfig.preset("paper"))
    video = torch.full((1, 1, 1), 127.5, dtype=torch.float64)
    gradient = torch.full_like(video, 1e-6)
    for step in range(1000):
        moved = update(video, gradient, step)
        if step in PUBLISHED_MULTIPLIERS:
            assert float((video - moved) / 1e-6) == pytest.approx(PUBLISHED_MULTIPLIERS[step], abs=6e-4)
        if step == 0:
            assert torch.equal(moved, video)


def test_the_movie_stays_within_grey_levels():
    update = MomentumUpdate(ReconstructionConfig.preset("paper", warmup_steps=0))
    video = torch.tensor([[[0.5, 254.5]]])
    moved = update(video, torch.tensor([[[1.0, -1.0]]]), 5)
    assert moved.tolist() == [[[0.0, 255.0]]]


def test_each_quirk_can_be_switched_off():
    plain = ReconstructionConfig.preset(
        "paper", bias_corrections=0, ramp=0.0, skip_first_update=False, warmup_steps=0, momentum=0.0
    )
    update = MomentumUpdate(plain)
    assert update.multiplier(0) == pytest.approx(1000.0)
    moved = update(torch.full((1, 1, 1), 100.0), torch.full((1, 1, 1), 0.01), 0)
    assert float(moved) == pytest.approx(90.0)
    once = MomentumUpdate(ReconstructionConfig.preset("paper", bias_corrections=1))
    twice = MomentumUpdate(ReconstructionConfig.preset("paper"))
    assert twice.multiplier(1) * (1 - 0.9**2) == pytest.approx(once.multiplier(1))


def test_a_cosine_ends_near_zero():
    config = ReconstructionConfig.preset("paper", steps=100, learning_rate_decay="cosine")
    assert learning_rate(config, 50) == pytest.approx(500.0)
    assert learning_rate(config, 99) < 1.0


@pytest.fixture
def blank():
    return torch.full((12, 12, 10), 127.5, dtype=torch.float64)


def smooth_movie(seed):
    """On the screen, and darker and lighter than what can be shown."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 10), indexing="ij")
    times = torch.linspace(0, 3, 12)[:, None, None]
    return (127.5 + 160 * torch.sin(times + seed) * (rows - columns) / 2).double()


def test_momentum_starts_from_a_decoders_movie_and_is_not_disturbed_by_it_later(blank):
    update = build_update(ReconstructionConfig.preset("paper"), blank, SCREEN, 30.0, decoded=True)
    started = update.start_from(blank, smooth_movie(0), step=0)
    assert torch.equal(started[:, 2:10], smooth_movie(0).clamp(0, 255))
    assert torch.equal(started[:, :2], blank[:, :2])
    assert torch.equal(started[:, 10:], blank[:, 10:])
    assert torch.equal(update.start_from(started, smooth_movie(1), step=3), started)


def test_under_a_prior_a_movie_goes_to_what_the_decoder_said_last(blank):
    config = ReconstructionConfig.preset("best", steps=400, learning_rate=0.1)
    update = build_update(config, blank, SCREEN, 30.0, decoded=True)
    nothing = torch.zeros_like(blank)
    video = update.start_from(blank, smooth_movie(0), step=0)
    assert torch.allclose(video[:, 2:10], smooth_movie(0).clamp(0, 255))
    for step in range(5):
        video = update(video, nothing, step)
    assert torch.allclose(video[:, 2:10], smooth_movie(0).clamp(0, 255))
    video = update.start_from(video, smooth_movie(1), step=5)
    assert torch.allclose(video[:, 2:10], smooth_movie(0).clamp(0, 255))
    for step in range(5, config.steps):
        video = update(video, nothing, step)
    assert torch.allclose(video[:, 2:10], smooth_movie(1).clamp(0, 255), atol=1.0)
    assert torch.equal(video[:, :2], blank[:, :2])


def test_smoothing_and_prior_stay_within_a_colour() -> None:
    gradient = torch.zeros(4, 36, 16)
    gradient[:, :18] = torch.rand(4, 18, 16, generator=torch.Generator().manual_seed(0))
    config = ReconstructionConfig.preset("best", gradient_blur_px=2.0, total_variation=0.0)
    canvas = Canvas(44, 16, 36, 16, ("green", "uv"))
    assert canvas.parts == [22, 22]
    blurred = build_transforms(config, torch.ones(36, 16), 1.0, [18, 18])[0](gradient, gradient, 0)
    assert not blurred[:, 18:].any()
    assert not Disturbance(3, 0.0, 0, rows=(18, 18)).shifted(gradient, 2)[:, 18:].any()
    for prior in ("natural", "denoiser"):
        chosen = ReconstructionConfig.preset("best", prior=prior)
        update = build_update(chosen, gradient, (slice(None), slice(None)), 30.0, colours=2)
        assert not update.prior.adjoint(gradient)[:, 18:].any()
        assert torch.allclose(update.prior.synthesis(update.prior.analysis(gradient)), gradient, atol=1e-3)
        alone = build_update(chosen, gradient[:, :18], (slice(None), slice(None)), 30.0)
        both, one = update(gradient, gradient, 0), alone(gradient[:, :18], gradient[:, :18], 0)
        assert torch.allclose(both[:, :18], one, atol=1e-3)
