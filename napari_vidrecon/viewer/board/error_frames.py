"""The error map as an array that computes a frame when it is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np


class ErrorFrames:
    """First movie minus second, inside the evaluation mask; zero until there are two movies.

    A run brings a new movie many times a minute, of which one frame is on the screen. Napari shows, reads and
    saves it like any array; `numpy.asarray` computes all of it. The frame that was read last stays up to date: it
    is computed again, in place, when the movies change.

    Parameters
    ----------
    shape
        (T, rows, columns) of the movies.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self._movies: tuple[np.ndarray, np.ndarray | None] | None = None
        self._within: np.ndarray = np.ones(self.shape[-2:], np.float32)
        self._signed = True
        self._read: tuple[Any, np.ndarray] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def show(self, first: np.ndarray, second: np.ndarray | None, within: np.ndarray, *, signed: bool) -> None:
        """Take the difference of these from now on.

        Parameters
        ----------
        first
            (T, rows, columns) float32.
        second
            The same, or None for zero.
        within
            (rows, columns) float32, 1 inside the evaluation mask and 0 outside.
        signed
            Or only how large it is.
        """
        self._movies, self._within, self._signed = (first, second), within, signed
        self._renew()

    def clear(self) -> None:
        """Zero everywhere."""
        self._movies = None
        self._renew()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: Any) -> np.ndarray:
        found = self._error(place)
        if found.size == int(np.prod(self.shape[1:])):
            self._read = (place, found)
        return found

    def _renew(self) -> None:
        """Bring the frame that was read last up to date."""
        if self._read is not None:
            place, frame = self._read
            np.copyto(frame, self._error(place))

    def _error(self, place: Any) -> np.ndarray:
        if self._movies is None:
            return np.array(np.broadcast_to(np.float32(0), self.shape)[place])
        first, second = self._movies
        error = first[place] if second is None else first[place] - second[place]
        error = error * np.broadcast_to(self._within, self.shape)[place]
        return error if self._signed else np.abs(error)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)
