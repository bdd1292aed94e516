"""The picture over the movies: outlines of both masks, samples of their lines, the colour bar of the error."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from napari.utils import Colormap
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d

from napari_vidrecon.analysis.postprocess import mask_outline
from napari_vidrecon.viewer.board.colormaps import EVALUATION_COLOUR, TRAINING_COLOUR
from napari_vidrecon.viewer.board.tiles import BoardLayout

FINENESS = 6
"""Elements of the picture a movie pixel."""
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
LEGEND_TOP_PX = 1.6
LEGEND_LINE_PX = 11.0
BAR_HEIGHT_PX = 2.4
BAR_GREY = 128
"""A clear colour shows the movie through it; on the bar a middle grey stands for the movie."""

Line = np.ndarray


def draw_annotations(
    layout: BoardLayout,
    training: np.ndarray,
    evaluation: np.ndarray,
    error_colours: Colormap | None,
) -> np.ndarray:
    """Draw everything; (layout.movies in elements, 4) uint8, clear where nothing is drawn.

    Parameters
    ----------
    layout
        Where the movies lie.
    training, evaluation
        (36, 64) bool masks; dashed and solid.
    error_colours
        The colour map the bar shows, or None for no bar.

    Returns
    -------
    np.ndarray
        RGBA.
    """
    tile = _tile(training, evaluation)
    if layout.gridded:
        return tile
    box = layout.movies
    height, width = (round(length / layout.pitch * FINENESS) for length in (box.height, box.width))
    picture = np.zeros((height, width, 4), np.uint8)
    for column in range(layout.columns):
        left = round(layout.movie(column).left / layout.pitch * FINENESS)
        picture[: tile.shape[0], left : left + tile.shape[1]] = tile
    top = tile.shape[0] + round(LEGEND_TOP_PX * FINENESS)
    for column, (colour, dashed) in enumerate(((EVALUATION_COLOUR, False), (TRAINING_COLOUR, True))):
        left = round(layout.movie(column).left / layout.pitch * FINENESS)
        sample = _legend_line(colour, dashed)
        picture[top : top + sample.shape[0], left : left + sample.shape[1]] = sample
    if error_colours is not None:
        left = round(layout.movie(layout.columns - 1).left / layout.pitch * FINENESS)
        bar = _colour_bar(error_colours, layout.cols * FINENESS)
        picture[top : top + bar.shape[0], left : left + bar.shape[1]] = bar
    return picture


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


def _tile(training: np.ndarray, evaluation: np.ndarray) -> np.ndarray:
    rows, columns = training.shape
    canvas = _Canvas(rows, columns)
    strokes = ((contours(training), TRAINING_COLOUR, True), (contours(evaluation), EVALUATION_COLOUR, False))
    for lines, _, dashed in strokes:
        canvas.draw(lines, SHADOW, SHADOW_PX, dashed)
    for lines, colour, dashed in strokes:
        canvas.draw(lines, (*colour, 255), LINE_PX, dashed)
    return canvas.picture()


def _legend_line(colour: tuple[int, int, int], dashed: bool) -> np.ndarray:
    canvas = _Canvas(BAR_HEIGHT_PX, LEGEND_LINE_PX)
    middle = BAR_HEIGHT_PX / 2
    line = np.stack([np.linspace(0, LEGEND_LINE_PX, 50), np.full(50, middle)], axis=1)
    canvas.draw([line], (*colour, 255), 2 * LINE_PX, dashed)
    return canvas.picture()


def _colour_bar(colours: Colormap, width: int) -> np.ndarray:
    mapped = colours.map(np.linspace(0, 1, width))
    shown = mapped[:, :3] * mapped[:, 3:] * 255 + BAR_GREY * (1 - mapped[:, 3:])
    bar = np.full((round(BAR_HEIGHT_PX * FINENESS), width, 4), 255, np.uint8)
    bar[..., :3] = np.round(shown)
    return bar


class _Canvas:
    """Something to draw smooth lines on; lengths in movie pixels."""

    def __init__(self, rows: float, columns: float) -> None:
        self._scale = FINENESS * SMOOTHING
        size = (round(columns * self._scale), round(rows * self._scale))
        self._image = Image.new("RGBA", size, (0, 0, 0, 0))
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
