"""What the window needs a run to say, on top of what every run is held against when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.provenance import (
    LARGEST_WHOLE_NUMBER,
    Provenance,
    Threshold,
    ToldNeurons,
    WholeNumber,
)
from napari_vidrecon.settings import first_fault


class ShownNeurons(ToldNeurons):
    """How the neurons were chosen, with a seed that a control of the window can show."""

    seed: int | None = Field(None, ge=0, le=LARGEST_WHOLE_NUMBER)


class ToldByRun(Provenance):
    """A run that can be put on the board: its trial and both thresholds are told.

    Parameters
    ----------
    trial
        Its id.
    mask_threshold
        Least alpha of pixels that were reconstructed.
    evaluation_threshold
        Least alpha of pixels that were measured.
    neuron_details
        How the neurons were chosen.
    """

    trial: WholeNumber
    mask_threshold: Threshold
    evaluation_threshold: Threshold
    neuron_details: ShownNeurons = ShownNeurons()


def check_told(provenance: Any, path: Path) -> None:
    """Refuse a run whose provenance cannot be.

    Parameters
    ----------
    provenance
        Of the run, as it was read.
    path
        Its folder, for the message.

    Raises
    ------
    RunError
        One line that says which value, what was expected and what was found.
    """
    try:
        ToldByRun.model_validate(provenance)
    except ValidationError as error:
        raise RunError(f"{path}: expected a complete run, found a damaged one ({first_fault(error)})") from None
