"""Many movies on one board: the layout of the paper's videos, truth above reconstruction.

Source: Bauer et al. 2026, Videos 1 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

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
