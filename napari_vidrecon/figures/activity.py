"""Activity of a population over time: as a picture, between courses, and in an ethogram.

Source: after Bauer et al. 2026, Fig. 1-S1 and 6 A-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from napari_vidrecon.analysis.raster_order import by_similarity
from napari_vidrecon.figures.curves import CurvePanel
from napari_vidrecon.figures.frame import COLOURS, FAINT_LINE, box_in, figure_of
from napari_vidrecon.figures.movie import MovieRaster

COLUMN_WIDTH_IN, EDGE_IN, HEIGHT_IN = 4.0, 2.4, 10.5
ROWS_IN = (0.9, 0.75, 0.75, 1.9, 1.9, 1.9, 1.2)
BETWEEN_WIDTH_IN, BETWEEN_HEIGHT_IN = 12.0, 8.2
BETWEEN_ROWS_IN = (1.5, 3.6, 1.7)
LIMIT_PERCENTILE = 98.5
SMALLEST_LIMIT = 1e-6
MOST_ROWS = 200
"""A page has no more lines to give: neighbours are averaged until so many rows are left."""
RASTER_COLOURS = "Greys"
RASTER_NAMES = ("Recorded activity", "Predicted from the reconstruction")
LEAST_SPREAD = 0.5
"""Of the middle neuron's standard deviation: what hardly varies is not drawn as if it did."""


def raster_rows(activity: ArrayLike, order: ArrayLike) -> NDArray[np.float64]:
    """The rows that are drawn: (rows, T), neurons in order, neighbours averaged where there are many."""
    ordered = np.asarray(activity, dtype=np.float64)[np.asarray(order)]
    starts = np.unique(np.linspace(0, len(ordered), min(MOST_ROWS, len(ordered)), endpoint=False).astype(int))
    return np.add.reduceat(ordered, starts, axis=0) / np.diff([*starts, len(ordered)])[:, np.newaxis]


def activity_limit(rasters: Sequence[tuple[ArrayLike, ArrayLike]]) -> float:
    """Activity drawn black: so much is exceeded by few frames of some rasters, each activity (N, T) and order (N,)."""
    values = np.concatenate([raster_rows(activity, order).ravel() for activity, order in rasters])
    return max(float(np.percentile(values, LIMIT_PERCENTILE)), SMALLEST_LIMIT)


def activity_rasters(
    matched: np.ndarray, predicted: np.ndarray | None, keep: np.ndarray | None = None
) -> tuple[MovieRaster, ...]:
    """Activity to be drawn below a movie: what was matched and, where it is known, what is predicted; one scale.

    Each neuron that was active is drawn in its own standard deviations, like ones side by side, neighbours averaged
    where there are many.

    Parameters
    ----------
    matched, predicted
        (N, T), in one unit.
    keep
        (N,) bool, the neurons that are drawn; none: all.

    Returns
    -------
    tuple[MovieRaster, ...]
        One or two; none where no neuron was active.
    """
    drawn = matched.std(axis=1) > 0
    if keep is not None:
        drawn &= np.asarray(keep, bool)
    if not drawn.any():
        return ()
    known = [(f"{RASTER_NAMES[0]}, {drawn.sum():,} neurons", matched[drawn])]
    if predicted is not None:
        known.append((RASTER_NAMES[1], predicted[drawn]))
    # Ordered by what is predicted where that is known: a single trial would be ordered by its noise.
    order = by_similarity(known[-1][1], thorough=False)
    spread = known[0][1].std(axis=1)
    spread = np.maximum(spread, LEAST_SPREAD * np.median(spread))
    scaled = [(name, activity / spread[:, np.newaxis]) for name, activity in known]
    limit = activity_limit([(activity, order) for _, activity in scaled])
    return tuple(MovieRaster(name, raster_rows(activity, order), limit) for name, activity in scaled)


def draw_raster(axes: Axes, activity: ArrayLike, times_s: ArrayLike, limit: float, order: ArrayLike) -> AxesImage:
    """Draw a raster.

    Parameters
    ----------
    axes
        To draw on.
    activity
        (N, T).
    times_s
        (T,) time of every frame.
    limit
        Activity drawn black; 0 is white.
    order
        (N,) which neuron is drawn first, second, ...

    Returns
    -------
    AxesImage
        For `draw_activity_scale`.
    """
    times, neurons = np.asarray(times_s, dtype=float), len(np.asarray(activity))
    half = 0.5 * (times[1] - times[0]) if len(times) > 1 else 0.5
    picture = axes.imshow(
        raster_rows(activity, order),
        cmap=RASTER_COLOURS,
        vmin=0,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
        extent=(times[0] - half, times[-1] + half, neurons, 0),
    )
    axes.set_yticks([0, neurons], ["0", str(neurons)])
    box_in(axes)
    return picture


def draw_activity_scale(figure: Figure, picture: AxesImage, axes: Axes | Sequence[Axes]) -> None:
    """Draw the scale of one or more rasters beside them.

    Parameters
    ----------
    figure
        They belong to.
    picture
        Whose scale it is.
    axes
        Of the rasters, which make room for it.
    """
    limit = picture.get_clim()[1]
    bar: Any = figure.colorbar(picture, ax=axes, shrink=0.7, pad=0.015, aspect=18, extend="max")
    bar.outline.set_visible(False)
    bar.set_ticks([0, limit], labels=["0", f"{limit:.3g}"])
    bar.set_label("activity (a.u.)", fontsize=9)


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

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No raster.
    """
    if not rasters:
        raise ValueError("there is no activity to draw")
    times = np.asarray(times_s, dtype=float)
    with figure_of((BETWEEN_WIDTH_IN, BETWEEN_HEIGHT_IN), title, simulated) as figure:
        grid = figure.add_gridspec(3, len(rasters), height_ratios=BETWEEN_ROWS_IN)
        for row, panel in ((0, above), (2, below)):
            axes = figure.add_subplot(grid[row, :])
            panel.draw(axes)
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


@dataclass(frozen=True, eq=False)
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

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No column.
    """
    if not columns:
        raise ValueError("there is no clip to draw")
    with figure_of((EDGE_IN + COLUMN_WIDTH_IN * len(columns), HEIGHT_IN), title, simulated) as figure:
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
    bottom.axhline(0, color=FAINT_LINE, linewidth=0.8, zorder=0)
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
