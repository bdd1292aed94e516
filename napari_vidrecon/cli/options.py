"""Options that commands share, and the arrays they name: a choice of neurons, activity, a movie."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_origin

import typer
import typer.core

from napari_vidrecon.errors import ConfigError, StorageError, one_line

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

    from napari_vidrecon.reconstruction.targets import NeuronSet
    from napari_vidrecon.sessions.screen import ScreenGeometry
    from napari_vidrecon.settings import Settings

BRACES = re.compile(r"\{([^{}]+?)(?:\.\.\.)?\}")
"""Around what has to be given; several are named with dots inside and behind."""


class VerbCommand(typer.core.TyperCommand):
    """A verb whose line of usage names what it takes without braces, whichever version of Typer writes it."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after its name."""
        return [BRACES.sub(r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


SessionFolder = Annotated[
    Path, typer.Argument(metavar="SESSION", help="Session folder (public Sensorium 2023 layout).")
]
EncoderFiles = Annotated[
    list[Path], typer.Option("--encoder", metavar="FILE", help="Encoder file (.safetensors or .pth); may be repeated.")
]
EncoderFile = Annotated[Path, typer.Option("--encoder", metavar="FILE", help="Encoder file (.safetensors or .pth).")]
Mouse = Annotated[
    str | None,
    typer.Option(
        metavar="INDEX",
        help="Readout of the encoder, by index or name; default: the one with the session's number of neurons.",
    ),
]
ForceMouse = Annotated[
    bool, typer.Option("--force-mouse", help="Take encoder and decoder even if they are of a mouse of another name.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
Precision = Annotated[
    str,
    typer.Option(
        help="float32; or, faster on a CUDA GPU and only where the encoder's gradient stays what it is: tf32 (fused "
        "kernels), bfloat16."
    ),
]
MemoryLimit = Annotated[
    float | None,
    typer.Option("--memory", metavar="GIB", help="Memory for windows at once; default: a part of what is free."),
]
MaskFile = Annotated[
    str, typer.Option(metavar="FILE", help='Transparency mask (.npy), or "none" for the whole screen.')
]
TrialNumbers = Annotated[list[int] | None, typer.Option(metavar="N", help="Trial number; may be repeated.")]
Preset = Annotated[str, typer.Option(help="paper, fast or best.")]
Frames = Annotated[
    str | None, typer.Option(metavar="A:B", help="Only the frames from A up to, but without, B of the clip.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there under the same name.")]
SaveEvery = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.0, help="At most this much work is lost if the process is killed.")
]


LONGEST_PAIR = 80
Model = TypeVar("Model", bound="BaseModel")


def parse_settings(option: str, pairs: Sequence[str], model: type[Settings], **given: Any) -> dict[str, Any]:
    """Fields of a model by name; the model itself turns the words into numbers.

    A setting that is said twice, each time otherwise, is refused: whichever won, somebody did not mean it.

    Parameters
    ----------
    option
        The option they were given with, for messages.
    pairs
        Words like "steps=200"; several values of a list are separated by commas, a setting within another by a dot:
        "prior.sd=40".
    model
        Whose fields they are.
    given
        Of these, what has an option of its own, as it was given with that; None where it was not.

    Returns
    -------
    dict[str, Any]
        {name: text}, and what was given otherwise.

    Raises
    ------
    ConfigError
        Not NAME=VALUE, or no such field, or one that is said twice, each time otherwise.
    """
    settings: dict[str, Any] = {}
    said: dict[str, str] = {}
    told_names = model.setting_names()
    known = [*told_names, *model.older_names()]
    for pair in pairs:
        name, separator, text = pair.partition("=")
        name, told = name.strip(), f"{option} {one_line(pair, LONGEST_PAIR)}"
        value, before = text.strip(), said.get(name)
        outer, _, inner = name.partition(".")
        if not separator or not name:
            raise ConfigError(f"{told}: expected name=value, found no value")
        if before is not None and before != value:
            other = one_line(f"{name}={before}", LONGEST_PAIR)
            raise ConfigError(f"{told}: expected this setting once, found {other} as well; leave one of them out")
        said[name] = value
        if inner and outer in {each.partition(".")[0] for each in known}:
            # The part that is chosen says whether it has such a setting.
            settings[name] = value
            continue
        if name not in known:
            leaves = {each.rpartition(".")[2]: each for each in reversed(told_names)}
            close = [leaves[each] for each in difflib.get_close_matches(name.rpartition(".")[2], leaves, n=3)]
            hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(told_names)}"
            raise ConfigError(f"{told}: expected a known setting, found {one_line(repr(name), LONGEST_PAIR)}; {hint}")
        several = name in model.model_fields and get_origin(model.model_fields[name].annotation) is tuple
        settings[name] = tuple(text.split(",")) if several else value
    for name, chosen in given.items():
        if chosen is None:
            continue
        if name in said and said[name].lower() != str(chosen).lower():
            own = f"--{name}" if chosen is True else f"--{name} {one_line(str(chosen), LONGEST_PAIR)}"
            other = one_line(f"{option} {name}={said[name]}", LONGEST_PAIR)
            raise ConfigError(f"{own}: expected {name} once, found {other} as well; leave one of them out")
        settings[name] = chosen
    return settings


def checked(model: type[Model], fields: dict[str, Any]) -> Model:
    """Build a model from fields.

    Returns
    -------
    Settings
        Frozen.

    Raises
    ------
    ConfigError
        The first value that cannot be used, in one line.
    """
    from pydantic import ValidationError

    from napari_vidrecon.settings import setting_fault

    try:
        return model(**fields)
    except ValidationError as raised:
        raise ConfigError(setting_fault(raised)) from None


def parse_screen(pixels: str, centimetres: str | None = None, colours: str | None = None) -> ScreenGeometry:
    """The screen that --screen, --screen-cm and --colours describe.

    Parameters
    ----------
    pixels
        "ROWSxCOLUMNS".
    centimetres
        "WIDTH,HEIGHT,DISTANCE", or None for those of the public recordings.
    colours
        "NAME,NAME" of the colours that its movies have, each of as many rows; None for grey levels.

    Returns
    -------
    ScreenGeometry
        Rows, columns and size.

    Raises
    ------
    ConfigError
        Not of that form, or of no screen.
    """
    from pydantic import ValidationError

    from napari_vidrecon.sessions.screen import LARGEST_SIDE_PX, MOST_COLOURS, ScreenGeometry

    told = f"--screen {one_line(pixels, LONGEST_PAIR)}"
    rows, _, columns = pixels.lower().partition("x")
    sizes: dict[str, Any] = {"rows": rows.strip(), "cols": columns.strip()}
    expected = f"{told}: expected ROWSxCOLUMNS of 1 to {LARGEST_SIDE_PX} pixels, e.g. 72x128"
    if centimetres is not None:
        told = f"--screen-cm {one_line(centimetres, LONGEST_PAIR)}"
        lengths = centimetres.split(",")
        if len(lengths) != 3:
            raise ConfigError(f"{told}: expected WIDTH,HEIGHT,DISTANCE in cm, e.g. 56.5,31.8,15")
        sizes |= dict(zip(("width_cm", "height_cm", "distance_cm"), lengths, strict=True))
    named = tuple(each.strip() for each in (colours or "").split(",") if each.strip())
    if colours is not None and not (1 < len(named) <= MOST_COLOURS and len(set(named)) == len(named)):
        raise ConfigError(
            f"--colours {one_line(colours, LONGEST_PAIR)}: expected 2 to {MOST_COLOURS} names, e.g. green,uv"
        )
    try:
        screen = ScreenGeometry(**sizes)
        return dataclasses.replace(screen, rows=screen.rows * len(named), colours=named) if named else screen
    except ValidationError as raised:
        if raised.errors()[0]["loc"][0] in ("rows", "cols"):
            raise ConfigError(f"{expected}; found {one_line(pixels, LONGEST_PAIR)}") from None
        raise ConfigError(f"{told}: expected WIDTH,HEIGHT,DISTANCE in cm, numbers above 0") from None


def _are_flags(listed: np.ndarray) -> bool:
    """Whether an array of one value a neuron says yes and no: booleans, or 0 and 1 or 0 and 255 as they are saved."""
    import numpy as np

    if listed.dtype == np.bool_:
        return True
    # Two neurons could be meant by 0 and 1, too; in bytes nobody writes indices.
    told = listed.dtype.kind in "iuf" and (listed.size > 2 or listed.dtype.itemsize == 1)
    return told and any(bool(np.isin(listed, (0, yes)).all()) for yes in (1, 255))


def choose_neurons(neurons: int, ablate: float, seed: int, file: Path | None) -> NeuronSet | None:
    """Who takes part: all but a random fraction, or those listed in a file; None for everyone.

    Parameters
    ----------
    neurons
        Neurons of the session.
    ablate
        Fraction ablated at random, 0 to below 1.
    seed
        Of the draw.
    file
        `.npy` with a boolean for each neuron, or the indices of those that take part.

    Returns
    -------
    NeuronSet | None
        Of as many neurons as the session has.

    Raises
    ------
    ConfigError
        Both were given, or the file does not fit the session.
    """
    import numpy as np

    from napari_vidrecon.reconstruction.targets import NeuronSet
    from napari_vidrecon.storage import read_array

    if file is None:
        return NeuronSet.random(neurons, ablate, seed) if ablate else None
    if ablate:
        raise ConfigError(f"--neurons {file}: expected either --neurons or --ablate, found both")
    listed = read_array(file)
    listed = listed.ravel() if listed.size == max(listed.shape, default=0) else listed
    if listed.shape == (neurons,) and _are_flags(listed):
        listed = listed > 0
        return NeuronSet(listed, f"listed in {file.name}", {"kind": "list"})
    if listed.dtype.kind in "iu" and listed.ndim == 1 and ((listed >= 0) & (listed < neurons)).all():
        if np.unique(listed).size != listed.size:
            raise ConfigError(
                f"{file}: expected each neuron once, found indices that repeat; for yes and no, one a neuron, "
                f"give {neurons} of 0 and 1"
            )
        keep = np.zeros(neurons, dtype=bool)
        keep[listed] = True
        return NeuronSet(keep, f"listed in {file.name}", {"kind": "list"})
    raise ConfigError(
        f"{file}: expected a boolean for each of {neurons} neurons, or indices below {neurons}, "
        f"found {listed.dtype} of shape {listed.shape}"
    )


def read_activity(file: Path, neurons: int, frames: int) -> np.ndarray:
    """Activity to match.

    Parameters
    ----------
    file
        A `.npy` of numbers.
    neurons, frames
        Size that it must have.

    Returns
    -------
    np.ndarray
        (N, T).

    Raises
    ------
    StorageError
        Missing, damaged or unsafe.
    ConfigError
        Of another size.
    """
    from napari_vidrecon.storage import read_array

    activity = read_array(file)
    if activity.shape != (neurons, frames) or activity.dtype.kind not in "fiu":
        raise ConfigError(
            f"{file}: expected activity of {neurons} neurons x {frames} frames, "
            f"found {activity.dtype} of shape {activity.shape}"
        )
    return activity


def read_movie(file: Path, screen: ScreenGeometry | None = None) -> np.ndarray:
    """A movie from a file.

    Parameters
    ----------
    file
        A `.npy` of grey levels.
    screen
        What it is shown on; None: that of the public recordings.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, grey levels 0..255.

    Raises
    ------
    StorageError
        Missing, damaged, unsafe, of another size, too short, or not of grey levels.
    """
    import numpy as np

    from napari_vidrecon.sessions.screen import USUAL_SCREEN
    from napari_vidrecon.sessions.trial_files import LONGEST_CLIP_FRAMES, MINIMUM_FRAMES
    from napari_vidrecon.storage import read_array

    movie = read_array(file, memory_map=True)
    rows, columns = (screen or USUAL_SCREEN).size_px
    colours = f" with {' above '.join(screen.colours)}" if screen is not None and screen.colours else ""
    expected = f"{file}: expected a movie of (frames, {rows}, {columns}){colours}, "
    if movie.ndim != 3 or movie.shape[1:] != (rows, columns) or movie.dtype.kind not in "fiu":
        raise StorageError(f"{expected}found {movie.dtype} of shape {movie.shape}")
    if not MINIMUM_FRAMES <= len(movie) <= LONGEST_CLIP_FRAMES:
        wanted = (
            f"at least {MINIMUM_FRAMES} of them" if len(movie) < MINIMUM_FRAMES else f"at most {LONGEST_CLIP_FRAMES}"
        )
        raise StorageError(f"{expected}{wanted}, found {len(movie)}")
    if not np.isfinite(movie).all() or movie.min() < 0 or movie.max() > 255:
        raise StorageError(f"{expected}grey levels from 0 to 255, found others, or NaN; rescale it")
    if 0 < movie.max() <= 1:
        raise StorageError(f"{expected}grey levels from 0 to 255, found none above 1; multiply it by 255")
    return movie.astype(np.float32)
