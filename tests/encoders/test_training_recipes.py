"""Recipes say the published numbers, and the parts they choose do what was published."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro, DwiseNeuroConfig, DwiseNeuroRecipe
from napari_vidrecon.encoders.training.architectures import architecture_of, named_recipe, recipe_of
from napari_vidrecon.encoders.training.batches import (
    Answer,
    Boxes,
    InTurn,
    WithinBatch,
    distilled_weight,
    draw_boxes,
    mix_inputs,
    mix_targets,
    mixing_of,
    poisson_loss,
)
from napari_vidrecon.encoders.training.trainer import AveragedWeights
from napari_vidrecon.errors import ConfigError

PUBLISHED = {
    # name: (batch, iterations of ten mice, warm-up, peak rate, final rate, expansion)
    "true_batch_001": (32, 47_250, 6_750, 2.4e-3, 2.4e-5, 7),
    "true_batch_002": (24, 63_000, 9_000, 1.8e-3, 1.8e-5, 7),
    "distillation_001": (32, 47_250, 6_750, 2.4e-3, 2.4e-5, 6),
}


def recipe_named(name: str) -> DwiseNeuroRecipe:
    architecture, settings = named_recipe(name)
    recipe = recipe_of(architecture)(**settings)
    assert isinstance(recipe, DwiseNeuroRecipe)
    return recipe


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_named_recipes_have_the_published_schedule(name):
    batch, steps, warmup, peak, final, expansion = PUBLISHED[name]
    recipe = recipe_named(name)
    schedule = recipe.schedule(10)
    assert (recipe.batch_size, recipe.expansion_ratio) == (batch, expansion)
    assert (schedule.steps, schedule.warmup_steps) == (steps, warmup)
    assert schedule.rate_at(0) == 0.0
    assert schedule.rate_at(warmup) == pytest.approx(peak)
    assert schedule.rate_at(steps) == pytest.approx(final)
    assert schedule.rate_at((warmup + steps) // 2) == pytest.approx((peak + final) / 2, rel=1e-3)
    assert recipe.steps_between_scores(10) == 72_000 // batch


def test_the_published_recipe_has_the_published_settings():
    recipe = recipe_named("true_batch_001")
    assert (recipe.weight_decay, recipe.betas, recipe.ema_decay) == (0.05, (0.9, 0.999), 0.999)
    assert (recipe.cutmix_probability, recipe.cutmix_alpha) == (0.5, 1.0)
    assert (recipe.drop_rate, recipe.drop_path_rate, recipe.distillation_ratio) == (0.4, 0.1, 0.36)
    assert (recipe.gradient_norm_limit, recipe.accumulated_parts, recipe.loss_epsilon) == (0.0, 1, 1e-8)
    assert (recipe.mixing, recipe.loss_sum, recipe.mixed_precision) == ("within_batch", True, True)
    assert (recipe.ema_warmup, recipe.validation_skip_frames, recipe.samples_per_mouse) == (False, 0, 7200)


def test_the_published_recipe_builds_the_published_encoder():
    recipe = recipe_named("true_batch_001").model_copy(update={"cortex_features": (16, 16, 16)})
    architecture = architecture_of(recipe)
    assert architecture.canvas(36, 64).screen == (slice(14, 50), slice(0, 64))
    module = architecture.build([3, 4], architecture.canvas(36, 64), [])
    published = DwiseNeuroConfig(readout_outputs=(3, 4), cortex_features=(16, 16, 16))
    assert module.config == published


def test_fewer_steps_shorten_the_whole_schedule():
    schedule = DwiseNeuroRecipe(steps=21).schedule(1)
    assert (schedule.steps, schedule.warmup_steps) == (21, 3)


def test_first_weights_are_scaled_by_the_fan_out():
    torch.manual_seed(0)
    module = DwiseNeuro(DwiseNeuroConfig(readout_outputs=(200,), core_features=(64,), spatial_strides=(2,)))
    module.initialise([])
    readout = module.readouts[0].layer[1]
    assert float(readout.weight.detach().std()) == pytest.approx(math.sqrt(2 / (200 / 2)), rel=0.02)
    assert not readout.bias.any()
    expansion = module.core.blocks[1].conv_pw[0].weight
    assert float(expansion.detach().std()) == pytest.approx(math.sqrt(2 / 448), rel=0.02)


def test_an_unknown_name_is_one_clear_error():
    with pytest.raises(ConfigError, match="did you mean distillation_001"):
        named_recipe("destillation_001")
    with pytest.raises(ConfigError, match="expected one of compact"):
        recipe_of("transformer")


def test_a_box_covers_the_drawn_share_of_the_canvas():
    boxes = draw_boxes(np.random.default_rng(0), 4000, 64, 64, alpha=1.0, probability=1.0)
    rows, columns = boxes.edges[:, 1] - boxes.edges[:, 0], boxes.edges[:, 3] - boxes.edges[:, 2]
    assert boxes.edges.min() == 0
    assert boxes.edges.max() == 64
    assert np.allclose(boxes.areas, rows * columns / 4096)
    # Uncut boxes are square; a uniform area and a uniform centre lose part of it at the edges.
    assert ((rows == columns).mean()) > 0.2
    assert 0.25 < boxes.areas.mean() < 0.45
    unused = draw_boxes(np.random.default_rng(0), 4000, 64, 64, alpha=1.0, probability=0.5).areas == 0
    assert unused.mean() == pytest.approx(0.5, abs=0.03)


def test_a_mixed_window_has_the_box_of_the_other_in_all_channels_and_its_share_of_the_target():
    boxes = Boxes(np.array([[0, 2, 1, 4], [0, 0, 0, 0]]), rows=4, columns=6)
    inputs, others = torch.zeros(2, 5, 3, 4, 6), torch.ones(2, 5, 3, 4, 6)
    mixed = mix_inputs(inputs, others, boxes)
    assert mixed[0, :, :, 0:2, 1:4].all()
    assert float(mixed[0].sum()) == 6 * 5 * 3
    assert not mixed[1].any()
    assert not inputs.any()
    targets = mix_targets(torch.zeros(2, 7, 3), torch.ones(2, 7, 3), boxes)
    assert torch.allclose(targets[0], torch.full((7, 3), 6 / 24))
    assert not targets[1].any()


def test_mice_take_turns_or_share_every_batch():
    recipe = CompactRecipe(batch_size=10)
    assert [InTurn(recipe, 3).windows_of(step) for step in range(4)] == [{0: 10}, {1: 10}, {2: 10}, {0: 10}]
    shared = mixing_of(recipe.model_copy(update={"mixing": "within_batch", "samples_per_mouse": 50}), 3)
    assert isinstance(shared, WithinBatch)
    epoch = [shared.windows_of(step) for step in range(15)]
    assert all(sum(batch.values()) == 10 for batch in epoch)
    assert [sum(batch.get(mouse, 0) for batch in epoch) for mouse in range(3)] == [50, 50, 50]
    assert any(len(batch) == 3 for batch in epoch)
    assert shared.windows_of(2) == epoch[2]
    assert [shared.windows_of(step) for step in range(15, 30)] != epoch


def test_the_loss_is_the_published_one():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(b, n, 16, generator=generator) for b, n in ((3, 5), (2, 8)))
    answers = [Answer(first, first * 2, 1.0), Answer(second, second * 0.5, 1.0)]
    loss = poisson_loss(answers, epsilon=1e-8, summed=True)
    by_hand = sum(
        nn.functional.poisson_nll_loss(a.prediction, a.target, log_input=False, eps=1e-8, reduction="sum")
        for a in answers
    )
    assert float(loss) == pytest.approx(float(by_hand) / 5, rel=1e-5)
    mean = poisson_loss(answers[:1], epsilon=1e-8, summed=False)
    expected = nn.functional.poisson_nll_loss(first, first * 2, log_input=False, eps=1e-8)
    assert float(mean) == pytest.approx(float(expected), rel=1e-5)


def test_distilled_pairs_together_have_their_share_of_the_loss():
    weight = distilled_weight(0.36, windows=32, pairs=32 * 9)
    assert weight * 32 * 9 / (32 + weight * 32 * 9) == pytest.approx(0.36)


def test_the_average_forgets_at_its_rate_and_takes_in_batch_norm():
    module = nn.BatchNorm1d(1)
    average = AveragedWeights(module, 0.9, warmup=False)
    with torch.no_grad():
        module.running_mean.fill_(1.0)
        module.num_batches_tracked.fill_(5)
    average.update(module, step=0)
    assert float(average.state["running_mean"]) == pytest.approx(0.1)
    assert int(average.state["num_batches_tracked"]) == 5
    early = AveragedWeights(module, 0.9, warmup=True)
    with torch.no_grad():
        module.running_mean.fill_(2.0)
    early.update(module, step=0)
    assert float(early.state["running_mean"]) == pytest.approx(1.9)
