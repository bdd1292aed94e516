"""The board's colours: transparent or dark at zero, told apart by all common kinds of colour vision."""

from __future__ import annotations

import numpy as np
from napari.utils import Colormap

from napari_vidrecon.analysis.error_maps import BRIGHTER_COLOUR, DARKER_COLOUR

LEVELS = 257
"""Odd, so that one level is zero exactly."""
OPACITY_EXPONENT = 1.0
CURSOR_COLOUR = (1.0, 1.0, 1.0)
MARKED_COLOUR = (0.34, 0.71, 0.91)
MARKED_OPACITY = 0.35
HEAT_OPACITY = 0.8
PAINT_COLOUR = (0.94, 0.89, 0.26, 0.4)
EVALUATION_COLOUR = TRAINING_COLOUR = (240, 228, 66)
"""Okabe and Ito's yellow, solid and dashed as in exported pictures: blue means darker and nothing else."""
MICE_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
"""Of several mice's masks, this session's first; told apart by colour-blind eyes too."""
CORRELATION_COLOUR = (46, 194, 153)
"""Of how well something is explained, in the strip as in the bars of the rasters."""

BELOW_ZERO_COLOUR = (217, 140, 184)
"""Of a frame that is shown the wrong way round: its correlation is below zero."""


def signed_error() -> Colormap:
    """Blue where darker, vermillion where brighter, clear at zero; limits must be symmetric."""
    position = np.linspace(-1, 1, LEVELS)
    colours = np.where(position[:, np.newaxis] < 0, _unit(DARKER_COLOUR), _unit(BRIGHTER_COLOUR))
    return _see_through(colours, np.abs(position), "signed error")


def error_magnitude() -> Colormap:
    """Clear at zero, through vermillion to yellow: how large the error is, whatever its sign."""
    return _warm(1.0, "error magnitude")


def activity_difference() -> Colormap:
    """Sky blue where less, black at zero, orange where more: seen beside the dark rasters, with a line over it."""
    position = np.linspace(-1, 1, LEVELS)[:, np.newaxis]
    ends = np.where(position < 0, _unit((86, 180, 233)), _unit((230, 159, 0)))
    colours = np.concatenate([np.abs(position) * ends, np.ones_like(position)], axis=1)
    return Colormap(colours.astype(np.float32), name="activity difference")


def heat() -> Colormap:
    """Clear at zero, through vermillion to yellow: how much of a pixel the neurons see."""
    return _warm(HEAT_OPACITY, "alpha")


def cursor() -> Colormap:
    """Clear, or the time line's colour."""
    return _on_off(CURSOR_COLOUR, 0.9, "now")


def marked() -> Colormap:
    """Clear, or a veil over marked rows."""
    return _on_off(MARKED_COLOUR, MARKED_OPACITY, "marked")


def _warm(opacity: float, name: str) -> Colormap:
    position = np.linspace(0, 1, LEVELS)[:, np.newaxis]
    colours = (1 - position) * _unit(BRIGHTER_COLOUR) + position * _unit(EVALUATION_COLOUR)
    return _see_through(colours, opacity * position[:, 0], name)


def _on_off(colour: tuple[float, float, float], opacity: float, name: str) -> Colormap:
    return Colormap(np.array([[*colour, 0.0], [*colour, opacity]], np.float32), name=name)


def _see_through(colours: np.ndarray, strength: np.ndarray, name: str) -> Colormap:
    opacity = strength[:, np.newaxis] ** OPACITY_EXPONENT
    return Colormap(np.concatenate([colours, opacity], axis=1).astype(np.float32), name=name)


def _unit(colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(colour) / 255
