"""One measure over another, a dot a clip, with the line of least squares.

Source: after Bauer et al. 2026, Fig. 2-S1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.curves import CurvePanel, draw_curves
from napari_vidrecon.figures.montage import STYLE
from napari_vidrecon.figures.mouse_lines import COLOURS, headed

PANEL_WIDTH_IN, PANEL_HEIGHT_IN, HEADING_IN = 3.5, 3.0, 0.4
PAIR_WIDTH_IN = 8.6


@dataclass(frozen=True)
class ScatterPanel:
    """One pair of axes.

    Parameters
    ----------
    x, y : (n,).
    x_label, y_label : with units.
    groups : (n,) which mouse each belongs to; each has its own colour.
    line : slope and intercept of the line; NaN draws none.
    note : r and p.
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
    panels : at least one.
    columns : panels beside each other.
    title : above all of them.
    simulated : say in the title that the mouse is simulated.

    Raises
    ------
    ValueError : no panel.
    """
    if not panels:
        raise ValueError("there is no panel to draw")
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    with matplotlib.rc_context(STYLE):
        size = PANEL_WIDTH_IN * across, PANEL_HEIGHT_IN * down + HEADING_IN
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        for index, panel in enumerate(panels):
            draw_scatter(figure.add_subplot(down, across, index + 1), panel)
        heading = headed(title, simulated)
        if heading:
            figure.suptitle(heading, fontsize=12, fontweight="bold")
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
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAIR_WIDTH_IN, PANEL_HEIGHT_IN + HEADING_IN), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
        draw_scatter(axes[0], scatter)
        draw_curves(axes[1], curves)
        heading = headed(title, simulated)
        if heading:
            figure.suptitle(heading, fontsize=12, fontweight="bold")
    return figure
