"""A run as text that repeats it with the same bits: a Python script, or one line for a terminal.

What comes from a file stands in a text as a value only: as a Python literal, or as one quoted word of a command line.
"""

from __future__ import annotations

import math
import os
import shlex
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_vidrecon.errors import RunError, StorageError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.storage import read_description
from napari_vidrecon.version import __version__

STIMULUS_IMPORTS = (
    "from napari_vidrecon.sessions.stimuli.given_movie import GivenMovie",
    "from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial",
)
OUT_FOLDER = Path("runs")
WHOLE_SCREEN = "none"
"""What the command calls a mask that leaves nothing out."""
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


@dataclass(frozen=True)
class Recipe:
    """Everything needed to repeat a run; arrays are named by the files that hold them.

    Parameters
    ----------
    session, encoders
        Where they lie.
    trial
        Its id.
    config, target, ensemble, ablation, training_threshold, evaluation_threshold
        As in `reconstruct`.
    target_encoders
        Who predicted a predicted target; empty for the same encoders.
    decoder
        File of the decoder it starts from, or None.
    clip
        First frame and the frame after the last one, or None for the whole trial.
    stimulus
        (name, file of the movie) of a stimulus that was shown instead of a trial, or None.
    mask
        File of the alpha mask, or None for the whole screen.
    neurons
        File of a boolean for each neuron, or None.
    ablated
        (fraction, seed) of a random choice of neurons, or None.
    neuron_reason
        How the neurons were chosen, in words; a comment of the script.
    device, mouse
        As in `load_encoder`; without `mouse` the readout with as many neurons as the session.
    stopped_after
        Steps done when it was stopped, or None if it was finished.
    fingerprint
        Of the run it repeats; empty if there is none yet.
    simulated
        The mouse is a simulation.
    out
        Folder for the command's runs; one of its own, so that it meets no other run.
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


def python_text(recipe: Recipe) -> str:
    """A script that repeats the run through the public Python interface."""
    changes = "".join(f", {name}={literal(value)}" for name, value in recipe.preset_changes.items())
    thresholds = literal(recipe.training_threshold), literal(recipe.evaluation_threshold)
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
        f"session = vr.open_session({literal(recipe.session)})",
        *_python_trial(recipe),
        *_python_encoders("encoders", recipe.encoders, recipe),
        *(_python_encoders("target_encoders", recipe.target_encoders, recipe) if recipe.target_encoders else []),
        *([f"decoder = vr.Decoder.load({literal(recipe.decoder)})"] if recipe.decoder else []),
        f"mask = vr.AlphaMask.load({literal(recipe.mask)})" if recipe.mask else "mask = vr.AlphaMask.full()",
        f"config = vr.ReconstructionConfig.preset({literal(recipe.config.preset_name)}{changes})",
        *_python_neurons(recipe),
        "result = vr.reconstruct(",
        "    trial, encoders, mask, config,",
        f"    target={literal(recipe.target)}, ensemble={literal(recipe.ensemble)},",
        *(["    target_encoders=target_encoders,"] if recipe.target_encoders else []),
        *(["    decoder=decoder,"] if recipe.decoder else []),
        *(
            [f"    neurons=neurons, ablation={literal(recipe.ablation)},"]
            if recipe.neurons or recipe.ablated
            else [f"    ablation={literal(recipe.ablation)},"]
        ),
        f"    mask_threshold={thresholds[0]}, evaluation_threshold={thresholds[1]},",
        *(
            [f"    on_step=lambda info: info.step < {literal(recipe.stopped_after)},  # the run was stopped there"]
            if recipe.stopped_after
            else []
        ),
        ")",
        f"result.save('{'stimulus' if recipe.stimulus else f'trial{recipe.trial:d}'}_again.zarr')",
        "print('video correlation', result.history.last('video_correlation'))",
    ]
    if recipe.fingerprint:
        lines.append(
            f"print('same inputs and settings:', result.provenance['fingerprint'] == {literal(recipe.fingerprint)})"
        )
    return "\n".join(lines) + "\n"


def command_words(recipe: Recipe) -> list[str]:
    """The words of a command line that repeats the run.

    Raises
    ------
    RunError
        It reconstructs a stimulus, which the command line cannot show.
    """
    if recipe.stimulus is not None:
        raise RunError(
            f"copy as command: expected a recorded trial, found a stimulus ({one_line(recipe.stimulus[0])}); "
            "copy it as Python"
        )
    config, changes = recipe.config, dict(recipe.preset_changes)
    steps = changes.pop("steps")
    session = str(recipe.session)
    # A name that begins with a dash would be an option.
    session = f"./{session}" if session.startswith("-") else session
    words = ["vidrecon", "reconstruct", session, "--trial", str(recipe.trial)]
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
    """One line for the terminal of this system.

    Raises
    ------
    RunError
        It reconstructs a stimulus, or a terminal of Windows takes no quotes for one of its names.
    """
    quoted = windows_word if os.name == "nt" else shell_word
    return " ".join(map(quoted, command_words(recipe)))


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


def _python_encoders(name: str, paths: tuple[Path, ...], recipe: Recipe) -> list[str]:
    mouse = "" if recipe.mouse is None else f", {literal(recipe.mouse)}"
    loaded = [
        f"    vr.load_encoder({literal(path)}{mouse}, device={literal(recipe.device)}, neurons=session.n_neurons),"
        for path in paths
    ]
    return [f"{name} = [", *loaded, "]"]


def _python_trial(recipe: Recipe) -> list[str]:
    if recipe.stimulus is None:
        part = ".part({}, {})".format(*map(literal, recipe.clip)) if recipe.clip else ""
        return [f"trial = session.trial({literal(recipe.trial)}){part}"]
    name, movie = recipe.stimulus
    return [f"trial = stimulus_trial(GivenMovie({literal(name)}, np.load({literal(movie)})), session)"]


def _python_neurons(recipe: Recipe) -> list[str]:
    if recipe.ablated:
        fraction, seed = recipe.ablated
        return [f"neurons = vr.NeuronSet.random(session.n_neurons, {literal(fraction)}, seed={literal(seed)})"]
    if recipe.neurons:
        return [f"neurons = vr.NeuronSet(np.load({literal(recipe.neurons)}), {literal(recipe.neuron_reason)})"]
    return []


def _is_for_another_mouse(file: Path, session: str) -> bool:
    """Whether the file of an encoder or a decoder names its mice and the session is none of them.

    The command then wants to be told.
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
