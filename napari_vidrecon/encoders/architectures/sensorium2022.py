"""The static encoders of Sensorium 2022 with what a movie needs besides: real neurons, published with their weights.

A core of convolutions answers a picture; every neuron looks at one point of its last feature map, a point that a small
network tells from the neuron's place in cortex, moved by where the eye looks (Lurz et al. 2021; Willeke et al. 2022).

These models answer a picture, not a movie. Two things here are additions and no part of what was published: a temporal
kernel, by which a neuron's drive is that of the last frames together, and a gain for each neuron, as the published
answers are in units of each neuron's own deviation. A movie that stands still has the published answer times the gain.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture
from napari_vidrecon.encoders.windows import CHECKED, Count, Frames, Neurons, Number, OddTaps, Pixels, Positive

ADDED_KERNEL = (0.1, 0.35, 0.3, 0.17, 0.08)
"""This frame first, then those before it, a step of the window (67 ms) apart; about the course of a cell of V1."""
MOST_LAYERS = 16


def additions(temporal_kernel: tuple[float, ...], gain: str = "1") -> str:
    """What an encoder has that the published model has not, for people.

    Parameters
    ----------
    temporal_kernel
        Weights of this frame and of those before it.
    gain
        What is known of the gain of its neurons.

    Returns
    -------
    str
        A sentence.
    """
    weights = " ".join(f"{weight:g}" for weight in temporal_kernel)
    return (
        f"temporal kernel ({weights}, newest first) and gain ({gain}): not of the published model, "
        "which answers a picture, not a movie"
    )


@dataclass(frozen=True, config=CHECKED)
class Sensorium2022Config:
    """Sizes of a static encoder, and what its inputs are divided by.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    channels
        Of every layer of the core.
    layers
        Of the core, the first included.
    input_kernel, hidden_kernel
        Sides of the first filters (without padding) and of the others, pixels.
    linear
        Without a nonlinearity between layers (the `ln` models).
    behavior
        Four input channels (grey, pupil size, its derivative, running) instead of one.
    shifter
        Hidden units of the map from the pupil's centre to a shift of all positions; 0 for none.
    position_features
        Hidden units of the map from cortex to positions.
    rows, columns
        Size of the picture, pixels.
    window_frames
        Frames of a window.
    grey_mean, grey_sd
        What the picture is standardised by.
    behavior_sd
        (3,) what pupil size, its change per second and running are divided by; not in the published files, so these
        are those of the public mice of 2023, and the middle one is a guess.
    pupil_mean, pupil_sd
        (2,) what the pupil's centre is standardised by; likewise.
    temporal_kernel
        Addition: weights of this frame and of those before it.
    frame_interval_s
        Between frames of a window, for the pupil's derivative.
    """

    readout_outputs: Neurons
    channels: Count = 64
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = 4
    input_kernel: OddTaps = 9
    hidden_kernel: OddTaps = 7
    linear: bool = False
    behavior: bool = False
    shifter: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    position_features: Count = 30
    rows: Pixels = 36
    columns: Pixels = 64
    window_frames: Frames = 16
    grey_mean: Number = 113.5
    grey_sd: Positive = 59.58
    behavior_sd: Annotated[tuple[Positive, ...], Field(min_length=3, max_length=3)] = (14.5, 8.0, 2.2)
    pupil_mean: Annotated[tuple[Number, ...], Field(min_length=2, max_length=2)] = (150.0, 150.0)
    pupil_sd: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=2)] = (5.5, 6.0)
    temporal_kernel: Annotated[tuple[Number, ...], Field(min_length=1, max_length=64)] = ADDED_KERNEL
    frame_interval_s: Positive = 2.0 / 30.0

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < self.input_kernel:
            raise ValueError("expected pictures as large as the first filters")

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of the core's feature maps: the picture less the border of the first filters."""
        return self.rows - self.input_kernel + 1, self.columns - self.input_kernel + 1


class Box(NamedTuple):
    """A part of a feature map: rows `top` to `bottom`, columns `left` to `right`, the ends not counted."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self, margin: int, size: tuple[int, int]) -> tuple[Box, tuple[int, int, int, int]]:
        """What a filter needs to see of a map to answer for this part of it.

        Parameters
        ----------
        margin
            Half the filter's side, less the pixel in its middle.
        size
            Rows and columns of the map.

        Returns
        -------
        tuple[Box, tuple[int, int, int, int]]
            The part that is there, and the zeros that belong left, right, above and below of it.
        """
        wanted = Box(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)
        there = Box(max(wanted.top, 0), min(wanted.bottom, size[0]), max(wanted.left, 0), min(wanted.right, size[1]))
        missing = (there.left - wanted.left, wanted.right - there.right)
        return there, (*missing, there.top - wanted.top, wanted.bottom - there.bottom)


class DepthSeparable(nn.Module):
    """Mixes channels, filters each of them in space, and mixes them again: (B, C, h, w) to (B, C, h, w)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.in_depth_conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.spatial_conv = nn.Conv2d(channels, channels, kernel, groups=channels, bias=False)
        self.out_depth_conv = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor, zeros: tuple[int, int, int, int]) -> torch.Tensor:
        return self.out_depth_conv(self.spatial_conv(F.pad(self.in_depth_conv(x), zeros)))


class Layer(nn.Module):
    """Filters, batch norm, and ELU where the core is not linear."""

    def __init__(self, config: Sensorium2022Config, first: bool) -> None:
        super().__init__()
        self.linear = config.linear
        if first:
            self.conv = nn.Conv2d(4 if config.behavior else 1, config.channels, config.input_kernel, bias=False)
        else:
            self.ds_conv = DepthSeparable(config.channels, config.hidden_kernel)
        self.norm = nn.BatchNorm2d(config.channels)

    def forward(self, x: torch.Tensor, zeros: tuple[int, int, int, int] | None) -> torch.Tensor:
        x = self.norm(self.conv(x) if zeros is None else self.ds_conv(x, zeros))
        return x if self.linear else F.elu(x)


class Core(nn.Module):
    """What all neurons share; computed only where a neuron looks."""

    def __init__(self, config: Sensorium2022Config) -> None:
        super().__init__()
        self.config = config
        self.features = nn.ModuleDict({f"layer{index}": Layer(config, index == 0) for index in range(config.layers)})

    def forward(self, pictures: torch.Tensor, box: Box) -> torch.Tensor:
        """The last feature map within a box.

        Parameters
        ----------
        pictures
            (B, channels, rows, columns).
        box
            The part of the map that is wanted.

        Returns
        -------
        torch.Tensor
            (B, features, box rows, box columns).
        """
        margin, zeros = self.config.hidden_kernel // 2, []
        for _ in range(self.config.layers - 1):
            box, missing = box.grown(margin, self.config.map_size)
            zeros.append(missing)
        border = self.config.input_kernel - 1
        x = pictures[:, :, box.top : box.bottom + border, box.left : box.right + border]
        for layer, around in zip(self.features.values(), [None, *reversed(zeros)], strict=True):
            x = layer(x, around)
        return x


class PointReadout(nn.Module):
    """One mouse's neurons, each at one point of the feature map."""

    source_grid: torch.Tensor
    gain: torch.Tensor

    def __init__(self, neurons: int, config: Sensorium2022Config) -> None:
        super().__init__()
        self.size = config.map_size
        self._features = nn.Parameter(torch.randn(1, config.channels, 1, neurons) / math.sqrt(config.channels))
        self.bias = nn.Parameter(torch.zeros(neurons))
        self.mu_transform = nn.Sequential(
            nn.Linear(2, config.position_features), nn.ELU(), nn.Linear(config.position_features, 2), nn.Tanh()
        )
        self.register_buffer("source_grid", torch.empty(neurons, 2).uniform_(-1, 1))
        self.register_buffer("gain", torch.ones(neurons))
        if config.shifter:
            sizes = (2, config.shifter, config.shifter, 2)
            layers = [part for size in pairwise(sizes) for part in (nn.Linear(*size), nn.Tanh())]
            self.mlp = nn.Sequential(*layers)

    def positions(self) -> torch.Tensor:
        """Where neurons look while the eye rests, (N, 2) row and column of the feature map, pixels."""
        return self._pixels(self.mu_transform(self.source_grid))

    def shifted(self, pupil: torch.Tensor) -> torch.Tensor:
        """Where they look with the pupil's centre (B, 2), standardised: (B, N, 2)."""
        return self._pixels(self.mu_transform(self.source_grid) + self.mlp(pupil)[:, None])

    def _pixels(self, points: torch.Tensor) -> torch.Tensor:
        """Column and row from -1 to 1 as row and column in pixels: -1 is the middle of the first, 1 of the last."""
        ends = points.new_tensor([length - 1.0 for length in self.size])
        return (points.flip(-1) + 1.0) / 2.0 * ends

    def box(self, positions: torch.Tensor) -> Box:
        """The smallest part of the map that bilinear sampling at these points looks at; one pixel at least."""
        limits = []
        for axis, length in enumerate(self.size):
            places = positions[..., axis].detach()
            first = min(max(int(places.min().floor()), 0), length - 1)
            limits += [first, min(max(int(places.max().floor()) + 2, first + 1), length)]
        return Box(*limits)

    def forward(self, x: torch.Tensor, positions: torch.Tensor, box: Box) -> torch.Tensor:
        """Drive of the neurons, before the last nonlinearity.

        Parameters
        ----------
        x
            (B, C, h, w) the map within the box.
        positions
            (N, 2), or (B, N, 2) where they move.
        box
            What part of the map that is.

        Returns
        -------
        torch.Tensor
            (B, N).
        """
        # A matrix product with dense weights, not `grid_sample`: its gradient is the same in every run on a GPU.
        axes = []
        for axis, (first, end) in enumerate(((box.top, box.bottom), (box.left, box.right))):
            pixels = torch.arange(first, end, device=x.device, dtype=x.dtype)
            axes.append((1.0 - (positions[..., axis, None] - pixels).abs()).clamp(min=0.0))
        weights = (axes[0][..., :, None] * axes[1][..., None, :]).flatten(-2)
        sampled = torch.matmul(x.flatten(2), weights.transpose(-1, -2))
        return (sampled * self._features[:, :, 0]).sum(dim=1) + self.bias


class Sensorium2022(Architecture):
    """The whole encoder for one or more mice: [B, 5, T, H, W] to [B, N, T]. It answers a picture, not a movie.

    The temporal kernel and the gain are additions, see the module.
    """

    config_class = Sensorium2022Config
    causal = True
    floats_per_pixel = 900
    preferred_cpu_chunk = 8

    config: Sensorium2022Config

    def __init__(self, config: Sensorium2022Config) -> None:
        super().__init__(config)
        self.core = Core(config)
        self.readouts = nn.ModuleList(PointReadout(n, config) for n in config.readout_outputs)

    def extra_repr(self) -> str:
        """Says what was added."""
        return additions(self.config.temporal_kernel, "of each neuron")

    @classmethod
    def input_size(cls, config: Sensorium2022Config) -> tuple[int, int, int]:
        """Rows, columns and frames of a window: positions are told in parts of the picture."""
        return config.rows, config.columns, config.window_frames

    def readout(self, mouse: int = 0) -> PointReadout:
        """The neurons of one mouse."""
        found = self.readouts[mouse]
        assert isinstance(found, PointReadout)
        return found

    @torch.no_grad()
    def centres(self, mouse: int = 0) -> torch.Tensor:
        """Where on the screen the neurons of a mouse look: (N, 2) row and column, pixels of the picture."""
        return self.readout(mouse).positions() + self.config.input_kernel // 2

    def fields(self, mouse: int = 0, level: float = 80.0) -> torch.Tensor:
        """Where the receptive fields of a mouse's neurons lie on a grey screen, by the squared gradient.

        Not quite where the readout looks: the core's features see beside their own place (in the published models about
        1 px above and 2 px right of it).

        Parameters
        ----------
        mouse
            Index of the readout.
        level
            Grey level of the screen.

        Returns
        -------
        torch.Tensor
            (N, 2) row and column of the centroids, pixels of the picture.
        """
        x = torch.full((1, 5, 1, self.config.rows, self.config.columns), level)
        x[:, 1:3] = 0.0
        x[:, 3:5] = torch.tensor(self.config.pupil_mean).view(2, 1, 1, 1)
        x.requires_grad_()
        centres = []
        for drive in self.drive(x, mouse).flatten():
            (gradient,) = torch.autograd.grad(drive, x, retain_graph=True)
            power = gradient[0, 0, 0].square()
            places = [torch.arange(float(length)) @ power.sum(1 - axis) for axis, length in enumerate(power.shape)]
            centres.append(torch.stack(places) / power.sum())
        return torch.stack(centres).detach()

    @torch.no_grad()
    def of_neurons(self, neurons: torch.Tensor, mouse: int = 0) -> Sensorium2022:
        """The same encoder with some neurons of one mouse.

        Parameters
        ----------
        neurons
            Their indices.
        mouse
            Index of the readout.

        Returns
        -------
        Sensorium2022
            In evaluation mode, with a copy of the weights.
        """
        part = Sensorium2022(replace(self.config, readout_outputs=(len(neurons),)))
        part.core.load_state_dict(self.core.state_dict())
        state = self.readout(mouse).state_dict()
        for name, axis in (("_features", 3), ("bias", 0), ("source_grid", 0), ("gain", 0)):
            state[name] = state[name].index_select(axis, neurons)
        part.readout().load_state_dict(state)
        return part.eval()

    def drive(self, x: torch.Tensor, mouse: int = 0) -> torch.Tensor:
        """Drive of the neurons by every frame alone: (B, 5, T, H, W) to (B, N, T)."""
        readout, frames = self.readout(mouse), x.shape[2]
        pictures = self._pictures(x).transpose(1, 2).flatten(0, 1)
        pupil = x[:, 3:5, :, 0, 0].transpose(1, 2).flatten(0, 1)
        place = None
        if not (torch.is_grad_enabled() and x.requires_grad):
            # Windows overlap and patches stand still: what was seen before is not computed again.
            size, seen = pictures.shape[1:], pictures.flatten(1)
            seen = torch.cat([seen, pupil], dim=1) if self.config.shifter else seen
            seen, place = torch.unique(seen, dim=0, return_inverse=True)
            pictures = seen[:, : size.numel()].unflatten(1, size)
            pupil = seen[:, size.numel() :]
        if self.config.shifter:
            mean, sd = (pupil.new_tensor(each) for each in (self.config.pupil_mean, self.config.pupil_sd))
            positions = readout.shifted((pupil - mean) / sd)
        else:
            positions = readout.positions()
        box = readout.box(positions)
        drive = readout(self.core(pictures, box), positions, box)
        drive = drive if place is None else drive[place]
        return drive.unflatten(0, (-1, frames)).transpose(1, 2)

    def _pictures(self, x: torch.Tensor) -> torch.Tensor:
        grey = (x[:, :1] - self.config.grey_mean) / self.config.grey_sd
        if not self.config.behavior:
            return grey
        pupil, running = x[:, 1:2], x[:, 2:3]
        change = torch.diff(pupil, dim=2, prepend=pupil[:, :, :1]) / self.config.frame_interval_s
        planes = zip((pupil, change, running), self.config.behavior_sd, strict=True)
        return torch.cat([grey, *(plane / sd for plane, sd in planes)], dim=1)

    def answer(self, drive: torch.Tensor, mouse: int = 0, step: int = 1) -> torch.Tensor:
        """Activity from the drive of single frames; before the first frame stood the first one.

        Parameters
        ----------
        drive
            (B, N, T).
        mouse
            Index of the readout.
        step
            Frames between two weights of the temporal kernel.

        Returns
        -------
        torch.Tensor
            (B, N, T) >= 0.
        """
        frames, kernel = drive.shape[2], self.config.temporal_kernel
        before = (len(kernel) - 1) * step
        past = torch.cat([drive[:, :, :1].expand(-1, -1, before), drive], dim=2)
        moved = torch.zeros_like(drive)
        for lag, weight in enumerate(kernel):
            first = before - lag * step
            moved = moved + weight * past[:, :, first : first + frames]
        return (F.elu(moved) + 1.0) * self.readout(mouse).gain[:, None]

    def forward(self, x: torch.Tensor, mouse: int = 0) -> torch.Tensor:
        return self.answer(self.drive(x, mouse), mouse)
