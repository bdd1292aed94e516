"""Curves over steps, time or lags: one or more pairs of axes in a grid.

Source: after Bauer et al. 2026, Fig. 1C-D, 2-S1 B and 6 A, C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import MUTED, figure_of, headed

PANEL_WIDTH_IN, PANEL_HEIGHT_IN, HEADING_IN = 4.6, 3.1, 0.4
FAINT, THIN, THICK = 0.35, 0.9, 2.2
LINE_AT_ZERO = "#BBBBBB"


@dataclass(frozen=True)
class Curve:
    """One line.

    Parameters
    ----------
    x, y
        (n,); NaN leave gaps.
    label
        For the legend; empty for none.
    colour
        Of the line.
    strong
        Thick, as for a mean; otherwise thin and faint.
    band
        Lower and upper edge (n,) of an interval around it.
    """

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    colour: str = "#000000"
    strong: bool = True
    style: Literal["-", "--", ":"] = "-"
    band: tuple[ArrayLike, ArrayLike] | None = None


@dataclass(frozen=True)
class CurvePanel:
    """One pair of axes.

    Parameters
    ----------
    curves
        Drawn in order.
    x_label, y_label
        With units.
    title
        What is shown.
    y_range
        Limits; None chooses.
    zero
        Draw lines at this x or y of 0.
    """

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    title: str = ""
    y_range: tuple[float, float] | None = None
    zero: Literal["none", "x", "y", "both"] = "none"


def curves_figure(
    panels: Sequence[CurvePanel], *, columns: int = 2, title: str = "", simulated: bool = False
) -> Figure:
    """Draw panels in a grid, row by row.

    Parameters
    ----------
    panels
        At least one.
    columns
        Panels beside each other.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.

    Raises
    ------
    ValueError
        No panel.
    """
    if not panels:
        raise ValueError("there is no panel to draw")
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    size = PANEL_WIDTH_IN * across, PANEL_HEIGHT_IN * down + HEADING_IN
    with figure_of(size, headed(title, simulated)) as figure:
        for index, panel in enumerate(panels):
            draw_curves(figure.add_subplot(down, across, index + 1), panel)
    return figure


def draw_curves(axes: Axes, panel: CurvePanel) -> None:
    """Draw one panel into given axes."""
    if panel.zero in ("y", "both"):
        axes.axhline(0, color=LINE_AT_ZERO, linewidth=0.8, zorder=0)
    if panel.zero in ("x", "both"):
        axes.axvline(0, color=LINE_AT_ZERO, linewidth=0.8, zorder=0)
    for curve in panel.curves:
        x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
        if curve.band is not None:
            low, high = (np.asarray(edge, dtype=float) for edge in curve.band)
            axes.fill_between(x, low, high, color=curve.colour, alpha=0.18, linewidth=0)
        axes.plot(
            x,
            y,
            color=curve.colour,
            linewidth=THICK if curve.strong else THIN,
            alpha=1.0 if curve.strong else FAINT,
            linestyle=curve.style,
            label=curve.label or "_nolegend_",
        )
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_title(panel.title, loc="left")
    axes.margins(x=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    if panel.y_range is not None:
        axes.set_ylim(*panel.y_range)
    if any(curve.label for curve in panel.curves):
        axes.legend(fontsize=8, frameon=False, labelcolor=MUTED, loc="best")
