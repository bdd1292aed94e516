"""A suite2p folder: the activity, which regions are cells, and what is written down of its planes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from napari_vidrecon.errors import SessionError, StorageError, number_of, one_line
from napari_vidrecon.sessions.importing.array_folder import natural_order, recorded_numbers
from napari_vidrecon.sessions.importing.array_preview import Known, list_columns, uses
from napari_vidrecon.sessions.importing.arrays import ArrayReader
from napari_vidrecon.sessions.importing.clocks import MOST_TRIMMED, rate_of_a_plane
from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.description import MOST_PLANES, Description, read_description
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording
from napari_vidrecon.sessions.importing.recording_reader import ActivityReader
from napari_vidrecon.settings import Settings
from napari_vidrecon.storage import check_inside, read_array
from napari_vidrecon.storage.plain_arrays import read_objects

MARKS = ("spks.npy", "F.npy", "iscell.npy", "suite2p", "plane0")
CELLS_FILE = "iscell.npy"
COMBINED = "combined"
"""Folder in which suite2p puts the regions of all planes together, their pictures side by side."""
NEUROPIL_SHARE = 0.7
BASELINE_PERCENTILE = 10.0
WRITTEN = ("stat.npy", "ops.npy", "db.npy", "settings.npy")
PIXEL_SIZES = ("um_per_pixel", "umperpix", "umPerPix", "um_per_pix", "pixel_size_um", "micronsPerPixel", "pixel_size")
"""Entries of `ops.npy` that labs add for the size of a pixel, µm."""
FASTEST_HZ = 1000.0
SAME_RATE = 0.02


class Suite2pOptions(Settings):
    """How a suite2p folder is read."""

    signal: Literal["spks", "dff"] = Field(
        "spks",
        title="Activity",
        description="spks is the deconvolved activity, which encoders are made for; dff, "
        "(F - 0.7 Fneu - F0) / F0 cut off at zero, is slower.",
        json_schema_extra={"labels": {"spks": "deconvolved (spks)", "dff": "dF/F"}},
    )
    all_regions: bool = Field(
        False,
        title="All regions, not only cells",
        description="Take every region that suite2p found, also those it does not call cells.",
    )
    beside: Path | None = Field(
        None,
        title="Other arrays in",
        description="Where stimulus, clocks and behaviour lie, if not in the suite2p folder itself.",
    )


class Suite2pFolder(ActivityReader):
    """A suite2p result: one plane, with `spks.npy`, `F.npy` and `iscell.npy`, or a folder of several (`plane0` ...)."""

    title = "suite2p folder"
    what = "a suite2p folder"
    options_class = Suite2pOptions
    options: Suite2pOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a folder holds what suite2p writes."""
        return any((path / mark).exists() for mark in MARKS)

    @property
    def planes(self) -> list[Path]:
        """The folders that hold activity, in order."""
        name = "spks.npy" if self.options.signal == "spks" else "F.npy"
        if (self.path / name).is_file():
            return [self.path]
        inner = self.path / "suite2p" if (self.path / "suite2p").is_dir() else self.path
        found = [plane for plane in inner.glob("plane*") if plane.name[5:].isdecimal() and (plane / name).is_file()]
        return sorted(found, key=lambda plane: int(plane.name[5:]))

    def _columns(self) -> list[Column]:
        beside = self._beside()
        known, rate = {}, None
        try:
            description, _ = read_description(beside, "spks.npy")
            part = description.activity
            known = {name: role for name, role in uses(description).items() if name != part.file}
            rate = part.rate_hz
            if part.times and rate is None:
                with contextlib.suppress(SessionError, StorageError):
                    rate = self._rate_of_a_plane(recorded_numbers(beside, part.times) / part.ticks_hz, part.planes)
            fault = []
        except (SessionError, StorageError) as error:
            fault = [Column.unreadable("description", str(error), fault=True)]
        roles: Known = {}
        roles[CELLS_FILE] = (
            "all regions are taken" if self.options.all_regions else "which regions are cells",
            None,
            None,
        )
        names = ("spks.npy",) if self.options.signal == "spks" else ("F.npy", "Fneu.npy")
        roles |= dict.fromkeys(names, ("activity", None, rate))
        columns = []
        planes = self.planes
        for plane in planes:
            columns += self._written_down(plane, len(planes))
            there = {name: role for name, role in roles.items() if (plane / name).exists()}
            if plane == beside:
                known |= there
            else:
                found = [column for column in list_columns(plane, there) if column.name not in WRITTEN]
                columns += [replace(column, name=f"{plane.name}/{column.name}") for column in found]
        names_beside = WRITTEN if beside in planes else ()
        return columns + [each for each in list_columns(beside, known) if each.name not in names_beside] + fault

    def _rate_of_a_plane(self, times: np.ndarray, planes: int) -> float | None:
        """Samples a second of one plane, also where the times are those of all of them."""
        first = self.planes[0]
        count = max(planes, PlaneFacts.of(first, len(self.planes), self.path).count)
        name = "spks.npy" if self.options.signal == "spks" else "F.npy"
        return rate_of_a_plane(times, self._traces(first / name).shape[1], count)

    def _written_down(self, plane: Path, planes: int) -> list[Column]:
        """Rows of `ops.npy` and `stat.npy`."""
        facts = PlaneFacts.of(plane, planes, self.path)
        rate = "no rate in it" if facts.rate_hz is None else f"rate of {facts.rate_hz:g} Hz"
        uses_of = {
            "ops.npy": f"{rate}, plane {facts.number} of {facts.count}, where nothing else tells them",
            "stat.npy": "no positions in it"
            if facts.middles is None
            else f"positions of {len(facts.middles)} regions, where no coordinates are given",
        }
        faults = {name: fault for name in uses_of for fault in facts.faults if f"{name}:" in fault}
        where = "" if plane == self.path else f"{plane.name}/"
        return [
            Column.unreadable(f"{where}{name}", one_line(faults.get(name, use)))
            for name, use in uses_of.items()
            if (plane / name).exists()
        ]

    def _recording(self) -> Recording:
        planes = self.planes
        if not planes:
            wanted = "spks.npy" if self.options.signal == "spks" else "F.npy and Fneu.npy"
            other = (
                "run its deconvolution, or take --signal dff"
                if self.options.signal == "spks"
                else "choose another folder"
            )
            raise SessionError(f"{self.path}: expected suite2p's {wanted}, found neither it nor planes; {other}")
        beside = self._beside()
        description, told_by = read_description(beside, "spks.npy")
        report = ImportReport()
        found = f"suite2p, {number_of(len(planes), 'plane')}"
        report.add("read", "files", f"{found}; arrays beside it told apart by {told_by}")
        values, cells, regions, facts = [], [], 0, []
        for plane in planes:
            activity = self._activity(plane, report)
            chosen = self._cells(plane, len(activity), report)
            values.append(activity[chosen])
            cells.append(np.flatnonzero(chosen) + regions)
            regions += len(chosen)
            facts.append(PlaneFacts.of(plane, len(planes), self.path))
        for plane, fact in zip(planes, facts, strict=True):
            if fact.numbers is not None and len(fact.numbers) != regions:
                raise SessionError(
                    f"{plane / 'stat.npy'}: expected the plane of each of {regions} regions, found "
                    f"{len(fact.numbers)}; all files must be of the same run of suite2p"
                )
        description = with_rate(description, facts, report)
        faults = [fault for fact in facts for fault in fact.faults if "stat.npy:" not in fault]
        if description.activity.times is None and description.activity.rate_hz is None and faults:
            raise SessionError(f"{faults[0]}; give the rate, rate_hz below [activity] in recording.toml, or the times")
        if description.coordinates is not None and Path(description.coordinates).name == "stat.npy":
            description = description.model_copy(update={"coordinates": None})
        rows = np.concatenate(cells)
        positions = None
        if description.coordinates is None:
            positions = positions_of(facts, regions, description, report)
        activity = self._together(planes, values, report)
        self._compare_combined(planes, rows, regions, report)
        numbers = np.concatenate([fact.planes_of(len(part)) for part, fact in zip(values, facts, strict=True)])
        numbers = numbers[rows] if len(numbers) == regions else numbers
        reader = ArrayReader(beside, description, self.settings, report)
        return reader.recording(
            activity,
            str(planes[0]),
            rows,
            regions,
            planes=numbers,
            plane_count=max(fact.count for fact in facts),
            positions=None if positions is None else positions[rows],
        )

    def _activity(self, plane: Path, report: ImportReport) -> np.ndarray:
        if self.options.signal == "spks":
            return self._traces(plane / "spks.npy")
        if not (plane / "Fneu.npy").exists():
            raise SessionError(
                f"{plane / 'Fneu.npy'}: expected the neuropil around each region, found nothing there; if F.npy is "
                "without it already, make dF/F of it and import that as plain arrays"
            )
        bright, around = self._traces(plane / "F.npy"), self._traces(plane / "Fneu.npy")
        if bright.shape != around.shape:
            raise SessionError(
                f"{plane / 'Fneu.npy'}: expected the shape of F.npy, {bright.shape}, found {around.shape}; "
                "both must be of the same run of suite2p"
            )
        corrected = bright - np.float32(NEUROPIL_SHARE) * around
        baseline = np.percentile(corrected, BASELINE_PERCENTILE, axis=1, keepdims=True)
        if (baseline <= 0).any():
            report.add("warning", "activity", f"{int((baseline <= 0).sum())} baselines not above 0; dF/F is NaN there")
        with np.errstate(all="ignore"):
            dff = np.where(baseline > 0, (corrected - baseline) / baseline, np.nan)
        text = (
            f"dF/F of F - {NEUROPIL_SHARE:g} Fneu over its {BASELINE_PERCENTILE:g}th percentile, cut off at 0; "
            "not deconvolved, so slower than the activity that encoders are made for"
        )
        report.add("resampled", "activity", text)
        return np.maximum(dff, 0.0).astype(np.float32)

    def _cells(self, plane: Path, regions: int, report: ImportReport) -> np.ndarray:
        file = plane / CELLS_FILE
        if self.options.all_regions:
            report.add("assumed", "activity", "all regions are taken, cells or not")
            return np.ones(regions, dtype=bool)
        try:
            check_inside(self.path, file)
            cells = read_array(file)
        except StorageError as error:
            raise StorageError(f"{error}; to take all regions give --all-regions") from None
        if cells.ndim not in (1, 2) or len(cells) != regions or cells.dtype.kind not in "fiub":
            raise SessionError(
                f"{file}: expected a row for each of {regions} regions, found {cells.dtype} of shape {cells.shape}; "
                "all files must be of the same run of suite2p"
            )
        chosen = (cells if cells.ndim == 1 else cells[:, 0]) > 0.5
        if not chosen.any():
            raise SessionError(f"{file}: expected cells among {regions} regions, found none; give --all-regions")
        if not chosen.all():
            text = f"{plane.name}: {int((~chosen).sum())} of {regions} regions are no cells"
            report.add("dropped", "activity", text)
        return np.asarray(chosen)

    def _compare_combined(self, planes: list[Path], rows: np.ndarray, regions: int, report: ImportReport) -> None:
        """Say where other regions were chosen in the folder of all planes together, which is not read beside them."""
        file = planes[0].parent / COMBINED / CELLS_FILE
        if planes[0].parent == self.path or self.options.all_regions or not file.is_file():
            return
        with contextlib.suppress(StorageError):
            check_inside(self.path, file)
            cells = read_array(file)
            there = np.flatnonzero((cells if cells.ndim == 1 else cells[:, 0]) > 0.5)
            if len(cells) == regions and not np.array_equal(there, rows):
                text = (
                    f"{COMBINED}/{CELLS_FILE} calls {np.setxor1d(there, rows).size} regions otherwise; to take those "
                    f"of it, give {file.parent} with --beside {self.path}"
                )
                report.add("warning", "activity", text)

    def _together(self, planes: list[Path], values: list[np.ndarray], report: ImportReport) -> np.ndarray:
        lengths = [part.shape[1] for part in values]
        shortest = min(lengths)
        if len(set(lengths)) > 1:
            if not self.settings.trim or max(lengths) - shortest > MOST_TRIMMED:
                found = ", ".join(f"{plane.name}: {length}" for plane, length in zip(planes, lengths, strict=True))
                raise SessionError(
                    f"{self.path}: expected planes of the same length, found {found} samples; "
                    f"cut the longer ones at their end with --trim, by at most {MOST_TRIMMED} samples"
                )
            report.add("repaired", "activity", f"planes of {max(lengths)} samples cut to {shortest} at the end")
        return values[0] if len(values) == 1 else np.concatenate([part[:, :shortest] for part in values])

    def _traces(self, file: Path) -> np.ndarray:
        check_inside(self.path, file)
        traces = read_array(file, memory_map=True)
        if traces.ndim != 2 or traces.dtype.kind not in "fiu" or traces.shape[0] < 1 or traces.shape[1] < 2:
            found = f"{traces.dtype} of shape {traces.shape}"
            raise SessionError(f"{file}: expected traces (regions, samples), found {found}")
        return traces


@dataclass(frozen=True)
class PlaneFacts:
    """What suite2p wrote down of a plane.

    Parameters
    ----------
    rate_hz
        Samples a second of the plane, or None.
    number, count
        Which plane it is, from 0, of how many recorded one after the other.
    pixel_um
        Size of a pixel, x and y, µm, or None.
    middles
        (R, 2) x and y of the regions, pixels, or None.
    faults
        What could not be read, and why.
    numbers
        (R,) plane of each region, where the folder holds those of all planes; None for `number`.
    told_by
        The file that tells its rate.
    """

    rate_hz: float | None
    number: int
    count: int
    pixel_um: tuple[float, float] | None
    middles: np.ndarray | None
    faults: tuple[str, ...] = ()
    numbers: np.ndarray | None = None
    told_by: str = "ops.npy"

    def planes_of(self, neurons: int) -> np.ndarray:
        """The plane of each region, or of so many neurons where all are of one."""
        return np.full(neurons, self.number) if self.numbers is None else self.numbers

    @classmethod
    def of(cls, plane: Path, planes: int, root: Path) -> PlaneFacts:
        """Read `ops.npy` and `stat.npy` of a plane; nothing in them is run.

        Parameters
        ----------
        plane
            Its folder.
        planes
            How many folders of planes there are.
        root
            The folder of the recording, which no link may leave.

        Returns
        -------
        PlaneFacts
            With nothing where there is nothing.
        """
        faults: list[str] = []

        def objects(name: str, expected: str, inside: Path = plane) -> list[Any]:
            try:
                check_inside(root if inside == plane else inside, inside / name)
                return read_objects(inside / name, expected) if (inside / name).exists() else []
            except StorageError as error:
                faults.append(str(error))
                return []

        # Where suite2p 1.0 was told to write no ops.npy, as in its folder of all planes, the same stands in two files.
        names = ["ops.npy"] if (plane / "ops.npy").exists() else ["db.npy", "settings.npy"]
        told = [each for name in names for each in objects(name, f"suite2p's {name}") if isinstance(each, dict)]
        ops = {key: value for each in told for key, value in each.items()}
        rate = _number(ops.get("fs"))
        number = int(plane.name[5:]) if plane.name[:5] == "plane" and plane.name[5:].isdecimal() else 0
        count = int(_number(ops.get("nplanes")) or planes)
        if ops.get("mesoscan") or not number < count <= MOST_PLANES:
            # Strips of a mesoscope are folders of planes, too, and do not follow each other.
            number, count = 0, 1
        sizes = [size for name in PIXEL_SIZES if (size := _pair(ops.get(name))) is not None]
        regions = objects("stat.npy", "suite2p's stat.npy")
        numbers = None
        if plane.name == COMBINED and regions:
            numbers = np.array(
                [int(_number(each.get("iplane")) or 0) if isinstance(each, dict) else 0 for each in regions]
            )
            count = max(count, int(numbers.max()) + 1)
            # There the pictures of the planes lie side by side; where a region is, its plane's own folder tells.
            apart = sorted(plane.parent.glob("plane*/stat.npy"), key=lambda file: natural_order(file.parent))
            own = [
                each
                for file in apart
                for each in objects(str(file.relative_to(plane.parent)), "suite2p's stat.npy", plane.parent)
            ]
            regions = own if len(own) == len(regions) else []
        middles = [_pair(each.get("med")) if isinstance(each, dict) else None for each in regions]
        known = middles and all(middle is not None for middle in middles)
        return cls(
            rate if rate and rate <= FASTEST_HZ else None,
            number,
            count,
            sizes[0] if sizes and min(sizes[0]) > 0 else None,
            # suite2p writes y, then x.
            np.array(middles, dtype=float)[:, ::-1] if known else None,
            tuple(faults),
            numbers,
            names[-1],
        )


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if np.isfinite(found) and found > 0 else None


def _pair(value: Any) -> tuple[float, float] | None:
    try:
        found = np.asarray(value, dtype=float).ravel()
    except (TypeError, ValueError, OverflowError):
        return None
    if found.size not in (1, 2) or not np.isfinite(found).all():
        return None
    return float(found[0]), float(found[-1])


def with_rate(description: Description, facts: list[PlaneFacts], report: ImportReport) -> Description:
    """The description with the rate that suite2p wrote down, if it gives no clock for the activity.

    Parameters
    ----------
    description
        Of the arrays.
    facts
        Of each plane.
    report
        Takes notes.

    Returns
    -------
    Description
        As it was where it gives a clock.
    """
    for fact in facts:
        for fault in fact.faults:
            report.add("warning", "files", fault)
    rates = {fact.rate_hz for fact in facts if fact.rate_hz is not None}
    part = description.activity
    if part.times is not None or len(rates) != 1:
        return description
    (rate,) = rates
    if part.rate_hz is None:
        report.add("read", "activity", f"{rate:g} Hz, from {facts[0].told_by}")
        return description.model_copy(update={"activity": part.model_copy(update={"rate_hz": rate})})
    if abs(part.rate_hz / rate - 1) > SAME_RATE:
        text = f"rate_hz is {part.rate_hz:g}, {part.rate_hz / rate:.4g} times the {rate:g} Hz of {facts[0].told_by}"
        report.add("warning", "activity", text)
    return description


def positions_of(
    facts: list[PlaneFacts], regions: int, description: Description, report: ImportReport
) -> np.ndarray | None:
    """(regions, 3) µm, from the middles of the regions.

    Parameters
    ----------
    facts
        Of each plane.
    regions
        In all planes.
    description
        May tell the size of a pixel.
    report
        Takes notes.

    Returns
    -------
    np.ndarray | None
        None where a plane tells none, or tells those of another run.
    """
    middles = [fact.middles for fact in facts if fact.middles is not None]
    found = sum(map(len, middles))
    if len(middles) != len(facts) or found != regions:
        if found:
            text = f"stat.npy tells {found} positions for {regions} regions: it is of another run"
            report.add("dropped", "coordinates", text)
        return None
    told = "coordinate_scale_um" in description.model_fields_set
    parts = []
    for fact, middle in zip(facts, middles, strict=True):
        scale = (description.coordinate_scale_um,) * 2 if told or fact.pixel_um is None else fact.pixel_um
        parts.append(np.column_stack([middle * scale, fact.planes_of(len(middle)).astype(float)]))
    if told:
        size = f"{description.coordinate_scale_um:g} µm a pixel (coordinate_scale_um)"
    elif all(fact.pixel_um for fact in facts):
        size = "µm by the size of a pixel in ops.npy"
    else:
        size = "pixels, as nothing tells their size (coordinate_scale_um)"
    several = len(facts) > 1 or any(fact.numbers is not None for fact in facts)
    many = "; z is the number of the plane, as nothing tells its depth" if several else ""
    report.add("read", "coordinates", f"middles of the regions from stat.npy, {size}{many}")
    return np.concatenate(parts)
