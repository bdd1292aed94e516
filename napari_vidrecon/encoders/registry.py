"""Every architecture by its name: those of this package, and those that other packages register."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError

from napari_vidrecon.encoders import architectures
from napari_vidrecon.encoders.architecture import Architecture
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.storage.faults import first_fault

GROUP = "napari_vidrecon.encoders"
"""Entry points of it are classes derived from `Architecture`, by the name that encoder files call them by."""
Checked = TypeVar("Checked")
logger = logging.getLogger(__name__)


class UnknownArchitecture(EncoderError):
    """Nobody here knows an architecture of this name."""


def own_names() -> list[str]:
    """The architectures of this package, in alphabetical order: each is a file of `architectures/`."""
    return sorted(module.name for module in pkgutil.iter_modules(architectures.__path__))


def architecture_named(name: str) -> type[Architecture]:
    """The class of an architecture; those of this package come first.

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
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise UnknownArchitecture(f"architecture '{one_line(name, 60)}': expected one of {', '.join(own_names())}")
    if len(found) > 1:
        packages = " and ".join(sorted(map(_package, found)))
        raise EncoderError(f"architecture '{name}': expected one package that brings it, found {packages}; remove one")
    return _loaded(found[0])


def all_architectures() -> dict[str, type[Architecture]]:
    """Every architecture that can be used, by name; a line says which packages are broken."""
    names = dict.fromkeys([*own_names(), *sorted({each.name for each in entry_points(group=GROUP)})])
    usable = {}
    for name in names:
        try:
            usable[name] = architecture_named(name)
        except EncoderError as broken:
            logger.warning("%s", broken)
    return usable


def _loaded(entry: EntryPoint) -> type[Architecture]:
    """The class behind an entry point of another package, which may be broken in any way."""
    try:
        found = entry.load()
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # a stranger's code
        fault = f"{type(raised).__name__}: {one_line(raised, 200)}"
        raise EncoderError(
            f"architecture '{entry.name}': the package {_package(entry)} that brings it cannot be loaded ({fault}); "
            "repair, update or remove that package"
        ) from None
    if not _is_architecture(found) or not isinstance(getattr(found, "config_class", None), type):
        raise EncoderError(
            f"architecture '{entry.name}': expected {entry.value} of the package {_package(entry)} to be a class "
            f"derived from Architecture with a config_class, found {one_line(repr(found), 80)}; update or remove it"
        )
    return found


def _is_architecture(value: Any, module: str | None = None) -> bool:
    """Whether something is an architecture, and of this module if one is named."""
    if not isinstance(value, type) or not issubclass(value, Architecture):
        return False
    return module is None or value.__module__ == module


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


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

    Raises
    ------
    EncoderError
        The sizes do not describe one.
    """
    found = architecture_named(architecture)
    return checked(path, "config", lambda **values: found(found.config_class(**values)), config)


def module_shapes(path: Path, architecture: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights that an encoder of these sizes has; none of them is allocated.

    Raises
    ------
    EncoderError
        The sizes do not describe one.
    """
    with torch.device("meta"):
        module = build_module(path, architecture, config)
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
