"""Cores and readouts of the package `neuralpredictors`, which somebody has installed: the baselines of Sensorium 2023.

A core of the package (factorised 3-D, or 2-D frame by frame with a recurrent layer), its Gaussian readout for every
mouse, and its shifter by gaze. Weights have the package's names. What the package does not do is done here: grey
levels and behaviour are standardised, and a window begins with its first frame held, so that there is an answer to
every frame.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import SeesBehaviour, of_package, roughness
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import Channels, QuickRecipe, size_ratio, taps_on
from napari_vidrecon.encoders.windows import (
    CHECKED,
    Count,
    Counts,
    EightNumbersEach,
    FourDeviations,
    FourNumbers,
    Neurons,
    Number,
    OddTaps,
    Pixels,
    Positive,
    Stride,
    Taps,
)

PACKAGE = "neuralpredictors"
WHERE_FROM = "from its repository (sinzlab/neuralpredictors; 0.3.0 as released does not work with this Python)"
MADE_OF = {
    "licence": "MIT (neuralpredictors); weights and the data they were trained on have terms of their own",
    "citation": "Turishcheva et al. 2023 (Sensorium 2023), ecker-lab/sensorium_2023; sinzlab/neuralpredictors",
}
VIDEO_MEAN, VIDEO_SD = 115.0, 60.0
CoreKind = Literal["factorised_3d", "stacked_2d"]


@dataclass(frozen=True, config=CHECKED)
class NeuralPredictorsConfig:
    """Sizes of an encoder of the package's parts; the defaults are those of the baseline of Sensorium 2023.

    Parameters
    ----------
    readout_outputs
        Neurons of each mouse.
    rows, columns
        Of the screen, pixels.
    core
        Its Factorized3dCore, or its Stacked2dCore, which looks at each frame alone.
    behavior_channels
        Planes of behaviour that go into the core beside the movie: none, pupil size and running, or gaze too.
    channels
        Of each layer.
    input_kernel, hidden_kernel
        Side of the filters in the first layer and in the others, pixels.
    input_taps, hidden_taps
        Length of the filters in time, frames (factorised_3d).
    stride
        Step of the filters, pixels; of the 2-D core's first layer only.
    padded
        Maps are as large as the screen; otherwise the filters stay within it.
    gru_kernel
        Side of the filters of a convolutional GRU after the core; 0: none.
    shifter_layers, shifter_size
        Of the network by which gaze shifts where neurons look; 0: none.
    gaussian
        Of the readout's positions.
    video_mean, video_sd
        Used to standardise grey levels.
    behavior_mean, behavior_sd
        (4,) used to standardise pupil size, running, pupil x and y.
    behavior_of_mice
        Each mouse's own, where there are several: their cameras and units differ.
    """

    readout_outputs: Neurons
    rows: Pixels = 36
    columns: Pixels = 64
    core: CoreKind = "factorised_3d"
    behavior_channels: Literal[0, 2, 4] = 2
    channels: Annotated[Counts, Field(min_length=1)] = (32, 64, 128)
    input_kernel: OddTaps = 11
    hidden_kernel: OddTaps = 5
    input_taps: Taps = 11
    hidden_taps: Taps = 5
    stride: Stride = 1
    padded: bool = False
    gru_kernel: Annotated[int, Field(ge=0, le=63)] = 0
    shifter_layers: Annotated[int, Field(ge=0, le=16)] = 0
    shifter_size: Count = 5
    gaussian: Literal["full", "uncorrelated", "isotropic"] = "full"
    video_mean: Number = VIDEO_MEAN
    video_sd: Positive = VIDEO_SD
    behavior_mean: FourNumbers = (40.0, 0.5, 150.0, 150.0)
    behavior_sd: FourDeviations = (16.0, 2.0, 6.0, 6.0)
    behavior_of_mice: EightNumbersEach = ()

    @property
    def held_frames(self) -> int:
        """Frames that the core's filters in time take away from a clip."""
        if self.core == "stacked_2d":
            return 0
        return self.input_taps - 1 + (len(self.channels) - 1) * (self.hidden_taps - 1)


class GaussianReadout(nn.Module):
    """One mouse's neurons: the package's FullGaussian2d and, where gaze shifts it, its MLP; names are the package's.

    Parameters
    ----------
    neurons
        How many.
    map_shape
        Channels, rows and columns of the core's map.
    config
        Sizes.
    """

    response_scale: torch.Tensor

    def __init__(self, neurons: int, map_shape: tuple[int, int, int], config: NeuralPredictorsConfig) -> None:
        super().__init__()
        layer = of_package(PACKAGE, "layers.readouts", WHERE_FROM).FullGaussian2d
        self.points = layer(
            map_shape, neurons, bias=True, init_mu_range=0.3, init_sigma=0.2, gauss_type=config.gaussian
        )
        self.shifter = None
        if config.shifter_layers:
            shifter = of_package(PACKAGE, "layers.shifters.mlp", WHERE_FROM).MLP
            self.shifter = shifter(2, config.shifter_size, config.shifter_layers)
        self.register_buffer("response_scale", torch.ones(neurons))

    def look_at(self, places: torch.Tensor) -> None:
        """Begin at (N, 2) row and column from -1 to 1."""
        with torch.no_grad():
            self.points.mu.copy_(places.flip(1)[None, :, None])

    def forward(self, x: torch.Tensor, behavior: torch.Tensor) -> torch.Tensor:
        clips, _, frames = x.shape[:3]
        shift = None if self.shifter is None else self.shifter(behavior[..., 2:].flatten(0, 1))
        drive = self.points(x.transpose(1, 2).flatten(0, 1), shift=shift)
        activity = (F.elu(drive) + 1.0) * self.response_scale
        return activity.unflatten(0, (clips, frames)).transpose(1, 2)


class NeuralPredictorsRecipe(QuickRecipe):
    """A small one that learns from a small session on a CPU; the published sizes are `config_class`'s defaults.

    Source: Turishcheva et al. 2023 (Sensorium 2023).
    """

    architecture: Literal["neuralpredictors"] = Field("neuralpredictors", description="kind of encoder")
    core: CoreKind = Field("factorised_3d", description="core of the package")
    behavior_channels: Literal[0, 2, 4] = Field(2, description="planes of behaviour beside the movie")
    channels: Channels = Field((16, 32, 32), description="of each layer")
    input_kernel: int = Field(11, ge=1, le=255, description="of the first layer, pixels; odd")
    hidden_kernel: int = Field(5, ge=1, le=255, description="of the others, pixels; odd")
    input_taps: int = Field(5, ge=1, le=255, description="of the first layer, frames of the window")
    hidden_taps: int = Field(3, ge=1, le=255, description="of the others, frames of the window")
    stride: int = Field(2, ge=1, le=64, description="of the filters, pixels")
    padded: bool = Field(True, description="zeros around the screen, so that maps do not shrink")
    gru_kernel: int = Field(0, ge=0, le=63, description="of a recurrent layer after the core, pixels; 0: none")
    shifter_layers: int = Field(0, ge=0, le=16, description="of the network by which gaze shifts readouts; 0: none")
    gaussian: Literal["full", "uncorrelated", "isotropic"] = Field("full", description="of readout positions")
    smoothness: float = Field(0.05, ge=0, description="weight of the first filters' squared Laplacian")
    readout_sparsity: float = Field(2e-3, ge=0, description="weight of the readout features' mean absolute value")

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """First filters that see about as much of every screen, where their size is the usual one."""
        ratio = size_ratio(canvas)
        if ratio == 1.0 or self.input_kernel != NeuralPredictorsConfig((1,)).input_kernel:
            return {}
        return {"input_kernel": taps_on(self.input_kernel, ratio), "stride": self.stride if ratio >= 1 else 1}


class NeuralPredictors(SeesBehaviour):
    """The whole encoder for one or more mice: [B, 5, T, H, W] to [B, N, T]; `EncoderError` without the package."""

    config_class = NeuralPredictorsConfig
    recipe_class = NeuralPredictorsRecipe
    looks_at_points = True
    made_of = MADE_OF
    causal = True
    floats_per_pixel = 300
    preferred_cpu_chunk = 4

    config: NeuralPredictorsConfig

    def __init__(self, config: NeuralPredictorsConfig) -> None:
        super().__init__(config)
        with warnings.catch_warnings():
            # The package tells what its own defaults are.
            warnings.simplefilter("ignore")
            self.core, self.gru_module = _core(config), _gru(config)
            self.core.eval()
            with torch.no_grad():
                planes, frames = 1 + config.behavior_channels, config.held_frames + 1
                probe = torch.zeros(1, planes, frames, config.rows, config.columns)
                channels, _, *sides = self.core_map(probe).shape[1:]
            self.core.train()
            shape = (channels, sides[0], sides[1])
            self.readouts = nn.ModuleList(GaussianReadout(n, shape, config) for n in config.readout_outputs)

    def core_map(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the core, (B, C, T, H, W) to (B, C', T', h, w); a 3-D core takes frames away in front."""
        if self.config.core == "factorised_3d":
            return self.core(x)
        features = self.core(x.transpose(1, 2).flatten(0, 1))
        return features.unflatten(0, (len(x), -1)).transpose(1, 2)

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The core's features, and standardised behaviour (B, T, 4)."""
        video = (x[:, :1] - self.config.video_mean) / self.config.video_sd
        planes = self.planes_of(x)
        seen = torch.cat([video, planes[:, : self.config.behavior_channels]], dim=1)
        held = seen[:, :, :1].expand(-1, -1, self.config.held_frames, -1, -1)
        features = self.core_map(torch.cat([held, seen], dim=2))
        if self.gru_module is not None:
            features = _through(self.gru_module.gru, features)
        return features, planes.mean(dim=(3, 4)).transpose(1, 2)

    def initialise(self, mean_responses: Sequence[torch.Tensor]) -> None:
        """Readouts that predict about their neurons' mean responses, and look anywhere on the screen's middle."""
        for readout, mean_response in zip(self.readouts, mean_responses, strict=True):
            assert isinstance(readout, GaussianReadout)
            readout.response_scale.copy_(mean_response.clamp(min=1e-2))
            nn.init.normal_(readout.points._features, std=self.config.channels[-1] ** -0.5)

    def penalty(self, recipe: NeuralPredictorsRecipe) -> torch.Tensor:
        """Rough filters and spread-out readouts cost."""
        first = self.core.features[0]
        filters = first.conv_spatial.weight[:, :, 0] if self.config.core == "factorised_3d" else first.conv.weight
        features = [readout.points._features.abs().mean() for readout in self.readouts]  # type: ignore[union-attr, operator]
        return recipe.smoothness * roughness(filters[:, :1]) + recipe.readout_sparsity * torch.stack(features).mean()


def _core(config: NeuralPredictorsConfig) -> Any:
    inputs, layers = 1 + config.behavior_channels, len(config.channels)
    if config.core == "stacked_2d":
        return of_package(PACKAGE, "layers.cores", WHERE_FROM).Stacked2dCore(
            inputs,
            list(config.channels),
            config.input_kernel,
            config.hidden_kernel,
            layers=layers,
            input_stride=config.stride,
            pad_input=config.padded,
            hidden_padding=None if config.padded else 0,
            stack=-1,
        )
    return of_package(PACKAGE, "layers.cores.conv3d", WHERE_FROM).Factorized3dCore(
        inputs,
        list(config.channels),
        (config.input_kernel,) * 2,
        config.input_taps,
        (config.hidden_kernel,) * 2,
        config.hidden_taps,
        final_nonlin=True,
        layers=layers,
        stride=config.stride,
        padding=config.padded,
    )


def _gru(config: NeuralPredictorsConfig) -> Any:
    if not config.gru_kernel:
        return None
    module = of_package(PACKAGE, "layers.rnn_modules.gru_module", WHERE_FROM).GRU_Module
    width = config.channels[-1]
    return module(width, width, config.gru_kernel, config.gru_kernel)


def _through(cell: Any, x: torch.Tensor) -> torch.Tensor:
    """A recurrent cell over the frames of (B, C, T, h, w), from nothing; the package's loop is for float32 only."""
    state, states = torch.zeros_like(x[:, :, 0]), []
    for frame in x.unbind(2):
        state = cell(frame, state)
        states.append(state)
    return torch.stack(states, dim=2)
