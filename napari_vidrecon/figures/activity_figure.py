"""Three rasters of one clip between two courses over time: how well movies explain what was recorded.

Source: after Bauer et al. 2026, Fig. 6 A-C.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.curves import CurvePanel, draw_curves
from napari_vidrecon.figures.frame import figure_of, headed
from napari_vidrecon.figures.raster import activity_limit, draw_activity_scale, draw_raster

WIDTH_IN, HEIGHT_IN = 12.0, 8.2
ROWS_IN = (1.5, 3.6, 1.7)


def activity_figure(
    above: CurvePanel,
    rasters: Sequence[tuple[str, ArrayLike]],
    below: CurvePanel,
    times_s: ArrayLike,
    order: ArrayLike,
    *,
    title: str = "",
    simulated: bool = False,
) -> Figure:
    """Draw a panel, rasters beside each other, and another panel.

    Parameters
    ----------
    above, below
        Courses over the same time.
    rasters
        Title and activity (N, T) of each; at least one.
    times_s
        (T,) of the rasters.
    order
        (N,) of their neurons.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.

    Raises
    ------
    ValueError
        No raster.
    """
    if not rasters:
        raise ValueError("there is no activity to draw")
    times = np.asarray(times_s, dtype=float)
    with figure_of((WIDTH_IN, HEIGHT_IN), headed(title, simulated)) as figure:
        grid = figure.add_gridspec(3, len(rasters), height_ratios=ROWS_IN)
        for row, panel in ((0, above), (2, below)):
            axes = figure.add_subplot(grid[row, :])
            draw_curves(axes, panel)
            axes.set_xlim(times[0], times[-1])
        limit = activity_limit([(activity, order) for _, activity in rasters])
        drawn = []
        for place, (name, activity) in enumerate(rasters):
            axes = figure.add_subplot(grid[1, place])
            picture = draw_raster(axes, activity, times, limit, order)
            axes.set_title(name, loc="left")
            axes.set_xlabel("time (s)")
            if place == 0:
                axes.set_ylabel("neurons")
            else:
                axes.set_yticklabels([])
            drawn.append(axes)
        draw_activity_scale(figure, picture, drawn)
    return figure
