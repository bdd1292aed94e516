"""Bright and dark patches on grey: one after the other over the screen, to map receptive fields, or a single one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry

GREY_LEVEL = 127.5
ON_LEVEL, OFF_LEVEL = 255.0, 0.0


@dataclass(frozen=True)
class OnOffPatches:
    """A grid of patches that covers the screen; clips are made one by one, never all at once.

    Parameters
    ----------
    patch_px
        Side of a patch, px; 1 as published. The last row and column of patches may be cut by the edge.
    before, shown, after
        Frames of grey, of the patch, and of grey again.
    screen
        What it is shown on.

    References
    ----------
    Bauer et al. 2026, Fig. 1-S3 A-C.
    """

    patch_px: int = 1
    before: int = 15
    shown: int = 15
    after: int = 15
    screen: ScreenGeometry = USUAL_SCREEN

    @property
    def rows(self) -> int:
        """Rows of patches."""
        return -(-self.screen.rows // self.patch_px)

    @property
    def columns(self) -> int:
        """Columns of patches."""
        return -(-self.screen.cols // self.patch_px)

    @property
    def frames(self) -> int:
        """Length of a clip."""
        return self.before + self.shown + self.after

    def __len__(self) -> int:
        return self.rows * self.columns

    def pixels(self, place: int) -> tuple[slice, slice]:
        """Rows and columns of the screen that patch `place` covers; places run along the rows of patches."""
        row, column = divmod(place, self.columns)
        top, left = row * self.patch_px, column * self.patch_px
        screen = self.screen
        return slice(top, min(top + self.patch_px, screen.rows)), slice(left, min(left + self.patch_px, screen.cols))

    def video(self, place: int, level: float) -> np.ndarray:
        """The clip of one patch: grey, the patch, grey.

        Parameters
        ----------
        place
            0 .. len - 1.
        level
            Grey level of the patch: `ON_LEVEL` or `OFF_LEVEL`.

        Returns
        -------
        np.ndarray
            (frames, rows, columns) float32, grey levels.
        """
        screen = self.screen
        clip = np.full((self.frames, screen.rows, screen.cols), GREY_LEVEL, np.float32)
        clip[(slice(self.before, self.before + self.shown), *self.pixels(place))] = level
        return clip

    def on_screen(self, values: np.ndarray) -> np.ndarray:
        """Spread values a patch over its pixels: (..., rows, columns) to (..., rows, columns) of the screen."""
        screen = self.screen
        spread = values.repeat(self.patch_px, axis=-2).repeat(self.patch_px, axis=-1)
        return spread[..., : screen.rows, : screen.cols]


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
    screen
        What it is shown on.

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
    screen: ScreenGeometry = USUAL_SCREEN

    def __post_init__(self) -> None:
        screen = self.screen
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
        """(frames, rows, columns) float32: grey 127.5, and 255 or 0 in the patch."""
        screen = self.screen
        clip = np.full((self.frames, screen.rows, screen.cols), GREY_LEVEL, np.float32)
        rows = slice(self.top_px, self.top_px + self.side_px)
        columns = slice(self.left_px, self.left_px + self.side_px)
        clip[self.before : self.before + self.shown, rows, columns] = ON_LEVEL if self.bright else OFF_LEVEL
        return clip
