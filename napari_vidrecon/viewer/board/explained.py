"""How well it is explained: every watched frame in a strip, every row of the rasters by a bar, activity as curves."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils import Colormap
from PIL import Image as Picture
from PIL import ImageDraw
from psygnal import Signal

from napari_vidrecon import metrics
from napari_vidrecon.viewer.board.colormaps import BELOW_ZERO_COLOUR, CORRELATION_COLOUR
from napari_vidrecon.viewer.board.layers import Role, RoleLayers
from napari_vidrecon.viewer.board.rasters import RasterRows
from napari_vidrecon.viewer.board.tiles import BoardLayout, Box
from napari_vidrecon.viewer.model import ReconstructionModel

BAR_STEPS = 24
BAR_BACKGROUND = (0.1, 0.11, 0.13)
CHOSEN_SHADE = (0.45, 0.43, 0.15)
MOST_NAMED = 4
BAR_COLOUR, CHOSEN_COLOUR = (0.18, 0.76, 0.60), (0.94, 0.89, 0.26)
CURVE_ROWS, LEAST_CURVE_COLUMNS = 40, 1200
CURVE_HALF_WIDTH = 0.9
MARGIN_SHARE = 0.08
BACKGROUND, BRUSHED = (10, 10, 14), (40, 60, 80)
RECORDED_COLOUR, GHOST_COLOUR, PREDICTED_COLOUR = (235, 235, 235), (120, 120, 125), (240, 170, 40)
LEAST_SPAN = 1e-6


def named(neurons: np.ndarray) -> str:
    """Neurons by their numbers, the first few of many."""
    names = ", ".join(map(str, neurons[:MOST_NAMED])) + (" …" if len(neurons) > MOST_NAMED else "")
    return f"neuron{'s' if len(neurons) > 1 else ''} {names}"


class ExplainedView:
    """Keeps bars and curves up to date.

    Parameters
    ----------
    layers
        Where they are found.
    model
        What they show.
    """

    chosen_changed = Signal()
    correlation_changed = Signal()
    """Of recorded and predicted activity: another prediction is looked at."""

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self._makes = False
        self._known: tuple[object, object, np.ndarray | None] = (None, None, None)
        self.looked_at = np.empty(0, np.intp)
        """The neurons whose activity the curves show; none: the mean of all."""
        self.chosen = np.empty(0, np.intp)
        """Those that a person clicked; they are shown while the mouse points at no others."""

        self.span: tuple[int, int] | None = None
        """First and last frame of a brushed time; None: the whole clip."""

    def brush(self, span: tuple[int, int] | None) -> None:
        """Take correlations over a time alone; None: over all of the clip."""
        self.span, self._known = span, (None, None, None)
        self.chosen_changed.emit()

    def choose(self, neurons: np.ndarray) -> None:
        """Take these as the chosen ones; to choose them again lets them go."""
        again = np.array_equal(neurons, self.chosen)
        self.chosen, self.looked_at = np.empty(0, np.intp) if again else neurons, np.empty(0, np.intp)
        self.chosen_changed.emit()

    def words(self, predicted: np.ndarray | None) -> str:
        """Whose activity the curves show, and how well it is explained."""
        trial = self._model.trial
        whose = "their mean"
        if len(self.chosen):
            whose = named(self.chosen) + self.told_correlation(self.chosen, predicted)
        if self.span is None or trial is None:
            return whose
        first, last = ((self._model.clip[0] + frame) / trial.frame_rate_hz for frame in self.span)
        return f"{whose}; r of {first:.1f} to {last:.1f} s"

    def told_correlation(self, neurons: np.ndarray, predicted: np.ndarray | None) -> str:
        """Their mean correlation, as ", r = 0.42"; empty where it is not known."""
        known = self.correlation(predicted)
        if known is None or not np.isfinite(known[neurons]).any():
            return ""
        return f", r = {np.nanmean(known[neurons]):.2f}"

    def correlation(self, predicted: np.ndarray | None) -> np.ndarray | None:
        """(N,) r over time of recorded and predicted activity, NaN where there is none; None without both."""
        recorded = self._recorded
        if recorded is None or predicted is None or predicted.shape != recorded.shape:
            return None
        if self._known[0] is not recorded or self._known[1] is not predicted:
            part = slice(None) if self.span is None else slice(self.span[0], self.span[1] + 1)
            found = metrics.neuron_response_correlation(recorded[:, part], predicted[:, part])
            self._known = (recorded, predicted, found)
            self.correlation_changed.emit()
        return self._known[2]

    @property
    def _recorded(self) -> np.ndarray | None:
        trial = self._model.trial
        return trial.responses if trial is not None and trial.labelled else None

    def draw(
        self,
        layout: BoardLayout | None,
        rows: RasterRows | None,
        predicted: np.ndarray | None,
        *,
        make: bool = False,
    ) -> None:
        """Draw both.

        Parameters
        ----------
        layout
            Where they lie; None before there is a board.
        rows
            What the rasters show.
        predicted
            (N, T) what the second raster shows, where it is a prediction.
        make
            Layers that are not there, too.
        """
        if layout is None or rows is None:
            return
        self._makes = make
        if not layout.gridded and (layout.has_rasters or make):
            self._draw_bars(layout, rows, predicted)
            self.draw_curves(layout, predicted)
        for role in (Role.BARS, Role.CURVES):
            self._layers.show(self._layers.find(role), layout.has_rasters and not layout.gridded)

    def _draw_bars(self, layout: BoardLayout, rows: RasterRows, predicted: np.ndarray | None) -> None:
        known = self.correlation(predicted)
        lengths = np.zeros(rows.rows) if known is None else np.nan_to_num(rows.means(known))
        steps = (np.arange(BAR_STEPS) + 0.5) / BAR_STEPS
        picture = (steps[np.newaxis] < lengths[:, np.newaxis]).astype(np.float32)
        # A single row of hundreds could hardly be seen.
        chosen = rows.rows_of(np.concatenate([self.chosen, self.looked_at]))
        chosen = np.unique(np.clip([chosen - 1, chosen, chosen + 1], 0, rows.rows - 1)) if len(chosen) else chosen
        picture[chosen] = np.where(picture[chosen] > 0, 2.0, 0.5)
        colours = np.ones((4, 4), np.float32)
        colours[:, :3] = BAR_BACKGROUND, CHOSEN_SHADE, BAR_COLOUR, CHOSEN_COLOUR
        style = {
            "colormap": Colormap(colours, controls=[0.0, 0.25, 0.5, 1.0], name="explained"),
            "contrast_limits": (0.0, 2.0),
        }
        self._show(Role.BARS, "correlation of each row", picture, layout.bars, style)

    def draw_curves(self, layout: BoardLayout, predicted: np.ndarray | None) -> None:
        """Recorded activity above the first raster; above the second what is predicted, over the recorded."""
        recorded = self._mean(self._recorded)
        guess = self._mean(predicted)
        columns = layout.frames + layout.cursor_columns
        fineness = max(1, -(-LEAST_CURVE_COLUMNS // columns))
        picture = np.zeros((CURVE_ROWS, columns * fineness, 4), np.uint8)
        both = [curve for curve in (recorded, guess) if curve is not None and np.isfinite(curve).any()]
        low = min((float(np.nanmin(curve)) for curve in both), default=0.0)
        span = max(max((float(np.nanmax(curve)) for curve in both), default=1.0) - low, LEAST_SPAN)
        for first, curves in (
            (0, ((recorded, RECORDED_COLOUR),)),
            (layout.cursor_columns, ((recorded, GHOST_COLOUR), (guess, PREDICTED_COLOUR))),
        ):
            part = picture[:, first * fineness : (first + layout.frames) * fineness]
            part[...] = (*BACKGROUND, 255)
            if self.span is not None:
                part[:, self.span[0] * fineness : (self.span[1] + 1) * fineness, :3] = BRUSHED
            for curve, colour in curves:
                if curve is not None and len(curve) == layout.frames:
                    _draw_line(part, (curve - low) / span, colour)
        self._show(Role.CURVES, "activity of all, or of the row", picture, layout.curves, {"rgb": True})

    def _mean(self, activity: np.ndarray | None) -> np.ndarray | None:
        neurons = self._model.neurons
        if activity is None or neurons is None or len(activity) != len(neurons.keep):
            return None
        chosen = self.looked_at if len(self.looked_at) else self.chosen
        rows = activity[chosen] if len(chosen) else activity[neurons.keep]
        known = rows[~np.isnan(rows[:, 0])] if len(rows) else rows
        return known.mean(axis=0) if len(known) else None

    def _show(self, role: Role, name: str, picture: np.ndarray, at: Box, style: dict[str, Any]) -> None:
        # What a person has deleted comes back with the board.
        if self._makes or self._layers.adopt(role, Image) is not None:
            self._layers.picture(role, name, picture, at, interpolation2d="nearest", **style)


def _draw_line(picture: np.ndarray, curve: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw a curve, 0..1 from bottom to top, over a picture (rows, columns, 4); smooth at its edges."""
    rows, columns = picture.shape[:2]
    places = np.linspace(-0.5, len(curve) - 0.5, columns + 1)
    heights = np.interp(places, np.arange(len(curve)), np.nan_to_num(curve))
    heights = (rows - 1) * (1 - MARGIN_SHARE - (1 - 2 * MARGIN_SHARE) * heights)
    upper, lower = np.minimum(heights[1:], heights[:-1]), np.maximum(heights[1:], heights[:-1])
    row = np.arange(rows)[:, np.newaxis]
    away = np.maximum(np.maximum(upper - row, row - lower), 0.0)
    cover = np.clip(CURVE_HALF_WIDTH + 0.5 - away, 0.0, 1.0)[..., np.newaxis]
    picture[..., :3] = (1 - cover) * picture[..., :3] + cover * np.array(colour)


FINENESS = 2
"""Elements of the picture a pixel of the screen, for edges without steps."""
MOST_ELEMENTS = 2400
LINE_PX = 1.5
CURVE_COLOUR, FILL_COLOUR = (*CORRELATION_COLOUR, 255), (26, 84, 70, 255)
FRAME_COLOUR, GROUND_COLOUR = (96, 96, 96, 255), (24, 24, 28, 255)
"""The ground is dark in every theme, for the line of the present time is white."""
RESTS_S = 1.0
BELOW_CURVE_COLOUR, BELOW_FILL_COLOUR = (*BELOW_ZERO_COLOUR, 255), (92, 58, 78, 255)
"""Of what is below zero, which is drawn as high as it is low: an empty strip would say that nothing is known."""


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
        self.below_zero = False
        """Whether some frame of it is."""

    def draw(self, layout: BoardLayout) -> None:
        """Draw it in its place, or take it away where the layout has none."""
        if layout.strip is None:
            self._layers.remove(Role.STRIP)
            return
        correlation = self.correlation()
        self.below_zero = correlation is not None and bool((correlation < 0).any())
        picture = drawn(correlation, layout.strip.times(1 / layout.pixel))
        style: dict[str, Any] = {"rgb": True, "interpolation2d": "linear"}
        self._layers.picture(Role.STRIP, "correlation over time", picture, layout.strip, **style)

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
        inside = model.common_mask.binary(model.evaluation_threshold)
        return metrics.frame_correlation(model.trial.video, model.video, inside)


def drawn(correlation: np.ndarray | None, strip: Box) -> np.ndarray:
    """Draw a curve between 0 and 1, in another colour where it is below; (rows, columns, 4) uint8.

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
        known = np.asarray(correlation, float)
        x = (np.arange(len(known)) + 0.5) / len(known) * width
        for sign, curve, fill in ((1, CURVE_COLOUR, FILL_COLOUR), (-1, BELOW_CURVE_COLOUR, BELOW_FILL_COLOUR)):
            levels = np.clip(sign * known, 0, 1)
            y = (1 - levels) * (height - 1)
            for part in _known_stretches(levels):
                if sign < 0 and not levels[part].any():
                    continue
                line = list(zip(x[part].tolist(), y[part].tolist(), strict=True))
                if len(line) > 1:
                    pen.polygon([(line[0][0], height), *line, (line[-1][0], height)], fill=fill)
                    for piece in _pieces(line, height - 1) if sign < 0 else [line]:
                        pen.line(piece, fill=curve, width=max(round(LINE_PX * fineness), 1))
    pen.rectangle([0, 0, width - 1, height - 1], outline=FRAME_COLOUR)
    return np.array(picture)


def _pieces(line: list[tuple[float, float]], ground: float) -> list[list[tuple[float, float]]]:
    """The parts of a line that leave the ground: along it another colour is drawn."""
    return [[first, second] for first, second in pairwise(line) if min(first[1], second[1]) < ground]


def _known_stretches(values: np.ndarray) -> list[np.ndarray]:
    known = np.flatnonzero(np.isfinite(values))
    return np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
