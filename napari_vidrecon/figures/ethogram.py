"""What the mouse saw and did, what its neurons did, and what was made of it, on one axis of time.

Source: after Bauer et al. 2026, Fig. 1-S1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import COLOURS, figure_of, headed
from napari_vidrecon.figures.raster import activity_limit, draw_activity_scale, draw_raster

COLUMN_WIDTH_IN, EDGE_IN, HEIGHT_IN = 4.0, 2.4, 10.5
ROWS_IN = (0.9, 0.75, 0.75, 1.9, 1.9, 1.9, 1.2)


@dataclass(frozen=True)
class EthogramColumn:
    """One clip; every course has one value a frame.

    Parameters
    ----------
    title
        Which clip.
    times_s
        (T,).
    motion_energy
        (T,) mean absolute change of the movie since the frame before, grey levels; NaN at the first frame.
    pupil, running
        (T,) as recorded.
    recorded, from_truth, from_reconstruction
        (N, T) activity.
    order
        (N,) of the neurons in the rasters.
    frame_correlation
        (T,) of the reconstruction with the movie; NaN where it was not measured.
    """

    title: str
    times_s: ArrayLike
    motion_energy: ArrayLike
    pupil: ArrayLike
    running: ArrayLike
    recorded: ArrayLike
    from_truth: ArrayLike
    from_reconstruction: ArrayLike
    order: ArrayLike
    frame_correlation: ArrayLike


def ethogram_figure(
    columns: Sequence[EthogramColumn], *, title: str = "", simulated: bool = False, pupil_unit: str = "px"
) -> Figure:
    """Draw clips beside each other, everything over time below each other.

    Parameters
    ----------
    columns
        At least one.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.
    pupil_unit
        Of the pupil's diameter.

    Raises
    ------
    ValueError
        No column.
    """
    if not columns:
        raise ValueError("there is no clip to draw")
    with figure_of((EDGE_IN + COLUMN_WIDTH_IN * len(columns), HEIGHT_IN), headed(title, simulated)) as figure:
        grid = figure.subplots(len(ROWS_IN), len(columns), squeeze=False, sharex="col", height_ratios=ROWS_IN)
        figure.align_ylabels(grid[:, 0])
        for place, column in enumerate(columns):
            _draw_column(list(grid[:, place]), column)
        _share_ranges(grid)
        shown = [(column, (column.recorded, column.from_truth, column.from_reconstruction)) for column in columns]
        limit = activity_limit([(activity, column.order) for column, rasters in shown for activity in rasters])
        for place, (column, rasters) in enumerate(shown):
            for row, activity in enumerate(rasters, start=3):
                picture = draw_raster(grid[row, place], activity, column.times_s, limit, column.order)
        draw_activity_scale(figure, picture, list(grid[3:6, -1]))
        for row, (letter, label) in enumerate(
            (
                ("A", "motion energy\n(grey levels)"),
                ("", f"pupil diameter\n({pupil_unit})"),
                ("", "running speed\n(a.u.)"),
                ("B", "neurons,\nrecorded"),
                ("C", "neurons,\npredicted from\nthe movie"),
                ("D", "neurons,\npredicted from\nreconstruction"),
                ("E", "frame\ncorrelation r"),
            )
        ):
            axes = grid[row, 0]
            axes.set_ylabel(label, fontsize=9.5, rotation=0, ha="right", va="center", labelpad=12)
            if letter:
                axes.set_title(letter, loc="left", fontweight="bold", fontsize=13, x=-0.14)
    return figure


def _draw_column(axes: Sequence[Axes], column: EthogramColumn) -> None:
    times = np.asarray(column.times_s, dtype=float)
    courses = (column.motion_energy, column.pupil, column.running)
    for axis, values, colour in zip(axes[:3], courses, (COLOURS[0], COLOURS[1], COLOURS[3]), strict=True):
        axis.plot(times, np.asarray(values, dtype=float), color=colour, linewidth=1.4)
    axes[0].set_title(column.title)
    bottom, correlation = axes[-1], np.asarray(column.frame_correlation, dtype=float)
    bottom.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
    bottom.plot(times, correlation, color=COLOURS[2], linewidth=1.6)
    if np.isfinite(correlation).any():
        mean = float(np.nanmean(correlation))
        bottom.axhline(mean, color=COLOURS[2], linewidth=0.9, linestyle=":")
        bottom.text(0.99, 0.04, f"mean {mean:.2f}", transform=bottom.transAxes, ha="right", fontsize=9)
    bottom.set_xlabel("time (s)")
    bottom.set_xlim(times[0], times[-1])


def _share_ranges(grid: np.ndarray) -> None:
    """One range of values a row, so that clips can be compared."""
    for row in (0, 1, 2, len(grid) - 1):
        limits = np.array([axes.get_ylim() for axes in grid[row]])
        low, high = limits[:, 0].min(), limits[:, 1].max()
        if row == len(grid) - 1:
            low, high = min(low, 0.0), 1.0
        for axes in grid[row]:
            axes.set_ylim(low, high)
