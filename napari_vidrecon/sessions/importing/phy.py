"""A folder of sorted spikes as Kilosort and Phy leave it; `params.py` is read as text and never executed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from napari_vidrecon.errors import SessionError, StorageError, number_of
from napari_vidrecon.sessions.importing.array_preview import Known, list_columns, uses
from napari_vidrecon.sessions.importing.arrays import ArrayReader
from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.description import read_description
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording
from napari_vidrecon.sessions.importing.recording_reader import ActivityReader
from napari_vidrecon.sessions.importing.spikes import (
    LABEL_FILES,
    UNIT_NOTE,
    Spikes,
    UnitChoice,
    labels_of,
    taken_units,
    trains_of,
)
from napari_vidrecon.settings import Settings
from napari_vidrecon.storage import check_inside, read_array, read_text

TIMES_FILE, CLUSTERS_FILE, PARAMETERS_FILE = "spike_times.npy", "spike_clusters.npy", "params.py"
TEMPLATES_FILES = ("spike_templates.npy", "templates.npy", "channel_positions.npy")
MARKS = (PARAMETERS_FILE, "cluster_group.tsv", "cluster_KSLabel.tsv", "templates.npy")
SAMPLE_RATE = re.compile(r"^[ \t]*sample_rate[ \t]*=[ \t]*([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)", re.MULTILINE)
LARGEST_PARAMETERS_BYTES = 100_000
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 100.0, 1e6


class PhyOptions(Settings):
    """How a folder of sorted spikes is read."""

    units: UnitChoice = Field(
        "good",
        title="Units",
        description="Which units to take, where they are labelled: good, those and multi-unit activity, or all.",
        json_schema_extra={"labels": {"good": "good", "mua": "good and multi-unit", "all": "all"}},
    )
    sample_rate: float = Field(
        0.0,
        ge=0.0,
        le=HIGHEST_RATE_HZ,
        title="Sampling rate (Hz)",
        description="Samples a second of the spike times; 0: as params.py says.",
    )
    beside: Path | None = Field(
        None,
        title="Other arrays in",
        description="Where stimulus, clocks and behaviour lie, if not in this folder.",
    )


class PhyFolder(ActivityReader):
    """Kilosort's or Phy's folder: `spike_times.npy`, `spike_clusters.npy`, labels of the units and `params.py`."""

    title = "Kilosort or Phy folder"
    what = "a folder of sorted spikes"
    options_class = PhyOptions
    options: PhyOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a folder holds what Phy reads."""
        return (path / TIMES_FILE).exists() and any((path / mark).exists() for mark in MARKS)

    def _columns(self) -> list[Column]:
        roles: Known = {
            TIMES_FILE: ("activity", None, None),
            CLUSTERS_FILE: ("which unit each spike is of", None, None),
        }
        optional = {PARAMETERS_FILE: "sampling rate, read as text", **dict.fromkeys(LABEL_FILES, "labels of the units")}
        optional |= dict.fromkeys(TEMPLATES_FILES, "places of the units")
        roles |= {name: (use, None, None) for name, use in optional.items() if (self.path / name).exists()}
        known, fault = {}, []
        try:
            known = uses(read_description(self._beside(), TIMES_FILE)[0])
            known.pop(TIMES_FILE, None)
        except (SessionError, StorageError) as error:
            fault = [Column.unreadable("description", str(error), fault=True)]
        if self._beside() == self.path:
            return list_columns(self.path, known | roles) + fault
        return list_columns(self.path, roles) + list_columns(self._beside(), known) + fault

    def _recording(self) -> Recording:
        beside = self._beside()
        description, told_by = read_description(beside, TIMES_FILE)
        report = ImportReport()
        rate_hz = self._rate_hz(report)
        report.add("read", "files", f"sorted spikes at {rate_hz:g} Hz; arrays beside it told apart by {told_by}")
        clusters = CLUSTERS_FILE if (self.path / CLUSTERS_FILE).exists() else TEMPLATES_FILES[0]
        times, of = self._array(TIMES_FILE), self._array(clusters)
        if times.dtype.kind == "f" and not (times == np.round(times)).all():
            raise SessionError(
                f"{self.path / TIMES_FILE}: expected numbers of samples, as Kilosort writes them, found fractions; "
                "times in seconds belong in a folder of plain arrays (vidrecon import arrays)"
            )
        units, trains = trains_of(times, of, str(self.path / clusters))
        taken = taken_units(labels_of(self.path, units), self.options.units, report, str(self.path))
        seconds = [
            train.astype(np.float64) / rate_hz + description.activity.start_s
            for train, keep in zip(trains, taken, strict=True)
            if keep
        ]
        report.add("read", "activity", f"{number_of(len(seconds), 'unit')}; {UNIT_NOTE}")
        if description.clock is not None and not description.activity.start_s:
            text = (
                "the spikes' sample 0 is taken for 0 s of the pulses beside them; where these count from before the "
                "recording, as Open Ephys does, say start_s = when it began on their clock, below [activity]"
            )
            report.add("assumed", "clock", text)
        spikes = Spikes.of(seconds, str(self.path / TIMES_FILE), description.activity.start_s)
        positions = None if description.coordinates else self._positions(of, units, report)
        reader = ArrayReader(beside, description, self.settings, report)
        found = reader.recording(spikes, str(self.path), positions=None if positions is None else positions[taken])
        return found if found.neuron_ids is not None else replace(found, neuron_ids=units[taken])

    def _array(self, name: str, *, memory_map: bool = False) -> np.ndarray:
        check_inside(self.path, self.path / name)
        return read_array(self.path / name, memory_map=memory_map)

    def _rate_hz(self, report: ImportReport) -> float:
        """Samples a second: as asked for, or as the text of `params.py` says."""
        if self.options.sample_rate:
            return self.options.sample_rate
        file = self.path / PARAMETERS_FILE
        remedy = "give the rate with --sample-rate, e.g. --sample-rate 30000"
        if not file.exists():
            raise SessionError(f"{file}: expected it to say sample_rate, found no such file; {remedy}")
        check_inside(self.path, file)
        found = SAMPLE_RATE.findall(read_text(file, most=LARGEST_PARAMETERS_BYTES, expected="Phy's parameters"))
        if len(found) != 1 or not LOWEST_RATE_HZ <= float(found[0]) <= HIGHEST_RATE_HZ:
            raise SessionError(f"{file}: expected one line sample_rate = a number of Hz, found {len(found)}; {remedy}")
        report.add("read", "clock", f"{float(found[0]):g} Hz of {PARAMETERS_FILE}, read as text")
        return float(found[0])

    def _positions(self, clusters: np.ndarray, units: np.ndarray, report: ImportReport) -> np.ndarray | None:
        """(U, 3) x, 0 and place along the probe of the channel at which each unit is largest, µm."""
        if not all((self.path / name).exists() for name in TEMPLATES_FILES):
            report.add("dropped", "coordinates", f"they need {', '.join(TEMPLATES_FILES)}")
            return None
        of_spikes, shapes, places = (self._array(name, memory_map=True) for name in TEMPLATES_FILES)
        fits = of_spikes.size == clusters.size and shapes.ndim == 3 and places.shape == (shapes.shape[2], 2)
        if not fits or of_spikes.dtype.kind not in "iu" or int(of_spikes.max()) >= len(shapes) or of_spikes.min() < 0:
            report.add("dropped", "coordinates", "templates and channels do not fit each other or the spikes")
            return None
        largest = np.array([int(np.ptp(np.asarray(shape), axis=0).argmax()) for shape in shapes])
        told = [np.unique(each, return_counts=True) for each in trains_of(np.asarray(of_spikes), clusters, "")[1]]
        usual = np.array([templates[counts.argmax()] for templates, counts in told])
        where = np.asarray(places, dtype=float)[largest[usual]]
        report.add("assumed", "coordinates", "places of the units' largest channels on the probe: x, 0, along it")
        return np.column_stack([where[:, 0], np.zeros(len(units)), where[:, 1]])
