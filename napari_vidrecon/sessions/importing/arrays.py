"""Plain arrays: a folder of `.npy` files with a description of which file is what."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.array_folder import (
    movies_at,
    preview,
    recorded_array,
    recorded_numbers,
    recorded_place,
    recorded_vector,
    require_folder,
    whole_numbers,
)
from napari_vidrecon.sessions.importing.clocks import ClockMap, fitting_times, regular_times, require_rate
from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.description import ActivityPart, Description, SignalPart, read_description
from napari_vidrecon.sessions.importing.matlab_files import split_name
from napari_vidrecon.sessions.importing.recording import (
    ImportReport,
    Presentation,
    Recording,
    Signal,
    require_ascending,
    single_precision,
)
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings, Reader
from napari_vidrecon.sessions.importing.spikes import UNIT_NOTE, Spikes, trains_of
from napari_vidrecon.sessions.importing.stimuli import FilmPixels, StimulusMovie
from napari_vidrecon.sessions.importing.tables import fitting_rows, positions_table, recorded_text
from napari_vidrecon.sessions.importing.trials import presentations_from_stream
from napari_vidrecon.storage import reading

MOST_FRAMES_SHOWN = 10_000_000


class ArrayFolder(Reader):
    """A folder of plain arrays, with `recording.toml` or files named by convention."""

    title = "folder of arrays"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any folder may be one."""
        return True

    def columns(self) -> list[Column]:
        """Every file found, and what it would be used for.

        Returns
        -------
        list[Column]
            Those that are missing or damaged, too.

        Raises
        ------
        StorageError
            No such folder, or a file of times that cannot be read.
        """
        require_folder(self.path)
        return preview(self.path, "activity.npy")

    def recording(self) -> Recording:
        """The recording, with the activity in memory and the movies mapped.

        Returns
        -------
        Recording
            As it was recorded; trials are cut later.

        Raises
        ------
        SessionError
            Arrays are missing or do not fit each other.
        StorageError
            A file is damaged or unsafe.
        """
        require_folder(self.path)
        with reading(self.path, SessionError, "a recording"):
            return self._recording()

    def _recording(self) -> Recording:
        description, told_by = read_description(self.path)
        report = ImportReport()
        report.add("read", "files", f"plain arrays, told apart by {told_by}")
        part = description.activity
        if part.clusters is not None:
            return self._of_spikes(description, part.clusters, report)
        values = recorded_numbers(self.path, part.file, "activity (neurons, samples)", memory_map=True)
        if values.ndim != 2 or 0 in values.shape:
            raise SessionError(
                f"{self.path / part.file}: expected activity (neurons, samples), "
                f"found {values.dtype} of shape {values.shape}"
            )
        if part.axes is None and _is_turned(self.path, part, values.shape):
            values = values.T
            text = f"stored (samples, neurons), as its {values.shape[1]} times tell; turned"
            report.add("assumed", "activity", text)
        values = values.T if part.axes == "time,neurons" else values
        return ArrayReader(self.path, description, self.settings, report).recording(values, part.file)

    def _of_spikes(self, description: Description, clusters: str, report: ImportReport) -> Recording:
        part = description.activity
        source = str(self.path / part.file)
        times = recorded_numbers(self.path, part.file, "times of spikes in seconds")
        if times.dtype.kind in "iu" and part.rate_hz is None:
            raise SessionError(
                f"{source}: expected times of spikes in seconds, found whole numbers; if they are samples, give "
                "rate_hz below [activity] in recording.toml"
            )
        units, trains = trains_of(times, recorded_array(self.path, clusters), source)
        seconds = [train / (part.rate_hz or 1.0) + part.start_s for train in trains]
        report.add("read", "activity", f"{len(units)} units; {UNIT_NOTE}")
        found = ArrayReader(self.path, description, self.settings, report).recording(Spikes.of(seconds, source), source)
        return found if found.neuron_ids is not None else replace(found, neuron_ids=units)


def _is_turned(folder: Path, part: ActivityPart, shape: tuple[int, ...]) -> bool:
    """Whether there is a time for each row of the activity, and none for each column."""
    if part.times is None or shape[0] == shape[1]:
        return False
    return recorded_array(folder, part.times).size == shape[0]


def _other_axes(movies: list[StimulusMovie], times: np.ndarray) -> str:
    """A remedy where another axis of the only movie has as many entries as there are times."""
    if len(movies) == 1 and times.size in movies[0].size_px:
        order = "hwt" if times.size == movies[0].size_px[1] else "htw"
        return f'if its last axes are frames, say axes = "{order}" (--axes {order}); '
    return ""


def _own_times(movie: StimulusMovie) -> bool:
    return isinstance(movie.pixels, FilmPixels)


class ArrayReader:
    """Everything around the activity: clocks, movies, behaviour, positions; shared with other kinds of activity.

    Parameters
    ----------
    folder
        Where the arrays lie.
    description
        Which file is what.
    settings
        Choices of the import.
    report
        Takes notes.
    """

    def __init__(self, folder: Path, description: Description, settings: ImportSettings, report: ImportReport) -> None:
        self.folder, self.description, self.settings, self.report = folder, description, settings, report
        clock = description.clock
        self._to_activity_clock: Callable[[np.ndarray], np.ndarray] | None = None
        if clock is not None:
            pulses = [recorded_vector(folder, name, "times in seconds") for name in (clock.stimulus, clock.activity)]
            source = f"{folder / clock.stimulus} and {clock.activity}"
            mapped = ClockMap(pulses[0].astype(float), pulses[1].astype(float), settings.clock_tolerance_s, source)
            mapped.note(report)
            self._to_activity_clock = mapped

    def recording(
        self,
        values: np.ndarray | Signal,
        source: str,
        chosen: np.ndarray | None = None,
        regions: int | None = None,
        *,
        planes: np.ndarray | None = None,
        plane_count: int = 1,
        positions: np.ndarray | None = None,
    ) -> Recording:
        """The recording around some activity.

        Parameters
        ----------
        values
            (N, S) activity; or with its clock, where that is known.
        source
            Its file.
        chosen
            Rows of the coordinates and ids that belong to it, if they have more.
        regions
            How many rows they have then.
        planes
            (N,) number of each neuron's plane from 0, where planes were recorded one after the other.
        plane_count
            How many planes one sample of all of them takes.
        positions
            (N, 3) µm, where the description names no coordinates.

        Returns
        -------
        Recording
            As it was recorded; trials are cut later.
        """
        told, self._regions = self.description, regions
        neurons = len(values.values if isinstance(values, Signal) else values)
        movies, presentations = self._stimulus()
        return Recording(
            name=told.name or self.folder.resolve().name,
            activity=values if isinstance(values, Signal) else self._activity(values, source, planes, plane_count),
            movies=movies,
            presentations=presentations,
            running=self._behavior("running", told.running, 1),
            pupil_size=self._behavior("pupil size", told.pupil_size, 1),
            pupil_center=self._behavior("pupil centre", told.pupil_center, 2),
            coordinates=self._coordinates(neurons, chosen) if told.coordinates else positions,
            neuron_ids=self._neuron_ids(neurons, chosen),
            tiers=self._tiers(),
            simulated=told.simulated,
            report=self.report,
        )

    def _activity(self, values: np.ndarray, source: str, planes: np.ndarray | None, plane_count: int) -> Signal:
        part = self.description.activity
        if values.shape[1] < 2:
            raise SessionError(f"{self.folder / source}: expected several samples, found {values.shape[1]}")
        times, kept = self._times(part, values.shape[1], "activity")
        if part.sample_time == "start":
            times = times + float(np.median(np.diff(times))) / plane_count / 2
            text = "its times say when a sample starts; half a sample was added (sample_time)"
            self.report.add("assumed", "activity", text)
        delays = None
        if planes is not None and plane_count > 1:
            delays = planes * float(np.median(np.diff(times))) / plane_count
            text = f"plane k of {plane_count} was sampled k/{plane_count} of a sample later than plane 0"
            self.report.add("assumed", "activity", text)
        return Signal(single_precision(values[:, :kept]), times, str(self.folder / source), delays)

    def _times(self, part: SignalPart, samples: int, about: str) -> tuple[np.ndarray, int]:
        if part.times is None:
            if part.rate_hz is None:
                raise SessionError(
                    f"{self.folder}: expected a clock for the {about}, found none; "
                    f"add {about.replace(' ', '_').replace('centre', 'center')}_times.npy, "
                    "or times or rate_hz in recording.toml"
                )
            self.report.add("assumed", about, f"a steady {part.rate_hz:g} Hz from {part.start_s:g} s on, as described")
            return regular_times(samples, part.rate_hz, part.start_s), samples
        source = str(self.folder / part.times)
        times = recorded_vector(self.folder, part.times, "times in seconds")
        fitted, kept = fitting_times(times, samples, source, trim=self.settings.trim, report=self.report, about=about)
        if part.rate_hz is not None:
            require_rate(fitted, part.rate_hz, self.settings.clock_tolerance_s, source)
        return fitted.astype(float), kept

    def _on_activity_clock(self, times: np.ndarray) -> np.ndarray:
        return times if self._to_activity_clock is None else self._to_activity_clock(times)

    def _behavior(self, about: str, part: SignalPart | None, channels: int) -> Signal | None:
        if part is None:
            return None
        file = self.folder / part.file
        values = np.squeeze(recorded_numbers(self.folder, part.file, f"{about} of shape ({channels}, samples)"))
        values = values[None] if values.ndim == 1 else values
        if values.ndim == 2 and values.shape[0] != channels and values.shape[1] == channels:
            values = values.T
        if values.ndim != 2 or values.shape[0] != channels:
            raise SessionError(
                f"{file}: expected {about} of shape ({channels}, samples), found {values.dtype} of {values.shape}"
            )
        times, kept = self._times(part, values.shape[1], about)
        return Signal(single_precision(values[:, :kept]), self._on_activity_clock(times), str(file))

    def _stimulus(self) -> tuple[tuple[StimulusMovie, ...], tuple[Presentation, ...]]:
        part = self.description.stimulus
        place = self.folder / part.file
        axes, levels = part.axes or self.settings.axes, part.levels or self.settings.levels
        movies = movies_at(recorded_place(self.folder, part.file), axes, levels, self.folder)
        for movie in movies:
            if len(movie) < 2:
                raise SessionError(
                    f"{movie.name}: expected a movie of several frames, found one; repeat a still picture in each frame"
                )
        order = self._order(len(movies))
        shown = sum(len(movies[movie]) for movie in order.tolist())
        if shown > MOST_FRAMES_SHOWN:
            raise SessionError(
                f"{place}: expected at most {MOST_FRAMES_SHOWN:,} frames shown in all, found {shown:,}; "
                "check `order`, and the axes of the movies"
            )
        if part.times is not None:
            presentations = self._by_times(movies, order, self.folder / part.times)
        elif part.onsets is not None and (part.rate_hz is not None or all(map(_own_times, movies))):
            onsets = recorded_vector(self.folder, part.onsets, "times in seconds")
            require_ascending(onsets, str(self.folder / part.onsets))
            if onsets.size != order.size:
                raise SessionError(
                    f"{self.folder / part.onsets}: expected {order.size} onsets, one a presentation, "
                    f"found {onsets.size}; say in `order` which movie each presentation shows"
                )
            presentations = [
                Presentation(movie, np.arange(len(movies[movie])), onset + self._after_onset(movies[movie]))
                for movie, onset in zip(order.tolist(), onsets.astype(float), strict=True)
            ]
        else:
            raise SessionError(
                f"{self.folder}: expected the times at which frames appeared, found none; add stimulus_times.npy, "
                "or give onsets and rate_hz in recording.toml, onsets alone for films"
            )
        self._require_one_after_another(presentations)
        return tuple(movies), tuple(
            Presentation(shown.movie, shown.frames, self._on_activity_clock(shown.times)) for shown in presentations
        )

    def _after_onset(self, movie: StimulusMovie) -> np.ndarray:
        """When the frames of a movie appeared after its onset, s."""
        rate_hz = self.description.stimulus.rate_hz
        pixels = movie.pixels
        if isinstance(pixels, FilmPixels) and (rate_hz is None or not pixels.steady):
            text = "each frame at its own time in the film, from each onset on"
            self.report.add("assumed", "stimulus", text if pixels.steady else f"{text}: its rate varies")
            return pixels.times_s - pixels.times_s[0]
        assert rate_hz is not None
        self.report.add("assumed", "stimulus", f"a steady {rate_hz:g} Hz from each onset on, as described")
        return np.arange(len(movie)) / rate_hz

    def _order(self, movies: int) -> np.ndarray:
        part = self.description.stimulus
        if part.order is None:
            return np.arange(movies)
        file = self.folder / part.order
        order = whole_numbers(recorded_array(self.folder, part.order))
        if order.ndim != 1 or order.dtype.kind not in "iu" or order.size == 0:
            raise SessionError(f"{file}: expected whole numbers, one a presentation, found {order.dtype}")
        if order.min() == 1 and order.max() == movies:
            self.report.add("assumed", "stimulus", f"{part.order} counts from 1, as MATLAB does")
            order = order - 1
        if order.min() < 0 or order.max() >= movies:
            raise SessionError(
                f"{file}: expected movies from 0 to {movies - 1}, found {order.min()} to {order.max()}; count from 0"
            )
        return order

    def _by_times(self, movies: list[StimulusMovie], order: np.ndarray, file: Path) -> list[Presentation]:
        part = self.description.stimulus
        times = recorded_numbers(self.folder, str(part.times), "times in seconds")
        lengths = [len(movies[movie]) for movie in order.tolist()]
        if times.size != sum(lengths) or times.ndim > 2:
            raise SessionError(
                f"{file}: expected {sum(lengths)} times, one for each frame shown in {len(lengths)} presentations, "
                f"found {times.size}; {_other_axes(movies, times)}the movies and their times must belong together"
            )
        if (
            times.ndim == 2
            and len(set(lengths)) == 1
            and times.shape == (lengths[0], len(lengths)) != times.shape[::-1]
        ):
            times = times.T
        times = times.astype(float).ravel()
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

    def _coordinates(self, neurons: int, chosen: np.ndarray | None) -> np.ndarray | None:
        told = self.description
        if told.coordinates is None:
            return None
        file = self.folder / told.coordinates
        positions = positions_table(self.folder, told.coordinates)
        if (
            positions.ndim != 2
            or positions.shape[1] not in (2, 3)
            or not np.isfinite(single_precision(positions)).all()
        ):
            raise SessionError(f"{file}: expected finite x, y and z of every neuron, found shape {positions.shape}")
        positions = fitting_rows(positions, neurons, chosen, self._regions, file)
        if positions.shape[1] == 2:
            self.report.add("assumed", "coordinates", "z is 0 µm, as only x and y are given")
            positions = np.column_stack([positions, np.zeros(neurons)])
        if told.coordinate_scale_um != 1.0:
            text = f"multiplied by {told.coordinate_scale_um:g} µm a unit (coordinate_scale_um)"
            self.report.add("resampled", "coordinates", text)
        return positions * told.coordinate_scale_um

    def _neuron_ids(self, neurons: int, chosen: np.ndarray | None) -> np.ndarray | None:
        if self.description.neuron_ids is None:
            return None if chosen is None else chosen + 1
        file = self.folder / self.description.neuron_ids
        ids = whole_numbers(recorded_array(self.folder, self.description.neuron_ids))
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or np.unique(ids).size != ids.size:
            raise SessionError(f"{file}: expected a different whole number for every neuron, found {ids.dtype}")
        return fitting_rows(ids, neurons, chosen, self._regions, file)

    def _tiers(self) -> tuple[str, ...] | None:
        if self.description.tiers is None:
            return None
        file = self.folder / self.description.tiers
        if file.suffix == ".npy" or split_name(file.name):
            words = np.ravel(recorded_array(self.folder, self.description.tiers))
            # MATLAB's and Python 2's letters are bytes.
            words = words.astype("U") if words.dtype.kind == "S" else words
            if words.ndim != 1 or words.dtype.kind != "U":
                raise SessionError(f"{file}: expected one word a presentation, found {words.dtype} of {words.shape}")
            return tuple(str(word) for word in words)
        return tuple(recorded_text(self.folder, self.description.tiers).split())
