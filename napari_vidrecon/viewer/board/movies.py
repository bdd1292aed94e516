"""The movie tiles: stimulus, reconstruction, the run to compare, and the error over one of them; how two take turns."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_vidrecon.analysis.error_maps import lost_map, symmetric_limit
from napari_vidrecon.analysis.postprocess import smooth
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.board.colormaps import error_magnitude, signed_error
from napari_vidrecon.viewer.board.layers import (
    ComputedFrames,
    ErrorFrames,
    MosaicFrames,
    Role,
    RoleLayers,
    ShownFrames,
    repaint,
)
from napari_vidrecon.viewer.board.tiles import BoardLayout, Box, around
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunRecord, RunState

GREY_LIMITS = (0.0, 255.0)
FIRST_ERROR_LIMIT = 64.0
"""Grey levels at which the error's colour is full, until a run has ended and says what is usual."""
MATCHING_RESTS_S = 2.0
MOST_COMPARED, MOST_CLIPS = 5, 11
"""Runs beside the one on the board, and clips beside its clip."""
BLINK_HZ = 2.0
"""Both movies are seen so many times a second."""


def tiles_shown(model: ReconstructionModel) -> tuple[Role, ...]:
    """Which movies have a tile of their own, in order."""
    row = [Role.STIMULUS, Role.RECONSTRUCTION]
    if model.layout is Layout.PAPER and not model.grid:
        return tuple(row)
    if model.layout is Layout.COMPARE and not model.grid:
        return (*row, Role.ERROR_MAP)
    if model.beside is not None and not model.blinking:
        row.append(Role.COMPARISON)
    if model.error_mode != ErrorMode.NONE and (model.error_apart or model.grid):
        row.append(Role.ERROR_MAP)
    return tuple(row)


def other_runs(model: ReconstructionModel) -> list[RunRecord]:
    """Runs beside the one on the board: of this clip and other sessions, or the newest of every other clip."""
    if model.grid or model.trial is None:
        return []
    if model.layout is Layout.COMPARE:
        newest_first = [run for run in reversed(model.runs_here) if run is not model.shown or run is model.ghost]
        shape = model.trial.video.shape
        here = [run for run in newest_first if run.result.video.shape == shape]
        others = [run for run in reversed(model.elsewhere) if run.result.video.shape[1:] == shape[1:]]
        if model.compared is not None and model.compared not in (*here, *others):
            others = [run for run in (model.compared, *others) if run.result.video.shape[1:] == shape[1:]]
        return sorted([*here, *others], key=lambda run: run is not model.compared)[:MOST_COMPARED]
    if model.layout is Layout.PAPER:
        newest = {clip_of(run): run for run in model.runs if run not in model.runs_here}
        shape = model.trial.video.shape[1:]
        return [run for run in newest.values() if run.result.video.shape[1:] == shape][-MOST_CLIPS:]
    return []


def clip_of(run: RunRecord) -> str:
    """Which clip a run is of, in words."""
    if run.recipe.stimulus:
        return run.recipe.stimulus
    start, stop = run.recipe.frames
    return f"trial {run.recipe.trial}" + (f", from frame {start}" if start or stop else "")


def named(model: ReconstructionModel, run: RunRecord) -> str:
    """A run in words; of which session and clip, where that is another one."""
    clip = "" if run in model.runs_here else f", {run.recipe.clip_name}"
    if run not in model.elsewhere:
        return f"{run.name}{clip}"
    session = Path(run.recipe.session).name
    said = "" if not run.result.simulated or "simul" in session.lower() else "simulated "
    return f"{said}{session}: {run.name}{clip}"


def briefly_named(model: ReconstructionModel, run: RunRecord) -> str:
    """The same in fewer letters, of which the first tell the run from others."""
    if run not in model.elsewhere:
        return named(model, run)
    session = Path(run.recipe.session).name
    said = "" if not run.result.simulated or "simul" in session.lower() else "sim. "
    return f"{run.name}, {said}{session}"


class MovieTiles:
    """Keeps the movie layers up to date.

    Parameters
    ----------
    layers
        Where they are found.
    model
        What they show.
    """

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self._within: np.ndarray = np.ones((1, 1), np.float32)
        self._setting_limits = False
        self.error_limit = FIRST_ERROR_LIMIT
        self._asked: weakref.WeakKeyDictionary[Layer, bool] = weakref.WeakKeyDictionary()
        self._matched_s = -math.inf
        self._smooth = False

    @property
    def row(self) -> tuple[Role, ...]:
        """What the tiles show, in their order."""
        return tiles_shown(self._model)

    def build(self, layout: BoardLayout) -> None:
        """Make or adopt the layers for the model's trial."""
        trial = self._model.trial
        assert trial is not None
        grey = {"contrast_limits": GREY_LIMITS, "colormap": "gray", "interpolation2d": "nearest"}
        self._layers.image(Role.STIMULUS, "stimulus", trial.video, layout.movie(0), **grey)
        blank = np.full(trial.video.shape, GREY_LEVEL, np.float32)
        shown = ShownFrames(trial.video, trial.planes) if self._model.presented.changes else blank
        self._layers.image(Role.RECONSTRUCTION, "reconstruction", shown, layout.movie(1), **grey)
        below = np.full(trial.video.shape[1:], GREY_LEVEL, np.float32)
        self._layers.image(
            Role.ERROR_BASE, "below the error", below, layout.movie(self.number_of(Role.ERROR_BASE)), **grey
        )
        limits = (-self.error_limit, self.error_limit)
        colours = {"contrast_limits": limits, "colormap": signed_error(), "interpolation2d": "nearest"}
        over = layout.movie(self.number_of(Role.ERROR_MAP))
        error = self._layers.image(Role.ERROR_MAP, "error", ErrorFrames(blank.shape), over, **colours)
        error.events.contrast_limits.connect(self._keep_symmetric)

    def arrange(self, layout: BoardLayout) -> None:
        """Put every tile in its place."""
        for role in (
            Role.STIMULUS, Role.RECONSTRUCTION, Role.COMPARISON, Role.ERROR_BASE, Role.ERROR_MAP, Role.RESTING,
        ):  # fmt: skip
            layer = self._layers.find(role)
            if layer is not None:
                self._layers.place(layer, layout.movie(self.number_of(role)))
        shows_error = self._model.error_mode != ErrorMode.NONE and layout.kind is not Layout.PAPER
        apart = Role.ERROR_MAP in self.row
        self._show_if_asked(self._layers.find(Role.ERROR_BASE), shows_error and apart)
        self._show_if_asked(self._layers.find(Role.ERROR_MAP), shows_error)

        wanted = "linear" if self._model.smooth_pixels else "nearest"
        for role in (Role.STIMULUS, Role.RECONSTRUCTION, Role.COMPARISON, Role.ERROR_BASE, Role.ERROR_MAP):
            layer = self._layers.adopt(role, Image)
            if layer is not None and self._smooth is not self._model.smooth_pixels:
                layer.interpolation2d = wanted
        self._smooth = self._model.smooth_pixels

    def _show_if_asked(self, layer: Layer | None, wanted: bool) -> None:
        """Show or hide it where that is asked for anew: one that a person hid by hand stays hidden until then."""
        if layer is not None and self._asked.get(layer) is not wanted:
            self._asked[layer] = wanted
            self._layers.show(layer, wanted)

    def number_of(self, role: Role) -> int:
        """Number of the tile that a layer lies in."""
        row = self.row
        if role is Role.ERROR_BASE:
            role = Role.ERROR_MAP
        if role in row:
            return row.index(role)
        lies_over_stimulus = role is Role.ERROR_MAP and self._model.error_over == "stimulus"
        return row.index(Role.STIMULUS if lies_over_stimulus else Role.RECONSTRUCTION)

    def draw_others(self, layout: BoardLayout) -> None:
        """Further runs, in one layer, and where they differ, in another."""
        runs = other_runs(self._model) if layout.others else []
        if not runs:
            self._layers.remove(Role.OTHERS)
            self._layers.remove(Role.DIFFERENCES)
            return
        trial, compares = self._model.trial, layout.kind is Layout.COMPARE
        assert trial is not None
        shown = [self._presented(run) for run in runs]
        # Runs of other sessions are of other movies: each is held against its own.
        movies: list[np.ndarray | ComputedFrames] = [*shown]
        movies += [run.result.stimulus for run, _ in zip(runs, layout.differences, strict=False)]
        if not compares:
            movies = [each for run, movie in zip(runs, shown, strict=True) for each in (run.result.stimulus, movie)]
        grey = {"contrast_limits": GREY_LIMITS, "colormap": "gray", "interpolation2d": "nearest"}
        self._mosaic(Role.OTHERS, layout, movies, (*layout.others, *layout.differences), grey)
        against = self._model.video if self._model.error_mode == ErrorMode.COMPARISON else trial.video
        if compares and against is not None and self._model.error_mode != ErrorMode.NONE:
            errors = [ErrorFrames(run.result.video.shape) for run in runs]
            for error, run in zip(errors, runs, strict=True):
                same = self._model.shows_same_movie(run)
                within = self._within if run not in self._model.elsewhere else _evaluated(run)
                truth = against if same else run.result.stimulus
                if run.result.has_movie or truth is self._model.video:
                    error.show(run.result.video, truth, within, signed=self._model.error_has_sign)
            colours = signed_error() if self._model.error_has_sign else error_magnitude()
            low = -self.error_limit if self._model.error_has_sign else 0.0
            limits = (low, self.error_limit)
            style = {"contrast_limits": limits, "colormap": colours, "interpolation2d": "nearest"}
            layer = self._mosaic(Role.DIFFERENCES, layout, errors, layout.differences, style)
            layer.colormap, layer.contrast_limits = colours, limits
        else:
            self._layers.remove(Role.DIFFERENCES)

    def _presented(self, run: RunRecord) -> np.ndarray | ShownFrames:
        asked = self._model.presentation
        presentation = asked if run.result.has_movie else asked.without_truth
        if not presentation.changes:
            return run.result.video
        frames = ShownFrames(run.result.stimulus, run.result.planes)
        frames.show(run.result.video, run.result.training_mask, presentation)
        return frames

    def _mosaic(
        self,
        role: Role,
        layout: BoardLayout,
        movies: Sequence[np.ndarray | ComputedFrames],
        boxes: tuple[Box, ...],
        style: dict[str, Any],
    ) -> Image:
        """Put movies into their boxes, as one layer.

        Parameters
        ----------
        role
            Of the layer.
        layout
            Where the boxes are from.
        movies
            As many as boxes.
        boxes
            On one grid of movie pixels.
        style
            Of a new layer.

        Returns
        -------
        Image
            In the viewer.
        """
        whole = around(boxes)
        corners = [
            (round((box.top - whole.top) / layout.pitch), round((box.left - whole.left) / layout.pitch))
            for box in boxes
        ]
        size = (layout.frames, round(whole.height / layout.pitch), round(whole.width / layout.pitch))
        frames = MosaicFrames(size, [(movie, *corner) for movie, corner in zip(movies, corners, strict=True)])
        name = "other runs" if role is Role.OTHERS else "their differences"
        return self._layers.image(role, name, frames, whole, **style)

    def update_mask(self) -> None:
        """The evaluation mask moved: the error is shown inside it."""
        inside = self._model.common_mask.binary(self._model.evaluation_threshold)
        self._within = inside.astype(np.float32)

    def draw_video(self) -> None:
        """The reconstruction as it is now."""
        layer = self._layers.adopt(Role.RECONSTRUCTION, Image)
        if layer is None:
            return
        video = self._fitting(self._model.video, layer)
        self._take_kind(layer)
        if isinstance(layer.data, ShownFrames):
            mask = self._model.common_mask.binary(self._model.training_threshold)
            layer.data.show(video, mask, self._model.presented, same_level=self._rests_from_matching())
        elif video is None:
            layer.data[...] = GREY_LEVEL
        else:
            np.copyto(layer.data, video)
        repaint(layer)
        if self._model.error_over == "reconstruction":
            self.draw_base()

    def _take_kind(self, layer: Image) -> None:
        """Hold the movie itself, or compute what is shown of it frame by frame."""
        trial = self._model.trial
        if trial is None or trial.video.shape != layer.data.shape:
            return
        if self._model.presented.changes != isinstance(layer.data, ShownFrames):
            changes = self._model.presented.changes
            layer.data = (
                ShownFrames(trial.video, trial.planes) if changes else np.full(layer.data.shape, GREY_LEVEL, np.float32)
            )

    def _rests_from_matching(self) -> bool:
        """While a run goes on, contrast is matched again a few times a minute only; that takes longest."""
        now = time.monotonic()
        if self._running and now < self._matched_s + MATCHING_RESTS_S:
            return True
        self._matched_s = now
        return False

    def draw_error(self) -> None:
        """The chosen difference, inside the evaluation mask."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is None or not isinstance(layer.data, ErrorFrames):
            return
        pair, error, signed = self._pair(), layer.data, self._model.error_has_sign
        if pair is None or any(movie is not None and self._fitting(movie, layer) is None for movie in pair):
            error.clear()
        elif self._model.error_mode == ErrorMode.PREDICTED and pair[1] is not None and not self._running:
            # As published, the difference is taken of smoothed movies; smoothing is linear, so once is enough.
            error.show(smooth(pair[0] - pair[1]), None, self._within, signed=signed)
        else:
            error.show(*pair, self._within, signed=signed)
        repaint(layer)

    def draw_base(self) -> None:
        """The present frame of the movie that the error lies over.

        The layer holds this frame only, and follows the slider here: one more movie would cost napari four times
        as much for every frame.
        """
        base = self._layers.adopt(Role.ERROR_BASE, Image)
        over = Role.RECONSTRUCTION if self._model.error_over == "reconstruction" else Role.STIMULUS
        movie = self._layers.adopt(over, Image)
        if base is not None and movie is not None and base.data.shape == movie.data.shape[1:]:
            np.copyto(base.data, movie.data[min(self._layers.frame, len(movie.data) - 1)])
            repaint(base)

    def draw_comparison(self, layout: BoardLayout) -> None:
        """The run to compare; while blinking without one, the stimulus."""
        partner = self.partner
        trial = self._model.trial
        beside = self._model.blinking or Role.COMPARISON in self.row
        if partner is None or not beside or trial is None or partner.shape[1:] != trial.video.shape[1:]:
            # With the next run there will most likely be one again; a tile of the grid would stay empty for it.
            if trial is None or layout.gridded:
                for role in (Role.COMPARISON, Role.RESTING):
                    self._layers.remove(role)
            else:
                self._layers.rest(Role.COMPARISON, trial.video)
            return
        grey = {"contrast_limits": GREY_LIMITS, "colormap": "gray", "interpolation2d": "nearest"}
        place = layout.movie(self.number_of(Role.COMPARISON))
        movie = _of_length(partner, trial.frames)
        layer = self._layers.image(Role.COMPARISON, "compared run", movie, place, **grey)
        self._layers.show(layer, True)

    def style_error(self) -> None:
        """Colours for signed error or magnitude; shown or not."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is None:
            return
        colours = signed_error() if self._model.error_has_sign else error_magnitude()
        if layer.colormap.name != colours.name:
            layer.colormap = colours
        self._set_limit(layer, self.error_limit)

    def settle_limit(self) -> None:
        """Choose where the colours end; while a run goes on they stay, so that a colour means the same."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is None or self._running:
            return
        error = np.asarray(layer.data)
        if error.any():
            # Most of what the brain adds is nothing, by which no limit is told.
            added = self._model.error_mode == ErrorMode.ADDED
            limit = symmetric_limit(error[error != 0]) if added else symmetric_limit(error, self._within > 0)
            self._set_limit(layer, limit)

    def close(self) -> None:
        """Leave the colours to whoever takes the layers over."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is not None:
            layer.events.contrast_limits.disconnect(self._keep_symmetric)

    @property
    def partner(self) -> np.ndarray | None:
        """The movie beside, or blinking with, the reconstruction."""
        if self._model.beside is not None:
            return self._model.beside.result.video
        if self._model.blinking and self._model.trial is not None:
            return self._model.trial.video
        return None

    @property
    def has_error(self) -> bool:
        """Whether both movies of the chosen difference are there."""
        return self._pair() is not None

    @property
    def _running(self) -> bool:
        return self._model.state in (RunState.RUNNING, RunState.PAUSED)

    def _pair(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        model, video, trial = self._model, self._model.video, self._model.trial
        if video is None or trial is None:
            return None
        if model.error_mode == ErrorMode.STIMULUS:
            # The grey that stands for a movie nobody knows is none to be wrong about.
            return (video, trial.video) if trial.has_movie else None
        if model.error_mode == ErrorMode.PREDICTED and model.expected is not None:
            other = model.expected.result.video
            from_predicted = model.recipe_of_board is not None and model.recipe_of_board.target == "predicted"
            return (other, video) if from_predicted else (video, other)
        if model.error_mode == ErrorMode.COMPARISON and model.compared is not None:
            return (video, model.compared.result.video) if model.shows_same_movie(model.compared) else None
        if model.error_mode == ErrorMode.LOST and model.fuller is not None and trial.has_movie:
            before = model.fuller.result.video
            if not model.shows_same_movie(model.fuller) or before.shape != video.shape:
                return None
            lost = lost_map(trial.video, before, video).astype(np.float32)
            return np.broadcast_to(lost, video.shape), None
        if model.error_mode == ErrorMode.UNCERTAINTY and model.shown is not None and not self._running:
            return None if model.shown.uncertainty is None else (model.shown.uncertainty, None)
        if model.error_mode == ErrorMode.ADDED and model.shown is not None and not self._running:
            added = model.shown.added
            return None if added is None else (added.shown.astype(np.float32), None)
        return None

    def _fitting(self, movie: np.ndarray | None, layer: Image) -> np.ndarray | None:
        return movie if movie is not None and movie.shape == layer.data.shape else None

    def _set_limit(self, layer: Image, limit: float) -> None:
        self.error_limit = limit
        wanted = [-limit if self._model.error_has_sign else 0.0, limit]
        if list(layer.contrast_limits) != wanted:
            self._setting_limits = True
            layer.contrast_limits = wanted
            self._setting_limits = False

    def _keep_symmetric(self) -> None:
        """A person moved one end of the colours: move the other, or zero would not be clear any more."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if self._setting_limits or layer is None:
            return
        low, high = layer.contrast_limits
        moved_low = self._model.error_has_sign and abs(-low - self.error_limit) > abs(high - self.error_limit)
        self._set_limit(layer, max(-low if moved_low else high, 1.0))


def _of_length(movie: np.ndarray, frames: int) -> np.ndarray:
    """A movie cut to so many frames; what it lacks is hidden."""
    if len(movie) >= frames:
        return movie[:frames]
    return np.concatenate([movie, np.full((frames - len(movie), *movie.shape[1:]), np.nan, movie.dtype)])


def _evaluated(run: RunRecord) -> np.ndarray:
    """(rows, columns) float32, 1 inside the evaluation mask that a run was made with."""
    return AlphaMask(run.result.alpha).binary(run.recipe.evaluation_threshold).astype(np.float32)


class Blinking:
    """Shows and hides the compared run, which lies over the reconstruction.

    Parameters
    ----------
    layers
        The compared run is among them.
    faults
        Take what goes wrong.
    """

    def __init__(self, layers: RoleLayers, faults: Faults) -> None:
        self._layers, self.faults = layers, faults
        self._timer: QTimer | None = None

    def set_on(self, on: bool) -> None:
        """Blink, or hold."""
        if on and self._timer is None:
            self._timer = QTimer()
            self._timer.setInterval(round(1000 / BLINK_HZ / 2))
            self._timer.timeout.connect(self._turn)
            self._timer.start()
        elif not on and self._timer is not None:
            self._timer.stop()
            self._timer = None

    @guarded
    def _turn(self) -> None:
        layer = self._layers.find(Role.COMPARISON)
        if layer is not None and self._layers.flat:
            layer.visible = not layer.visible

    def close(self) -> None:
        """Hold."""
        self.set_on(False)
