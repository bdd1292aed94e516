"""What an architecture is, a torch module that can be stored, opened again and trained; and every one by its name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar, cast

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ValidationError
from torch import nn

from napari_vidrecon.doors import Door
from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.settings import first_fault


@dataclass(frozen=True)
class ReadoutFit:
    """What a regression on a trained core's features found for each neuron: a map over space times one over features.

    Parameters
    ----------
    space
        (N, places), of length 1.
    features
        (N, channels): activity, in the neuron's standard deviations, that the features at `space` stand for.
    feature_mean
        (places, channels) mean features.
    response_mean, response_sd
        (N,) of the activity.
    """

    space: torch.Tensor
    features: torch.Tensor
    feature_mean: torch.Tensor
    response_mean: torch.Tensor
    response_sd: torch.Tensor


class Architecture(nn.Module):
    """Base of every architecture: what its mice share, and a readout for each of them.

    An architecture of one's own derives from it, gives `config_class`, and either `shared` with one module a mouse in
    `readouts`, or `forward`. Another package registers it in the entry-point group `napari_vidrecon.encoders`, under
    the name that encoder files call it by (docs/own_encoder.md). Weights of a mouse are called `readouts.INDEX.…`.

    Parameters
    ----------
    config
        Sizes, of `config_class`.

    Attributes
    ----------
    config_class
        The sizes: a pydantic model or dataclass, one field of which is `readout_outputs`, the neurons of each mouse.
    recipe_class
        How it is trained; None for an architecture that cannot be trained here.
    made_of
        Licence and citation of what it is built of, for the encoder's file; empty for this package's own.
    causal
        Whether it promises that a frame's activity does not depend on later frames of its window.
    floats_per_pixel
        Floats alive per input pixel of a window in a forward pass; for choosing how many windows go at once.
    preferred_cpu_chunk
        Windows at once that run fastest on a CPU.
    looks_at_points
        Each neuron looks at a point, which `look_at` sets before a training.
    """

    config_class: ClassVar[type]
    recipe_class: ClassVar[type[TrainingRecipe] | None] = None
    made_of: ClassVar[Mapping[str, str]] = {}
    causal: ClassVar[bool] = False
    floats_per_pixel: ClassVar[int] = 600
    preferred_cpu_chunk: ClassVar[int] = 2
    looks_at_points: ClassVar[bool] = False

    config: Any
    readouts: nn.ModuleList

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def input_size(cls, config: Any) -> tuple[int, int, int] | None:
        """Rows, columns and frames of a window where the sizes fix them; None where any will do."""
        return None

    def seen(self, x: torch.Tensor, mouse: int) -> torch.Tensor:
        """Inputs (B, 5, size, rows, columns) as one mouse sees them, before what all mice share; as they are here."""
        return x

    def shared(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What all readouts need, from (B, 5, size, rows, columns); windows are the first axis of each part."""
        # Not abstract: an architecture that writes `forward` whole has no such part.
        raise NotImplementedError

    def activity(self, shared: tuple[torch.Tensor, ...], mouse: int) -> torch.Tensor:
        """Activity (B, N, size) of one mouse's neurons."""
        return self.readouts[mouse](*shared)

    def forward(self, x: torch.Tensor, mouse: int = 0) -> torch.Tensor:
        """Activity (B, N, size) of one mouse's neurons for (B, 5, size, rows, columns)."""
        return self.activity(self.shared(self.seen(x, mouse)), mouse)

    def initialise(self, mean_responses: Sequence[torch.Tensor]) -> None:
        """First weights of a training; chance comes from torch's global generator, which the caller has seeded.

        Parameters
        ----------
        mean_responses
            (N,) of each mouse's neurons over its training trials.
        """

    def look_at(self, mouse: int, places: torch.Tensor) -> None:
        """Let one mouse's neurons begin at these places.

        Parameters
        ----------
        mouse
            Its index.
        places
            (N, 2) row and column, from -1 to 1 over the screen.
        """
        if self.looks_at_points:
            cast(Any, self.readouts[mouse]).look_at(places)

    @classmethod
    def map_of_features(cls, config: Any) -> tuple[int, int] | None:
        """Places and channels of the features (B, T, rows, columns, channels) that come first of `shared`.

        Returns
        -------
        tuple[int, int] | None
            None where no readout can start from a fit to them.
        """
        return None

    def start_readout(self, mouse: int, fit: ReadoutFit) -> None:
        """Take a readout's first weights from a fit to a trained core; asked for where `map_of_features` is known.

        Parameters
        ----------
        mouse
            Whose readout.
        fit
            To its training trials.
        """

    def penalty(self, recipe: Any) -> torch.Tensor | None:
        """What is added to the loss, by the weights in the recipe; None for nothing."""
        return None


SMALLEST_SD = 1e-9
"""Of behaviour that never changed."""


class SeesBehaviour(Architecture):
    """Base of this package's architectures to which behaviour is planes beside the movie.

    Their sizes name the means and standard deviations that pupil size, running, pupil x and y are standardised by.
    """

    behavior_mean: torch.Tensor
    behavior_sd: torch.Tensor
    own_behavior: torch.Tensor

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.register_buffer("behavior_mean", torch.tensor(config.behavior_mean))
        self.register_buffer("behavior_sd", torch.tensor(config.behavior_sd))
        own, each = torch.tensor(config.behavior_of_mice, dtype=self.behavior_mean.dtype), 2 * len(config.behavior_mean)
        if len(own) not in (0, each * len(config.readout_outputs)):
            raise ValueError(f"behavior_of_mice of {len(own)} numbers for {len(config.readout_outputs)} mice")
        # What the sizes tell is no weight.
        self.register_buffer("own_behavior", own.view(len(own) // each, 2, each // 2), persistent=False)

    def seen(self, x: torch.Tensor, mouse: int) -> torch.Tensor:
        """Inputs (B, 5, T, H, W) with the behaviour of one mouse on the scale that all mice share."""
        if not len(self.own_behavior):
            return x
        return torch.cat([x[:, :1], self.on_common_scale(x[:, 1:], mouse, axis=1)], dim=1)

    def on_common_scale(self, behavior: torch.Tensor, mouse: int, axis: int) -> torch.Tensor:
        """Behaviour of a mouse as if its camera and units were those of all mice together.

        Parameters
        ----------
        behavior
            Pupil size, running, pupil x and y along one axis.
        mouse
            Index of its readout.
        axis
            That axis.

        Returns
        -------
        torch.Tensor
            Of the same shape; the same one where nothing is known of the single mice.
        """
        if not len(self.own_behavior):
            return behavior
        mean, sd = self.own_behavior[mouse].to(behavior)
        standard = (behavior.movedim(axis, -1) - mean) / sd.clamp(min=SMALLEST_SD)
        return (standard * self.behavior_sd + self.behavior_mean).movedim(-1, axis)

    def planes_of(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised behaviour of model inputs (B, 5, T, H, W): (B, 4, T, H, W)."""
        shape = (1, -1, 1, 1, 1)
        return ((x[:, 1:] - self.behavior_mean.view(shape)) / self.behavior_sd.view(shape)).clamp(-4.0, 4.0)

    def initialise(self, mean_responses: Sequence[torch.Tensor]) -> None:
        """Make every untrained readout predict about its neurons' mean responses."""
        for readout, mean_response in zip(self.readouts, mean_responses, strict=True):
            readout.start_from_mean(mean_response)  # type: ignore[operator]

    def spread_of_readouts(self) -> torch.Tensor:
        """Mean absolute value of the readouts' features, over mice; a penalty on it makes them sparse."""
        return torch.stack([readout.features.abs().mean() for readout in self.readouts]).mean()  # type: ignore[operator]


def config_fields(config_class: type[Any]) -> set[str]:
    """Names of an architecture's sizes."""
    if issubclass(config_class, BaseModel):
        return set(config_class.model_fields)
    return {field.name for field in fields(config_class)}


def config_values(config: Any) -> dict[str, Any]:
    """Sizes as plain values, for JSON."""
    return config.model_dump() if isinstance(config, BaseModel) else asdict(config)


def roughness(filters: torch.Tensor) -> torch.Tensor:
    """Mean squared Laplacian of filters (C, 1, k, k); small where they are smooth."""
    kernel = filters.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return F.conv2d(filters, kernel[None, None], padding=1).square().mean()


def of_package(package: str, module: str, where_from: str) -> ModuleType:
    """A module of a package that somebody else makes, and that only one architecture needs.

    Parameters
    ----------
    package
        Its name.
    module
        Within it, with dots.
    where_from
        What to install, and whence, in words that follow "install it".

    Returns
    -------
    ModuleType
        Imported.

    Raises
    ------
    EncoderError
        It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(f"{package}.{module}")
    except ImportError as missing:
        raise EncoderError(
            f"expected the package {package}, found none that can be used ({one_line(missing, 100)}); "
            f"install it {where_from}"
        ) from None


OWN = "napari_vidrecon.encoders.architectures"
"""Room of those of this package."""
Checked = TypeVar("Checked")


class UnknownArchitecture(EncoderError):
    """Nobody here knows an architecture of this name."""


def own_names() -> list[str]:
    """The architectures of this package, in alphabetical order: each is a file of `architectures/`."""
    return sorted(each.name for each in pkgutil.iter_modules(importlib.import_module(OWN).__path__))


def architecture_named(name: str) -> type[Architecture]:
    """The class of an architecture; those of this package come first.

    Returns
    -------
    type[Architecture]
        Not yet built.

    Raises
    ------
    UnknownArchitecture
        There is none.
    EncoderError
        The package that brings it is broken; the message names it.
    """
    if name in own_names():
        module = importlib.import_module(f"{OWN}.{name}")
        return next(each for each in vars(module).values() if _is_architecture(each, module.__name__))
    found = DOOR.part(name)
    if found is None:
        raise UnknownArchitecture(f"architecture '{one_line(name, 60)}': expected one of {', '.join(own_names())}")
    return found


def all_architectures() -> dict[str, type[Architecture]]:
    """Every architecture that can be used, by name; a line says which packages are broken."""
    own = {name: architecture_named(name) for name in own_names()}
    return {**own, **DOOR.usable(own)}


def _is_architecture(value: Any, module: str | None = None) -> bool:
    """Whether something is an architecture, and of this module if one is named."""
    if not isinstance(value, type) or not issubclass(value, Architecture):
        return False
    return module is None or value.__module__ == module


DOOR: Door[type[Architecture]] = Door(
    "napari_vidrecon.encoders",
    "architecture",
    EncoderError,
    "a class derived from Architecture with a config_class",
    lambda found: _is_architecture(found) and isinstance(getattr(found, "config_class", None), type),
)


def checked(path: Path, what: str, build: Callable[..., Checked], values: dict[str, Any]) -> Checked:
    """Something built from values of a file, or one line that says which of them cannot be.

    Parameters
    ----------
    path
        The file.
    what
        What of it the values describe.
    build
        Takes them by name; raises pydantic's error or any other.
    values
        From outside.

    Returns
    -------
    Checked
        What `build` makes of them.

    Raises
    ------
    EncoderError
        A value is missing, unknown, of the wrong kind, or out of range.
    """
    try:
        return build(**values)
    except ValidationError as raised:
        raise EncoderError(f"{path}: {first_fault(raised, what)}") from None
    except EncoderError:
        raise
    except Exception as raised:  # noqa: BLE001  # sizes from outside misfit in every way there is
        raise EncoderError(
            f"{path}: its {what or 'description'} does not describe an encoder ({one_line(raised)})"
        ) from None


def build_module(path: Path, architecture: str, config: dict[str, Any]) -> Architecture:
    """An encoder of these sizes, its weights still by chance.

    Parameters
    ----------
    path
        The file that tells the sizes.
    architecture
        Its name.
    config
        The sizes.

    Returns
    -------
    Architecture
        On torch's default device.

    Raises
    ------
    EncoderError
        The sizes do not describe one.
    """
    found = architecture_named(architecture)
    return checked(path, "config", lambda **values: found(found.config_class(**values)), config)


def module_shapes(path: Path, architecture: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights that an encoder of these sizes has; none of them is allocated.

    Parameters
    ----------
    path
        File of the encoder, for the message.
    architecture
        Its name in the registry.
    config
        Sizes by name.

    Returns
    -------
    dict[str, tuple[int, ...]]
        {name: shape}.

    Raises
    ------
    EncoderError
        The sizes do not describe one.
    """
    with torch.device("meta"):
        module = build_module(path, architecture, config)
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
