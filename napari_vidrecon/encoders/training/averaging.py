"""Weights averaged over the steps: those that are scored and kept."""

from __future__ import annotations

import torch
from torch import nn


class AveragedWeights:
    """Exponential moving average of every entry of a module's state, batch norm's statistics included.

    Parameters
    ----------
    module
        Whose weights are averaged.
    decay
        Share of the old average that a step keeps.
    warmup
        Keep less of it during the first steps, when the weights still change fast.
    """

    def __init__(self, module: nn.Module, decay: float, *, warmup: bool) -> None:
        self.decay, self.warmup = decay, warmup
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1.0 - decay)
            else:
                self.state[name].copy_(value)
