"""`StimulusMovie`: a movie as it was stored, read in pieces, and the one grey scale that every movie is brought to."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.sessions.stimuli.films import film_clock, film_frames, quiet
from napari_vidrecon.storage import check_regular, open_regular, read_array, reading
from napari_vidrecon.storage.impostors import check_genuine

UNPACKED_RATIO, UNPACKED_SURPLUS_BYTES = 8, 400 << 20
"""A compressed TIFF file may be this many times as large as its file, and this much larger."""
COLOUR_AXES = 4
STEADY_SHARE = 0.05
"""Frames of a film follow each other steadily if no step differs by more than this share."""


class FilmPixels:
    """A film as an array of frames: decoded from its begin to where it is asked, and on from there.

    Parameters
    ----------
    path
        The film.

    Attributes
    ----------
    times_s
        (F,) when each frame appears in the film, s.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times_s, (height, width) = film_clock(path)
        self.shape = (len(self.times_s), height, width, 3)
        self._frames: Generator[np.ndarray, None, None] | None = None
        self._next = 0

    @property
    def steady(self) -> bool:
        """Whether its frames follow each other at one rate."""
        steps = np.diff(self.times_s)
        return steps.size < 2 or bool(np.ptp(steps) <= STEADY_SHARE * max(float(np.median(steps)), 1e-9) + 2e-3)

    def __getitem__(self, index: slice, /) -> np.ndarray:
        start, stop, step = index.indices(self.shape[0])
        found = np.empty((max(stop - start, 0), *self.shape[1:]), np.uint8)
        if self._frames is None or start < self._next:
            self.close()
            self._frames, self._next = film_frames(self.path, self.shape[0], each_once=True), 0
        with reading(self.path, expected="a movie"):
            while self._next < stop:
                frame = next(self._frames, None)
                if frame is None or frame.shape != self.shape[1:]:
                    raise StorageError(
                        f"{self.path}: expected {self.shape[0]} frames of one size, found that frame {self._next} "
                        "cannot be read; it is damaged: copy it again, or save its frames as .npy"
                    )
                if self._next >= start:
                    found[self._next - start] = frame
                self._next += 1
        if self._next >= self.shape[0]:
            self.close()
        return found[::step]

    def close(self) -> None:
        """End the process that decodes it."""
        if self._frames is not None:
            self._frames.close()
        self._frames, self._next = None, 0

    def __del__(self) -> None:
        """Leave no process behind."""
        with contextlib.suppress(Exception):
            self.close()


class TiffPixels:
    """Pages of a TIFF file as an array of frames, colours last.

    Parameters
    ----------
    path
        The file.
    shape
        (F, H, W) or (F, H, W, C).
    dtype
        Kind of numbers.
    colours_first
        Whether each page holds one plane a colour.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, colours_first: bool) -> None:
        self.path, self.shape, self.dtype, self._colours_first = path, shape, dtype, colours_first

    def __getitem__(self, index: slice, /) -> np.ndarray:
        import tifffile

        places = range(*index.indices(self.shape[0]))
        found = np.empty((len(places), *self.shape[1:]), self.dtype)
        with reading(self.path, expected="a movie"), quiet("tifffile"), tifffile.TiffFile(self.path) as opened:
            pages = opened.series[0].pages
            for row, place in enumerate(places):
                page = pages[place]
                if page is None:
                    raise StorageError(f"{self.path}: expected {self.shape[0]} pictures, found none at {place}")
                picture = page.asarray()
                found[row] = np.moveaxis(picture, 0, -1) if self._colours_first else picture
        return found


def tiff_pixels(path: Path, size: int) -> np.ndarray | TiffPixels:
    """Frames of a TIFF file: mapped where they lie one after the other, read page by page where each is one.

    Parameters
    ----------
    path
        The file.
    size
        Its bytes.

    Returns
    -------
    np.ndarray | TiffPixels
        Colours last, also where the file keeps them in planes.

    Raises
    ------
    StorageError
        It says that it holds far more than its size.
    """
    import tifffile

    with quiet("tifffile"), tifffile.TiffFile(path) as opened:
        series = opened.series[0]
        shape = tuple(int(length) for length in series.shape)
        colour = series.axes.find("S")
        if colour < 0 and len(shape) > COLOUR_AXES - 1 and series.axes.count("C") == 1:
            # Channels of a microscope's program, frame by frame.
            channel = series.axes.index("C")
            colour = channel if shape[channel] in COLOUR_CHANNELS else -1
        moved = colour not in (-1, len(shape) - 1)
        last = (*shape[:colour], *shape[colour + 1 :], shape[colour]) if moved else shape
        first = series.pages[0]
        page = () if first is None else tuple(int(length) for length in first.shape)
        if series.dataoffset is not None and size >= series.dataoffset + series.nbytes:
            order = opened.byteorder + series.dtype.char
            whole = np.memmap(path, np.dtype(order), mode="r", offset=series.dataoffset, shape=shape)
            return np.moveaxis(whole, colour, -1) if moved else whole
        if len(shape) > 2 and len(series.pages) == shape[0] and page == shape[1:]:
            return TiffPixels(path, last, series.dtype, moved)
        claimed = int(np.prod([int(n) for n in shape], dtype=object)) * series.dtype.itemsize
        if claimed > UNPACKED_RATIO * size + UNPACKED_SURPLUS_BYTES:
            raise StorageError(
                f"{path}: expected a movie of its size, found one that says it has {claimed:,} bytes of pixels; "
                "it is damaged: copy it again, or save its frames as .npy"
            )
        found = np.asarray(series.asarray())
        return np.moveaxis(found, colour, -1) if moved else found


WHITE = 255.0
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the brightness of a picture (ITU-R BT.601)."""
COLOUR_CHANNELS = (2, 3, 4)
ARRAY_SUFFIXES, TIFF_SUFFIXES, FILM_SUFFIXES = (".npy",), (".tif", ".tiff"), (".mp4", ".avi", ".mov", ".mkv")
MOVIE_SUFFIXES = ARRAY_SUFFIXES + TIFF_SUFFIXES + FILM_SUFFIXES
LARGEST_SIDE_PX = 8192
FRAMES_TO_LOOK_AT = 32
DARKEST_PLAUSIBLE_SHARE = 0.1
"""A movie of 16 bits that never exceeds this share of its range was most likely stored with fewer bits."""


class Pixels(Protocol):
    """Frames that can be sliced: an array, a mapped file, or a data set of an HDF5 file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(F, H, W) or (F, H, W, C)."""

    @property
    def dtype(self) -> np.dtype:
        """Kind of numbers."""

    def __getitem__(self, index: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class StimulusMovie:
    """A movie as it was stored: any size, 8 or 16 bit or float, grey or colour.

    Parameters
    ----------
    name
        The file or the place in a file, for messages.
    pixels
        (F, H, W), or (F, H, W, C) with 2 to 4 colour channels.
    levels
        The values that were shown as black and as white.
    """

    name: str
    pixels: Pixels
    levels: tuple[float, float]

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @property
    def coloured(self) -> bool:
        """Whether it has colour channels."""
        return len(self.pixels.shape) == 4

    def grey(self, start: int, stop: int) -> np.ndarray:
        """Frames from `start` up to, but without, `stop`: (F, H, W) float32, grey levels 0..255.

        Returns
        -------
        np.ndarray
            (F, H, W) float32; colours become grey.

        Raises
        ------
        SessionError
            A pixel is NaN or infinite.
        """
        with reading(self.name, SessionError, f"frames {start} to {stop - 1} of a movie"):
            frames = np.asarray(self.pixels[start:stop])
        if self.coloured and frames.shape[-1] < len(LUMA_WEIGHTS):
            raise SessionError(
                f"{self.name}: expected grey levels, or red, green and blue, found {frames.shape[-1]} colours; name "
                "them, --colours green,uv, to keep them apart"
            )
        if self.coloured:
            # A fourth channel is opacity, which a screen does not show.
            frames = frames[..., :3] @ np.array(LUMA_WEIGHTS, dtype=np.float32)
        black, white = self.levels
        with np.errstate(over="ignore", invalid="ignore"):
            grey = (frames.astype(np.float32) - np.float32(black)) * np.float32(WHITE / (white - black))
        if not np.isfinite(grey).all():
            raise SessionError(
                f"{self.name}: expected a grey level in every pixel, found NaN or infinite values in "
                f"frames {start} to {stop - 1}"
            )
        return np.clip(grey, 0.0, WHITE)


@dataclass(frozen=True)
class ColourPlane:
    """One colour of stored frames (F, H, W, C), read when it is needed.

    Parameters
    ----------
    pixels
        All colours.
    index
        Which of them.
    """

    pixels: Pixels
    index: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(F, H, W)."""
        return self.pixels.shape[:3]

    @property
    def dtype(self) -> np.dtype:
        """Kind of numbers."""
        return self.pixels.dtype

    def __getitem__(self, index: slice, /) -> np.ndarray:
        return self.pixels[index][..., self.index]


@dataclass(frozen=True)
class GreyAfter:
    """Stored pictures (F, H, W) or (F, H, W, C), and one more behind them that is grey all over.

    Parameters
    ----------
    pixels
        The pictures.
    level
        The value of the grey one.
    """

    pixels: Pixels
    level: float

    @property
    def shape(self) -> tuple[int, ...]:
        """(F + 1, H, W) or (F + 1, H, W, C)."""
        return self.pixels.shape[0] + 1, *self.pixels.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Kind of numbers."""
        return self.pixels.dtype

    def __getitem__(self, index: slice, /) -> np.ndarray:
        start, stop, _ = index.indices(self.shape[0])
        last = self.pixels.shape[0]
        pictures = np.asarray(self.pixels[start : min(stop, last)])
        if stop <= last:
            return pictures
        return np.concatenate([pictures, np.full((1, *self.shape[1:]), self.level, self.dtype)])


def colour_planes(movie: StimulusMovie, colours: tuple[str, ...]) -> list[StimulusMovie]:
    """A movie of grey levels for each of its colours; the movie itself where none are named.

    Parameters
    ----------
    movie
        As it was stored.
    colours
        Names of the colours of the screen.

    Returns
    -------
    list[StimulusMovie]
        In the order of the names.

    Raises
    ------
    SessionError
        The movie has fewer or more colours than names.
    """
    if not colours:
        return [movie]
    found = movie.pixels.shape[3] if movie.coloured else 1
    if found != len(colours):
        raise SessionError(
            f"{movie.name}: expected {len(colours)} colours ({', '.join(colours)}) along its last axis, found {found}; "
            f"{_other_colours(found, len(colours))}or leave --colours out for grey levels"
        )
    return [replace(movie, pixels=ColourPlane(movie.pixels, index)) for index in range(found)]


def _other_colours(found: int, named: int) -> str:
    """What to do about a movie of more or fewer colours than were named."""
    if found == 1:
        return "give --axes, with c for the colours, if they stand elsewhere, "
    saved = f", save the {named} that were shown alone (as movie[..., [1, 2]] of red, green, blue)"
    return f"name all {found} in their order, as --colours red,green,uv{saved if found > named else ''}, "


def stimulus_movie(name: str, pixels: Pixels, levels: tuple[float, float] | None = None) -> StimulusMovie:
    """A movie of stored frames, after a look at whether its grey levels can be told.

    Parameters
    ----------
    name
        For messages.
    pixels
        (F, H, W) or (F, H, W, C).
    levels
        Values of black and white; default: the whole range of integers, 0..1 or 0..255 for floats.

    Returns
    -------
    StimulusMovie
        Its frames are read when they are needed.

    Raises
    ------
    SessionError
        Not frames of pixels, or black and white cannot be told.
    """
    shape = tuple(pixels.shape)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in COLOUR_CHANNELS) or 0 in shape:
        raise SessionError(
            f"{name}: expected frames (frames, rows, columns) or with 2 to 4 colours as the last axis, "
            f"found shape {shape}; say `axes` in the description if the axes are in another order"
        )
    if max(shape[1:3]) > LARGEST_SIDE_PX:
        raise SessionError(
            f"{name}: expected pictures of at most {LARGEST_SIDE_PX} pixels a side, found {shape[1]} x {shape[2]}; "
            "say `axes` in the description if the axes are in another order"
        )
    if pixels.dtype.kind not in "fiub":
        raise SessionError(f"{name}: expected pixels as numbers, found {pixels.dtype}")
    if levels is None:
        levels = _levels_of(name, pixels)
    if not (levels[1] > levels[0] and np.isfinite(np.float32(WHITE / (levels[1] - levels[0])))):
        raise SessionError(f"{name}: expected levels of black and white, black first, found {levels}")
    return StimulusMovie(name, pixels, levels)


def _levels_of(name: str, pixels: Pixels) -> tuple[float, float]:
    if pixels.dtype.kind == "b":
        return 0.0, 1.0
    if pixels.dtype == np.uint8:
        return 0.0, WHITE
    lowest, highest = value_range(pixels)
    remedy = "say which values were black and white: levels = [0, 4095] in the description, or --levels 0:4095"
    if pixels.dtype == np.uint16 and highest > DARKEST_PLAUSIBLE_SHARE * np.iinfo(np.uint16).max:
        return 0.0, float(np.iinfo(np.uint16).max)
    if pixels.dtype.kind == "f" and lowest >= 0 and highest <= 1.0:
        return 0.0, 1.0
    if pixels.dtype.kind == "f" and lowest >= 0 and highest <= WHITE:
        return 0.0, WHITE
    raise SessionError(
        f"{name}: expected 8 or 16 bits, or values from 0 to 1 or from 0 to 255, "
        f"found {pixels.dtype} from {lowest:g} to {highest:g}; {remedy}"
    )


def value_range(pixels: Pixels) -> tuple[float, float]:
    """Lowest and highest value of a few frames spread over a movie; NaN if there are none but NaN."""
    count = pixels.shape[0]
    chosen = np.unique(np.linspace(0, count - 1, FRAMES_TO_LOOK_AT).astype(int))
    looked: list[tuple[float, float]] = []
    for index in chosen:
        frame = np.asarray(pixels[int(index) : int(index) + 1])
        finite = frame[np.isfinite(frame)]
        if finite.size:
            looked.append((float(finite.min()), float(finite.max())))
    if not looked:
        return float("nan"), float("nan")
    return min(low for low, _ in looked), max(high for _, high in looked)


def open_pixels(file: Path) -> np.ndarray | FilmPixels | TiffPixels:
    """Frames of a movie file, time first: `.npy` is mapped, TIFF and film files are read in pieces.

    Returns
    -------
    np.ndarray | FilmPixels | TiffPixels
        (T, H, W) or (T, H, W, colours).

    Raises
    ------
    StorageError
        Missing, damaged, pickled, or of another kind.
    """
    suffix = file.suffix.lower()
    if suffix in ARRAY_SUFFIXES:
        return read_array(file, memory_map=True)
    if suffix not in TIFF_SUFFIXES + FILM_SUFFIXES:
        raise StorageError(
            f"{file}: expected a movie ({', '.join(MOVIE_SUFFIXES)}), found a file ending in '{suffix.split(':')[0]}'; "
            "save its frames as .npy"
        )
    size = check_regular(file, "a movie")
    with open_regular(file, "a movie") as opened:
        check_genuine(file, opened, "a movie", StorageError)
    with reading(file, expected="a movie"):
        return tiff_pixels(file, size) if suffix in TIFF_SUFFIXES else FilmPixels(file)
