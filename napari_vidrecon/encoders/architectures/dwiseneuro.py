"""DwiseNeuro, the encoder that won Sensorium 2023 (Baikulov 2023, doi 10.5281/zenodo.10155151).

Written plainly, module by module; names of parameters are those of the published checkpoints, spelling
included, so that they load strictly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import (
    LARGEST_BATCH,
    MOST_TIMES,
    Channels,
    LayerTaps,
    Schedule,
    TrainingRecipe,
)
from napari_vidrecon.encoders.windows import (
    CHECKED,
    MOST_LAYERS,
    Count,
    Counts,
    Neurons,
    OddTaps,
    Positive,
    Share,
    Stride,
)
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.settings import MOST_STEPS


@dataclass(frozen=True, config=CHECKED)
class DwiseNeuroConfig:
    """Sizes of a DwiseNeuro; the defaults are the published ones.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    in_channels
        The movie and what is known of the mouse.
    core_features
        Channels of each block.
    spatial_strides
        Step of each block in space, pixels.
    spatial_kernel, temporal_kernel
        Size of the filters, pixels and frames.
    expansion_ratio
        Channels inside a block, as a multiple of its input's.
    se_reduce_ratio
        Channels of the gate are so many times fewer.
    cortex_features
        Channels of each layer after the core.
    groups
        Of channels, in those layers and the readout.
    softplus_beta
        Sharpness of the readout's softplus.
    drop_rate
        Share of channels dropped before the readout while it learns.
    drop_path_rate
        Share of windows that skip a block's or a layer's branch while it learns; in blocks it rises from 0.
    """

    readout_outputs: Neurons
    in_channels: Count = 5
    core_features: Annotated[Counts, Field(min_length=1)] = (64, 64, 64, 64, 128, 128, 128, 256, 256)
    spatial_strides: Annotated[tuple[Stride, ...], Field(max_length=MOST_LAYERS)] = (2, 1, 1, 1, 2, 1, 1, 2, 1)
    spatial_kernel: OddTaps = 3
    temporal_kernel: OddTaps = 5
    expansion_ratio: Count = 7
    se_reduce_ratio: Count = 32
    cortex_features: Counts = (1024, 2048, 4096)
    groups: Count = 2
    softplus_beta: Positive = 0.07
    drop_rate: Share = 0.4
    drop_path_rate: Share = 0.1


class BatchNorm(nn.Module):
    """Batch norm one level deeper than usual: checkpoints call its entries `….bn.weight`."""

    def __init__(self, features: int, dimensions: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm3d(features) if dimensions == 3 else nn.BatchNorm1d(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(x)


class DropPath(nn.Module):
    """Drops a whole residual branch of a sample; does nothing outside training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * x.new_empty(shape).bernoulli_(keep).div_(keep)


class PositionalEncoding(nn.Module):
    """Adds sines and cosines of time, row and column to [B, C, T, H, W]; nothing is learned."""

    inv_freq: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        axis_channels = 2 * math.ceil(channels / 6)
        self.register_buffer("inv_freq", 10000.0 ** (-torch.arange(0, axis_channels, 2) / axis_channels))

    def axis(self, length: int) -> torch.Tensor:
        """Encoding of positions 0..length-1 along one axis: [length, channels of an axis]."""
        angle = torch.arange(length, device=self.inv_freq.device, dtype=self.inv_freq.dtype)[:, None] * self.inv_freq
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    def table(self, frames: int, rows: int, columns: int) -> torch.Tensor:
        """The whole encoding.

        Parameters
        ----------
        frames, rows, columns
            Size of the map.

        Returns
        -------
        torch.Tensor
            [C, T, H, W].
        """
        shape = (frames, rows, columns)
        axes = []
        for dimension, length in enumerate(shape):
            view = [1, 1, 1, -1]
            view[dimension] = length
            axes.append(self.axis(length).view(view).expand(*shape, -1))
        return torch.cat(axes, dim=-1)[..., : self.channels].permute(3, 0, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table(*x.shape[2:]).to(x.dtype)


class SpatialDepthwise(nn.Conv3d):
    """Depthwise (1, k, k) convolution, computed as a 2-D one: frames become channels, without a copy.

    torch's depthwise 3-D convolution is many times slower on a CPU; the numbers are the same.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels, frames = x.shape[1:3]
        weight = self.weight.squeeze(2).repeat_interleave(frames, dim=0)
        y = F.conv2d(x.flatten(1, 2), weight, stride=self.stride[1:], padding=self.padding[1:], groups=len(weight))
        return y.unflatten(1, (channels, frames))


class TemporalDepthwise(nn.Conv3d):
    """Depthwise (k, 1, 1) convolution, computed as a 2-D one over time and all pixels, without a copy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight.flatten(3)
        y = F.conv2d(x.flatten(3), weight, padding=(int(self.padding[0]), 0), groups=len(weight))
        return y.unflatten(3, x.shape[3:])


class SqueezeExcite(nn.Module):
    """Scales channels by a gate computed from their mean over time and space."""

    def __init__(self, features: int, reduced: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv3d(features, reduced, 1)
        self.conv_expand = nn.Conv3d(reduced, features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = F.silu(self.conv_reduce(x.mean(dim=(2, 3, 4), keepdim=True)))
        return x * self.conv_expand(gate).sigmoid()


def tile_channels(x: torch.Tensor, channels: int) -> torch.Tensor:
    """Repeat channels cyclically until there are `channels` of them."""
    if x.shape[1] == channels:
        return x
    repeats = math.ceil(channels / x.shape[1])
    return torch.cat([x] * repeats, dim=1)[:, :channels]


class InvertedResidual(nn.Module):
    """Expand, filter space, filter time, gate, contract; with a shortcut of its own batch norm.

    Parameters
    ----------
    channels, out
        Channels of input and output.
    stride
        Step in space, pixels.
    drop_path
        Share of windows for which the block is skipped while it learns.
    config
        The other sizes.
    """

    def __init__(self, channels: int, out: int, stride: int, drop_path: float, config: DwiseNeuroConfig) -> None:
        super().__init__()
        middle = channels * config.expansion_ratio
        k_space, k_time = config.spatial_kernel, config.temporal_kernel
        self.out, self.stride = out, stride

        def normalised(conv: nn.Conv3d, act: bool = True) -> nn.Sequential:
            layers: list[nn.Module] = [conv, BatchNorm(conv.out_channels, 3)]
            return nn.Sequential(*layers, nn.SiLU(inplace=True)) if act else nn.Sequential(*layers)

        space = SpatialDepthwise(
            middle,
            middle,
            (1, k_space, k_space),
            stride=(1, stride, stride),
            padding=(0, k_space // 2, k_space // 2),
            groups=middle,
            bias=False,
        )
        time = TemporalDepthwise(middle, middle, (k_time, 1, 1), padding=(k_time // 2, 0, 0), groups=middle, bias=False)

        self.conv_pw = normalised(nn.Conv3d(channels, middle, 1, bias=False))
        self.spat_covn_dw = normalised(space)
        self.temp_covn_dw = normalised(time)
        self.se = SqueezeExcite(middle, middle // config.se_reduce_ratio)
        self.conv_pwl = normalised(nn.Conv3d(middle, out, 1, bias=False), act=False)
        self.drop_path = DropPath(drop_path)
        self.bn_sc = BatchNorm(out, 3)

    def shortcut(self, x: torch.Tensor) -> torch.Tensor:
        """Nearest pixels at the stride, channels tiled: [B, out, T, H/s, W/s]."""
        if self.stride > 1:
            size = (x.shape[2], math.ceil(x.shape[3] / self.stride), math.ceil(x.shape[4] / self.stride))
            x = F.interpolate(x, size=size, mode="nearest")
        return self.bn_sc(tile_channels(x, self.out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.temp_covn_dw(self.spat_covn_dw(self.conv_pw(x)))
        return self.drop_path(self.conv_pwl(self.se(branch))) + self.shortcut(x)


class Core(nn.Module):
    """Stem and blocks, shared by all mice: [B, 5, T, H, W] to [B, C, T, h, w]."""

    def __init__(self, config: DwiseNeuroConfig) -> None:
        super().__init__()
        features = config.core_features
        self.stem = nn.Sequential(nn.Conv3d(config.in_channels, features[0], 1, bias=False), BatchNorm(features[0], 3))
        blocks: list[nn.Module] = []
        outputs = (*features[1:], features[-1])
        for block, (channels, out, stride) in enumerate(zip(features, outputs, config.spatial_strides, strict=True)):
            drop_path = config.drop_path_rate * block / len(features)
            blocks += [
                PositionalEncoding(channels),
                InvertedResidual(channels, out, stride, drop_path, config),
            ]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.stem(x))


class ShuffleLayer(nn.Module):
    """Grouped 1x1 convolution over time with channel shuffle: [B, C, T] to [B, out, T].

    Parameters
    ----------
    channels, out
        Channels of input and output.
    groups
        Of channels that do not mix within the layer.
    drop_path
        Share of windows for which the layer is skipped while it learns.
    """

    def __init__(self, channels: int, out: int, groups: int, drop_path: float) -> None:
        super().__init__()
        self.groups, self.out = groups, out
        self.conv = nn.Conv1d(channels, out, 1, groups=groups, bias=False)
        self.bn = BatchNorm(out, 1)
        self.drop_path = DropPath(drop_path)
        self.bn_sc = BatchNorm(out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = F.silu(self.bn(self.conv(x)))
        branch = branch.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
        return self.drop_path(branch) + self.bn_sc(tile_channels(x, self.out))


class Cortex(nn.Module):
    """Shuffle layers, shared by all mice."""

    def __init__(self, config: DwiseNeuroConfig) -> None:
        super().__init__()
        inputs = (config.core_features[-1], *config.cortex_features[:-1])
        self.layers = nn.Sequential(
            *(
                ShuffleLayer(channels, out, config.groups, config.drop_path_rate)
                for channels, out in zip(inputs, config.cortex_features, strict=True)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Readout(nn.Module):
    """One mouse's neurons: [B, C, T] to [B, N, T], >= 0.

    Parameters
    ----------
    channels
        Of the input.
    neurons
        Of the mouse, N.
    config
        Groups, dropout and softplus.
    """

    def __init__(self, channels: int, neurons: int, config: DwiseNeuroConfig) -> None:
        super().__init__()
        self.neurons = neurons
        self.beta = config.softplus_beta
        padded = config.groups * math.ceil(neurons / config.groups)
        self.layer = nn.Sequential(nn.Dropout1d(config.drop_rate), nn.Conv1d(channels, padded, 1, groups=config.groups))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.softplus(self.layer(x)[:, : self.neurons], beta=self.beta)


class DwiseNeuroRecipe(TrainingRecipe):
    """DwiseNeuro as trained by its author; the defaults are the numbers of "true_batch_001".

    An epoch holds `samples_per_mouse` windows of every mouse, shuffled, so that mice mix within batches.

    Source: Baikulov 2023, doi 10.5281/zenodo.10155151; Bauer et al. 2026 retrained it with a batch of 24.

    Parameters
    ----------
    canvas_columns
        Of the canvas, pixels.
    spatial_kernel, temporal_kernel
        Size of the filters, pixels and frames.
    expansion_ratio
        Channels inside a block, as a multiple of its input's.
    se_reduce_ratio
        Channels of the gate are so many times fewer.
    groups
        Of channels, in the layers after the core and the readout.
    softplus_beta
        Sharpness of the readout's softplus.
    drop_path_rate
        Share of windows that skip a block's or a layer's branch while it learns; in blocks it rises from 0.
    base_batch_size
        Windows a step that the base learning rate is meant for.
    final_learning_rate_ratio
        Learning rate at the end, as a share of the peak.
    """

    named: ClassVar[dict[str, dict[str, Any]]] = {
        "true_batch_001": {},
        "true_batch_002": {"batch_size": 24},
        "distillation_001": {"expansion_ratio": 6, "distillation_ratio": 0.36},
    }

    architecture: Literal["dwiseneuro"] = Field("dwiseneuro", description="kind of encoder")
    canvas_rows: int = Field(64, ge=1, le=4096, description="the movie stands in the middle of this canvas")
    canvas_columns: int = Field(64, ge=1, le=4096)
    core_features: Channels = Field((64, 64, 64, 64, 128, 128, 128, 256, 256), description="one block each")
    spatial_strides: LayerTaps = Field((2, 1, 1, 1, 2, 1, 1, 2, 1), description="of each block")
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

    def canvas(self, rows: int, columns: int) -> Canvas:
        """The published 64 x 64 pixels, the movie in their middle.

        Returns
        -------
        Canvas
            With the movie's size in it.

        Raises
        ------
        EncoderError
            The movie is larger.
        """
        if rows > self.canvas_rows or columns > self.canvas_columns:
            raise EncoderError(
                f"dwiseneuro: expected movies of at most {self.canvas_rows}x{self.canvas_columns} pixels, found "
                f"{rows}x{columns}; give --recipe canvas_rows={max(rows, columns)} and "
                f"--recipe canvas_columns={max(rows, columns)}, or another --architecture"
            )
        return Canvas(self.canvas_rows, self.canvas_columns, rows, columns)


class DwiseNeuro(Architecture):
    """The whole encoder for one or more mice: [B, 5, 16, 64, 64] to [B, N, 16]."""

    config_class = DwiseNeuroConfig
    recipe_class = DwiseNeuroRecipe
    floats_per_pixel = 1500
    preferred_cpu_chunk = 1

    config: DwiseNeuroConfig

    def __init__(self, config: DwiseNeuroConfig) -> None:
        super().__init__(config)
        self.core = Core(config)
        self.cortex = Cortex(config)
        channels = config.cortex_features[-1] if config.cortex_features else config.core_features[-1]
        self.readouts = nn.ModuleList(Readout(channels, neurons, config) for neurons in config.readout_outputs)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What all readouts share: [B, cortex features, 16]."""
        return self.cortex(self.core(x).mean(dim=(3, 4)))

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The cortex's features."""
        return (self.features(x),)

    @torch.no_grad()
    def initialise(self, mean_responses: Sequence[torch.Tensor]) -> None:
        """The published first weights: normal, scaled by the fan out (Baikulov 2023)."""
        for part in self.modules():
            if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                fan_out = math.prod(part.kernel_size) * part.out_channels // part.groups
                part.weight.normal_(0.0, math.sqrt(2.0 / fan_out))
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.weight.fill_(1.0)
                part.bias.zero_()
