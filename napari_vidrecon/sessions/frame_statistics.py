"""Per-frame statistics over the trials of a session, gathered one trial at a time."""

from __future__ import annotations

import numpy as np

MEDIAN_TRIALS = 15


class FrameStatistics:
    """Mean, standard deviation, minimum, maximum and (sampled) median of each channel at each frame.

    The median is taken over at most 15 trials, drawn evenly from all that were added: the exact one would need the
    whole session in memory.

    Parameters
    ----------
    frames
        Columns of the statistics; those that no clip reaches are NaN.
    """

    def __init__(self, frames: int) -> None:
        self._count = np.zeros(frames, dtype=np.int32)
        self._mean: np.ndarray | None = None
        self._trials = 0
        self._sample: list[np.ndarray] = []
        self._draw = np.random.default_rng(0)

    def add(self, clip: np.ndarray) -> None:
        """Take in one trial.

        Parameters
        ----------
        clip
            (..., T) finite numbers, T at most the statistics' frames; the leading axes are the same for all clips.
        """
        shape = (*clip.shape[:-1], len(self._count))
        if self._mean is None:
            self._mean, self._squares = np.zeros(shape), np.zeros(shape)
            self._min, self._max = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
        reached = np.s_[..., : clip.shape[-1]]
        self._count[reached] += 1
        # Welford's update: sums of squares of large values would lose the small variances.
        deviation = clip - self._mean[reached]
        self._mean[reached] += deviation / self._count[reached]
        self._squares[reached] += deviation * (clip - self._mean[reached])
        self._min[reached] = np.minimum(self._min[reached], clip)
        self._max[reached] = np.maximum(self._max[reached], clip)
        self._keep_for_median(clip)
        self._trials += 1

    def _keep_for_median(self, clip: np.ndarray) -> None:
        if len(self._sample) < MEDIAN_TRIALS:
            self._sample.append(clip.copy())
            return
        slot = int(self._draw.integers(self._trials + 1))
        if slot < MEDIAN_TRIALS:
            self._sample[slot] = clip.copy()

    def summary(self) -> dict[str, np.ndarray]:
        """Arrays (..., frames) float32 by name; an empty dictionary if nothing was added."""
        if self._mean is None:
            return {}
        found = {
            "mean": self._mean,
            "std": np.sqrt(self._squares / np.maximum(self._count, 1)),
            "min": self._min,
            "max": self._max,
            "median": self._median(),
        }
        return {name: np.where(self._count > 0, values, np.nan).astype(np.float32) for name, values in found.items()}

    def _median(self) -> np.ndarray:
        lengths = np.array([clip.shape[-1] for clip in self._sample])
        longest = int(lengths.max())
        clips = np.full((len(self._sample), *self._min.shape[:-1], longest), np.inf, dtype=np.float32)
        for row, clip in zip(clips, self._sample, strict=True):
            row[..., : clip.shape[-1]] = clip
        # Frames beyond a clip's end sort behind all that it has: the middle is that of the clips which reach them.
        clips.sort(axis=0)
        median = np.full(self._min.shape, np.nan, dtype=np.float32)
        reaching = (lengths[:, None] > np.arange(longest)).sum(axis=0)
        for many in np.unique(reaching):
            columns = np.flatnonzero(reaching == many)
            middle = clips[(many - 1) // 2][..., columns], clips[many // 2][..., columns]
            median[..., columns] = (middle[0] + middle[1]) / 2
        return median
