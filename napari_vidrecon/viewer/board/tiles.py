"""Where every tile of the stage lies, in world units: a pixel of the movie is one, or as many degrees as it has.

`arranging` works it out from the size of the canvas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from napari_vidrecon.viewer.choices import Layout

GAP_PX, LINE_PX = 8.0, 19.0
"""Screen pixels between tiles, and for a line of text with the room it needs."""
STRIP_PX, AXIS_PX = 44.0, 17.0
"""Least height of the strip of correlation over time, and of the seconds below it."""
LEAST_STRIP_PX = 24.0
LEGEND_LINES, SHORT_LEGEND_LINES = 4, 2
"""Of a narrow panel: the clip, both masks, the colours of the error; a wide one has them in two."""
WIDE_PANEL_PX = 560.0
CURVES_PX = 34.0
"""Above the rasters: curves of activity."""
RASTER_GAP_PX, BARS_MARGIN_PX = 34.0, 4.0
"""Between the rasters, where the bars of the rows are."""


@dataclass(frozen=True)
class Box:
    """A rectangle; an array shown in it fills it from edge to edge.

    Parameters
    ----------
    top, left
        Its first corner, world units.
    height, width
        Its size, world units.
    """

    top: float
    left: float
    height: float
    width: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height

    @property
    def area(self) -> float:
        """Its height times its width."""
        return self.height * self.width

    def times(self, factor: float) -> Box:
        """The same in another unit."""
        return Box(self.top * factor, self.left * factor, self.height * factor, self.width * factor)

    def scale(self, rows: int, columns: int) -> tuple[float, float]:
        """Size of one element of a (rows, columns) array that fills the box."""
        return self.height / rows, self.width / columns

    def translate(self, rows: int, columns: int) -> tuple[float, float]:
        """Middle of that array's first element."""
        row, column = self.scale(rows, columns)
        return self.top + row / 2, self.left + column / 2

    def element(self, y: float, x: float, rows: int, columns: int) -> tuple[int, int] | None:
        """The element of an array in the box that lies under a point.

        Parameters
        ----------
        y, x
            The point, world units; napari's is nowhere (NaN) where a camera sees nothing.
        rows, columns
            Size of the array.

        Returns
        -------
        tuple[int, int] or None
            Row and column; None outside the box.
        """
        row, column = (y - self.top) // (self.height / rows), (x - self.left) // (self.width / columns)
        return (int(row), int(column)) if 0 <= row < rows and 0 <= column < columns else None


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds them all."""
    held = list(boxes)
    top, left = min(box.top for box in held), min(box.left for box in held)
    return Box(top, left, max(box.bottom for box in held) - top, max(box.right for box in held) - left)


@dataclass(frozen=True)
class Clip:
    """What the tiles are made for.

    Parameters
    ----------
    frames
        Length of the clip; the rasters have a column a frame.
    rows, cols
        Pixels of a movie.
    pitch
        World units a pixel.
    """

    frames: int = 300
    rows: int = 36
    cols: int = 64
    pitch: float = 1.0

    @property
    def aspect(self) -> float:
        """Height of a movie by its width."""
        return self.rows / self.cols


@dataclass(frozen=True)
class Words:
    """How much is written on a canvas.

    Parameters
    ----------
    lines
        Of the legend: 4 for all of it, 2 for the clip and the colours of the error, 1 for the clip alone.
    strip_px
        Least height of the strip of correlation over time; 0 for none.
    axis
        Seconds and a title are written at strip and rasters.
    titles
        Each movie has a title.
    """

    lines: int = LEGEND_LINES
    strip_px: float = STRIP_PX
    axis: bool = True
    titles: bool = True

    @property
    def title_px(self) -> float:
        """Room for a title."""
        return LINE_PX if self.titles else 0.0

    def legend_px(self, width: float) -> float:
        """Room for the legend in a panel of that width."""
        wide = self.lines >= LEGEND_LINES and width >= WIDE_PANEL_PX
        return LINE_PX * (2 if wide else self.lines)

    def strip_room(self) -> float:
        """Room for the strip with what is written at it."""
        return self.strip_px + (LINE_PX + AXIS_PX if self.axis and self.strip_px else 0.0)


WORDS = (
    Words(),
    Words(lines=1),
    Words(lines=1, strip_px=LEAST_STRIP_PX, axis=False),
    Words(lines=0, strip_px=LEAST_STRIP_PX, axis=False),
    Words(lines=0, strip_px=0.0, axis=False),
    Words(lines=0, strip_px=0.0, axis=False, titles=False),
)
"""From all to nothing; a canvas gets the first that leaves the movies their share."""


@dataclass(frozen=True)
class BoardLayout:
    """Where movies, rasters, strip and words lie.

    Parameters
    ----------
    clip
        What the tiles are made for.
    unit
        World units a pixel of the screen; where letters are larger, as many pixels as they are larger.
    canvas
        All of it, world units, as the other boxes.
    tiles
        The movies: stimulus, reconstruction, the run to compare, the error; as many as there are.
    panel
        Where the words about all tiles are.
    strip
        The correlation over time; None where it is not shown.
    raster_tiles
        Recorded and predicted activity; none where they are not shown.
    kind
        Which layout it is.
    others
        Further movies, as many as a layout has: of runs to compare, or of other clips.
    differences
        Where those differ; none but for runs to compare.
    words
        How much is written; less where the canvas is small.
    titles_beside
        The titles of the movies are in the panel beside them, and not above each.
    gridded
        Every tile at the same place, for napari's grid, where each has a canvas of its own.
    letters
        How large letters are, 1.0 for their usual size.
    """

    clip: Clip
    unit: float
    canvas: Box
    tiles: tuple[Box, ...]
    panel: Box
    strip: Box | None = None
    raster_tiles: tuple[Box, ...] = ()
    kind: Layout = Layout.WATCH
    others: tuple[Box, ...] = ()
    differences: tuple[Box, ...] = ()
    words: Words = WORDS[0]
    titles_beside: bool = False
    gridded: bool = False
    letters: float = 1.0

    @property
    def pixel(self) -> float:
        """World units a pixel of the screen, however large letters are."""
        return self.unit / self.letters

    @property
    def frames(self) -> int:
        """Length of the clip."""
        return self.clip.frames

    @property
    def rows(self) -> int:
        """Of a movie, pixels."""
        return self.clip.rows

    @property
    def cols(self) -> int:
        """Of a movie, pixels."""
        return self.clip.cols

    @property
    def pitch(self) -> float:
        """World units a pixel of a movie."""
        return self.clip.pitch

    @property
    def columns(self) -> int:
        """Number of movies."""
        return len(self.tiles)

    def movie(self, number: int) -> Box:
        """The place of one movie; the last one's where there are fewer."""
        return self.tiles[min(number, len(self.tiles) - 1)]

    @property
    def all_movies(self) -> tuple[Box, ...]:
        """Every place where a movie, or a difference of two, is."""
        return (*self.tiles, *self.others, *self.differences)

    @property
    def movies(self) -> Box:
        """All movies, and the legend where the panel holds one."""
        return self.tiles[0] if self.gridded else around([*self.all_movies, self.panel])

    @property
    def movie_share(self) -> float:
        """Share of the canvas that the movies take, 0..1."""
        return sum(tile.area for tile in self.all_movies) / self.canvas.area

    @property
    def has_rasters(self) -> bool:
        """Whether the activity is shown."""
        return self.gridded or bool(self.raster_tiles)

    @property
    def cursor_columns(self) -> int:
        """From a frame of the first raster to the same frame of the second, in raster columns."""
        if len(self.raster_tiles) < 2:
            return 0
        first, second = self.raster_tiles
        return round((second.left - first.left) / first.width * self.frames)

    def raster(self, number: int) -> Box:
        """The place of one raster; where there are none, they are not shown and lie anywhere on the canvas."""
        if self.gridded:
            return self.tiles[0]
        return self.raster_tiles[number] if self.raster_tiles else self.strip or self.canvas

    @property
    def rasters(self) -> Box:
        """Both rasters with the gap between them; the strip where that is shown instead."""
        return around((self.raster(0), self.raster(1)))

    @property
    def curves(self) -> Box:
        """The curves above both rasters, and the gap between them."""
        if not self.raster_tiles:
            return self.rasters
        rasters, height = self.rasters, CURVES_PX * self.unit
        return Box(rasters.top - height, rasters.left, height, rasters.width)

    @property
    def activity(self) -> Box:
        """Rasters and curves; the strip where that is shown instead."""
        if not self.raster_tiles:
            return self.rasters
        curves, rasters = self.curves, self.rasters
        return Box(curves.top, curves.left, rasters.bottom - curves.top, rasters.width)

    @property
    def bars(self) -> Box:
        """Between the rasters: a bar for each row."""
        if not self.raster_tiles:
            return self.rasters
        first, second, margin = self.raster(0), self.raster(1), BARS_MARGIN_PX * self.unit
        return Box(first.top, first.right + margin, first.height, second.left - first.right - 2 * margin)

    @property
    def extent(self) -> Box:
        """Everything, titles and axes included."""
        return self.tiles[0] if self.gridded else self.canvas

    @property
    def titled(self) -> bool:
        """Whether the movies have titles."""
        return self.words.titles

    @property
    def legend(self) -> tuple[Box, ...]:
        """A line each: the clip, the evaluation mask, the training mask, the colours of the error.

        Or only the first and the last, or the first; none where the canvas is too small for any.
        """
        line, panel = LINE_PX * self.unit, self.panel
        count = min(self.words.lines, LEGEND_LINES)
        if self.titles_beside:
            # The first line is the first movie's title.
            panel = replace(panel, top=panel.top + line, height=panel.height - line)
        if count < LEGEND_LINES or panel.width < WIDE_PANEL_PX * self.unit:
            return tuple(Box(panel.top + n * line, panel.left, line, panel.width) for n in range(count))
        third = panel.width / (LEGEND_LINES - 1)
        below = [Box(panel.top + line, panel.left + n * third, line, third - GAP_PX * self.unit) for n in range(3)]
        return (Box(panel.top, panel.left, line, panel.width), *below)

    @property
    def colours(self) -> Box | None:
        """The line of the legend for the colours of the error; None where there is no room for it."""
        return self.legend[-1] if len(self.legend) >= SHORT_LEGEND_LINES else None

    def in_units_of(self, unit: float) -> BoardLayout:
        """The same with every length times that many world units."""

        def times(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
            return tuple(box.times(unit) for box in boxes)

        return replace(
            self,
            unit=unit,
            canvas=self.canvas.times(unit),
            tiles=times(self.tiles),
            panel=self.panel.times(unit),
            strip=None if self.strip is None else self.strip.times(unit),
            raster_tiles=times(self.raster_tiles),
            others=times(self.others),
            differences=times(self.differences),
        )
