"""The learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
