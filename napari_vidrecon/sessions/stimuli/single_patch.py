"""One bright or dark patch on grey, anywhere on the screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.stimuli.on_off_patches import GREY_LEVEL, OFF_LEVEL, ON_LEVEL


@dataclass(frozen=True)
class SinglePatch:
    """A square patch that appears and goes again, like those receptive fields are mapped with.

    Parameters
    ----------
    top_px, left_px
        Its upper left pixel, rows and columns of the screen from 0.
    side_px
        Its side; what would lie beyond the screen is left out.
    bright
        White, or black.
    before, shown, after
        Frames of grey, of the patch, and of grey again.

    Raises
    ------
    ConfigError
        No pixel of it lies on the screen.
    """

    top_px: int
    left_px: int
    side_px: int = 6
    bright: bool = True
    before: int = 15
    shown: int = 15
    after: int = 15

    def __post_init__(self) -> None:
        screen = ScreenGeometry()
        if not (0 <= self.top_px < screen.rows and 0 <= self.left_px < screen.cols and self.side_px > 0):
            raise ConfigError(
                f"patch: expected it on the screen of {screen.rows} x {screen.cols} pixels, "
                f"found row {self.top_px}, column {self.left_px}, side {self.side_px}"
            )

    @property
    def name(self) -> str:
        """For titles and file names."""
        level = "bright" if self.bright else "dark"
        return f"{level} patch of {self.side_px} px at row {self.top_px}, column {self.left_px}"

    @property
    def frames(self) -> int:
        """Length."""
        return self.before + self.shown + self.after

    def video(self) -> np.ndarray:
        """(frames, 36, 64) float32: grey 127.5, and 255 or 0 in the patch."""
        screen = ScreenGeometry()
        clip = np.full((self.frames, screen.rows, screen.cols), GREY_LEVEL, np.float32)
        rows = slice(self.top_px, self.top_px + self.side_px)
        columns = slice(self.left_px, self.left_px + self.side_px)
        clip[self.before : self.before + self.shown, rows, columns] = ON_LEVEL if self.bright else OFF_LEVEL
        return clip
