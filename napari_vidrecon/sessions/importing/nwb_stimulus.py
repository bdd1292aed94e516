"""Movies of an NWB file: image series, or index series into templates; and when they were shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import SessionError, one_line
from napari_vidrecon.sessions.importing.clocks import regular_times
from napari_vidrecon.sessions.importing.hdf5_contents import MOST_FRAMES, require_stored, whole
from napari_vidrecon.sessions.importing.recording import (
    LONGEST_STALL_S,
    LONGEST_STILL_S,
    ImportReport,
    Presentation,
    require_ascending,
)
from napari_vidrecon.sessions.importing.stimuli import Pixels, StimulusMovie, stimulus_movie
from napari_vidrecon.sessions.importing.trials import presentations_from_stream, showings_of_stills

DECONVOLVED = r"deconv|spike|event"
RUNNING = r"run|speed|velocity|treadmill|wheel"
PLAIN = re.compile(r"(running_?)?(speed|velocity)|pupil_?(area|diameter|size)|(pupil|eye)_?tracking", re.IGNORECASE)
"""What series are called that need no further word."""
MADE_OF = re.compile(r"(^|_)(unfiltered|raw|dx|v_in|v_sig|rotation|distance)($|_)", re.IGNORECASE)
"""What those are called that such a series was made of, or was before a filter."""
SIZE = r"pupil.*(size|area|diam|dilat|radius)|(size|area|diam|dilat|radius).*pupil"
CENTRE = r"(pupil|eye).*(cent|pos|loc|gaze)|gaze|eye_?tracking"


def path_of(series: Any) -> str:
    """Names of a series and of everything that holds it, below the file, separated by slashes."""
    names, each = [], series
    while each.parent is not None:
        names.append(each.name)
        each = each.parent
    return "/".join(reversed(names))


def matches(pattern: str, series: Any) -> bool:
    """Whether a series, or what holds it, is called like this."""
    return re.search(pattern, path_of(series), re.IGNORECASE) is not None


def named(found: Sequence[Any], name: str) -> list[Any]:
    """Those of this name, or whose path ends so."""
    return [each for each in found if each.name == name or f"/{path_of(each)}".endswith(f"/{name}")]


def the_one(file: Path, about: str, likely: Sequence[Any], name: str, possible: Sequence[Any]) -> Any:
    """The series for a use: the one that is asked for, or the only likely one; None if none is.

    Parameters
    ----------
    file
        For messages.
    about
        The use.
    likely
        Series whose names fit.
    name
        What the person asks for, or empty.
    possible
        Series that could be asked for.

    Returns
    -------
    Any
        Of the open file.

    Raises
    ------
    SessionError
        Nothing of that name, or several are as likely.
    """
    chosen = named(possible, name) if name else list(likely)
    made = [each for each in chosen if not MADE_OF.search(each.name)]
    if not name and len(made) == 1 and PLAIN.fullmatch(made[0].name):
        chosen = made
    if len(chosen) == 1 or (not chosen and not name):
        return chosen[0] if chosen else None
    option = f"--{about.replace(' ', '-').replace('centre', 'center')}"
    listed = ", ".join(path_of(each) for each in (chosen or possible)) or "no series that could be it"
    wanted = f"one series {name!r}" if name else "one series"
    raise SessionError(f"{file}: expected {wanted} for {about}, found {listed}; name one with {option}")


TIER_COLUMN, FRAME_COLUMN = "tier", "frame"
KIND_OF_TEMPLATE = re.compile(r"(_(image|movie|stack|series|template|frame)s?)+$", re.IGNORECASE)
"""What the names of templates end in beside that of the stimulus: natural_movie_one_image_stack."""
HIGHEST_RATE_HZ = 1e6
FRAME_BY_FRAME = 0.5
"""Of an index that follows its template less often than so, no part is a movie."""


def told_clock(series: Any, source: str) -> tuple[float, float]:
    """Rate, Hz, and time of the first sample, s, of a series without times of its own.

    Parameters
    ----------
    series
        A series of an NWB file.
    source
        Its place, for messages.

    Returns
    -------
    tuple[float, float]
        Rate, then time.

    Raises
    ------
    SessionError
        No clock, or an impossible one.
    """
    try:
        rate, start = float(series.rate), float(series.starting_time or 0.0)
    except (TypeError, ValueError):
        raise SessionError(f"{source}: expected times or a rate, found neither") from None
    if not (0.0 < rate <= HIGHEST_RATE_HZ and np.isfinite(start)):
        raise SessionError(f"{source}: expected a rate in Hz and a start in seconds, found {rate:g} and {start:g}")
    return rate, start


class OrderedPixels:
    """Stored frames with their axes in the usual order; only the frames that are asked for are read.

    Parameters
    ----------
    data
        Frames, rows, columns and perhaps colours, in any order.
    axes
        The letters t, h, w and c in the order in which they are stored.
    """

    def __init__(self, data: Any, axes: str) -> None:
        self._data, self._axes = data, axes
        self._order = [axes.index(axis) for axis in "thwc" if axis in axes]
        self.shape = tuple(int(data.shape[axis]) for axis in self._order)
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, index: slice, /) -> np.ndarray:
        stored = tuple(index if axis == "t" else slice(None) for axis in self._axes)
        return np.asarray(self._data[stored]).transpose(self._order)


class StimulusReader:
    """Finds the movies of an open NWB file.

    Parameters
    ----------
    path
        The file, for messages.
    book
        What pynwb read.
    report
        Takes notes.
    levels
        Values of black and white; None to tell them by the kind of numbers.
    axes
        Order of the axes of stored movies, of t, h, w and c; None for rows before columns where that seems right.
    stills_s
        The frames are pictures in any order, each shown for so long, s, grey between; None for movies.
    longest_s
        Longest clip of such pictures, s.
    """

    def __init__(
        self,
        path: Path,
        book: Any,
        report: ImportReport,
        levels: tuple[float, float] | None = None,
        axes: str | None = None,
        stills_s: float | None = None,
        longest_s: float = LONGEST_STILL_S,
    ) -> None:
        self.path, self.book, self.report, self.levels, self.axes = path, book, report, levels, axes
        self.stills_s, self.longest_s = stills_s, longest_s

    def series(self, name: str = "") -> list[Any]:
        """The series that were shown, or those of one name.

        Returns
        -------
        list[Any]
            Of the open file.

        Raises
        ------
        SessionError
            None, or none of that name.
        """
        return [series for series, _ in self._sources(name)]

    def _sources(self, name: str) -> list[tuple[Any, Any]]:
        """Series that were shown; where there is none, templates with the tables of times that name their frames."""
        from pynwb.image import ImageSeries, IndexSeries

        shown = [each for each in self.book.stimulus.values() if isinstance(each, (ImageSeries, IndexSeries))]
        sources = [(series, None) for series in sorted(shown, key=path_of)] or self._tables_of_frames()
        chosen = [each for each in sources if not name or named([each[0]], name)]
        if not chosen:
            listed = ", ".join(path_of(series) for series, _ in sources) or "none"
            wanted = f"a series {name!r}" if name else "an image series or index series"
            raise SessionError(
                f"{self.path}: expected {wanted} among the stimuli, or a table of intervals with a column "
                f"{FRAME_COLUMN} and a template of its name, found {listed}; see --preview"
            )
        return chosen

    def _tables_of_frames(self) -> list[tuple[Any, Any]]:
        """(template, table) of each table of intervals whose rows are frames of a template of its name."""
        from pynwb.image import ImageSeries

        templates = [each for each in self.book.stimulus_template.values() if isinstance(each, ImageSeries)]
        tables = [each for each in (self.book.intervals or {}).values() if FRAME_COLUMN in each.colnames]
        found = []
        for table in sorted(tables, key=lambda each: str(each.name)):
            # The longest name: natural_movie_one is part of natural_movie_one_more, too.
            stems = {KIND_OF_TEMPLATE.sub("", each.name): each for each in templates}
            likely = [stems[stem] for stem in sorted(stems, key=len) if stem in table.name][-1:]
            likely = likely or (templates if len(templates) == len(tables) == 1 else [])
            if not likely:
                text = f"{one_line(table.name, 100)} names frames of a template, but none is called so"
                self.report.add("dropped", "stimulus", text)
            found += [(template, table) for template in likely if len(table) > 1]
        return found

    def _of_table(self, table: Any) -> tuple[np.ndarray, np.ndarray]:
        """Frames shown and when, s, in the order of time; rows without a frame, as of grey between, are left out."""
        source = f"{self.path}: {table.name}"
        frames = whole(table[FRAME_COLUMN].data, f"{source}: {FRAME_COLUMN}")
        times = whole(table["start_time"].data, f"{source}: start_time").astype(float)
        if frames.ndim != 1 or frames.dtype.kind not in "fiu" or frames.shape != times.shape:
            raise SessionError(
                f"{source}: expected a number of a frame in each row, found {frames.dtype} {frames.shape}"
            )
        kept = np.flatnonzero(np.isfinite(frames) & (frames >= 0))
        kept = kept[np.argsort(times[kept], kind="stable")]
        if kept.size < frames.size:
            self.report.add("dropped", "stimulus", f"{frames.size - kept.size} rows of {table.name} without a frame")
        if (frames[kept] != np.rint(frames[kept])).any():
            raise SessionError(
                f"{source}: expected whole numbers of frames, found fractions; {FRAME_COLUMN} is not one"
            )
        require_ascending(times[kept], source)
        return frames[kept].astype(int), times[kept]

    def read(
        self, name: str = ""
    ) -> tuple[tuple[StimulusMovie, ...], tuple[Presentation, ...], tuple[str, ...] | None]:
        """Movies, presentations in the order of time, and a tier for each if the table of trials has them.

        Returns
        -------
        tuple[tuple[StimulusMovie, ...], tuple[Presentation, ...], tuple[str, ...] | None]
            Tiers are one a presentation, or None.

        Raises
        ------
        SessionError
            Movies or their times are missing or do not fit each other.
        """
        movies: dict[int, tuple[int, StimulusMovie]] = {}
        streams: list[tuple[int, np.ndarray, np.ndarray]] = []
        for series, table in self._sources(name):
            frames, times = (self._shown(series), None) if table is None else self._of_table(table)
            holder = self.holder(series)
            if id(holder) not in movies:
                movies[id(holder)] = len(movies), self._movie(holder)
            number, movie = movies[id(holder)]
            if len(movie) > MOST_FRAMES:
                raise SessionError(f"{movie.name}: expected at most {MOST_FRAMES:,} frames, found {len(movie):,}")
            frames = np.arange(len(movie)) if frames is None else frames
            if frames.size and (frames.min() < 0 or frames.max() >= len(movie)):
                raise SessionError(
                    f"{self.path}: {path_of(series)}: expected frames from 0 to {len(movie) - 1}, "
                    f"found up to {frames.max()}; the index and its template must belong together"
                )
            streams.append((number, frames, self._times(series, frames.size) if times is None else times))
            told = "" if table is None else f", as {table.name} tells"
            self.report.add("read", "stimulus", f"{path_of(series)}, {frames.size} frames shown{told}")
        if self.stills_s is not None:
            return self._stills([movie for _, movie in movies.values()], streams, self.stills_s)
        presentations, tiers = self._by_trials(streams)
        if presentations is None:
            presentations = [shown for stream in streams for shown in self._by_pauses(*stream)]
            presentations.sort(key=lambda shown: float(shown.times[0]))
        if not presentations:
            raise SessionError(
                f"{self.path}: expected movies of several frames, found none; see --preview, and if they are stills, "
                "shown in any order, say how long each stayed (--stills 0.5)"
            )
        return tuple(movie for _, movie in movies.values()), tuple(presentations), tiers

    def _stills(
        self, movies: list[StimulusMovie], streams: list[tuple[int, np.ndarray, np.ndarray]], stills_s: float
    ) -> tuple[tuple[StimulusMovie, ...], tuple[Presentation, ...], None]:
        found: list[tuple[StimulusMovie, Presentation]] = []
        for number, frames, times in streams:
            source = f"{self.path}: {movies[number].name}"
            shown = showings_of_stills(movies[number], frames, times, stills_s, self.longest_s, source, self.report)
            found += zip(*shown, strict=True)
        found.sort(key=lambda each: float(each[1].times[0]))
        kept = tuple(replace(shown, movie=place) for place, (_, shown) in enumerate(found))
        return tuple(movie for movie, _ in found), kept, None

    def holder(self, series: Any) -> Any:
        """What holds the frames of a series: itself, or the template that it is an index into.

        Returns
        -------
        Any
            Of the open file.

        Raises
        ------
        SessionError
            An index into nothing.
        """
        from pynwb.image import IndexSeries

        if not isinstance(series, IndexSeries):
            return series
        holder = series.indexed_images if series.indexed_images is not None else series.indexed_timeseries
        if holder is None:
            raise SessionError(f"{self.path}: {path_of(series)}: expected a template to index, found none")
        return holder

    def require_upright(self, series: Any) -> None:
        """Refuse stored pictures of which it cannot be told whether rows or x came first; raises `SessionError`."""
        holder = self.holder(series)
        if hasattr(holder, "data") and hasattr(holder.data, "shape") and holder.external_file is None:
            self._upright(holder.data, f"{self.path}: {path_of(holder)}")

    def _shown(self, series: Any) -> np.ndarray | None:
        """Indices of the frames shown; None for all in order."""
        from pynwb.image import IndexSeries

        if not isinstance(series, IndexSeries):
            return None
        source = f"{self.path}: {path_of(series)}"
        frames = whole(series.data, source)
        if frames.ndim != 1 or frames.dtype.kind not in "iu":
            raise SessionError(f"{source}: expected numbers of frames, found {frames.dtype} of shape {frames.shape}")
        return frames.astype(int)

    def _movie(self, holder: Any) -> StimulusMovie:
        from pynwb.image import ImageSeries

        source = f"{self.path}: {path_of(holder)}"
        if not isinstance(holder, ImageSeries):
            images = holder.order_of_images[:] if holder.order_of_images is not None else holder.images.values()
            pictures = [whole(image.data, f"{source}: {image.name}") for image in images]
            if len({picture.shape for picture in pictures}) != 1:
                raise SessionError(f"{source}: expected pictures of one size, found several; choose others")
            return stimulus_movie(source, self._upright(np.stack(pictures), source), self.levels)
        if holder.external_file is not None:
            raise SessionError(
                f"{source}: expected frames in the NWB file, found a link to {one_line(holder.external_file[0], 100)}; "
                "save its frames as .npy and import plain arrays"
            )
        require_stored(holder.data, source)
        return stimulus_movie(source, self._upright(holder.data, source), self.levels)

    def _upright(self, data: Any, source: str) -> Pixels:
        """Stored frames as (frames, rows, columns): the standard says (frame, x, y), and most files hold rows first."""
        shape = tuple(int(size) for size in data.shape)
        if self.axes is not None:
            if len(self.axes) != len(shape) or len(set(self.axes)) != len(shape) or not set("thw") <= set(self.axes):
                raise SessionError(
                    f"{source}: expected axes t, h and w, and c where there, found {one_line(repr(self.axes), 20)} for "
                    f"shape {shape}; see --axes"
                )
            return OrderedPixels(data, self.axes)
        if len(shape) < 3:
            return data
        if shape[1] > shape[2]:
            raise SessionError(
                f"{source}: expected pictures (rows, columns) of a screen that is wider than high, found {shape[1]} x "
                f"{shape[2]}; NWB's standard says (frame, x, y): give --axes twh if they are stored so, --axes thw if "
                "the first is rows" + ("" if len(shape) == 3 else ", with c for the colours")
            )
        if shape[1] == shape[2]:
            text = "pictures are square: whether rows or x came first cannot be told; taken as rows (--axes twh: as x)"
            self.report.add("warning", "stimulus", text)
        else:
            text = "the axes of pictures are rows, then columns, as they are wider than high so (--axes twh: x first)"
            self.report.add("assumed", "stimulus", text)
        return data

    def _times(self, series: Any, frames: int) -> np.ndarray:
        source = f"{self.path}: {path_of(series)}"
        if series.timestamps is None:
            return regular_times(frames, *told_clock(series, source))
        times = whole(series.timestamps, f"{source}: its times")
        require_ascending(times, source)
        if times.size != frames:
            raise SessionError(f"{source}: expected {frames} times, one for each frame shown, found {times.size}")
        return times.astype(float)

    def _by_pauses(self, movie: int, frames: np.ndarray, times: np.ndarray) -> list[Presentation]:
        goes_on = np.isin(np.diff(frames), (0, 1))
        if goes_on.size and goes_on.mean() < FRAME_BY_FRAME:
            # Two stills that follow each other by chance are no movie either.
            text = f"{frames.size} frames in any order, stills by the look of it: no movie; if they are, say how long"
            self.report.add("dropped", "stimulus", f"{text} each stayed (--stills 0.5)")
            return []
        jumps = np.flatnonzero(~goes_on) + 1
        parts = list(zip(np.split(frames, jumps), np.split(times, jumps), strict=True))
        played = [part for part in parts if len(part[0]) > 1]
        if len(played) > 1:
            self.report.add("assumed", "stimulus", "a jump to another frame of the template begins a presentation")
        if len(played) < len(parts):
            text = f"{len(parts) - len(played)} showings of a single frame, a still among others: no movie"
            self.report.add("dropped", "stimulus", text)
        return [shown for some, when in played for shown in presentations_from_stream(some, when, movie, self.report)]

    def _by_trials(
        self, streams: list[tuple[int, np.ndarray, np.ndarray]]
    ) -> tuple[list[Presentation] | None, tuple[str, ...] | None]:
        table = self.book.trials
        if table is None or len(table) == 0:
            return None, None
        source = f"{self.path}: the table of trials"
        starts, stops = (whole(table[name].data, source).astype(float) for name in ("start_time", "stop_time"))
        words = [str(word) for word in table[TIER_COLUMN][:]] if TIER_COLUMN in table.colnames else None
        presentations, tiers = [], []
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            for movie, frames, times in streams:
                first, last = np.searchsorted(times, [start - 1e-6, stop - 1e-6])
                if last - first > 1:
                    shown = Presentation(movie, frames[first:last], times[first:last], LONGEST_STALL_S)
                    presentations.append(shown)
                    tiers.append("" if words is None else words[number])
        if len(presentations) < len(starts):
            self.report.add("dropped", "trials", f"{len(starts) - len(presentations)} in which no movie was shown")
        self.report.add("read", "trials", f"{len(starts)} of the table of trials")
        return presentations, None if words is None else tuple(tiers)
