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
from numpy.typing import ArrayLike

LIMIT_PERCENTILE = 98.0
SMALLEST_LIMIT = 1e-6
COLOURS = "Greys"


def activity_limit(*activities: ArrayLike) -> float:
    """Activity drawn black: so much is exceeded by few frames of the neurons, in the most active of some rasters."""
    limits = [float(np.percentile(np.asarray(activity), LIMIT_PERCENTILE)) for activity in activities]
    return max([*limits, SMALLEST_LIMIT])


def draw_raster(axes: Axes, activity: ArrayLike, times_s: ArrayLike, limit: float, order: ArrayLike) -> AxesImage:
    """Draw a raster.

    Parameters
    ----------
    activity : (N, T).
    times_s : (T,) time of every frame.
    limit : activity drawn black; 0 is white.
    order : (N,) which neuron is drawn first, second, ...
    """
    values, times = np.asarray(activity, dtype=np.float32)[np.asarray(order)], np.asarray(times_s, dtype=float)
    half = 0.5 * (times[1] - times[0]) if len(times) > 1 else 0.5
    picture = axes.imshow(
        values,
        cmap=COLOURS,
        vmin=0,
        vmax=limit,
        aspect="auto",
        interpolation="antialiased",
        extent=(times[0] - half, times[-1] + half, len(values), 0),
    )
    axes.set_yticks([0, len(values)], ["0", str(len(values))])
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
