"""What a training run is: every number, with its default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from napari_vidrecon.encoders.training.schedule import Schedule
from napari_vidrecon.settings import MOST_STEPS, Settings

LARGEST_BATCH = 4096
LARGEST_TRAINING_SEED = 10**12
"""Chance of a step is seeded by a multiple of it, in 64 bits."""
Share = Annotated[float, Field(ge=0, lt=1)]
MOST_CHANNELS, MOST_TAPS, MOST_TIMES, MOST_LAYERS = 4096, 255, 64, 64
Channels = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_CHANNELS)], ...], Field(max_length=MOST_LAYERS)]
Taps = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_TAPS)], ...], Field(max_length=MOST_LAYERS)]


class Recipe(Settings, ABC):
    """What all trainings have in common; frozen, and written into the encoder's file.

    A recipe of one architecture adds its sizes and its `schedule`.
    """

    architecture: str
    window_size: int = Field(16, ge=2, le=512, description="frames an encoder sees at once")
    window_step: int = Field(2, ge=1, le=512, description="distance between them, in frames of the clip")
    batch_size: int = Field(16, ge=1, le=LARGEST_BATCH, description="windows a step")
    accumulated_parts: int = Field(1, ge=1, le=LARGEST_BATCH, description="parts a batch is cut into, to save memory")
    mixing: Literal["in_turn", "within_batch"] = Field(
        "in_turn", description="several mice: a batch of each in turn, or all of them in every batch"
    )
    samples_per_mouse: int = Field(7200, ge=1, description="windows of a mouse in an epoch, for mixing within_batch")
    weight_decay: float = Field(0.05, ge=0, description="of AdamW, on every parameter")
    betas: tuple[Share, Share] = Field((0.9, 0.999), description="of AdamW")
    gradient_norm_limit: float = Field(0.0, ge=0, description="0: no limit")
    loss_sum: bool = Field(False, description="Poisson loss summed over neurons and frames; otherwise the mean")
    loss_epsilon: float = Field(1e-8, gt=0, description="added inside the logarithm of the Poisson loss")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the averaged weights that are kept")
    ema_warmup: bool = Field(False, description="the average forgets faster at first")
    cutmix_probability: float = Field(0.0, ge=0, le=1, description="share of windows mixed with a second one")
    cutmix_alpha: float = Field(1.0, gt=0, description="of the beta distribution of the pasted area")
    distillation_ratio: float = Field(0.36, ge=0, lt=1, description="share of the loss, where teachers are given")
    distilled_pairs: Literal["other_mice", "all"] = Field(
        "other_mice", description="a teacher answers for the mice that did not see the window, or for all of them"
    )
    mixed_precision: bool = Field(False, description="16-bit floats with a gradient scaler, on a CUDA device only")
    validate_every: int = Field(300, ge=0, description="steps between two scores; 0: once an epoch, or never")
    validation_skip_frames: int = Field(50, ge=0, description="first frames of a clip that the score leaves out")
    patience: int = Field(0, ge=0, description="stop after so many scores without a better one; 0: never")
    seed: int = Field(0, ge=0, le=LARGEST_TRAINING_SEED, description="instances of an ensemble differ in it alone")

    @abstractmethod
    def schedule(self, mice: int) -> Schedule:
        """Steps and learning rates of a training on so many mice."""

    def steps_between_scores(self, mice: int) -> int:
        """Steps between two scores on the validation trials; 0 for none."""
        return self.validate_every


class TrainingRecipe(Recipe):
    """A compact encoder that learns from 100 to 400 trials in minutes on two CPU cores ("small_session")."""

    architecture: Literal["compact"] = Field("compact", description="kind of encoder")
    features: int = Field(40, ge=4, le=MOST_CHANNELS, description="channels between the blocks")
    temporal_kernels: Taps = Field((7, 5), description="one block each; taps every second frame")
    expansion_ratio: int = Field(2, ge=1, le=MOST_TIMES)
    drop_rate: float = Field(0.1, ge=0, lt=1, description="dropout before the readout")
    steps: int = Field(900, ge=1, le=MOST_STEPS, description="optimiser steps for each mouse")
    learning_rate: float = Field(8e-3, gt=0, description="peak, after the warm-up")
    final_learning_rate_ratio: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(50, ge=0)
    gradient_norm_limit: float = Field(5.0, ge=0, description="0: no limit")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="of the averaged weights that are kept")
    ema_warmup: bool = Field(True, description="the average forgets faster at first")
    smoothness: float = Field(0.05, ge=0, description="weight of the stem filters' squared Laplacian")

    def schedule(self, mice: int = 1) -> Schedule:
        """Steps and learning rates of a training on so many mice."""
        final = self.learning_rate * self.final_learning_rate_ratio
        return Schedule(self.steps * mice, self.warmup_steps, self.learning_rate, final)


class FactorisedRecipe(Recipe):
    """The competition's baseline family, in a size that learns from a small session on a CPU.

    Source: Turishcheva et al. 2023 (Sensorium 2023), factorised 3-D core with a Gaussian readout.
    """

    architecture: Literal["factorised"] = Field("factorised", description="kind of encoder")
    channels: Channels = Field((16, 32, 32), description="of each layer")
    spatial_kernels: Taps = Field((11, 5, 5), description="of each layer, pixels")
    temporal_kernels: Taps = Field((7, 5, 5), description="of each layer, frames of the window")
    spatial_strides: Taps = Field((2, 2, 1), description="of each layer")
    first_spread: float = Field(0.3, gt=0, description="of the readout positions; the screen is 2 wide and high")
    steps: int = Field(900, ge=1, le=MOST_STEPS, description="optimiser steps for each mouse")
    learning_rate: float = Field(5e-3, gt=0, description="peak, after the warm-up")
    final_learning_rate_ratio: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(50, ge=0)
    gradient_norm_limit: float = Field(5.0, ge=0, description="0: no limit")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="of the averaged weights that are kept")
    ema_warmup: bool = Field(True, description="the average forgets faster at first")
    smoothness: float = Field(0.05, ge=0, description="weight of the first filters' squared Laplacian")
    readout_sparsity: float = Field(2e-3, ge=0, description="weight of the readout features' mean absolute value")

    def schedule(self, mice: int = 1) -> Schedule:
        """Steps and learning rates of a training on so many mice."""
        final = self.learning_rate * self.final_learning_rate_ratio
        return Schedule(self.steps * mice, self.warmup_steps, self.learning_rate, final)
