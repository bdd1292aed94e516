"""Spikes: times of single spikes, counted in the frames of the video clock; and which units of a sorting to take."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_vidrecon.errors import SessionError, one_line
from napari_vidrecon.sessions.importing.hdf5_contents import whole
from napari_vidrecon.sessions.importing.recording import LONGEST_RECORDING_S, ImportReport, Signal
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.storage import read_text

UnitChoice = Literal["good", "mua", "all"]
TAKEN = {"good": {"good"}, "mua": {"good", "mua"}}
"""Labels of sorted units that each choice takes."""
QUALITY_COLUMNS = ("quality", "group", "kslabel", "ks_label")
INFO_FILE = "cluster_info.tsv"
LABEL_FILES = (INFO_FILE, "cluster_KSLabel.tsv", "cluster_group.tsv", "cluster_group.csv")
"""Of units, what Phy shows of all, by Kilosort, and by a person: the later word holds."""
INFO_WORDS = ("kslabel", "group")
"""Columns of `cluster_info.tsv` that say what a unit is; the later word holds."""
MOST_VALUES = 500_000_000
LARGEST_TABLE_BYTES = 8_000_000
UNIT_NOTE = "spikes counted in each frame, as spikes a second"


@dataclass(frozen=True)
class Spikes(Signal):
    """Units whose single spikes are known; `values` are their rates in steps of a frame, spikes a second.

    Parameters
    ----------
    values, times, source, delays_s
        As of a `Signal`.
    trains
        (C,) arrays of ascending times, s: the spikes of each unit.
    """

    trains: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, trains: Sequence[np.ndarray], source: str, start_s: float | None = None) -> Spikes:
        """The signal of some spike trains, until the last spike of all.

        Parameters
        ----------
        trains
            Times of each unit's spikes, s, in any order.
        source
            Where they come from, for messages.
        start_s
            When the recording began, s; None for its first spike.

        Returns
        -------
        Spikes
            On a clock of frames.

        Raises
        ------
        SessionError
            No spikes, or times that cannot be seconds.
        """
        ordered = tuple(np.sort(np.asarray(train, dtype=np.float64)) for train in trains)
        spikes = np.concatenate([*ordered, np.empty(0)])
        if spikes.size < 2 or not np.isfinite(spikes).all():
            raise SessionError(f"{source}: expected times of spikes in seconds, found {spikes.size}, or some NaN")
        start, stop = float(spikes.min()), float(spikes.max())
        start = start if start_s is None else min(start, start_s)
        bins = int(np.ceil((stop - start) * FRAME_RATE_HZ)) + 1
        if stop - start > LONGEST_RECORDING_S or bins * len(ordered) > MOST_VALUES or bins < 2:
            raise SessionError(
                f"{source}: expected times of spikes in seconds, found them from {start:g} to {stop:g}; "
                "are they samples or milliseconds? give the rate they were sampled at"
            )
        edges = start + np.arange(bins + 1) / FRAME_RATE_HZ
        values = np.empty((len(ordered), bins), dtype=np.float32)
        for row, train in zip(values, ordered, strict=True):
            row[:] = np.diff(np.searchsorted(train, edges)) * FRAME_RATE_HZ
        return cls(values, (edges[:-1] + edges[1:]) / 2, source, None, ordered)

    def chosen(self, channels: np.ndarray, values: np.ndarray | None = None) -> Spikes:
        """Some of the units."""
        trains = tuple(train for train, keep in zip(self.trains, channels, strict=True) if keep)
        return replace(self, values=self.values[channels] if values is None else values, trains=trains)

    def in_frames(self, edges_s: np.ndarray) -> np.ndarray:
        """(C, T) spikes in each frame, as spikes a second."""
        counts = np.stack([np.diff(np.searchsorted(train, edges_s)) for train in self.trains])
        return np.asarray(counts / np.diff(edges_s))


def trains_of(times: np.ndarray, clusters: np.ndarray, source: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Spikes by their unit.

    Parameters
    ----------
    times
        (S,) or (S, 1) of all spikes.
    clusters
        The unit of each.
    source
        For messages.

    Returns
    -------
    tuple[np.ndarray, list[np.ndarray]]
        (U,) numbers of the units, ascending, and the times of each one's spikes.

    Raises
    ------
    SessionError
        Not a whole number for each spike.
    """
    if times.dtype.kind not in "fiu" or times.ndim > 2 or times.size != max(times.shape, default=0) or not times.size:
        raise SessionError(f"{source}: expected a time a spike, found {times.dtype} of shape {times.shape}")
    times, found = times.ravel(), clusters.ravel()
    if found.dtype.kind == "f" and np.isfinite(found).all() and (found == np.round(found)).all():
        found = found.astype(np.int64)
    if found.size != times.size or found.dtype.kind not in "iu":
        raise SessionError(
            f"{source}: expected the unit of each of {times.size} spikes, found {found.dtype} of {clusters.shape}; "
            "both must be of the same sorting"
        )
    order = np.argsort(found, kind="stable")
    units, first = np.unique(found[order], return_index=True)
    return units.astype(np.int64), np.split(times[order], first[1:])


def taken_units(labels: Sequence[str], choice: UnitChoice, report: ImportReport, source: str) -> np.ndarray:
    """Which units to take by what a person or the sorter called them.

    Parameters
    ----------
    labels
        One a unit; empty where it has none.
    choice
        "good" ones, those and "mua", or "all".
    report
        Takes notes.
    source
        For messages.

    Returns
    -------
    np.ndarray
        (U,) bool.

    Raises
    ------
    SessionError
        None is left.
    """
    words = [label.strip().lower() for label in labels]
    every = np.ones(len(words), dtype=bool)
    if choice == "all" or not any(words):
        if not any(words):
            report.add("assumed", "activity", f"no unit of {len(words)} is labelled good or noise; all are taken")
        return every
    taken = np.array([word in TAKEN[choice] for word in words])
    if not taken.any():
        found = ", ".join(
            f"{words.count(word)} {one_line(word or 'unlabelled', 30)}" for word in sorted(set(words))[:6]
        )
        raise SessionError(
            f"{source}: expected units labelled {' or '.join(sorted(TAKEN[choice]))}, found {found}; "
            "give --units mua or --units all"
        )
    if not taken.all():
        text = f"{int((~taken).sum())} of {len(words)} units are not labelled {' or '.join(sorted(TAKEN[choice]))}"
        report.add("dropped", "activity", f"{text} (--units)")
    return taken


def labels_of(folder: Path, units: np.ndarray) -> list[str]:
    """What the units of a sorting are called: by a person in `cluster_group`, else by Kilosort in `cluster_KSLabel`.

    Parameters
    ----------
    folder
        Where the tables lie; each is optional.
    units
        (U,) numbers of the units.

    Returns
    -------
    list[str]
        One word a unit; empty where there is none.
    """
    told: dict[int, str] = {}
    for name in LABEL_FILES:
        if not (folder / name).exists():
            continue
        text = read_text(folder / name, most=LARGEST_TABLE_BYTES, expected="a table of units")
        rows = list(csv.reader(text.splitlines(), delimiter="\t"))
        names = [cell.strip().lower() for cell in rows[0]] if rows else []
        places = [names.index(word) for word in INFO_WORDS if word in names] if name == INFO_FILE else [1]
        for row, place in itertools.product(rows, places):
            # A person has not looked at those that are "unsorted".
            if len(row) > place and row[0].strip().isdecimal() and row[place].strip().lower() not in ("", "unsorted"):
                told[int(row[0])] = row[place]
    return [told.get(int(unit), "") for unit in units]


def nwb_units(table: Any, path: Path, choice: UnitChoice, report: ImportReport) -> tuple[Spikes, np.ndarray]:
    """Spike trains of the table `units` of an NWB file.

    Parameters
    ----------
    table
        The table.
    path
        The file, for messages.
    choice
        Which units to take, where they are labelled.
    report
        Takes notes.

    Returns
    -------
    tuple[Spikes, np.ndarray]
        The spikes, and (U,) ids of the units.

    Raises
    ------
    SessionError
        No spike times, or no such units.
    """
    source = f"{path}: units"
    if "spike_times" not in table.colnames:
        raise SessionError(f"{source}: expected a column spike_times, found {one_line(', '.join(table.colnames), 200)}")
    index = table["spike_times"]
    ends = whole(index.data, source).astype(np.int64)
    times = whole(index.target.data, source)
    if (np.diff(np.append(0, ends)) < 0).any() or (ends.size and ends[-1] > times.size):
        raise SessionError(f"{source}: expected ends of the units' spikes in order, found others; the file is damaged")
    trains = np.split(times[: ends[-1] if ends.size else 0], ends[:-1])
    name = next((each for each in table.colnames if each.lower() in QUALITY_COLUMNS), None)
    labels = [""] * len(trains) if name is None else [str(word) for word in table[name][:]]
    taken = taken_units(labels, choice, report, source)
    report.add("read", "activity", f"units, {int(taken.sum())} with spike times; {UNIT_NOTE}")
    ids = whole(table.id.data, source).astype(np.int64)[taken]
    return Spikes.of([train for train, keep in zip(trains, taken, strict=True) if keep], source), ids
