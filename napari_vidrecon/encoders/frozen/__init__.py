"""Forms of encoders with frozen weights, and which module has one; a module itself does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from napari_vidrecon.encoders.architectures.compact import Compact
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro
from napari_vidrecon.encoders.frozen.folded_block import FoldedBlock
from napari_vidrecon.encoders.frozen.folded_compact import FoldedCompact
from napari_vidrecon.encoders.frozen.folded_dwiseneuro import FoldedDwiseNeuro


class FrozenForm(Protocol):
    """A module for one mouse with its weights frozen; several threads may call it at once."""

    takes_precision: bool
    """Whether it can compute in another precision than the module's."""

    @property
    def blocks(self) -> Sequence[FoldedBlock]:
        """Its inverted residuals, first first."""

    @classmethod
    def of(cls, module: Any, mouse: int = 0, precision: torch.dtype | None = None) -> FrozenForm:
        """The form of a module in evaluation mode; later changes of its weights do not follow.

        Parameters
        ----------
        module
            In evaluation mode, on the device wanted.
        mouse
            Index of its readout.
        precision
            To compute in; None for the module's own.

        Returns
        -------
        FrozenForm
            Of this mouse alone.
        """

    def __call__(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        """Activity of all neurons, or of those with the indices `neurons`; differentiable once, in `windows`."""


FORMS: dict[type[nn.Module], type[FrozenForm]] = {Compact: FoldedCompact, DwiseNeuro: FoldedDwiseNeuro}


def form_of(module: nn.Module) -> type[FrozenForm] | None:
    """How a module's weights are frozen; None where the module itself has to answer."""
    return FORMS.get(type(module))
