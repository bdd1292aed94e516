"""Lays out a canvas of any size: a pure function from its pixels to the places of movies, rasters, strip and words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from napari_vidrecon.viewer.board.tiles import (
    AXIS_PX,
    CURVES_PX,
    GAP_PX,
    LEGEND_LINES,
    LINE_PX,
    RASTER_GAP_PX,
    SHORT_LEGEND_LINES,
    WORDS,
    BoardLayout,
    Box,
    Clip,
    Words,
)
from napari_vidrecon.viewer.choices import Layout

MARGIN_PX = 6.0
TALLEST_STRIP = 0.2
"""Of the canvas; what is left beyond it goes round the movies."""
NARROWEST_PANEL_PX, LOWEST_RASTER_PX, NARROWEST_RASTER_PX = 190.0, 60.0, 80.0
NARROWEST_TITLES_PX = 104.0
"""Beside a column of movies: "Reconstruction"."""
SMALL_SHARE = 0.6
"""Of that height, where the canvas is too small for a legend."""
WATCHED_SHARE = 0.46
"""Least share of the canvas that the movies take where they are watched; words make room for them."""
WORDY_SHARE, HARDLY_LESS = 0.8, 0.01
"""The least one where even no words would leave them less, as for a narrow screen: of what they have then."""
EXPLAINED_SHARE, LEAST_EXPLAINED_SHARE = 0.34, 0.302
"""The share they take beside rasters where there is room, and the least one."""
GRIDDED_PX = 10.0
"""In napari's own grid each tile has a canvas of its own, and the size of a movie pixel means nothing."""
CELLED = (Layout.COMPARE, Layout.PAPER)
"""Layouts of cells with two movies one above the other."""
BETWEEN_PX = 1
"""Pixels of a movie between the two of a cell."""
CELL_STEP = 0.99


def gridded(clip: Clip) -> BoardLayout:
    """Every tile at the same place."""
    tile = Box(0.0, 0.0, clip.rows * clip.pitch, clip.cols * clip.pitch)
    return BoardLayout(clip, clip.pitch / GRIDDED_PX, tile, (tile,), tile, gridded=True)


def arranged(
    kind: Layout, canvas: tuple[float, float], movies: int, clip: Clip, *, others: int = 0, letters: float = 1.0
) -> BoardLayout:
    """Lay out a canvas so that the movies are as large as they can be, or as they need be beside rasters.

    Parameters
    ----------
    kind
        Which layout.
    canvas
        Height and width on the screen, pixels.
    movies
        How many, >= 1.
    clip
        What they are made for.
    others
        How many further runs, or clips, there are for the layouts that show them.
    letters
        How large letters are, 1.0 for their usual size: with twice as large ones there is as much room for words as on
        a canvas of half the pixels.

    Returns
    -------
    BoardLayout
        In world units; its canvas begins at 0, 0.
    """
    return replace(_arranged(kind, (canvas[0] / letters, canvas[1] / letters), movies, clip, others), letters=letters)


def _arranged(kind: Layout, canvas: tuple[float, float], movies: int, clip: Clip, others: int) -> BoardLayout:
    height, width = (max(length, 10 * MARGIN_PX) for length in canvas)
    room = _Room(clip, movies, Box(0.0, 0.0, height, width))
    if kind in CELLED:
        celled = _celled(room, kind, others)
        return celled.in_units_of(clip.pitch * clip.cols / celled.tiles[0].width)
    explains = kind is Layout.EXPLAIN
    least, arrange = (LEAST_EXPLAINED_SHARE, _explaining) if explains else (WATCHED_SHARE, _watching)
    bare = arrange(room, WORDS[-1])
    if bare is not None and bare.movie_share < least - HARDLY_LESS:
        least = WORDY_SHARE * bare.movie_share
    found = []
    for words in WORDS:
        layout = arrange(room, words)
        if layout is not None:
            found.append(layout)
            if layout.movie_share >= least:
                break
    best = found[-1] if found[-1].movie_share >= least else max(found, key=lambda layout: layout.movie_share)
    return best.in_units_of(clip.pitch * clip.cols / best.tiles[0].width)


@dataclass(frozen=True)
class _Room:
    """What is to be laid out on which canvas, screen pixels.

    Parameters
    ----------
    clip
        What the movies are.
    movies
        How many.
    whole
        The canvas.
    """

    clip: Clip
    movies: int
    whole: Box

    @property
    def inner(self) -> Box:
        """Without its margins."""
        whole = self.whole
        return Box(MARGIN_PX, MARGIN_PX, whole.height - 2 * MARGIN_PX, whole.width - 2 * MARGIN_PX)

    def widest(self, columns: int, height: float, width: float, title: float) -> float:
        """Width of tiles that fill a room in so many columns; hardly any where there is none."""
        lines = math.ceil(self.movies / columns)
        by_width = (width - (columns - 1) * GAP_PX) / columns
        by_height = ((height - (lines - 1) * GAP_PX) / lines - title) / self.clip.aspect
        return max(min(by_width, by_height), 0.1)

    def block(self, columns: int, width: float, title: float) -> tuple[float, float]:
        """Height and width of tiles with their titles."""
        lines = math.ceil(self.movies / columns)
        height = lines * (title + width * self.clip.aspect) + (lines - 1) * GAP_PX
        return height, columns * width + (columns - 1) * GAP_PX

    def tiles(self, columns: int, width: float, title: float, top: float, left: float) -> tuple[Box, ...]:
        """The tiles of such a block."""
        height = width * self.clip.aspect
        places = (divmod(number, columns) for number in range(self.movies))
        return tuple(
            Box(top + title + line * (title + height + GAP_PX), left + column * (width + GAP_PX), height, width)
            for line, column in places
        )


def _watching(room: _Room, words: Words) -> BoardLayout | None:
    """The movies as large as possible; words and strip beside, below, or in a corner that is left."""
    found = [
        layout
        for columns in range(1, room.movies + 1)
        for make in (_with_panel_below, _with_panel_beside, _with_panel_in_corner)
        if (layout := make(room, words, columns)) is not None
    ]
    return max(found, key=lambda layout: layout.movie_share, default=None)


def _with_panel_below(room: _Room, words: Words, columns: int) -> BoardLayout | None:
    inner, title = room.inner, words.title_px
    least = words.legend_px(inner.width) + words.strip_room()
    free = inner.height - least - (GAP_PX if least else 0.0)
    width = room.widest(columns, free, inner.width, title)
    block = room.block(columns, width, title)
    spare = max(free - block[0], 0.0)
    more = min(spare, max(TALLEST_STRIP * room.whole.height - words.strip_px, 0.0)) if words.strip_px else 0.0
    top = inner.top + (spare - more) / 2
    tiles = room.tiles(columns, width, title, top, inner.left + (inner.width - block[1]) / 2)
    panel_top = top + block[0] + (GAP_PX if least else 0.0)
    return _watched(room, words, tiles, Box(panel_top, inner.left, least + more, inner.width))


def _with_panel_beside(room: _Room, words: Words, columns: int) -> BoardLayout | None:
    inner, beside = room.inner, columns == 1
    title = 0.0 if beside else words.title_px
    width = room.widest(columns, inner.height, inner.width - NARROWEST_PANEL_PX - GAP_PX, title)
    block = room.block(columns, width, title)
    left = inner.left + block[1] + GAP_PX
    panel = Box(inner.top, left, inner.height, inner.right - left)
    top = inner.top + max(inner.height - block[0], 0.0) / 2
    tiles = room.tiles(columns, width, title, top, inner.left)
    legend, strip = words.legend_px(panel.width), words.strip_room()
    if not beside:
        return _watched(room, words, tiles, panel) if panel.height >= legend + strip else None
    # A column's titles are in the panel: legend and strip lie below those of the first movie and of the last.
    height = width * room.clip.aspect
    if LINE_PX + legend > height or LINE_PX + strip > height:
        return None
    return _watched(room, words, tiles, replace(panel, top=top, height=block[0]), beside=True)


def _with_panel_in_corner(room: _Room, words: Words, columns: int) -> BoardLayout | None:
    lines, inner, title = math.ceil(room.movies / columns), room.inner, words.title_px
    if room.movies == lines * columns or columns == 1:
        return None
    width = room.widest(columns, inner.height, inner.width, title)
    block = room.block(columns, width, title)
    top, left = inner.top + (inner.height - block[0]) / 2, inner.left + (inner.width - block[1]) / 2
    tiles = room.tiles(columns, width, title, top, left)
    last = tiles[-1]
    panel_left = last.right + GAP_PX
    panel = Box(last.top - title, panel_left, last.height + title, left + block[1] - panel_left)
    if panel.width < NARROWEST_PANEL_PX or panel.height < words.legend_px(panel.width) + words.strip_room():
        return None
    return _watched(room, words, tiles, panel)


def _watched(room: _Room, words: Words, tiles: tuple[Box, ...], panel: Box, *, beside: bool = False) -> BoardLayout:
    strip = None
    if words.strip_px:
        axis = AXIS_PX if words.axis else 0.0
        above = words.legend_px(panel.width) + (LINE_PX if words.axis else 0.0)
        height = min(panel.height - above - axis, max(TALLEST_STRIP * room.whole.height, words.strip_px))
        if beside:
            height = min(height, tiles[-1].height - 2 * LINE_PX - axis)
        strip = Box(panel.bottom - axis - height, panel.left, height, panel.width)
    return BoardLayout(room.clip, 1.0, room.whole, tiles, panel, strip, words=words, titles_beside=beside)


def _explaining(room: _Room, words: Words) -> BoardLayout | None:
    """Movies of a share of the canvas, and as much room for the rasters as that leaves."""
    words = replace(words, strip_px=0.0, axis=words.titles)
    found = [
        made
        for columns in range(1, room.movies + 1)
        for rasters_below in (True, False)
        if (made := _with_rasters(room, words, columns, rasters_below)) is not None
    ]
    beside = _with_rasters(room, words, 1, True, titles_beside=True) if words.titles else None
    enough = [layout for layout in found if layout.movie_share >= LEAST_EXPLAINED_SHARE]
    if enough:
        return max(enough, key=lambda layout: layout.raster_tiles[0].area)
    found += [] if beside is None else [beside]
    return max(found, key=lambda layout: layout.movie_share, default=None) or _watching(room, words)


def _with_rasters(
    room: _Room, words: Words, columns: int, below: bool, *, titles_beside: bool = False
) -> BoardLayout | None:
    inner = room.inner
    panel = Box(inner.top, inner.left, 0.0 if titles_beside else words.legend_px(inner.width), inner.width)
    free = Box(panel.bottom, inner.left, inner.bottom - panel.bottom, inner.width)
    title, axis = words.title_px, AXIS_PX if words.axis else 0.0
    title_above = 0.0 if titles_beside else title
    wanted = math.sqrt(EXPLAINED_SHARE * room.whole.area / (room.movies * room.clip.aspect))
    lowest = LOWEST_RASTER_PX if words.lines else LOWEST_RASTER_PX * SMALL_SHARE
    least_height = title + CURVES_PX + lowest + axis + GAP_PX
    least_width = 2 * NARROWEST_RASTER_PX + RASTER_GAP_PX + GAP_PX
    height, width = (free.height - least_height, free.width) if below else (free.height, free.width - least_width)
    width -= NARROWEST_TITLES_PX + GAP_PX if titles_beside else 0.0
    width = min(wanted, room.widest(columns, height, width, title_above))
    block = room.block(columns, width, title_above)
    spare = (free.width - block[1]) / 2 if below and not titles_beside else 0.0
    tiles = room.tiles(columns, width, title_above, free.top, free.left + spare)
    if titles_beside:
        # The legend lies below the title of the first movie.
        if LINE_PX + words.legend_px(inner.width) > tiles[0].height:
            return None
        panel = Box(free.top, tiles[0].right + GAP_PX, block[0], inner.right - tiles[0].right - GAP_PX)
    top = free.top + title + CURVES_PX + (block[0] + GAP_PX if below else 0.0)
    left = free.left if below else free.left + block[1] + GAP_PX
    each, tall = (free.right - left - RASTER_GAP_PX) / 2, free.bottom - axis - top
    if each < NARROWEST_RASTER_PX or tall < lowest or width < 2:
        return None
    # Whole columns apart, so that one line drawn twice in one array fits both rasters exactly.
    apart = math.ceil((each + RASTER_GAP_PX) / each * room.clip.frames) / room.clip.frames
    each = (free.right - left) / (1 + apart)
    rasters = tuple(Box(top, left + number * apart * each, tall, each) for number in (0, 1))
    return BoardLayout(
        room.clip, 1.0, room.whole, tiles, panel, raster_tiles=rasters, words=words, titles_beside=titles_beside
    )


def _celled(room: _Room, kind: Layout, others: int) -> BoardLayout:
    """Cells of a title and two movies, on one grid of movie pixels so that one picture can hold all of them.

    To compare: the stimulus with the legend below, the reconstruction with the error, other runs with theirs. As in the
    paper: truth and reconstruction of the clip, and of others.

    Parameters
    ----------
    room
        The canvas.
    kind
        One of `CELLED`.
    others
        How many further cells.

    Returns
    -------
    BoardLayout
        In screen pixels.
    """
    compares = kind is Layout.COMPARE
    cells = others + (2 if compares else 1)
    found = [_cells(room, cells, columns, compares) for columns in range(1, cells + 1)]
    size, places = max(found, key=lambda cell: cell[0])
    clip = room.clip
    height, width = clip.rows * size, clip.cols * size

    def movie(cell: int, line: int) -> Box:
        top, left = places[cell]
        return Box(top + line * (clip.rows + BETWEEN_PX) * size, left, height, width)

    lines = next((lines for lines in (LEGEND_LINES, SHORT_LEGEND_LINES, 1) if height >= lines * LINE_PX), 0)
    words = replace(WORDS[0] if lines == LEGEND_LINES else WORDS[1] if lines else WORDS[-2], strip_px=0.0, lines=lines)
    if compares:
        shown = [movie(cell, line) for cell in range(2, cells) for line in (0, 1)]
        tiles = (movie(0, 0), movie(1, 0), movie(1, 1))
        return BoardLayout(
            clip, 1.0, room.whole, tiles, movie(0, 1), kind=kind, words=words,
            others=tuple(shown[::2]), differences=tuple(shown[1::2]),
        )  # fmt: skip
    inner = room.inner
    panel = Box(inner.top, inner.left, LINE_PX, inner.width)
    shown = [movie(cell, line) for cell in range(1, cells) for line in (0, 1)]
    pair = (movie(0, 0), movie(0, 1))
    return BoardLayout(
        clip, 1.0, room.whole, pair, panel, kind=kind, others=tuple(shown), words=replace(words, lines=1)
    )


def _cells(room: _Room, cells: int, columns: int, compares: bool) -> tuple[float, list[tuple[float, float]]]:
    """Screen pixels a movie pixel, and where the first movie of each cell lies."""
    inner, clip = room.inner, room.clip
    top = inner.top + (0.0 if compares else LINE_PX)
    lines = math.ceil(cells / columns)
    size = inner.width / (columns * clip.cols)
    while True:
        title, gap = math.ceil(LINE_PX / size), math.ceil(GAP_PX / size)
        down, across = title + 2 * clip.rows + BETWEEN_PX + gap, clip.cols + gap
        height, width = (lines * down - gap) * size, (columns * across - gap) * size
        if height <= inner.bottom - top and width <= inner.width:
            break
        size *= CELL_STEP
    top, left = top + (inner.bottom - top - height) / 2, inner.left + (inner.width - width) / 2
    numbers = (divmod(cell, columns) for cell in range(cells))
    return size, [(top + (line * down + title) * size, left + column * across * size) for line, column in numbers]
