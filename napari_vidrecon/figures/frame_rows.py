"""Frames of movies beside each other, one movie above the other: truth over reconstruction.

Source: Bauer et al. 2026, Fig. 2A and 6D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.analysis.postprocess import mask_outline
from napari_vidrecon.figures.frame import OUTLINE_COLOUR, Window, draw_error_scale, draw_picture, figure_of, part_shown

FIGURE_WIDTH_IN = 13.0
LABEL_IN, EDGE_IN, GAP_IN = 1.35, 0.15, 0.05
HEADING_IN, TITLE_IN, TIMES_IN, BELOW_IN, SCALE_IN = 0.45, 0.32, 0.22, 0.15, 0.45
LARGEST_PICTURE_IN = 1.6
CROP_MARGIN_PX = 1
ERROR_SCALE_LENGTH_IN, ERROR_SCALE_THICKNESS_IN = 2.2, 0.14


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Movies of one clip.

    Parameters
    ----------
    rows
        Name and pictures of each row: (n, H, W) grey levels 0..255, or (n, H, W, 3) 8-bit RGB.
    times_s
        (n,) times above the pictures.
    title
        Which clip.
    masks
        The crop holds them; none shows the whole frame.
    outlined
        (H, W) mask whose edge is drawn over coloured pictures.
    """

    rows: Sequence[tuple[str, ArrayLike]]
    times_s: Sequence[float]
    title: str = ""
    masks: Sequence[ArrayLike] = field(default=())
    outlined: ArrayLike | None = None


def frame_rows_figure(
    blocks: Sequence[FrameBlock], *, title: str = "", simulated: bool = False, error_limit: float | None = None
) -> Figure:
    """Draw blocks of frames below each other.

    Parameters
    ----------
    blocks
        At least one, with at least one row each.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.
    error_limit
        Draws the scale of an error map that is opaque at so many grey levels.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No block, or a row with another number of pictures than times.
    """
    if not blocks or not all(block.rows for block in blocks):
        raise ValueError("there is nothing to draw: expected at least one block with at least one row")
    windows = [part_shown(block.masks, np.shape(block.rows[0][1])[1:], CROP_MARGIN_PX) for block in blocks]
    columns = max(len(block.times_s) for block in blocks)
    widest = (FIGURE_WIDTH_IN - LABEL_IN - EDGE_IN - (columns - 1) * GAP_IN) / columns
    width_in = min(widest, LARGEST_PICTURE_IN)
    figure_width_in = LABEL_IN + EDGE_IN + columns * (width_in + GAP_IN)
    heights_in = [width_in * (rows.stop - rows.start) / (cols.stop - cols.start) for rows, cols in windows]
    total_in = HEADING_IN + BELOW_IN + (SCALE_IN if error_limit is not None else 0.0)
    total_in += sum(
        TITLE_IN + TIMES_IN + len(block.rows) * (height + GAP_IN)
        for block, height in zip(blocks, heights_in, strict=True)
    )
    with figure_of((figure_width_in, total_in), title, simulated, heading_in=HEADING_IN) as figure:
        left = LABEL_IN / figure_width_in
        top_in = HEADING_IN
        for block, window, height_in in zip(blocks, windows, heights_in, strict=True):
            figure.text(left, 1 - (top_in + 0.45 * TITLE_IN) / total_in, block.title, va="center")
            top_in += TITLE_IN + TIMES_IN
            for row in range(len(block.rows)):
                bottom, height = 1 - (top_in + height_in) / total_in, height_in / total_in
                lefts_in = (LABEL_IN + column * (width_in + GAP_IN) for column in range(len(block.times_s)))
                places = [(start / figure_width_in, bottom, width_in / figure_width_in, height) for start in lefts_in]
                _draw_row(figure, block, row, window, places)
                top_in += height_in + GAP_IN
        if error_limit is not None:
            draw_expectation_scale(figure, left, (BELOW_IN + 0.3 * SCALE_IN) / total_in, error_limit)
    return figure


def _draw_row(
    figure: Figure, block: FrameBlock, row: int, window: Window, places: Sequence[tuple[float, float, float, float]]
) -> None:
    label, shown = block.rows[row][0], np.asarray(block.rows[row][1])
    if len(shown) != len(places):
        raise ValueError(f"{label}: {len(shown)} pictures at {len(places)} times; expected as many")
    for column, (picture, place) in enumerate(zip(shown, places, strict=True)):
        axes = figure.add_axes(place)
        draw_outlined(axes, picture, window, block.outlined if picture.ndim == 3 else None)
        if row == 0:
            axes.set_title(f"{block.times_s[column]:.2f} s", pad=3, fontsize=9)
        if column == 0:
            axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6, fontsize=10)


def draw_outlined(axes: Axes, picture: np.ndarray, window: Window, outlined: ArrayLike | None) -> None:
    """Draw a part of one frame, and the edge of a mask over it where there is one.

    Parameters
    ----------
    axes
        To draw on.
    picture
        (H, W) grey levels.
    window
        The part.
    outlined
        (H, W) boolean or 0/1, or None.
    """
    draw_picture(axes, picture, window, aspect="auto")
    for line in mask_outline(outlined):
        axes.plot(*line.T, color=OUTLINE_COLOUR, linewidth=0.8)


def draw_expectation_scale(figure: Figure, left: float, bottom: float, limit: float) -> None:
    """Draw the scale of an error map below pictures.

    Parameters
    ----------
    figure
        To draw into.
    left, bottom
        Of the scale with its words, as fractions of the figure.
    limit
        Grey levels at which the tint is opaque.
    """
    width_in, height_in = figure.get_size_inches()
    size = ERROR_SCALE_LENGTH_IN / width_in, ERROR_SCALE_THICKNESS_IN / height_in
    words = f"darker than expected, −{limit:.0f} grey levels", f"+{limit:.0f}, brighter"
    draw_error_scale(figure, (left + 2.75 / width_in, bottom, *size), limit, words, gap=0.03, points=9)
