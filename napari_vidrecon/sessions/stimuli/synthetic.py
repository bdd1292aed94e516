"""Movies that are drawn: Gaussian noise and drifting gratings (Bauer et al. 2026, Fig. 4), bright and dark patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

PATCH_PX = 36
LEFT_PX, RIGHT_PX = 11, 17
OUTSIDE_LEVEL = 125.0
MEAN_LEVEL, SD_LEVEL = 127.5, 51.0
WHITE_LEVEL = 255.0
TRUNCATE_SIGMAS = 4.0


@dataclass(frozen=True)
class GaussianNoise:
    """White Gaussian noise, blurred in space and time, in a patch of 36 x 36 pixels around the masks.

    The covariance falls with distance d as exp(-d² / (2 l²)) along every axis, l being the length constant. This
    is the published formatting with a generator of our own: the published movies themselves could not be had.

    Parameters
    ----------
    spatial_px
        Length constant in space, pixels, >= 0.
    temporal_frames
        Length constant in time, frames, >= 0.
    seed
        Which of the repetitions.
    inverted
        Every grey level v becomes 255 - v.
    frames
        Length.
    screen
        What it is shown on; on the usual one the noise is in the published patch, on others it fills all of it.

    References
    ----------
    Bauer et al. 2026, Fig. 4.
    """

    spatial_px: float
    temporal_frames: float
    seed: int = 0
    inverted: bool = False
    frames: int = 60
    screen: ScreenGeometry = USUAL_SCREEN

    @property
    def name(self) -> str:
        """For titles and file names."""
        phase = ", inverted" if self.inverted else ""
        return f"noise {self.spatial_px:g} px, {self.temporal_frames:g} frames, seed {self.seed}{phase}"

    def video(self) -> np.ndarray:
        """(frames, rows, columns) float32, 0..255; 125 beside the patch before the last scaling."""
        padded = MEAN_LEVEL + SD_LEVEL * self._unit_patch()
        if self.screen.size_px == USUAL_SCREEN.size_px:
            padded = np.pad(padded, ((0, 0), (0, 0), (LEFT_PX, RIGHT_PX)), constant_values=OUTSIDE_LEVEL)
        scaled = MEAN_LEVEL + SD_LEVEL * (padded - padded.mean()) / padded.std()
        levels = np.clip(scaled, 0.0, WHITE_LEVEL)
        return (WHITE_LEVEL - levels if self.inverted else levels).astype(np.float32)

    def _unit_patch(self) -> np.ndarray:
        """(frames, rows, columns) of the patch, of mean 0 and variance 1 over all seeds, not over this one."""
        # A squared-exponential covariance of length l is white noise behind a Gaussian of sigma l / sqrt 2.
        sigmas = np.array([self.temporal_frames, self.spatial_px, self.spatial_px]) / np.sqrt(2)
        margins = np.ceil(TRUNCATE_SIGMAS * sigmas).astype(int)
        usual = self.screen.size_px == USUAL_SCREEN.size_px
        sizes = np.array([self.frames, *((PATCH_PX, PATCH_PX) if usual else self.screen.size_px)])
        noise = np.random.default_rng(self.seed).standard_normal(tuple(sizes + 2 * margins))
        for axis, (sigma, margin, size) in enumerate(zip(sigmas, margins, sizes, strict=True)):
            if sigma:
                blurred = np.tensordot(noise, _blur(sigma, int(margin), int(size)), axes=(axis, 1))
                noise = np.moveaxis(blurred, -1, axis)
        return noise


def _blur(sigma: float, margin: int, size: int) -> np.ndarray:
    """(size, size + 2 margin): a Gaussian filter that keeps the middle of white noise, and its variance of 1."""
    reach = int(TRUNCATE_SIGMAS * sigma + 0.5)
    impulse = np.zeros(2 * reach + 1)
    impulse[reach] = 1.0
    kernel = gaussian_filter1d(impulse, sigma, mode="constant", truncate=TRUNCATE_SIGMAS)
    kernel /= np.sqrt(kernel @ kernel)
    matrix = np.zeros((size, size + 2 * margin))
    for row in range(size):
        start = row + margin - reach
        matrix[row, start : start + len(kernel)] = kernel
    return matrix


Direction = Literal["right", "up", "down", "left"]
DIRECTIONS: tuple[Direction, ...] = ("right", "up", "down", "left")
BLACK_LEVEL = 0.0


@dataclass(frozen=True)
class DriftingGrating:
    """Black and white stripes of full contrast that move at a constant speed.

    Parameters
    ----------
    cycles_per_px
        Spatial frequency, > 0.
    cycles_per_s
        Temporal frequency, >= 0.
    direction
        Where the stripes move to.
    phase
        Of the first frame, in cycles. The published phases could not be recovered; 0 is used.
    frames
        Length.
    screen
        What it is shown on.
    frame_rate_hz
        Frames a second.

    References
    ----------
    Bauer et al. 2026, Fig. 4-S1.
    """

    cycles_per_px: float
    cycles_per_s: float
    direction: Direction = "right"
    phase: float = 0.0
    frames: int = 60
    screen: ScreenGeometry = USUAL_SCREEN
    frame_rate_hz: float = FRAME_RATE_HZ

    @property
    def name(self) -> str:
        """For titles and file names."""
        return f"grating {self.cycles_per_px:g} cycles/px, {self.cycles_per_s:g} cycles/s, {self.direction}"

    def video(self) -> np.ndarray:
        """(frames, rows, columns) float32 of 0 and 255."""
        rows, columns = np.mgrid[: self.screen.rows, : self.screen.cols]
        along = {"right": columns, "left": -columns, "down": rows, "up": -rows}[self.direction]
        drift = self.cycles_per_s / self.frame_rate_hz * np.arange(self.frames)
        cycles = self.cycles_per_px * along + self.phase - drift[:, np.newaxis, np.newaxis]
        # Counting half cycles is exact for the frequencies of the paper, where a sine would fall on its zeros.
        white = np.floor(2 * cycles) % 2 == 0
        return np.where(white, WHITE_LEVEL, BLACK_LEVEL).astype(np.float32)


GREY_LEVEL = 127.5
ON_LEVEL, OFF_LEVEL = 255.0, 0.0


@dataclass(frozen=True)
class OnOffPatches:
    """A grid of patches that covers the screen; clips are made one by one, never all at once.

    Parameters
    ----------
    patch_px
        Side of a patch, px; 1 as published. The last row (of each colour) and column of patches may be cut by the edge.
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
        """Rows of patches; none lies in two colours."""
        return self.screen.planes * self._rows_a_colour

    @property
    def _rows_a_colour(self) -> int:
        return -(-self.screen.rows_a_colour // self.patch_px)

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
        colour, row = divmod(row, self._rows_a_colour)
        screen, left = self.screen, column * self.patch_px
        first = colour * screen.rows_a_colour
        top, bottom = first + row * self.patch_px, first + screen.rows_a_colour
        return slice(top, min(top + self.patch_px, bottom)), slice(left, min(left + self.patch_px, screen.cols))

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
        each = np.split(spread[..., : screen.cols], screen.planes, axis=-2)
        return np.concatenate([part[..., : screen.rows_a_colour, :] for part in each], axis=-2)


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
