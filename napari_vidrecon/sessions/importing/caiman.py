"""CaImAn's results in HDF5: deconvolved or denoised traces, accepted components, and where they lie."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from napari_vidrecon.errors import SessionError, StorageError, optional_module
from napari_vidrecon.sessions.importing.array_preview import list_columns, uses
from napari_vidrecon.sessions.importing.arrays import ArrayReader
from napari_vidrecon.sessions.importing.columns import NOT_USED, Column
from napari_vidrecon.sessions.importing.description import Description, read_description
from napari_vidrecon.sessions.importing.hdf5_contents import require_self_contained, require_stored, whole
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording
from napari_vidrecon.sessions.importing.recording_reader import ActivityReader
from napari_vidrecon.settings import Settings
from napari_vidrecon.storage import reading

ESTIMATES = "estimates"
TRACES = ("S", "C")
ACCEPTED = "idx_components"
RATE = "params/data/fr"
SUFFIXES = (".hdf5", ".h5")


class CaimanOptions(Settings):
    """How CaImAn's results are read."""

    estimate: Literal["S", "C"] = Field(
        "S",
        title="Activity",
        description="S is the deconvolved activity, which encoders are made for; C, the denoised traces, is slower.",
        json_schema_extra={"labels": {"S": "deconvolved (S)", "C": "denoised (C)"}},
    )
    all_regions: bool = Field(
        False,
        title="All components",
        description="Take every component, also those that were not accepted.",
    )
    beside: Path | None = Field(
        None, title="Other arrays in", description="Where stimulus, clocks and behaviour lie, if not beside the file."
    )


class CaimanFile(ActivityReader):
    """What CaImAn's `cnm.save` writes; stimulus, clocks and behaviour lie beside it as arrays."""

    title = "CaImAn file"
    what = "CaImAn's results"
    suffixes = SUFFIXES
    options_class = CaimanOptions
    options: CaimanOptions

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a file has a group of CaImAn's estimates."""
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            return False
        try:
            import h5py

            with h5py.File(path, "r") as file:
                return ESTIMATES in file
        except Exception:  # noqa: BLE001  # a damaged file is told about when it is opened
            return False

    def _columns(self) -> list[Column]:
        found = []
        with self._opened() as file:
            estimates = file[ESTIMATES]
            for name in TRACES:
                if _is_array(estimates, name, 2):
                    place, use = f"{ESTIMATES}/{name}", "activity" if name == self.options.estimate else NOT_USED
                    try:
                        require_stored(estimates[name], f"{self.path}: {place}")
                    except StorageError as error:
                        found.append(Column.unreadable(place, str(error), fault=use != NOT_USED))
                    else:
                        found.append(Column.of(place, estimates[name], use, _rate_hz(file)))
        try:
            beside = self._beside()
            known = uses(read_description(beside, self.path.name)[0])
            if not (beside / self.path.name).exists():
                known.pop(self.path.name, None)
            return found + list_columns(beside, known)
        except (SessionError, StorageError) as error:
            return [*found, Column.unreadable("description", str(error), fault=True)]

    def _recording(self) -> Recording:
        beside, report = self._beside(), ImportReport()
        with self._opened() as file:
            description, told_by = read_description(beside, self.path.name)
            report.add("read", "files", f"CaImAn; arrays beside it told apart by {told_by}")
            estimates, name = file[ESTIMATES], self.options.estimate
            place = f"{self.path}: {ESTIMATES}/{name}"
            if not _is_array(estimates, name, 2):
                other = next((each for each in TRACES if each != name and _is_array(estimates, each, 2)), None)
                hint = "" if other is None else f"; take --estimate {other}"
                raise SessionError(f"{place}: expected traces (components, samples), found none{hint}")
            values = whole(estimates[name], place)
            report.add("read", "activity", f"{ESTIMATES}/{name}, {len(values)} components")
            if name != "S":
                report.add("assumed", "activity", "denoised traces, not deconvolved: slower than encoders are made for")
            chosen = self._accepted(estimates, len(values), report)
            description = _with_rate(description, _rate_hz(file), report)
            positions = None
            if description.coordinates is None:
                positions = _positions(file, len(values), f"{self.path}: {ESTIMATES}/A", description, report)
        reader = ArrayReader(beside, description, self.settings, report)
        return reader.recording(
            values[chosen],
            str(self.path.resolve()),
            chosen,
            len(values),
            positions=None if positions is None else positions[chosen],
        )

    def _opened(self) -> Any:
        h5py = optional_module("h5py", "nwb", f"{self.path}: a file in HDF5", SessionError)
        require_self_contained(self.path, "a file of CaImAn")
        with reading(self.path, StorageError, "a file of CaImAn"):
            file = h5py.File(self.path, "r")
            if ESTIMATES not in file:
                file.close()
                raise StorageError(f"{self.path}: expected CaImAn's results, found no group {ESTIMATES} in it")
        return file

    def _accepted(self, estimates: Any, components: int, report: ImportReport) -> np.ndarray:
        """(N,) rows of the accepted components."""
        if self.options.all_regions or not _is_array(estimates, ACCEPTED, 1):
            told = "as asked for" if self.options.all_regions else f"as {ACCEPTED} says nothing of them"
            report.add("assumed", "activity", f"all {components} components are taken, {told}")
            return np.arange(components)
        found = whole(estimates[ACCEPTED], f"{self.path}: {ACCEPTED}")
        if found.dtype.kind not in "iu" or not found.size or found.min() < 0 or found.max() >= components:
            raise SessionError(
                f"{self.path}: {ACCEPTED}: expected components from 0 to {components - 1}, found "
                f"{found.size or 'none'}; give --all-regions to take all"
            )
        rows = np.unique(found)
        if rows.size < components:
            report.add("dropped", "activity", f"{components - rows.size} of {components} components were not accepted")
        return rows


def _is_array(group: Any, name: str, axes: int) -> bool:
    """CaImAn writes what is not there as the text "NoneType"."""
    import h5py

    each = group.get(name)
    return isinstance(each, h5py.Dataset) and each.ndim == axes and each.dtype.kind in "fiu"


def _rate_hz(file: Any) -> float | None:
    import h5py

    each = file.get(RATE)
    if not isinstance(each, h5py.Dataset) or each.shape not in ((), (1,)) or each.dtype.kind not in "fiu":
        return None
    require_stored(each, f"{file.filename}: {RATE}")
    rate = float(np.ravel(each[()])[0])
    return rate if np.isfinite(rate) and rate > 0 else None


def _with_rate(description: Description, rate_hz: float | None, report: ImportReport) -> Description:
    part = description.activity
    if rate_hz is None or part.times is not None or part.rate_hz is not None:
        return description
    report.add("assumed", "activity", f"{rate_hz:g} Hz of {RATE}, as nothing beside the file tells the clock")
    return description.model_copy(update={"activity": part.model_copy(update={"rate_hz": rate_hz})})


def _positions(
    file: Any, components: int, source: str, description: Description, report: ImportReport
) -> np.ndarray | None:
    """(N, 3) centres of mass of the footprints; `A` is sparse, a column a component, pixels column by column."""
    import h5py

    parts = file[ESTIMATES].get("A")
    sizes = next((each for each in (file[ESTIMATES].get("dims"), file.get("dims")) if _is_shape(each)), None)
    stored = isinstance(parts, h5py.Group) and all(_is_array(parts, name, 1) for name in ("data", "indices", "indptr"))
    if sizes is None or not stored:
        report.add("dropped", "coordinates", f"no footprints ({ESTIMATES}/A) with the size of the picture (dims)")
        return None
    weights, pixels, ends = (whole(parts[name], source) for name in ("data", "indices", "indptr"))
    rows, columns = (int(size) for size in whole(sizes, source))
    if ends.dtype.kind not in "iu" or pixels.dtype.kind not in "iu":
        raise SessionError(f"{source}: expected whole numbers as places of footprints, found others")
    if ends.size != components + 1 or pixels.size != weights.size or (pixels.size and pixels.max() >= rows * columns):
        raise SessionError(
            f"{source}: expected footprints of {components} components in {rows} x {columns} pixels, found others"
        )
    centres = np.full((components, 3), 0.0)
    for number, (first, last) in enumerate(pairwise(ends)):
        share = np.abs(weights[first:last].astype(float))
        if not share.sum() > 0:
            report.add("dropped", "coordinates", f"component {number} has no footprint")
            return None
        where = pixels[first:last]
        centres[number, 0] = np.average(where // rows, weights=share)
        centres[number, 1] = np.average(where % rows, weights=share)
    scale = description.coordinate_scale_um
    report.add("assumed", "coordinates", f"centres of the footprints, at {scale:g} µm a pixel (coordinate_scale_um)")
    return centres * scale


def _is_shape(found: Any) -> bool:
    import h5py

    return isinstance(found, h5py.Dataset) and found.ndim == 1 and found.shape[0] == 2 and found.dtype.kind in "iu"
