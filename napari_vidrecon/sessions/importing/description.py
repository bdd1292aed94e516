"""The description of plain arrays: which file is what, in `recording.toml`, or told by the files' names."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.importing.array_folder import PACKED_SUFFIXES, packed_names
from napari_vidrecon.sessions.importing.recording import LONGEST_STILL_S
from napari_vidrecon.storage import check_inside, parse_json, read_text
from napari_vidrecon.storage.impostors import is_companion

DESCRIPTION_FILES = ("recording.toml", "recording.json")
MISNAMED = (*DESCRIPTION_FILES, *(f"{name}.txt" for name in DESCRIPTION_FILES), "recording.yaml", "recording.yml")
"""In any case: what a person means to be read, and what would be passed over in silence."""
LARGEST_DESCRIPTION_BYTES = 1 << 16
MOST_POINTS_A_LINE = 50
MOST_BRACKETS = 500
"""tomllib takes time and memory with the square of the parts of a key, and the stack with the depth of brackets."""
HIGHEST_RATE_HZ, MOST_TICKS_HZ = 1e6, 1e9
MOST_PLANES = 1000
LATEST_START_S = 1e11

Name = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Rate = Annotated[float, Field(gt=0, le=HIGHEST_RATE_HZ)]
Ticks = Annotated[float, Field(gt=0, le=MOST_TICKS_HZ)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SignalPart(_Part):
    """A stream and its clock.

    Parameters
    ----------
    file
        Its array; (channels, samples) or the other way round, time is the longer axis.
    times
        Array of one time a sample, s; or `rate_hz` and `start_s`, the time of the first sample.
    rate_hz
        Samples a second.
    start_s
        Time of the first sample, s.
    ticks_hz
        How many of what `times` counts make a second: 1000 for milliseconds, 30000 for samples at 30 kHz.
    """

    file: Name = ""
    times: Name | None = None
    ticks_hz: Ticks = 1.0
    rate_hz: Rate | None = None
    start_s: float = Field(default=0.0, ge=-LATEST_START_S, le=LATEST_START_S)


class RunningPart(SignalPart):
    """Running: a speed, or where the treadmill is.

    Parameters
    ----------
    cm_a_tick
        The file counts ticks of an encoder of so many cm: their slope becomes the speed; None where it is a speed.
    """

    cm_a_tick: float | None = Field(default=None, ge=-1e6, le=1e6)


class ActivityPart(SignalPart):
    """Activity, (neurons, samples).

    Parameters
    ----------
    sample_time
        Whether its times say when a sample starts, as triggers of a microscope do, or its middle.
    clusters
        Array of the unit of each spike, where `file` holds times of single spikes, s.
    axes
        Order of the axes; None for (neurons, time), or as the number of times tells.
    planes
        How many planes were recorded one after the other, those thrown away (flyback) included; `times` may hold one
        a plane then.
    plane
        Array of the plane of each neuron, from 0.
    """

    clusters: Name | None = None
    planes: int = Field(default=1, ge=1, le=MOST_PLANES)
    plane: Name | None = None
    sample_time: Literal["start", "middle"] = "start"
    axes: Literal["neurons,time", "time,neurons"] | None = None


class StimulusPart(_Part):
    """Movies and when they were shown.

    Parameters
    ----------
    file
        One array or movie file, or a folder of them, sorted by name.
    axes
        Order of the axes of an array: n clips, t frames, h rows, w columns, c colours.
    levels
        The values that were shown as black and white.
    times
        When each frame appeared, s: (frames,) of all that was shown, or (presentations, frames).
    onsets
        Or only when each presentation began, with `rate_hz`.
    rate_hz
        Frames a second; with `times` it is checked against them.
    order
        Which movie each presentation shows, from 0, or the names of their files; default: each once, in order.
    order_starts
        What the first movie is called in `order`, 0 or 1; None to tell it by the numbers.
    ticks_hz
        How many of what `times` and `onsets` count make a second: 1000 for milliseconds.
    stills_s
        The file holds pictures, each shown for so many seconds from its time on, with grey between.
    """

    file: Name
    axes: str | None = Field(default=None, pattern="^[nthwc]{3,5}$")
    levels: tuple[float, float] | None = None
    times: Name | None = None
    onsets: Name | None = None
    rate_hz: Rate | None = None
    order: Name | None = None
    order_starts: Literal[0, 1] | None = None
    stills_s: float | None = Field(default=None, gt=0, le=LONGEST_STILL_S)
    ticks_hz: Ticks = 1.0


class ClockPart(_Part):
    """Pulses that both machines saw, one time a pulse on each clock; everything but the activity follows them.

    Parameters
    ----------
    activity, stimulus
        Arrays of the times of the same pulses, s.
    activity_ticks_hz, stimulus_ticks_hz
        How many of what they count make a second: 30000 for samples at 30 kHz.
    """

    activity: Name
    stimulus: Name
    activity_ticks_hz: Ticks = 1.0
    stimulus_ticks_hz: Ticks = 1.0

    @property
    def files(self) -> tuple[str, str]:
        """Both arrays."""
        return self.activity, self.stimulus


class Description(_Part):
    """Which file is what.

    Parameters
    ----------
    name
        What to call the recording; default: the folder's name.
    simulated
        The mouse is a simulation.
    activity, stimulus, running, pupil_size, pupil_center, clock
        See there.
    coordinates
        `.npy` or `.csv`, (neurons, 2 or 3) x, y, z; `coordinate_scale_um` µm a unit.
    coordinate_scale_um
        µm a unit of the coordinates.
    neuron_ids
        Integers, one a neuron.
    tiers
        `.npy` of words or text file, one a presentation.
    """

    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    simulated: bool = False
    activity: ActivityPart = Field(default_factory=ActivityPart)
    stimulus: StimulusPart
    running: RunningPart | None = None
    pupil_size: SignalPart | None = None
    pupil_center: SignalPart | None = None
    coordinates: Name | None = None
    coordinate_scale_um: float = Field(default=1.0, gt=0, le=1e6)
    neuron_ids: Name | None = None
    tiers: Name | None = None
    clock: ClockPart | None = None


def read_description(folder: Path, activity_file: str = "activity.npy") -> tuple[Description, str]:
    """The description of a folder: written down, or told by the names of its files where there is none.

    Parameters
    ----------
    folder
        Where the files lie.
    activity_file
        Name of the activity where the description gives none.

    Returns
    -------
    tuple[Description, str]
        The description, and where it comes from.

    Raises
    ------
    SessionError
        The description cannot be read, or has a value that cannot be used.
    """
    for name in DESCRIPTION_FILES:
        file = folder / name
        if os.path.lexists(file):
            check_inside(folder, file)
            description = _checked(_parsed(file), str(file))
            if not description.activity.file:
                # suite2p, Phy and CaImAn have names of their own for it.
                told = description.activity.model_copy(update={"file": activity_file})
                description = description.model_copy(update={"activity": told})
            return description, name
    _require_its_name(folder)
    return _checked(_by_name(folder, activity_file), str(folder)), "the names of the files"


def _parsed(file: Path) -> dict[str, Any]:
    kind = file.suffix[1:].upper()
    text = read_text(file, most=LARGEST_DESCRIPTION_BYTES, expected=f"a description in {kind}", error=SessionError)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        found = _toml(text) if kind == "TOML" else parse_json(text)
    except (ValueError, RecursionError) as error:
        remedy = "; write folders with / in place of \\" if kind == "TOML" and "\\" in text else ""
        raise SessionError(f"{file}: expected {kind}, found text that is none ({one_line(error)}){remedy}") from None
    if not isinstance(found, dict):
        raise SessionError(f"{file}: expected names with values, found {type(found).__name__}")
    return found


def _toml(text: str) -> dict[str, Any]:
    if any(line.count(".") > MOST_POINTS_A_LINE for line in re.split(r"[\r\n]", text)):
        raise ValueError(f"more than {MOST_POINTS_A_LINE} points in a line")
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ValueError(f"more than {MOST_BRACKETS} brackets")
    return tomllib.loads(text)


def _checked(values: dict[str, Any], source: str) -> Description:
    try:
        return Description.model_validate(values)
    except ValidationError as error:
        # A name that is spelled otherwise leaves another one missing.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        name = one_line(".".join(str(part) for part in first["loc"]) or "description", 100)
        if first["type"] == "extra_forbidden":
            raise SessionError(
                f"{source}: expected a description of the recording, found a fault at {name}: "
                f"{_other_names(first['loc'])}"
            ) from None
        found = "" if first["type"] == "missing" else f", found {one_line(repr(first['input']), 100)}"
        raise SessionError(
            f"{source}: expected a description of the recording, found a fault at {name}: "
            f"{first['msg'][0].lower()}{first['msg'][1:]}{found}; docs/import.md lists what it may hold"
        ) from None


def _other_names(place: tuple[int | str, ...]) -> str:
    """What may stand where a description has a name that is none, and which of these is meant."""
    part: type[BaseModel] = Description
    for step in place[:-1]:
        kinds = (part.model_fields[str(step)].annotation,)
        part = next(each for each in (*kinds, *get_args(kinds[0])) if inspect.isclass(each) and issubclass(each, _Part))
    known, found = list(part.model_fields), str(place[-1])
    near = difflib.get_close_matches(found.lower(), known, 1)
    meant = f"; is {near[0]} meant?" if near else ""
    return f"there is no such name{meant or '; take it out'} (known are {', '.join(known)})"


def _require_its_name(folder: Path) -> None:
    """Refuse a description that would be passed over for how its name is written; raises `SessionError`."""
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.name.lower() in MISNAMED and not is_companion(file):
            raise SessionError(
                f"{file}: expected a description called {' or '.join(DESCRIPTION_FILES)}, found {file.name}, which "
                "nothing reads; call it so, or move it elsewhere"
            )


def _by_name(folder: Path, activity_file: str) -> dict[str, Any]:
    """What `activity.npy`, `activity_times.npy`, `stimulus.npy` and so on are, by convention."""
    variables = _packed_variables(folder)

    def there(stem: str, *suffixes: str) -> str | None:
        names = (f"{stem}{suffix}" for suffix in suffixes or (".npy", *PACKED_SUFFIXES, ".csv"))
        return next((name for name in names if (folder / name).exists()), variables.get(stem))

    films = (".npy", *PACKED_SUFFIXES, ".tif", ".tiff", ".mp4", ".avi", ".mov", ".mkv", "")
    stimulus = there("stimulus", *films)
    if stimulus is None and (folder / "data" / "videos").is_dir():
        raise SessionError(f"{folder}: expected raw arrays, found a session: it is imported already; open it as it is")
    if stimulus is None:
        other = sorted(one_line(file.name, 50) for file in folder.glob("stimulus.*")) if folder.is_dir() else []
        raise SessionError(
            f"{folder}: expected the movies that were shown, stimulus.npy or a folder stimulus, found "
            + (f"{other[0]}; save its frames as .npy" if other else "neither; add them")
            + ", or say in recording.toml where they are"
        )
    activity = activity_file if (folder / activity_file).exists() else there(Path(activity_file).stem)
    values: dict[str, Any] = {
        "activity": {"file": activity or activity_file, "times": there("activity_times")},
        "stimulus": {
            "file": stimulus,
            "times": there("stimulus_times"),
            "onsets": there("stimulus_onsets"),
            "order": there("stimulus_order"),
        },
        "coordinates": there("coordinates", ".npy", ".csv", *PACKED_SUFFIXES),
        "neuron_ids": there("neuron_ids"),
        "tiers": there("tiers"),
    }
    if activity is None and there("spike_times") and there("spike_clusters"):
        values["activity"] = {"file": there("spike_times"), "clusters": there("spike_clusters")}
    for stream in ("running", "pupil_size", "pupil_center"):
        if there(stream):
            values[stream] = {"file": there(stream), "times": there(f"{stream}_times")}
    if there("pulses_activity") and there("pulses_stimulus"):
        values["clock"] = {"activity": there("pulses_activity"), "stimulus": there("pulses_stimulus")}
    return values


def _packed_variables(folder: Path) -> dict[str, str]:
    """{name: its place}, of the one MAT file of a folder, or its one file of several arrays of another kind."""
    files = [file for file in folder.iterdir() if not is_companion(file)] if folder.is_dir() else []
    matlab = [file for file in files if file.suffix == ".mat"]
    files = matlab or [file for file in files if file.suffix.lower() in PACKED_SUFFIXES]
    if len(files) != 1:
        return {}
    check_inside(folder, files[0])
    try:
        names = packed_names(files[0])
    except StorageError:
        # Nobody has asked for it; the preview tells what is wrong with it.
        return {}
    # Those in a struct or a group by their own names, where these are unique.
    last = [re.split(r"[./]", name)[-1] for name in names]
    return {each: f"{files[0].name}:{name}" for name, each in zip(names, last, strict=True) if last.count(each) == 1}
