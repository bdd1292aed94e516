"""Activity of a population as a picture: a row a neuron, a column a frame.

Source: after Bauer et al. 2026, Fig. 1-S1 B-D and 6 B.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

LIMIT_PERCENTILE = 98.5
SMALLEST_LIMIT = 1e-6
MOST_ROWS = 200
"""A page has no more lines to give: neighbours are averaged until so many rows are left."""
COLOURS = "Greys"


def raster_rows(activity: ArrayLike, order: ArrayLike) -> NDArray[np.float64]:
    """The rows that are drawn: (rows, T), neurons in order, neighbours averaged where there are many."""
    ordered = np.asarray(activity, dtype=np.float64)[np.asarray(order)]
    starts = np.unique(np.linspace(0, len(ordered), min(MOST_ROWS, len(ordered)), endpoint=False).astype(int))
    return np.add.reduceat(ordered, starts, axis=0) / np.diff([*starts, len(ordered)])[:, np.newaxis]


def activity_limit(rasters: Sequence[tuple[ArrayLike, ArrayLike]]) -> float:
    """Activity drawn black: so much is exceeded by few frames of some rasters, each activity (N, T) and order (N,)."""
    values = np.concatenate([raster_rows(activity, order).ravel() for activity, order in rasters])
    return max(float(np.percentile(values, LIMIT_PERCENTILE)), SMALLEST_LIMIT)


def draw_raster(axes: Axes, activity: ArrayLike, times_s: ArrayLike, limit: float, order: ArrayLike) -> AxesImage:
    """Draw a raster.

    Parameters
    ----------
    activity
        (N, T).
    times_s
        (T,) time of every frame.
    limit
        Activity drawn black; 0 is white.
    order
        (N,) which neuron is drawn first, second, ...
    """
    times, neurons = np.asarray(times_s, dtype=float), len(np.asarray(activity))
    half = 0.5 * (times[1] - times[0]) if len(times) > 1 else 0.5
    picture = axes.imshow(
        raster_rows(activity, order),
        cmap=COLOURS,
        vmin=0,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
        extent=(times[0] - half, times[-1] + half, neurons, 0),
    )
    axes.set_yticks([0, neurons], ["0", str(neurons)])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#BBBBBB")
    return picture


def draw_activity_scale(figure: Figure, picture: AxesImage, axes: Axes | Sequence[Axes]) -> None:
    """Draw the scale of one or more rasters beside them."""
    limit = picture.get_clim()[1]
    bar: Any = figure.colorbar(picture, ax=axes, shrink=0.7, pad=0.015, aspect=18, extend="max")
    bar.outline.set_visible(False)
    bar.set_ticks([0, limit], labels=["0", f"{limit:.3g}"])
    bar.set_label("activity (a.u.)", fontsize=9)
