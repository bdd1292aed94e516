"""`Column`: one array found among raw files, and what it would be used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from napari_vidrecon.sessions.importing.stimuli import Pixels, value_range

NOT_USED = "not used"


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
        Range of a sample of its values; None for no numbers.
    use
        What it would be used for, or why not.
    fault
        It keeps the files from being imported as they are.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rate_hz: float | None
    lowest: float | None
    highest: float | None
    use: str = NOT_USED
    fault: bool = False

    @classmethod
    def of(cls, name: str, array: Pixels, use: str = NOT_USED, rate_hz: float | None = None) -> Column:
        """The column of an array; only a sample of its values is read.

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
            With the range of the values sampled.
        """
        lowest, highest = (None, None)
        if array.dtype.kind in "fiub" and len(array.shape) and 0 not in array.shape:
            found = value_range(array)
            lowest, highest = (value if np.isfinite(value) else None for value in found)
        shape = tuple(int(size) for size in array.shape)
        return cls(name, shape, str(array.dtype), rate_hz, lowest, highest, use)

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
        span = "" if self.lowest is None else f", {self.lowest:.4g} to {self.highest:.4g}"
        return f"{shape} {self.dtype}{rate}{span}: {self.use}"


def used(columns: Iterable[Column]) -> list[Column]:
    """Those with a use."""
    return [column for column in columns if column.use != NOT_USED]
