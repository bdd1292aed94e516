"""An encoder as a file holds it: what it says of itself, every key checked, and its weights once they are asked for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from napari_vidrecon.encoders.architecture import (
    Architecture,
    UnknownArchitecture,
    architecture_named,
    build_module,
    checked,
    module_shapes,
)
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.windows import BEHAVIORS, FrameWindows, Neurons, Number
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.storage import reading

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
    neutral_behaviors
        That of each mouse, where there are several.
    validation_correlation
        Of held-out trials, as they were scored in training.
    steps_done
        Of the training.
    movies
        What the movies of the training are like.
    behavior
        Names of the behaviour that its mice had.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    neutral_behavior: list[Annotated[Number, Field(allow_inf_nan=False)]] | None = Field(
        None, min_length=BEHAVIORS, max_length=BEHAVIORS
    )
    neutral_behaviors: (
        list[
            Annotated[
                list[Annotated[Number, Field(allow_inf_nan=False)]], Field(min_length=BEHAVIORS, max_length=BEHAVIORS)
            ]
        ]
        | None
    ) = Field(None, max_length=1024)
    validation_correlation: float | None = None
    steps_done: Annotated[int, Field(ge=0, le=1 << 60)] | None = None
    movies: MovieStatistics | None = None
    behavior: list[str] | None = Field(None, max_length=16)


def sizes_of_a_mouse(config: dict[str, Any], mouse: int, neurons: int) -> dict[str, Any]:
    """Sizes of an encoder of several mice, for one of them.

    Parameters
    ----------
    config
        Of all.
    mouse
        Index of its readout.
    neurons
        It has.

    Returns
    -------
    dict[str, Any]
        With what is told of this mouse alone.
    """
    own = tuple(config.get("behavior_of_mice", ()))[2 * BEHAVIORS * mouse :][: 2 * BEHAVIORS]
    return {**config, "readout_outputs": (neurons,), **({"behavior_of_mice": own} if own else {})}


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
        found = "other tensors, without its sizes" if told is None else f"a file of the format '{one_line(told, 60)}'"
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
) -> tuple[dict[str, Any], dict[str, int]]:
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
    tuple[dict[str, Any], dict[str, int]]
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
    whole = (pixels.stored, asdict(frames))
    apart = getattr(sizes, "colours", 1)
    if apart not in (1, len(pixels.colours)):
        raise EncoderError(f"{path}: expected {apart} names of colours, found {', '.join(pixels.colours) or 'none'}")
    own = found.input_size(sizes)
    if own is not None and own != (pixels.rows, pixels.columns, frames.size):
        raise EncoderError(
            f"{path}: expected the canvas and windows of its own sizes ({one_line(own, 60)} rows, columns, frames), "
            f"found {(pixels.rows, pixels.columns, frames.size)}"
        )
    return whole


READOUTS = "readouts."
MOST_NAMED = 12


class StoredEncoder:
    """What an encoder file says, before any readout is bound: one entry of `neurons` and `mice` a readout.

    Parameters
    ----------
    path
        The file.
    architecture
        Its name.
    config
        Its sizes.
    neurons, mice
        Of each readout.
    tensor
        Reads one tensor by name.
    shapes
        Of all tensors in the file.
    canvas, windows
        What it sees at once, checked.
    frame_rate_hz
        Of the movies it was trained on.
    provenance
        Plain values.
    """

    def __init__(
        self,
        path: Path,
        architecture: str,
        config: dict[str, Any],
        neurons: list[int],
        mice: list[str],
        tensor: Callable[[str], torch.Tensor],
        shapes: dict[str, tuple[int, ...]],
        *,
        canvas: dict[str, Any],
        windows: dict[str, int],
        frame_rate_hz: float = 30.0,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.path, self.architecture, self.config = path, architecture, config
        self.neurons, self.mice, self.shapes = neurons, mice, shapes
        self.keys = list(shapes)
        self.canvas, self.windows, self.frame_rate_hz = canvas, windows, frame_rate_hz
        self.provenance = provenance or {}
        self._tensor = tensor
        if len(neurons) != len(mice):
            raise EncoderError(f"{path}: expected a mouse for each of {len(neurons)} readouts, found {len(mice)}")

    @property
    def learned_from(self) -> list[str]:
        """Names of all mice whose recordings are in its weights: its own, those of its core, those of its teachers."""
        cores = [self.provenance.get(name) for name in ("core", "begun_with")]
        told = [each.get("mice") for each in cores if isinstance(each, dict)]
        listed = [each for each in (*told, self.provenance.get("teacher_mice")) if isinstance(each, list)]
        names = [*self.mice, *(str(each) for each in itertools.chain(*listed))]
        return list(dict.fromkeys(name for name in names if name))

    def tensor(self, key: str) -> torch.Tensor:
        """One tensor of the file.

        Returns
        -------
        torch.Tensor
            On the CPU.

        Raises
        ------
        EncoderError
            It cannot be read, or holds values that are not finite.
        """
        with reading(self.path, EncoderError, "an encoder file"):
            found = self._tensor(key)
            finite = not found.is_floating_point() or bool(found.isfinite().all())
        if found.is_complex():
            raise EncoderError(f"{self.path}: expected real weights, found complex ones")
        if not finite:
            raise EncoderError(f"{self.path}: expected finite weights, found NaN or Inf; the file is damaged")
        return found

    def choose(self, mouse: int | str | None, neurons: int | None) -> int:
        """Index of the readout asked for; the only one, or the only one with `neurons`, if none is.

        Parameters
        ----------
        mouse
            Index or name.
        neurons
            Of the recording.

        Returns
        -------
        int
            0 for the first.

        Raises
        ------
        EncoderError
            There is no such readout, or more than one.
        """
        if isinstance(mouse, str):
            if mouse in self.mice:
                return self.mice.index(mouse)
            raise EncoderError(f"{self.path}: expected a readout named {mouse}, found {self._listed()}")
        if mouse is not None:
            if 0 <= mouse < len(self.neurons):
                return mouse
            raise EncoderError(f"{self.path}: expected a readout of mouse index {mouse}, found {self._listed()}")
        if len(self.neurons) == 1:
            return 0
        fitting = [index for index, count in enumerate(self.neurons) if count == neurons]
        if len(fitting) == 1:
            return fitting[0]
        wanted = "one readout" if neurons is None else f"exactly one readout of {neurons} neurons"
        raise EncoderError(f"{self.path}: expected {wanted}, found {self._listed()}; choose with the mouse index")

    def _listed(self) -> str:
        named = [
            f"{index}: {count} neurons" + (f" ({one_line(name, 60)})" if name else "")
            for index, (count, name) in enumerate(zip(self.neurons, self.mice, strict=True))
        ]
        return ", ".join(named[:MOST_NAMED]) + (", ..." if len(named) > MOST_NAMED else "")

    def module(self, index: int | None = None) -> Architecture:
        """The encoder with its weights.

        Parameters
        ----------
        index
            The only readout it gets, others are never read; None for all of them.

        Returns
        -------
        Architecture
            With one readout.

        Raises
        ------
        EncoderError
            Sizes and weights do not fit each other, or weights are not finite.
        """
        config, places = self._part(index)
        self._check_shapes(config, places)
        module = build_module(self.path, self.architecture, config)
        module.load_state_dict({name: self.tensor(key) for name, key in places.items()}, strict=True)
        return module

    def neutral_behavior(self, index: int) -> list[float] | None:
        """What stands in for behaviour in a clip without it: that of one mouse, where the file tells it."""
        each = self.provenance.get("neutral_behaviors")
        found = each[index] if each and len(each) == len(self.neurons) else self.provenance.get("neutral_behavior")
        return None if found is None else list(found)

    def check_weights(self) -> None:
        """Refuse an encoder whose weights do not fit its sizes, or are not finite; nothing is allocated for it.

        Raises
        ------
        EncoderError
            With the file and what was found.
        """
        self._check_shapes(*self._part(None))
        for key in self.keys:
            self.tensor(key)

    def _part(self, index: int | None) -> tuple[dict[str, Any], dict[str, str]]:
        """Sizes, and where each weight stands in the file."""
        if index is None:
            return {**self.config, "readout_outputs": tuple(self.neurons)}, {key: key for key in self.keys}
        mine, first = f"{READOUTS}{index}.", f"{READOUTS}0."
        places = {
            first + key.removeprefix(mine) if key.startswith(mine) else key: key
            for key in self.keys
            if key.startswith(mine) or not key.startswith(READOUTS)
        }
        return sizes_of_a_mouse(self.config, index, self.neurons[index]), places

    def _check_shapes(self, config: dict[str, Any], places: dict[str, str]) -> None:
        expected = module_shapes(self.path, self.architecture, config)
        found = {name: self.shapes[key] for name, key in places.items()}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                wanted, there = (_size(shapes.get(name)) for shapes in (expected, found))
                told = (
                    f"should be {wanted} and is {there}" if name in expected else f"is {there}, and nothing asks for it"
                )
                raise EncoderError(
                    f"{self.path}: its weights do not fit its own description: {one_line(name, 80)} {told}"
                )


def _size(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "not there"
    return f"of {'x'.join(map(str, shape))} values" if shape and math.prod(shape) != 1 else "of one value"
