"""Every architecture by its name: those of this package, and those that other packages register."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError

from napari_vidrecon.doors import Door
from napari_vidrecon.encoders import architectures
from napari_vidrecon.encoders.architecture import Architecture
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.settings import first_fault

Checked = TypeVar("Checked")


class UnknownArchitecture(EncoderError):
    """Nobody here knows an architecture of this name."""


def own_names() -> list[str]:
    """The architectures of this package, in alphabetical order: each is a file of `architectures/`."""
    return sorted(module.name for module in pkgutil.iter_modules(architectures.__path__))


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
        module = importlib.import_module(f"{architectures.__name__}.{name}")
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
