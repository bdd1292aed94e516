"""A run of the window as a recipe, with the arrays it needs kept beside it; the texts are written elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import MaskError, RunError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.neurons import NeuronSet
from napari_vidrecon.reconstruction.scripts import OUT_FOLDER, Recipe, command_text, command_words, python_text
from napari_vidrecon.storage import write_array

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord

__all__ = [
    "MASK_SUFFIX",
    "NEURONS_SUFFIX",
    "STIMULUS_SUFFIX",
    "Recipe",
    "command_text",
    "command_words",
    "other_target_encoders",
    "python_text",
    "recipe_of_run",
    "recipe_of_settings",
]

MASK_SUFFIX, NEURONS_SUFFIX, STIMULUS_SUFFIX = ".mask.npy", ".neurons.npy", ".stimulus.npy"
TARGETS = ("recorded", "predicted", "permuted")


def recipe_of_run(record: RunRecord, beside: Path) -> Recipe:
    """The recipe of a run that was made.

    Parameters
    ----------
    record
        The run.
    beside
        A path without ending; a mask painted by hand and a list of neurons are kept in files of this name.

    Raises
    ------
    RunError
        It was changed while it went on, was made from given activity, or nothing tells where its session, encoders and
        decoder lie.
    StorageError
        The mask or the neurons cannot be written.
    """
    result = record.result
    changes = result.provenance.get("changes", [])
    if changes:
        told = ", ".join(f"{one_line(change['what'])} after step {change['after_step']}" for change in changes)
        raise RunError(f"{record.name}: was changed while it went on ({told}); press Rerun and copy the new run")
    if not record.settings.get("session") or not record.settings.get("encoders"):
        raise RunError(f"{record.name}: was made elsewhere, so its session and encoders are not known; press Rerun")
    if "decoder" in result.provenance and not record.settings.get("decoder"):
        raise RunError(f"{record.name}: nothing tells where its decoder lies; choose it under Data and press Rerun")
    kind = result.provenance.get("target", {}).get("kind", "recorded")
    if kind not in TARGETS:
        raise RunError(
            f"{record.name}: was made from activity of its own, which only its folder holds; "
            f"write its script with: vidrecon export {record.path or 'RUN.zarr'} --script repeat.py"
        )
    keep = NeuronSet(
        result.keep, result.provenance.get("neuron_reason", ""), result.provenance.get("neuron_details", {})
    )
    alpha = AlphaMask(result.alpha, str(record.settings.get("mask", "")))
    devices = result.provenance.get("devices") or ["auto"]
    return _recipe(
        record.settings,
        result.config,
        alpha,
        keep,
        beside,
        frames=len(result.video),
        shown=result.stimulus,
        ablation=result.provenance.get("ablation", "drop"),
        device=devices[0],
        stopped_after=None if result.finished else len(result.history),
        fingerprint=result.provenance.get("fingerprint", ""),
        target_encoders=other_target_encoders(result),
        simulated=bool(result.provenance.get("simulated")),
    )


def other_target_encoders(result: Reconstruction) -> tuple[Path, ...]:
    """Encoders that predicted the target of a run where they are others than those it was made with."""
    inputs = result.provenance.get("inputs") or {}
    found = inputs.get("target_encoders") or []
    if result.provenance.get("target", {}).get("kind") != "predicted" or found == inputs.get("encoders"):
        return ()
    return tuple(Path(path) for path in found)


def recipe_of_settings(model: ReconstructionModel, beside: Path) -> Recipe:
    """The recipe of the run that Start would make now; parameters and errors as for `recipe_of_run`."""
    if model.session is None or model.trial is None or model.neurons is None or not model.encoder_paths:
        raise RunError("copy: expected a session, a trial and an encoder, found none; choose them under Data")
    return _recipe(
        model.settings(),
        model.config,
        model.mask,
        model.neurons,
        beside,
        frames=model.trial.frames,
        shown=model.trial.video,
        ablation=model.ablation,
        device=model.device,
        simulated=model.trial.simulated,
    )


def _recipe(
    settings: dict[str, Any],
    config: ReconstructionConfig,
    mask: AlphaMask,
    neurons: NeuronSet,
    beside: Path,
    *,
    frames: int,
    shown: np.ndarray,
    target_encoders: tuple[Path, ...] = (),
    ablation: str,
    device: str,
    stopped_after: int | None = None,
    fingerprint: str = "",
    simulated: bool = False,
) -> Recipe:
    start, stop = settings["clip"]
    ablated = _random_choice(neurons)
    listed = ablated is None and not neurons.keep.all()
    return Recipe(
        session=Path(settings["session"]),
        trial=int(settings["trial"]),
        encoders=tuple(Path(path) for path in settings["encoders"]),
        target_encoders=target_encoders,
        decoder=Path(settings["decoder"]) if settings.get("decoder") else None,
        config=config,
        stimulus=_stimulus_file(settings.get("stimulus", ""), shown, beside),
        clip=None if (start, stop) == (0, None) else (start, start + frames),
        mask=_mask_file(mask, beside),
        neurons=_neurons_file(neurons, beside) if listed else None,
        ablated=ablated,
        neuron_reason=neurons.reason,
        target=settings["target"],
        ensemble="gradients" if settings["ensemble"] == "gradients" else "videos",
        ablation=ablation,
        training_threshold=float(settings["training_threshold"]),
        evaluation_threshold=float(settings["evaluation_threshold"]),
        device=device,
        mouse=settings.get("mouse"),
        stopped_after=stopped_after,
        fingerprint=fingerprint,
        simulated=simulated,
        out=OUT_FOLDER / beside.name,
    )


def _mask_file(mask: AlphaMask, beside: Path) -> Path | None:
    """The file a mask came from, if it still holds the same values; else a new one beside the run."""
    if np.array_equal(mask.alpha, AlphaMask.full().alpha):
        return None
    source = Path(mask.source)
    try:
        if mask.source and np.array_equal(AlphaMask.load(source).alpha, mask.alpha):
            return source
    except MaskError:
        pass  # painted, fitted, or changed since: its source says how it was made, not where it lies
    path = beside.with_name(beside.name + MASK_SUFFIX)
    mask.save(path)
    return path


def _stimulus_file(name: str, shown: np.ndarray, beside: Path) -> tuple[str, Path] | None:
    if not name:
        return None
    path = beside.with_name(beside.name + STIMULUS_SUFFIX)
    write_array(path, shown)
    return name, path


def _neurons_file(neurons: NeuronSet, beside: Path) -> Path:
    path = beside.with_name(beside.name + NEURONS_SUFFIX)
    write_array(path, neurons.keep)
    return path


def _random_choice(neurons: NeuronSet) -> tuple[float, int] | None:
    """Fraction and seed that draw exactly these neurons again, or None."""
    details = neurons.details
    if details.get("kind") != "random" or neurons.keep.all():
        return None
    fraction, seed = float(details["ablated_fraction"]), int(details["seed"])
    again = NeuronSet.random(len(neurons.keep), fraction, seed)
    return (fraction, seed) if np.array_equal(again.keep, neurons.keep) else None
