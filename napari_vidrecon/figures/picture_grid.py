"""One picture of every clip, a row a mouse.

Source: after Bauer et al. 2026, Fig. 6E.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.figures.frame import figure_of, headed
from napari_vidrecon.figures.frame_rows import draw_error_scale, draw_picture

PICTURE_WIDTH_IN, GAP_IN, NAME_IN = 2.2, 0.08, 0.24
EDGE_IN, HEADING_IN, SCALE_IN = 0.15, 0.45, 0.5


def picture_grid_figure(
    rows: Sequence[Sequence[tuple[str, np.ndarray, np.ndarray]]],
    window: tuple[slice, slice],
    *,
    error_limit: float,
    title: str = "",
    simulated: bool = False,
) -> Figure:
    """Draw pictures of error maps.

    Parameters
    ----------
    rows
        Name, picture (H, W, 3) and outlined mask (H, W) of each clip.
    window
        The part of the screen shown.
    error_limit
        Grey levels at which the error is opaque, for the scale.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.

    Raises
    ------
    ValueError
        No picture.
    """
    pictures = [list(row) for row in rows if row]
    if not pictures:
        raise ValueError("there is no picture to draw")
    columns = max(len(row) for row in pictures)
    height_in = PICTURE_WIDTH_IN * (window[0].stop - window[0].start) / (window[1].stop - window[1].start)
    figure_in = (
        max(2 * EDGE_IN + columns * (PICTURE_WIDTH_IN + GAP_IN), 7.6),
        HEADING_IN + SCALE_IN + len(pictures) * (height_in + NAME_IN + GAP_IN),
    )
    with figure_of(figure_in, layout=None) as figure:
        heading_y = 1 - 0.5 * HEADING_IN / figure_in[1]
        figure.text(0.5, heading_y, headed(title, simulated), fontsize=12, fontweight="bold", va="center", ha="center")
        for row, entries in enumerate(pictures):
            bottom_in = figure_in[1] - HEADING_IN - row * (height_in + NAME_IN + GAP_IN) - NAME_IN - height_in
            for column, (name, picture, mask) in enumerate(entries):
                place = (
                    (EDGE_IN + column * (PICTURE_WIDTH_IN + GAP_IN)) / figure_in[0],
                    bottom_in / figure_in[1],
                    PICTURE_WIDTH_IN / figure_in[0],
                    height_in / figure_in[1],
                )
                axes = figure.add_axes(place)
                draw_picture(axes, picture, window, mask)
                axes.set_title(name, pad=3, fontsize=9, loc="left")
        draw_error_scale(figure, EDGE_IN / figure_in[0], 0.35 * SCALE_IN / figure_in[1], error_limit)
    return figure
