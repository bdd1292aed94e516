"""The update rule has the published multipliers, quirks included."""

from __future__ import annotations

import pytest
import torch

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.update import MomentumUpdate, learning_rate

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
