"""A factorised 3-D convolutional encoder with a Gaussian readout: the baseline family of Sensorium 2023.

Each layer filters space, then time (causally), then normalises. Every neuron looks at one point of the last
feature map; in training that point is drawn anew from the neuron's Gaussian, afterwards it is its mean
(Lurz et al. 2021; Turishcheva et al. 2023).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import SeesBehaviour, roughness
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import Channels, LayerTaps, QuickRecipe, size_ratio, taps_on
from napari_vidrecon.encoders.windows import (
    CHECKED,
    MOST_LAYERS,
    Counts,
    EightNumbersEach,
    FourDeviations,
    FourNumbers,
    Neurons,
    Positive,
    Stride,
    Taps,
)

VIDEO_MEAN = 115.0
VIDEO_SD = 60.0
FOUND_SPREAD = 0.1
"""Of readout positions that are known before training, as `first_spread`."""


@dataclass(frozen=True, config=CHECKED)
class FactorisedConfig:
    """Sizes of a factorised encoder.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    channels, spatial_kernels, temporal_kernels, spatial_strides
        Of each layer.
    first_spread
        Of the readout positions before training; the screen is 2 wide and 2 high.
    behavior_mean, behavior_sd
        (4,) used to standardise pupil size, running, pupil x and y.
    behavior_of_mice
        Each mouse's own, where there are several: their cameras and units differ.
    """

    readout_outputs: Neurons
    channels: Annotated[Counts, Field(min_length=1)] = (16, 32, 32)
    spatial_kernels: Annotated[tuple[Taps, ...], Field(max_length=MOST_LAYERS)] = (11, 5, 5)
    temporal_kernels: Annotated[tuple[Taps, ...], Field(max_length=MOST_LAYERS)] = (7, 5, 5)
    spatial_strides: Annotated[tuple[Stride, ...], Field(max_length=MOST_LAYERS)] = (2, 2, 1)
    first_spread: Positive = 0.3
    behavior_mean: FourNumbers = (40.0, 0.5, 150.0, 150.0)
    behavior_sd: FourDeviations = (16.0, 2.0, 6.0, 6.0)
    behavior_of_mice: EightNumbersEach = ()


class FactorisedLayer(nn.Module):
    """Space, then time without looking ahead, then batch norm: [B, C, T, H, W] to [B, out, T, h, w].

    Parameters
    ----------
    channels, out
        Channels of input and output.
    space
        Side of the filter in space, pixels.
    time
        Length of the filter in time, frames.
    stride
        Step in space, pixels.
    """

    def __init__(self, channels: int, out: int, space: int, time: int, stride: int) -> None:
        super().__init__()
        self.space = nn.Conv3d(
            channels,
            out,
            (1, space, space),
            stride=(1, stride, stride),
            padding=(0, space // 2, space // 2),
            bias=False,
        )
        self.time = nn.Conv3d(out, out, (time, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Both as 2-D convolutions: torch's 3-D ones are many times slower on a CPU.
        clips, frames = x.shape[0], x.shape[2]
        y = x.transpose(1, 2).flatten(0, 1)
        stride, padding = self.space.stride[1:], self.space.padding[1:]
        y = F.conv2d(y, self.space.weight.squeeze(2), stride=stride, padding=padding)
        size = y.shape[-2:]
        y = y.unflatten(0, (clips, frames)).transpose(1, 2).flatten(3)
        y = F.conv2d(F.pad(y, (0, 0, self.time.kernel_size[0] - 1, 0)), self.time.weight.squeeze(4))
        return F.elu(self.norm(y.unflatten(3, size)))


class GaussianReadout(nn.Module):
    """One mouse's neurons, each at one point of the feature map: [B, C, T, h, w] to [B, N, T], > 0."""

    scale: torch.Tensor

    def __init__(self, neurons: int, config: FactorisedConfig) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(neurons, 2).uniform_(-0.5, 0.5))
        self.log_spread = nn.Parameter(torch.full((neurons, 2), math.log(config.first_spread)))
        self.features = nn.Parameter(torch.randn(neurons, config.channels[-1]) / config.channels[-1] ** 0.5)
        self.bias = nn.Parameter(torch.zeros(neurons))
        self.register_buffer("scale", torch.ones(neurons))

    def start_from_mean(self, mean_response: torch.Tensor) -> None:
        """Make an untrained encoder predict about each neuron's mean response, (N,)."""
        self.scale.copy_(mean_response.clamp(min=1e-2))

    def look_at(self, places: torch.Tensor) -> None:
        """Begin at (N, 2) row and column from -1 to 1, and near them."""
        with torch.no_grad():
            self.position.copy_(places)
            self.log_spread.clamp_(max=math.log(FOUND_SPREAD))

    def points(self) -> torch.Tensor:
        """Where neurons look, (N, 2) row and column from -1 to 1; drawn at random while training."""
        noise = torch.randn_like(self.position) if self.training else torch.zeros_like(self.position)
        return (self.position + self.log_spread.exp() * noise).clamp(-1.0, 1.0)

    def weights_in_space(self, rows: int, columns: int) -> torch.Tensor:
        """Bilinear weights of every pixel of the feature map, (N, rows * columns)."""
        points = self.points()
        axes = []
        for axis, length in enumerate((rows, columns)):
            pixel = (points[:, axis : axis + 1] + 1.0) / 2.0 * (length - 1)
            distance = torch.arange(length, device=pixel.device, dtype=pixel.dtype) - pixel
            axes.append((1.0 - distance.abs()).clamp(min=0.0))
        return (axes[0][:, :, None] * axes[1][:, None, :]).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # A matrix product with dense weights, not `grid_sample`: its gradient is the same in every run on a GPU.
        space = self.weights_in_space(*x.shape[-2:])
        weights = (self.features[:, :, None] * space[:, None, :]).flatten(1)
        drive = F.linear(x.transpose(1, 2).flatten(2), weights, self.bias)
        return ((F.elu(drive) + 1.0) * self.scale).transpose(1, 2)


class FactorisedRecipe(QuickRecipe):
    """The competition's baseline family, in a size that learns from a small session on a CPU.

    Source: Turishcheva et al. 2023 (Sensorium 2023), factorised 3-D core with a Gaussian readout.
    """

    architecture: Literal["factorised"] = Field("factorised", description="kind of encoder")
    channels: Channels = Field((16, 32, 32), description="of each layer")
    spatial_kernels: LayerTaps = Field((11, 5, 5), description="of each layer, pixels")
    temporal_kernels: LayerTaps = Field((7, 5, 5), description="of each layer, frames of the window")
    spatial_strides: LayerTaps = Field((2, 2, 1), description="of each layer")
    first_spread: float = Field(0.3, gt=0, description="of the readout positions; the screen is 2 wide and high")
    smoothness: float = Field(0.05, ge=0, description="weight of the first filters' squared Laplacian")
    readout_sparsity: float = Field(2e-3, ge=0, description="weight of the readout features' mean absolute value")

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """A first layer whose map is about as large on every screen, where its sizes are the usual ones."""
        ratio, usual = size_ratio(canvas), FactorisedConfig((1,))
        mine = (self.spatial_kernels, self.spatial_strides)
        if ratio == 1.0 or mine != (usual.spatial_kernels, usual.spatial_strides):
            return {}
        strides = [max(1, round(usual.spatial_strides[0] * ratio)), *usual.spatial_strides[1:]]
        if ratio <= 1 / strides[1]:
            strides[1] = 1
        return {
            "spatial_kernels": (taps_on(usual.spatial_kernels[0], ratio), *usual.spatial_kernels[1:]),
            "spatial_strides": tuple(strides),
        }


class Factorised(SeesBehaviour):
    """The whole encoder for one or more mice: [B, 5, T, H, W] to [B, N, T]."""

    config_class = FactorisedConfig
    recipe_class = FactorisedRecipe
    looks_at_points = True
    floats_per_pixel = 120
    preferred_cpu_chunk = 8

    config: FactorisedConfig

    def __init__(self, config: FactorisedConfig) -> None:
        super().__init__(config)
        inputs = (1 + len(config.behavior_mean), *config.channels[:-1])
        sizes = zip(
            inputs,
            config.channels,
            config.spatial_kernels,
            config.temporal_kernels,
            config.spatial_strides,
            strict=True,
        )
        self.layers = nn.Sequential(*(FactorisedLayer(*layer) for layer in sizes))
        self.readouts = nn.ModuleList(GaussianReadout(n, config) for n in config.readout_outputs)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What all readouts share: [B, C, T, h, w]."""
        video = (x[:, :1] - VIDEO_MEAN) / VIDEO_SD
        return self.layers(torch.cat([video, self.planes_of(x)], dim=1))

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The core's features."""
        return (self.features(x),)

    def penalty(self, recipe: FactorisedRecipe) -> torch.Tensor:
        """Rough filters and spread-out readouts cost."""
        rough = recipe.smoothness * roughness(self.first_filters())
        return rough + recipe.readout_sparsity * self.spread_of_readouts()

    def first_filters(self) -> torch.Tensor:
        """The filters that see the movie, (C, 1, k, k)."""
        return self.layers[0].space.weight[:, :1].squeeze(2)  # type: ignore[union-attr, index]
