"""Neurons of an NWB file: traces of one plane or of several, the regions they belong to, and where those lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import SessionError, number_of, one_line
from napari_vidrecon.sessions.importing.clocks import MOST_TRIMMED, fitting_times, regular_times
from napari_vidrecon.sessions.importing.hdf5_contents import require_stored, rows_of, whole
from napari_vidrecon.sessions.importing.nwb_stimulus import path_of, told_clock
from napari_vidrecon.sessions.importing.recording import ImportReport, Signal, single_precision

UM_A_UNIT = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "m": 1e6, "meter": 1e6, "metre": 1e6, "cm": 1e4, "centimeter": 1e4, "centimetre": 1e4,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
}  # fmt: skip
"""Names of units of length, one of them and without the plural's s."""
POSITION_COLUMNS = ("x_um", "y_um", "z_um")
CELL_COLUMNS = ("iscell", "is_cell", "accepted", "valid_roi", "is_valid")
MASKS = ("pixel_mask", "voxel_mask", "image_mask")
CELL = 0.5
"""From this probability on a region is a cell."""
SMALLEST_PIXEL_UM, LARGEST_PIXEL_UM = 0.01, 200.0
"""Of microscopes that see single cells."""
SAME_CLOCK = 0.01
"""Planes whose samples lie within this share of a period are sampled together."""


@dataclass(frozen=True)
class Neurons:
    """Neurons that were recorded together.

    Parameters
    ----------
    activity
        (N, S) their traces.
    coordinates
        (N, 3) µm, or None.
    ids
        (N,) integers, or None.
    """

    activity: Signal
    coordinates: np.ndarray | None
    ids: np.ndarray | None


def um_a_unit(unit: object) -> float | None:
    """How many µm a unit of length is, by its name in the singular or plural; None for an unknown one."""
    name = str(unit).strip()
    lower = name.lower()
    for each in (name, lower, lower.removesuffix("s")):
        if each in UM_A_UNIT:
            return UM_A_UNIT[each]
    return None


def are_planes(series: Sequence[Any]) -> bool:
    """Whether series are traces of different regions, as of the planes of one microscope: none is in two of them."""
    regions = [(id(each.rois.table), set(whole(each.rois.data, path_of(each)).ravel().tolist())) for each in series]
    return all(table != other or not (rows & others) for (table, rows), (other, others) in combinations(regions, 2))


def signal_of(
    series: Any, path: Path, about: str, report: ImportReport, *, trim: bool, regions: int | None = None
) -> Signal:
    """A series of an NWB file with its clock.

    Parameters
    ----------
    series
        Of the open file.
    path
        The file, for messages.
    about
        What it is used for.
    report
        Takes notes.
    trim
        Cut the longer of values and times at its end.
    regions
        Channels it must have; a series stored the other way round is told by them, and turned.

    Returns
    -------
    Signal
        Scaled as the file says.

    Raises
    ------
    SessionError
        Not numbers, not of these channels, or without a clock.
    """
    source = f"{path}: {path_of(series)}"
    values = whole(series.data, source)
    if values.dtype.kind not in "fiu" or values.ndim > 2 or values.ndim == 0 or len(values) < 2 or not values.size:
        raise SessionError(f"{source}: expected numbers (samples, channels), found {values.dtype} {values.shape}")
    values = values.reshape(len(values), -1)
    times = None if series.timestamps is None else whole(series.timestamps, f"{source}: its times")
    if regions is not None and _is_turned(values.shape, regions, times, source):
        report.add("repaired", about, f"{path_of(series)} is stored (regions, samples); turned, as its numbers tell")
        values = values.T
    values = single_precision(values.T)
    scale, offset = float(series.conversion or 1.0), float(getattr(series, "offset", 0.0) or 0.0)
    if not (np.isfinite(np.float32(scale)) and np.isfinite(np.float32(offset))):
        raise SessionError(f"{source}: expected a finite conversion and offset, found {scale:g} and {offset:g}")
    if (scale, offset) != (1.0, 0.0):
        report.add("resampled", about, f"times {scale:g} plus {offset:g} {series.unit}, as the file says")
        with np.errstate(over="ignore", invalid="ignore"):
            values = values * np.float32(scale) + np.float32(offset)
    if times is None:
        rate, start = told_clock(series, source)
        return Signal(values, regular_times(values.shape[1], rate, start), source)
    times, kept = fitting_times(times, values.shape[1], source, trim=trim, report=report, about=about)
    return Signal(values[:, :kept], times, source)


def _is_turned(shape: tuple[int, ...], regions: int, times: np.ndarray | None, source: str) -> bool:
    """Whether values are stored (regions, samples) in place of (samples, regions)."""
    rows, columns = shape
    if columns == regions:
        return False
    fits = times is None or abs(times.size - columns) <= MOST_TRIMMED
    if rows == regions and fits:
        return True
    told = "" if times is None else f" and {times.size} times"
    raise SessionError(
        f"{source}: expected samples x regions or regions x samples of its {regions} regions{told}, found {rows} x "
        f"{columns}; its data, its regions (`rois`) and its times must belong together"
    )


class NeuronReader:
    """Reads the neurons of response series.

    Parameters
    ----------
    path
        The file, for messages.
    report
        Takes notes.
    trim
        Cut the longer of values and times at its end.
    all_regions
        Take regions that are marked as no cells, too.
    """

    def __init__(self, path: Path, report: ImportReport, *, trim: bool, all_regions: bool) -> None:
        self.path, self.report, self.trim, self.all_regions = path, report, trim, all_regions

    def read(self, series: Sequence[Any]) -> Neurons:
        """The neurons of one series, or of several that are planes of one recording.

        Parameters
        ----------
        series
            Response series of the open file.

        Returns
        -------
        Neurons
            Plane after plane; each neuron keeps the time at which its plane was sampled.

        Raises
        ------
        SessionError
            Series and regions do not fit each other, or a region is in several.
        """
        if not are_planes(series):
            listed = ", ".join(path_of(each) for each in series)
            raise SessionError(
                f"{self.path}: expected series of different regions to join for activity, found {listed} to share "
                "regions; name series of different planes with --activity"
            )
        planes = [self._plane(each) for each in series]
        if len(planes) == 1:
            return planes[0]
        self.report.add("read", "activity", f"{number_of(len(planes), 'plane')} joined: {_listed(series)}")
        positions = [plane.coordinates for plane in planes]
        known = [each for each in positions if each is not None]
        if 0 < len(known) < len(planes):
            self.report.add("dropped", "coordinates", f"{len(planes) - len(known)} of {len(planes)} planes have none")
        ids = np.concatenate(
            [np.arange(len(each.activity.values)) if each.ids is None else each.ids for each in planes]
        )
        return Neurons(
            self._together([plane.activity for plane in planes]),
            np.concatenate(known) if len(known) == len(planes) else None,
            ids if np.unique(ids).size == ids.size else None,
        )

    def _plane(self, series: Any) -> Neurons:
        source = f"{self.path}: {path_of(series)}: its regions"
        rows = whole(series.rois.data, source)
        signal = signal_of(series, self.path, "activity", self.report, trim=self.trim, regions=rows.size)
        chosen = self._cells(series.rois.table, rows, path_of(series), source)
        if not chosen.all():
            rows, signal = rows[chosen], Signal(signal.values[chosen], signal.times, signal.source)
        ids = rows_of(series.rois.table.id.data, rows, source).astype(int)
        return Neurons(
            signal, self._coordinates(series.rois.table, rows, source), ids if np.unique(ids).size == ids.size else None
        )

    def _cells(self, table: Any, rows: np.ndarray, place: str, source: str) -> np.ndarray:
        """Which of the regions are cells, as a column of their table says; all where none does."""
        name = next((each for each in table.colnames if each.lower() in CELL_COLUMNS), None)
        every = np.ones(rows.size, dtype=bool)
        if name is None:
            return every
        marks = rows_of(table[name].data, rows, f"{source}: {name}")
        if marks.dtype.kind not in "fiub" or marks.ndim not in (1, 2):
            self.report.add("warning", "activity", f"{place}: the column {one_line(name)} holds no yes or no; not used")
            return every
        chosen = np.asarray((marks if marks.ndim == 1 else marks[:, 0]) > CELL)
        if self.all_regions:
            if not chosen.all():
                text = (
                    f"{place}: {int((~chosen).sum())} of {rows.size} regions are no cells ({name}); taken all the same"
                )
                self.report.add("assumed", "activity", text)
            return every
        if not chosen.any():
            raise SessionError(
                f"{source}: expected cells among {rows.size} regions, found none (column {one_line(name)}); "
                "give --all-regions to take all"
            )
        if not chosen.all():
            text = f"{place}: {int((~chosen).sum())} of {rows.size} regions are no cells (column {name}; --all-regions)"
            self.report.add("dropped", "activity", text)
        return chosen

    def _together(self, signals: Sequence[Signal]) -> Signal:
        """Several planes as one; a plane sampled later than the first keeps its delay."""
        lengths = [signal.times.size for signal in signals]
        shortest = min(lengths)
        if max(lengths) != shortest:
            if not self.trim or max(lengths) - shortest > MOST_TRIMMED:
                raise SessionError(
                    f"{self.path}: expected planes of the same length, found {', '.join(map(str, lengths))} samples; "
                    f"cut the longer ones at their end with --trim, by at most {MOST_TRIMMED} samples"
                )
            self.report.add("repaired", "activity", f"planes of {max(lengths)} samples cut to {shortest} at the end")
        first = signals[0].times[:shortest]
        period_s = float(np.median(np.diff(first)))
        delays = []
        for signal in signals:
            apart = signal.times[:shortest] - first
            delays.append(float(np.median(apart)))
            if float(np.ptp(apart)) > period_s / 2 or abs(delays[-1]) > period_s:
                raise SessionError(
                    f"{signal.source}: expected planes sampled in turn, within {period_s:.4g} s of each other, found "
                    f"{float(np.abs(apart).max()):.4g} s; name planes of one clock with --activity"
                )
        values = np.concatenate([signal.values[:, :shortest] for signal in signals])
        source = signals[0].source
        if max(map(abs, delays)) <= SAME_CLOCK * period_s:
            return Signal(values, first, source)
        told = ", ".join(f"{1e3 * delay:.3g}" for delay in delays)
        self.report.add("read", "activity", f"planes are sampled {told} ms after the first; each keeps its own times")
        rows = [len(signal.values) for signal in signals]
        return Signal(values, first, source, np.repeat(delays, rows))

    def _coordinates(self, table: Any, rows: np.ndarray, source: str) -> np.ndarray | None:
        if set(POSITION_COLUMNS[:2]) <= set(table.colnames):
            columns = [
                rows_of(table[name].data, rows, f"{source}: {name}")
                for name in POSITION_COLUMNS
                if name in table.colnames
            ]
            flat = np.zeros(rows.size)
            return np.column_stack(columns if len(columns) == len(POSITION_COLUMNS) else [*columns, flat]).astype(float)
        mask = next((name for name in MASKS if name in table.colnames), None)
        if mask is None:
            text = f"no columns {', '.join(POSITION_COLUMNS)}, and no masks ({', '.join(MASKS)})"
            self.report.add("dropped", "coordinates", text)
            return None
        spacing = self._spacing_um(table.imaging_plane)
        if spacing is None:
            return None
        centres = _centres(table, mask, rows, f"{source}: {mask}")
        if not np.isfinite(centres).all():
            text = f"{int((~np.isfinite(centres).all(axis=1)).sum())} regions have an empty mask; no positions are kept"
            self.report.add("dropped", "coordinates", text)
            return None
        depth = "z from the voxels" if centres[:, 2].any() and spacing[2] else "z is 0 µm"
        self.report.add("assumed", "coordinates", f"middles of the regions times the size of a pixel; {depth}")
        origin = self._origin_um(table.imaging_plane)
        if origin.any():
            text = f"moved by the plane's origin, {', '.join(f'{value:.4g}' for value in origin)} µm"
            self.report.add("read", "coordinates", text)
        return np.asarray(centres * spacing + origin)

    def _spacing_um(self, plane: Any) -> np.ndarray | None:
        """Size of a pixel, and the step in depth, µm."""
        found = None if plane is None else plane.grid_spacing
        if found is None:
            self.report.add("dropped", "coordinates", "there are masks, but no size of a pixel (grid_spacing)")
            return None
        scale = um_a_unit(plane.grid_spacing_unit)
        size = whole(found, f"{self.path}: grid_spacing").astype(float).ravel()
        if scale is None or size.size not in (2, 3) or not (np.isfinite(size) & (size > 0)).all():
            unit = one_line(repr(plane.grid_spacing_unit), 50)
            text = f"the size of a pixel is {one_line(size.tolist(), 80)} {unit}; expected two or three lengths"
            self.report.add("dropped", "coordinates", text)
            return None
        if not SMALLEST_PIXEL_UM <= size[0] * scale <= LARGEST_PIXEL_UM:
            text = f"a pixel of {size[0]:g} {plane.grid_spacing_unit} is {size[0] * scale:g} µm: is its unit right?"
            self.report.add("dropped", "coordinates", text)
            return None
        # Without a step in depth, slices cannot be told in µm.
        return np.append(size, [0.0] if size.size == 2 else []) * scale

    def _origin_um(self, plane: Any) -> np.ndarray:
        """Where the plane's first pixel lies, µm; zero where that is not told."""
        found = None if plane is None else plane.origin_coords
        scale = None if found is None else um_a_unit(plane.origin_coords_unit)
        origin = np.zeros(3)
        if found is not None and scale is not None:
            told = whole(found, f"{self.path}: origin_coords").astype(float).ravel()
            if told.size in (2, 3) and np.isfinite(told).all():
                origin[: told.size] = told * scale
        return origin


def _centres(table: Any, mask: str, rows: np.ndarray, source: str) -> np.ndarray:
    """(R, 3) mean place of the pixels of each region, in pixels; NaN where it has none."""
    column = table[mask]
    if mask == "image_mask":
        require_stored(column.data, source)
        return np.array([_middle_of_image(np.asarray(column.data[int(row)]), source) for row in rows]).reshape(-1, 3)
    for stored in (column.data, column.target.data):
        require_stored(stored, source)
    places = 3 if mask == "voxel_mask" else 2
    centres = np.full((rows.size, 3), np.nan)
    centres[:, places:] = 0.0
    for number, row in enumerate(rows):
        points = np.array([list(point)[:places] for point in column[int(row)]], dtype=float)
        if points.size:
            centres[number, :places] = points.mean(axis=0)
    return centres


def _middle_of_image(image: np.ndarray, source: str) -> list[float]:
    """The standard stores an image as (x, y) or (x, y, z)."""
    if image.ndim not in (2, 3):
        raise SessionError(f"{source}: expected images (x, y), found shape {image.shape}")
    inside = np.nonzero(image)
    if not inside[0].size:
        return [np.nan] * 3
    middle = [float(axis.mean()) for axis in inside]
    return middle if len(middle) == 3 else [*middle, 0.0]


def _listed(series: Sequence[Any]) -> str:
    return ", ".join(path_of(each) for each in series)
