"""Drifting square-wave gratings over the whole screen (Bauer et al. 2026, Fig. 4, first supplement)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

Direction = Literal["right", "up", "down", "left"]
DIRECTIONS: tuple[Direction, ...] = ("right", "up", "down", "left")
BLACK_LEVEL, WHITE_LEVEL = 0.0, 255.0


@dataclass(frozen=True)
class DriftingGrating:
    """Black and white stripes of full contrast that move at a constant speed.

    Parameters
    ----------
    cycles_per_px
        Spatial frequency, > 0.
    cycles_per_s
        Temporal frequency at 30 frames a second, >= 0.
    direction
        Where the stripes move to.
    phase
        Of the first frame, in cycles. The published phases could not be recovered; 0 is used.
    frames
        Length.

    References
    ----------
    Bauer et al. 2026, Fig. 4-S1.
    """

    cycles_per_px: float
    cycles_per_s: float
    direction: Direction = "right"
    phase: float = 0.0
    frames: int = 60

    @property
    def name(self) -> str:
        """For titles and file names."""
        return f"grating {self.cycles_per_px:g} cycles/px, {self.cycles_per_s:g} cycles/s, {self.direction}"

    def video(self) -> np.ndarray:
        """(frames, 36, 64) float32 of 0 and 255."""
        screen = ScreenGeometry()
        rows, columns = np.mgrid[: screen.rows, : screen.cols]
        along = {"right": columns, "left": -columns, "down": rows, "up": -rows}[self.direction]
        drift = self.cycles_per_s / FRAME_RATE_HZ * np.arange(self.frames)
        cycles = self.cycles_per_px * along + self.phase - drift[:, np.newaxis, np.newaxis]
        # Counting half cycles is exact for the frequencies of the paper, where a sine would fall on its zeros.
        white = np.floor(2 * cycles) % 2 == 0
        return np.where(white, WHITE_LEVEL, BLACK_LEVEL).astype(np.float32)
