"""A compact encoder that learns from one small session in minutes on a CPU.

A smooth strided stem filters each frame, inverted-residual blocks (as in DwiseNeuro) mix time and features,
and a factorised readout gives every neuron one map over space and one over features. Tensors between the
parts are [B, T, H, W, C]: in that layout the 1x1 convolutions are matrix products, and both depthwise
convolutions are 2-D convolutions of views, without a copy.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import ReadoutFit, SeesBehaviour, roughness
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import (
    MOST_CHANNELS,
    MOST_TIMES,
    LayerTaps,
    QuickRecipe,
    size_ratio,
    taps_on,
)
from napari_vidrecon.encoders.windows import (
    CHECKED,
    MOST_LAYERS,
    Colours,
    Count,
    EightNumbersEach,
    FourDeviations,
    FourNumbers,
    Frames,
    Neurons,
    OddTaps,
    Pixels,
    Positive,
    Share,
    Stride,
)

VIDEO_MEAN = 115.0
VIDEO_SD = 60.0
GAZE = slice(2, 4)
"""Pupil x and y among the four of behaviour."""
LARGEST_LOGIT = 700.0
SMALLEST_POWER = 1e-12
"""Of the map of a neuron that looks nowhere."""
MOST_SHIFT_SHARE = 0.1
"""No frame is moved by more of the screen's width, whatever a pupil that was lost in a blink says."""


@dataclass(frozen=True, config=CHECKED)
class CompactConfig:
    """Sizes of a compact encoder.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    rows, columns
        Movie size, pixels, all colours together.
    colours
        How many of them stand one below the other; each is a channel of the stem, so no filter sees the seam.
    frames
        Of a window.
    features
        Channels between the blocks.
    stem_kernel, stem_stride
        Side and step of the first convolution, pixels.
    temporal_kernels
        Frames that each block sees, one block each.
    expansion_ratio
        Channels inside a block, as a multiple of `features`.
    se_reduce_ratio
        Channels of the gate are so many times fewer.
    softplus_beta
        Sharpness of the readout's softplus.
    drop_rate
        Share dropped before the readout while it learns.
    shifter
        Whether each mouse's movie is moved by where its eye looks.
    behavior_mean, behavior_sd
        (4,) used to standardise pupil size, running, pupil x and y.
    behavior_of_mice
        Each mouse's own, where there are several: their cameras and units differ.
    """

    readout_outputs: Neurons
    rows: Pixels = 36
    columns: Pixels = 64
    colours: Colours = 1
    frames: Frames = 16
    features: Count = 40
    stem_kernel: OddTaps = 11
    stem_stride: Stride = 4
    temporal_kernels: Annotated[tuple[OddTaps, ...], Field(max_length=MOST_LAYERS)] = (7, 5)
    expansion_ratio: Count = 2
    se_reduce_ratio: Count = 8
    softplus_beta: Positive = 0.07
    drop_rate: Share = 0.0
    shifter: bool = False
    behavior_mean: FourNumbers = (40.0, 0.5, 150.0, 150.0)
    behavior_sd: FourDeviations = (16.0, 2.0, 6.0, 6.0)
    behavior_of_mice: EightNumbersEach = ()

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns after the stem."""
        padding = self.stem_kernel // 2
        rows = (self.rows // self.colours + 2 * padding - self.stem_kernel) // self.stem_stride + 1
        columns = (self.columns + 2 * padding - self.stem_kernel) // self.stem_stride + 1
        return rows, columns


class ChannelNorm(nn.Module):
    """Batch norm over the last axis of [..., C]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(0, 1).permute(0, 3, 1, 2)
        return self.bn(flat).permute(0, 2, 3, 1).view(x.shape)


class Block(nn.Module):
    """Inverted residual: expand, filter space, filter time, gate, contract, add: [B, T, H, W, C] to the same.

    Parameters
    ----------
    features
        Channels of input and output, C.
    temporal_kernel
        Frames that its filter in time sees.
    config
        The other sizes.
    """

    def __init__(self, features: int, temporal_kernel: int, config: CompactConfig) -> None:
        super().__init__()
        middle = features * config.expansion_ratio
        rows, columns = config.map_size
        self.time_table = nn.Parameter(torch.zeros(config.frames, 1, 1, features))
        self.space_table = nn.Parameter(torch.zeros(rows, columns, features))
        self.expand = nn.Linear(features, middle, bias=False)
        self.expand_norm = ChannelNorm(middle)
        self.space = nn.Conv2d(middle, middle, 3, padding=1, groups=middle, bias=False)
        self.space_norm = ChannelNorm(middle)
        self.time = nn.Conv2d(
            middle, middle, (temporal_kernel, 1), padding=(temporal_kernel // 2, 0), groups=middle, bias=False
        )
        self.time_norm = ChannelNorm(middle)
        reduced = max(middle // config.se_reduce_ratio, 4)
        self.gate = nn.Sequential(nn.Linear(middle, reduced), nn.SiLU(), nn.Linear(reduced, middle), nn.Sigmoid())
        self.contract = nn.Linear(middle, features, bias=False)
        self.contract_norm = ChannelNorm(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        clips, frames, rows, columns, _ = x.shape
        y = F.silu(self.expand_norm(self.expand(x + self.time_table + self.space_table)))
        y = self.space(y.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = F.silu(self.space_norm(y.view(clips, frames, rows, columns, -1)))
        y = self.time(y.flatten(2, 3).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = F.silu(self.time_norm(y.view(clips, frames, rows, columns, -1)))
        y = y * self.gate(y.mean(dim=(1, 2, 3)))[:, None, None, None]
        return x + self.contract_norm(self.contract(y))


def moved(video: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Each frame as it is seen where the eye has turned, between pixels a straight line, at the border its own pixels.

    Parameters
    ----------
    video
        (F, C, H, W).
    rows, columns
        (F,) pixels: what is seen at (r, c) stood at (r + rows, c + columns).

    Returns
    -------
    torch.Tensor
        Of the same shape; differentiable in all three.
    """
    # One matrix an axis and frame: `grid_sample`'s gradient is not the same in every run on a GPU.
    return _taken(rows, video.shape[2]) @ video @ _taken(columns, video.shape[3]).transpose(2, 3)


def _taken(shift: torch.Tensor, length: int) -> torch.Tensor:
    """(F, 1, length, length): the weights that each pixel of an axis takes of those there were; 1 where F are alike."""
    if shift.device.type == "cpu" and not torch.is_grad_enabled() and bool((shift == shift[:1]).all()):
        # An eye that rests, as where patches are shown: one matrix serves all frames, to the same bits.
        shift = shift[:1]
    pixels = torch.arange(length, dtype=shift.dtype, device=shift.device)
    wanted = (pixels + shift[:, None]).clamp(0, length - 1)
    return (1.0 - (wanted[:, :, None] - pixels).abs()).clamp(min=0.0)[:, None]


class FactorisedReadout(nn.Module):
    """One mouse's neurons: each a map over space times a map over features, with a gain set by behaviour."""

    def __init__(self, neurons: int, config: CompactConfig) -> None:
        super().__init__()
        self.map_size = rows, columns = config.map_size
        self.beta = config.softplus_beta
        self.space = nn.Parameter(torch.rand(neurons, rows * columns) * 0.02)
        self.features = nn.Parameter(torch.randn(neurons, config.features) / config.features**0.5)
        self.behavior_gain = nn.Parameter(torch.zeros(neurons, 4))
        self.behavior_shift = nn.Parameter(torch.zeros(neurons, 4))
        self.bias = nn.Parameter(torch.zeros(neurons))
        # (rows, columns) in pixels for a deviation of pupil (x, y).
        self.shifter = nn.Parameter(torch.zeros(2, 2)) if config.shifter else None

    def logits_of(self, response: torch.Tensor) -> torch.Tensor:
        """What the softplus makes a response, (N,), of."""
        scaled = (response.clamp(min=1e-2) * self.beta).double()
        # The exponential of what is larger is no number any more, and its logarithm is what it was made of.
        return torch.where(scaled > LARGEST_LOGIT, scaled, torch.log(torch.expm1(scaled.clamp(max=LARGEST_LOGIT))))

    def start_from_mean(self, mean_response: torch.Tensor) -> None:
        """Set the bias so that an untrained encoder predicts each neuron's mean response, (N,)."""
        self.bias.data.copy_(self.logits_of(mean_response))

    @torch.no_grad()
    def start_from_fit(self, fit: ReadoutFit) -> None:
        """Take both maps and the bias from a regression on the features, linear about each neuron's mean response."""
        logits = self.logits_of(fit.response_mean)
        slope = torch.sigmoid(logits).to(fit.space) / self.beta
        features = fit.features * (fit.response_sd / slope)[:, None]
        # Both maps of one length, so that a step of the optimiser changes both alike.
        length = features.norm(dim=1, keepdim=True).clamp(min=1e-6).sqrt()
        self.space.copy_(fit.space * length)
        self.features.copy_(features / length)
        drive = torch.einsum("np,pc,nc->n", self.space, fit.feature_mean.to(self.space), self.features)
        self.bias.copy_(logits.to(drive) - drive)

    def scatter(self) -> torch.Tensor:
        """(N,) variance of where each map lies, by its squared weights, in squared steps of the map."""
        share = self.space.square()
        share = share / share.sum(dim=1, keepdim=True).clamp(min=SMALLEST_POWER)
        axes = [torch.arange(length).to(share) for length in self.map_size]
        places = torch.cartesian_prod(*axes)
        return share @ places.square().sum(dim=1) - (share @ places).square().sum(dim=1)

    def forward(self, x: torch.Tensor, behavior: torch.Tensor) -> torch.Tensor:
        weights = (self.space[:, :, None] * self.features[:, None, :]).flatten(1)
        drive = F.linear(x.flatten(2), weights)
        gain = F.linear(behavior, self.behavior_gain).clamp(-2.0, 2.0).exp()
        logits = drive * gain + F.linear(behavior, self.behavior_shift, self.bias)
        return F.softplus(logits).transpose(1, 2) / self.beta


class CompactRecipe(QuickRecipe):
    """A compact encoder that learns from 100 to 400 trials in minutes on two CPU cores ("small_session").

    Parameters
    ----------
    expansion_ratio
        Channels inside a block, as a multiple of `features`.
    readout_fit_at
        Share of the steps after which the readouts begin anew, with a regression on what the core has become.
    shifter
        Learn how far a mouse's movie moves on its retina with its pupil; without a pupil that says nothing.
    pretrained
        The first weights of what mice share: a simulated mouse's (of few frames they stay as they are), or chance.
    """

    named: ClassVar[dict[str, dict[str, Any]]] = {"small_session": {}}
    before: ClassVar[dict[str, Any]] = {"locality": 0.0}

    architecture: Literal["compact"] = Field("compact", description="kind of encoder")
    features: int = Field(40, ge=4, le=MOST_CHANNELS, description="channels between the blocks")
    temporal_kernels: LayerTaps = Field((7, 5), description="one block each; taps every second frame")
    expansion_ratio: int = Field(2, ge=1, le=MOST_TIMES)
    drop_rate: float = Field(0.1, ge=0, lt=1, description="dropout before the readout")
    learning_rate: float = Field(8e-3, gt=0, description="peak, after the warm-up")
    smoothness: float = Field(0.05, ge=0, description="weight of the stem filters' squared Laplacian")
    locality: float = Field(0.0, ge=0, description="weight of how far each neuron's map lies scattered")
    readout_fit_at: float = Field(
        0.5, ge=0, lt=1, description="share of the steps after which readouts are fitted to the core anew; 0: never"
    )
    shifter: bool = Field(True, description="each mouse's movie is moved by where its eye looks")
    pretrained: bool = Field(
        True,
        description="begin with the core of simulated mice that comes along, where sizes and screen are its own",
    )

    @property
    def begins_trained(self) -> bool:
        """As the recipe says."""
        return self.pretrained

    def fits_readouts_before(self, step: int, steps: int) -> bool:
        """Once, as soon as the core has learned something."""
        return step > 0 and step == round(self.readout_fit_at * steps)

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """A stem whose map is about as large on every screen."""
        ratio, usual = size_ratio(canvas), CompactConfig((1,))
        if ratio == 1.0:
            return {}
        stride = max(1, round(usual.stem_stride * ratio))
        return {"stem_kernel": taps_on(usual.stem_kernel, ratio), "stem_stride": stride}


class Compact(SeesBehaviour):
    """The whole encoder for one or more mice: [B, 5, T, 36, 64] to [B, N, T]."""

    config_class = CompactConfig
    recipe_class = CompactRecipe
    floats_per_pixel = 120
    preferred_cpu_chunk = 16

    config: CompactConfig

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        self.stem = nn.Conv2d(
            config.colours,
            config.features,
            config.stem_kernel,
            stride=config.stem_stride,
            padding=config.stem_kernel // 2,
            bias=False,
        )
        self.stem_norm = ChannelNorm(config.features)
        self.blocks = nn.Sequential(*(Block(config.features, k, config) for k in config.temporal_kernels))
        self.drop = nn.Dropout(config.drop_rate)
        self.readouts = nn.ModuleList(FactorisedReadout(n, config) for n in config.readout_outputs)

    def features(self, video: torch.Tensor) -> torch.Tensor:
        """What all readouts share: [B, T, H, W] grey levels to [B, T, h, w, C]."""
        clips, frames = video.shape[:2]
        x = self.stem(self.scaled(video))
        x = x.permute(0, 2, 3, 1).unflatten(0, (clips, frames))
        return self.blocks(self.stem_norm(x))

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of the movie, and standardised behaviour."""
        return self.drop(self.features(x[:, 0])), self.behavior_of(x)

    def seen(self, x: torch.Tensor, mouse: int) -> torch.Tensor:
        """Inputs (B, 5, T, H, W) whose movies are moved by the gaze of a mouse."""
        x = super().seen(x, mouse)
        if not self.config.shifter:
            return x
        return torch.cat([self.on_retina(x[:, 0], self.behavior_of(x), mouse)[:, None], x[:, 1:]], dim=1)

    def on_retina(self, video: torch.Tensor, behavior: torch.Tensor, mouse: int) -> torch.Tensor:
        """Movies as a mouse sees them.

        Parameters
        ----------
        video
            [B, T, H, W] grey levels.
        behavior
            [B, T, 4] standardised.
        mouse
            Index of its readout.

        Returns
        -------
        torch.Tensor
            [B, T, H, W]; the same one where nothing was learned of its gaze.
        """
        readout: Any = self.readouts[mouse]
        shifter = readout.shifter
        if shifter is None:
            return video
        most = MOST_SHIFT_SHARE * self.config.columns
        rows, columns = (behavior[..., GAZE] @ shifter.T).clamp(-most, most).flatten(0, 1).unbind(1)
        one_below_the_other = video.flatten(0, 1).unflatten(1, (self.config.colours, -1))
        return moved(one_below_the_other, rows, columns).view(video.shape)

    def scaled(self, video: torch.Tensor) -> torch.Tensor:
        """Grey levels [B, T, H, W] as the stem wants them: [B T, colours, H / colours, W]."""
        return ((video - VIDEO_MEAN) / VIDEO_SD).flatten(0, 1).unflatten(1, (self.config.colours, -1))

    def behavior_of(self, x: torch.Tensor, mouse: int | None = None) -> torch.Tensor:
        """Standardised behaviour of model inputs (B, 5, T, H, W): (B, T, 4).

        Parameters
        ----------
        x
            As they are `seen`; or as they were recorded, of this mouse.
        mouse
            Index of its readout.

        Returns
        -------
        torch.Tensor
            Never further from 0 than four deviations.
        """
        behavior = x[:, 1:].mean(dim=(3, 4)).transpose(1, 2)
        if mouse is not None:
            behavior = self.on_common_scale(behavior, mouse, axis=-1)
        return ((behavior - self.behavior_mean) / self.behavior_sd).clamp(-4.0, 4.0)

    @classmethod
    def input_size(cls, config: CompactConfig) -> tuple[int, int, int]:
        """The tables of position fix it."""
        return config.rows, config.columns, config.frames

    @classmethod
    def map_of_features(cls, config: CompactConfig) -> tuple[int, int]:
        """Places of the map, and features at each."""
        rows, columns = config.map_size
        return rows * columns, config.features

    def start_readout(self, mouse: int, fit: ReadoutFit) -> None:
        """Take a readout's maps from a regression on the core's features."""
        self.readouts[mouse].start_from_fit(fit)  # type: ignore[operator]

    def penalty(self, recipe: CompactRecipe) -> torch.Tensor:
        """Rough filters cost, and, where that is wanted, neurons that look at many places at once."""
        rough = recipe.smoothness * roughness(self.stem.weight.flatten(0, 1)[:, None])
        if not recipe.locality:
            return rough
        # Of all mice together as much as of one, whose loss is that of a step.
        scatter = torch.stack([readout.scatter().mean() for readout in self.readouts])  # type: ignore[operator]
        return rough + recipe.locality * scatter.mean()
