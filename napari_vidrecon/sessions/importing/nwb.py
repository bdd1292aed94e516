"""An NWB file: response series, stimulus, running and pupil, found by kind and by name; needs the extra `nwb`."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field

from napari_vidrecon.errors import SessionError, StorageError, VidreconError, one_line, optional_module
from napari_vidrecon.sessions.importing.clocks import rate_of
from napari_vidrecon.sessions.importing.columns import NOT_USED, Column
from napari_vidrecon.sessions.importing.hdf5_contents import (
    RemoteFile,
    address_of,
    require_self_contained,
    require_stored,
    whole,
)
from napari_vidrecon.sessions.importing.nwb_activity import NeuronReader, Neurons, are_planes, signal_of
from napari_vidrecon.sessions.importing.nwb_stimulus import (
    CENTRE,
    DECONVOLVED,
    RUNNING,
    SIZE,
    StimulusReader,
    matches,
    named,
    path_of,
    the_one,
)
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording, Signal
from napari_vidrecon.sessions.importing.recording_reader import ActivityReader
from napari_vidrecon.sessions.importing.spikes import UnitChoice, nwb_units
from napari_vidrecon.settings import Settings
from napari_vidrecon.storage import reading

if TYPE_CHECKING:
    from pynwb import NWBHDF5IO

MOST_KEYWORDS = 100
ZARR_MARKS = (".zgroup", "zarr.json", ".zmetadata")
NO_ZARR = (
    "which hdmf-zarr writes with pickled values, so that reading it could run code, and which needs zarr 2; "
    'where the file is trusted, export it in an environment of its own: python -c "import sys; from hdmf_zarr import '
    "NWBZarrIO; from pynwb import NWBHDF5IO; NWBHDF5IO(sys.argv[2], 'w').export(NWBZarrIO(sys.argv[1], 'r'), "
    "write_args={'link_data': False})\" "
    "in.nwb.zarr out.nwb"
)
CM_A_SECOND = {
    **dict.fromkeys(("m/s", "m/sec", "m s-1", "m*s-1", "m s^-1", "meters/s", "meters/second", "meter/second"), 100.0),
    **dict.fromkeys(("meters per second", "metres per second", "meters/sec"), 100.0),
    **dict.fromkeys(("mm/s", "mm/sec", "millimeters/second"), 0.1),
}
"""Units of speed that are not those of sessions, cm/s."""
NO_OTHER_UNIT = (
    *(f"{cm}{per}" for cm in ("cm", "centimeter", "centimeters") for per in ("/s", "/sec", "/second", " per second")),
    *("cm s-1", "cm*s-1", "cm s^-1", "", "n.a.", "n/a", "na", "none", "unknown", "a.u.", "au", "arbitrary units"),
)
"""What a unit of speed is called that is cm/s, or says nothing."""
UNITS = "units"
"""Name of the table of units, as a choice of the activity."""


def _series(title: str, description: str) -> Any:
    return Field("", title=f"Series: {title}", description=description, json_schema_extra={"of": "columns"})


class NwbOptions(Settings):
    """How an NWB file is read.

    A series is named by its name or by the end of its path; the program chooses where no name is given.

    Parameters
    ----------
    activity
        Which series it is, where the file has several; of several planes, one a plane, separated by commas.
    stimulus, running, pupil_size, pupil_center
        Which series it is, where the file has several.
    all_regions
        Take regions that are marked as no cells, too.
    units
        Which units with spike times to take.
    sample_time
        What the times of the activity say.
    """

    activity: str = Field(
        "",
        title="Series: activity",
        description="Which series is the neurons' activity, where the file has several; may be given once a plane.",
        json_schema_extra={"of": "columns", "several": True},
    )
    stimulus: str = _series("stimulus", "Which series holds the movies, where the file has several.")
    running: str = _series("running", "Which series is the running speed, where the file has several.")
    pupil_size: str = _series("pupil size", "Which series is the size of the pupil, where the file has several.")
    pupil_center: str = _series(
        "pupil centre", "Which series is the position of the pupil, where the file has several."
    )
    all_regions: bool = Field(
        False,
        title="All regions, not only cells",
        description="Take every region, also those that are marked as no cells.",
    )
    units: UnitChoice = Field(
        "good",
        title="Units",
        description="Which units with spike times to take, where they have labels: good, those and multi-unit, or all.",
        json_schema_extra={"labels": {"good": "good", "mua": "good and multi-unit", "all": "all"}},
    )
    sample_time: Literal["start", "middle"] = Field(
        "start",
        title="Times of the activity",
        description="What the times of the activity say: when the microscope began a sample, or its middle.",
        json_schema_extra={"labels": {"start": "when each sample starts", "middle": "the middle of each sample"}},
    )


class NwbFile(ActivityReader):
    """An NWB file, open while it is entered; its movies are read from it when they are needed."""

    title = "NWB file"
    what = "an NWB file"
    suffixes = (".nwb", ".h5", ".hdf5")
    options_class = NwbOptions
    options: NwbOptions
    _io: NWBHDF5IO | None = None
    _book: Any = None

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Every file may be one: whether it is shows when it is opened."""
        return path.is_file() or super().recognises(path) or _is_zarr(path)

    def __enter__(self) -> Self:
        pynwb = optional_module("pynwb", "nwb", f"{self.path}: an NWB file", SessionError)
        if _is_zarr(self.path):
            raise StorageError(f"{self.path}: expected an NWB file in HDF5, found one in Zarr, {NO_ZARR}")
        address = address_of(self.path)
        remote = None if address is None else RemoteFile(address)
        require_self_contained(self.path, remote=remote)
        try:
            with warnings.catch_warnings():
                # Its makers' affair: missing extensions, old versions, names with spaces.
                warnings.simplefilter("ignore")
                if remote is None:
                    self._io = pynwb.NWBHDF5IO(str(self.path), "r")
                else:
                    import h5py

                    self._io = pynwb.NWBHDF5IO(file=h5py.File(remote, "r"), mode="r")
                self._book = self._io.read()
        except VidreconError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001  # a damaged file fails in whatever way of h5py, hdmf or pynwb
            self.close()
            raise StorageError(
                f"{self.path}: expected an NWB file, found one that cannot be read ({type(error).__name__}: "
                f"{one_line(error)}); copy or download it again"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; movies of its recordings cannot be read any more."""
        if self._io is not None:
            # A damaged file may not even close.
            with contextlib.suppress(Exception):
                self._io.close()
        self._io = self._book = None

    def _columns(self) -> list[Column]:
        uses: dict[int, str] = {}
        faults: list[Column] = []
        stimulus = StimulusReader(self.path, self._book, ImportReport())
        try:
            for series in stimulus.series(self.options.stimulus):
                uses |= {id(series): "stimulus", id(stimulus.holder(series)): "stimulus"}
                stimulus.require_upright(series)
        except (SessionError, StorageError) as error:
            faults.append(Column.unreadable("stimulus", str(error), fault=True))
        try:
            uses |= {id(series): use for use, found in self._chosen(ImportReport()).items() for series in found}
        except (SessionError, StorageError) as error:
            faults.append(Column.unreadable("choice", str(error), fault=True))
        columns = []
        if self._book.units is not None:
            names = [one_line(name, 50) for name in self._book.units.colnames]
            use = NOT_USED if "activity" in uses.values() else "activity"
            columns.append(Column(UNITS, (len(self._book.units),), ", ".join(names[:6]), None, None, None, use))
        for series in self._all():
            use = uses.get(id(series), NOT_USED)
            place = one_line(path_of(series))
            try:
                with reading(f"{self.path}: {place}", SessionError, "a series"):
                    columns.append(self._column(series, place, use))
            except (SessionError, StorageError) as error:
                # One bad series does not hide the others.
                columns.append(Column.unreadable(place, str(error), fault=use != NOT_USED))
        return columns + faults

    def _column(self, series: Any, place: str, use: str) -> Column:
        data = series.data
        if not hasattr(data, "shape") or not len(data.shape):
            return Column.unreadable(place, use)
        require_stored(data, f"{self.path}: {place}")
        return Column.of(place, data, use, self._rate(series))

    def _recording(self) -> Recording:
        report = ImportReport()
        text = f"NWB, {len(self._all())} series; {self.path.name}, identifier {one_line(self._book.identifier, 100)}"
        report.add("read", "files", text)
        chosen = self._chosen(report)
        neurons = self._neurons(chosen["activity"], report)
        told = self.settings
        longest_s = told.longest_trial_frames / told.frame_rate_hz
        stimulus = StimulusReader(self.path, self._book, report, told.levels, told.axes, told.stills_s, longest_s)
        movies, presentations, tiers = stimulus.read(self.options.stimulus)
        return Recording(
            name=self.path.stem,
            activity=neurons.activity,
            movies=movies,
            presentations=presentations,
            running=self._behavior(chosen["running"], "running", report),
            pupil_size=self._behavior(chosen["pupil size"], "pupil size", report),
            pupil_center=self._behavior(chosen["pupil centre"], "pupil centre", report),
            coordinates=neurons.coordinates,
            neuron_ids=neurons.ids,
            tiers=tiers,
            simulated="simulated" in [str(word).lower() for word in _first(self._book.keywords)],
            report=report,
        )

    def _neurons(self, series: list[Any], report: ImportReport) -> Neurons:
        """Response series with their regions, or the units with spike times."""
        if not series and self._book.units is not None:
            spikes, ids = nwb_units(self._book.units, self.path, self.options.units, report)
            return Neurons(spikes, None, ids)
        if not series:
            raise SessionError(
                f"{self.path}: expected a response series of the neurons or a table of units, found none; see --preview"
            )
        reader = NeuronReader(self.path, report, trim=self.settings.trim, all_regions=self.options.all_regions)
        found = reader.read(series)
        if self.options.sample_time == "middle":
            return found
        activity = found.activity
        # Planes that are sampled in turn share a period.
        planes = 1 if activity.delays_s is None else np.unique(activity.delays_s).size
        report.add("assumed", "activity", "its times say when a sample starts; half a sample was added")
        return replace(found, activity=replace(activity, times=activity.times + activity.period_s / planes / 2))

    def _all(self) -> list[Any]:
        from pynwb import TimeSeries

        found = [each for each in self._book.objects.values() if isinstance(each, TimeSeries)]
        return sorted(found, key=path_of)

    def _chosen(self, report: ImportReport) -> dict[str, list[Any]]:
        """The series of each use, none or one, and of the activity one a plane; the stimulus has its own reader."""
        from pynwb.image import ImageSeries, IndexSeries
        from pynwb.ophys import RoiResponseSeries

        other = [
            each
            for each in self._all()
            if not isinstance(each, (RoiResponseSeries, ImageSeries, IndexSeries)) and hasattr(each.data, "shape")
        ]
        single = [each for each in other if int(np.prod(each.data.shape[1:])) == 1]
        double = [each for each in other if each.data.shape[1:] == (2,)]
        names, source = self.options, self.path
        ones = {
            "running": the_one(
                source, "running", [each for each in single if matches(RUNNING, each)], names.running, single
            ),
            "pupil size": the_one(
                source, "pupil size", [each for each in single if matches(SIZE, each)], names.pupil_size, single
            ),
            "pupil centre": the_one(
                source, "pupil centre", [each for each in double if matches(CENTRE, each)], names.pupil_center, double
            ),
        }
        found = {"activity": self._responses()}
        found |= {use: [] if series is None else [series] for use, series in ones.items()}
        for use, listed in found.items():
            for series in listed:
                report.add("read", use, path_of(series))
        return found

    def _responses(self) -> list[Any]:
        """The series that are the neurons' activity: the one asked for or the only likely one, or one a plane."""
        from pynwb.ophys import RoiResponseSeries

        responses = [each for each in self._all() if isinstance(each, RoiResponseSeries)]
        asked = self.options.activity
        if self._book.units is not None and asked in ("", UNITS):
            if responses and not asked:
                listed = ", ".join(path_of(each) for each in responses)
                raise SessionError(
                    f"{self.path}: expected one kind of activity, found units with spike times and {listed}; name one "
                    f"with --activity, e.g. --activity {UNITS}"
                )
            return []
        if asked:
            # A name may hold a comma, too.
            whole_name = bool(named(responses, asked))
            names = [asked] if whole_name else [name.strip() for name in asked.split(",") if name.strip()]
            found = [the_one(self.path, "activity", responses, name, responses) for name in names]
            return list({id(each): each for each in found}.values())
        likely = [each for each in responses if matches(DECONVOLVED, each)] or responses
        if len(likely) > 1 and are_planes(likely):
            return likely
        only = the_one(self.path, "activity", likely, "", responses)
        return [] if only is None else [only]

    def _behavior(self, found: list[Any], about: str, report: ImportReport) -> Signal | None:
        if not found:
            return None
        signal = signal_of(found[0], self.path, about, report, trim=self.settings.trim)
        unit = one_line(str(found[0].unit), 30).strip().lower()
        factor = CM_A_SECOND.get(unit) if about == "running" else None
        if factor is None:
            if about == "running" and unit not in NO_OTHER_UNIT:
                report.add("warning", about, f"in {unit}, where cm/s are expected: taken as they are")
            return signal
        report.add("resampled", about, f"{unit} to cm/s")
        return replace(signal, values=signal.values * np.float32(factor))

    def _rate(self, series: Any) -> float | None:
        if series.rate is not None:
            return float(series.rate)
        if series.timestamps is None or len(series.timestamps) < 2:
            return None
        return rate_of(whole(series.timestamps, f"{self.path}: {path_of(series)}: its times"))


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / mark).exists() for mark in ZARR_MARKS)


def _first(words: Any) -> list[Any]:
    """The first few of some words: a data set gives them one by one, and slowly."""
    return [] if words is None or not len(words) else list(words[:MOST_KEYWORDS])
