"""One number a clip: every clip as a dot, the shape of the distribution, and the mean with its interval.

Source: after Bauer et al. 2026, Fig. 2B.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import COLOURS, MUTED, panels_figure

PANEL_WIDTH_IN, PANEL_HEIGHT_IN = 3.6, 3.8
DISTRIBUTION_WIDTH_IN = 1.35
"""What one distribution needs, with its label and the number beside its mean."""
FEWEST_FOR_A_SHAPE = 8
SPREAD, VIOLIN_WIDTH = 0.26, 0.8
MEAN_SHIFT = 0.4


@dataclass(frozen=True, eq=False)
class Distribution:
    """Values of one kind.

    Parameters
    ----------
    label
        Below them.
    values
        (n,).
    interval
        Mean, and lower and upper end of its 95 % interval; NaN ends are not drawn.
    groups
        (n,) which mouse each belongs to; each has its own colour.
    control
        Drawn grey.
    """

    label: str
    values: ArrayLike
    interval: tuple[float, float, float]
    groups: Sequence[str] = ()
    control: bool = False


@dataclass(frozen=True, eq=False)
class DistributionPanel:
    """One pair of axes: distributions beside each other, and a line of text above.

    Parameters
    ----------
    distributions
        From left to right.
    y_label
        With its unit.
    title
        What is shown.
    note
        Smaller, below the title.
    """

    distributions: Sequence[Distribution]
    y_label: str
    title: str = ""
    note: str = ""


def distributions_figure(panels: Sequence[DistributionPanel], *, title: str = "", simulated: bool = False) -> Figure:
    """Draw panels beside each other, with one range of values for all.

    Parameters
    ----------
    panels
        At least one.
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
        No panel.
    """
    every = [each for panel in panels for each in panel.distributions]
    values = np.array([value for each in every for value in (*np.asarray(each.values, float), *each.interval)])
    lowest = min(0.0, values[np.isfinite(values)].min(initial=0.0) - 0.1)
    names = sorted({name for each in every for name in each.groups})
    most = max((len(panel.distributions) for panel in panels), default=0)

    def draw(axes: Axes, panel: DistributionPanel) -> None:
        _draw(axes, panel, names)
        axes.set_ylim(lowest, 1.0)

    size_in = max(PANEL_WIDTH_IN, DISTRIBUTION_WIDTH_IN * most), PANEL_HEIGHT_IN
    return panels_figure(panels, draw, size_in, title=title, simulated=simulated, heading_points=11)


def _draw(axes: Axes, panel: DistributionPanel, names: Sequence[str]) -> None:
    axes.axhline(0, color="#BBBBBB", linewidth=0.8, zorder=0)
    for place, each in enumerate(panel.distributions):
        values = np.asarray(each.values, dtype=float)
        known = np.isfinite(values)
        if known.sum() >= FEWEST_FOR_A_SHAPE and np.ptp(values[known]) > 0:
            parts = axes.violinplot(values[known], [place], widths=VIOLIN_WIDTH, showextrema=False)
            for body in parts["bodies"]:  # type: ignore[attr-defined]
                body.set_facecolor(MUTED)
                body.set_alpha(0.15)
        # Neighbours in rank stand apart, so that dots of like height do not cover each other.
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        x = place + SPREAD * (np.array([0.0, 0.5, -0.5, 0.25, -0.25])[ranks % 5])
        colours = [MUTED] * len(values)
        if each.groups and not each.control:
            colours = [COLOURS[1 + names.index(name) % (len(COLOURS) - 1)] for name in each.groups]
        axes.scatter(x, values, s=18, c=colours, alpha=0.75, linewidths=0, zorder=2)
        mean, low, high = each.interval
        if np.isfinite([low, high]).all():
            axes.plot([place + MEAN_SHIFT] * 2, [low, high], color="black", linewidth=2, zorder=3)
        axes.plot([place + MEAN_SHIFT], [mean], "o", color="black", markersize=6, zorder=3)
        axes.annotate(
            f"{round(mean, 2) + 0.0:.2f}".replace("-", "−"),
            # Above the interval: beside it lies the next distribution.
            (place + MEAN_SHIFT, high if np.isfinite(high) else mean),
            (0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
        )
    axes.set_xticks(range(len(panel.distributions)), [each.label for each in panel.distributions])
    axes.set_xlim(-0.6, len(panel.distributions))
    axes.set_ylabel(panel.y_label)
    axes.set_title(panel.title, loc="left")
    if panel.note:
        axes.text(0.98, 0.02, panel.note, transform=axes.transAxes, fontsize=8, color=MUTED, ha="right")
