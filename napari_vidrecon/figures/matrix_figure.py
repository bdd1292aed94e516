"""Numbers over two quantities as coloured cells, after Bauer et al. 2026, Fig. 4 C, D and its supplements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import figure_of

CELL_WIDTH_IN, CELL_HEIGHT_IN = 0.58, 0.5
FEWEST_CELLS = 5  # smaller matrices get larger cells, so that the lettering has room
MARGIN_WIDTH_IN, MARGIN_HEIGHT_IN = 1.55, 0.95
TITLE_IN = 0.4
LABEL_POINTS = 9
LUMA = (0.299, 0.587, 0.114)
DARK_BELOW = 0.5
UNDEFINED = "#D9D9D9"
SEQUENTIAL, DIVERGING = "viridis", "RdBu"
"""Both are told apart by all common kinds of colour vision; the paper's red to green is not."""


@dataclass(frozen=True, eq=False)
class MatrixPanel:
    """One matrix of numbers.

    Parameters
    ----------
    values
        (rows, columns); row 0 is drawn at the bottom. NaN is a grey cell.
    row_labels, column_labels
        Of the cells.
    row_title, column_title
        Of the axes, with units; empty where a neighbour says it.
    title
        Above the panel.
    limits
        Values at the ends of the colours.
    bar_label
        What the colours mean, with the unit.
    colours
        Name of the colour map.
    decimals
        Of the numbers in the cells.
    """

    values: ArrayLike
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    row_title: str
    column_title: str
    title: str = ""
    limits: tuple[float, float] = (0.0, 1.0)
    bar_label: str = ""
    colours: str = SEQUENTIAL
    decimals: int = 2


def matrix_figure(panels: Sequence[Sequence[MatrixPanel]], *, title: str = "", simulated: bool = False) -> Figure:
    """Draw rows of matrices, each with its numbers and its colour bar.

    Parameters
    ----------
    panels
        Rows of panels; rows may differ in length.
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
        No panel, or labels that do not fit the values.
    """
    if not panels or not all(panels):
        raise ValueError("there is no panel to draw")
    columns = max(len(row) for row in panels)
    sizes = [[_size_in(panel) for panel in row] for row in panels]
    width = max(sum(size[0] for size in row) for row in sizes)
    height = sum(max(size[1] for size in row) for row in sizes) + (TITLE_IN if title or simulated else 0.0)
    with figure_of((width, height), title, simulated, heading_points=11) as figure:
        axes = figure.subplots(len(panels), columns, squeeze=False)
        for row, places in zip(panels, axes, strict=True):
            for panel, place in zip(row, places, strict=False):
                _draw(figure, place, panel)
            for place in places[len(row) :]:
                place.set_axis_off()
    return figure


def _size_in(panel: MatrixPanel) -> tuple[float, float]:
    rows, columns = np.shape(panel.values)
    return (
        max(columns, FEWEST_CELLS) * CELL_WIDTH_IN + MARGIN_WIDTH_IN,
        max(rows, FEWEST_CELLS) * CELL_HEIGHT_IN + MARGIN_HEIGHT_IN,
    )


def _draw(figure: Figure, axes: Axes, panel: MatrixPanel) -> None:
    values = np.asarray(panel.values, dtype=float)
    if values.shape != (len(panel.row_labels), len(panel.column_labels)):
        raise ValueError(
            f"the matrix has shape {values.shape}; expected {len(panel.row_labels)} x {len(panel.column_labels)}, "
            "as many as labels"
        )
    colours = matplotlib.colormaps[panel.colours].with_extremes(bad=UNDEFINED)
    scale = Normalize(*panel.limits)
    axes.imshow(values, cmap=colours, norm=scale, origin="lower", aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        if not np.isfinite(value):
            continue
        brightness = float(np.dot(colours(scale(value))[:3], LUMA))
        axes.text(
            column,
            row,
            _number(float(value), panel.decimals),
            ha="center",
            va="center",
            fontsize=LABEL_POINTS,
            color="white" if brightness < DARK_BELOW else "black",
        )
    axes.set_xticks(range(values.shape[1]), panel.column_labels)
    axes.set_yticks(range(values.shape[0]), panel.row_labels)
    axes.tick_params(length=0, labelsize=LABEL_POINTS)
    axes.set_xlabel(panel.column_title)
    axes.set_ylabel(panel.row_title)
    axes.set_title(panel.title, loc="left")
    for spine in axes.spines.values():
        spine.set_visible(False)
    _draw_bar(figure, axes, panel, ScalarMappable(scale, colours), values)


def _draw_bar(figure: Figure, axes: Axes, panel: MatrixPanel, scale: ScalarMappable, values: np.ndarray) -> None:
    extend = bar_ends(values, panel.limits)
    bar = figure.colorbar(scale, ax=axes, pad=0.02, aspect=14, fraction=0.08, extend=extend, label=panel.bar_label)
    bar.outline.set_visible(False)


def bar_ends(values: np.ndarray, limits: tuple[float, float]) -> str:
    """Which ends of a colour bar get an arrow, because values lie beyond: "neither", "min", "max" or "both"."""
    finite = values[np.isfinite(values)]
    below, above = bool((finite < limits[0]).any()), bool((finite > limits[1]).any())
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")


def _number(value: float, decimals: int) -> str:
    """Without a leading zero, and with a true minus sign, so that cells stay narrow."""
    text = f"{abs(value):.{decimals}f}"
    rounded_to_zero = float(text) == 0
    text = text.removeprefix("0") if decimals and text.startswith("0.") else text
    return f"−{text}" if value < 0 and not rounded_to_zero else text
