"""Curves over steps, time or lags, and one measure over another, a dot a clip, with its line of least squares.

Source: after Bauer et al. 2026, Fig. 1C-D, 2-S1 and 6 A, C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import COLOURS, FAINT_LINE, MUTED, Panel, figure_of

HEADING_IN, HEADING_POINTS = 0.4, 12.0
FAINT, THIN, THICK = 0.35, 0.9, 2.2
SCATTER_IN, PAIR_WIDTH_IN = (3.5, 3.0), 8.6
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALLEST_PLAIN = 0.001


@dataclass(frozen=True, eq=False)
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
    style
        "-" solid, "--" dashed, ":" dotted.
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


@dataclass(frozen=True, eq=False)
class CurvePanel(Panel):
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

    size_in = 4.6, 3.1
    beside = 2
    heading_in, heading_points = HEADING_IN, HEADING_POINTS

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    title: str = ""
    y_range: tuple[float, float] | None = None
    zero: Literal["none", "x", "y", "both"] = "none"

    def draw(self, axes: Axes) -> None:
        """Draw it into given axes."""
        if self.zero in ("y", "both"):
            axes.axhline(0, color=FAINT_LINE, linewidth=0.8, zorder=0)
        if self.zero in ("x", "both"):
            axes.axvline(0, color=FAINT_LINE, linewidth=0.8, zorder=0)
        for curve in self.curves:
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
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.y_label)
        axes.set_title(self.title, loc="left")
        axes.margins(x=0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        if self.y_range is not None:
            axes.set_ylim(*self.y_range)
        if any(curve.label for curve in self.curves):
            axes.legend(fontsize=8, frameon=False, labelcolor=MUTED, loc="best")


@dataclass(frozen=True, eq=False)
class ScatterPanel(Panel):
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

    size_in = SCATTER_IN
    beside = 3
    heading_in, heading_points = HEADING_IN, HEADING_POINTS

    x: ArrayLike
    y: ArrayLike
    x_label: str
    y_label: str
    groups: Sequence[str]
    line: tuple[float, float] = (float("nan"), float("nan"))
    note: str = ""

    def draw(self, axes: Axes) -> None:
        """Draw it into given axes."""
        x, y = np.asarray(self.x, dtype=float), np.asarray(self.y, dtype=float)
        groups = np.asarray(self.groups)
        for place, name in enumerate(dict.fromkeys(self.groups)):
            own = groups == name
            axes.scatter(x[own], y[own], s=26, color=COLOURS[1 + place % (len(COLOURS) - 1)], alpha=0.8, linewidths=0)
        slope, intercept = self.line
        if np.isfinite(slope):
            ends = np.array([np.nanmin(x), np.nanmax(x)])
            axes.plot(ends, slope * ends + intercept, color="black", linewidth=1.6)
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.y_label)
        axes.set_title(self.note, loc="left", fontsize=10)


def scatter_and_curves_figure(
    scatter: ScatterPanel, curves: CurvePanel, *, title: str = "", simulated: bool = False
) -> Figure:
    """Draw a scatter plot beside curves.

    Parameters
    ----------
    scatter
        On the left.
    curves
        On the right.
    title
        Above both.
    simulated
        Say in the title that the mouse is simulated.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.
    """
    with figure_of((PAIR_WIDTH_IN, SCATTER_IN[1] + HEADING_IN), title, simulated) as figure:
        axes = figure.subplots(1, 2)
        scatter.draw(axes[0])
        curves.draw(axes[1])
    return figure


def p_text(p: float) -> str:
    """A p value as text: "p = 0.023", or "p = 4 × 10⁻⁸" for small ones; "p not defined" for NaN.

    Parameters
    ----------
    p
        0..1.

    Returns
    -------
    str
        Two digits.
    """
    if math.isnan(p):
        return "p not defined"
    if p >= SMALLEST_PLAIN or p == 0:
        return f"p = {p:.2g}"
    digits, exponent = f"{p:.0e}".split("e")
    return f"p = {digits} × 10{str(int(exponent)).translate(RAISED)}"
