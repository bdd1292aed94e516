"""Which sub-batches of a clip a step looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import RandomOffset
from napari_vidrecon.reconstruction.config import ReconstructionConfig


@dataclass(frozen=True)
class SubBatches:
    """First frames of the sub-batches of a step, and how often each counts in the mean.

    Parameters
    ----------
    starts
        (K,) first frames.
    weights
        (K,) how often each counts.
    """

    starts: np.ndarray
    weights: np.ndarray


class Schedule(Protocol):
    """Names the sub-batches of every step."""

    def at(self, step: int) -> SubBatches:
        """Sub-batches of step `step` (0, 1, ...)."""


class SlidingSchedule:
    """The same overlapping sub-batches every step: 0, stride, 2 stride, ..., and the last that fits.

    The published code computes K = 2 + floor((T - 32) / 8) sub-batches and so repeats the last one where
    the stride fits exactly; here it is computed once and counts twice (docs/method.md 4, Q21).

    Parameters
    ----------
    frames
        Length of the clip, T.
    length
        Frames of a sub-batch.
    stride
        Frames between two starts.
    duplicate_last
        Count the last one twice where the stride fits exactly (Q21).
    """

    def __init__(self, frames: int, length: int, stride: int, duplicate_last: bool) -> None:
        last = frames - length
        starts = np.append(np.arange(0, last + 1, stride), last)
        unique, counts = np.unique(starts, return_counts=True)
        weights = counts if duplicate_last else np.ones_like(counts)
        self._sub_batches = SubBatches(unique, weights.astype(np.float64))

    def at(self, step: int) -> SubBatches:
        return self._sub_batches


class RandomOffsetSchedule:
    """Sub-batches a stride apart, shifted by a random offset each step; both ends are always covered.

    Parameters
    ----------
    frames
        Length of the clip, T.
    length
        Frames of a sub-batch.
    stride
        Frames between two starts.
    seed
        Of the offsets, >= 0.
    """

    def __init__(self, frames: int, length: int, stride: int, seed: int) -> None:
        self.last, self.stride, self.seed = frames - length, stride, seed

    def at(self, step: int) -> SubBatches:
        # The offset is a function of seed and step, so a resumed run repeats it.
        offset = int(np.random.default_rng([self.seed, step]).integers(0, min(self.stride, self.last + 1)))
        starts = np.unique(np.concatenate([[0], np.arange(offset, self.last + 1, self.stride), [self.last]]))
        return SubBatches(starts, np.ones(len(starts)))


def build_schedule(config: ReconstructionConfig, frames: int, length: int) -> Schedule:
    """The schedule a configuration names.

    Parameters
    ----------
    config
        Names the schedule, its stride and its seed.
    frames
        Length of the clip, T.
    length
        Frames of a sub-batch.

    Returns
    -------
    Schedule
        Says which sub-batches a step looks at.

    Raises
    ------
    ConfigError
        The clip is shorter than one sub-batch.
    """
    if frames < length:
        raise ConfigError(f"clip of {frames} frames: expected at least {length}; choose a longer clip")
    if isinstance(config.schedule, RandomOffset):
        return RandomOffsetSchedule(frames, length, config.schedule.stride, config.seed)
    return SlidingSchedule(frames, length, config.schedule.stride, config.schedule.duplicate_last)
