"""A preview of a folder of arrays: what each is, and what a description would use it for."""

from __future__ import annotations

import contextlib
from pathlib import Path

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.importing.array_folder import (
    movie_files,
    movies_at,
    natural_order,
    recorded_array,
    recorded_file,
    recorded_numbers,
)
from napari_vidrecon.sessions.importing.clocks import rate_of
from napari_vidrecon.sessions.importing.columns import NOT_USED, Column
from napari_vidrecon.sessions.importing.description import DESCRIPTION_FILES, Description, read_description
from napari_vidrecon.sessions.importing.matlab_files import matlab_arrays, split_name
from napari_vidrecon.sessions.importing.stimuli import MOVIE_SUFFIXES, open_pixels
from napari_vidrecon.sessions.importing.text_tables import TextTable, split_table
from napari_vidrecon.storage import check_inside, reading
from napari_vidrecon.storage.impostors import is_companion

LONGEST_LISTED = 200
READ_AS_TEXT = ("coordinates", "tiers", "labels of the units")
"""Uses of tables whose columns have names of their own."""

Clock = tuple[str, float]
"""A file of times, and how many of what they count make a second."""
Known = dict[str, tuple[str, Clock | None, float | None]]
"""{file: (what it is used for, its clock, its rate)}."""


def preview(folder: Path, activity_file: str) -> list[Column]:
    """Every file of a folder with its use; what keeps it from being imported is a row of its own."""
    try:
        description, _ = read_description(folder, activity_file)
    except (SessionError, StorageError) as error:
        return [*list_columns(folder, {}), Column.unreadable("description", str(error), fault=True)]
    return list_columns(folder, uses(description))


def uses(description: Description) -> Known:
    """{file: (what it is used for, its clock, its rate)} of a description."""
    found: Known = {}
    streams = {name: getattr(description, name) for name in ("activity", "running", "pupil_size", "pupil_center")}
    for name, part in streams.items():
        if part is not None:
            title = name.replace("_", " ").replace("center", "centre")
            # Of planes, the times may be those of all.
            clock = (part.times, part.ticks_hz) if part.times and getattr(part, "planes", 1) == 1 else None
            found[part.file] = (title, clock, part.rate_hz)
            if part.times:
                found[part.times] = (f"times of the {title}", clock, None)
    if description.activity.clusters:
        found[description.activity.clusters] = ("which unit each spike is of", None, None)
    stimulus = description.stimulus
    shown = (stimulus.times, stimulus.ticks_hz) if stimulus.times else None
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
            why, needed = one_line(str(error).removeprefix(f"{file}: ")), not use.startswith(NOT_USED)
            columns.append(
                Column.unreadable(one_line(file.name), why if needed else f"{NOT_USED}: {why}", fault=needed)
            )
    there = {file.name for file in files} | {column.name.partition("{")[0] for column in columns}
    missing = {name for name in set(known) - there if not _is_deeper(folder, name)}
    columns += [Column.unreadable(name, f"{known[name][0]}: nothing there", fault=True) for name in sorted(missing)]
    return columns


def _of_file(folder: Path, file: Path, known: Known) -> list[Column]:
    use, clock, rate_hz = known.get(file.name, (NOT_USED, None, None))
    if use != NOT_USED:
        check_inside(folder, file)
    if file.is_dir():
        if use == NOT_USED:
            return []
        return _of_movies(folder, file, use)
    if split_name(file.name) and file.name not in known:
        found = matlab_arrays(file)
        whole = {name: f"{file.name}:{name.partition('{')[0]}" for name in found}
        uses_in = {name: known.get(whole[name], (NOT_USED, None, None)) for name in found}
        return [Column.of(one_line(f"{file.name}:{name}"), found[name], role, _rate(folder, when, hz))
                for name, (role, when, hz) in uses_in.items()]  # fmt: skip
    if split_table(file.name):
        return _of_table(folder, file, known)
    if split_name(file.name):
        return [Column.of(file.name, recorded_array(folder, file.name), use, _rate(folder, clock, rate_hz))]
    if file.suffix.lower() not in MOVIE_SUFFIXES:
        told = "what the others are" if file.name in DESCRIPTION_FILES else use
        return [Column.unreadable(one_line(file.name), told)]
    if use == NOT_USED and not file.resolve().is_relative_to(folder.resolve()):
        return [Column.unreadable(one_line(file.name), f"{NOT_USED}: a link that leaves the folder")]
    array = open_pixels(file)
    return [Column.of(one_line(file.name), array, use, _rate(folder, clock, rate_hz))]


def _of_table(folder: Path, file: Path, known: Known) -> list[Column]:
    """The columns of a table that are used; where none is, the names of all."""
    parts = [name for name, (use, _, _) in known.items() if (split_table(name) or "")[:1] == (file.name,)
             and use not in READ_AS_TEXT]  # fmt: skip
    if parts:
        # Read once, whatever is used of it.
        table, found = TextTable(recorded_file(folder, file.name)), []
        for name in parts:
            use, clock, rate_hz = known[name]
            at = split_table(clock[0]) if clock is not None else None
            if rate_hz is None and clock is not None and at is not None and at[0] == file.name:
                with contextlib.suppress(SessionError):
                    rate_hz, clock = _in_seconds(rate_of(table.array(at[1])), clock[1]), None
            array = table.array((split_table(name) or ("", ""))[1])
            found.append(Column.of(one_line(name), array, use, _rate(folder, clock, rate_hz)))
        return found
    use = known.get(file.name, (NOT_USED, None, None))[0]
    inside = file.resolve().is_relative_to(folder.resolve())
    names = [name for name in TextTable(file).names if name] if use == NOT_USED and inside else []
    told = f": columns {one_line(', '.join(names), LONGEST_LISTED)}" if names else ""
    return [Column.unreadable(one_line(file.name), use + told)]


def _rate(folder: Path, clock: Clock | None, rate_hz: float | None) -> float | None:
    if rate_hz is None and clock is not None:
        times, ticks_hz = clock
        with contextlib.suppress(SessionError, StorageError):
            return _in_seconds(rate_of(recorded_numbers(folder, times)), ticks_hz)
    return rate_hz


def _in_seconds(rate: float | None, ticks_hz: float) -> float | None:
    """Samples a second, of samples a tick."""
    return None if rate is None else rate * ticks_hz


def _of_movies(folder: Path, place: Path, use: str) -> list[Column]:
    """Every movie of a folder of movies; one that cannot be read is a row, too."""
    columns = []
    for file in movie_files(place):
        name = one_line(f"{place.name}: {file.name}")
        try:
            with reading(file, StorageError, "a movie"):
                columns += [Column.of(name, one.pixels, use) for one in movies_at(file, within=folder)]
        except (SessionError, StorageError) as error:
            columns.append(Column.unreadable(name, one_line(str(error).removeprefix(f"{file}: ")), fault=True))
    return columns


def _is_deeper(folder: Path, name: str) -> bool:
    """Whether a description names a file in a folder of the folder, which is there."""
    try:
        return "/" in name and recorded_file(folder, name).is_file()
    except StorageError:
        return False
