"""What the trainer has to know of an encoder's architecture; and the recipes that go by a name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from napari_vidrecon.encoders.architecture import (
    Architecture,
    UnknownArchitecture,
    all_architectures,
    architecture_named,
    config_fields,
)
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training.samples import SampleStatistics
from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.errors import ConfigError, EncoderError


class TrainableArchitecture(Protocol):
    """Builds a module from a recipe, and runs its shared part and its readouts apart.

    The module holds its sizes in `config` (a dataclass or pydantic model with `readout_outputs`) and one readout a
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
        """Activity of one mouse's neurons.

        Parameters
        ----------
        module
            The encoder.
        shared
            What the part that all mice share made of the inputs.
        mouse
            Index of the readout.

        Returns
        -------
        torch.Tensor
            (B, N, size) >= 0.
        """

    def penalty(self, module: Any) -> torch.Tensor | None:
        """What is added to the loss, or None."""


class RegisteredArchitecture:
    """A registered architecture, trained by a recipe: its sizes are the recipe's fields of the same names.

    Parameters
    ----------
    architecture
        Its class.
    recipe
        Every setting.
    """

    def __init__(self, architecture: type[Architecture], recipe: TrainingRecipe) -> None:
        self.architecture, self.recipe = architecture, recipe

    def canvas(self, rows: int, columns: int) -> Canvas:
        """As the recipe says."""
        return self.recipe.canvas(rows, columns)

    def build(self, neurons: Sequence[int], canvas: Canvas, statistics: Sequence[SampleStatistics]) -> Architecture:
        """An untrained encoder with its first weights.

        Parameters
        ----------
        neurons
            Of each mouse.
        canvas
            The pixel grid it works on.
        statistics
            Of each mouse's samples; empty for none.

        Returns
        -------
        Architecture
            In training mode, on the CPU.
        """
        told = {
            **dict(self.recipe),
            **self.recipe.sizes_on(canvas),
            "readout_outputs": tuple(neurons),
            "rows": canvas.rows,
            "columns": canvas.columns,
            "colours": max(1, len(canvas.colours)),
            "frames": self.recipe.window_size,
        }
        if statistics:
            told["behavior_mean"] = _mean([each.behavior_mean for each in statistics])
            told["behavior_sd"] = _mean([each.behavior_sd for each in statistics])
        if len(statistics) > 1:
            # Cameras and units differ from mouse to mouse: the pupils of two would lie far beyond a mean of both.
            own = [np.concatenate([each.behavior_mean, each.behavior_sd]) for each in statistics]
            told["behavior_of_mice"] = tuple(float(value) for value in np.concatenate(own))
        names = config_fields(self.architecture.config_class)
        sizes = {name: value for name, value in told.items() if name in names}
        module = self.architecture(self.architecture.config_class(**sizes))
        module.initialise([torch.as_tensor(each.response_mean) for each in statistics])
        return module

    def shared(self, module: Architecture, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What all readouts need."""
        return module.shared(inputs)

    def activity(self, module: Architecture, shared: tuple[torch.Tensor, ...], mouse: int) -> torch.Tensor:
        """Activity of one mouse's neurons."""
        return module.activity(shared, mouse)

    def penalty(self, module: Architecture) -> torch.Tensor | None:
        """The module's own."""
        return module.penalty(self.recipe)


def _mean(values: Sequence[np.ndarray]) -> tuple[float, ...]:
    return tuple(float(each) for each in np.mean(values, axis=0))


def architecture_of(recipe: TrainingRecipe) -> TrainableArchitecture:
    """How the recipe's architecture is trained.

    Returns
    -------
    TrainableArchitecture
        With the recipe's numbers.

    Raises
    ------
    EncoderError
        An architecture that cannot be trained here.
    """
    try:
        return RegisteredArchitecture(architecture_named(recipe.architecture), recipe)
    except UnknownArchitecture:
        raise EncoderError(
            f"architecture {recipe.architecture!r} cannot be trained without its TrainableArchitecture"
        ) from None


def recipe_of(architecture: str) -> type[TrainingRecipe]:
    """The class of an architecture's recipes.

    Returns
    -------
    type[TrainingRecipe]
        To be filled with settings.

    Raises
    ------
    ConfigError
        An architecture that cannot be trained here.
    EncoderError
        The package that brings it is broken.
    """
    try:
        recipe = architecture_named(architecture).recipe_class
    except UnknownArchitecture:
        recipe = None
    if recipe is None:
        known = [name for name, each in all_architectures().items() if each.recipe_class is not None]
        raise ConfigError(f"architecture {architecture!r}: expected one of {', '.join(known)}")
    return recipe


def named_recipe(name: str) -> tuple[str, dict[str, Any]]:
    """Architecture of a recipe, and its settings that differ from the defaults.

    Returns
    -------
    tuple[str, dict[str, Any]]
        E.g. "dwiseneuro" and {"batch_size": 24}.

    Raises
    ------
    ConfigError
        No recipe goes by this name.
    """
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for architecture, each in all_architectures().items():
        for called, settings in each.recipe_class.named.items() if each.recipe_class else ():
            known.setdefault(called, (architecture, settings))
    if name not in known:
        close = difflib.get_close_matches(name, known, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"
        raise ConfigError(f"recipe {name}: expected name=value, or the name of a recipe; {hint}")
    architecture, settings = known[name]
    return architecture, dict(settings)
