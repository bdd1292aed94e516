"""A run's script as text: a Python script, or one line for a terminal.

What comes from a file stands in a text as a value only: as a Python literal, or as one quoted word of a command line.
"""

from __future__ import annotations

import math
import os
import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_vidrecon.errors import RunError, StorageError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.flat_names import spoken_in
from napari_vidrecon.reconstruction.masks import FULL_SCREEN
from napari_vidrecon.reconstruction.recipe import WHOLE_TRIAL, MouseRecipe, Recipe
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.scripts import Script, script_of_folder
from napari_vidrecon.storage import read_description, replacing_file
from napari_vidrecon.version import __version__

UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Kinds of characters that a terminal obeys instead of showing them."""
PLAIN_IN_WINDOWS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/\\=+-")
OBEYED_IN_WINDOWS = frozenset('%$`!^"')
"""Characters that a terminal of Windows obeys between quotes, too."""
LONGEST_SHOWN = 60


def literal(value: Any) -> str:
    """A plain value as Python text that means just this value.

    Parameters
    ----------
    value
        None, a truth value, a finite number, a text, a path, or a list or tuple of them.

    Returns
    -------
    str
        Nothing that runs.

    Raises
    ------
    RunError
        Any other value: its `repr` might be code.
    """
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, (list, tuple)):
        parts = ", ".join(map(literal, value))
        return f"[{parts}]" if isinstance(value, list) else f"({parts}{',' * (len(value) == 1)})"
    plain = value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
    if not plain:
        raise RunError(f"script: expected a plain value, found {one_line(repr(value), LONGEST_SHOWN)}")
    return repr(value)


def shell_word(word: str) -> str:
    """One word for bash and zsh; what a terminal would obey when it is pasted is written as numbers."""
    if not any(unicodedata.category(each) in UNSHOWN for each in word):
        return shlex.quote(word)
    shown = range(ord(" "), ord("~") + 1)
    escaped = (
        chr(code) if code in shown and chr(code) not in "'\\" else f"\\x{code:02x}"
        for code in word.encode("utf-8", "surrogateescape")
    )
    return "$'" + "".join(escaped) + "'"


def windows_word(word: str) -> str:
    """One word for the terminals of Windows.

    Returns
    -------
    str
        Quoted where it must be.

    Raises
    ------
    RunError
        It holds a character that means something between quotes, too.
    """
    if OBEYED_IN_WINDOWS.intersection(word) or any(unicodedata.category(each) in UNSHOWN for each in word):
        raise RunError(
            f"copy as command: expected names that a terminal takes as they are, found "
            f"{one_line(repr(word), LONGEST_SHOWN)}; copy it as Python"
        )
    if word and PLAIN_IN_WINDOWS.issuperset(word):
        return word
    backslashes = len(word) - len(word.rstrip("\\"))
    return f'"{word}{chr(92) * backslashes}"'


def python_text(script: Script) -> str:
    """A script that repeats the run through the public Python interface."""
    return "\n".join([*_python_head(script), *_python_inputs(script), *_python_run(script)]) + "\n"


def _python_head(script: Script) -> list[str]:
    recipe = script.recipe
    # The name of a stimulus may come from somebody's file: it stands in a value below, never in the text of a comment.
    clip = "a stimulus" if recipe.stimulus else f"trial {recipe.trial:d}"
    animal = "simulated mouse, " if script.simulated else ""
    unknown = [
        *_if(not (recipe.session and recipe.encoders), "Where the session and the encoders lie is not known"),
        *_if(recipe.decoder_content and not recipe.decoder, "Where its decoder lies is not known"),
        *_if(not all(map(_is_known, recipe.mice)), "Where the other mice lie is not known"),
    ]
    needs_numpy = recipe.mice or script.run or script.neurons or script.stimulus or script.target
    return [
        f'"""Repeat the reconstruction of {animal}{clip} (napari-vidrecon {__version__}).',
        "",
        "Usage: python SCRIPT [SESSION ENCODER [ENCODER ...]]",
        *(f"{each}: write it below." for each in unknown),
        '"""',
        "",
        "import sys",
        "",
        *_if(needs_numpy, "import numpy as np", ""),
        "import napari_vidrecon as vr",
        "",
    ]


def _python_inputs(script: Script) -> list[str]:
    recipe = script.recipe
    return [
        f"SESSION = {literal(recipe.session)}",
        f"ENCODERS = {literal(list(recipe.encoders))}",
        *_if(recipe.target_encoders, f"TARGET_ENCODERS = {literal(list(recipe.target_encoders))}"),
        *_if(recipe.decoder_content, f"DECODER = {literal(recipe.decoder)}"),
        *_python_mice(recipe),
        *_if(script.run, f"RUN = {literal(script.run)}"),
        "",
        *_if(script.run, "saved = vr.Reconstruction.load(RUN)"),
        "session = vr.open_session(sys.argv[1] if len(sys.argv) > 1 else SESSION)",
        f"trial = {_python_trial(script)}",
        "",
        "",
        "def load(file):",
        f"    return vr.load_encoder(file, {_python_loading(recipe)}neurons=session.n_neurons)",
        "",
        "",
        *_if(recipe.mice, *_PYTHON_ANOTHER),
    ]


def _python_run(script: Script) -> list[str]:
    recipe = script.recipe
    changes = "".join(f", {name}={_literal_setting(value)}" for name, value in script.preset_changes.items())
    saved_as = "stimulus" if recipe.stimulus else f"trial{recipe.trial:d}"
    same = f"print('same inputs and settings:', result.provenance['fingerprint'] == {literal(script.fingerprint)})"
    stop = f"    on_step=lambda info: info.step < {literal(script.stopped_after)},  # the run was stopped there"
    return [
        f"config = vr.ReconstructionConfig.preset({literal(recipe.config.preset_name)}{changes})",
        "result = vr.reconstruct(",
        "    trial,",
        "    [load(file) for file in sys.argv[2:] or ENCODERS],",
        f"    {_python_mask(script)},",
        "    config,",
        f"    target={_python_target(script)},",
        *_if(recipe.target_encoders, "    target_encoders=[load(file) for file in TARGET_ENCODERS],"),
        *_if(recipe.decoder_content, "    decoder=vr.Decoder.load(DECODER),"),
        *_if(recipe.repeats, f"    repeats=vr.repeats_of(session, trial, {literal(list(recipe.repeats))}),"),
        *_if(recipe.mice, "    with_mice=[another(*each) for each in MICE],"),
        *_python_neurons(script),
        f"    ablation={literal(recipe.ablation)},",
        f"    mask_threshold={literal(recipe.mask_threshold)},",
        f"    evaluation_threshold={literal(recipe.evaluation_threshold)},",
        f"    ensemble={literal(script.ensemble)},",
        *_if(script.stopped_after, stop),
        ")",
        *_if(not script.run, f"result.save('{saved_as}_again.zarr')"),
        *_if(script.fingerprint, same),
        *_if(script.run, *_PYTHON_LARGEST),
        "print('video correlation', result.history.last('video_correlation'))",
    ]


_PYTHON_LARGEST = [
    "largest = float(np.abs(result.video - saved.video).max())",
    "print(f'largest difference to the saved movie: {largest:g} grey levels')",
]
"""Says how far a saved movie is from the new one."""


def _if(wanted: object, *lines: str) -> tuple[str, ...]:
    """These lines, or none."""
    return lines if wanted else ()


def _literal_setting(value: Any) -> str:
    """The value of a setting as Python text; those of a prior are pairs."""
    return f"dict({literal(list(value.items()))})" if isinstance(value, dict) else literal(value)


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


def _python_mice(recipe: Recipe) -> list[str]:
    if not recipe.mice:
        return []
    listed = [[each.session, each.trial, list(each.encoders), each.mouse, _mask_of(each)] for each in recipe.mice]
    return [
        f"DEVICE = {literal(recipe.device)}",
        "# Of each further mouse: session, trial, encoders, readout, mask.",
        f"MICE = {literal(listed)}",
    ]


def _mask_of(mouse: MouseRecipe) -> str:
    """File of its mask; empty for the whole screen."""
    return "" if mouse.mask == FULL_SCREEN else mouse.mask


def _is_known(mouse: MouseRecipe) -> bool:
    return bool(mouse.session and mouse.encoders and mouse.mask)


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


WHOLE_SCREEN = "none"
"""What the command calls a mask that leaves nothing out."""


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


def _mice_words(mice: Sequence[MouseRecipe]) -> list[str]:
    """As the command takes them: everything of one mouse, then everything of the next."""
    words: list[str] = []
    for mouse in mice:
        words += ["--with-mouse", mouse.session, "--with-trial", str(mouse.trial)]
        words += [each for path in mouse.encoders for each in ("--with-encoder", path)]
        words += ["--with-mask", _mask_of(mouse) or WHOLE_SCREEN]
    return words


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
