"""The update rule: momentum with the published code's corrections."""

from __future__ import annotations

import math

import torch

from napari_vidrecon.reconstruction.config import ReconstructionConfig


class MomentumUpdate:
    """ "Adam" without a second moment, as published (science.md 5.4).

    The step size of step i (0, 1, ...) is lr_i sqrt(1 - ramp^t) / (1 - momentum^t) with t = i + 1; the momentum
    itself is divided by (1 - momentum^t) once more. Both are quirks of the reference (Q1) and options here.
    """

    def __init__(self, config: ReconstructionConfig) -> None:
        self.config = config
        self.momentum: torch.Tensor | None = None

    def learning_rate(self, step: int) -> float:
        """Warm-up, then constant or a cosine down to 0."""
        config = self.config
        rate = config.learning_rate
        if step < config.warmup_steps:
            rate *= min(1.0, step / config.warmup_steps)
        if config.learning_rate_decay == "cosine":
            rate *= 0.5 * (1.0 + math.cos(math.pi * step / config.steps))
        return rate

    def multiplier(self, step: int) -> float:
        """What the momentum is multiplied with at a step, all corrections together."""
        config, t = self.config, step + 1
        correction = (1.0 - config.momentum**t) ** config.bias_corrections if config.momentum else 1.0
        ramp = math.sqrt(1.0 - config.ramp**t) if config.ramp else 1.0
        return self.learning_rate(step) * ramp / correction

    def __call__(self, video: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        """The video (T, rows, columns) after a step."""
        config = self.config
        if step == 0 and config.skip_first_update:
            return video
        if self.momentum is None:
            self.momentum = torch.zeros_like(video)
        self.momentum = config.momentum * self.momentum + (1.0 - config.momentum) * gradient
        return (video - self.multiplier(step) * self.momentum).clamp(0.0, 255.0)
