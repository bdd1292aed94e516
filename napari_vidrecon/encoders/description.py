"""What an encoder file says of itself, as data from outside: every key is checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.registry import UnknownArchitecture, architecture_named, checked
from napari_vidrecon.encoders.sizes import BEHAVIORS, Neurons, Number
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.sessions.session_statistics import MovieStatistics

FORMAT = "napari-vidrecon encoder 1"
HIGHEST_FRAME_RATE_HZ = 10_000.0


class EncoderDescription(BaseModel):
    """The description in the metadata of an encoder's safetensors file; frozen and validated.

    Parameters
    ----------
    format
        Of the file.
    architecture
        Its name in the registry.
    config
        Sizes by name.
    mice
        A name for each readout.
    canvas
        The pixel grid it works on.
    windows
        The frames it sees at once.
    frame_rate_hz
        Rate of the movies it was trained on.
    provenance
        How it was trained, licence, citation.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    format: str
    architecture: str
    config: dict[str, Any]
    mice: list[Annotated[str, Field(max_length=1000)]]
    canvas: dict[str, Any]
    windows: dict[str, Any]
    frame_rate_hz: Annotated[float, Field(gt=0, le=HIGHEST_FRAME_RATE_HZ)]
    provenance: dict[str, Any]


class Provenance(BaseModel):
    """What this program takes from an encoder's provenance; whatever else is there is only kept and shown.

    Parameters
    ----------
    neutral_behavior
        (4,) pupil dilation, running, pupil x, pupil y for a clip without behaviour.
    validation_correlation
        Of held-out trials, as they were scored in training.
    steps_done
        Of the training.
    movies
        What the movies of the training are like.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    neutral_behavior: list[Annotated[Number, Field(allow_inf_nan=False)]] | None = Field(
        None, min_length=BEHAVIORS, max_length=BEHAVIORS
    )
    validation_correlation: float | None = None
    steps_done: Annotated[int, Field(ge=0, le=1 << 60)] | None = None
    movies: MovieStatistics | None = None


class Readouts(BaseModel):
    """What sizes of every architecture say, whoever wrote their class."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    readout_outputs: Neurons


def read_encoder_description(path: Path, described: dict[str, Any]) -> EncoderDescription:
    """The description of an encoder, every key checked.

    Parameters
    ----------
    path
        The file, for messages.
    described
        What its metadata say.

    Returns
    -------
    EncoderDescription
        Frozen.

    Raises
    ------
    EncoderError
        It is no encoder of this program, or a value cannot be.
    """
    if described.get("format") != FORMAT:
        told = described.get("format")
        found = "other tensors" if told is None else f"a file of the format '{one_line(told, 60)}'"
        raise EncoderError(f"{path}: expected an encoder of this program, found {found}")
    found_description = checked(path, "", EncoderDescription, described)
    try:
        architecture_named(found_description.architecture)
    except UnknownArchitecture:
        raise EncoderError(
            f"{path}: its architecture '{one_line(found_description.architecture, 60)}' is unknown to this version; "
            "was it made by a newer one, or is a package missing that brings it?"
        ) from None
    except EncoderError as broken:
        raise EncoderError(f"{path}: {broken}") from None
    checked(path, "provenance", Provenance, found_description.provenance)
    return found_description


def check_fit(
    path: Path, architecture: str, config: dict[str, Any], canvas: dict[str, Any], windows: dict[str, Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """Refuse sizes that cannot be, and a canvas or windows that contradict them.

    Parameters
    ----------
    path
        The file, for messages.
    architecture
        Its name.
    config, canvas, windows
        From outside.

    Returns
    -------
    tuple[dict[str, int], dict[str, int]]
        tuple Canvas and windows, each with all of their values.

    Raises
    ------
    EncoderError
        With the file and what was found.
    """
    for what, values, names in (("canvas", canvas, ("rows", "columns")), ("windows", windows, ("size", "step"))):
        for name in names:
            if name not in values:
                raise EncoderError(f"{path}: expected {what}.{name}, found none of it")
    found = architecture_named(architecture)
    sizes = checked(path, "config", found.config_class, config)
    checked(path, "config", Readouts, config)
    pixels, frames = checked(path, "canvas", Canvas, canvas), checked(path, "windows", FrameWindows, windows)
    whole = (asdict(pixels), asdict(frames))
    own = found.input_size(sizes)
    if own is not None and own != (pixels.rows, pixels.columns, frames.size):
        raise EncoderError(
            f"{path}: expected the canvas and windows of its own sizes ({one_line(own, 60)} rows, columns, frames), "
            f"found {(pixels.rows, pixels.columns, frames.size)}"
        )
    return whole
