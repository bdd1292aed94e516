"""What suite2p wrote down of its planes: rate, number, size of a pixel and positions, read without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.importing.description import MOST_PLANES, Description
from napari_vidrecon.sessions.importing.recording import ImportReport
from napari_vidrecon.storage import check_inside
from napari_vidrecon.storage.plain_arrays import read_objects

PIXEL_SIZES = ("um_per_pixel", "umperpix", "umPerPix", "um_per_pix", "pixel_size_um", "micronsPerPixel", "pixel_size")
"""Entries of `ops.npy` that labs add for the size of a pixel, µm."""
FASTEST_HZ = 1000.0
SAME_RATE = 0.02


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
    """

    rate_hz: float | None
    number: int
    count: int
    pixel_um: tuple[float, float] | None
    middles: np.ndarray | None
    faults: tuple[str, ...] = ()

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

        def objects(name: str, expected: str) -> list[Any]:
            try:
                check_inside(root, plane / name)
                return read_objects(plane / name, expected) if (plane / name).exists() else []
            except StorageError as error:
                faults.append(str(error))
                return []

        ops = next((each for each in objects("ops.npy", "suite2p's ops.npy") if isinstance(each, dict)), {})
        rate = _number(ops.get("fs"))
        number = int(plane.name[5:]) if plane.name[:5] == "plane" and plane.name[5:].isdecimal() else 0
        count = int(_number(ops.get("nplanes")) or planes)
        if ops.get("mesoscan") or not number < count <= MOST_PLANES:
            # Strips of a mesoscope are folders of planes, too, and do not follow each other.
            number, count = 0, 1
        sizes = [size for name in PIXEL_SIZES if (size := _pair(ops.get(name))) is not None]
        regions = objects("stat.npy", "suite2p's stat.npy")
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
        report.add("read", "activity", f"{rate:g} Hz, from ops.npy")
        return description.model_copy(update={"activity": part.model_copy(update={"rate_hz": rate})})
    if abs(part.rate_hz / rate - 1) > SAME_RATE:
        text = f"rate_hz is {part.rate_hz:g}, {part.rate_hz / rate:.4g} times the {rate:g} Hz of ops.npy"
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
        parts.append(np.column_stack([middle * scale, np.full(len(middle), float(fact.number))]))
    if told:
        size = f"{description.coordinate_scale_um:g} µm a pixel (coordinate_scale_um)"
    elif all(fact.pixel_um for fact in facts):
        size = "µm by the size of a pixel in ops.npy"
    else:
        size = "pixels, as nothing tells their size (coordinate_scale_um)"
    many = "; z is the number of the plane, as nothing tells its depth" if len(facts) > 1 else ""
    report.add("read", "coordinates", f"middles of the regions from stat.npy, {size}{many}")
    return np.concatenate(parts)
