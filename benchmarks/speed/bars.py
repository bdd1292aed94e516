"""What the package has to reach, and what it aims at, on two CPU cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.speed.lines import ratio


@dataclass(frozen=True)
class Bar:
    """One figure that is asked for.

    Parameters
    ----------
    what
        For people.
    section, key, value
        Which row of the results: the one of `section` whose `key` is `value`.
    figure
        Which of its figures; where several rows fit, the worst counts.
    at_least, aim
        What is asked for; of an error, the largest allowed.
    """

    what: str
    section: str
    key: str
    value: str
    figure: str
    at_least: float
    aim: float

    @property
    def is_error(self) -> bool:
        """Whether less is better."""
        return self.figure.endswith("error")

    def measured(self, results: Mapping[str, Any]) -> float | None:
        """The figure, or None if it was not measured."""
        found = [row[self.figure] for row in results.get(self.section, []) if row.get(self.key) == self.value]
        return (max if self.is_error else min)(found) if found else None

    def number(self, value: float) -> str:
        """A value of this figure as text."""
        return f"{value:.1e}" if self.is_error else ratio(value)


def verdict(bar: Bar, found: float) -> str:
    """In words how a measured figure stands to its bar."""
    for wanted, word in ((bar.aim, "aim reached"), (bar.at_least, "reached")):
        if found <= wanted if bar.is_error else found >= wanted:
            return word
    return "**missed**"


BARS = (
    Bar("optimisation step, small DwiseNeuro, 300 frames", "timings", "case", "step-small", "ratio", 4.0, 6.0),
    Bar("optimisation step, published size, 36 frames", "timings", "case", "step-large", "ratio", 4.0, 6.0),
    Bar("prediction of a clip, published size", "timings", "case", "prediction-large", "ratio", 2.2, 4.0),
    Bar("`fast` beside `paper`: windows to the same quality", "quality", "preset", "fast", "windows_ratio", 3.0, 10.0),
    Bar("the same in time (median clip)", "quality", "preset", "fast", "seconds_ratio_median", 3.0, 10.0),
    Bar("ensemble of 5 beside 5 single runs", "timings", "case", "ensemble-5", "ratio", 1.0, 1.5),
    Bar("gradients, float32", "gradients", "precision", "float32", "gradient_error", 1e-4, 1e-4),
    Bar("gradients, float64", "gradients", "precision", "float64", "gradient_error", 1e-12, 1e-12),
)
