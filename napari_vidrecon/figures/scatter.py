"""One measure over another, a dot a clip, with the line of least squares.

Source: after Bauer et al. 2026, Fig. 2-S1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.curves import CurvePanel, draw_curves
from napari_vidrecon.figures.frame import COLOURS, figure_of, headed

PANEL_WIDTH_IN, PANEL_HEIGHT_IN, HEADING_IN = 3.5, 3.0, 0.4
PAIR_WIDTH_IN = 8.6
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALLEST_PLAIN = 0.001


@dataclass(frozen=True)
class ScatterPanel:
    """One pair of axes.

    Parameters
    ----------
    x, y
        (n,).
    x_label, y_label
        With units.
    groups
        (n,) which mouse each belongs to; each has its own colour.
    line
        Slope and intercept of the line; NaN draws none.
    note
        R and p.
    """

    x: ArrayLike
    y: ArrayLike
    x_label: str
    y_label: str
    groups: Sequence[str]
    line: tuple[float, float] = (float("nan"), float("nan"))
    note: str = ""


def scatter_figure(
    panels: Sequence[ScatterPanel], *, columns: int = 3, title: str = "", simulated: bool = False
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
            draw_scatter(figure.add_subplot(down, across, index + 1), panel)
    return figure


def draw_scatter(axes: Axes, panel: ScatterPanel) -> None:
    """Draw one panel into given axes."""
    x, y = np.asarray(panel.x, dtype=float), np.asarray(panel.y, dtype=float)
    groups = np.asarray(panel.groups)
    for place, name in enumerate(dict.fromkeys(panel.groups)):
        own = groups == name
        axes.scatter(x[own], y[own], s=26, color=COLOURS[1 + place % (len(COLOURS) - 1)], alpha=0.8, linewidths=0)
    slope, intercept = panel.line
    if np.isfinite(slope):
        ends = np.array([np.nanmin(x), np.nanmax(x)])
        axes.plot(ends, slope * ends + intercept, color="black", linewidth=1.6)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_title(panel.note, loc="left", fontsize=10)


def scatter_and_curves_figure(
    scatter: ScatterPanel, curves: CurvePanel, *, title: str = "", simulated: bool = False
) -> Figure:
    """Draw a scatter plot beside curves; parameters as for `scatter_figure`."""
    with figure_of((PAIR_WIDTH_IN, PANEL_HEIGHT_IN + HEADING_IN), headed(title, simulated)) as figure:
        axes = figure.subplots(1, 2)
        draw_scatter(axes[0], scatter)
        draw_curves(axes[1], curves)
    return figure


def p_text(p: float) -> str:
    """ "p = 0.023", or "p = 4 × 10⁻⁸" for small ones; "p not defined" for NaN.

    Parameters
    ----------
    p
        0..1.
    """
    if math.isnan(p):
        return "p not defined"
    if p >= SMALLEST_PLAIN or p == 0:
        return f"p = {p:.2g}"
    digits, exponent = f"{p:.0e}".split("e")
    return f"p = {digits} × 10{str(int(exponent)).translate(RAISED)}"
