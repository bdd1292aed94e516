"""What a session folder is, and says about itself: tiers, neurons, notes of a simulation, and its fingerprint."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from napari_vidrecon.errors import SessionError, VidreconError, one_line
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ, HIGHEST_FRAME_RATE_HZ, SPONTANEOUS_TIER
from napari_vidrecon.sessions.trial_files import BEHAVIOR_STREAMS, NOT_RECORDED_REMEDY, STREAMS, open_array
from napari_vidrecon.settings import first_fault
from napari_vidrecon.storage import check_inside, parse_json, read_bytes, read_json, reading

TIERS_FILE = "meta/trials/tiers.npy"
NEURON_IDS_FILE = "meta/neurons/unit_ids.npy"
COORDINATES_FILE = "meta/neurons/cell_motor_coordinates.npy"
SIMULATION_FILE = "simulation.json"
LICENCE_FILE = "licence.json"
CONFIG_FILE = "config.json"
MAXIMUM_CONFIG_BYTES = 4_000_000
LOWEST_FRAME_RATE_HZ = 0.1
MAXIMUM_SIMULATION_BYTES = 32_000_000
SMALL_FILE_BYTES = 1_000_000
MOST_TRIALS = 100_000
MOST_SESSIONS_NAMED, LONGEST_NAME = 10, 60
MOST_FOLDERS_ABOVE = 3
"""In which a folder of a session may lie that was chosen instead of it."""
LONGEST_TIER_CHARACTERS = 200
UNICODE_BYTES = 4


class SimulationNotes(BaseModel):
    """What this program reads of the notes of a simulation; the rest is for people.

    Parameters
    ----------
    simulated
        The mouse is a simulation.
    per_neuron
        {quantity: one value a neuron}.
    movies
        What the movies of the mouse are like, where those of its training are not in the session.
    """

    model_config = ConfigDict(extra="allow")

    simulated: StrictBool = False
    per_neuron: dict[str, list[Any]] = {}
    movies: MovieStatistics | None = None


def require_session_folder(path: Path) -> None:
    """Refuse what is no session folder, with a hint at what would be one; raises `SessionError`."""
    if not path.exists():
        raise SessionError(f"{path}: expected a session folder, found nothing there; check the path")
    if not path.is_dir():
        remedy = "unpack it first" if path.suffix == ".zip" else "choose the folder that holds data and meta"
        raise SessionError(f"{path}: expected a session folder, found a file; {remedy}")
    parts = ["meta", *(f"data/{stream}" for stream in STREAMS)]
    if not os.path.lexists(path / "data" / "videos") and _without_movies(path):
        parts.remove("data/videos")
    missing = [part for part in parts if not (path / part).is_dir()]
    if missing:
        found = "neither data nor meta" if missing == parts else f"no {' and no '.join(missing)}"
        raise SessionError(f"{path}: expected a session folder, found {found} in it; {_hint(path, missing)}")
    for part in parts:
        check_inside(path, path / part, SessionError)


def _without_movies(path: Path) -> bool:
    """Whether a folder's trials are all of the tier that needs none; False where they cannot be read."""
    try:
        return set(read_tiers(path).values()) == {SPONTANEOUS_TIER}
    except SessionError:
        return False


def _looks_like_one(path: Path) -> bool:
    return (path / "meta").is_dir() and (path / "data").is_dir()


def _hint(path: Path, missing: list[str]) -> str:
    inside = sorted(child.name for child in path.iterdir() if _looks_like_one(child))
    if inside:
        named = [one_line(name, LONGEST_NAME) for name in inside[:MOST_SESSIONS_NAMED]]
        more = ["..."] if len(inside) > len(named) else []
        return f"did you mean one of the sessions in it: {', '.join(named + more)}?"
    above = next((each for each in path.absolute().parents[:MOST_FOLDERS_ABOVE] if _looks_like_one(each)), None)
    if above is not None:
        return f"it lies in the session {one_line(above.name, LONGEST_NAME)}; choose that folder"
    if (path / "data" / "images").is_dir():
        return "it holds pictures (Sensorium 2022), and this program reads movies (Sensorium 2023)"
    if set(missing) <= {f"data/{stream}" for stream in BEHAVIOR_STREAMS}:
        return NOT_RECORDED_REMEDY
    if (path / "data").is_dir() or (path / "meta").is_dir():
        return "choose the folder that holds data and meta, or fetch what is missing of it"
    return "choose the folder that holds data and meta; `vidrecon import` makes one of a recording of your own"


def read_tiers(session: Path) -> dict[int, str]:
    """Tier of every trial, by trial id, ascending.

    Returns
    -------
    dict[int, str]
        {trial id: tier}.

    Raises
    ------
    SessionError
        The file is missing, damaged, empty, or not a list of words.
    """
    file = session / TIERS_FILE
    tiers = open_array(file, session)
    if tiers.ndim != 1 or tiers.dtype.kind not in "US" or tiers.size == 0:
        raise SessionError(
            f"{file}: expected one tier name a trial, found {tiers.dtype} of shape {tiers.shape}; "
            "store a one-dimensional array of unicode text"
        )
    characters = tiers.dtype.itemsize // (UNICODE_BYTES if tiers.dtype.kind == "U" else 1)
    if tiers.size > MOST_TRIALS or characters > LONGEST_TIER_CHARACTERS:
        raise SessionError(
            f"{file}: expected at most {MOST_TRIALS} trials and tier names of at most {LONGEST_TIER_CHARACTERS} "
            f"characters, found {tiers.size} of {characters}"
        )
    try:
        names = tiers.astype(str).tolist()
        for name in set(names):
            # Half characters can be stored, but neither shown nor written.
            name.encode("utf-8")
    except (ValueError, SystemError):
        raise SessionError(f"{file}: expected one tier name a trial, found bytes that are no text") from None
    return dict(enumerate(names))


def read_neuron_ids(session: Path) -> np.ndarray:
    """Identifiers of the neurons.

    Returns
    -------
    np.ndarray
        (N,) integers, in the order of the responses' rows.

    Raises
    ------
    SessionError
        The file is missing, damaged, empty, or not a list of integers.
    """
    file = session / NEURON_IDS_FILE
    ids = open_array(file, session)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.size == 0:
        raise SessionError(
            f"{file}: expected one integer a neuron, found {ids.dtype} of shape {ids.shape}; number the neurons, in "
            "the order of the responses' rows, and save the numbers as integers"
        )
    return np.array(ids)


def read_coordinates(session: Path, neurons: int) -> np.ndarray | None:
    """Position of the neurons in cortex.

    Returns
    -------
    np.ndarray | None
        (N, 3) float32 [x, y, z] in µm, in the order of the responses' rows; None if there are none. Of a file of x
        and y alone all depths are 0.

    Raises
    ------
    SessionError
        The file is damaged, or does not fit the neurons.
    """
    file = session / COORDINATES_FILE
    if not os.path.lexists(file):
        return None
    coordinates = open_array(file, session)
    if coordinates.shape not in ((neurons, 3), (neurons, 2)) or coordinates.dtype.kind not in "fiu":
        raise SessionError(
            f"{file}: expected x, y and z of {neurons} neurons in µm, shape ({neurons}, 3), "
            f"found {coordinates.dtype} of shape {coordinates.shape}; where they are not known, remove the file"
        )
    found = np.zeros((neurons, 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        found[:, : coordinates.shape[1]] = coordinates
    return found


def read_simulation(session: Path) -> dict[str, Any] | None:
    """Notes of the simulation that made the session, or None for a recording.

    Returns
    -------
    dict[str, Any] | None
        Plain values.

    Raises
    ------
    SessionError
        The file is there but is not a JSON object, or holds other than such notes.
    """
    file = session / SIMULATION_FILE
    notes = _json_object(session, file, MAXIMUM_SIMULATION_BYTES)
    if notes is None:
        return None
    try:
        SimulationNotes.model_validate(notes)
    except ValidationError as error:
        raise SessionError(f"{file}: {first_fault(error)}") from None
    return notes


def _json_object(session: Path, file: Path, most: int, holding: str = "", remedy: str = "") -> dict[str, Any] | None:
    """What one of a session's files says; None where it is not there."""
    if not os.path.lexists(file):
        return None
    check_inside(session, file, SessionError)
    text = read_bytes(file, most=most, expected="a JSON object", error=SessionError)
    try:
        told = parse_json(text)
    except ValueError as error:
        found = f"a file that cannot be read ({error})"
        raise SessionError(f"{file}: expected a JSON object{holding}, found {found}{remedy}") from None
    if not isinstance(told, dict):
        raise SessionError(f"{file}: expected a JSON object, found {type(told).__name__}")
    return told


BehaviorNames = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=40)], ...], Field(max_length=16)]


class ShownOn(BaseModel):
    """What a session's config.json tells of the screen; a public session tells nothing and has the usual one.

    Parameters
    ----------
    frame_rate_hz
        Frames a second of movies, behaviour and responses.
    screen
        Its size, distance and pixels; whatever is left out is as in the public recordings.
    behavior
        Names of the behaviour that was recorded; None where nothing is told.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    frame_rate_hz: float = Field(FRAME_RATE_HZ, ge=LOWEST_FRAME_RATE_HZ, le=HIGHEST_FRAME_RATE_HZ)
    screen: ScreenGeometry = ScreenGeometry()
    behavior: BehaviorNames | None = None


def read_shown_on(session: Path) -> ShownOn:
    """Screen and frame rate of a session.

    Returns
    -------
    ShownOn
        That of the public recordings where config.json is missing or says nothing.

    Raises
    ------
    SessionError
        The file cannot be read, or says what no screen can be.
    """
    file = session / CONFIG_FILE
    remedy = "; mend it, or remove it for the usual 36 x 64 pixels at 30 Hz"
    told = _json_object(session, file, MAXIMUM_CONFIG_BYTES, " with frame_rate_hz and screen", remedy) or {}
    try:
        return ShownOn.model_validate({name: told[name] for name in ShownOn.model_fields if name in told})
    except ValidationError as error:
        raise SessionError(f"{file}: {first_fault(error)}") from None


def read_terms(session: Path) -> dict[str, str]:
    """How a downloaded session may be used, as was written down when it came.

    Returns
    -------
    dict[str, str]
        "licence", "terms", "citation", "source" ...; empty where nothing was written.

    Raises
    ------
    SessionError
        The file is damaged.
    """
    file = session / LICENCE_FILE
    if not os.path.lexists(file):
        return {}
    check_inside(session, file)
    told = read_json(file, expected="how the session may be used", error=SessionError)
    if not isinstance(told, dict):
        raise SessionError(f"{file}: expected how the session may be used, found {type(told).__name__}")
    return {str(name): str(text) for name, text in told.items() if isinstance(text, str)}


def folder_fingerprint(session: Path) -> str:
    """SHA-256, as hexadecimal, over names and sizes of all files and the content of small ones outside data.

    Of links that lead out of the folder or to other folders, and of what is no file, only the names count.

    Returns
    -------
    str
        64 digits.

    Raises
    ------
    SessionError
        A file cannot be read.
    """
    digest = hashlib.sha256()
    with reading(session, SessionError, "readable files"):
        for name, size in sorted(_files_below(session)):
            digest.update(f"{name}\0{max(size, 0)}\n".encode(errors="surrogateescape"))
            if 0 <= size <= SMALL_FILE_BYTES and not name.startswith(("data/", "meta/statistics/")):
                digest.update(read_bytes(session / name, most=SMALL_FILE_BYTES, error=SessionError))
    return digest.hexdigest()


def _files_below(session: Path) -> Iterator[tuple[str, int]]:
    """Names and sizes, -1 for what is not read."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(session / prefix) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{prefix}{entry.name}/")
                else:
                    yield f"{prefix}{entry.name}", _size(session, entry)


def _size(session: Path, entry: os.DirEntry[str]) -> int:
    try:
        found = entry.stat()
        if entry.is_symlink():
            check_inside(session, entry.path)
    except (OSError, VidreconError):
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1
