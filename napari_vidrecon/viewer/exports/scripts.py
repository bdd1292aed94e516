"""A run as text that repeats it with the same bits: a Python script, or one line for a terminal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon import __version__
from napari_vidrecon.errors import MaskError, RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.neurons import NeuronSet
from napari_vidrecon.storage import write_array

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord

MASK_SUFFIX, NEURONS_SUFFIX, STIMULUS_SUFFIX = ".mask.npy", ".neurons.npy", ".stimulus.npy"
STIMULUS_IMPORTS = (
    "from napari_vidrecon.sessions.stimuli.given_movie import GivenMovie",
    "from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial",
)
TARGETS = ("recorded", "predicted", "permuted")
OUT_FOLDER = Path("runs")
WHOLE_SCREEN = "none"
"""What the command calls a mask that leaves nothing out."""


@dataclass(frozen=True)
class Recipe:
    """Everything needed to repeat a run; arrays are named by the files that hold them.

    Parameters
    ----------
    session, encoders : where they lie.
    target_encoders : who predicted a predicted target; empty for the same encoders.
    decoder : file of the decoder it starts from, or None.
    trial : its id.
    clip : first frame and the frame after the last one, or None for the whole trial.
    stimulus : (name, file of the movie) of a stimulus that was shown instead of a trial, or None.
    mask : file of the alpha mask, or None for the whole screen.
    neurons : file of a boolean for each neuron, or None.
    ablated : (fraction, seed) of a random choice of neurons, or None.
    config, target, ensemble, ablation, training_threshold, evaluation_threshold : as in `reconstruct`.
    device, mouse : as in `load_encoder`; without `mouse` the readout with as many neurons as the session.
    stopped_after : steps done when it was stopped, or None if it was finished.
    fingerprint : of the run it repeats; empty if there is none yet.
    simulated : the mouse is a simulation.
    out : folder for the command's runs; one of its own, so that it meets no other run.
    """

    session: Path
    trial: int
    encoders: tuple[Path, ...]
    config: ReconstructionConfig
    target_encoders: tuple[Path, ...] = ()
    decoder: Path | None = None
    clip: tuple[int, int] | None = None
    stimulus: tuple[str, Path] | None = None
    mask: Path | None = None
    neurons: Path | None = None
    ablated: tuple[float, int] | None = None
    neuron_reason: str = ""
    target: str = "recorded"
    ensemble: str = "videos"
    ablation: str = "drop"
    training_threshold: float = 0.5
    evaluation_threshold: float = 1.0
    device: str = "auto"
    mouse: int | None = None
    stopped_after: int | None = None
    fingerprint: str = ""
    simulated: bool = False
    out: Path = OUT_FOLDER
    preset_changes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        preset = ReconstructionConfig.preset(self.config.preset_name)
        changes = {name: mine for name, (mine, _) in self.config.differences(preset).items()}
        object.__setattr__(self, "preset_changes", {"steps": self.config.steps, **changes})


def recipe_of_run(record: RunRecord, beside: Path) -> Recipe:
    """The recipe of a run that was made.

    Parameters
    ----------
    record : the run.
    beside : a path without ending; a mask painted by hand and a list of neurons are kept in files of this name.

    Raises
    ------
    RunError : it was changed while it went on, was made from given activity, or nothing tells where its session,
        encoders and decoder lie.
    StorageError : the mask or the neurons cannot be written.
    """
    result = record.result
    changes = result.provenance.get("changes", [])
    if changes:
        told = ", ".join(f"{change['what']} after step {change['after_step']}" for change in changes)
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


def python_text(recipe: Recipe) -> str:
    """A script that repeats the run through the public Python interface."""
    changes = "".join(f", {name}={value!r}" for name, value in recipe.preset_changes.items())
    animal = "simulated mouse, " if recipe.simulated else ""
    # The name of a stimulus may come from somebody's file: it stands in a value below, never in the text of a comment.
    clip = f"trial {recipe.trial:d}" if recipe.stimulus is None else "a stimulus"
    lines = [
        f'"""Repeat the reconstruction of {animal}{clip} (napari-vidrecon {__version__})."""',
        "",
        *(["import numpy as np"] if recipe.neurons or recipe.stimulus else []),
        "import napari_vidrecon as vr",
        *(STIMULUS_IMPORTS if recipe.stimulus else []),
        "",
        f"session = vr.open_session({str(recipe.session)!r})",
        *_python_trial(recipe),
        *_python_encoders("encoders", recipe.encoders, recipe),
        *(_python_encoders("target_encoders", recipe.target_encoders, recipe) if recipe.target_encoders else []),
        *([f"decoder = vr.Decoder.load({str(recipe.decoder)!r})"] if recipe.decoder else []),
        f"mask = vr.AlphaMask.load({str(recipe.mask)!r})" if recipe.mask else "mask = vr.AlphaMask.full()",
        f"config = vr.ReconstructionConfig.preset({recipe.config.preset_name!r}{changes})",
        *_python_neurons(recipe),
        "result = vr.reconstruct(",
        "    trial, encoders, mask, config,",
        f"    target={recipe.target!r}, ensemble={recipe.ensemble!r},",
        *(["    target_encoders=target_encoders,"] if recipe.target_encoders else []),
        *(["    decoder=decoder,"] if recipe.decoder else []),
        *(
            [f"    neurons=neurons, ablation={recipe.ablation!r},"]
            if recipe.neurons or recipe.ablated
            else [f"    ablation={recipe.ablation!r},"]
        ),
        f"    mask_threshold={recipe.training_threshold!r}, evaluation_threshold={recipe.evaluation_threshold!r},",
        *(
            [f"    on_step=lambda info: info.step < {recipe.stopped_after},  # the run was stopped there"]
            if recipe.stopped_after
            else []
        ),
        ")",
        f"result.save('{'stimulus' if recipe.stimulus else f'trial{recipe.trial}'}_again.zarr')",
        "print('video correlation', result.history.last('video_correlation'))",
    ]
    if recipe.fingerprint:
        lines.append(f"print('same inputs and settings:', result.provenance['fingerprint'] == {recipe.fingerprint!r})")
    return "\n".join(lines) + "\n"


def command_words(recipe: Recipe) -> list[str]:
    """The words of a command line that repeats the run.

    Raises
    ------
    RunError : it reconstructs a stimulus, which the command line cannot show.
    """
    if recipe.stimulus is not None:
        raise RunError(
            f"copy as command: expected a recorded trial, found a stimulus ({recipe.stimulus[0]}); copy it as Python"
        )
    config, changes = recipe.config, dict(recipe.preset_changes)
    steps = changes.pop("steps")
    words = ["vidrecon", "reconstruct", str(recipe.session), "--trial", str(recipe.trial)]
    if recipe.clip:
        words += ["--frames", "{}:{}".format(*recipe.clip)]
    for path in recipe.encoders:
        words += ["--encoder", str(path)]
    if recipe.mouse is not None:
        words += ["--mouse", str(recipe.mouse)]
    words += ["--mask", str(recipe.mask) if recipe.mask else WHOLE_SCREEN]
    words += ["--preset", config.preset_name, "--steps", str(steps)]
    if recipe.stopped_after is not None:
        words += ["--stop-after", str(recipe.stopped_after)]
    for name, value in changes.items():
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    words += ["--target", recipe.target]
    for path in recipe.target_encoders:
        words += ["--target-encoder", str(path)]
    if recipe.decoder:
        words += ["--decoder", str(recipe.decoder)]
    if recipe.ablated:
        words += ["--ablate", repr(recipe.ablated[0]), "--ablation-seed", str(recipe.ablated[1])]
    if recipe.neurons:
        words += ["--neurons", str(recipe.neurons)]
    words += ["--ablation", recipe.ablation, "--mask-threshold", repr(recipe.training_threshold)]
    words += ["--evaluation-threshold", repr(recipe.evaluation_threshold), "--ensemble", recipe.ensemble]
    fitted = (*recipe.encoders, *recipe.target_encoders, *([recipe.decoder] if recipe.decoder else []))
    if any(_is_for_another_mouse(path, recipe.session.name) for path in fitted):
        words.append("--force-mouse")
    return [*words, "--device", recipe.device, "--out", str(recipe.out)]


def command_text(recipe: Recipe) -> str:
    """One line for the terminal of this system."""
    words = command_words(recipe)
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _python_encoders(name: str, paths: tuple[Path, ...], recipe: Recipe) -> list[str]:
    mouse = "" if recipe.mouse is None else f", {recipe.mouse!r}"
    loaded = [
        f"    vr.load_encoder({str(path)!r}{mouse}, device={recipe.device!r}, neurons=session.n_neurons),"
        for path in paths
    ]
    return [f"{name} = [", *loaded, "]"]


def _python_trial(recipe: Recipe) -> list[str]:
    if recipe.stimulus is None:
        part = ".part({}, {})".format(*recipe.clip) if recipe.clip else ""
        return [f"trial = session.trial({recipe.trial}){part}"]
    name, movie = recipe.stimulus
    return [f"trial = stimulus_trial(GivenMovie({name!r}, np.load({str(movie)!r})), session)"]


def _python_neurons(recipe: Recipe) -> list[str]:
    if recipe.ablated:
        fraction, seed = recipe.ablated
        return [f"neurons = vr.NeuronSet.random(session.n_neurons, {fraction!r}, seed={seed})"]
    if recipe.neurons:
        return [f"neurons = vr.NeuronSet(np.load({str(recipe.neurons)!r}), {recipe.neuron_reason!r})"]
    return []


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


def _is_for_another_mouse(file: Path, session: str) -> bool:
    """Whether the file of an encoder or a decoder names its mice and the session is none of them.

    The command then wants to be told.
    """
    from safetensors import SafetensorError, safe_open

    if file.suffix != ".safetensors":
        return False
    try:
        with safe_open(str(file), framework="np") as stored:
            described = json.loads((stored.metadata() or {}).get("vidrecon", "{}"))
    except (SafetensorError, OSError, ValueError):
        return False
    named = [name for name in (*described.get("mice", []), described.get("mouse")) if name]
    return bool(named) and session not in named


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
