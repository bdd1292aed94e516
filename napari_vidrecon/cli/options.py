"""Arguments and options that several verbs share, and settings given as NAME=VALUE words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_origin

import typer

from napari_vidrecon.errors import ConfigError, one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

    from napari_vidrecon.sessions.screen import ScreenGeometry
    from napari_vidrecon.settings import Settings

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


def parse_settings(option: str, pairs: Sequence[str], model: type[Settings]) -> dict[str, Any]:
    """Fields of a model by name; the model itself turns the words into numbers.

    Parameters
    ----------
    option
        The option they were given with, for messages.
    pairs
        Words like "steps=200"; several values of a list are separated by commas, a setting within another by a dot:
        "prior.sd=40".
    model
        Whose fields they are.

    Returns
    -------
    dict[str, Any]
        {name: text}.

    Raises
    ------
    ConfigError
        Not NAME=VALUE, or no such field.
    """
    settings: dict[str, Any] = {}
    told_names = model.setting_names()
    known = [*told_names, *model.older_names()]
    for pair in pairs:
        name, separator, text = pair.partition("=")
        name, told = name.strip(), f"{option} {one_line(pair, LONGEST_PAIR)}"
        outer, _, inner = name.partition(".")
        if not separator or not name:
            raise ConfigError(f"{told}: expected name=value, found no value")
        if inner and outer in {each.partition(".")[0] for each in known}:
            # The part that is chosen says whether it has such a setting.
            settings[name] = text.strip()
            continue
        if name not in known:
            leaves = {each.rpartition(".")[2]: each for each in reversed(told_names)}
            close = [leaves[each] for each in difflib.get_close_matches(name.rpartition(".")[2], leaves, n=3)]
            hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(told_names)}"
            raise ConfigError(f"{told}: expected a known setting, found {one_line(repr(name), LONGEST_PAIR)}; {hint}")
        several = name in model.model_fields and get_origin(model.model_fields[name].annotation) is tuple
        settings[name] = tuple(text.split(",")) if several else text.strip()
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


def parse_screen(pixels: str, centimetres: str | None = None) -> ScreenGeometry:
    """The screen that --screen and --screen-cm describe.

    Parameters
    ----------
    pixels
        "ROWSxCOLUMNS".
    centimetres
        "WIDTH,HEIGHT,DISTANCE", or None for those of the public recordings.

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

    from napari_vidrecon.sessions.screen import LARGEST_SIDE_PX, ScreenGeometry

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
    try:
        return ScreenGeometry(**sizes)
    except ValidationError as raised:
        if raised.errors()[0]["loc"][0] in ("rows", "cols"):
            raise ConfigError(f"{expected}; found {one_line(pixels, LONGEST_PAIR)}") from None
        raise ConfigError(f"{told}: expected WIDTH,HEIGHT,DISTANCE in cm, numbers above 0") from None
