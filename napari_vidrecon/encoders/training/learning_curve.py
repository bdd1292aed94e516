"""The learning curve: what every step said."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch

from napari_vidrecon.storage import replacing_file

COLUMNS = ("step", "loss", "learning_rate", "validation_correlation")


class LearningCurve:
    """Loss and learning rate of every step, and the validation correlation where there was one.

    Attributes
    ----------
    rows
        [step, loss, learning rate, validation correlation or NaN], one list a step.
    """

    def __init__(self) -> None:
        self.rows: list[list[float]] = []

    def add(self, step: int, loss: float, learning_rate: float) -> None:
        """A step is done; steps are counted from 1 here."""
        self.rows.append([float(step), loss, learning_rate, math.nan])

    def score(self, correlation: float) -> None:
        """The encoder after the last step was scored."""
        if self.rows:
            self.rows[-1][3] = correlation

    @property
    def scores(self) -> list[float]:
        """All validation correlations so far."""
        return [row[3] for row in self.rows if not math.isnan(row[3])]

    def scores_since_best(self) -> int:
        """Scores after the best one; 0 where the last is the best, or there is none."""
        scores = self.scores
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def as_tensor(self) -> torch.Tensor:
        """All rows, (steps, 4) float64."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(COLUMNS))

    @classmethod
    def from_tensor(cls, rows: torch.Tensor) -> LearningCurve:
        """The curve of `as_tensor`.

        Parameters
        ----------
        rows
            (steps, 4), from a file.

        Raises
        ------
        ValueError
            It has other columns, or steps that are none.
        """
        if rows.ndim != 2 or rows.shape[1] != len(COLUMNS) or not rows.is_floating_point():
            raise ValueError("a learning curve of other columns")
        if not bool(rows[:, 0].isfinite().all()):
            raise ValueError("a learning curve whose steps are no numbers")
        curve = cls()
        curve.rows = rows.cpu().tolist()
        return curve

    def write(self, path: Path | str) -> None:
        """Write a CSV table; steps without a score leave the last column empty."""
        with replacing_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for step, loss, rate, score in self.rows:
                table.writerow([int(step), f"{loss:.8g}", f"{rate:.8g}", "" if math.isnan(score) else f"{score:.6f}"])


def curve_path(encoder: Path | str) -> Path:
    """Where the curve of an encoder file lies: encoder.curve.csv beside encoder.safetensors."""
    return Path(encoder).with_suffix(".curve.csv")
