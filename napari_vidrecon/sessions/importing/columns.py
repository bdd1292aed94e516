"""`Column`: one array found among raw files, and what it would be used for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from napari_vidrecon.sessions.importing.stimuli import Pixels, value_range

NOT_USED = "not used"
READ_WHOLE_BYTES = 64 << 20
"""Of larger arrays a preview reads a sample."""


@dataclass(frozen=True)
class Column:
    """One array found among raw files.

    Parameters
    ----------
    name
        The file, or the place in a file.
    shape, dtype
        Of the array; the shape is empty for what cannot be read as one.
    rate_hz
        Samples a second, or None if it is no clocked signal or the clock is not told.
    lowest, highest
        Range of its values; None for no numbers.
    use
        What it would be used for, or why not.
    fault
        It keeps the files from being imported as they are.
    sampled
        The range is that of a sample of its rows.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rate_hz: float | None
    lowest: float | None
    highest: float | None
    use: str = NOT_USED
    fault: bool = False
    sampled: bool = False

    @classmethod
    def of(cls, name: str, array: Pixels, use: str = NOT_USED, rate_hz: float | None = None) -> Column:
        """The column of an array; of a large one only a sample of its values is read.

        Parameters
        ----------
        name
            For people.
        array
            Anything with a shape and a type that can be read in parts.
        use
            What it will be used for.
        rate_hz
            Samples a second, where known.

        Returns
        -------
        Column
            With the range of all values, or of those sampled.
        """
        lowest, highest, sampled = (None, None, False)
        shape = tuple(int(size) for size in array.shape)
        if array.dtype.kind in "fiub" and shape and 0 not in shape:
            sampled = math.prod(shape) * array.dtype.itemsize > READ_WHOLE_BYTES
            found = value_range(array) if sampled else _whole_range(array)
            lowest, highest = (value if np.isfinite(value) else None for value in found)
        return cls(name, shape, str(array.dtype), rate_hz, lowest, highest, use, sampled=sampled)

    @classmethod
    def unreadable(cls, name: str, why: str, *, fault: bool = False) -> Column:
        """The column of a file that is not opened, or of what is missing.

        Parameters
        ----------
        name
            For people.
        why
            It is not opened.
        fault
            It is needed: without it nothing can be imported.

        Returns
        -------
        Column
            Without a shape.
        """
        return cls(name, (), "-", None, None, None, why, fault)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.shape)) or "-"
        rate = "" if self.rate_hz is None else f", {self.rate_hz:.4g} Hz"
        where = " in a sample of its rows" if self.sampled else ""
        span = "" if self.lowest is None else f", {self.lowest:.4g} to {self.highest:.4g}{where}"
        return f"{shape} {self.dtype}{rate}{span}: {self.use}"


def _whole_range(array: Pixels) -> tuple[float, float]:
    """Lowest and highest finite value."""
    values = np.asarray(array[:])
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (float("nan"), float("nan"))


def used(columns: Iterable[Column]) -> list[Column]:
    """Those with a use."""
    return [column for column in columns if column.use != NOT_USED]
