"""What a training run is: every number, with its default."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.settings import MOST_STEPS, Settings

LARGEST_BATCH = 4096
LARGEST_TRAINING_SEED = 10**12
"""Chance of a step is seeded by a multiple of it, in 64 bits."""
Share = Annotated[float, Field(ge=0, lt=1)]
MOST_CHANNELS, MOST_TAPS, MOST_TIMES, MOST_LAYERS = 4096, 255, 64, 64
Channels = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_CHANNELS)], ...], Field(max_length=MOST_LAYERS)]
LayerTaps = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_TAPS)], ...], Field(max_length=MOST_LAYERS)]


def size_ratio(canvas: Canvas) -> float:
    """How many times as many pixels a screen has along a side as the usual one, on average over both sides."""
    usual, rows = Canvas(), canvas.screen_rows // max(1, len(canvas.colours))
    return math.sqrt(rows * canvas.screen_columns / (usual.screen_rows * usual.screen_columns))


def taps_on(taps: int, ratio: float) -> int:
    """A filter's size that covers about as much of a screen with `ratio` times as many pixels; odd, at least 3."""
    return max(3, 2 * round((taps * ratio - 1) / 2) + 1)


@dataclass(frozen=True)
class Schedule:
    """A linear warm-up, then a cosine.

    Parameters
    ----------
    steps
        Optimiser steps in all, warm-up included.
    warmup_steps
        Steps of the warm-up.
    peak, final
        Learning rate after the warm-up, and at the end.
    from_zero
        The first step has rate 0, as published; otherwise it already learns.
    """

    steps: int
    warmup_steps: int
    peak: float
    final: float
    from_zero: bool = False

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.peak * (step if self.from_zero else step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        return self.final + (self.peak - self.final) * 0.5 * (1 + math.cos(math.pi * done))


class TrainingRecipe(Settings, ABC):
    """What all trainings have in common; frozen, and written into the encoder's file.

    A recipe of one architecture adds its `schedule`, and sizes under the names that its `config_class` has for them.
    """

    named: ClassVar[dict[str, dict[str, Any]]] = {}
    """Recipes that go by a name of their own: what differs from the defaults."""
    before: ClassVar[dict[str, Any]] = {}
    """Fields that came later, with the value that trains as the versions without them."""

    architecture: str
    window_size: int = Field(16, ge=2, le=512, description="frames an encoder sees at once")
    window_step: int = Field(2, ge=1, le=512, description="distance between them, in frames at 30 Hz")
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

    @property
    def begins_trained(self) -> bool:
        """Whether it begins with a core that comes along, where that has its sizes, screen and rate."""
        return False

    def fits_readouts_before(self, step: int, steps: int) -> bool:
        """Whether readouts begin anew from a regression on the core before this step, counted from 0, of so many."""
        return False

    def windows(self, frame_rate_hz: float = FRAME_RATE_HZ) -> FrameWindows:
        """The frames an encoder sees at once; they span the same time at every frame rate."""
        step = round(self.window_step * frame_rate_hz / FRAME_RATE_HZ)
        return FrameWindows(self.window_size, max(1, step))

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """Sizes of the architecture that follow the screen, where they were not chosen; none on the usual one."""
        return {}

    def canvas(self, rows: int, columns: int) -> Canvas:
        """The model's input for movies of this size, pixels: the movie itself."""
        return Canvas.of_screen(rows, columns)


class QuickRecipe(TrainingRecipe):
    """One that learns from a small session on a CPU in minutes.

    Parameters
    ----------
    final_learning_rate_ratio
        Learning rate at the end, as a share of the peak.
    warmup_steps
        Steps over which the learning rate rises.
    """

    steps: int = Field(900, ge=1, le=MOST_STEPS, description="optimiser steps for each mouse")
    learning_rate: float = Field(5e-3, gt=0, description="peak, after the warm-up")
    final_learning_rate_ratio: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(50, ge=0)
    gradient_norm_limit: float = Field(5.0, ge=0, description="0: no limit")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="of the averaged weights that are kept")
    ema_warmup: bool = Field(True, description="the average forgets faster at first")

    def schedule(self, mice: int = 1) -> Schedule:
        """Steps and learning rates of a training on so many mice."""
        final = self.learning_rate * self.final_learning_rate_ratio
        return Schedule(self.steps * mice, self.warmup_steps, self.learning_rate, final)
