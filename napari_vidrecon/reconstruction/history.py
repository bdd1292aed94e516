"""What happened step by step: columns of numbers that grow with a run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import optional_module

if TYPE_CHECKING:
    import pandas

TRACKED_COLUMNS = ("video_correlation", "rmse", "response_loss", "response_correlation")
LAST_STEP = 2**31 - 1
"""What any counter takes."""
UNITS = {"rmse": "grey_levels"}
"""Of columns whose name does not say it."""


@dataclass(frozen=True)
class StepInfo:
    """What one step did.

    Parameters
    ----------
    step
        Steps done, 1 .. steps.
    steps
        Steps to do.
    loss
        Mean loss over sub-batches (and encoders) before the update; of held-out neurons where there are some.
    seconds
        Time of this step.
    tracked
        What was measured at this step, or None.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> info = vr.StepInfo(step=3, steps=10, loss=0.5, seconds=0.2)
    >>> info.step < info.steps
    True
    """

    step: int
    steps: int
    loss: float
    seconds: float
    tracked: dict[str, float] | None = None


def with_unit(name: str) -> str:
    """Name of a column, with its unit where the name does not say it."""
    return f"{name}_{UNITS[name]}" if name in UNITS else name


class History:
    """Columns of one value a step: step, loss, seconds, and what was tracked (NaN where it was not).

    Parameters
    ----------
    columns
        Name to values, all of one length.
    """

    def __init__(self, columns: dict[str, list[float]] | None = None) -> None:
        names = ("step", "loss", "seconds", *TRACKED_COLUMNS)
        self._columns = {name: list((columns or {}).get(name, [])) for name in names}

    @classmethod
    def of_file(cls, columns: Mapping[str, list[Any]]) -> History:
        """The history that a file tells; null is NaN, and a column that is not there was not measured.

        Parameters
        ----------
        columns
            Name to values, from outside.

        Returns
        -------
        History
            With a value for each step in every column.

        Raises
        ------
        ValueError
            Columns of different lengths, no numbers, or steps that do not go up.
        """
        steps = columns.get("step")
        if steps is None:
            raise ValueError("expected history.step, found none of it")
        known: dict[str, list[float]] = {}
        for name in cls().names:
            values = columns.get(name, [None] * len(steps))
            if len(values) != len(steps):
                raise ValueError(f"expected history.{name} of {len(steps)} steps, found {len(values)}")
            if any(value is not None and type(value) not in (int, float) for value in values):
                raise ValueError(f"expected numbers in history.{name}, found something else")
            try:
                known[name] = [math.nan if value is None else float(value) for value in values]
            except OverflowError:
                raise ValueError(f"expected numbers in history.{name}, found one that is far too large") from None
        done = known["step"]
        whole = all(0 < step <= LAST_STEP and step.is_integer() for step in done)
        if not whole or any(later <= earlier for earlier, later in itertools.pairwise(done)):
            raise ValueError("expected history.step to go up from 1, found other numbers")
        return cls(known)

    def __len__(self) -> int:
        return len(self._columns["step"])

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._columns[name], dtype=np.float64)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names."""
        return tuple(self._columns)

    def append(self, info: StepInfo) -> None:
        """Add one step."""
        self._columns["step"].append(float(info.step))
        self._columns["loss"].append(info.loss)
        self._columns["seconds"].append(info.seconds)
        for name in TRACKED_COLUMNS:
            self._columns[name].append((info.tracked or {}).get(name, float("nan")))

    def tracked(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps at which a column was measured, and the values."""
        values, steps = self[name], self["step"]
        measured = ~np.isnan(values)
        return steps[measured], values[measured]

    def last(self, name: str) -> float:
        """The newest measured value; NaN before the first."""
        values = self.tracked(name)[1]
        return float(values[-1]) if len(values) else float("nan")

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists."""
        return {name: list(values) for name, values in self._columns.items()}

    def table(self) -> dict[str, np.ndarray]:
        """Columns by their name and unit, as tables are written: step in whole numbers, NaN where none was measured."""
        columns = {with_unit(name): self[name] for name in self.names}
        return {**columns, "step": self["step"].astype(np.int64)}

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a step, with the columns of `table`.

        Returns
        -------
        pandas.DataFrame
            NaN where nothing was measured.

        Raises
        ------
        ConfigError
            pandas is not installed.
        """
        return optional_module("pandas", "studies", "a history as a data frame").DataFrame(self.table())

    def filled(self, name: str, watched: dict[int, float]) -> History:
        """The same, with values for steps at which a column was not measured.

        Parameters
        ----------
        name
            Of the column.
        watched
            Step to value.

        Returns
        -------
        History
            What was measured stays.
        """
        columns = self.as_dict()
        pairs = zip(columns["step"], columns[name], strict=True)
        columns[name] = [watched.get(int(step), value) if math.isnan(value) else value for step, value in pairs]
        return History(columns)

    def cut(self, steps: int) -> History:
        """The first `steps` rows."""
        return History({name: values[:steps] for name, values in self._columns.items()})
