"""The strip below watched movies: how well each frame is reconstructed, over the time of the clip."""

from __future__ import annotations

import math
import time

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from napari_vidrecon import metrics
from napari_vidrecon.viewer.board.colormaps import CORRELATION_COLOUR
from napari_vidrecon.viewer.board.layers import Role, RoleLayers
from napari_vidrecon.viewer.board.tiles import BoardLayout, Box
from napari_vidrecon.viewer.model import ReconstructionModel

FINENESS = 2
"""Elements of the picture a pixel of the screen, for edges without steps."""
MOST_ELEMENTS = 2400
LINE_PX = 1.5
CURVE_COLOUR, FILL_COLOUR = (*CORRELATION_COLOUR, 255), (26, 84, 70, 255)
FRAME_COLOUR, GROUND_COLOUR = (96, 96, 96, 255), (24, 24, 28, 255)
"""The ground is dark in every theme, for the line of the present time is white."""
RESTS_S = 1.0
LOWEST, HIGHEST = 0.0, 1.0
"""Of the correlation that is drawn; what is below zero is drawn as zero."""


class CorrelationStrip:
    """Keeps the picture of the strip up to date.

    Parameters
    ----------
    layers
        Where it is found.
    model
        What is correlated.
    """

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self._drawn_s = -math.inf

    def draw(self, layout: BoardLayout) -> None:
        """Draw it in its place, or take it away where the layout has none."""
        if layout.strip is None:
            self._layers.remove(Role.STRIP)
            return
        picture = drawn(self.correlation(), layout.strip.times(1 / layout.unit))
        style = {"rgb": True, "interpolation2d": "linear"}
        self._layers.image(Role.STRIP, "correlation over time", picture, layout.strip, **style)

    def follow(self, layout: BoardLayout) -> None:
        """Draw it anew while a run goes on, now and then: its frames are all compared for it."""
        now = time.monotonic()
        if layout.strip is not None and now >= self._drawn_s + RESTS_S:
            self._drawn_s = now
            self.draw(layout)

    def correlation(self) -> np.ndarray | None:
        """(T,) correlation of every frame with the stimulus inside the evaluation mask; None before a run."""
        model = self._model
        if model.trial is None or model.video is None or model.video.shape != model.trial.video.shape:
            return None
        inside = model.mask.binary(model.evaluation_threshold)
        return metrics.frame_correlation(model.trial.video, model.video, inside)


def drawn(correlation: np.ndarray | None, strip: Box) -> np.ndarray:
    """Draw a curve between 0 and 1; (rows, columns, 4) uint8.

    Parameters
    ----------
    correlation
        (T,), NaN where there is none; None for an empty strip.
    strip
        Its size on the screen, pixels.

    Returns
    -------
    np.ndarray
        RGBA.
    """
    fineness = min(FINENESS, MOST_ELEMENTS / strip.width)
    height, width = max(round(strip.height * fineness), 2), max(round(strip.width * fineness), 2)
    picture = Picture.new("RGBA", (width, height), GROUND_COLOUR)
    pen = ImageDraw.Draw(picture)
    pen.line([(0, height // 2), (width, height // 2)], fill=FRAME_COLOUR, width=1)
    if correlation is not None:
        levels = np.clip((np.asarray(correlation) - LOWEST) / (HIGHEST - LOWEST), 0, 1)
        x = (np.arange(len(levels)) + 0.5) / len(levels) * width
        y = (1 - levels) * (height - 1)
        for part in _known_stretches(levels):
            line = list(zip(x[part].tolist(), y[part].tolist(), strict=True))
            if len(line) > 1:
                pen.polygon([(line[0][0], height), *line, (line[-1][0], height)], fill=FILL_COLOUR)
                pen.line(line, fill=CURVE_COLOUR, width=max(round(LINE_PX * fineness), 1))
    pen.rectangle([0, 0, width - 1, height - 1], outline=FRAME_COLOUR)
    return np.array(picture)


def _known_stretches(values: np.ndarray) -> list[np.ndarray]:
    known = np.flatnonzero(np.isfinite(values))
    return np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
