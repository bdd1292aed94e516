"""What lies in a folder of arrays: its movies, and what a description would use each array for."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.importing.columns import NOT_USED, Column
from napari_vidrecon.sessions.importing.description import DESCRIPTION_FILES, Description, read_description
from napari_vidrecon.sessions.importing.matlab_files import matlab_arrays, matlab_pieces, read_matlab, split_name
from napari_vidrecon.sessions.importing.stimuli import (
    COLOUR_CHANNELS,
    FILM_SUFFIXES,
    MOVIE_SUFFIXES,
    FilmPixels,
    StimulusMovie,
    TiffPixels,
    open_pixels,
    stimulus_movie,
)
from napari_vidrecon.sessions.importing.text_tables import TextTable, split_table
from napari_vidrecon.storage import check_inside, read_array, reading
from napari_vidrecon.storage.impostors import is_companion

MOST_CLIPS = 100_000
LONGEST_NAME, LONGEST_LISTED = 1000, 200
READ_AS_TEXT = ("coordinates", "tiers", "labels of the units")
"""Uses of tables whose columns have names of their own."""


def movies_at(
    place: Path,
    axes: str | None = None,
    levels: tuple[float, float] | None = None,
    within: Path | None = None,
) -> list[StimulusMovie]:
    """The movies of a file or folder, mapped where that is possible.

    Parameters
    ----------
    place
        An array or movie file, or a folder of them.
    axes
        Order of the axes, e.g. "nthw"; default: clips, frames, rows, columns, colours, as far as they are there.
    levels
        Values of black and white.
    within
        The folder of the recording, which no link may leave; None for a file that a person chose.

    Returns
    -------
    list[StimulusMovie]
        In the order of their names, or of the clips in a file.

    Raises
    ------
    SessionError
        No movies, other axes, or too many clips.
    StorageError
        A movie that cannot be read.
    """
    if within is not None:
        matlab = split_name(place.name)
        check_inside(within, place.with_name(matlab[0]) if matlab else place)
    if place.is_dir():
        return [movie for file in movie_files(place) for movie in movies_at(file, axes, levels, within)]
    matlab = split_name(place.name)
    stored = matlab_pieces(place.with_name(matlab[0]), matlab[1], "stimulus") if matlab else [open_pixels(place)]
    return [movie for pixels in stored for movie in _movies_of(place, pixels, axes, levels)]


def _movies_of(
    place: Path, pixels: np.ndarray | FilmPixels | TiffPixels, axes: str | None, levels: tuple[float, float] | None
) -> list[StimulusMovie]:
    """The movies of stored pixels; see `movies_at`.

    Parameters
    ----------
    place
        Where they come from.
    pixels
        All of them.
    axes, levels
        As there.

    Returns
    -------
    list[StimulusMovie]
        One a clip.
    """
    if axes is None or place.suffix.lower() in FILM_SUFFIXES:
        axes = _axes(place, pixels.shape)
    if len(axes) != pixels.ndim or len(set(axes)) != len(axes) or not set("thw") <= set(axes):
        raise SessionError(f"{place}: expected axes t, h and w, and n and c where there, found {axes!r} for "
                           f"shape {pixels.shape}")  # fmt: skip
    if not isinstance(pixels, np.ndarray):
        if axes == _axes(place, pixels.shape) and "n" not in axes:
            return [stimulus_movie(str(place), pixels, levels)]
        pixels = pixels[:]
    ordered = pixels.transpose([axes.index(axis) for axis in "nthwc" if axis in axes])
    if ordered.ndim > 3 and "n" in axes and 0 in ordered.shape:
        raise SessionError(f"{place}: expected movies, found an empty array of shape {pixels.shape}")
    if "n" in axes and len(ordered) > MOST_CLIPS:
        raise SessionError(f"{place}: expected at most {MOST_CLIPS} clips, found {len(ordered)}; are its axes right?")
    if "n" not in axes:
        return [stimulus_movie(str(place), ordered, levels)]
    if levels is None:
        # One scale for all clips: a dark one among them must not be stretched.
        levels = stimulus_movie(str(place), ordered.reshape(-1, *ordered.shape[2:]), None).levels
    return [stimulus_movie(f"{place}, clip {number}", clip, levels) for number, clip in enumerate(ordered)]


def movie_files(folder: Path) -> list[Path]:
    """Movies of a folder in the order of their names; what is hidden is no movie.

    Returns
    -------
    list[Path]
        At least one.

    Raises
    ------
    SessionError
        None.
    """
    suffixes = (*MOVIE_SUFFIXES, ".mat")
    files = [file for file in folder.iterdir() if file.suffix.lower() in suffixes and not is_companion(file)]
    if not files:
        raise SessionError(f"{folder}: expected movies ({', '.join(suffixes)}), found none; add them")
    return sorted(files, key=natural_order)


def _axes(place: Path, shape: tuple[int, ...]) -> str:
    coloured = len(shape) > 3 and shape[-1] in COLOUR_CHANNELS
    found = {3: "thw", 4: "thwc" if coloured else "nthw", 5: "nthwc"}.get(len(shape))
    if found is None:
        raise SessionError(f"{place}: expected frames (frames, rows, columns), found shape {shape}")
    return found


def natural_order(file: Path) -> list[tuple[int, int, str]]:
    """Key that sorts clip2 before clip10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", file.name)]


def recorded_file(folder: Path, name: str) -> Path:
    """The place of a file that a description names.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name, or its path in the folder.

    Returns
    -------
    Path
        Inside the folder.

    Raises
    ------
    StorageError
        It lies outside the folder, or the name is none.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or Path(name).is_absolute():
        raise StorageError(f"{folder}: expected the name of a file in it, found {one_line(repr(name), 100)}")
    place = folder / name
    check_inside(folder, place)
    return place


def recorded_place(folder: Path, name: str) -> Path:
    """The place of a file that a description names, with the variable in it where it names one.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name, "FILE.mat:VARIABLE" for a part of a MAT file.

    Returns
    -------
    Path
        Inside the folder.

    Raises
    ------
    StorageError
        It lies outside the folder, or the name is none.
    """
    matlab = split_name(name)
    place = recorded_file(folder, matlab[0] if matlab else name)
    return place.with_name(f"{place.name}:{matlab[1]}") if matlab and matlab[1] else place


def recorded_array(folder: Path, name: str, *, memory_map: bool = False) -> np.ndarray:
    """An array file of a recording, a variable of a MAT file, or columns of a table: numbers or text.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name.
    memory_map
        Map an array file, so that only what is touched is read.

    Returns
    -------
    np.ndarray
        In memory, or mapped.

    Raises
    ------
    StorageError
        Missing, outside the folder, damaged or unsafe.
    """
    matlab = split_name(name)
    if matlab:
        file, variable = matlab
        return read_matlab(recorded_file(folder, file), variable, Path(file).stem)
    table = split_table(name)
    if table:
        return TextTable(recorded_file(folder, table[0])).array(table[1])
    return read_array(recorded_file(folder, name), memory_map=memory_map)


def recorded_numbers(folder: Path, name: str, expected: str = "numbers", *, memory_map: bool = False) -> np.ndarray:
    """An array file of real numbers.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name.
    expected
        What they should be, for the message.
    memory_map
        Map an array file, so that only what is touched is read.

    Returns
    -------
    np.ndarray
        Of integers or floats.

    Raises
    ------
    StorageError
        Missing, outside the folder, damaged or unsafe.
    SessionError
        Not numbers.
    """
    values = recorded_array(folder, name, memory_map=memory_map)
    if values.dtype.kind not in "fiu":
        raise SessionError(f"{folder / name}: expected {expected}, found {values.dtype} of shape {values.shape}")
    return values


def recorded_vector(folder: Path, name: str, expected: str = "numbers") -> np.ndarray:
    """A list of numbers, which MATLAB keeps in two axes.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name.
    expected
        What they should be, for the message.

    Returns
    -------
    np.ndarray
        One axis where all others are of length 1.

    Raises
    ------
    StorageError
        Missing, outside the folder, damaged or unsafe.
    SessionError
        Not numbers.
    """
    values = recorded_numbers(folder, name, expected)
    return values.ravel() if max(values.shape, default=0) == values.size else values


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """A list of whole numbers as integers, though MATLAB keeps them as doubles and in two axes; else as it is."""
    if max(values.shape, default=0) == values.size:
        values = values.ravel()
    if values.dtype.kind == "f" and np.isfinite(values).all() and (np.rint(values) == values).all():
        return values.astype(np.int64) if np.abs(values).max(initial=0) < 1 << 53 else values
    return values


def require_folder(folder: Path) -> None:
    """Refuse what is no folder; raises `StorageError`."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing there"
        raise StorageError(f"{folder}: expected a folder of arrays, found {found}; check the path")


def preview(folder: Path, activity_file: str) -> list[Column]:
    """Every file of a folder with its use; what keeps it from being imported is a row of its own."""
    try:
        description, _ = read_description(folder, activity_file)
    except (SessionError, StorageError) as error:
        return [*list_columns(folder, {}), Column.unreadable("description", str(error), fault=True)]
    return list_columns(folder, uses(description))


def uses(description: Description) -> dict[str, tuple[str, str | None, float | None]]:
    """{file: (what it is used for, file of its times, its rate)} of a description."""
    found: dict[str, tuple[str, str | None, float | None]] = {}
    streams = {name: getattr(description, name) for name in ("activity", "running", "pupil_size", "pupil_center")}
    for name, part in streams.items():
        if part is not None:
            title = name.replace("_", " ").replace("center", "centre")
            counted = part.ticks_hz == 1.0 and getattr(part, "planes", 1) == 1
            found[part.file] = (title, part.times if counted else None, part.rate_hz)
            if part.times:
                found[part.times] = (f"times of the {title}", part.times if counted else None, None)
    if description.activity.clusters:
        found[description.activity.clusters] = ("which unit each spike is of", None, None)
    stimulus = description.stimulus
    found[stimulus.file] = ("stimulus", stimulus.times if stimulus.ticks_hz == 1.0 else None, stimulus.rate_hz)
    for file, use in {
        stimulus.times: "times of the stimulus",
        stimulus.onsets: "onsets of the stimulus",
        stimulus.order: "order of the movies",
        description.coordinates: "coordinates",
        description.neuron_ids: "ids of the neurons",
        description.tiers: "tiers",
        **({} if description.clock is None else dict.fromkeys(vars(description.clock).values(), "pulses")),
    }.items():
        if file:
            found[file] = (use, None, None)
    return found


def list_columns(folder: Path, known: dict[str, tuple[str, str | None, float | None]]) -> list[Column]:
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


Known = dict[str, tuple[str, str | None, float | None]]


def _of_file(folder: Path, file: Path, known: Known) -> list[Column]:
    use, times, rate_hz = known.get(file.name, (NOT_USED, None, None))
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
        return [Column.of(one_line(f"{file.name}:{name}"), found[name], role, _rate(folder, clock, hz))
                for name, (role, clock, hz) in uses_in.items()]  # fmt: skip
    if split_table(file.name):
        return _of_table(folder, file, known)
    if split_name(file.name):
        return [Column.of(file.name, recorded_array(folder, file.name), use, _rate(folder, times, rate_hz))]
    if file.suffix.lower() not in MOVIE_SUFFIXES:
        told = "what the others are" if file.name in DESCRIPTION_FILES else use
        return [Column.unreadable(one_line(file.name), told)]
    if use == NOT_USED and not file.resolve().is_relative_to(folder.resolve()):
        return [Column.unreadable(one_line(file.name), f"{NOT_USED}: a link that leaves the folder")]
    array = open_pixels(file)
    return [Column.of(one_line(file.name), array, use, _rate(folder, times, rate_hz))]


def _of_table(folder: Path, file: Path, known: Known) -> list[Column]:
    """The columns of a table that are used; where none is, the names of all."""
    parts = [name for name, (use, _, _) in known.items() if (split_table(name) or "")[:1] == (file.name,)
             and use not in READ_AS_TEXT]  # fmt: skip
    if parts:
        # Read once, whatever is used of it.
        table, found = TextTable(recorded_file(folder, file.name)), []
        for name in parts:
            use, times, rate_hz = known[name]
            if rate_hz is None and times and (split_table(times) or "")[:1] == (file.name,):
                with contextlib.suppress(SessionError):
                    rate_hz, times = rate_of(table.array((split_table(times) or ("", ""))[1])), None
            array = table.array((split_table(name) or ("", ""))[1])
            found.append(Column.of(one_line(name), array, use, _rate(folder, times, rate_hz)))
        return found
    use = known.get(file.name, (NOT_USED, None, None))[0]
    inside = file.resolve().is_relative_to(folder.resolve())
    names = [name for name in TextTable(file).names if name] if use == NOT_USED and inside else []
    told = f": columns {one_line(', '.join(names), LONGEST_LISTED)}" if names else ""
    return [Column.unreadable(one_line(file.name), use + told)]


def _rate(folder: Path, times: str | None, rate_hz: float | None) -> float | None:
    if rate_hz is None and times:
        with contextlib.suppress(SessionError, StorageError):
            return rate_of(recorded_numbers(folder, times))
    return rate_hz


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


def rate_of(times: np.ndarray) -> float | None:
    """Samples a second of a list of times; None if they are no clock."""
    with np.errstate(all="ignore"):
        steps = np.diff(times.astype(float).ravel()) if times.dtype.kind in "fiu" else np.empty(0)
        step = float(np.median(steps)) if steps.size else 0.0
    return 1.0 / step if np.isfinite(step) and step > 0 and np.isfinite(1.0 / step) else None
