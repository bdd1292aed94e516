"""The activity tiles: recorded and predicted rasters, their order, the marked rows, the line at the present time."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from psygnal import Signal

from napari_vidrecon.viewer.board.colormaps import activity_difference, cursor, marked
from napari_vidrecon.viewer.board.explained import ExplainedView
from napari_vidrecon.viewer.board.layers import Role, RoleLayers, repaint
from napari_vidrecon.viewer.board.rasters import (
    MOST_ROWS,
    NeuronOrder,
    RasterRows,
    TimeLine,
    neuron_spread,
    upper_limit,
)
from napari_vidrecon.viewer.board.tiles import BoardLayout
from napari_vidrecon.viewer.evaluation import silent_neurons
from napari_vidrecon.viewer.model import ActivityMode, ReconstructionModel, RunState

CURSOR_WIDTH_PX = 1.6
"""On the screen."""
FEWEST_ROWS, ROW_STEP = 100, 25
"""Rows are added and taken away so many at a time, so that a window that changes a little keeps its rasters."""
RASTER_COLOURS = "magma"
DIFFERENCE_SHARE = 0.5
"""Limit of the difference's colours before there is a difference, as a share of the activity's."""


class ActivityTiles:
    """Keeps the raster layers up to date.

    Parameters
    ----------
    layers
        Where they are found.
    model
        What they show.
    """

    marked_changed = Signal()

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self.ordering = NeuronOrder(model)
        self.ordering.found.connect(self.redraw_all)
        self.rows: RasterRows | None = None
        self.marked = np.empty(0, np.intp)
        self._spread = np.empty(0)
        self._limit = 1.0
        self._layout: BoardLayout | None = None
        self._line: TimeLine | None = None
        self._most_rows = MOST_ROWS
        self.explained = ExplainedView(layers, model)

    def forget(self) -> None:
        """Another session was opened: neurons mean others now, until a trial of it is on the board."""
        self.rows = None
        self.ordering.forget()
        self.explained.looked_at = self.explained.chosen = np.empty(0, np.intp)
        self.mark(np.empty(0, np.intp))

    def build(self, layout: BoardLayout) -> None:
        """Make or adopt the layers for the model's trial."""
        trial, model = self._model.trial, self._model
        assert trial is not None
        assert model.neurons is not None
        neurons, frames = len(model.neurons.keep), trial.frames
        self._spread = neuron_spread(trial.responses) if trial.labelled else np.ones(neurons)
        self.ordering.forget()
        self.explained.span = None
        self._most_rows = self._rows_on_screen(layout)
        self.arrange_rows()
        assert self.rows is not None
        if layout.has_rasters:
            self._build_rasters(layout, frames)
        if trial.labelled:
            # Of all neurons: ablated ones are dim now, and come back.
            everyone = RasterRows(self.rows.order, self._spread, np.ones(neurons, dtype=bool), self._most_rows)
            self._set_limit(upper_limit(everyone.picture(trial.responses)))
        now: dict[str, Any] = {"colormap": cursor(), "contrast_limits": (0, 1), "interpolation2d": "linear"}
        self._line = _time_line(layout)
        now["blending"] = "translucent_no_depth"
        self._layout = layout
        if layout.has_rasters:
            # Before the line, which lies above.
            self.explained.draw(layout, self.rows, self.predicted, make=True)
        self._layers.image(Role.NOW, "now", self._line.picture, layout.activity, **now)
        self.draw_line()

    def _build_rasters(self, layout: BoardLayout, frames: int) -> None:
        assert self.rows is not None
        blank = np.zeros((self.rows.rows, frames), np.float32)
        style = {"colormap": RASTER_COLOURS, "contrast_limits": (0.0, 1.0), "interpolation2d": "linear"}
        self._layers.image(Role.RECORDED, "recorded activity", blank, layout.raster(0), **style)
        self._layers.image(Role.PREDICTED, "predicted activity", blank.copy(), layout.raster(1), **style)
        apart = {**style, "colormap": activity_difference(), "contrast_limits": (-1.0, 1.0)}
        difference = self._layers.image(Role.DIFFERENCE, "activity difference", blank.copy(), layout.raster(1), **apart)
        self.draw_recorded()
        self._layers.show(difference, False)

    def arrange(self, layout: BoardLayout) -> None:
        """Put rasters, line and marks in their places."""
        boxes = {Role.RECORDED: 0, Role.PREDICTED: 1, Role.DIFFERENCE: 1}
        for role, column in boxes.items():
            layer = self._layers.adopt(role, Image)
            if layer is not None:
                self._layers.place(layer, layout.raster(column))
        now = self._layers.adopt(Role.NOW, Image)
        if now is not None:
            if layout != self._layout:
                self._line = _time_line(layout)
                now.data = self._line.picture
            self._layers.place(now, layout.activity)
            self.draw_line()
        self._layout = layout
        marks = self._layers.adopt(Role.MARKED, Image)
        if marks is not None:
            self._layers.place(marks, layout.rasters)
        most_rows = self._rows_on_screen(layout) if layout.has_rasters else self._most_rows
        if most_rows != self._most_rows:
            self._most_rows = most_rows
            self.redraw_all()
        else:
            self._draw_explained()

    def _rows_on_screen(self, layout: BoardLayout) -> int:
        """As many rows as a raster has pixels on the screen: more would flicker in and out of sight."""
        (height, width), extent = self._layers.viewer.canvas.size, layout.extent
        zoom = min(height / extent.height, width / extent.width)
        steps = int(layout.raster(0).height * zoom) // ROW_STEP
        return int(np.clip(steps * ROW_STEP, FEWEST_ROWS, MOST_ROWS))

    def arrange_rows(self) -> None:
        """Sort the neurons into rows as the model asks; ablated ones become dim."""
        assert self._model.neurons is not None
        order, silent = self.ordering.order(), silent_neurons(self._model.trial)
        if len(silent) == len(order):
            order = order[~silent[order]]
        self.rows = RasterRows(order, self._spread, self._model.neurons.keep, self._most_rows)

    def redraw_all(self) -> None:
        """Neurons changed, or their order: draw every raster anew."""
        if self.rows is None:
            return
        self.arrange_rows()
        self.draw_recorded()
        self.draw_predicted()
        self._draw_marks()

    def draw_recorded(self) -> None:
        """The activity of the trial."""
        trial = self._model.trial
        self._draw(Role.RECORDED, trial.responses if trial is not None and trial.labelled else None)

    def draw_line(self) -> None:
        """Put the line of both rasters at the frame on display.

        The layer follows the slider here and not through an axis of time, which would cost napari four times as
        much for every frame.
        """
        now = self._layers.adopt(Role.NOW, Image)
        if self._line is not None and now is not None and now.data is self._line.picture:
            self._line.move(self._layers.frame)
            repaint(now)

    def draw_predicted(self) -> None:
        """Activity predicted from the stimulus or from the reconstruction, or what the two differ by."""
        model, mode = self._model, self._model.activity_mode
        from_stimulus, from_video = model.stimulus_prediction, model.reconstruction_prediction
        difference = mode == ActivityMode.DIFFERENCE
        self._layers.show(self._layers.find(Role.PREDICTED), not difference)
        self._layers.show(self._layers.find(Role.DIFFERENCE), difference)
        if not difference:
            self._draw(Role.PREDICTED, from_stimulus if mode == ActivityMode.FROM_STIMULUS else from_video)
        elif from_stimulus is None or from_video is None or from_stimulus.shape != from_video.shape:
            self._draw(Role.DIFFERENCE, None)
        else:
            # NaN, where a neuron is not in the loss, stays NaN and is left out of its row.
            self._draw(Role.DIFFERENCE, from_video - from_stimulus)
            self._settle_difference()
        self._draw_explained()

    @property
    def predicted(self) -> np.ndarray | None:
        """(N, T) the prediction that bars and curves are of: what the second raster shows, or is made from."""
        from_stimulus = self._model.activity_mode == ActivityMode.FROM_STIMULUS
        return self._model.stimulus_prediction if from_stimulus else self._model.reconstruction_prediction

    def look_at(self, neurons: np.ndarray) -> None:
        """Show the activity of these neurons above the rasters; of none: of those chosen, or of all."""
        if self._layout is not None and not self._layout.gridded and self.rows is not None:
            if np.array_equal(neurons, self.explained.looked_at):
                return
            self.explained.looked_at = neurons
            self._draw_explained()

    def brush(self, span: tuple[int, int] | None) -> None:
        """Let the bars show the correlation over a time alone, first and last frame; None: over all of the clip."""
        self.explained.brush(span)
        self._draw_explained()

    def choose(self, neurons: np.ndarray) -> None:
        """Keep showing these neurons, until they are chosen again."""
        self.explained.choose(neurons)
        self._draw_explained()

    def _draw_explained(self) -> None:
        self.explained.draw(self._layout, self.rows, self.predicted)

    def take_stimulus_prediction(self) -> None:
        """A prediction from the stimulus arrived: it may be what the order, or the colours, wait for."""
        trial, predicted = self._model.trial, self._model.stimulus_prediction
        if trial is None or predicted is None or self.rows is None:
            self.draw_predicted()
            return
        if not trial.labelled:
            self._spread = neuron_spread(predicted)
        if self.ordering.waits_for_prediction or not trial.labelled:
            self.ordering.forget()
            self.arrange_rows()
            self.draw_recorded()
        if not trial.labelled:
            self._set_limit(upper_limit(self.rows.picture(predicted.astype(np.float32, copy=False))))
        self.draw_predicted()

    def mark(self, neurons: np.ndarray) -> None:
        """Mark neurons; others are not marked any more."""
        self.marked = np.unique(np.asarray(neurons, dtype=np.intp))
        self._draw_marks()
        self.marked_changed.emit()

    def _draw(self, role: Role, activity: np.ndarray | None) -> None:
        layer = self._layers.adopt(role, Image)
        assert self._model.neurons is not None
        if layer is None or self.rows is None:
            return
        shape = (len(self._model.neurons.keep), layer.data.shape[1])
        if layer.data.shape[0] != self.rows.rows:
            layer.data = np.zeros((self.rows.rows, layer.data.shape[1]), np.float32)
            if self._layout is not None:
                self._layers.place(layer, self._layout.raster(0 if role == Role.RECORDED else 1))
        if activity is not None and activity.shape == shape:
            np.copyto(layer.data, self.rows.picture(activity))
        else:
            layer.data[...] = 0.0
        repaint(layer)

    def _set_limit(self, limit: float) -> None:
        self._limit = limit
        for role in (Role.RECORDED, Role.PREDICTED):
            layer = self._layers.adopt(role, Image)
            if layer is not None:
                layer.contrast_limits = (0.0, limit)
        layer = self._layers.adopt(Role.DIFFERENCE, Image)
        if layer is not None:
            layer.contrast_limits = (-DIFFERENCE_SHARE * limit, DIFFERENCE_SHARE * limit)

    def _settle_difference(self) -> None:
        layer = self._layers.adopt(Role.DIFFERENCE, Image)
        running = self._model.state in (RunState.RUNNING, RunState.PAUSED)
        if layer is not None and not running and layer.data.any():
            limit = upper_limit(layer.data)
            layer.contrast_limits = (-limit, limit)

    def _draw_marks(self) -> None:
        if not len(self.marked):
            self._layers.remove(Role.MARKED)
        if self.rows is None or self._layout is None or not len(self.marked):
            return
        layout = self._layout
        rows = np.zeros((self.rows.rows, layout.frames + layout.cursor_columns), np.float32)
        rows[self.rows.rows_of(self.marked)] = 1.0
        rows[:, layout.frames : layout.cursor_columns] = 0.0
        style = {"colormap": marked(), "contrast_limits": (0, 1), "blending": "translucent_no_depth"}
        self._layers.picture(Role.MARKED, "marked neurons", rows, layout.rasters, **style)


def _time_line(layout: BoardLayout) -> TimeLine:
    column_px = layout.raster(0).width / layout.pixel / layout.frames
    fineness = 2 * int(column_px / CURSOR_WIDTH_PX / 2) + 1
    return TimeLine(layout.frames, layout.cursor_columns, fineness)
