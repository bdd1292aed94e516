"""A run as text that repeats it with the same bits: a Python script, or one line for a terminal.

What comes from a file stands in a text as a value only: as a Python literal, or as one quoted word of a command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import MaskError, RunError, StorageError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.flat_names import spoken_in
from napari_vidrecon.reconstruction.masks import FULL_SCREEN, AlphaMask
from napari_vidrecon.reconstruction.provenance import Provenance
from napari_vidrecon.reconstruction.quoting import literal, shell_word, windows_word
from napari_vidrecon.reconstruction.recipe import WHOLE_TRIAL, MouseRecipe, Recipe
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.storage import read_description, replacing_file, write_array
from napari_vidrecon.version import __version__

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.sessions.trial import Trial

MASK_SUFFIX, NEURONS_SUFFIX = ".mask.npy", ".neurons.npy"
STIMULUS_SUFFIX, TARGET_SUFFIX = ".stimulus.npy", ".target.npy"
NEEDED = ("trial", "target", "mask_threshold", "evaluation_threshold")
"""What a run has to say before it can be repeated."""
OUT_FOLDER = Path("runs")
WHOLE_SCREEN = "none"
"""What the command calls a mask that leaves nothing out."""


def _literal_setting(value: Any) -> str:
    """The value of a setting as Python text; those of a prior are pairs."""
    return f"dict({literal(list(value.items()))})" if isinstance(value, dict) else literal(value)


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


def python_text(script: Script) -> str:
    """A script that repeats the run through the public Python interface."""
    recipe = script.recipe
    changes = "".join(f", {name}={_literal_setting(value)}" for name, value in script.preset_changes.items())
    # The name of a stimulus may come from somebody's file: it stands in a value below, never in the text of a comment.
    clip = "a stimulus" if recipe.stimulus else f"trial {recipe.trial:d}"
    saved_as = "stimulus" if recipe.stimulus else f"trial{recipe.trial:d}"
    animal = "simulated mouse, " if script.simulated else ""
    unknown = [
        *([] if recipe.session and recipe.encoders else ["Where the session and the encoders lie is not known"]),
        *(["Where its decoder lies is not known"] if recipe.decoder_content and not recipe.decoder else []),
        *(["Where the other mice lie is not known"] if not all(map(_is_known, recipe.mice)) else []),
    ]
    needs_numpy = recipe.mice or script.run or script.neurons or script.stimulus or script.target
    lines = [
        f'"""Repeat the reconstruction of {animal}{clip} (napari-vidrecon {__version__}).',
        "",
        "Usage: python SCRIPT [SESSION ENCODER [ENCODER ...]]",
        *(f"{each}: write it below." for each in unknown),
        '"""',
        "",
        "import sys",
        "",
        *(["import numpy as np", ""] if needs_numpy else []),
        "import napari_vidrecon as vr",
        "",
        f"SESSION = {literal(recipe.session)}",
        f"ENCODERS = {literal(list(recipe.encoders))}",
        *([f"TARGET_ENCODERS = {literal(list(recipe.target_encoders))}"] if recipe.target_encoders else []),
        *([f"DECODER = {literal(recipe.decoder)}"] if recipe.decoder_content else []),
        *_python_mice(recipe),
        *([f"RUN = {literal(script.run)}"] if script.run else []),
        "",
        *(["saved = vr.Reconstruction.load(RUN)"] if script.run else []),
        "session = vr.open_session(sys.argv[1] if len(sys.argv) > 1 else SESSION)",
        f"trial = {_python_trial(script)}",
        "",
        "",
        "def load(file):",
        f"    return vr.load_encoder(file, {_python_loading(recipe)}neurons=session.n_neurons)",
        "",
        "",
        *(_PYTHON_ANOTHER if recipe.mice else []),
        f"config = vr.ReconstructionConfig.preset({literal(recipe.config.preset_name)}{changes})",
        "result = vr.reconstruct(",
        "    trial,",
        "    [load(file) for file in sys.argv[2:] or ENCODERS],",
        f"    {_python_mask(script)},",
        "    config,",
        f"    target={_python_target(script)},",
        *(["    target_encoders=[load(file) for file in TARGET_ENCODERS],"] if recipe.target_encoders else []),
        *(["    decoder=vr.Decoder.load(DECODER),"] if recipe.decoder_content else []),
        *([f"    repeats=vr.repeats_of(session, trial, {literal(list(recipe.repeats))}),"] if recipe.repeats else []),
        *(["    with_mice=[another(*each) for each in MICE],"] if recipe.mice else []),
        *_python_neurons(script),
        f"    ablation={literal(recipe.ablation)},",
        f"    mask_threshold={literal(recipe.mask_threshold)},",
        f"    evaluation_threshold={literal(recipe.evaluation_threshold)},",
        f"    ensemble={literal(script.ensemble)},",
        *(
            [f"    on_step=lambda info: info.step < {literal(script.stopped_after)},  # the run was stopped there"]
            if script.stopped_after
            else []
        ),
        ")",
        *([] if script.run else [f"result.save('{saved_as}_again.zarr')"]),
        *(
            [f"print('same inputs and settings:', result.provenance['fingerprint'] == {literal(script.fingerprint)})"]
            if script.fingerprint
            else []
        ),
        *(
            [
                "largest = float(np.abs(result.video - saved.video).max())",
                "print(f'largest difference to the saved movie: {largest:g} grey levels')",
            ]
            if script.run
            else []
        ),
        "print('video correlation', result.history.last('video_correlation'))",
    ]
    return "\n".join(lines) + "\n"


def write_script(result: Reconstruction, run: Path, path: Path) -> Path:
    """Write the script of a saved run.

    Parameters
    ----------
    result
        The run.
    run
        Its folder; the script reads mask, neurons and target from it.
    path
        Ends in .py.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RunError
        A published run, or one that was changed while it went on.
    StorageError
        Another ending, or it cannot be written.
    """
    if path.suffix != ".py":
        raise StorageError(f"{path}: expected a script's name ending in .py, found '{path.suffix}'")
    text = python_text(script_of_folder(result, run))
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def command_words(script: Script) -> list[str]:
    """The words of a command line that repeats the run.

    Returns
    -------
    list[str]
        "vidrecon" first.
    """
    recipe, changes = script.recipe, script.preset_changes
    steps = changes.pop("steps")
    # A name that begins with a dash would be an option.
    session = f"./{recipe.session}" if recipe.session.startswith("-") else recipe.session
    words = ["vidrecon", "reconstruct", session]
    if script.stimulus:
        words += ["--stimulus", str(script.stimulus), "--stimulus-name", recipe.stimulus]
    else:
        words += ["--trial", str(recipe.trial)]
    if recipe.repeats:
        words += ["--repeats", ",".join(map(str, recipe.repeats))]
    words += _mice_words(recipe.mice)
    if recipe.frames != WHOLE_TRIAL:
        words += ["--frames", "{}:{}".format(*recipe.frames)]
    for path in recipe.encoders:
        words += ["--encoder", path]
    if recipe.mouse is not None:
        words += ["--mouse", str(recipe.mouse)]
    words += ["--mask", str(script.mask) if script.mask else WHOLE_SCREEN]
    words += ["--preset", recipe.config.preset_name, "--steps", str(steps)]
    if script.stopped_after is not None:
        words += ["--stop-after", str(script.stopped_after)]
    for name, value in _single(recipe.config, changes).items():
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    words += ["--target", str(script.target) if script.target else recipe.target]
    for path in recipe.target_encoders:
        words += ["--target-encoder", path]
    if recipe.decoder:
        words += ["--decoder", recipe.decoder]
    if script.ablated:
        words += ["--ablate", repr(script.ablated[0]), "--ablation-seed", str(script.ablated[1])]
    if script.neurons:
        words += ["--neurons", str(script.neurons)]
    words += ["--ablation", recipe.ablation, "--mask-threshold", repr(recipe.mask_threshold)]
    words += ["--evaluation-threshold", repr(recipe.evaluation_threshold), "--ensemble", script.ensemble]
    if recipe.precision != "float32":
        words += ["--precision", recipe.precision]
    fitted = (*recipe.encoders, *recipe.target_encoders, *([recipe.decoder] if recipe.decoder else []))
    of_mice = [(path, Path(mouse.session).name) for mouse in recipe.mice for path in mouse.encoders]
    pairs = [*((path, Path(recipe.session).name) for path in fitted), *of_mice]
    if any(_is_for_another_mouse(Path(path), name) for path, name in pairs):
        words.append("--force-mouse")
    return [*words, "--device", recipe.device, "--out", str(script.out)]


def _single(config: ReconstructionConfig, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as the command line names them: those of a part by a name with a dot."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= {f"prior.{inner}": each for inner, each in value.items()}
        else:
            found[spoken_in(config, name)] = value
    return found


def command_text(script: Script) -> str:
    """One line for the terminal of this system.

    Returns
    -------
    str
        Words quoted where they must be.

    Raises
    ------
    RunError
        A terminal of Windows takes no quotes for one of its names.
    """
    quoted = windows_word if os.name == "nt" else shell_word
    return " ".join(map(quoted, command_words(script)))


def _python_loading(recipe: Recipe) -> str:
    mouse = "" if recipe.mouse is None else f"{literal(recipe.mouse)}, "
    precision = "" if recipe.precision == "float32" else f"precision={literal(recipe.precision)}, "
    return f"{mouse}device={literal(recipe.device)}, {precision}"


def _python_trial(script: Script) -> str:
    recipe = script.recipe
    if recipe.stimulus:
        movie = "saved.stimulus" if script.run else f"np.load({literal(script.stimulus)})"
        shown = f"vr.stimulus_trial(vr.GivenMovie({literal(recipe.stimulus)}, {movie}), session)"
    else:
        shown = f"session.trial({literal(recipe.trial)})"
    return shown if recipe.frames == WHOLE_TRIAL else f"{shown}.part({', '.join(map(literal, recipe.frames))})"


_PYTHON_ANOTHER = [
    "def another(folder, number, encoders, readout, mask):",
    "    theirs = vr.open_session(folder)",
    "    opened = [vr.load_encoder(file, readout, device=DEVICE, neurons=theirs.n_neurons) for file in encoders]",
    "    alpha = vr.AlphaMask.load(mask) if mask else vr.AlphaMask(np.ones(theirs.screen.size_px))",
    "    return vr.mouse_that_saw(trial, theirs, opened, alpha, screen=session.screen, trial_id=number)",
    "",
    "",
]
"""Opens a further mouse of a run."""


def _mask_of(mouse: MouseRecipe) -> str:
    """File of its mask; empty for the whole screen."""
    return "" if mouse.mask == FULL_SCREEN else mouse.mask


def _is_known(mouse: MouseRecipe) -> bool:
    return bool(mouse.session and mouse.encoders and mouse.mask)


def _python_mice(recipe: Recipe) -> list[str]:
    if not recipe.mice:
        return []
    listed = [[each.session, each.trial, list(each.encoders), each.mouse, _mask_of(each)] for each in recipe.mice]
    return [
        f"DEVICE = {literal(recipe.device)}",
        "# Of each further mouse: session, trial, encoders, readout, mask.",
        f"MICE = {literal(listed)}",
    ]


def _mice_words(mice: Sequence[MouseRecipe]) -> list[str]:
    """As the command takes them: everything of one mouse, then everything of the next."""
    words: list[str] = []
    for mouse in mice:
        words += ["--with-mouse", mouse.session, "--with-trial", str(mouse.trial)]
        words += [each for path in mouse.encoders for each in ("--with-encoder", path)]
        words += ["--with-mask", _mask_of(mouse) or WHOLE_SCREEN]
    return words


def _python_mask(script: Script) -> str:
    if script.run:
        return "vr.AlphaMask(saved.own_alpha)" if script.recipe.mice else "vr.AlphaMask(saved.alpha)"
    return f"vr.AlphaMask.load({literal(script.mask)})" if script.mask else "vr.AlphaMask.full()"


def _python_target(script: Script) -> str:
    if script.recipe.target != "given":
        return literal(script.recipe.target)
    return "saved.target" if script.run else f"np.load({literal(script.target)})"


def _python_neurons(script: Script) -> list[str]:
    if script.run:
        return ["    neurons=saved.keep,"]
    if script.ablated:
        fraction, seed = map(literal, script.ablated)
        return [f"    neurons=vr.NeuronSet.random(session.n_neurons, {fraction}, seed={seed}),"]
    if script.neurons:
        return [f"    neurons=vr.NeuronSet(np.load({literal(script.neurons)}), {literal(script.recipe.neurons)}),"]
    return []


def _is_for_another_mouse(file: Path, session: str) -> bool:
    """Whether the file of an encoder or a decoder names its mice and the session is none of them.

    The command then wants to be told.

    Returns
    -------
    bool
        False where the file cannot be read, or names none.
    """
    if file.suffix != ".safetensors":
        return False
    try:
        described = read_description(file)
    except StorageError:
        return False
    mice = described.get("mice")
    named = [name for name in (*(mice if isinstance(mice, (list, dict)) else []), described.get("mouse")) if name]
    return bool(named) and session not in named
