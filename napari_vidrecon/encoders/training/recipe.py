"""What a training run is: every number, with its default."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field


class TrainingRecipe(BaseModel):
    """Settings of one training run; frozen, and written into the encoder's file.

    The defaults train the compact encoder on 100 to 400 trials in a few minutes on two CPU cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = Field("compact", description="compact (DwiseNeuro's own recipe is separate)")
    features: int = Field(40, ge=4, description="channels between the blocks")
    temporal_kernels: tuple[int, ...] = Field((7, 5), description="one block each; taps every second frame")
    expansion_ratio: int = Field(2, ge=1)
    drop_rate: float = Field(0.1, ge=0, lt=1, description="dropout before the readout")
    steps: int = Field(900, ge=1, description="optimiser steps")
    batch_size: int = Field(16, ge=1, description="windows of 16 frames a step")
    learning_rate: float = Field(8e-3, gt=0, description="peak, after the warm-up")
    final_learning_rate_ratio: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(50, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    gradient_norm_limit: float = Field(5.0, gt=0)
    ema_decay: float = Field(0.99, ge=0, lt=1, description="of the averaged weights that are kept")
    smoothness: float = Field(0.05, ge=0, description="weight of the stem filters' squared Laplacian")
    seed: int = Field(0, ge=0)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine down to the final ratio."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        floor = self.final_learning_rate_ratio
        return self.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))
