"""Core and readout of the package `openretina`, which somebody has installed: cells of the retina, two colours.

Its convolutional core (separable in space and time) and its Gaussian-mask readout for every recording. Weights have the
package's names. What the package does not do is done here: colours are unstacked, grey levels are standardised, and a
window begins with its first frame held, so that there is an answer to every frame. The core's later layers look ahead,
as published, so the encoder is not causal. Behaviour does not come into it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture, of_package
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training_recipe import Channels, LayerTaps, QuickRecipe
from napari_vidrecon.encoders.windows import CHECKED, Colours, Counts, Neurons, Number, Pixels, Positive, Taps
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.storage import reading

PACKAGE, WHERE_FROM = "openretina", "with pip install 'napari-vidrecon[openretina]'"
MADE_OF = {
    "licence": "MIT (openretina); weights and the data they were trained on have terms of their own",
    "citation": "open-retina, doi 10.5281/zenodo.14988814; Hoefling et al. 2024, doi 10.7554/eLife.86860",
}
VIDEO_MEAN, VIDEO_SD = 115.0, 60.0
Kernels = Annotated[tuple[Taps, ...], Field(min_length=1, max_length=16)]


@dataclass(frozen=True, config=CHECKED)
class OpenRetinaConfig:
    """Sizes of an encoder of the package's parts; the defaults are those of Hoefling et al. 2024, low resolution.

    Parameters
    ----------
    readout_outputs
        Cells of each recording.
    rows, columns
        Of the movie, all colours together, pixels.
    colours
        How many of them stand one below the other.
    channels
        Of each layer.
    spatial_kernels
        Side of the filters of each layer, pixels.
    temporal_kernels
        Their length, frames.
    positive
        Weights of the readout are not negative.
    mean_scale, variance_scale
        Units of the masks' places and of the logarithm of their variance.
    video_mean, video_sd
        Used to standardise grey levels.
    """

    readout_outputs: Neurons
    rows: Pixels = 36
    columns: Pixels = 16
    colours: Colours = 2
    channels: Annotated[Counts, Field(min_length=1, max_length=16)] = (16, 32)
    spatial_kernels: Kernels = (11, 5)
    temporal_kernels: Kernels = (21, 11)
    positive: bool = True
    mean_scale: Positive = 6.0
    variance_scale: Positive = 4.0
    video_mean: Number = VIDEO_MEAN
    video_sd: Positive = VIDEO_SD

    def __post_init__(self) -> None:
        if self.rows % self.colours:
            raise ValueError(f"expected rows for {self.colours} colours, found {self.rows}")

    @property
    def held_frames(self) -> int:
        """Frames that the core's first layer takes away from a clip."""
        return self.temporal_kernels[0] - 1


class MaskReadout(nn.Module):
    """One recording's cells: the package's GaussianMaskReadout, and the units of the recorded activity.

    Parameters
    ----------
    cells
        How many.
    map_shape
        Channels, frames, rows and columns of the core's map.
    config
        Sizes.
    """

    response_scale: torch.Tensor

    def __init__(self, cells: int, map_shape: tuple[int, ...], config: OpenRetinaConfig) -> None:
        super().__init__()
        layer = of_package(PACKAGE, "modules.readout.factorized_gaussian", WHERE_FROM).GaussianMaskReadout
        self.masks = layer(
            map_shape,
            cells,
            gaussian_mean_scale=config.mean_scale,
            gaussian_var_scale=config.variance_scale,
            positive=config.positive,
            scale=True,
        )
        self.register_buffer("response_scale", torch.ones(cells))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.masks(x) * self.response_scale).transpose(1, 2)


class OpenRetinaRecipe(QuickRecipe):
    """A small one that learns from a small recording on a CPU; the published sizes are `config_class`'s defaults.

    Source: Hoefling et al. 2024 (doi 10.7554/eLife.86860).
    """

    architecture: Literal["openretina"] = Field("openretina", description="kind of encoder")
    window_size: int = Field(20, ge=2, le=512, description="frames an encoder sees at once")
    window_step: int = Field(1, ge=1, le=512, description="distance between them, in frames at 30 Hz")
    channels: Channels = Field((12, 16), description="of each layer")
    spatial_kernels: LayerTaps = Field((7, 3), description="of each layer, pixels")
    temporal_kernels: LayerTaps = Field((15, 5), description="of each layer, frames of the window")
    positive: bool = Field(True, description="readout weights are not negative")
    readout_sparsity: float = Field(1e-3, ge=0, description="weight of the readout features' mean absolute value")

    def sizes_on(self, canvas: Canvas) -> dict[str, Any]:
        """The sizes are those that were chosen."""
        return {}


class OpenRetina(Architecture):
    """The whole encoder for one or more recordings: [B, 5, T, H, W] to [B, N, T]; needs the package."""

    config_class = OpenRetinaConfig
    recipe_class = OpenRetinaRecipe
    made_of = MADE_OF
    floats_per_pixel = 200
    preferred_cpu_chunk = 8

    config: OpenRetinaConfig

    def __init__(self, config: OpenRetinaConfig) -> None:
        super().__init__(config)
        core = of_package(PACKAGE, "modules.core.base_core", WHERE_FROM).SimpleCoreWrapper
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.core = core(
                (config.colours, *config.channels),
                config.temporal_kernels,
                config.spatial_kernels,
                gamma_input=0.0,
                gamma_temporal=0.0,
                gamma_in_sparse=0.0,
                gamma_hidden=0.0,
                cut_first_n_frames=0,
            )
            self.core.eval()
            with torch.no_grad():
                plane = config.rows // config.colours
                probe = torch.zeros(1, config.colours, config.held_frames + 1, plane, config.columns)
                shape = tuple(self.features(probe).shape[1:])
            self.core.train()
            self.readouts = nn.ModuleList(MaskReadout(n, shape, config) for n in config.readout_outputs)

    def features(self, movie: torch.Tensor) -> torch.Tensor:
        """Features of the core, (B, colours, T, H, W) standardised to (B, C, T', h, w)."""
        found = self.core(movie)
        for layer in self.core.features:
            # The package keeps what it computed last; that would keep the graph, too.
            layer.conv.conv = layer.conv.weight = layer.conv.weight_temporal = None
        return found

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The core's features; behaviour is not looked at."""
        movie = (x[:, 0] - self.config.video_mean) / self.config.video_sd
        colours = torch.stack(movie.chunk(self.config.colours, dim=2), dim=1)
        held = colours[:, :, :1].expand(-1, -1, self.config.held_frames, -1, -1)
        return (self.features(torch.cat([held, colours], dim=2)),)

    def initialise(self, mean_responses: Sequence[torch.Tensor]) -> None:
        """Readouts that predict about their cells' mean responses."""
        for readout, mean_response in zip(self.readouts, mean_responses, strict=True):
            assert isinstance(readout, MaskReadout)
            readout.response_scale.copy_(mean_response.clamp(min=1e-2))

    def penalty(self, recipe: OpenRetinaRecipe) -> torch.Tensor:
        """Spread-out readouts cost."""
        features = [readout.masks.features.abs().mean() for readout in self.readouts]  # type: ignore[union-attr, operator]
        return recipe.readout_sparsity * torch.stack(features).mean()


def adopted(model: Any, rows: int, columns: int, *, mean: float = VIDEO_MEAN, sd: float = VIDEO_SD) -> OpenRetina:
    """A model that the package itself has opened, as an encoder; `save_encoder` writes it to a file.

    Parameters
    ----------
    model
        With a SimpleCoreWrapper as `core`, and a MultiGaussianMaskReadout as `readout`.
    rows, columns
        Of one colour, pixels.
    mean, sd
        Grey levels that the model's input was standardised by.

    Returns
    -------
    OpenRetina
        With a readout for each of the model's sessions, in their order.

    Raises
    ------
    EncoderError
        The package is missing, or the model is of other parts.
    """
    named = type(model).__name__
    if type(getattr(model, "core", None)).__name__ != "SimpleCoreWrapper" or not isinstance(
        model.readout, nn.ModuleDict
    ):
        raise EncoderError(f"{named}: expected a SimpleCoreWrapper as core and a readout for each session")
    layers = list(model.core.features)
    readouts: Mapping[str, Any] = dict(model.readout.items())
    first = next(iter(readouts.values()))
    config = OpenRetinaConfig(
        tuple(int(each.outdims) for each in readouts.values()),
        rows=rows * layers[0].conv.in_channels,
        columns=columns,
        colours=layers[0].conv.in_channels,
        channels=tuple(layer.conv.out_channels for layer in layers),
        spatial_kernels=tuple(layer.conv.spatial_kernel_size for layer in layers),
        temporal_kernels=tuple(layer.conv.temporal_kernel_size for layer in layers),
        positive=bool(first.positive),
        mean_scale=float(first.gaussian_mean_scale),
        variance_scale=float(first.gaussian_var_scale),
        video_mean=mean,
        video_sd=sd,
    )
    module = OpenRetina(config)
    further = (model.core._downsample_input_kernel_size, model.core.color_squashing_layer)
    if repr(module.core.features) != repr(model.core.features) or any(each is not None for each in further):
        raise EncoderError(f"{named}: expected a core without pooling, padding or squashed colours, found another")
    with reading(named, EncoderError, "weights of the sizes that it tells"):
        module.core.load_state_dict(model.core.state_dict())
        for mine, theirs in zip(module.readouts, readouts.values(), strict=True):
            mine.masks.load_state_dict(theirs.state_dict())  # type: ignore[union-attr]
    return module.eval()
