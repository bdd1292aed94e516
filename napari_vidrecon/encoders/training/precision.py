"""Mixed precision: 16-bit floats where they are safe, and a scaler that keeps small gradients alive."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn


class MixedPrecision:
    """Forward and backward of a step in one of two ways, chosen at the start.

    Parameters
    ----------
    device
        "cuda" or another kind of device.
    wanted
        Whether 16-bit floats were asked for; they are used on a CUDA device only.
    """

    def __init__(self, device: str, wanted: bool) -> None:
        self.device, self.enabled = device, wanted and device == "cuda"
        self.scaler = torch.amp.GradScaler(device, enabled=self.enabled)

    def forward(self) -> AbstractContextManager[Any]:
        """Within it, a forward pass uses 16-bit floats where they are safe."""
        return torch.autocast(self.device, dtype=torch.float16 if self.enabled else None, enabled=self.enabled)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the loss's gradients, scaled."""
        self.scaler.scale(loss).backward()

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer, norm_limit: float) -> None:
        """One step of the optimiser; skipped, as published, where 16-bit gradients overflowed.

        Parameters
        ----------
        norm_limit
            Longest gradient, 0 for no limit.
        """
        if norm_limit:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), norm_limit)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Plain values a later process needs to go on to the same bits."""
        return self.scaler.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        if state:
            self.scaler.load_state_dict(state)
