"""What a size, a count or a rate of an encoder may be, and the frame windows of a clip that it sees at once."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

CHECKED = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No text for a number, no unknown entry, nothing that is not finite."""


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a filter needs a middle: its size must be odd")
    return size


Count = Annotated[int, Field(ge=1, le=1 << 20)]
"""Channels, features, neurons."""
Pixels = Annotated[int, Field(ge=1, le=4096)]
Colours = Annotated[int, Field(ge=1, le=4)]
Frames = Annotated[int, Field(ge=1, le=512)]
Taps = Annotated[int, Field(ge=1, le=255)]
"""Size of a filter."""
OddTaps = Annotated[Taps, AfterValidator(_odd)]
"""Size of a filter whose output is as large as its input."""
Stride = Annotated[int, Field(ge=1, le=64)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Deviation = Annotated[float, Field(ge=0, le=1e12)]
Neurons = Annotated[tuple[Count, ...], Field(min_length=1, max_length=1024)]
"""Of each mouse."""
MOST_LAYERS = 64
Counts = Annotated[tuple[Count, ...], Field(max_length=MOST_LAYERS)]
"""One for each layer."""
BEHAVIORS = 4
"""Pupil size, running, pupil x, pupil y."""
FourNumbers = Annotated[tuple[Number, ...], Field(min_length=BEHAVIORS, max_length=BEHAVIORS)]
FourDeviations = Annotated[tuple[Deviation, ...], Field(min_length=BEHAVIORS, max_length=BEHAVIORS)]
EightNumbersEach = Annotated[tuple[Number, ...], Field(max_length=2 * BEHAVIORS * 1024)]
"""Of each mouse in turn the means of its behaviour, then the deviations; empty where all are measured alike."""


@dataclass(frozen=True, config=CHECKED)
class FrameWindows:
    """Windows of `size` frames, `step` frames apart (Baikulov 2023: 16 frames, every second one).

    Parameters
    ----------
    size
        Frames an encoder takes at once.
    step
        Distance between them, in frames of the clip.
    """

    size: Frames = 16
    step: Frames = 2

    @property
    def span(self) -> int:
        """Frames of the clip from the first to the last frame of a window, both counted (31)."""
        return (self.size - 1) * self.step + 1

    @property
    def sub_batch_frames(self) -> int:
        """Length of clip that `step` interleaved windows cover exactly once (32)."""
        return self.size * self.step

    def starts(self, frames: int) -> np.ndarray:
        """First frames of every window that fits into a clip of `frames` frames; empty if none does."""
        return np.arange(max(frames - self.span + 1, 0))

    def indices(self, starts: np.ndarray) -> np.ndarray:
        """Frames of the windows that start at `starts`: (len(starts), size)."""
        return np.asarray(starts)[:, None] + self.step * np.arange(self.size)[None, :]

    def coverage(self, frames: int) -> np.ndarray:
        """In how many windows each of `frames` frames stands."""
        counts = np.zeros(frames, dtype=np.int64)
        np.add.at(counts, self.indices(self.starts(frames)), 1)
        return counts
