"""Every architecture by its name: from the sizes that a file gives to a module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from napari_vidrecon.encoders.compact import Compact, CompactConfig
from napari_vidrecon.encoders.dwiseneuro import DwiseNeuro, DwiseNeuroConfig
from napari_vidrecon.encoders.factorised import Factorised, FactorisedConfig
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.storage.faults import first_fault

CONFIGS: dict[str, Callable[..., Any]] = {
    "dwiseneuro": DwiseNeuroConfig,
    "compact": CompactConfig,
    "factorised": FactorisedConfig,
}
ARCHITECTURES: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "dwiseneuro": lambda config: DwiseNeuro(DwiseNeuroConfig(**config)),
    "compact": lambda config: Compact(CompactConfig(**config)),
    "factorised": lambda config: Factorised(FactorisedConfig(**config)),
}
Checked = TypeVar("Checked")


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


def module_shapes(path: Path, architecture: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights that an encoder of these sizes has; none of them is allocated.

    Raises
    ------
    EncoderError
        The sizes do not describe one.
    """
    with torch.device("meta"):
        module = checked(path, "config", lambda **values: ARCHITECTURES[architecture](values), config)
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
