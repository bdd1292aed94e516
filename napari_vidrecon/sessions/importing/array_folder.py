"""What lies in a folder of arrays: its movies, and the arrays that a description names."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.importing.hdf5_contents import (
    hdf5_array,
    hdf5_arrays,
    split_hdf5,
    the_array,
    whole,
)
from napari_vidrecon.sessions.importing.matlab_files import (
    matlab_arrays,
    matlab_names,
    matlab_pieces,
    read_matlab,
    split_name,
)
from napari_vidrecon.sessions.importing.stimuli import (
    ARRAY_SUFFIXES,
    COLOUR_CHANNELS,
    FILM_SUFFIXES,
    MOVIE_SUFFIXES,
    TIFF_SUFFIXES,
    FilmPixels,
    StimulusMovie,
    TiffPixels,
    open_pixels,
    stimulus_movie,
)
from napari_vidrecon.sessions.importing.text_tables import DATE, TextTable, seconds_of_dates, split_table
from napari_vidrecon.sessions.stimuli.films import picture_frames, tiff_frames
from napari_vidrecon.storage import archive_names, check_inside, read_archive, read_array, reading
from napari_vidrecon.storage.impostors import is_companion
from napari_vidrecon.storage.plain_arrays import read_dictionary, split_archive, split_dictionary

DATES_AS_TEXT = "write dates as 2026-11-29T10:00:00.000+01:00, times of the day as seconds"
MOST_CLIPS = 100_000
PICTURE_AXES = 2
LONGEST_NAME = 1000
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
SPARSE_PARTS = {"format", "shape", "data"}
"""Of what `scipy.sparse.save_npz` writes."""
PACKED_SUFFIXES = (".mat", ".npz", ".h5", ".hdf5")
"""Files of several arrays, which are named as "FILE:NAME"."""
FRAME_READERS: dict[str, Callable[[Path], Generator[np.ndarray, None, None]]] = {
    **dict.fromkeys(PICTURE_SUFFIXES, picture_frames), ".tif": tiff_frames, ".tiff": tiff_frames,
}  # fmt: skip


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
    packed = split_packed(str(place))
    file = Path(packed[0]) if packed else place
    if within is not None:
        check_inside(within, file)
    frames = pictures_of(place) if place.is_dir() else []
    if frames:
        if within is not None:
            for frame in frames:
                check_inside(within, frame)
        return _movies_of(place, PictureFolder.of(frames), None, levels)
    if place.is_dir():
        return [movie for file in movie_files(place) for movie in movies_at(file, axes, levels, within)]
    stored = _stored_movies(file, packed[1]) if packed else [open_pixels(place)]
    return [movie for pixels in stored for movie in _movies_of(place, pixels, axes, levels)]


def _stored_movies(file: Path, inside: str) -> list[Any]:
    """Pixels in a file of several arrays; those in HDF5 are read in pieces."""
    if split_name(file.name):
        return list(matlab_pieces(file, inside, "stimulus"))
    likely = "stimulus" if file.stem == "stimulus" or not inside else file.stem
    pixels = hdf5_array(file, inside, likely) if split_hdf5(file.name) else _of_archive(file, inside, likely)
    if pixels.dtype.kind not in "fiub":
        raise SessionError(f"{file}: expected movies of numbers, found {pixels.dtype}; name another array in it")
    return [pixels]


def _of_archive(file: Path, inside: str, likely: str) -> np.ndarray:
    names = archive_names(file)
    if not inside and set(names) >= SPARSE_PARTS:
        raise StorageError(
            f"{file}: expected an array of numbers or text in it, found a sparse matrix of SciPy's; save it whole: "
            "numpy.save(name, scipy.sparse.load_npz(file).toarray())"
        )
    name = the_array(file, names, inside, likely)
    return read_archive(file, only=(name,))[name]


def _movies_of(
    place: Path,
    pixels: np.ndarray | FilmPixels | TiffPixels | PictureFolder,
    axes: str | None,
    levels: tuple[float, float] | None,
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
    if len(axes) != len(pixels.shape) or len(set(axes)) != len(axes) or not set("thw") <= set(axes):
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
    suffixes = (*MOVIE_SUFFIXES, *PACKED_SUFFIXES)
    files = [file for file in folder.iterdir() if file.suffix.lower() in suffixes and not is_companion(file)]
    if not files:
        files = [
            inner for inner in folder.iterdir() if not is_companion(inner) and inner.is_dir() and pictures_of(inner)
        ]
    if not files:
        raise SessionError(
            f"{folder}: expected movies ({', '.join(suffixes)}), or a folder of pictures ({', '.join(FRAME_READERS)}) "
            "a movie, found none; add them"
        )
    return sorted(files, key=natural_order)


def pictures_of(folder: Path) -> list[Path]:
    """Frames of a movie that is stored as a folder of pictures, in the order of their names; empty for none.

    Returns
    -------
    list[Path]
        Pictures, or TIFF files of a single picture each.
    """
    every = [file for file in folder.iterdir() if not is_companion(file)]
    files = sorted((file for file in every if file.suffix.lower() in FRAME_READERS), key=natural_order)
    if any(file.suffix.lower() in (*ARRAY_SUFFIXES, *FILM_SUFFIXES) for file in every):
        # Pictures beside movies are there to look at.
        return []
    if len(files) < 2 or any(file.suffix.lower() not in PICTURE_SUFFIXES for file in files):
        single = len(files) > 1 and all(file.suffix.lower() in TIFF_SUFFIXES for file in files)
        if not (single and len(open_pixels(files[0]).shape) == PICTURE_AXES):
            return []
    return files


@dataclass(frozen=True)
class PictureFolder:
    """Pictures of one size as an array of frames, each read when it is needed.

    Parameters
    ----------
    files
        In the order shown.
    shape
        (F, H, W) or (F, H, W, C).
    dtype
        Kind of numbers.
    """

    files: list[Path]
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, files: list[Path]) -> PictureFolder:
        """The frames of some files; the first tells size and kind."""
        first = _picture(files[0])
        return cls(files, (len(files), *first.shape), first.dtype)

    def __getitem__(self, index: slice, /) -> np.ndarray:
        files = self.files[index]
        found = np.empty((len(files), *self.shape[1:]), self.dtype)
        for frame, file in zip(found, files, strict=True):
            picture = _picture(file)
            if picture.shape != frame.shape or picture.dtype != self.dtype:
                raise SessionError(
                    f"{file}: expected a picture like {self.files[0].name}, {self.dtype} of shape {frame.shape}, found "
                    f"{picture.dtype} of {picture.shape}; save all in one size and kind, or give it a folder of its own"
                )
            frame[:] = picture
        return found


def _picture(file: Path) -> np.ndarray:
    with reading(file, StorageError, "a picture"):
        return next(FRAME_READERS[file.suffix.lower()](file))


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
        remedy = "; give its path from there on" if Path(name).is_absolute() else ""
        raise StorageError(f"{folder}: expected the name of a file in it, found {one_line(repr(name), 100)}{remedy}")
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
        Its name, "FILE:NAME" for an array in a MAT, `.npz` or HDF5 file.

    Returns
    -------
    Path
        Inside the folder.

    Raises
    ------
    StorageError
        It lies outside the folder, or the name is none.
    """
    packed = split_packed(name)
    place = recorded_file(folder, packed[0] if packed else name)
    return Path(f"{place}:{packed[1]}") if packed and packed[1] else place


def split_packed(name: str) -> tuple[str, str] | None:
    """File and name of an array in a MAT, `.npz` or HDF5 file; the name may be empty, None for another file."""
    return split_name(name) or split_archive(name) or split_hdf5(name)


def packed_names(file: Path) -> list[str]:
    """Names of the arrays in a MAT, `.npz` or HDF5 file.

    Returns
    -------
    list[str]
        As "FILE:NAME" has them.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    if split_name(file.name):
        return matlab_names(file)
    return list(hdf5_arrays(file)) if split_hdf5(file.name) else archive_names(file)


def packed_arrays(file: Path) -> dict[str, Any]:
    """{name: array} of all in a MAT, `.npz` or HDF5 file, or why one cannot be read; those of HDF5 are read later.

    Returns
    -------
    dict[str, Any]
        With a shape and a type; `StorageError` for what is none, as of objects beside arrays.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    if split_name(file.name):
        return dict(matlab_arrays(file))
    if split_hdf5(file.name):
        return hdf5_arrays(file)
    found: dict[str, Any] = {}
    for name in archive_names(file):
        try:
            found.update(read_archive(file, only=(name,)))
        except StorageError as error:
            found[name] = error
    return found


def recorded_array(folder: Path, name: str, *, memory_map: bool = False) -> np.ndarray:
    """An array file, one in a file of several, columns of a table or an array of Facemap's: numbers or text.

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
        return read_matlab(recorded_file(folder, matlab[0]), matlab[1], Path(matlab[0]).stem)
    packed = split_packed(name)
    if packed:
        file, source = recorded_file(folder, packed[0]), str(folder / name)
        stored = hdf5_array if split_hdf5(name) else _of_archive
        found = stored(file, packed[1], Path(packed[0]).stem)
        return _in_seconds(found if isinstance(found, np.ndarray) else whole(found, source), source)
    table = split_table(name)
    if table:
        return TextTable(recorded_file(folder, table[0])).array(table[1])
    inside = split_dictionary(name)
    if inside:
        return read_dictionary(recorded_file(folder, inside[0]), inside[1])
    return _in_seconds(read_array(recorded_file(folder, name), memory_map=memory_map), str(folder / name))


def _in_seconds(values: np.ndarray, source: str) -> np.ndarray:
    """Dates and times of numpy, and dates as text, as seconds; all else as it is."""
    if values.dtype.kind in "Mm":
        zero, second = (np.datetime64(0, "s"), np.timedelta64(1, "s"))
        return np.asarray((values - zero if values.dtype.kind == "M" else values) / second)
    if values.dtype.kind == "U" and values.size and DATE.fullmatch(str(values.flat[0])):
        return seconds_of_dates([str(each) for each in values.ravel()], source).reshape(values.shape)
    return values


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
        words = values.dtype.kind == "U" and values.size
        told = f", {one_line(repr(str(values.flat[0])), 60)} first" if words else ""
        dates = f"; {DATES_AS_TEXT}" if told and any(mark in str(values.flat[0]) for mark in ":/") else ""
        raise SessionError(
            f"{folder / name}: expected {expected}, found {values.dtype} of shape {values.shape}{told}{dates}"
        )
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
