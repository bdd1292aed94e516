"""What the trainer has to know of an encoder's architecture, and nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon.encoders.compact import Compact, CompactConfig
from napari_vidrecon.encoders.dwiseneuro import DwiseNeuro, DwiseNeuroConfig
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.factorised import Factorised, FactorisedConfig
from napari_vidrecon.encoders.training.published_recipe import DwiseNeuroRecipe
from napari_vidrecon.encoders.training.recipe import FactorisedRecipe, Recipe, TrainingRecipe
from napari_vidrecon.encoders.training.samples import SampleStatistics
from napari_vidrecon.errors import EncoderError


class TrainableArchitecture(Protocol):
    """Builds a module from a recipe, and runs its shared part and its readouts apart.

    The module holds its sizes in `config` (a dataclass with `readout_outputs` and `as_dict`) and one readout a
    mouse in `readouts`, as the encoder files expect.
    """

    def canvas(self, rows: int, columns: int) -> Canvas:
        """The model's input for movies of this size, pixels."""

    def build(self, neurons: Sequence[int], canvas: Canvas, statistics: Sequence[SampleStatistics]) -> nn.Module:
        """An untrained module; chance comes from torch's global generator, which the caller has seeded.

        Parameters
        ----------
        neurons
            Of each mouse.
        canvas
            The model's input.
        statistics
            Of each mouse's training samples.
        """

    def shared(self, module: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What all readouts need, from (B, 5, size, rows, columns); windows are the first axis of each part."""

    def activity(self, module: Any, shared: tuple[torch.Tensor, ...], mouse: int) -> torch.Tensor:
        """Activity (B, N, size) of one mouse's neurons."""

    def penalty(self, module: Any) -> torch.Tensor | None:
        """What is added to the loss, or None."""


class CompactArchitecture:
    """The compact encoder on the movie's own pixels."""

    def __init__(self, recipe: TrainingRecipe) -> None:
        self.recipe = recipe

    def canvas(self, rows: int, columns: int) -> Canvas:
        """The movie itself."""
        return Canvas(rows, columns, rows, columns)

    def build(self, neurons: Sequence[int], canvas: Canvas, statistics: Sequence[SampleStatistics]) -> Compact:
        """An untrained encoder that predicts every neuron's mean."""
        recipe = self.recipe
        mean, sd = _behavior(statistics)
        module = Compact(
            CompactConfig(
                readout_outputs=tuple(neurons),
                rows=canvas.rows,
                columns=canvas.columns,
                frames=recipe.window_size,
                features=recipe.features,
                temporal_kernels=recipe.temporal_kernels,
                expansion_ratio=recipe.expansion_ratio,
                drop_rate=recipe.drop_rate,
                behavior_mean=mean,
                behavior_sd=sd,
            )
        )
        module.start_from_means([torch.as_tensor(each.response_mean) for each in statistics])
        return module

    def shared(self, module: Compact, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of the movie, and standardised behaviour."""
        behavior = (inputs[:, 1:].mean(dim=(3, 4)).transpose(1, 2) - module.behavior_mean) / module.behavior_sd
        return module.drop(module.features(inputs[:, 0])), behavior.clamp(-4.0, 4.0)

    def activity(self, module: Compact, shared: tuple[torch.Tensor, ...], mouse: int) -> torch.Tensor:
        """Activity of one mouse's neurons."""
        return module.readouts[mouse](*shared)

    def penalty(self, module: Compact) -> torch.Tensor | None:
        """Rough filters cost."""
        return self.recipe.smoothness * module.stem_roughness()


class DwiseNeuroArchitecture:
    """DwiseNeuro on its square canvas, with the published first weights."""

    def __init__(self, recipe: DwiseNeuroRecipe) -> None:
        self.recipe = recipe

    def canvas(self, rows: int, columns: int) -> Canvas:
        """The published 64 x 64 pixels, the movie in their middle.

        Raises
        ------
        EncoderError
            The movie is larger.
        """
        recipe = self.recipe
        if rows > recipe.canvas_rows or columns > recipe.canvas_columns:
            raise EncoderError(
                f"expected movies of at most {recipe.canvas_rows}x{recipe.canvas_columns} pixels, found "
                f"{rows}x{columns}; raise canvas_rows and canvas_columns"
            )
        return Canvas(recipe.canvas_rows, recipe.canvas_columns, rows, columns)

    def build(self, neurons: Sequence[int], canvas: Canvas, statistics: Sequence[SampleStatistics]) -> DwiseNeuro:
        """An untrained encoder; it takes raw grey levels and behaviour, so statistics are not used."""
        recipe = self.recipe
        names = set(DwiseNeuroConfig.__dataclass_fields__) & set(type(recipe).model_fields)
        sizes = {name: getattr(recipe, name) for name in names}
        module = DwiseNeuro(DwiseNeuroConfig(readout_outputs=tuple(neurons), **sizes))
        published_first_weights(module)
        return module

    def shared(self, module: DwiseNeuro, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The cortex's features."""
        return (module.features(inputs),)

    def activity(self, module: DwiseNeuro, shared: tuple[torch.Tensor, ...], mouse: int) -> torch.Tensor:
        """Activity of one mouse's neurons."""
        return module.readouts[mouse](*shared)

    def penalty(self, module: DwiseNeuro) -> torch.Tensor | None:
        """Nothing."""
        return None


class FactorisedArchitecture:
    """The factorised encoder on the movie's own pixels."""

    def __init__(self, recipe: FactorisedRecipe) -> None:
        self.recipe = recipe

    def canvas(self, rows: int, columns: int) -> Canvas:
        """The movie itself."""
        return Canvas(rows, columns, rows, columns)

    def build(self, neurons: Sequence[int], canvas: Canvas, statistics: Sequence[SampleStatistics]) -> Factorised:
        """An untrained encoder that predicts about every neuron's mean."""
        recipe = self.recipe
        mean, sd = _behavior(statistics)
        module = Factorised(
            FactorisedConfig(
                readout_outputs=tuple(neurons),
                channels=recipe.channels,
                spatial_kernels=recipe.spatial_kernels,
                temporal_kernels=recipe.temporal_kernels,
                spatial_strides=recipe.spatial_strides,
                first_spread=recipe.first_spread,
                behavior_mean=mean,
                behavior_sd=sd,
            )
        )
        for readout, each in zip(module.readouts, statistics, strict=True):
            readout.start_from_mean(torch.as_tensor(each.response_mean))  # type: ignore[operator]
        return module

    def shared(self, module: Factorised, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The core's features."""
        return (module.features(inputs),)

    def activity(self, module: Factorised, shared: tuple[torch.Tensor, ...], mouse: int) -> torch.Tensor:
        """Activity of one mouse's neurons."""
        return module.readouts[mouse](*shared)

    def penalty(self, module: Factorised) -> torch.Tensor | None:
        """Rough filters and spread-out readouts cost."""
        filters = module.first_filters()
        kernel = filters.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
        roughness = F.conv2d(filters, kernel[None, None], padding=1).square().mean()
        features = [readout.features.abs().mean() for readout in module.readouts]  # type: ignore[operator]
        sparsity = torch.stack(features).mean()
        return self.recipe.smoothness * roughness + self.recipe.readout_sparsity * sparsity


def architecture_of(recipe: Recipe) -> TrainableArchitecture:
    """How the recipe's architecture is trained.

    Raises
    ------
    EncoderError
        An architecture that cannot be trained here.
    """
    if isinstance(recipe, DwiseNeuroRecipe):
        return DwiseNeuroArchitecture(recipe)
    if isinstance(recipe, FactorisedRecipe):
        return FactorisedArchitecture(recipe)
    if isinstance(recipe, TrainingRecipe):
        return CompactArchitecture(recipe)
    raise EncoderError(f"architecture {recipe.architecture!r} cannot be trained without its TrainableArchitecture")


@torch.no_grad()
def published_first_weights(module: nn.Module) -> None:
    """Give a DwiseNeuro its published first weights: normal, scaled by the fan out (Baikulov 2023)."""
    for part in module.modules():
        if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            fan_out = math.prod(part.kernel_size) * part.out_channels // part.groups
            part.weight.normal_(0.0, math.sqrt(2.0 / fan_out))
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.weight.fill_(1.0)
            part.bias.zero_()


def _behavior(statistics: Sequence[SampleStatistics]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean = np.mean([each.behavior_mean for each in statistics], axis=0)
    sd = np.mean([each.behavior_sd for each in statistics], axis=0)
    return tuple(float(x) for x in mean), tuple(float(x) for x in sd)
