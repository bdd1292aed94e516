"""Movies of a stimulus as files: one array of clips, one long stack, or a folder of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.matlab_files import read_matlab, split_name
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
from napari_vidrecon.storage import check_inside
from napari_vidrecon.storage.impostors import is_companion

MOST_CLIPS = 100_000


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
    pixels: np.ndarray | FilmPixels | TiffPixels
    pixels = read_matlab(place.with_name(matlab[0]), matlab[1], "stimulus") if matlab else open_pixels(place)
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
