"""Where every tile of the board lies; plain geometry, one unit: world units of the viewer.

A world unit is a pixel of the movie, or a degree where the session knows its screen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GAP_PX = 4.0
TITLE_PX = 6.5
"""Room above a tile for its title."""
LEGEND_PX = 9.0
"""Room below the movies for the outlines' legend and the colour bar."""
RASTER_HEIGHT_PX = 64.0
LOWEST_RASTER_PX, HIGHEST_RASTER_PX = 36.0, 260.0
RASTER_STEP_PX = 2.0
"""Rasters grow in steps, so that a window that changes a little keeps its board."""
CURVES_PX = 8.0
"""Above the rasters, of the height that is theirs: curves of activity."""
RASTER_GAP_PX, BARS_MARGIN_PX = 10.0, 1.0
"""Between the rasters, where the bars of the rows are."""
TIME_AXIS_PX = 6.0
"""Room below the rasters for the seconds."""


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
            The point, world units.
        rows, columns
            Size of the array.

        Returns
        -------
        tuple[int, int] or None
            Row and column; None outside the box.
        """
        row, column = int((y - self.top) // (self.height / rows)), int((x - self.left) // (self.width / columns))
        return (row, column) if 0 <= row < rows and 0 <= column < columns else None


@dataclass(frozen=True)
class BoardLayout:
    """The movies in a row, the rasters side by side below.

    Parameters
    ----------
    columns
        Movies in the row: 3, or 4 with a run to compare.
    frames
        Length of the clip; the rasters have a column a frame.
    rows, cols
        Pixels of a movie.
    pitch
        World units a pixel.
    raster_height
        Of the rasters, in pixels of the movie.
    gridded
        Every tile at the same place, for napari's grid, where each has a canvas of its own.
    """

    columns: int = 3
    frames: int = 300
    rows: int = 36
    cols: int = 64
    pitch: float = 1.0
    raster_height: float = RASTER_HEIGHT_PX
    gridded: bool = False

    def filling(self, height: float, width: float) -> BoardLayout:
        """The same board with rasters as high as a canvas of that shape has room for."""
        others = self.extent.height / self.pitch - self.raster_height
        room = self.width / self.pitch * height / width - others if width > 0 else RASTER_HEIGHT_PX
        steps = min(max(room, LOWEST_RASTER_PX), HIGHEST_RASTER_PX) // RASTER_STEP_PX
        return replace(self, raster_height=steps * RASTER_STEP_PX)

    @property
    def width(self) -> float:
        """From the left edge of the first movie to the right edge of the last."""
        return self.pitch * (self.columns * self.cols + (self.columns - 1) * GAP_PX)

    def movie(self, column: int) -> Box:
        """The place of one movie."""
        left = 0.0 if self.gridded else self.pitch * column * (self.cols + GAP_PX)
        return Box(0.0, left, self.pitch * self.rows, self.pitch * self.cols)

    @property
    def movies(self) -> Box:
        """All movies with the legend below them."""
        if self.gridded:
            return self.movie(0)
        return Box(0.0, 0.0, self.pitch * (self.rows + LEGEND_PX), self.width)

    @property
    def cursor_columns(self) -> int:
        """From a frame of the first raster to the same frame of the second, in raster columns."""
        if self.gridded:
            return 0
        # Whole columns apart, so that one line drawn twice in one array fits both rasters exactly.
        return round((self.width + RASTER_GAP_PX * self.pitch) / (2 * self._raster_width) * self.frames)

    @property
    def _raster_width(self) -> float:
        return (self.width - RASTER_GAP_PX * self.pitch) / 2

    def raster(self, column: int) -> Box:
        """The place of one raster."""
        if self.gridded:
            return self.movie(0)
        top = self.pitch * (self.rows + LEGEND_PX + TITLE_PX + CURVES_PX)
        left = column * self.cursor_columns * self._raster_width / self.frames
        return Box(top, left, self.pitch * (self.raster_height - CURVES_PX), self._raster_width)

    @property
    def rasters(self) -> Box:
        """Both rasters with the gap between them."""
        first, last = self.raster(0), self.raster(1)
        return Box(first.top, first.left, first.height, last.right - first.left)

    @property
    def curves(self) -> Box:
        """The curves above both rasters, and the gap between them."""
        rasters, height = self.rasters, CURVES_PX * self.pitch
        return Box(rasters.top - height, rasters.left, height, rasters.width)

    @property
    def activity(self) -> Box:
        """Rasters and curves."""
        curves, rasters = self.curves, self.rasters
        return Box(curves.top, curves.left, rasters.bottom - curves.top, rasters.width)

    @property
    def bars(self) -> Box:
        """Between the rasters: a bar for each row."""
        first, second, margin = self.raster(0), self.raster(1), BARS_MARGIN_PX * self.pitch
        return Box(first.top, first.right + margin, first.height, second.left - first.right - 2 * margin)

    @property
    def extent(self) -> Box:
        """Everything, titles and axes included."""
        if self.gridded:
            return self.movie(0)
        top = -2 * TITLE_PX * self.pitch
        return Box(top, 0.0, self.rasters.bottom + TIME_AXIS_PX * self.pitch - top, self.width)
