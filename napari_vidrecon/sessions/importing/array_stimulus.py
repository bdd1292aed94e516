"""Movies among plain arrays, and when each of their frames was shown."""

from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, number_of, one_line
from napari_vidrecon.sessions.importing.array_folder import (
    movies_at,
    recorded_array,
    recorded_numbers,
    recorded_place,
    recorded_vector,
    whole_numbers,
)
from napari_vidrecon.sessions.importing.clocks import note_coarse, require_rate, times_as_many
from napari_vidrecon.sessions.importing.description import StimulusPart
from napari_vidrecon.sessions.importing.matlab_files import split_name
from napari_vidrecon.sessions.importing.recording import (
    LONGEST_STILL_S,
    ImportReport,
    Presentation,
    require_ascending,
)
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.stimuli import FilmPixels, StimulusMovie
from napari_vidrecon.sessions.importing.text_tables import NOTHING, split_table
from napari_vidrecon.sessions.importing.trials import presentations_from_stream, showings_of_stills

MOST_FRAMES_SHOWN = 10_000_000
MOST_ASTRAY = 10
"""So many pulses of a screen's light may have been missed, or be of something else."""
FEWEST_ROWS_A_SHOWING = 10
"""An order in which no movie follows itself so often has a row a showing."""
MANY_TIMES_AS_MANY = 20
OWN_RATE = 0.02
"""A rate that is said may differ by this share from a film's own."""


class ArrayStimulus:
    """Reads the movies that a description names, and when they were shown.

    Parameters
    ----------
    folder
        Where the arrays lie.
    part
        What the description says of the stimulus.
    settings
        Choices of the import.
    report
        Takes notes.
    """

    def __init__(self, folder: Path, part: StimulusPart, settings: ImportSettings, report: ImportReport) -> None:
        self.folder, self.part, self.settings, self.report = folder, part, settings, report

    def read(self) -> tuple[list[StimulusMovie], list[Presentation], np.ndarray | None]:
        """Movies, presentations on the clock of the stimulus, and which rows of a table they are.

        Returns
        -------
        tuple[list[StimulusMovie], list[Presentation], np.ndarray | None]
            The last is (rows,) bool, None where no row was left out.

        Raises
        ------
        SessionError
            Movies, their order and their times do not fit each other.
        """
        part = self.part
        place = self.folder / part.file
        axes, levels = part.axes or self.settings.axes, part.levels or self.settings.levels
        movies = movies_at(recorded_place(self.folder, part.file), axes, levels, self.folder)
        stills_s = part.stills_s or self.settings.stills_s
        if stills_s is not None:
            return self._stills(movies, stills_s)
        for movie in movies:
            if len(movie) < 2:
                raise SessionError(
                    f"{movie.name}: expected a movie of several frames, found one; repeat a still picture in each frame"
                )
        onsets, rows = self._onsets() if part.times is None else (None, None)
        onsets, rows = self._with_movies(onsets, rows)
        order = self._of_showings(movies, self._order(movies, len(movies), rows))
        shown = sum(len(movies[movie]) for movie in order.tolist())
        if shown > MOST_FRAMES_SHOWN:
            raise SessionError(
                f"{place}: expected at most {MOST_FRAMES_SHOWN:,} frames shown in all, found {shown:,}; "
                "check `order`, and the axes of the movies"
            )
        if part.times is not None:
            presentations = self._by_times(movies, order, self.folder / part.times)
        elif onsets is not None and (part.rate_hz is not None or all(map(_own_times, movies))):
            if onsets.size != order.size:
                raise SessionError(
                    f"{self.folder / str(part.onsets)}: expected {order.size} onsets, one a presentation, "
                    f"found {onsets.size}; {_other_clips(movies, onsets.size)}say in `order` which movie each "
                    "presentation shows"
                )
            presentations = [
                Presentation(
                    movie,
                    np.arange(len(movies[movie])),
                    onset + self._after_onset(movies[movie]),
                    np.inf if _own_times(movies[movie]) else LONGEST_STILL_S,
                )
                for movie, onset in zip(order.tolist(), onsets.astype(float), strict=True)
            ]
        else:
            raise SessionError(
                f"{self.folder}: expected the times at which frames appeared, found none; add stimulus_times.npy, "
                "or give onsets and rate_hz in recording.toml, onsets alone for films"
            )
        self._require_one_after_another(presentations)
        return movies, presentations, rows

    def _onsets(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Onsets, s, and which rows of their table have one: others are instructions, or were never shown."""
        if self.part.onsets is None:
            return None, None
        source = str(self.folder / self.part.onsets)
        onsets = recorded_vector(self.folder, self.part.onsets, "times in seconds")
        note_coarse(onsets, self.part.ticks_hz, self.report, "stimulus", source)
        onsets = onsets.astype(float) / self.part.ticks_hz
        rows = None
        if split_table(self.part.onsets) and np.isfinite(onsets).any() and not np.isfinite(onsets).all():
            rows = np.isfinite(onsets)
            text = f"{int((~rows).sum())} of {rows.size} rows without an onset: no presentations"
            self.report.add("dropped", "stimulus", text)
            onsets = onsets[rows]
        require_ascending(onsets, source)
        return onsets, rows

    def _with_movies(
        self, onsets: np.ndarray | None, rows: np.ndarray | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Onsets of the rows of a table that name a movie: in others the screen stayed grey."""
        if onsets is None or self.part.order is None or not split_table(self.part.order):
            return onsets, rows
        named = np.squeeze(recorded_array(self.folder, self.part.order))
        rows = np.ones(onsets.shape, dtype=bool) if rows is None else rows
        if named.shape != rows.shape:
            return onsets, rows
        without = np.isnan(named) if named.dtype.kind == "f" else np.isin(np.char.lower(named), list(NOTHING))
        if not (rows & without).any() or (without | ~rows).all():
            return onsets, rows
        text = f"{int((rows & without).sum())} of {rows.size} rows with an onset and without a movie: no presentations"
        self.report.add("dropped", "stimulus", text)
        return onsets[~without[rows]], rows & ~without

    def _after_onset(self, movie: StimulusMovie) -> np.ndarray:
        """When the frames of a movie appeared after its onset, s."""
        rate_hz = self.part.rate_hz
        pixels = movie.pixels
        if isinstance(pixels, FilmPixels) and (rate_hz is None or not pixels.steady):
            text = "each frame at its own time in the film, from each onset on"
            self.report.add("assumed", "stimulus", text if pixels.steady else f"{text}: its rate varies")
            return pixels.times_s - pixels.times_s[0]
        assert rate_hz is not None
        if isinstance(pixels, FilmPixels):
            own_hz = 1.0 / float(np.median(np.diff(pixels.times_s)))
            if abs(rate_hz / own_hz - 1.0) > OWN_RATE:
                text = f"rate_hz is {rate_hz:g}, {rate_hz / own_hz:.4g} times the film's own {own_hz:.4g} Hz"
                self.report.add("warning", "stimulus", f"{text}; leave it out to take those")
        self.report.add("assumed", "stimulus", f"a steady {rate_hz:g} Hz from each onset on, as described")
        return np.arange(len(movie)) / rate_hz

    def _stills(
        self, movies: list[StimulusMovie], stills_s: float
    ) -> tuple[list[StimulusMovie], list[Presentation], np.ndarray | None]:
        """Pictures in the order in which they were shown, grey between them: a film of its own, cut at long pauses."""
        part, (movie, *others) = self.part, movies
        named = part.onsets or part.times
        if others or named is None:
            raise SessionError(
                f"{self.folder / part.file}: expected one stack or folder of pictures for stills, and when each was "
                f"shown (stimulus_times.npy or onsets), found {len(movies)} movies and {'no' * (named is None)} times"
            )
        source, rows = str(self.folder / named), None
        if part.onsets is not None:
            times, rows = self._onsets()
            assert times is not None
        else:
            times = recorded_vector(self.folder, named, "times in seconds").astype(float) / part.ticks_hz
            require_ascending(times, source)
        order = self._order(movies, len(movie), rows)
        if times.size != order.size or times.size < 2:
            raise SessionError(
                f"{source}: expected {order.size} times, one for each still shown, found {times.size}; "
                "say in `order` which picture each showing has"
            )
        longest_s = self.settings.longest_trial_frames / self.settings.frame_rate_hz
        shown, presentations = showings_of_stills(movie, order, times, stills_s, longest_s, source, self.report)
        return shown, presentations, None

    def _order(self, movies: list[StimulusMovie], count: int, rows: np.ndarray | None) -> np.ndarray:
        part, last = self.part, count - 1
        if part.order is None:
            return np.arange(count)
        file = self.folder / part.order
        found = np.atleast_1d(np.squeeze(recorded_array(self.folder, part.order)))
        found = found[rows] if rows is not None and rows.shape == found.shape else found
        if found.ndim == 1 and found.dtype.kind in "US":
            return self._by_name(movies, found.astype("U"), str(file))
        order = whole_numbers(found)
        if order.ndim != 1 or order.dtype.kind not in "iu" or order.size == 0:
            raise SessionError(
                f"{file}: expected whole numbers or names of movies, one a presentation, found {order.dtype}"
            )
        starts: int = -1 if part.order_starts is None else part.order_starts
        if starts < 0:
            starts = int(order.min() >= 1 and (order.max() == count or bool(split_name(part.order))))
            if starts:
                self.report.add("assumed", "stimulus", f"{part.order} counts from 1, as MATLAB does")
            elif order.min() > 0 and order.max() < count:
                text = f"{part.order} never shows movie 0, counted from 0; if it counts from 1, say order_starts = 1"
                self.report.add("warning", "stimulus", text)
        order = order - starts
        if order.min() < 0 or order.max() > last:
            raise SessionError(
                f"{file}: expected movies from {starts} to {last + starts}, found {order.min() + starts} to "
                f"{order.max() + starts}; {_frames_for_movies(movies, int(order.max()))}count from {starts}"
            )
        return order

    def _of_showings(self, movies: list[StimulusMovie], order: np.ndarray) -> np.ndarray:
        """The order of a log with a row, and a time, for each frame: one movie a showing; any other as it is."""
        if self.part.times is None or order.size == len(movies):
            return order
        times = recorded_numbers(self.folder, self.part.times, "times in seconds")
        if times.size != order.size or times.size == sum(len(movies[movie]) for movie in order.tolist()):
            return order
        starts = np.flatnonzero(np.append(True, order[1:] != order[:-1]))
        runs = np.diff(np.append(starts, order.size))
        lengths = np.array([len(movies[movie]) for movie in order[starts].tolist()])
        if runs.max() < FEWEST_ROWS_A_SHOWING:
            return order
        if (runs % lengths).any():
            wrong = int((runs % lengths > 0).argmax())
            name = Path(movies[order[starts[wrong]]].name).name
            raise SessionError(
                f"{self.folder / str(self.part.order)}: expected a row for each frame of {name}, {lengths[wrong]} a "
                f"showing, found {runs[wrong]} from row {starts[wrong]} on; if there is a row a showing, its times are "
                "onsets; else take its onsets, and rate_hz, in place of times"
            )
        self.report.add("read", "stimulus", "the order has a row for each frame: one movie a showing")
        return np.repeat(order[starts], runs // lengths)

    def _by_name(self, movies: list[StimulusMovie], words: np.ndarray, source: str) -> np.ndarray:
        """Places of movies by the names of their files, with or without their folders and endings."""
        places: dict[str, set[int]] = {}
        for place, movie in enumerate(movies):
            for name in (Path(movie.name).name, Path(movie.name).stem):
                places.setdefault(_one_spelling(name), set()).add(place)
        wanted = [_one_spelling(re.split(r"[/\\]", word.strip())[-1]) for word in words]
        # A log may name the film that these frames were saved from.
        wanted = [name if name in places else name.rpartition(".")[0] or name for name in wanted]
        for word, name in zip(words, wanted, strict=True):
            if len(places.get(name, ())) != 1:
                known = one_line(", ".join(Path(movie.name).name for movie in movies), 200)
                raise SessionError(
                    f"{source}: expected names of the movies ({known}), found {one_line(repr(str(word)), 100)}; "
                    f"{_no_such_movie([each for each in wanted if each not in places])}"
                    "name each by its file, or by its place from 0"
                )
        self.report.add("read", "stimulus", "the order of the movies, by the names of their files")
        return np.array([min(places[name]) for name in wanted])

    def _by_times(self, movies: list[StimulusMovie], order: np.ndarray, file: Path) -> list[Presentation]:
        part = self.part
        times = recorded_numbers(self.folder, str(part.times), "times in seconds")
        note_coarse(times, part.ticks_hz, self.report, "stimulus", str(file))
        lengths = [len(movies[movie]) for movie in order.tolist()]
        times = _without_filling(times, lengths)
        if times.size == len(lengths) and times.size != sum(lengths):
            raise SessionError(
                f"{file}: expected a time for each frame shown, found one for each of {len(lengths)} presentations; "
                "if they are onsets, call them so: stimulus_onsets, or onsets in place of times in recording.toml"
            )
        if times.size != sum(lengths) or times.ndim > 2:
            remedy = _other_axes([movies[movie] for movie in order.tolist()], times)
            remedy = remedy or _other_times(times.size, lengths)
            raise SessionError(
                f"{file}: expected {sum(lengths)} times, one for each frame shown in {len(lengths)} presentations, "
                f"found {times.size}; {remedy}the movies and their times must belong together"
            )
        if (
            times.ndim == 2
            and len(set(lengths)) == 1
            and times.shape == (lengths[0], len(lengths)) != times.shape[::-1]
        ):
            times = times.T
        times = times.astype(float).ravel() / part.ticks_hz
        require_ascending(times, str(file))
        if part.rate_hz is not None:
            require_rate(times, part.rate_hz, self.settings.clock_tolerance_s, str(file))
        if len(lengths) == 1:
            return presentations_from_stream(np.arange(lengths[0]), times, int(order[0]), self.report)
        ends = np.cumsum(lengths)[:-1]
        return [
            Presentation(movie, np.arange(len(when)), when)
            for movie, when in zip(order.tolist(), np.split(times, ends), strict=True)
        ]

    def _require_one_after_another(self, presentations: list[Presentation]) -> None:
        for number, (before, after) in enumerate(itertools.pairwise(presentations), start=1):
            if after.times[0] < before.edges_s[-1] - 0.5 * before.period_s:
                raise SessionError(
                    f"{self.folder}: expected one presentation after another, found number {number} to begin at "
                    f"{after.times[0]:.3f} s, before the one before it ends at {before.edges_s[-1]:.3f} s; "
                    "check onsets and rate_hz"
                )


def _without_filling(times: np.ndarray, lengths: list[int]) -> np.ndarray:
    """Times of a row, or column, a presentation without the NaN or zeros that fill up those of shorter ones."""
    if times.ndim != 2 or times.size <= sum(lengths) or max(lengths) > max(times.shape):
        return times
    for rows in (times, times.T):
        if len(rows) == len(lengths) and rows.shape[1] >= max(lengths):
            kept = np.arange(rows.shape[1]) < np.array(lengths)[:, None]
            filling = rows[~kept]
            if np.isfinite(rows[kept]).all() and (np.isnan(filling).all() or not filling.any()):
                return rows[kept]
    return times


def _other_times(found: int, lengths: list[int]) -> str:
    """A remedy where there are more or fewer times than frames were shown."""
    frames, more = sum(lengths), found - sum(lengths)
    multiple = times_as_many(found, frames)
    if multiple and more > 0:
        return f"that is {multiple}: of several flips of the screen a frame, give the first; "
    if multiple:
        return f"that is {multiple}: of a light that flips with each frame, give both edges; "
    if found > MANY_TIMES_AS_MANY * frames:
        return "is it the trace of a photodiode? give the times of its flips; "
    if more == len(lengths):
        return "that is one more a presentation: leave out when the last frame of each went; "
    if 0 < abs(more) <= MOST_ASTRAY:
        what = "too many" if more > 0 else "too few"
        return f"that is {abs(more)} {what}, nobody knows where: give onsets and rate_hz in their place; "
    return ""


def _other_axes(shown: list[StimulusMovie], times: np.ndarray) -> str:
    """A remedy where the movies shown would have as many frames as there are times along another axis."""
    for order, axis in (("hwt", 1), ("htw", 0)):
        if times.size == sum(movie.size_px[axis] for movie in shown):
            return f'if its last axes are frames, say axes = "{order}" (--axes {order}); '
    return ""


def _other_clips(movies: list[StimulusMovie], onsets: int) -> str:
    """A remedy where a stack of clips has as many of them along another axis as there are onsets."""
    first = movies[0]
    stack = len(movies) > 1 and not first.coloured and len({(len(movie), *movie.size_px) for movie in movies}) == 1
    for axis, order in enumerate(("tnhw", "thnw", "hwtn")):
        if stack and onsets == (len(first), *first.size_px)[axis]:
            return f'if its axis of {onsets} is the clips, say which axis is which, as axes = "{order}" (--axes); or '
    return ""


def _frames_for_movies(movies: list[StimulusMovie], highest: int) -> str:
    """A remedy where what should count movies counts the frames of the only one, as of stills in any order."""
    if len(movies) > 1 or not 0 < highest < len(movies[0]):
        return ""
    return (
        f"{Path(movies[0].name).name} is one movie of {len(movies[0])} frames: if these are stills, shown "
        "in any order with grey between, say how long each stayed (--stills 0.5; stills_s below [stimulus]); else "
    )


def _one_spelling(name: str) -> str:
    """A name of a file as logs and disks have it: either case, and letters with their marks as one or as two signs."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


def _no_such_movie(missing: list[str]) -> str:
    """A remedy where a log names movies that are not there."""
    if not missing:
        return ""
    told = f"{number_of(len(missing), 'row')} of {number_of(len(set(missing)), 'movie')} without a file"
    return f"{told}: add it, or leave its name empty in the table to leave out what showed it; else "


def _own_times(movie: StimulusMovie) -> bool:
    return isinstance(movie.pixels, FilmPixels)
