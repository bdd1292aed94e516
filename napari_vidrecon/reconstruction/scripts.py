"""A run to be repeated with the same bits, and the files that hold what no input of it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import MaskError, RunError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.provenance import Provenance
from napari_vidrecon.reconstruction.recipe import WHOLE_TRIAL, Recipe
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.storage import write_array

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

MASK_SUFFIX, NEURONS_SUFFIX = ".mask.npy", ".neurons.npy"
STIMULUS_SUFFIX, TARGET_SUFFIX = ".stimulus.npy", ".target.npy"
NEEDED = ("trial", "target", "mask_threshold", "evaluation_threshold")
"""What a run has to say before it can be repeated."""
OUT_FOLDER = Path("runs")


@dataclass(frozen=True)
class Script:
    """A run to be repeated, with the files that hold those of its arrays that no input of it holds.

    Parameters
    ----------
    recipe
        The run.
    run
        A saved run that holds mask, neurons, target and stimulus itself; then none of the files below is needed.
    mask
        File of the alpha mask, or None for the whole screen.
    neurons
        File of a boolean for each neuron, or None.
    ablated
        (fraction, seed) that draw the same neurons again, or None.
    stimulus, target
        Files of the movie that was shown instead of a trial, and of activity that was given, or None.
    stopped_after
        Steps done when it was stopped, or None if it was finished.
    fingerprint
        Of the run it repeats; empty if there is none yet.
    simulated
        The mouse is a simulation.
    out
        Folder for the command's runs; one of its own, so that it meets no other run.
    """

    recipe: Recipe
    run: Path | None = None
    mask: Path | None = None
    neurons: Path | None = None
    ablated: tuple[float, int] | None = None
    stimulus: Path | None = None
    target: Path | None = None
    stopped_after: int | None = None
    fingerprint: str = ""
    simulated: bool = False
    out: Path = OUT_FOLDER

    @property
    def preset_changes(self) -> dict[str, Any]:
        """The number of steps, and what else differs from the preset."""
        config = self.recipe.config
        preset = ReconstructionConfig.preset(config.preset_name)
        changes = {name: mine for name, (mine, _) in config.differences(preset).items()}
        return {"steps": config.steps, **changes}

    @property
    def ensemble(self) -> str:
        """As `reconstruct` takes it."""
        return "gradients" if self.recipe.ensemble == "gradients" else "videos"


def script_of_folder(result: Reconstruction, run: Path) -> Script:
    """The script of a saved run, which takes mask, neurons, target and stimulus from its folder.

    Returns
    -------
    Script
        As Python, or as a command.

    Raises
    ------
    RunError
        A published run, whose inputs are not known, or one that was changed while it went on.
    """
    told = Provenance.model_validate(result.provenance)
    if told.published or not told.fingerprint:
        raise RunError(f"{run}: expected a run of this program to repeat, found a published result")
    for name in NEEDED:
        if name not in told.model_fields_set:
            raise RunError(f"{run}: expected a run that says its {name}, found none of it")
    return _script(result, Recipe.of(result), str(run), run=run.absolute())


def script_of_run(result: Reconstruction, recipe: Recipe, name: str, beside: Path) -> Script:
    """The script of a run; what only the run holds is written into files.

    Parameters
    ----------
    result, recipe
        The run.
    name
        What to call it in messages.
    beside
        A path without ending; a mask painted by hand, a list of neurons, a stimulus and given activity are kept in
        files of this name.

    Returns
    -------
    Script
        As Python, or as a command.

    Raises
    ------
    RunError
        It was changed while it went on, or nothing tells where its session, encoders and decoder lie.
    StorageError
        A file cannot be written.
    """
    if not recipe.session or not recipe.encoders:
        raise RunError(f"{name}: was made elsewhere, so its session and encoders are not known; press Rerun")
    if recipe.decoder_content and not recipe.decoder:
        raise RunError(f"{name}: nothing tells where its decoder lies; choose it under What and press Rerun")
    neurons = NeuronSet(result.keep, recipe.neurons, recipe.neuron_details)
    files = _files(recipe, AlphaMask(result.own_alpha, recipe.mask), neurons, result.stimulus, result.target, beside)
    return _script(result, recipe, name, out=OUT_FOLDER / beside.name, **files)


def script_of_plan(recipe: Recipe, mask: AlphaMask, neurons: NeuronSet, trial: Trial, beside: Path) -> Script:
    """The script of a run that was not made yet; raises as `script_of_run`.

    Parameters
    ----------
    recipe
        The run.
    mask, neurons, trial
        What the recipe names, opened.
    beside
        A path without ending, for the files that are written.

    Returns
    -------
    Script
        As Python, or as a command.
    """
    files = _files(recipe, mask, neurons, trial.video, None, beside)
    return Script(_of_frames(recipe, trial.frames), simulated=trial.simulated, out=OUT_FOLDER / beside.name, **files)


def _script(result: Reconstruction, recipe: Recipe, name: str, **files: Any) -> Script:
    changes = result.provenance.get("changes", [])
    if changes:
        told = ", ".join(f"{one_line(each['what'])} after step {each['after_step']}" for each in changes)
        raise RunError(
            f"{name}: expected fixed settings to repeat, but it was changed while it went on ({told}); "
            "press Rerun, or make it anew, and copy the new run"
        )
    if recipe.neuron_weights:
        raise RunError(f"{name}: was made with a weight for each neuron, which only its caller knows")
    return Script(
        _of_frames(recipe, len(result.video)),
        stopped_after=None if result.finished else len(result.history),
        fingerprint=str(result.provenance.get("fingerprint", "")),
        simulated=bool(result.provenance.get("simulated")),
        **files,
    )


def _of_frames(recipe: Recipe, frames: int) -> Recipe:
    start, stop = recipe.frames
    return recipe if (start, stop) == WHOLE_TRIAL else recipe.changed(frames=(start, start + frames))


def _files(
    recipe: Recipe, mask: AlphaMask, neurons: NeuronSet, shown: np.ndarray, target: np.ndarray | None, beside: Path
) -> dict[str, Any]:
    def kept(suffix: str, array: np.ndarray | None) -> Path | None:
        if array is None:
            return None
        path = beside.with_name(beside.name + suffix)
        write_array(path, array)
        return path

    ablated = _random_choice(neurons)
    listed = ablated is None and not neurons.keep.all()
    return {
        "mask": _mask_file(mask, beside),
        "neurons": kept(NEURONS_SUFFIX, neurons.keep if listed else None),
        "ablated": ablated,
        "stimulus": kept(STIMULUS_SUFFIX, shown if recipe.stimulus else None),
        "target": kept(TARGET_SUFFIX, target if recipe.target == "given" else None),
    }


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


def _random_choice(neurons: NeuronSet) -> tuple[float, int] | None:
    """Fraction and seed that draw exactly these neurons again, or None."""
    details = neurons.details
    if details.get("kind") != "random" or neurons.keep.all():
        return None
    fraction, seed = float(details["ablated_fraction"]), int(details["seed"])
    again = NeuronSet.random(len(neurons.keep), fraction, seed)
    return (fraction, seed) if np.array_equal(again.keep, neurons.keep) else None
