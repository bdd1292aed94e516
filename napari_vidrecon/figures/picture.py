"""One picture of the screen in a figure: grey levels, the part shown, the edge of a mask, the scale of an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.analysis.error_maps import BRIGHTER_COLOUR, DARKER_COLOUR
from napari_vidrecon.analysis.postprocess import union_crop

GREY_RANGE = (0.0, 255.0)
OUTLINE_COLOUR = "#F0E442"  # Okabe and Ito's yellow
MIDDLE_GREY = (0.5, 0.5, 0.5)

Window = tuple[slice, slice]
"""Rows and columns of the screen."""


def draw_picture(
    axes: Axes, picture: ArrayLike, window: Window | None = None, aspect: Literal["equal", "auto"] = "equal"
) -> None:
    """Draw one frame, or a part of it, without ticks and frame.

    Parameters
    ----------
    axes
        To draw into.
    picture
        (H, W) grey levels 0..255, or (H, W, 3) 8-bit RGB.
    window
        What is shown; None shows all of it.
    aspect
        "equal" keeps pixels square, "auto" fills the axes.
    """
    low, high = GREY_RANGE
    axes.imshow(np.asarray(picture), cmap="gray", vmin=low, vmax=high, interpolation="nearest", aspect=aspect)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if window is not None:
        rows, columns = window
        axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
        axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)


def part_shown(masks: Sequence[ArrayLike | None], frame_shape: tuple[int, ...], margin: int) -> Window:
    """Rows and columns around the masks, or all of the screen where there is nothing in any.

    Parameters
    ----------
    masks
        (H, W) each, boolean or 0/1, or None.
    frame_shape
        (H, W).
    margin
        Pixels around them.

    Returns
    -------
    Window
        Slices of rows and of columns.
    """
    drawn = [np.asarray(mask) == 1 for mask in masks if mask is not None]
    if not any(mask.any() for mask in drawn):
        return slice(0, frame_shape[0]), slice(0, frame_shape[1])
    return union_crop(drawn, margin=margin)


def draw_error_scale(
    figure: Figure,
    place: tuple[float, float, float, float],
    limit: float,
    words: tuple[str, str],
    *,
    gap: float,
    points: float,
) -> None:
    """Draw the colours of an error as a horizontal bar between two words.

    Parameters
    ----------
    figure
        To draw into.
    place
        Left, bottom, width and height of the bar, as fractions of the figure.
    limit
        Grey levels at which the tint is opaque.
    words
        Left and right of the bar.
    gap
        Between bar and words, as a share of the bar.
    points
        Size of their letters.
    """
    ends = [tuple(level / GREY_RANGE[1] for level in colour) for colour in (DARKER_COLOUR, BRIGHTER_COLOUR)]
    colours = LinearSegmentedColormap.from_list("error", [ends[0], MIDDLE_GREY, ends[1]])
    axes = figure.add_axes(place)
    bar: Any = figure.colorbar(ScalarMappable(Normalize(-limit, limit), colours), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([])
    for x, align, text in ((-gap, "right", words[0]), (1 + gap, "left", words[1])):
        axes.text(x, 0.5, text, ha=align, va="center", transform=axes.transAxes, fontsize=points)
