"""Coloured cells: numbers over two quantities, and maps of the whole screen with eccentricity.

Source: after Bauer et al. 2026, Fig. 4 C, D and its supplements, and Fig. 1-S3.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import matplotlib
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.analysis.postprocess import mask_outline
from napari_vidrecon.figures.frame import OUTLINE_COLOUR, box_in, figure_of
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.sessions.screen import ScreenGeometry

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


MAP_WIDTH_IN, ROW_IN, LEFT_IN, HEAD_IN = 3.5, 1.95, 1.0, 0.55
RING_STEP_DEG, LARGEST_RING_DEG = 10.0, 70.0
SPOKES, SPOKE_PX = 8, 60.0
NAMED_RINGS_DEG = (20.0, 40.0, 60.0)
NAME_WIDTH = 0.16  # of a ring's name, in shares of a map's height
LINE_COLOUR = "#808080"  # seen on white and on the dark end of the colours
BAR_PLACE = (1.02, 0.0, 0.03, 1.0)  # beside the map and as high as it, in shares of its size
COLUMN_INTERVALS, ROW_INTERVALS = 4, 2  # between labelled pixels; a narrow screen has half as many
NARROW_PX = 32
NARROW_LETTERS = 16
NARROWEST_IN = 4.5  # room for the heading


@dataclass(frozen=True, eq=False)
class ScreenMap:
    """A number for every pixel of the screen.

    Parameters
    ----------
    values
        (36, 64); NaN stays white.
    title
        What it shows.
    limits
        Values at the ends of the colours.
    colours
        Name of the colour map.
    bar_label
        What the colours mean, with the unit.
    outlines
        Masks (36, 64) whose edge is drawn.
    """

    values: ArrayLike
    title: str
    limits: tuple[float, float] = (0.0, 1.0)
    colours: str = "viridis"
    bar_label: str = ""
    outlines: Sequence[ArrayLike] = field(default=())

    def part(self, place: int, parts: int) -> ScreenMap:
        """One of so many equal parts, from top to bottom: what one colour of the screen shows."""
        if parts == 1:
            return self
        height = len(np.asarray(self.values)) // parts
        rows = slice(place * height, (place + 1) * height)
        outlines = [np.asarray(each)[rows] for each in self.outlines]
        return replace(self, values=np.asarray(self.values)[rows], outlines=outlines)


def screen_maps_figure(
    rows: Sequence[Sequence[ScreenMap]],
    row_labels: Sequence[str],
    *,
    title: str = "",
    rings: bool = True,
    screen: ScreenGeometry | None = None,
    simulated: bool = False,
) -> Figure:
    """Draw rows of maps, each as large as the screen.

    Parameters
    ----------
    rows
        The maps of each mouse.
    row_labels
        Names of the mice.
    title
        Above all of them.
    rings
        Dashed circles every 10 degrees of eccentricity, and eight spokes.
    screen
        Its size and distance; None: as in the public recordings. Each of its colours has a row of its own.
    simulated
        Say in the title that the mouse is simulated.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No map, or as many labels as do not fit.
    """
    if not rows or not all(rows) or len(rows) != len(row_labels):
        raise ValueError(f"{len(rows)} rows of maps and {len(row_labels)} labels; expected as many, and at least one")
    whole = screen or ScreenGeometry()
    geometry = whole.one_colour
    colours = whole.colours or ("",)
    row_labels = [f"{colour}\n{label}".strip() for label in row_labels for colour in colours]
    rows = [[each.part(place, len(colours)) for each in row] for row in rows for place in range(len(colours))]
    columns = max(len(row) for row in rows)
    width_in = LEFT_IN + columns * min(MAP_WIDTH_IN, HEAD_IN + ROW_IN * geometry.cols / geometry.rows)
    with figure_of(
        (max(width_in, NARROWEST_IN), HEAD_IN + len(rows) * ROW_IN), title, simulated, heading_points=11
    ) as figure:
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for index, (row, places, label) in enumerate(zip(rows, axes, row_labels, strict=True)):
            for screen_map, place in zip(row, places, strict=False):
                _draw_map(figure, place, screen_map, geometry)
                if rings:
                    draw_eccentricity(place, geometry)
                if index == len(rows) - 1:
                    place.set_xlabel("column (px)")
            for place in places[len(row) :]:
                place.set_axis_off()
            places[0].set_ylabel(f"{label}\nrow (px)".strip())
    return figure


def mask_figure(mask: AlphaMask, name: str, screen: ScreenGeometry | None = None) -> Figure:
    """Alpha over the screen, with the outlines of where movies are reconstructed and where they are measured.

    Parameters
    ----------
    mask
        The mask.
    name
        Whose it is, with "simulated" where the mouse is.
    screen
        Its size and distance; None: as in the public recordings.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.
    """
    training, evaluation = (mask.binary(threshold) for threshold in (TRAINING_THRESHOLD, EVALUATION_THRESHOLD))
    sizes = (
        f"alpha >= {TRAINING_THRESHOLD:g}: {training.sum()} px",
        f">= {EVALUATION_THRESHOLD:g}: {evaluation.sum()} px",
    )
    alpha = ScreenMap(
        mask.screen,
        ", ".join(sizes) if screen is None or not screen.colours else ",\n".join(sizes) + " in all",
        limits=(0.0, max(1.4, float(mask.screen.max()))),
        bar_label="alpha",
        outlines=(training, evaluation),
    )
    return screen_maps_figure([[alpha]], [""], title=f"{name}: transparency mask", screen=screen)


def draw_eccentricity(axes: Axes, screen: ScreenGeometry) -> None:
    """Draw dashed rings every 10 degrees around straight ahead and a spoke every 45, and name some of the rings."""
    row, column = screen.centre
    turn = np.linspace(0.0, 2.0 * np.pi, 361)
    named_px = 0.0
    for degrees in np.arange(RING_STEP_DEG, LARGEST_RING_DEG + 1, RING_STEP_DEG):
        radius = screen.eccentricity_radius_px(float(degrees))
        _dashed(axes, column + radius * np.cos(turn), row + radius / screen.pixel_height_over_width * np.sin(turn))
        if degrees in NAMED_RINGS_DEG and radius - named_px > NAME_WIDTH * screen.rows:
            named_px = radius
            text = axes.text(column + radius, row, f"{degrees:g}°", fontsize=7, ha="center", va="center")
            text.set_path_effects([patheffects.withStroke(linewidth=2, foreground="white")])
    for angle in np.arange(SPOKES) * 2.0 * np.pi / SPOKES:
        ends = np.array([0.0, SPOKE_PX])
        _dashed(axes, column + ends * np.cos(angle), row + ends / screen.pixel_height_over_width * np.sin(angle))
    axes.set_xlim(-0.5, screen.cols - 0.5)
    axes.set_ylim(screen.rows - 0.5, -0.5)


def _dashed(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    axes.plot(x, y, color=LINE_COLOUR, linewidth=0.8, linestyle=(0, (4, 3)))


def _labelled_px(pixels: int, intervals: int) -> list[int]:
    """The first pixel, the last, and some between."""
    step = max(1, pixels // intervals)
    return [*range(0, min(step * intervals, pixels - 1), step), pixels - 1]


def _draw_map(figure: Figure, axes: Axes, screen_map: ScreenMap, screen: ScreenGeometry) -> None:
    values, scale = np.asarray(screen_map.values, dtype=float), Normalize(*screen_map.limits)
    axes.imshow(values, cmap=screen_map.colours, norm=scale, interpolation="nearest")
    for mask in screen_map.outlines:
        for line in mask_outline(mask):
            axes.plot(*line.T, color="black", linewidth=2.2, alpha=0.6)
            axes.plot(*line.T, color=OUTLINE_COLOUR, linewidth=1.2)
    narrow = screen.cols <= NARROW_PX
    axes.set_title(textwrap.fill(screen_map.title, NARROW_LETTERS) if narrow else screen_map.title, loc="left")
    axes.set_xticks(_labelled_px(screen.cols, ROW_INTERVALS if narrow else COLUMN_INTERVALS))
    axes.set_yticks(_labelled_px(screen.rows, ROW_INTERVALS))
    axes.set_xlim(-0.5, screen.cols - 0.5)
    axes.set_ylim(screen.rows - 0.5, -0.5)
    box_in(axes)
    mappable, place = ScalarMappable(scale, screen_map.colours), axes.inset_axes(BAR_PLACE)
    bar = figure.colorbar(mappable, cax=place, extend=bar_ends(values, screen_map.limits))
    bar.ax.set_ylabel(screen_map.bar_label)
    bar.outline.set_visible(False)
    for spine in bar.ax.spines.values():
        spine.set_visible(False)
