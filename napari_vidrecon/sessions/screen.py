"""The screen in front of the mouse, and how its pixels map to degrees of visual angle."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from napari_vidrecon.errors import MaskError

LARGEST_SIDE_PX = 4096
LARGEST_CM = 1e4
SQUARE_WITHIN = 0.01
"""Pixels that are so nearly as high as wide are square: the size of a screen is not known more exactly."""
MOST_COLOURS = 4
ScreenPixels = Annotated[int, Field(ge=1, le=LARGEST_SIDE_PX)]
ColourNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=40)], ...], Field(max_length=MOST_COLOURS, strict=False)
]
Centimetres = Annotated[float, Field(gt=0, le=LARGEST_CM)]


def check_colours(colours: tuple[str, ...], rows: int) -> None:
    """Refuse names of colours that share no equal parts of the rows, with a ValueError."""
    alike = rows % max(1, len(colours)) == 0 and len(colours) != 1 and len(set(colours)) == len(colours)
    if not alike or not all(map(str.isprintable, colours)):
        raise ValueError(
            f"expected no colours, or 2 to {MOST_COLOURS} names of as many equal parts of {rows} rows, found "
            f"{', '.join(colours)}"
        )


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class ScreenGeometry:
    """A flat screen, looked at from the point straight in front of its centre.

    Parameters
    ----------
    width_cm, height_cm
        Size of the lit area in cm.
    distance_cm
        Eye to screen in cm.
    rows, cols
        Pixels of the movie shown on it; where it has colours, all of them together, one below the other.
    colours
        Names of the colours of its movies, from top to bottom; empty for movies of grey levels. Every place of the
        screen is there once for each.

    References
    ----------
    The Sensorium 2023 recordings; Bauer et al. 2026 convert to degrees with them.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> screen = vr.ScreenGeometry(rows=72, cols=128, distance_cm=20.0)
    >>> screen.size_px, round(screen.degrees_per_pixel, 2)
    ((72, 128), 1.26)
    """

    width_cm: Centimetres = 56.5
    height_cm: Centimetres = 31.8
    distance_cm: Centimetres = 15.0
    rows: ScreenPixels = 36
    cols: ScreenPixels = 64
    colours: ColourNames = ()

    def __post_init__(self) -> None:
        check_colours(self.colours, self.rows)

    @property
    def planes(self) -> int:
        """Colours, or 1 for movies of grey levels."""
        return max(1, len(self.colours))

    @property
    def rows_a_colour(self) -> int:
        """Pixels from top to bottom of what the mouse saw."""
        return self.rows // self.planes

    @property
    def one_colour(self) -> ScreenGeometry:
        """The screen as the mouse saw it: of all its colours, which lie in the same place, the pixels of one."""
        return replace(self, rows=self.rows_a_colour, colours=())

    def colour_at(self, rows: np.ndarray) -> np.ndarray:
        """In which of its colours places lie.

        Parameters
        ----------
        rows
            Pixels from the top of the uppermost colour.

        Returns
        -------
        np.ndarray
            0, 1, ...; 0 for grey levels and for NaN.
        """
        found = np.floor((np.nan_to_num(rows) + 0.5) / self.rows_a_colour)
        return np.asarray(np.clip(found, 0, self.planes - 1), np.intp)

    @property
    def in_words(self) -> str:
        """Pixels and colours, as messages call them."""
        return f"{self.rows_a_colour}x{self.cols} pixels" + (f" in {' and '.join(self.colours)}" * bool(self.colours))

    @property
    def size_px(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.cols

    @property
    def px_per_usual_px(self) -> float:
        """How many of its pixels are as wide, straight ahead, as one of the public recordings; 1 for these."""
        return USUAL_SCREEN.degrees_per_pixel / self.degrees_per_pixel

    @property
    def pixel_pitch_cm(self) -> float:
        """Width of one pixel in cm."""
        return self.width_cm / self.cols

    @property
    def pixel_height_over_width(self) -> float:
        """How many times as high as wide a pixel is; 1 where the sizes say so to within a hundredth."""
        ratio = self.height_cm / self.rows_a_colour / self.pixel_pitch_cm
        return 1.0 if abs(ratio - 1.0) <= SQUARE_WITHIN else ratio

    @property
    def pixel_height_cm(self) -> float:
        """Height of one pixel in cm."""
        return self.pixel_pitch_cm * self.pixel_height_over_width

    @property
    def degrees_per_pixel(self) -> float:
        """Visual angle in degrees of the width of one pixel next to the point straight ahead."""
        return float(np.degrees(np.arctan(self.pixel_pitch_cm / self.distance_cm)))

    def directions_onto(self, other: ScreenGeometry) -> tuple[np.ndarray, np.ndarray]:
        """What takes pictures on this screen to the pixels of another one that lie in the same directions.

        Both screens are flat and looked at from straight in front, so rows and columns go apart. Coarser pixels are
        weighted means (triangles), finer ones lie on straight lines between.

        Parameters
        ----------
        other
            Whose pixels are wanted; of the same colours.

        Returns
        -------
        tuple[np.ndarray, np.ndarray]
            (other rows, rows) and (other columns, columns) float64: picture -> rows @ picture @ columns.T. Their sums
            are 1, or 0 where this screen does not reach.
        """
        high, other_high = (each.pixel_height_cm / each.distance_cm for each in (self, other))
        wide, other_wide = (each.pixel_pitch_cm / each.distance_cm for each in (self, other))
        return (
            np.kron(np.eye(self.planes), _weights(self.rows_a_colour, high, other.rows_a_colour, other_high)),
            _weights(self.cols, wide, other.cols, other_wide),
        )

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column, in pixels, of the point straight ahead; pixel (0, 0) has its middle at (0, 0)."""
        return (self.rows_a_colour - 1) / 2, (self.cols - 1) / 2

    def pixel_areas_deg2(self) -> np.ndarray:
        """Area of every pixel as seen by the mouse.

        Returns
        -------
        np.ndarray
            (rows, cols) square degrees, > 0, smaller towards the edges.
        """
        heights = np.tile(self._edge_to_edge_deg(self.rows_a_colour, self.pixel_height_cm), self.planes)
        widths = self._edge_to_edge_deg(self.cols, self.pixel_pitch_cm)
        return np.outer(heights, widths)

    def _edge_to_edge_deg(self, count: int, side_cm: float) -> np.ndarray:
        edges_cm = (np.arange(count + 1) - count / 2) * side_cm
        return np.diff(np.degrees(np.arctan(edges_cm / self.distance_cm)))

    def mask_diameter_deg(self, mask: np.ndarray) -> float:
        """Diameter in degrees of the disc with the same area as a mask.

        Parameters
        ----------
        mask
            (rows, cols), boolean or 0/1; what is not zero belongs to the mask.

        Returns
        -------
        float
            0 for an empty mask.

        Raises
        ------
        MaskError
            The mask does not have the size of the screen.

        References
        ----------
        Bauer et al. 2026, Fig. 1-S2 C.
        """
        # Of several colours the mean: each shows the whole screen.
        area_deg2 = float(self.pixel_areas_deg2()[self._selected(mask)].sum()) / self.planes
        return 2.0 * float(np.sqrt(area_deg2 / np.pi))

    def extent_deg(self, mask: np.ndarray) -> tuple[float, float]:
        """Height and width of a mask in degrees, as if it were centred on the screen.

        Counts from the first to the last selected pixel, both included. The reference loses one pixel when a
        mask touches the border of the screen; that is not repeated here.

        Parameters
        ----------
        mask
            (rows, cols), boolean or 0/1.

        Returns
        -------
        tuple[float, float]
            Height, then width.

        Raises
        ------
        MaskError
            The mask does not have the size of the screen.

        References
        ----------
        Bauer et al. 2026, Fig. 1-S3 E.
        """
        selected = self._selected(mask)
        rows, cols = np.nonzero(selected.reshape(self.planes, -1, self.cols).any(axis=0))
        height_px, width_px = _first_to_last(rows), _first_to_last(cols)
        return (
            self._centred_angle_deg(height_px / self.rows_a_colour * self.height_cm),
            self._centred_angle_deg(width_px / self.cols * self.width_cm),
        )

    def size_deg(self) -> tuple[float, float]:
        """Height and width of the whole screen in degrees."""
        return self._centred_angle_deg(self.height_cm), self._centred_angle_deg(self.width_cm)

    def _centred_angle_deg(self, length_cm: float) -> float:
        return 2.0 * float(np.degrees(np.arctan2(length_cm / 2.0, self.distance_cm)))

    def eccentricity_radius_px(self, eccentricity_deg: float) -> float:
        """Radius in pixels, to the side, of the ring at one eccentricity around the centre of the screen.

        Parameters
        ----------
        eccentricity_deg
            Angle from straight ahead, 0 <= eccentricity < 90.

        Returns
        -------
        float
            > 0; upwards it is `pixel_height_over_width` times less.

        Raises
        ------
        ValueError
            The angle never meets a flat screen.
        """
        if not 0.0 <= eccentricity_deg < 90.0:
            raise ValueError(f"expected an eccentricity from 0 to below 90 degrees, found {eccentricity_deg}")
        return float(np.tan(np.radians(eccentricity_deg))) * self.distance_cm / self.pixel_pitch_cm

    def eccentricities_deg(self) -> np.ndarray:
        """(rows, cols) angle of every pixel's middle from the point straight ahead, degrees."""
        rows, columns = np.arange(self.rows)[:, None] % self.rows_a_colour, np.arange(self.cols)[None, :]
        return np.degrees(np.arctan(self.away_px(rows, columns) * self.pixel_pitch_cm / self.distance_cm))

    def away_px(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """How far places are from the point straight ahead.

        Parameters
        ----------
        rows, columns
            Of one colour, pixels; shapes that go together.

        Returns
        -------
        np.ndarray
            In widths of a pixel, >= 0.
        """
        row, column = self.centre
        return np.hypot((rows - row) * self.pixel_height_over_width, columns - column)

    def mask_eccentricity_deg(self, mask: np.ndarray) -> float:
        """How far from straight ahead a mask reaches, in degrees, to the middle of its farthest pixel; 0 if empty.

        Parameters
        ----------
        mask
            (rows, cols), boolean or 0/1.

        Returns
        -------
        float
            Degrees, 0 to below 90.

        Raises
        ------
        MaskError
            The mask does not have the size of the screen.
        """
        return float(self.eccentricities_deg()[self._selected(mask)].max(initial=0.0))

    def _selected(self, mask: np.ndarray) -> np.ndarray:
        mask = np.asarray(mask)
        if mask.shape != (self.rows, self.cols):
            raise MaskError(
                f"expected a mask of the screen, {(self.rows, self.cols)}, found {mask.shape}; "
                "cut a padded mask to the rows of the screen first"
            )
        return mask != 0


def _first_to_last(places: np.ndarray) -> int:
    return int(places.max() - places.min() + 1) if places.size else 0


def _weights(count: int, pitch: float, wanted: int, wanted_pitch: float) -> np.ndarray:
    """(wanted, count); pitches are tangents of the angle that a pixel next to straight ahead is seen under."""
    middle = (np.arange(wanted) - (wanted - 1) / 2) * (wanted_pitch / pitch) + (count - 1) / 2
    width = max(wanted_pitch / pitch, 1.0)
    weights = np.clip(1.0 - np.abs(np.arange(count) - middle[:, None]) / width, 0.0, None)
    reached = (middle >= -0.5) & (middle <= count - 0.5)
    total = weights.sum(axis=1, keepdims=True)
    return np.where(reached[:, None] & (total > 0), weights / np.where(total > 0, total, 1.0), 0.0)


USUAL_SCREEN = ScreenGeometry()
"""Of the public recordings (Sensorium 2023)."""
