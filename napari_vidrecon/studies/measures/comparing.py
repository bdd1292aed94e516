"""Tests over mice that several studies share, with the same over clips where one mouse is all there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.statistics import TestResult

if TYPE_CHECKING:
    import pandas as pd

MOUSE_UNIT, CLIP_UNIT = ("mouse",), ("mouse", "clip")


def level_tests(table: pd.DataFrame, level: str, value: str, what: str, *, mixed: bool = True) -> list[TestResult]:
    """ANOVA over levels and consecutive t-tests, as for Fig. 3 and 5, and a mixed model over all clips.

    The paper's unit is the mouse. With one mouse these tests say what they need, and the same tests over clips are
    given beside them.

    Parameters
    ----------
    table
        One row a mouse, clip and level.
    level, value
        Columns.
    what
        What the levels are, e.g. "encoders averaged".
    mixed
        Also fit value over log2(level) with an intercept of each mouse.

    Returns
    -------
    list[TestResult]
        For each unit ANOVA, then t-tests.
    """
    results = []
    for unit in _units(table):
        values, levels = statistics.by_unit(table, list(unit), level, value)
        size = counts(table, unit)
        results.append(statistics.repeated_measures_anova(values, what, **size))
        names = [f"{each:g}" if isinstance(each, (int, float)) else str(each) for each in levels]
        results += statistics.consecutive_paired_t(values, names, what, **size)
    if mixed:
        results.append(
            statistics.mixed_model(
                table[value],
                np.log2(table[level]),
                list(table["mouse"]),
                f"slope a doubling: {what}",
                **counts(table, MOUSE_UNIT),
            )
        )
    return results


def pair_tests(table: pd.DataFrame, level: str, value: str, first: str, second: str) -> list[TestResult]:
    """Paired t-test of two levels over mice, as for Fig. 1-S2; over clips too, where there is one mouse.

    Parameters
    ----------
    table
        One row a mouse, clip and level.
    level
        Column of the levels.
    value
        Column that is compared.
    first, second
        The levels.

    Returns
    -------
    list[TestResult]
        One for each unit.
    """
    part = table[table[level].isin([first, second])]
    results = []
    for unit in _units(part):
        wide = part.pivot_table(index=list(unit), columns=level, values=value, aggfunc="mean", observed=True)
        means = wide.mean()
        # A Poisson loss may be negative: a change upwards stays one.
        change = 100 * (means[second] - means[first]) / abs(means[first]) if means[first] else float("nan")
        compared = f"{value.replace('_', ' ')}: {first} against {second} ({change:+.2f} %)"
        results.append(statistics.paired_t(wide[first], wide[second], compared, **counts(part, unit)))
    return results


def monotone(means: ArrayLike) -> bool:
    """Whether every mean is above the one before."""
    return bool((np.diff(np.asarray(means, dtype=float)) > 0).all())


def _units(table: pd.DataFrame) -> list[Sequence[str]]:
    return [MOUSE_UNIT] if table["mouse"].nunique() > 1 else [MOUSE_UNIT, CLIP_UNIT]


def counts(table: pd.DataFrame, unit: Sequence[str]) -> dict[str, Any]:
    """Mice, clips and unit of a test over the rows of a table, as `TestResult` names them."""
    return {
        "mice": int(table["mouse"].nunique()),
        "clips": len(table[["mouse", "clip"]].drop_duplicates()),
        "unit": unit[-1],
    }


def counted(table: pd.DataFrame) -> str:
    """How many clips of how many mice a table holds, in words."""
    size = counts(table, CLIP_UNIT)
    mice, clips = size["mice"], size["clips"]
    return f"{clips} clip{'' if clips == 1 else 's'} of {mice} {'mouse' if mice == 1 else 'mice'}"
