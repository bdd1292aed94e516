"""Frames of films and TIFF files, read in pieces: no more of a movie is in memory than is asked for at once."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.stimuli.films import film_clock, film_frames, quiet
from napari_vidrecon.storage import reading

UNPACKED_RATIO, UNPACKED_SURPLUS_BYTES = 8, 400 << 20
"""A compressed TIFF file may be this many times as large as its file, and this much larger."""
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
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

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

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

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
