"""What a person has to do before a run can start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_vidrecon.viewer.model import ReconstructionModel


def missing(model: ReconstructionModel) -> str:
    """The first thing that has to be done, and where; empty if nothing."""
    if model.session is None:
        return "Open a session first: press “Simulated mouse” or “Open session” under Data."
    if model.trial is None:
        return "Choose a trial first, under Data."
    if not model.encoder_paths:
        return "Choose an encoder first, under Data: tick one of the list or add a file."
    if model.stimulus is not None and model.target != "predicted":
        return (
            "No activity was recorded for a stimulus: choose the target “predicted activity” under Run, "
            "or a trial under Data."
        )
    if not model.trial.labelled and model.target != "predicted":
        return (
            f"The responses to trial {model.trial.id} are withheld (tier {model.trial.tier}): "
            "choose another trial under Data, or the target “predicted activity” under Run."
        )
    return ""
