"""The published training of DwiseNeuro, and the recipes that go by a name."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import Field

from napari_vidrecon.encoders.training.recipe import (
    LARGEST_BATCH,
    MOST_TIMES,
    Channels,
    FactorisedRecipe,
    Recipe,
    Taps,
    TrainingRecipe,
)
from napari_vidrecon.encoders.training.schedule import Schedule
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.settings import MOST_STEPS


class DwiseNeuroRecipe(Recipe):
    """DwiseNeuro as trained by its author; the defaults are the numbers of "true_batch_001".

    An epoch holds `samples_per_mouse` windows of every mouse, shuffled, so that mice mix within batches.

    Source: Baikulov 2023, doi 10.5281/zenodo.10155151; Bauer et al. 2026 retrained it with a batch of 24.
    """

    architecture: Literal["dwiseneuro"] = Field("dwiseneuro", description="kind of encoder")
    canvas_rows: int = Field(64, ge=1, le=4096, description="the movie stands in the middle of this canvas")
    canvas_columns: int = Field(64, ge=1, le=4096)
    core_features: Channels = Field((64, 64, 64, 64, 128, 128, 128, 256, 256), description="one block each")
    spatial_strides: Taps = Field((2, 1, 1, 1, 2, 1, 1, 2, 1), description="of each block")
    spatial_kernel: int = Field(3, ge=1)
    temporal_kernel: int = Field(5, ge=1)
    expansion_ratio: int = Field(7, ge=1, le=MOST_TIMES)
    se_reduce_ratio: int = Field(32, ge=1)
    cortex_features: Channels = Field((1024, 2048, 4096), description="one layer each")
    groups: int = Field(2, ge=1)
    softplus_beta: float = Field(0.07, gt=0)
    drop_rate: float = Field(0.4, ge=0, lt=1, description="of whole channels, before the readout")
    drop_path_rate: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(32, ge=1, le=LARGEST_BATCH, description="windows a step")
    base_learning_rate: float = Field(3e-4, gt=0, description="peak for a batch of `base_batch_size`")
    base_batch_size: int = Field(4, ge=1)
    final_learning_rate_ratio: float = Field(0.01, ge=0, le=1)
    warmup_epochs: int = Field(3, ge=0, le=MOST_STEPS, description="the learning rate rises from 0")
    epochs: int = Field(18, ge=1, le=MOST_STEPS, description="the learning rate falls along a cosine")
    steps: int | None = Field(
        None, ge=1, le=MOST_STEPS * 100, description="instead of all epochs; the schedule is shortened to fit"
    )
    mixing: Literal["in_turn", "within_batch"] = Field("within_batch", description="how batches mix several mice")
    loss_sum: bool = Field(True, description="Poisson loss summed over neurons and frames; otherwise the mean")
    cutmix_probability: float = Field(0.5, ge=0, le=1, description="share of windows mixed with a second one")
    mixed_precision: bool = Field(True, description="16-bit floats with a gradient scaler, on a CUDA device only")
    validate_every: int = Field(0, ge=0, description="steps between two scores; 0: once an epoch")
    validation_skip_frames: int = Field(0, ge=0, description="first frames of a clip that the score leaves out")

    @property
    def learning_rate(self) -> float:
        """Peak, after the warm-up; grows with the batch."""
        return self.base_learning_rate * self.batch_size / self.base_batch_size

    def steps_an_epoch(self, mice: int) -> int:
        """Whole batches in an epoch of so many mice."""
        return max(self.samples_per_mouse * mice // self.batch_size, 1)

    def schedule(self, mice: int = 1) -> Schedule:
        """Steps and learning rates of a training on so many mice."""
        epochs = self.warmup_epochs + self.epochs
        steps = self.steps or self.steps_an_epoch(mice) * epochs
        warmup = round(steps * self.warmup_epochs / epochs)
        final = self.learning_rate * self.final_learning_rate_ratio
        return Schedule(steps, warmup, self.learning_rate, final, from_zero=True)

    def steps_between_scores(self, mice: int) -> int:
        """Steps between two scores on the validation trials."""
        return self.validate_every or self.steps_an_epoch(mice)


RECIPES: dict[str, type[Recipe]] = {
    "compact": TrainingRecipe,
    "dwiseneuro": DwiseNeuroRecipe,
    "factorised": FactorisedRecipe,
}
NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "small_session": ("compact", {}),
    "true_batch_001": ("dwiseneuro", {}),
    "true_batch_002": ("dwiseneuro", {"batch_size": 24}),
    "distillation_001": ("dwiseneuro", {"expansion_ratio": 6, "distillation_ratio": 0.36}),
}
"""Recipes by name: the architecture, and what differs from its defaults."""


def named_recipe(name: str) -> tuple[str, dict[str, Any]]:
    """Architecture of a recipe, and its settings that differ from the defaults.

    Raises
    ------
    ConfigError
        No recipe goes by this name.
    """
    if name not in NAMED:
        close = difflib.get_close_matches(name, NAMED, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(NAMED)}"
        raise ConfigError(f"recipe {name}: expected name=value, or the name of a recipe; {hint}")
    architecture, settings = NAMED[name]
    return architecture, dict(settings)


def recipe_of(architecture: str) -> type[Recipe]:
    """The class of an architecture's recipes.

    Raises
    ------
    ConfigError
        An architecture that cannot be trained here.
    """
    if architecture not in RECIPES:
        raise ConfigError(f"architecture {architecture!r}: expected one of {', '.join(RECIPES)}")
    return RECIPES[architecture]
