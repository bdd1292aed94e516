"""Plain arrays: a folder of `.npy` files with a description of which file is what."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, number_of
from napari_vidrecon.sessions.importing.array_folder import (
    recorded_array,
    recorded_file,
    recorded_numbers,
    recorded_vector,
    split_packed,
    whole_numbers,
)
from napari_vidrecon.sessions.importing.array_preview import preview
from napari_vidrecon.sessions.importing.array_stimulus import ArrayStimulus
from napari_vidrecon.sessions.importing.clocks import (
    MOST_TRIMMED,
    ClockMap,
    fitting_times,
    note_coarse,
    regular_times,
    require_pulses_in_seconds,
    require_rate,
)
from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.description import (
    ActivityPart,
    Description,
    RunningPart,
    SignalPart,
    read_description,
)
from napari_vidrecon.sessions.importing.recording import (
    ImportReport,
    Recording,
    Signal,
    single_precision,
)
from napari_vidrecon.sessions.importing.recording_reader import ActivityReader, ImportSettings
from napari_vidrecon.sessions.importing.spikes import UNIT_NOTE, Spikes, trains_of
from napari_vidrecon.sessions.importing.tables import fitting_rows, positions_table, recorded_text
from napari_vidrecon.sessions.importing.text_tables import split_table

ACTIVITY_FILE = "activity.npy"
"""Where activity lies if nothing says otherwise."""


class ArrayFolder(ActivityReader):
    """A folder of plain arrays, with `recording.toml` or files named by convention."""

    title = "folder of arrays"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any folder may be one."""
        return True

    def _columns(self) -> list[Column]:
        return preview(self.path, ACTIVITY_FILE)

    def _recording(self) -> Recording:
        description, told_by = read_description(self.path, ACTIVITY_FILE)
        report = ImportReport()
        report.add("read", "files", f"plain arrays, told apart by {told_by}")
        part = description.activity
        if part.clusters is not None:
            return self._of_spikes(description, part.clusters, report)
        if part.file == ACTIVITY_FILE and not (self.path / part.file).exists():
            raise StorageError(
                f"{self.path / part.file}: expected the neurons' activity, found nothing there; add it, or say below "
                '[activity] in recording.toml where it is: file = "NAME.npy"'
            )
        values = recorded_numbers(self.path, part.file, "activity (neurons, samples)", memory_map=True)
        if values.ndim == 1 and values.size:
            # The only neuron.
            values = values[:, None] if part.axes == "time,neurons" else values[None]
        if values.ndim == 3 and part.times is not None and 0 not in values.shape:
            values = _joined_trials(values, recorded_numbers(self.path, part.times), str(self.path / part.file))
            report.add("assumed", "activity", "stored (trials, neurons, samples): one trial after the other")
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
        report.add("read", "activity", f"{number_of(len(units), 'unit')}; {UNIT_NOTE}")
        found = ArrayReader(self.path, description, self.settings, report).recording(Spikes.of(seconds, source), source)
        return found if found.neuron_ids is not None else replace(found, neuron_ids=units)


def _joined_trials(values: np.ndarray, times: np.ndarray, source: str) -> np.ndarray:
    """(neurons, trials x samples) of activity that is cut into trials, as the shape of its times tells."""
    found = _trials_first(times).shape
    usual = len(found) == 2 and found == (values.shape[0], values.shape[2])
    if len(found) != 2 or not (usual or (all(values.shape.count(length) == 1 for length in found))):
        raise SessionError(
            f"{source}: expected activity (neurons, samples), or (trials, neurons, samples) with times (trials, "
            f"samples), found {values.shape} with times {times.shape}; bring them into this order"
        )
    trials, samples = (0, 2) if usual else (values.shape.index(length) for length in found)
    ordered = np.transpose(values, (3 - trials - samples, trials, samples))
    return ordered.reshape(len(ordered), -1)


def _trials_first(times: np.ndarray) -> np.ndarray:
    """Times (trials, samples), whichever way they are stored: within a trial steps are small."""
    if times.ndim != 2 or 1 in times.shape:
        return times
    down, along = (float(np.abs(np.diff(times.astype(float), axis=axis)).mean()) for axis in (0, 1))
    return times if along < down else times.T


def _speed(ticks: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Slope of an encoder's count, a second; NaN where the counter ran over and began anew."""
    steps = np.diff(ticks, axis=1)
    steps[np.abs(steps) > np.ptp(ticks[np.isfinite(ticks)]) / 2] = np.nan
    counted = np.concatenate([np.zeros((len(ticks), 1)), np.cumsum(np.nan_to_num(steps), axis=1)], axis=1)
    speed = np.gradient(counted, times, axis=1)
    lost = np.flatnonzero(np.isnan(steps).any(axis=0))
    speed[:, lost] = speed[:, lost + 1] = np.nan
    return speed


def _is_turned(folder: Path, part: ActivityPart, shape: tuple[int, ...]) -> bool:
    """Whether there is a time for each row of the activity, and none for each column."""
    if part.times is None or shape[0] == shape[1]:
        return False
    return recorded_array(folder, part.times).size == shape[0]


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
            theirs = recorded_vector(folder, clock.stimulus, "times in seconds").astype(float) / clock.stimulus_ticks_hz
            ours = recorded_vector(folder, clock.activity, "times in seconds").astype(float) / clock.activity_ticks_hz
            source = f"{folder / clock.stimulus} and {clock.activity}"
            require_pulses_in_seconds(theirs, ours, source)
            mapped = ClockMap(theirs, ours, settings.clock_tolerance_s, source)
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
        stimulus = ArrayStimulus(self.folder, told.stimulus, self.settings, self.report)
        movies, presentations, rows = stimulus.read()
        return Recording(
            name=told.name or self.folder.resolve().name,
            activity=values if isinstance(values, Signal) else self._activity(values, source, planes, plane_count),
            movies=tuple(movies),
            presentations=tuple(replace(shown, times=self._on_activity_clock(shown.times)) for shown in presentations),
            running=self._behavior("running", told.running, 1),
            pupil_size=self._behavior("pupil size", told.pupil_size, 1),
            pupil_center=self._behavior("pupil centre", told.pupil_center, 2),
            coordinates=self._coordinates(neurons, chosen) if told.coordinates else positions,
            neuron_ids=self._neuron_ids(neurons, chosen),
            tiers=self._tiers(rows),
            simulated=told.simulated,
            report=self.report,
        )

    def _activity(self, values: np.ndarray, source: str, planes: np.ndarray | None, plane_count: int) -> Signal:
        part = self.description.activity
        if values.shape[1] < 2:
            raise SessionError(f"{self.folder / source}: expected several samples, found {values.shape[1]}")
        times, kept = self._times(part, values.shape[1], "activity", max(part.planes, plane_count))
        planes, plane_count = self._planes(part, len(values), planes, plane_count)
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

    def _planes(
        self, part: ActivityPart, neurons: int, planes: np.ndarray | None, count: int
    ) -> tuple[np.ndarray | None, int]:
        """The plane of each neuron and the number of planes, as they are known or as the description says."""
        if part.plane is None or planes is not None:
            return planes, max(part.planes, count)
        file = self.folder / part.plane
        found = whole_numbers(recorded_array(self.folder, part.plane))
        if (
            found.shape != (neurons,)
            or found.dtype.kind not in "iu"
            or not 0 <= found.min() <= found.max() < part.planes
        ):
            raise SessionError(
                f"{file}: expected the plane of each of {neurons} neurons, from 0 to {part.planes - 1}, found "
                f"{found.dtype} of shape {found.shape}; say planes = how many there are, and count from 0"
            )
        return found, part.planes

    def _times(self, part: SignalPart, samples: int, about: str, planes: int = 1) -> tuple[np.ndarray, int]:
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
        note_coarse(times, part.ticks_hz, self.report, about, source)
        times = _trials_first(times).ravel() if times.size == samples else times
        if part.ticks_hz != 1.0:
            times = times.astype(float) / part.ticks_hz
        if planes > 1 and abs(times.size - planes * samples) <= planes * MOST_TRIMMED < times.size - samples:
            times = times[: times.size // planes * planes : planes]
            self.report.add("assumed", about, f"one time for each of {planes} planes: those of the first are taken")
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
        if channels == 1 and values.ndim == 2 and part.times:
            clock = recorded_numbers(self.folder, part.times)
            if clock.shape in (values.shape, values.shape[::-1]):
                values = (values if _trials_first(clock).shape == values.shape else values.T).ravel()
        values = values[None] if values.ndim == 1 else values
        if values.ndim == 2 and values.shape[0] != channels and values.shape[1] == channels:
            values = values.T
        if values.ndim != 2 or values.shape[0] != channels:
            raise SessionError(
                f"{file}: expected {about} of shape ({channels}, samples), found {values.dtype} of {values.shape}"
            )
        times, kept = self._times(part, values.shape[1], about)
        if isinstance(part, RunningPart) and part.cm_a_tick is not None:
            values = _speed(values[:, :kept].astype(float), times) * part.cm_a_tick
            self.report.add("resampled", about, f"ticks of {part.cm_a_tick:g} cm to a speed, cm/s")
        return Signal(single_precision(values[:, :kept]), self._on_activity_clock(times), str(file))

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

    def _tiers(self, rows: np.ndarray | None) -> tuple[str, ...] | None:
        if self.description.tiers is None:
            return None
        name = self.description.tiers
        file = self.folder / name
        table = split_table(name)
        if not split_packed(name) and not os.path.lexists(recorded_file(self.folder, table[0] if table else name)):
            raise StorageError(
                f"{file}: expected a word for each presentation (train, oracle, live_test_main), found nothing there; "
                "write it, or take the line tiers out of recording.toml to have them chosen"
            )
        if file.suffix == ".npy" or split_packed(name) or (table and table[1]):
            words = np.ravel(recorded_array(self.folder, name))
            words = words[rows] if rows is not None and rows.shape == words.shape else words
            # MATLAB's and Python 2's letters are bytes.
            words = words.astype("U") if words.dtype.kind == "S" else words
            if words.ndim != 1 or words.dtype.kind != "U":
                raise SessionError(f"{file}: expected one word a presentation, found {words.dtype} of {words.shape}")
            return tuple(str(word) for word in words)
        return tuple(recorded_text(self.folder, name).split())
