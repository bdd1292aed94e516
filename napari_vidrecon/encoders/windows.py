"""Frame windows: which frames of a clip an encoder sees at once."""

from __future__ import annotations

import numpy as np
from pydantic.dataclasses import dataclass

from napari_vidrecon.encoders.sizes import CHECKED, Frames


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
