"""The update rule has the published multipliers, quirks included."""

from __future__ import annotations

import pytest
import torch

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import build_transforms
from napari_vidrecon.reconstruction.priors import CorrectedPrior
from napari_vidrecon.reconstruction.update import (
    Disturbance,
    MomentumUpdate,
    SpectralUpdate,
    build_update,
    learning_rate,
)

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


def test_the_rate_rises_from_nothing_then_falls_as_half_a_cosine():
    rising = ReconstructionConfig.preset("paper", warmup_steps=10, steps=40)
    whole = rising.update.learning_rate
    assert [learning_rate(rising, step) / whole for step in (0, 3, 9, 10, 11)] == pytest.approx([0, 0.3, 0.9, 1, 1])
    falling = rising.changed(learning_rate_decay="cosine")
    shares = [learning_rate(falling, step) / whole for step in (5, 10, 20, 30, 40)]
    assert shares == pytest.approx([0.5 * 0.9619, 0.8536, 0.5, 0.1464, 0.0], abs=1e-4)


def test_momentum_outside_a_mask_is_forgotten_and_the_blank_shown():
    update = MomentumUpdate(ReconstructionConfig.preset("paper", skip_first_update=False))
    video = update(torch.full((1, 1, 2), 100.0), torch.tensor([[[1e-3, 1e-3]]]), 0)
    assert update.state["momentum"].tolist() == [[pytest.approx([1e-4, 1e-4])]]
    restricted = update.restrict_to(video, torch.tensor([[True, False]]), torch.full((1, 1, 2), 127.5))
    assert restricted.tolist() == [[[pytest.approx(float(video[0, 0, 0])), 127.5]]]
    assert update.state["momentum"][0, 0, 1] == 0


class Plain(CorrectedPrior):
    """Whitened coefficients are grey levels about grey; notes what it is asked."""

    def __init__(self, size: tuple[int, ...]) -> None:
        self.deviations = torch.ones(size, dtype=torch.float64)
        self.asked: list[tuple[float, float, int]] = []
        self.pull = 0.0

    def correction(self, coefficients, level, done, seed):
        self.asked.append((level, done, seed))
        return torch.full_like(coefficients, self.pull) if self.pull else None

    def finished(self, movie, level):
        return movie + 7.0

    def adjoint(self, gradient):
        return gradient

    synthesis = analysis = adjoint


@pytest.mark.parametrize(("drawn", "pull", "damping"), [(0, 0, 0), (3, 0, 0), (0, 2, 0), (3, 0, 1)])
def test_under_a_prior_it_is_adam_on_the_whitened_coefficients(drawn, pull, damping):
    config = ReconstructionConfig.preset("best", steps=5, learning_rate=0.3, seed=11, warmup_steps=2, damping=damping)
    prior, level = Plain((2, 8, 10)), config.initial_level
    prior.pull = pull
    centre = torch.full_like(prior.deviations, drawn) if drawn else None
    update = SpectralUpdate(config, prior, SCREEN, centre)
    video = torch.full((2, 12, 10), level, dtype=torch.float64)
    free, first, second = (torch.zeros_like(prior.deviations) for _ in range(3))
    beta_1, beta_2 = config.update.momentum, config.update.second_momentum
    generator = torch.Generator().manual_seed(0)
    for step in range(config.steps):
        gradient = torch.randn(video.shape, generator=generator, dtype=torch.float64)
        slope = gradient[:, 2:10] + free - drawn + pull
        first = beta_1 * first + (1 - beta_1) * slope
        second = beta_2 * second + (1 - beta_2) * slope**2
        # Kingma & Ba 2015, algorithm 1.
        unbiased = first / (1 - beta_1 ** (step + 1)), second / (1 - beta_2 ** (step + 1))
        free = free - learning_rate(config, step) * unbiased[0] / (unbiased[1].sqrt() + damping)
        video = update(video, gradient, step)
        shown = 7.0 if step == 4 and not drawn else 0.0
        torch.testing.assert_close(video[:, 2:10], level + free + shown)
    assert prior.asked == [(level, step / 4, 11) for step in range(5)]
    assert (video[:, :2] == level).all()
    assert (video[:, 10:] == level).all()


def test_a_drawn_movie_lies_about_what_the_decoder_saw():
    config = ReconstructionConfig.preset("best", steps=5)
    drawn = torch.full((1, 1, 1), 3.0, dtype=torch.float64)
    update = SpectralUpdate(config, Plain((1, 1, 1)), (slice(None), slice(None)), drawn)
    update.start_from(drawn, config.initial_level + 5.0 * torch.ones_like(drawn), 0)
    update(drawn, torch.zeros_like(drawn), 0)
    assert float(update.state["momentum"]) == pytest.approx(-3.0 * (1 - config.update.momentum))


def test_what_is_black_or_white_already_is_not_pulled_further():
    config = ReconstructionConfig.preset("best", steps=100, learning_rate=0.5)
    for outside, inward in ((-config.initial_level, -1.0), (255.0 - config.initial_level, 1.0)):
        moved = []
        for away, pull in ((0.0, -inward), (0.0, inward), (inward, -inward), (-inward, -inward)):
            update = SpectralUpdate(config, Plain((1, 1, 1)), (slice(None), slice(None)))
            start = torch.full((1, 1, 1), outside + away, dtype=torch.float64)
            update.state = {**update.state, "coefficients": start}
            slope = 0.5 * pull
            update(torch.zeros(1, 1, 1, dtype=torch.float64), torch.full_like(start, slope), 0)
            momentum = float(update.state["momentum"]) / (1 - config.update.momentum)
            moved.append(momentum == pytest.approx(float(start)))
        assert moved == [True, False, True, False]


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


@pytest.mark.parametrize("prior", ["natural", "denoiser"])
def test_each_colour_lies_about_its_own_level(prior: str) -> None:
    nothing, screen = torch.zeros(4, 36, 16), (slice(None), slice(None))
    config = ReconstructionConfig.preset("best", prior=prior, colour_levels=(60.0, 140.0))
    update = build_update(config, nothing, screen, 30.0, colours=2)
    at_rest = update.restrict_to(nothing, torch.ones(36, 16, dtype=torch.bool), nothing)
    assert torch.equal(at_rest[:, :18], torch.full((4, 18, 16), 60.0))
    assert torch.equal(at_rest[:, 18:], torch.full((4, 18, 16), 140.0))
    assert update(nothing, nothing, 0)[:, 18:].mean() - update(nothing, nothing, 0)[:, :18].mean() > 60.0
    started = update.start_from(nothing, at_rest + 5.0, 0)
    assert torch.allclose(started, at_rest + 5.0, atol=1e-3)
