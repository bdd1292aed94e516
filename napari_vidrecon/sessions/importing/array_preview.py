"""A preview of a folder of arrays: what each is, and what a description would use it for."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.importing.array_folder import (
    movie_files,
    movies_at,
    natural_order,
    packed_arrays,
    recorded_array,
    recorded_file,
    recorded_numbers,
    split_packed,
)
from napari_vidrecon.sessions.importing.clocks import rate_of, rate_of_a_plane
from napari_vidrecon.sessions.importing.columns import NOT_USED, Column
from napari_vidrecon.sessions.importing.description import DESCRIPTION_FILES, Description, read_description
from napari_vidrecon.sessions.importing.stimuli import MOVIE_SUFFIXES, FilmPixels, Pixels, open_pixels
from napari_vidrecon.sessions.importing.text_tables import TextTable, split_table
from napari_vidrecon.storage import check_inside, open_regular, reading
from napari_vidrecon.storage.impostors import is_companion
from napari_vidrecon.storage.plain_arrays import dictionary_arrays, read_dictionary, split_dictionary

LONGEST_LISTED = 200
LONGEST_MARK = 256
PICKLED = re.compile(rb"NUMPY.*'descr': '\|O'", re.DOTALL)
"""What an `.npy` file of Python objects begins with."""
READ_AS_TEXT = ("coordinates", "tiers", "labels of the units")
"""Uses of tables whose columns have names of their own."""

Clock = tuple[str, float, int]
"""A file of times, how many of what they count make a second, and of how many planes in turn they may be."""
Role = tuple[str, Clock | None, float | None]
"""What a file is used for, its clock, its rate."""
Known = dict[str, Role]


def preview(folder: Path, activity_file: str) -> list[Column]:
    """Every file of a folder with its use; what keeps it from being imported is a row of its own."""
    try:
        description, _ = read_description(folder, activity_file)
    except (SessionError, StorageError) as error:
        return [*list_columns(folder, {}), Column.unreadable("description", str(error), fault=True)]
    return list_columns(folder, uses(description)) + _missing_clocks(description)


def _missing_clocks(description: Description) -> list[Column]:
    """What is sampled needs a clock; spikes are times themselves."""
    activity, untimed = description.activity, "nothing there, and no times or rate_hz in recording.toml"
    parts = {
        "activity": None if activity.clusters else activity,
        "running": description.running,
        "pupil_size": description.pupil_size,
        "pupil_center": description.pupil_center,
    }
    return [
        Column.unreadable(f"{name}_times.npy", f"clock of the {_title(name)}: {untimed}", fault=True)
        for name, part in parts.items()
        if part is not None and part.times is None and part.rate_hz is None
    ]


def _title(name: str) -> str:
    return name.replace("_", " ").replace("center", "centre")


def uses(description: Description) -> Known:
    """{file: (what it is used for, its clock, its rate)} of a description."""
    found: Known = {}
    streams = {name: getattr(description, name) for name in ("activity", "running", "pupil_size", "pupil_center")}
    for name, part in streams.items():
        if part is not None:
            title = _title(name)
            clock = (part.times, part.ticks_hz, getattr(part, "planes", 1)) if part.times else None
            found[part.file] = (title, clock, part.rate_hz)
            if part.times:
                found[part.times] = (f"times of the {title}", clock and (*clock[:2], 1), None)
    if description.activity.clusters:
        found[description.activity.clusters] = ("which unit each spike is of", None, None)
    stimulus = description.stimulus
    shown = (stimulus.times, stimulus.ticks_hz, 1) if stimulus.times else None
    found[stimulus.file] = ("stimulus", shown, stimulus.rate_hz)
    two = description.clock
    pulses: dict[str | None, str] = {} if two is None else dict.fromkeys(two.files, "pulses")
    for file, use in {
        stimulus.times: "times of the stimulus",
        stimulus.onsets: "onsets of the stimulus",
        stimulus.order: "order of the movies",
        description.coordinates: "coordinates",
        description.neuron_ids: "ids of the neurons",
        description.tiers: "tiers",
        **pulses,
    }.items():
        if file:
            found[file] = (use, None, None)
    return found


def list_columns(folder: Path, known: Known) -> list[Column]:
    """Every file of a folder and of its folder of movies, with its use; nothing pickled is opened."""
    columns: list[Column] = []
    with reading(folder, StorageError, "a folder of arrays"):
        files = sorted((file for file in folder.iterdir() if not is_companion(file)), key=natural_order)
    for file in files:
        use = known.get(file.name, (NOT_USED, None, None))[0]
        try:
            with reading(file, StorageError, "an array or a movie"):
                columns += _of_file(folder, file, known)
        except (SessionError, StorageError) as error:
            # One bad file does not hide the others.
            why = one_line(str(error).removeprefix(f"{file}: "))
            inside = [name for name in known if name.startswith(f"{file.name}:")]
            columns += [Column.unreadable(one_line(name), f"{known[name][0]}: {why}", fault=True) for name in inside]
            if not inside:
                needed = not use.startswith(NOT_USED)
                told = why if needed else f"{NOT_USED}: {why}"
                columns.append(Column.unreadable(one_line(file.name), told, fault=needed))
    there = {file.name for file in files} | {column.name.partition("{")[0] for column in columns}
    missing = {name for name in set(known) - there if not _is_deeper(folder, name)}
    columns += [Column.unreadable(name, f"{known[name][0]}: nothing there", fault=True) for name in sorted(missing)]
    return columns


def _of_file(folder: Path, file: Path, known: Known) -> list[Column]:
    role = known.get(file.name, (NOT_USED, None, None))
    use = role[0]
    if use != NOT_USED:
        check_inside(folder, file)
    if file.is_dir():
        if use == NOT_USED:
            return []
        return _of_movies(folder, file, use)
    if split_packed(file.name) and file.name not in known:
        return _of_packed(folder, file, known)
    if split_table(file.name):
        return _of_table(folder, file, known)
    parts = {name: inside[1] for name in known if (inside := split_dictionary(name)) and inside[0] == file.name}
    if parts or (use == NOT_USED and file.suffix.lower() == ".npy" and _holds_objects(file)):
        return _of_dictionary(folder, file, parts, known)
    if split_packed(file.name):
        return [_column(folder, file.name, recorded_array(folder, file.name), role)]
    if file.suffix.lower() not in MOVIE_SUFFIXES:
        told = "what the others are" if file.name in DESCRIPTION_FILES else use
        return [Column.unreadable(one_line(file.name), told)]
    if use == NOT_USED and not file.resolve().is_relative_to(folder.resolve()):
        return [Column.unreadable(one_line(file.name), f"{NOT_USED}: a link that leaves the folder")]
    return [_column(folder, file.name, open_pixels(file), role)]


def _of_packed(folder: Path, file: Path, known: Known) -> list[Column]:
    """The arrays of a MAT, `.npz` or HDF5 file; those used by the names that a description gives them."""
    asked = {inside: name for name in known if (at := split_packed(name)) and at[0] == file.name and (inside := at[1])}
    if not asked and not file.resolve().is_relative_to(folder.resolve()):
        return [Column.unreadable(one_line(file.name), f"{NOT_USED}: a link that leaves the folder")]
    found = []
    for name, array in packed_arrays(file).items():
        used_as = asked.get(name.partition("{")[0])
        role = known[used_as] if used_as else (NOT_USED, None, None)
        shown = used_as if used_as and "{" not in name else f"{file.name}:{name}"
        if isinstance(array, StorageError):
            why = one_line(str(array).removeprefix(f"{file}: "))
            found.append(Column.unreadable(one_line(shown), f"{role[0]}: {why}", fault=used_as is not None))
        else:
            found.append(_column(folder, shown, array, role))
    return found


def _of_table(folder: Path, file: Path, known: Known) -> list[Column]:
    """The columns of a table that are used; where none is, the names of all."""
    parts = [name for name, (use, _, _) in known.items() if (split_table(name) or "")[:1] == (file.name,)
             and use not in READ_AS_TEXT]  # fmt: skip
    if parts:
        # Read once, whatever is used of it.
        table, found = TextTable(recorded_file(folder, file.name)), []
        for name in parts:
            clock = known[name][1]
            at = split_table(clock[0]) if clock is not None else None
            times = None
            if at is not None and at[0] == file.name:
                with contextlib.suppress(SessionError):
                    times = table.array(at[1])
            found.append(_column(folder, name, table.array((split_table(name) or ("", ""))[1]), known[name], times))
        return found
    use = known.get(file.name, (NOT_USED, None, None))[0]
    inside = file.resolve().is_relative_to(folder.resolve())
    told = f": {one_line(TextTable(file).columns, LONGEST_LISTED)}" if use == NOT_USED and inside else ""
    return [Column.unreadable(one_line(file.name), use + told)]


def _of_dictionary(folder: Path, file: Path, parts: dict[str, str], known: Known) -> list[Column]:
    """The arrays of a pickled dictionary that are used; where none is, the names of all."""
    check_inside(folder, file)
    found = [_column(folder, name, read_dictionary(file, place), known[name]) for name, place in parts.items()]
    if found:
        return found
    names = one_line(", ".join(dictionary_arrays(file)), LONGEST_LISTED)
    return [Column.unreadable(one_line(file.name), f"{NOT_USED}: a dictionary of {names}")]


def _holds_objects(file: Path) -> bool:
    with open_regular(file, "an array") as opened:
        head = opened.read(LONGEST_MARK)
    return PICKLED.search(head) is not None


def _column(folder: Path, name: str, array: Pixels, role: Role, times: np.ndarray | None = None) -> Column:
    """The column of an array with its rate, as its clock tells; `times` are those of the clock where they are read."""
    use, clock, rate_hz = role
    if rate_hz is None and clock is not None:
        place, ticks_hz, planes = clock
        with contextlib.suppress(SessionError, StorageError):
            found = recorded_numbers(folder, place) if times is None else times
            ticks = max((rate_of_a_plane(found, int(samples), planes) for samples in array.shape), key=_slowest)
            rate_hz = None if ticks is None else ticks * ticks_hz
    if rate_hz is None and isinstance(array, FilmPixels) and array.steady and len(array.times_s) > 1:
        rate_hz = rate_of(array.times_s)
    return Column.of(one_line(name), array, use, rate_hz)


def _slowest(rate: float | None) -> float:
    """Orders rates: the lowest comes last, none first."""
    return float("-inf") if rate is None else -rate


def _of_movies(folder: Path, place: Path, use: str) -> list[Column]:
    """Every movie of a folder of movies; one that cannot be read is a row, too."""
    columns = []
    for file in movie_files(place):
        name = one_line(f"{place.name}: {file.name}")
        try:
            with reading(file, StorageError, "a movie"):
                columns += [
                    _column(folder, name, one.pixels, (use, None, None)) for one in movies_at(file, within=folder)
                ]
        except (SessionError, StorageError) as error:
            columns.append(Column.unreadable(name, one_line(str(error).removeprefix(f"{file}: ")), fault=True))
    return columns


def _is_deeper(folder: Path, name: str) -> bool:
    """Whether a description names a file in a folder of the folder, or an array in one, which is there."""
    packed = split_packed(name) or split_table(name) or split_dictionary(name)
    try:
        return "/" in name and recorded_file(folder, packed[0] if packed else name).is_file()
    except StorageError:
        return False
