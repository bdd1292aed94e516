"""Per-frame statistics over the trials of a session, gathered one trial at a time."""

from __future__ import annotations

import warnings

import numpy as np

MEDIAN_TRIALS = 15


class FrameStatistics:
    """Mean, standard deviation, minimum, maximum and (sampled) median of each channel at each frame.

    The median is taken over at most 15 trials, drawn evenly from all that were added: the exact one would need
    the whole session in memory.
    """

    def __init__(self) -> None:
        self._count: np.ndarray | None = None
        self._trials = 0
        self._sample: list[np.ndarray] = []
        self._draw = np.random.default_rng(0)

    def add(self, trial: np.ndarray) -> None:
        """Take in one trial.

        Parameters
        ----------
        trial : (..., frames) float; NaN means "no data" and is not counted.
        """
        present = ~np.isnan(trial)
        values = np.where(present, trial, 0.0).astype(np.float64)
        if self._count is None:
            self._count = np.zeros(trial.shape, dtype=np.int32)
            self._mean = np.zeros(trial.shape)
            self._squares = np.zeros(trial.shape)
            self._min = np.full(trial.shape, np.inf, dtype=np.float32)
            self._max = np.full(trial.shape, -np.inf, dtype=np.float32)
        self._count += present
        # Welford's update: sums of squares of large values would lose the small variances.
        deviation = np.where(present, values - self._mean, 0.0)
        self._mean += deviation / np.maximum(self._count, 1)
        self._squares += deviation * np.where(present, values - self._mean, 0.0)
        self._min = np.fmin(self._min, trial)
        self._max = np.fmax(self._max, trial)
        self._keep_for_median(trial)
        self._trials += 1

    def _keep_for_median(self, trial: np.ndarray) -> None:
        if len(self._sample) < MEDIAN_TRIALS:
            self._sample.append(trial.copy())
            return
        slot = int(self._draw.integers(self._trials + 1))
        if slot < MEDIAN_TRIALS:
            self._sample[slot] = trial.copy()

    def summary(self) -> dict[str, np.ndarray]:
        """Float32 arrays of the trials' shape, by name; NaN where no trial had data. Empty if nothing was added."""
        if self._count is None:
            return {}
        seen = self._count > 0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
            median = np.nanmedian(np.stack(self._sample), axis=0)
        found = {
            "mean": self._mean,
            "std": np.sqrt(self._squares / np.maximum(self._count, 1)),
            "min": self._min,
            "max": self._max,
            "median": median,
        }
        return {name: np.where(seen, values, np.nan).astype(np.float32) for name, values in found.items()}
