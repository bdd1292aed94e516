"""The picture over the movies: outlines of both masks, samples of their lines, the colour bar of the error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils import Colormap
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import binary_erosion, gaussian_filter1d

from napari_vidrecon.analysis.postprocess import mask_outline, union_crop
from napari_vidrecon.viewer.board.colormaps import EVALUATION_COLOUR, MICE_COLOURS, TRAINING_COLOUR
from napari_vidrecon.viewer.board.layers import Role, RoleLayers, redraw
from napari_vidrecon.viewer.board.tiles import LEGEND_LINES, BoardLayout, Box, around
from napari_vidrecon.viewer.model import ReconstructionModel

FINENESS = 6
"""Elements of the picture a movie pixel."""
LEGEND_FINENESS = 2
"""Elements of the legend's picture a pixel of the screen."""
SMOOTHING = 2
"""Drawn larger by this and averaged, for edges without steps."""
LINE_PX = 0.45
SHADOW_PX = 1.0
DASH_PX = 2.2
SHADOW = (0, 0, 0, 110)
STEP_PX = 0.5
ROUNDING_PX = 1.3
ROUNDING_SHARE = 0.05
"""Steps of the pixel grid are rounded off by this, but never by more than this share of a line's length."""
SAMPLE_PX = 26.0
"""Length of a sample of an outline, screen pixels, as are the measures of the colour bar."""
BAR_LEFT_PX, BAR_LEFT_SHORT_PX, BAR_PX, BAR_HEIGHT_PX = 88.0, 34.0, 90.0, 9.0
BAR_IS_SHORT_BELOW_PX = 280.0
SAMPLE_SHARE, SAMPLE_DASHES = 0.15, 5
SAMPLE_GROUND_SHARE, SAMPLE_GROUND = 0.6, (64, 64, 64, 255)
"""Thickness of a sample by the height of its line, and its dashes with the gaps between them."""
STYLE: dict[str, Any] = {"rgb": True, "interpolation2d": "linear"}
BAR_GREY = 128
"""A clear colour shows the movie through it; on the bar a middle grey stands for the movie."""

Line = np.ndarray


class Outlines:
    """Keeps two pictures over the board: the outlines of both masks, and the legend.

    Parameters
    ----------
    layers
        The board's.
    copies_of
        Those of a layer in napari's grid, where the outlines lie over every movie.
    model
        Whose masks they are.
    """

    def __init__(
        self, layers: RoleLayers, copies_of: Callable[[Layer], list[Layer]], model: ReconstructionModel
    ) -> None:
        self._layers, self._copies_of, self._model = layers, copies_of, model
        self.explains = False
        """Whether there is an error, of which the legend explains the colours."""

    def draw(self, layout: BoardLayout) -> None:
        """Draw both anew."""
        model, mask = self._model, self._model.common_mask
        error = self._layers.adopt(Role.ERROR_MAP, Image)
        bar = error.colormap if error is not None and self.explains else None
        training, evaluation = mask.binary(model.training_threshold), mask.binary(model.evaluation_threshold)
        picture = draw_outlines(layout, training, evaluation, model.masks_of_mice)
        layer = self._layers.picture(Role.MASK, "mask", *picture, **STYLE)
        for copy in self._copies_of(layer):
            redraw(copy)
        legend = draw_legend(layout, bar)
        if legend is None:
            self._layers.remove(Role.LEGEND)
        else:
            self._layers.picture(Role.LEGEND, "legend", *legend, **STYLE)


def draw_outlines(
    layout: BoardLayout, training: np.ndarray, evaluation: np.ndarray, mice: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, Box]:
    """Draw both masks in every movie; no larger than they are, for every clear pixel is drawn with every frame.

    Parameters
    ----------
    layout
        Where the movies lie.
    training, evaluation
        (36, 64) bool masks; dashed and solid.
    mice
        (36, 64) bool, the evaluation masks of each of several mice; thin lines in a colour each.

    Returns
    -------
    tuple[np.ndarray, Box]
        RGBA, (rows, columns, 4) uint8, clear where nothing is drawn, and where it lies.
    """
    tile = mask_tile(training, evaluation, mice)
    if layout.gridded or not (training | evaluation).any():
        return tile, layout.tiles[0]
    rows, columns = union_crop(training | evaluation, margin=1)
    part = tile[rows.start * FINENESS : rows.stop * FINENESS, columns.start * FINENESS : columns.stop * FINENESS]
    pitch = layout.pitch
    height, width = (rows.stop - rows.start) * pitch, (columns.stop - columns.start) * pitch
    places = [
        Box(box.top + rows.start * pitch, box.left + columns.start * pitch, height, width) for box in layout.all_movies
    ]
    return _drawn([(part, place) for place in places], around(places), FINENESS / pitch)


def draw_legend(layout: BoardLayout, error_colours: Colormap | None) -> tuple[np.ndarray, Box] | None:
    """Draw samples of the outlines, and the colours of the error.

    Parameters
    ----------
    layout
        Where the legend is.
    error_colours
        The colour map the bar shows, or None for no bar.

    Returns
    -------
    tuple[np.ndarray, Box] or None
        As of `draw_outlines`; None where the layout has no legend.
    """
    if layout.gridded:
        return None
    lines = layout.legend[1:-1] if len(layout.legend) == LEGEND_LINES else ()
    elements, sample = LEGEND_FINENESS / layout.unit, SAMPLE_PX * layout.unit
    parts = []
    for line, colour, dashed in zip(lines, (EVALUATION_COLOUR, TRAINING_COLOUR), (False, True), strict=False):
        place = Box(line.top, line.left, line.height, sample)
        parts.append((_legend_line(colour, dashed, round(sample * elements), round(line.height * elements)), place))
    if error_colours is not None and layout.colours is not None:
        bar = bar_box(layout.colours, layout.unit)
        parts.append((_colour_bar(error_colours, round(bar.height * elements), round(bar.width * elements)), bar))
    return _drawn(parts, around(place for _, place in parts), elements) if parts else None


def _drawn(parts: list[tuple[np.ndarray, Box]], box: Box, elements: float) -> tuple[np.ndarray, Box]:
    """Put pictures into their places in a larger one, of so many elements a world unit."""
    picture = np.zeros((round(box.height * elements), round(box.width * elements), 4), np.uint8)
    for part, at in parts:
        top, left = round((at.top - box.top) * elements), round((at.left - box.left) * elements)
        there = picture[top : top + part.shape[0], left : left + part.shape[1]]
        there[...] = part[: there.shape[0], : there.shape[1]]
    return picture, box


def bar_is_short(line: Box, px: float) -> bool:
    """Whether there is room for numbers only at its ends, in a line of the legend, at so many world units a pixel."""
    return line.width < BAR_IS_SHORT_BELOW_PX * px


def bar_box(line: Box, px: float) -> Box:
    """Where the colours of the error are explained: in the last line of the legend, after the low end in words."""
    left = (BAR_LEFT_SHORT_PX if bar_is_short(line, px) else BAR_LEFT_PX) * px
    width = min(BAR_PX * px, max(line.width - 2 * left, px))
    height = BAR_HEIGHT_PX * px
    return Box(line.top + (line.height - height) / 2, line.left + left, height, width)


def contours(mask: np.ndarray) -> list[Line]:
    """Closed lines around a mask, each (n, 2) as x and y in pixels from the upper left corner of the movie."""
    edge = np.array(mask.shape[::-1], dtype=np.float64)
    margin = LINE_PX / 2
    return [np.clip(_rounded(line + 0.5), margin, edge - margin) for line in mask_outline(mask)]


def _rounded(line: Line) -> Line:
    """A closed line without the steps of the pixel grid: resampled, then smoothed along its length."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(round(along[-1] / STEP_PX), 8)
    places = np.arange(count) * along[-1] / count
    sigma = min(ROUNDING_PX, ROUNDING_SHARE * along[-1]) * count / along[-1]
    smooth = [gaussian_filter1d(np.interp(places, along, line[:, axis]), sigma, mode="wrap") for axis in (0, 1)]
    closed = np.stack(smooth, axis=1)
    return np.concatenate([closed, closed[:1]])


def mask_tile(training: np.ndarray, evaluation: np.ndarray, mice: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The outlines of both masks, and of those of several mice, on one movie, RGBA uint8, clear elsewhere.

    Parameters
    ----------
    training, evaluation
        (rows, columns) bool.
    mice
        (rows, columns) bool, one a mouse; empty for one mouse.

    Returns
    -------
    np.ndarray
        (rows, columns, 4), each pixel of a movie enlarged.
    """
    rows, columns = training.shape
    canvas = _Canvas(rows, columns)
    for number, mask in enumerate(mice):
        # A pixel further in: on the outline of all, one of them would hide the other.
        inner = contours(binary_erosion(mask, border_value=1))
        canvas.draw(inner, (*MICE_COLOURS[number % len(MICE_COLOURS)], 255), LINE_PX, dashed=False)
    strokes = ((contours(training), TRAINING_COLOUR, True), (contours(evaluation), EVALUATION_COLOUR, False))
    for lines, _, dashed in strokes:
        canvas.draw(lines, SHADOW, SHADOW_PX, dashed)
    for lines, colour, dashed in strokes:
        canvas.draw(lines, (*colour, 255), LINE_PX, dashed)
    return canvas.picture()


def _legend_line(colour: tuple[int, int, int], dashed: bool, width: int, height: int) -> np.ndarray:
    sample = np.zeros((height, width, 4), np.uint8)
    thick = max(round(height * SAMPLE_SHARE), 1)
    top = (height - thick) // 2
    dash = np.arange(width) * SAMPLE_DASHES // max(width, 1) % 2 == 0
    # On a grey such as a movie has, or yellow could not be seen in a light theme.
    edge = round(height * SAMPLE_GROUND_SHARE / 2)
    sample[height // 2 - edge : height // 2 + edge] = SAMPLE_GROUND
    sample[top : top + thick, dash if dashed else slice(None)] = (*colour, 255)
    return sample


def _colour_bar(colours: Colormap, height: int, width: int) -> np.ndarray:
    mapped = colours.map(np.linspace(0, 1, width))
    shown = mapped[:, :3] * mapped[:, 3:] * 255 + BAR_GREY * (1 - mapped[:, 3:])
    bar = np.full((height, width, 4), 255, np.uint8)
    bar[..., :3] = np.round(shown)
    return bar


class _Canvas:
    """Something to draw smooth lines on; lengths in movie pixels."""

    def __init__(self, rows: float, columns: float) -> None:
        self._scale = FINENESS * SMOOTHING
        size = (round(columns * self._scale), round(rows * self._scale))
        self._image = Picture.new("RGBA", size, (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self._image)

    def draw(self, lines: Iterable[Line], colour: tuple[int, ...], width: float, dashed: bool) -> None:
        for line in lines:
            for part in _dashes(line) if dashed else [line]:
                self._pen.line(
                    (part * self._scale).ravel().tolist(), fill=colour, width=max(1, round(width * self._scale))
                )

    def picture(self) -> np.ndarray:
        return np.array(self._image.reduce(SMOOTHING))


def _dashes(line: Line) -> list[Line]:
    """Every other stretch of a line."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    pairs = max(1, round(along[-1] / (2 * DASH_PX)))
    edges = np.linspace(0, along[-1], 2 * pairs + 1)
    parts = []
    for start, stop in zip(edges[0:-1:2], edges[1::2], strict=True):
        places = np.concatenate([[start], along[(along > start) & (along < stop)], [stop]])
        parts.append(np.stack([np.interp(places, along, line[:, axis]) for axis in (0, 1)], axis=1))
    return parts
