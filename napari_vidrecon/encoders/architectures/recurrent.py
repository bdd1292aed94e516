"""A small recurrent encoder: convolutions of each frame, a convolutional GRU, and a Gaussian readout.

What it knows of earlier frames is in the GRU's state alone, so it runs through clips of any length.

Source: the family of convolutional recurrent cores of Sinz et al. 2018 and Wang et al. 2025, in a size for a CPU.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import SeesBehaviour, roughness
from napari_vidrecon.encoders.architectures.factorised import VIDEO_MEAN, VIDEO_SD, FactorisedConfig, GaussianReadout
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import MOST_STEPS, QuickRecipe, size_ratio, taps_on
from napari_vidrecon.encoders.windows import (
    CHECKED,
    Count,
    EightNumbersEach,
    FourDeviations,
    FourNumbers,
    Frames,
    Neurons,
    OddTaps,
    Positive,
    Stride,
)


@dataclass(frozen=True, config=CHECKED)
class RecurrentConfig:
    """Sizes of a recurrent encoder.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    first_channels, hidden_channels
        Of the filters on a frame, and of the GRU.
    first_kernel, hidden_kernel
        Side of their filters, pixels.
    first_stride, hidden_stride
        Step of the first filters, and of those that lead to the GRU.
    warm_up
        Frames for which the first frame is held where a clip, or a window, begins.
    first_spread
        Of the readout positions before training; the screen is 2 wide and 2 high.
    behavior_mean, behavior_sd
        (4,) used to standardise pupil size, running, pupil x and y.
    behavior_of_mice
        Each mouse's own, where there are several: their cameras and units differ.
    """

    readout_outputs: Neurons
    first_channels: Count = 16
    hidden_channels: Count = 24
    first_kernel: OddTaps = 9
    hidden_kernel: OddTaps = 3
    first_stride: Stride = 2
    hidden_stride: Stride = 2
    warm_up: Frames = 8
    first_spread: Positive = 0.3
    behavior_mean: FourNumbers = (40.0, 0.5, 150.0, 150.0)
    behavior_sd: FourDeviations = (16.0, 2.0, 6.0, 6.0)
    behavior_of_mice: EightNumbersEach = ()


class RecurrentRecipe(QuickRecipe):
    """One that learns from a small session on a CPU."""

    architecture: Literal["recurrent"] = Field("recurrent", description="kind of encoder")
    steps: int = Field(1800, ge=1, le=MOST_STEPS, description="optimiser steps for each mouse")
    window_size: int = Field(24, ge=2, le=512, description="frames an encoder learns from at once")
    window_step: int = Field(1, ge=1, le=512, description="distance between them, in frames at 30 Hz")
    first_channels: int = Field(16, ge=1, le=4096, description="filters on a frame")
    hidden_channels: int = Field(24, ge=1, le=4096, description="of the GRU")
    first_kernel: int = Field(9, ge=1, le=255, description="of the first filters, pixels; odd")
    hidden_kernel: int = Field(3, ge=1, le=255, description="of the GRU, pixels of its map; odd")
    first_stride: int = Field(2, ge=1, le=64, description="of the first filters, pixels")
    hidden_stride: int = Field(2, ge=1, le=64, description="of the filters that lead to the GRU")
    warm_up: int = Field(8, ge=1, le=512, description="frames for which a clip's first frame is held")
    batch_size: int = Field(8, ge=1, le=4096, description="windows a step")
    smoothness: float = Field(0.05, ge=0, description="weight of the first filters' squared Laplacian")
    readout_sparsity: float = Field(2e-3, ge=0, description="weight of the readout features' mean absolute value")

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """First filters that see about as much of every screen, where their sizes are the usual ones."""
        ratio, usual = size_ratio(canvas), RecurrentConfig((1,))
        if ratio == 1.0 or (self.first_kernel, self.first_stride) != (usual.first_kernel, usual.first_stride):
            return {}
        stride = max(1, round(usual.first_stride * ratio))
        return {"first_kernel": taps_on(usual.first_kernel, ratio), "first_stride": stride}


class Recurrent(SeesBehaviour):
    """The whole encoder for one or more mice: (B, 5, F, H, W) to (B, N, F), and on from a state."""

    config_class = RecurrentConfig
    recipe_class = RecurrentRecipe
    looks_at_points = True
    causal = True
    floats_per_pixel = 60
    preferred_cpu_chunk = 8

    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        first, hidden, side = config.first_channels, config.hidden_channels, config.hidden_kernel
        inputs = 1 + len(config.behavior_mean)
        self.first = nn.Conv2d(inputs, first, config.first_kernel, config.first_stride, config.first_kernel // 2)
        self.inward = nn.Conv2d(first, 3 * hidden, side, config.hidden_stride, side // 2)
        self.gates = nn.Conv2d(hidden, 2 * hidden, side, padding=side // 2, bias=False)
        self.candidate = nn.Conv2d(hidden, hidden, side, padding=side // 2, bias=False)
        sizes = FactorisedConfig(config.readout_outputs, channels=(hidden,), first_spread=config.first_spread)
        self.readouts = nn.ModuleList(GaussianReadout(n, sizes) for n in config.readout_outputs)

    @property
    def warm_up(self) -> int:
        """Frames for which the first frame is held where a clip begins."""
        return self.config.warm_up

    def features(
        self, x: torch.Tensor, state: tuple[torch.Tensor, ...] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """What all readouts share, (B, C, F, h, w), and the state after it."""
        video = (x[:, :1] - VIDEO_MEAN) / VIDEO_SD
        frames = torch.cat([video, self.planes_of(x)], dim=1).transpose(1, 2)
        drives = self.inward(F.elu(self.first(frames.flatten(0, 1)))).unflatten(0, frames.shape[:2])
        if state is None:
            hidden = torch.zeros_like(drives[:, 0, : self.config.hidden_channels])
            for _ in range(self.config.warm_up):
                hidden = self._next(drives[:, 0], hidden)
        else:
            (hidden,) = state
        seen = []
        for drive in drives.unbind(1):
            hidden = self._next(drive, hidden)
            seen.append(hidden)
        return torch.stack(seen, dim=2), (hidden,)

    def _next(self, drive: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """One step of a convolutional GRU (Cho et al. 2014; Ballas et al. 2016)."""
        width = self.config.hidden_channels
        update, reset = torch.sigmoid(drive[:, : 2 * width] + self.gates(hidden)).chunk(2, dim=1)
        candidate = torch.tanh(drive[:, 2 * width :] + self.candidate(reset * hidden))
        return hidden + update * (candidate - hidden)

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The core's features, from a state of its own for every window."""
        return (self.features(x)[0],)

    def continued(
        self, x: torch.Tensor, state: tuple[torch.Tensor, ...] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Activity (B, N, F) of the frames that follow, and the state after them."""
        seen, after = self.features(self.seen(x, 0), state)
        return self.activity((seen,), 0), after

    def penalty(self, recipe: RecurrentRecipe) -> torch.Tensor:
        """Rough filters and spread-out readouts cost."""
        rough = recipe.smoothness * roughness(self.first.weight[:, :1])
        return rough + recipe.readout_sparsity * self.spread_of_readouts()
