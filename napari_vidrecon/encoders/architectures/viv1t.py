"""ViV1T: a transformer that looks at patches of the movie, over space first, then over time without looking ahead.

Overlapping patches of movie and behaviour become tokens. Transformers whose attention and feed-forward branch stand
side by side relate the tokens of a frame, then those of a place over time (rotary positions). Every neuron looks at one
point of the resulting map, which gaze may shift, and adds what behaviour says (Li et al. 2025).

Written from the published description; modules are called as in the published files, so that their weights find their
places. None of these could be had here: docs/not_available.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import SeesBehaviour
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import QuickRecipe, size_ratio
from napari_vidrecon.encoders.windows import (
    CHECKED,
    Count,
    EightNumbersEach,
    FourDeviations,
    FourNumbers,
    Frames,
    Neurons,
    Number,
    Pixels,
    Positive,
    Stride,
    Taps,
)

VIDEO_MEAN, VIDEO_SD = 115.0, 60.0
ROTARY_BASE, ROTARY_SCALE_BASE = 10_000.0, 512.0
STATES = 4
"""Pupil size, running, pupil x, pupil y."""
Activation = Literal["none", "tanh", "elu", "relu", "gelu", "silu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
Few = Annotated[int, Field(ge=0, le=64)]


@dataclass(frozen=True, config=CHECKED)
class ViV1TConfig:
    """Sizes of a ViV1T.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    rows, columns
        Movie size, pixels.
    frames
        Of a window.
    behavior_channels
        How many planes join the movie in the patches: 0, 2 (pupil size and running) or 4 (and gaze).
    spatial_patch, spatial_stride
        Side and step of a patch, pixels.
    temporal_patch
        Frames of a patch; a patch ends with the frame it stands for.
    emb_dim
        Channels of a token.
    heads, head_dim
        Of the attention.
    ff_dim
        Channels of the feed-forward branch.
    ff_activation
        Its activation.
    spatial_depth, temporal_depth
        Blocks over space and over time.
    register_tokens
        Tokens without a place, which attention may use.
    normalised_attention
        Whether queries and keys are normalised.
    activation
        After the core.
    shifter_layers, shifter_size
        Of the network that tells how gaze shifts the readouts; 0: none.
    states
        Whether behaviour is added before the readout.
    drop_rate
        Share of tokens that is dropped while it learns.
    video_mean, video_sd
        Grey levels used to standardise the movie.
    behavior_mean, behavior_sd
        (4,) used to standardise pupil size, running, pupil x and y.
    behavior_of_mice
        Each mouse's own, where there are several: their cameras and units differ.
    """

    readout_outputs: Neurons
    rows: Pixels = 36
    columns: Pixels = 64
    frames: Frames = 16
    behavior_channels: Literal[0, 2, 4] = 4
    spatial_patch: Taps = 8
    spatial_stride: Stride = 4
    temporal_patch: Taps = 5
    emb_dim: Count = 48
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    head_dim: Annotated[int, Field(ge=2, le=512, multiple_of=2)] = 16
    ff_dim: Count = 96
    ff_activation: Literal["none", "tanh", "elu", "relu", "gelu", "silu", "swiglu"] = "gelu"
    spatial_depth: Few = 2
    temporal_depth: Few = 2
    register_tokens: Few = 0
    normalised_attention: bool = False
    activation: Activation = "elu"
    shifter_layers: Few = 0
    shifter_size: Count = 10
    states: bool = True
    drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    video_mean: Number = VIDEO_MEAN
    video_sd: Positive = VIDEO_SD
    behavior_mean: FourNumbers = (40.0, 0.5, 150.0, 150.0)
    behavior_sd: FourDeviations = (16.0, 2.0, 6.0, 6.0)
    behavior_of_mice: EightNumbersEach = ()

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of zeros that let patches cover the whole screen."""
        return tuple(  # type: ignore[return-value]
            (math.ceil(side / self.spatial_stride) - 1) * self.spatial_stride + self.spatial_patch - side
            if self.spatial_patch >= self.spatial_stride
            else 0
            for side in (self.rows, self.columns)
        )

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        sides = zip((self.rows, self.columns), self.padding, strict=True)
        rows, columns = ((side + pad - self.spatial_patch) // self.spatial_stride + 1 for side, pad in sides)
        return rows, columns


class SwiGLU(nn.Module):
    """One half of the channels, gated by the other (Shazeer 2020)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = x.chunk(2, dim=-1)
        return F.silu(gate) * value


class Patches(nn.Module):
    """[B, C, T, H, W] to normalised, projected patches [B, T', P, D]."""

    def __init__(self, channels: int, config: ViV1TConfig) -> None:
        super().__init__()
        self.sizes = (config.temporal_patch, config.spatial_patch, config.spatial_patch)
        self.steps = (1, config.spatial_stride, config.spatial_stride)
        values = channels * math.prod(self.sizes)
        self.norm, self.linear = nn.LayerNorm(values), nn.Linear(values, config.emb_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis, (size, step) in enumerate(zip(self.sizes, self.steps, strict=True), start=2):
            x = x.unfold(axis, size, step)
        # [B, C, T', rows, columns, time, height, width]
        x = x.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(2, 3)
        return self.linear(self.norm(x))


class Tokenizer(nn.Module):
    """Standardised movie and behaviour to tokens [B, T, P, D] that know their place on the screen."""

    def __init__(self, config: ViV1TConfig) -> None:
        super().__init__()
        rows, columns = config.padding
        # Zeros before the clip only: a token never sees a later frame.
        self.pad = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2, config.temporal_patch - 1, 0)
        self.tokenizer = Patches(1 + config.behavior_channels, config)
        self.norm = nn.LayerNorm(config.emb_dim)
        self.drop = nn.Dropout1d(config.drop_rate)
        self.spatial_pos_embedding = nn.Parameter(torch.randn(1, 1, math.prod(config.map_size), config.emb_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.tokenizer(F.pad(x, self.pad)))
        dropped = self.drop(tokens.flatten(1, 2)).view(tokens.shape)
        return dropped + self.spatial_pos_embedding


class RotaryPositions(nn.Module):
    """Turns queries and keys by an angle that grows with time, and scales them by their distance to the middle.

    Su et al. 2021; the scale is that of Sun et al. 2022, with the same one for queries and keys, as published.
    """

    inv_freq: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dim: int, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        even = torch.arange(0, dim, 2)
        self.register_buffer("inv_freq", 1.0 / ROTARY_BASE ** (even.float() / dim))
        self.register_buffer("scale", (even + 0.4 * dim) / (1.4 * dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turned and scaled tokens, (..., time, dim)."""
        time = torch.arange(self.tokens, device=x.device, dtype=x.dtype)
        angle = (time[:, None] * self.inv_freq.to(x.dtype)).repeat(1, 2)
        power = (time - self.tokens // 2) / ROTARY_SCALE_BASE
        scale = (self.scale.to(x.dtype) ** power[:, None]).repeat(1, 2)
        first, second = x.chunk(2, dim=-1)
        return x * (angle.cos() * scale) + torch.cat([-second, first], dim=-1) * (angle.sin() * scale)


class Block(nn.Module):
    """Attention and feed-forward side by side, added to what came in: [B, tokens, D] to the same.

    Parameters
    ----------
    config
        Sizes.
    tokens
        Of time, for rotary positions; None: positions are not told.
    causal
        A token attends to itself and earlier ones; registers, which stand last, then see all and are seen by none.
    """

    scale: torch.Tensor

    def __init__(self, config: ViV1TConfig, tokens: int | None, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal, self.registers = config.heads, causal, config.register_tokens
        inner = config.heads * config.head_dim
        gated = config.ff_activation == "swiglu"
        self.parts = (inner, inner, inner, config.ff_dim * (2 if gated else 1))
        self.register_buffer("scale", torch.tensor(config.head_dim**-0.5))
        self.norm = nn.LayerNorm(config.emb_dim)
        self.fused_linear = nn.Linear(config.emb_dim, sum(self.parts), bias=False)
        self.attn_out = nn.Linear(inner, config.emb_dim, bias=False)
        activation = SwiGLU() if gated else ACTIVATIONS[config.ff_activation]()
        self.ff_out = nn.Sequential(activation, nn.Identity(), nn.Linear(config.ff_dim, config.emb_dim, bias=False))
        normalised = config.normalised_attention
        self.norm_q = nn.LayerNorm(inner) if normalised else nn.Identity()
        self.norm_k = nn.LayerNorm(inner) if normalised else nn.Identity()
        self.rotary_position_embedding = None if tokens is None else RotaryPositions(config.head_dim, tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value, branch = self.fused_linear(self.norm(x)).split(self.parts, dim=-1)
        query, key = self._placed(self.norm_q(query)), self._placed(self.norm_k(key))
        attended = F.scaled_dot_product_attention(
            query, key, self._by_head(value), is_causal=self.causal, scale=float(self.scale)
        )
        return x + self.attn_out(attended.transpose(1, 2).flatten(2)) + self.ff_out(branch)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _placed(self, x: torch.Tensor) -> torch.Tensor:
        x = self._by_head(x)
        if self.rotary_position_embedding is None:
            return x
        if not self.registers:
            return self.rotary_position_embedding(x)
        placed = self.rotary_position_embedding(x[:, :, : -self.registers])
        return torch.cat([placed, x[:, :, -self.registers :]], dim=2)


class Blocks(nn.Module):
    """Blocks one after the other.

    Parameters
    ----------
    config
        Their sizes.
    depth
        How many.
    tokens
        Of the longest sequence, whose order rotary positions tell; None: their order does not count.
    causal
        Whether a token sees only those before it.
    """

    def __init__(self, config: ViV1TConfig, depth: int, tokens: int | None, *, causal: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config, tokens, causal=causal) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Transformers(nn.Module):
    """Over the places of each frame, then over the frames of each place: [B, T, P, D] to the same."""

    def __init__(self, config: ViV1TConfig) -> None:
        super().__init__()
        self.registers = config.register_tokens
        if self.registers:
            self.reg_s_tokens = nn.Parameter(torch.randn(self.registers, config.emb_dim))
            self.reg_t_tokens = nn.Parameter(torch.randn(self.registers, config.emb_dim))
        self.spatial_transformer = Blocks(config, config.spatial_depth, None, causal=False)
        self.temporal_transformer = Blocks(config, config.temporal_depth, config.frames, causal=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        clips = len(x)
        spatial, temporal = (self.reg_s_tokens, self.reg_t_tokens) if self.registers else (None, None)
        x = self._with(self.spatial_transformer, x.flatten(0, 1), spatial).unflatten(0, (clips, -1))
        x = self._with(self.temporal_transformer, x.transpose(1, 2).flatten(0, 1), temporal)
        return x.unflatten(0, (clips, -1)).transpose(1, 2)

    @staticmethod
    def _with(blocks: nn.Module, x: torch.Tensor, registers: torch.Tensor | None) -> torch.Tensor:
        if registers is None:
            return blocks(x)
        return blocks(torch.cat([x, registers.expand(len(x), -1, -1)], dim=1))[:, : -len(registers)]


class Core(nn.Module):
    """Tokens, transformers and an activation: [B, C, T, H, W] to [B, D, T, h, w]."""

    def __init__(self, config: ViV1TConfig) -> None:
        super().__init__()
        self.map_size = config.map_size
        self.tokenizer, self.vivit = Tokenizer(config), Transformers(config)
        self.activation = ACTIVATIONS[config.activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.vivit(self.tokenizer(x)).permute(0, 3, 1, 2)
        return self.activation(features.unflatten(3, self.map_size))


class PointReadout(nn.Module):
    """One mouse's neurons, each at one point of the map, which gaze may shift: [B, D, T, h, w] to [B, N, T], > 0.

    Parameters
    ----------
    neurons
        How many.
    config
        Sizes.
    """

    response_scale: torch.Tensor

    def __init__(self, neurons: int, config: ViV1TConfig) -> None:
        super().__init__()
        channels = config.emb_dim
        self.position = nn.Parameter(torch.empty(neurons, 2).uniform_(-0.2, 0.2))
        self.spread = nn.Parameter(torch.empty(neurons, 2, 2).uniform_(-0.3, 0.3))
        self.features = nn.Parameter(torch.full((channels, neurons), 1.0 / channels))
        self.bias = nn.Parameter(torch.zeros(neurons))
        self.register_buffer("response_scale", torch.ones(neurons))
        self.state_encoder = None
        if config.states:
            self.state_encoder = nn.Sequential(
                nn.Linear(STATES, channels),
                nn.LayerNorm(channels),
                nn.GELU(),
                nn.Identity(),
                nn.Linear(channels, channels),
                nn.Tanh(),
            )
        layers: list[nn.Module] = []
        sizes = [STATES, *[config.shifter_size] * (config.shifter_layers - 1), 2] if config.shifter_layers else []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.Tanh()]
        self.shifter = nn.Sequential(*layers) if layers else None

    def start_from_mean(self, mean_response: torch.Tensor) -> None:
        """Make an untrained encoder predict about each neuron's mean response, (N,)."""
        self.response_scale.copy_(mean_response.clamp(min=1e-2))

    def look_at(self, places: torch.Tensor) -> None:
        """Begin at (N, 2) row and column from -1 to 1."""
        with torch.no_grad():
            self.position.copy_(places.flip(1))

    def points(self, behavior: torch.Tensor) -> torch.Tensor:
        """Where neurons look in every frame, (B * T, N, 2) column and row from -1 to 1; drawn anew while it learns."""
        clips, frames = behavior.shape[:2]
        points = self.position.clamp(-1.0, 1.0)
        if self.training:
            points = (points + torch.einsum("nij,nj->ni", self.spread, torch.randn_like(points))).clamp(-1.0, 1.0)
        points = points.expand(clips * frames, -1, -1)
        return points if self.shifter is None else points + self.shifter(behavior.flatten(0, 1))[:, None]

    def forward(self, x: torch.Tensor, behavior: torch.Tensor) -> torch.Tensor:
        clips, _, frames = x.shape[:3]
        pictures = x.transpose(1, 2).flatten(0, 1)
        seen = F.grid_sample(pictures, self.points(behavior)[:, :, None], align_corners=True)[..., 0]
        drive = torch.einsum("bcn,cn->bn", seen, self.features) + self.bias
        if self.state_encoder is not None:
            drive = drive + self.state_encoder(behavior.flatten(0, 1)) @ self.features
        activity = (F.elu(drive) + 1.0) * self.response_scale
        return activity.unflatten(0, (clips, frames)).transpose(1, 2)


class ViV1TRecipe(QuickRecipe):
    """A small ViV1T that learns from a small session on a CPU; the published one is many times as large.

    Source: Li et al. 2025 (doi 10.1101/2025.09.16.676524).

    Parameters
    ----------
    temporal_patch
        Frames of a patch.
    heads, head_dim
        Of the attention.
    ff_dim
        Channels of the feed-forward branch.
    spatial_depth, temporal_depth
        Blocks over space and over time.
    warmup_steps
        Steps over which the learning rate rises.
    """

    architecture: Literal["viv1t"] = Field("viv1t", description="kind of encoder")
    behavior_channels: Literal[0, 2, 4] = Field(4, description="planes of behaviour that join the movie in patches")
    spatial_patch: int = Field(8, ge=1, le=255, description="side of a patch, pixels")
    spatial_stride: int = Field(4, ge=1, le=64, description="between patches, pixels")
    temporal_patch: int = Field(5, ge=1, le=255)
    emb_dim: int = Field(48, ge=4, le=4096, description="channels of a token")
    heads: int = Field(4, ge=1, le=64)
    head_dim: int = Field(16, ge=2, le=512, multiple_of=2)
    ff_dim: int = Field(96, ge=1, le=1 << 14)
    spatial_depth: int = Field(2, ge=0, le=64)
    temporal_depth: int = Field(2, ge=0, le=64)
    register_tokens: int = Field(0, ge=0, le=64, description="tokens without a place")
    shifter_layers: int = Field(0, ge=0, le=64, description="of the network by which gaze shifts readouts; 0: none")
    drop_rate: float = Field(0.05, ge=0, lt=1, description="share of tokens that is dropped")
    learning_rate: float = Field(2e-3, gt=0, description="peak, after the warm-up")
    warmup_steps: int = Field(100, ge=0)
    readout_sparsity: float = Field(2e-3, ge=0, description="weight of the readout features' mean absolute value")

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """Patches that are about as large on every screen, where their sizes are the usual ones."""
        ratio, usual = size_ratio(canvas), ViV1TConfig((1,))
        if ratio == 1.0 or (self.spatial_patch, self.spatial_stride) != (usual.spatial_patch, usual.spatial_stride):
            return {}
        stride = max(1, round(usual.spatial_stride * ratio))
        return {"spatial_patch": max(stride, round(usual.spatial_patch * ratio)), "spatial_stride": stride}


class ViV1T(SeesBehaviour):
    """The whole encoder for one or more mice: [B, 5, T, H, W] to [B, N, T]."""

    config_class = ViV1TConfig
    recipe_class = ViV1TRecipe
    looks_at_points = True
    causal = True
    floats_per_pixel = 300
    preferred_cpu_chunk = 4

    config: ViV1TConfig

    def __init__(self, config: ViV1TConfig) -> None:
        super().__init__(config)
        self.core = Core(config)
        self.readouts = nn.ModuleList(PointReadout(neurons, config) for neurons in config.readout_outputs)

    @classmethod
    def input_size(cls, config: ViV1TConfig) -> tuple[int, int, int]:
        """The places of patches and the scale of rotary positions fix it."""
        return config.rows, config.columns, config.frames

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The core's features, and standardised behaviour (B, T, 4)."""
        video = (x[:, :1] - self.config.video_mean) / self.config.video_sd
        planes = self.planes_of(x)
        features = self.core(torch.cat([video, planes[:, : self.config.behavior_channels]], dim=1))
        return features, planes.mean(dim=(3, 4)).transpose(1, 2)

    def initialise(self, mean_responses: Sequence[torch.Tensor]) -> None:
        """Small weights in the transformers, and readouts that predict about the mean responses."""
        for part in self.core.vivit.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
        nn.init.trunc_normal_(self.core.tokenizer.spatial_pos_embedding, std=0.02)
        super().initialise(mean_responses)

    def penalty(self, recipe: ViV1TRecipe) -> torch.Tensor:
        """Spread-out readouts cost."""
        return recipe.readout_sparsity * self.spread_of_readouts()
