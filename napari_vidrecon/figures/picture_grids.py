"""Grids of single pictures (stimuli over two quantities, clips, clips in pairs), and the mosaic of many movies.

Source: after Bauer et al. 2026, Fig. 4 A, B, 4-S1 A, B, 6E, the last supplementary one, and Videos 1 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from napari_vidrecon.figures.frame import Window, draw_picture, figure_of
from napari_vidrecon.figures.frame_rows import draw_expectation_scale, draw_outlined
from napari_vidrecon.figures.movie import BACKGROUND, SIMULATED_LABEL, TEXT_COLOUR, Frame, grey_rgb

GAP_PX = 6
FONT_PX = 13
LABEL_WIDTH_PX = 122
LABEL_LETTERS = 16


def mosaic_frames(
    rows: Sequence[Sequence[ArrayLike]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    caption: str = "",
    scale: int = 3,
    frame_rate_hz: float = 30.0,
    simulated: bool = False,
) -> Iterator[Frame]:
    """Tile movies, a frame at a time.

    Parameters
    ----------
    rows
        Rows of movies, each (T, H, W) grey levels 0..255 or (T, H, W, 3) 8-bit; all of one T, H and W. A row may be
        shorter than the others.
    row_labels, column_labels
        Beside and above them.
    caption
        Below, after the time.
    scale
        Screen pixels for a pixel of the movie.
    frame_rate_hz
        Frames a second; the caption tells the time by it.
    simulated
        Say that the mouse is simulated.

    Returns
    -------
    Iterator[Frame]
        (height, width, 3) 8-bit RGB.

    Raises
    ------
    ValueError
        No movie, or movies of different sizes.
    """
    movies = [[np.asarray(movie) for movie in row] for row in rows]
    shapes = {movie.shape[:3] for row in movies for movie in row}
    if len(shapes) != 1:
        raise ValueError(f"the movies have shapes {sorted(shapes)}; expected one (frames, height, width)")
    frames, height, width = next(iter(shapes))
    board = _Board(movies, (height * scale, width * scale), row_labels, column_labels)
    note = "  ·  ".join(part for part in (SIMULATED_LABEL if simulated else "", caption) if part)

    def drawn() -> Iterator[Frame]:
        for index in range(frames):
            picture = board.blank(f"{index / frame_rate_hz:.2f} s   {note}")
            for row, cells in enumerate(movies):
                for column, movie in enumerate(cells):
                    frame = movie[index]
                    shown = frame.astype(np.uint8) if frame.ndim == 3 else grey_rgb(frame)
                    tile = shown.repeat(scale, axis=0).repeat(scale, axis=1)
                    top, left = board.place(row, column)
                    picture[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            yield picture

    return drawn()


class _Board:
    """Where every tile stands, and the lettering around them."""

    def __init__(
        self,
        movies: Sequence[Sequence[np.ndarray]],
        tile: tuple[int, int],
        row_labels: Sequence[str],
        column_labels: Sequence[str],
    ) -> None:
        self._tile = tile
        self._left = LABEL_WIDTH_PX if row_labels else GAP_PX
        self._top = 2 * FONT_PX if column_labels else GAP_PX
        columns = max(len(row) for row in movies)
        width = self._left + columns * (tile[1] + GAP_PX)
        height = self._top + len(movies) * (tile[0] + GAP_PX) + 2 * FONT_PX
        self._size = max(width, 420) + max(width, 420) % 2, height + height % 2
        self._font = ImageFont.load_default(size=FONT_PX)
        self._canvas = Image.new("RGB", self._size, BACKGROUND)
        draw = ImageDraw.Draw(self._canvas)
        for row, label in enumerate(row_labels):
            middle = self.place(row, 0)[0] + tile[0] // 2
            draw.text((4, middle), label[:LABEL_LETTERS], TEXT_COLOUR, self._font, anchor="lm")
        letters = max(4, tile[1] // 7)
        for column, label in enumerate(column_labels):
            left = self.place(0, column)[1]
            draw.text((left, self._top // 2), label[:letters], TEXT_COLOUR, self._font, anchor="lm")

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Top and left of a tile."""
        return self._top + row * (self._tile[0] + GAP_PX), self._left + column * (self._tile[1] + GAP_PX)

    def blank(self, text: str) -> Frame:
        """A board without tiles, with a line of text below."""
        canvas = self._canvas.copy()
        draw = ImageDraw.Draw(canvas)
        draw.text((self._left, self._size[1] - FONT_PX), text, TEXT_COLOUR, self._font, anchor="lm")
        return np.array(canvas)


TILE_WIDTH_IN, TILE_GAP_IN = 0.62, 0.05
NARROWEST_GRID_IN, LOWEST_GRID_IN = 3.0, 2.2  # smaller grids get larger tiles, so that the lettering has room
LEFT_IN, RIGHT_IN, BETWEEN_IN = 1.05, 0.15, 0.35
TITLE_IN, NAME_IN, BELOW_IN = 0.4, 0.32, 0.38
LABEL_POINTS, LINE_IN = 9, 0.17

MAP_WIDTH_IN, MAP_GAP_IN, MAP_NAME_IN = 2.2, 0.08, 0.24
EDGE_IN, HEADING_IN, SCALE_IN = 0.15, 0.45, 0.5

CLIP_IN, CLIP_GAP_IN, PAIR_GAP_IN = 1.7, 0.18, 0.12
LABEL_IN, SIDE_IN, NARROWEST_IN = 0.34, 0.15, 5.5
FRAME_COLOUR, FRAME_POINTS = "#D00000", 3.5
FRAMED_WORD = "excluded"
"""Said beside the frame, so that nobody has to tell red from grey."""


@dataclass(frozen=True, eq=False)
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

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

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
    with figure_of(layout.size_in, title, simulated, heading_points=11, heading_in=TITLE_IN) as figure:
        for index, grid in enumerate(grids):
            left = layout.left_in(index)
            top = layout.size_in[1] - TITLE_IN - 0.4 * NAME_IN
            figure.text(layout.x(left), layout.y(top), grid.title, va="center")
            for (row, column), _ in np.ndenumerate(np.empty(expected)):
                axes = figure.add_axes(layout.tile(index, row, column))
                draw_picture(axes, np.asarray(grid.pictures)[row, column])
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


def picture_grid_figure(
    rows: Sequence[Sequence[tuple[str, np.ndarray, np.ndarray]]],
    window: Window,
    *,
    error_limit: float,
    title: str = "",
    simulated: bool = False,
) -> Figure:
    """Draw pictures of error maps.

    Parameters
    ----------
    rows
        Name, picture (H, W, 3) and outlined mask (H, W) of each clip.
    window
        The part of the screen shown.
    error_limit
        Grey levels at which the error is opaque, for the scale.
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
        No picture.
    """
    pictures = [list(row) for row in rows if row]
    if not pictures:
        raise ValueError("there is no picture to draw")
    columns = max(len(row) for row in pictures)
    height_in = MAP_WIDTH_IN * (window[0].stop - window[0].start) / (window[1].stop - window[1].start)
    figure_in = (
        max(2 * EDGE_IN + columns * (MAP_WIDTH_IN + MAP_GAP_IN), 7.6),
        HEADING_IN + SCALE_IN + len(pictures) * (height_in + MAP_NAME_IN + MAP_GAP_IN),
    )
    with figure_of(figure_in, title, simulated, heading_in=HEADING_IN) as figure:
        for row, entries in enumerate(pictures):
            bottom_in = (
                figure_in[1] - HEADING_IN - row * (height_in + MAP_NAME_IN + MAP_GAP_IN) - MAP_NAME_IN - height_in
            )
            for column, (name, picture, mask) in enumerate(entries):
                place = (
                    (EDGE_IN + column * (MAP_WIDTH_IN + MAP_GAP_IN)) / figure_in[0],
                    bottom_in / figure_in[1],
                    MAP_WIDTH_IN / figure_in[0],
                    height_in / figure_in[1],
                )
                axes = figure.add_axes(place)
                draw_outlined(axes, picture, window, mask)
                axes.set_title(name, pad=3, fontsize=9, loc="left")
        draw_expectation_scale(figure, EDGE_IN / figure_in[0], 0.35 * SCALE_IN / figure_in[1], error_limit)
    return figure


@dataclass(frozen=True, eq=False)
class ClipPair:
    """Two pictures beside each other.

    Parameters
    ----------
    first, second
        (36, 64) grey levels.
    first_label, second_label
        Above each.
    framed
        Draw a frame around the pair.
    """

    first: ArrayLike
    second: ArrayLike
    first_label: str
    second_label: str
    framed: bool = False


def clip_pairs_figure(
    pairs: Sequence[ClipPair], *, title: str = "", columns: int = 5, simulated: bool = False
) -> Figure:
    """Draw pairs from left to right, then down.

    Parameters
    ----------
    pairs
        At least one.
    title
        Above all of them.
    columns
        Pairs beside each other, at most.
    simulated
        Say in the title that the mouse is simulated.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No pair.
    """
    if not pairs:
        raise ValueError("there is no pair to draw")
    across = min(columns, len(pairs))
    down = -(-len(pairs) // across)
    aspect = np.shape(pairs[0].first)[0] / np.shape(pairs[0].first)[1]
    tile_height = CLIP_IN * aspect
    pair_height = 2 * (LABEL_IN + tile_height) + PAIR_GAP_IN
    pairs_width = across * (CLIP_IN + CLIP_GAP_IN) - CLIP_GAP_IN
    width = max(2 * SIDE_IN + pairs_width, NARROWEST_IN)
    height = HEADING_IN + down * (pair_height + CLIP_GAP_IN)
    with figure_of((width, height), title, simulated, heading_points=11, heading_in=HEADING_IN) as figure:
        for index, pair in enumerate(pairs):
            row, column = divmod(index, across)
            left = (width - pairs_width) / 2 + column * (CLIP_IN + CLIP_GAP_IN)
            top = HEADING_IN + row * (pair_height + CLIP_GAP_IN)
            first_label = f"{pair.first_label} ({FRAMED_WORD})" if pair.framed else pair.first_label
            pictures = ((pair.first, first_label), (pair.second, pair.second_label))
            for below, (picture, label) in enumerate(pictures):
                place_top = top + LABEL_IN + below * (tile_height + LABEL_IN + PAIR_GAP_IN / 2)
                bottom = 1 - (place_top + tile_height) / height
                axes = figure.add_axes((left / width, bottom, CLIP_IN / width, tile_height / height))
                _draw_of_pair(axes, picture, label, pair.framed)
    return figure


def _draw_of_pair(axes: Axes, picture: ArrayLike, label: str, framed: bool) -> None:
    draw_picture(axes, picture)
    axes.set_title(label, fontsize=8, loc="left", pad=3, color=FRAME_COLOUR if framed else "black")
    for spine in axes.spines.values():
        spine.set(visible=framed, color=FRAME_COLOUR, linewidth=FRAME_POINTS)
