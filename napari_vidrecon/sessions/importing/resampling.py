"""From any size and rate to the video clock: area averages of movies, interpolation of signals."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from napari_vidrecon.errors import ConfigError, SessionError
from napari_vidrecon.sessions.importing.recording import Signal
from napari_vidrecon.sessions.importing.stimuli import LUMA_WEIGHTS, WHITE, FilmPixels, StimulusMovie
from napari_vidrecon.storage import reading

ScreenFit = Literal["pad", "crop", "stretch"]
SURROUND_GREY = WHITE / 2
FRAMES_AT_ONCE = 32
PIXELS_AT_ONCE = 1 << 24
FAST = 1.5
"""A signal with more than this many samples a frame is averaged, not interpolated."""


def overlap(edges: np.ndarray, count: int) -> np.ndarray:
    """How much of each of `count` unit cells lies within each interval, as a share of the interval.

    Parameters
    ----------
    edges
        (n + 1,) ascending ends of the intervals; cell i reaches from i to i + 1.

    Returns
    -------
    np.ndarray
        (n, count) float32; a row adds up to 1, to less where its interval reaches beyond the cells.
    """
    cells = np.arange(count)
    shared = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(shared, 0.0, None) / np.diff(edges)[:, None]).astype(np.float32)


class ScreenResampler:
    """Area average of pictures of one size onto the pixels of the screen.

    Parameters
    ----------
    source_px
        Height and width of the pictures.
    screen_px
        Height and width of the screen.
    fit
        What to do if the proportions differ: "pad" shows the whole picture on mid grey, "crop" fills the screen and
        loses two edges, "stretch" distorts.

    Raises
    ------
    ConfigError
        No such fit.
    """

    def __init__(self, source_px: tuple[int, int], screen_px: tuple[int, int], fit: ScreenFit = "pad") -> None:
        if fit not in get_args(ScreenFit):
            raise ConfigError(f"fit: expected one of {', '.join(get_args(ScreenFit))}, found {fit!r}")
        # Source pixels that one screen pixel covers, along the rows and along the columns.
        steps = [source / screen for source, screen in zip(source_px, screen_px, strict=True)]
        if fit != "stretch":
            steps = [max(steps) if fit == "pad" else min(steps)] * 2
        self.identical = tuple(source_px) == tuple(screen_px)
        self.weights = []
        for source, screen, step in zip(source_px, screen_px, steps, strict=True):
            edges = source / 2 + (np.arange(screen + 1) - screen / 2) * step
            self.weights.append(overlap(edges, source))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """(F, H, W) grey levels to (F, rows, columns) float32; what no picture covers is mid grey."""
        if self.identical:
            return np.asarray(pictures, dtype=np.float32)
        rows, columns = self.weights
        return self._with_surround(np.matmul(np.matmul(rows, pictures), columns.T))

    def of_colours(self, pictures: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
        """(F, H, W, C) uint8 to (F, rows, columns) float32; colours are put together last, when there is little left.

        Parameters
        ----------
        pictures
            Grey levels 0..255 of each colour.
        shares
            Of each colour in the brightness.

        Returns
        -------
        np.ndarray
            What no picture covers is mid grey.
        """
        rows, columns = self.weights
        weights = np.array(shares, dtype=np.float32)
        shown = np.empty((len(pictures), len(rows), len(columns)), np.float32)
        for number, picture in enumerate(pictures):
            flat = picture.reshape(len(picture), -1).astype(np.float32)
            low = (rows @ flat).reshape(len(rows), *picture.shape[1:]) @ weights
            shown[number] = low @ columns.T
        return self._with_surround(shown)

    def _with_surround(self, shown: np.ndarray) -> np.ndarray:
        rows, columns = self.weights
        covered = np.outer(rows.sum(axis=1), columns.sum(axis=1))
        return (shown + (1.0 - covered) * SURROUND_GREY).astype(np.float32)


def shown_clip(
    movie: StimulusMovie,
    frames: np.ndarray,
    edges: np.ndarray,
    screen_px: tuple[int, int],
    fit: ScreenFit,
    stays_s: np.ndarray | None = None,
) -> np.ndarray:
    """What the screen showed during each frame of the video clock.

    Parameters
    ----------
    movie
        The movie.
    frames
        (F,) its frames in the order shown.
    edges
        (T + 1,) ends of the frames of the video clock, counted in frames shown: the first one shown reaches from 0 to
        1.
    screen_px, fit
        As in `ScreenResampler`.
    stays_s
        (F,) how long each frame stayed, where that varies: s; None for all alike.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, grey levels 0..255: averages over area and over time.
    """
    first, last = int(np.floor(edges[0])), int(np.ceil(edges[-1] - 1e-9))
    needed = frames[first:last]
    resampler = ScreenResampler(movie.size_px, screen_px, fit)
    if len(needed) > 1 and (np.diff(needed) == 1).all():
        height, width = movie.size_px
        at_once = max(1, min(FRAMES_AT_ONCE, PIXELS_AT_ONCE // (height * width)))
        parts = [
            _shown(movie, resampler, start, min(start + at_once, int(needed[-1]) + 1))
            for start in range(int(needed[0]), int(needed[-1]) + 1, at_once)
        ]
    else:
        parts = [_shown(movie, resampler, int(frame), int(frame) + 1) for frame in needed]
    pictures = np.concatenate(parts)
    if np.array_equal(edges, first + np.arange(len(pictures) + 1)):
        return pictures
    weights = overlap(edges - first, len(pictures))
    if stays_s is not None:
        # Half of a frame that stayed for long counts for more than half of one that did not.
        weights = weights * stays_s[first:last]
        weights /= weights.sum(axis=1, keepdims=True)
    return np.tensordot(weights, pictures, axes=1).astype(np.float32)


def _shown(movie: StimulusMovie, resampler: ScreenResampler, start: int, stop: int) -> np.ndarray:
    if isinstance(movie.pixels, FilmPixels) and movie.levels == (0.0, WHITE) and not resampler.identical:
        # Films are large, and black and white are those of the file.
        with reading(movie.name, SessionError, f"frames {start} to {stop - 1} of a movie"):
            return resampler.of_colours(movie.pixels[start:stop], LUMA_WEIGHTS)
    return resampler(movie.grey(start, stop))


def on_video_clock(signal: Signal, edges_s: np.ndarray) -> np.ndarray:
    """A signal at the frames of the video clock.

    Slow signals are interpolated linearly at the middle of each frame; fast ones are averaged over it, so that
    nothing above half the frame rate folds back. Outside the recording the nearest sample holds.

    Parameters
    ----------
    signal
        (C, S), without NaN.
    edges_s
        (T + 1,) ends of the frames, s.

    Returns
    -------
    np.ndarray
        (C, T) float32.
    """
    told = signal.in_frames(edges_s)
    if told is not None:
        return told.astype(np.float32)
    if signal.delays_s is None:
        return _sampled(signal, edges_s)
    found = np.empty((len(signal.values), len(edges_s) - 1), np.float32)
    for delay in np.unique(signal.delays_s):
        # What was sampled later is asked for at an earlier time of the common clock.
        which = signal.delays_s == delay
        found[which] = _sampled(signal, edges_s - delay, which)
    return found


def _sampled(signal: Signal, edges_s: np.ndarray, channels: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Some channels of a signal at the frames; of hours with thousands of channels only what is needed is copied."""
    # No more than that: a mean over time must not take in what is missing before the trial.
    some = signal.between(float(edges_s[0]), float(edges_s[-1]))
    times, values = signal.times[some], signal.values[channels, some].astype(np.float64)
    if signal.period_s < float(np.median(np.diff(edges_s))) / FAST:
        return _averages(times, values, edges_s).astype(np.float32)
    return _interpolated(times, values, (edges_s[:-1] + edges_s[1:]) / 2).astype(np.float32)


def _interpolated(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(times, at), 1, times.size - 1)
    left = right - 1
    weight = np.clip((at - times[left]) / (times[right] - times[left]), 0.0, 1.0)
    return values[:, left] * (1.0 - weight) + values[:, right] * weight


def _averages(times: np.ndarray, values: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """Mean of the linear interpolation over each interval, exactly."""
    knots = np.union1d(times, edges_s)
    heights = _interpolated(times, values, knots)
    areas = np.diff(knots) * (heights[:, 1:] + heights[:, :-1]) / 2
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(areas, axis=1)], axis=1)
    ends = total[:, np.searchsorted(knots, edges_s)]
    return np.diff(ends, axis=1) / np.diff(edges_s)
