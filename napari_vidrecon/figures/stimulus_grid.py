"""One frame of every stimulus of a grid, truth beside reconstruction: Bauer et al. 2026, Fig. 4 A, B and 4-S1 A, B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import figure_of, headed
from napari_vidrecon.figures.montage import GREY_RANGE

TILE_WIDTH_IN, TILE_GAP_IN = 0.62, 0.05
NARROWEST_GRID_IN, LOWEST_GRID_IN = 3.0, 2.2  # smaller grids get larger tiles, so that the lettering has room
LEFT_IN, RIGHT_IN, BETWEEN_IN = 1.05, 0.15, 0.35
TITLE_IN, NAME_IN, BELOW_IN = 0.4, 0.32, 0.38
LABEL_POINTS, LINE_IN = 9, 0.17


@dataclass(frozen=True)
class StimulusGrid:
    """Pictures over two quantities.

    Parameters
    ----------
    pictures
        (rows, columns, H, W), grey levels 0..255; row 0 is drawn at the bottom.
    title
        Above the grid.
    """

    pictures: ArrayLike
    title: str


def stimulus_grid_figure(
    grids: Sequence[StimulusGrid],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    row_title: str,
    column_title: str,
    *,
    title: str = "",
    simulated: bool = False,
) -> Figure:
    """Draw grids of pictures beside each other.

    Parameters
    ----------
    grids
        All over the same rows and columns.
    row_labels, column_labels
        Of rows, from the bottom up, and of columns.
    row_title, column_title
        What they are, with units.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.

    Raises
    ------
    ValueError
        No grid, or labels that do not fit.
    """
    shapes = {np.shape(grid.pictures) for grid in grids}
    expected = len(row_labels), len(column_labels)
    if len(shapes) != 1 or len(next(iter(shapes))) != 4 or next(iter(shapes))[:2] != expected:
        raise ValueError(f"the grids have shapes {sorted(shapes)}; expected one of {expected} pictures, as labelled")
    _, _, height, width = next(iter(shapes))
    lines = max(label.count("\n") + 1 for label in column_labels)
    layout = _Layout(len(grids), expected, height / width, BELOW_IN + lines * LINE_IN)
    with figure_of(layout.size_in, layout=None) as figure:
        heading = headed(title, simulated)
        figure.text(0.5, layout.y(layout.size_in[1] - TITLE_IN / 2), heading, ha="center", va="center", weight="bold")
        for index, grid in enumerate(grids):
            left = layout.left_in(index)
            top = layout.size_in[1] - TITLE_IN - 0.4 * NAME_IN
            figure.text(layout.x(left), layout.y(top), grid.title, va="center")
            for (row, column), _ in np.ndenumerate(np.empty(expected)):
                axes = figure.add_axes(layout.tile(index, row, column))
                picture = np.asarray(grid.pictures)[row, column]
                axes.imshow(picture, cmap="gray", vmin=GREY_RANGE[0], vmax=GREY_RANGE[1], interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                for spine in axes.spines.values():
                    spine.set_visible(False)
                if column == 0 and index == 0:
                    axes.set_ylabel(row_labels[row], rotation=0, ha="right", va="center", fontsize=LABEL_POINTS)
                if row == 0:
                    axes.set_xlabel(column_labels[column], fontsize=LABEL_POINTS, labelpad=3)
            middle_x, middle_y = layout.middle_in(index)
            figure.text(layout.x(middle_x), layout.y(0.14), column_title, ha="center", va="center")
            if index == 0:
                figure.text(layout.x(0.14), layout.y(middle_y), row_title, ha="center", va="center", rotation=90)
    return figure


class _Layout:
    """Places of everything as fractions of the figure, from lengths in inches."""

    def __init__(self, grids: int, shape: tuple[int, int], aspect: float, below_in: float) -> None:
        self._below = below_in
        enlarged = max(1.0, NARROWEST_GRID_IN / (shape[1] * TILE_WIDTH_IN))
        enlarged = max(enlarged, LOWEST_GRID_IN / (shape[0] * TILE_WIDTH_IN * aspect))
        self._tile = enlarged * TILE_WIDTH_IN, enlarged * TILE_WIDTH_IN * aspect
        self._width = shape[1] * (self._tile[0] + TILE_GAP_IN) - TILE_GAP_IN
        self._height = shape[0] * (self._tile[1] + TILE_GAP_IN) - TILE_GAP_IN
        across = LEFT_IN + grids * self._width + (grids - 1) * BETWEEN_IN + RIGHT_IN
        self.size_in = across, TITLE_IN + NAME_IN + self._height + below_in

    def x(self, inches: float) -> float:
        return inches / self.size_in[0]

    def y(self, inches: float) -> float:
        return inches / self.size_in[1]

    def left_in(self, grid: int) -> float:
        return LEFT_IN + grid * (self._width + BETWEEN_IN)

    def middle_in(self, grid: int) -> tuple[float, float]:
        return self.left_in(grid) + self._width / 2, self._below + self._height / 2

    def tile(self, grid: int, row: int, column: int) -> tuple[float, float, float, float]:
        left = self.left_in(grid) + column * (self._tile[0] + TILE_GAP_IN)
        bottom = self._below + row * (self._tile[1] + TILE_GAP_IN)
        return self.x(left), self.y(bottom), self.x(self._tile[0]), self.y(self._tile[1])
