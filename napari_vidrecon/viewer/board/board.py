"""The board of one viewer: it listens to the model and keeps the layers as the model says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from napari.layers import Layer, Points, Shapes
from napari.settings import get_settings
from napari.utils.theme import get_theme
from psygnal import Signal

from napari_vidrecon.analysis.postprocess import union_crop
from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.sessions.trial import seconds_a_frame
from napari_vidrecon.viewer.board import captions
from napari_vidrecon.viewer.board.activity import ActivityTiles
from napari_vidrecon.viewer.board.arranging import CELLED, arranged, gridded
from napari_vidrecon.viewer.board.camera import BoardCamera, Flatness, GridTiles, LayerListRest
from napari_vidrecon.viewer.board.cells import CellsView
from napari_vidrecon.viewer.board.explained import CorrelationStrip
from napari_vidrecon.viewer.board.layers import Role, RoleLayers, repaint
from napari_vidrecon.viewer.board.movies import Blinking, MovieTiles, other_runs
from napari_vidrecon.viewer.board.outlines import Outlines
from napari_vidrecon.viewer.board.painting import AlphaTile, MaskPainting, Region
from napari_vidrecon.viewer.board.tiles import BoardLayout, Box, Clip
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.main_window import go_to_frame, letter_scale, present_frame
from napari_vidrecon.viewer.model import ActivityMode, ErrorMode, Layout, ReconstructionModel, RunState
from napari_vidrecon.viewer.record import Stage

NEEDED = (
    Role.STIMULUS, Role.RECONSTRUCTION, Role.ERROR_BASE, Role.ERROR_MAP, Role.RECORDED, Role.PREDICTED,
    Role.DIFFERENCE, Role.BARS, Role.CURVES, Role.NOW, Role.MASK, Role.CAPTIONS,
)  # fmt: skip
OF_RASTERS = frozenset(NEEDED[4:9])
"""Layers that are there only where a layout has a place for them: napari works for hidden ones, too."""
INNER = frozenset((
    Role.OTHERS, Role.DIFFERENCES, Role.LEGEND, Role.ERROR_BASE, Role.NOW, Role.CAPTIONS, Role.STRIP, Role.MARKED,
    Role.GRID_COPY, Role.RECEPTIVE_FIELD_OUTLINE, Role.BARS, Role.CURVES, Role.RESTING,
))  # fmt: skip
ACTIVITY = frozenset((Role.RECORDED, Role.PREDICTED, Role.DIFFERENCE))
"""Parts of the board that are not in napari's list of layers, and those that are only where they are shown."""
ON_THE_STIMULUS = (Role.PAINTING, Role.REGION, Role.RECEPTIVE_FIELD, Role.RECEPTIVE_FIELD_OUTLINE)
ORDERED = (
    *NEEDED[:2], Role.COMPARISON, Role.OTHERS, *NEEDED[2:4], Role.DIFFERENCES, *NEEDED[4:7], Role.STRIP, Role.LEGEND,
    Role.MARKED, *NEEDED[7:],
)  # fmt: skip
"""From the lowest to the highest in the list of layers."""


class Board:
    """Stimulus, reconstruction, error and activity of one viewer's model, as labelled tiles synced on time.

    Layers are known by `layer.metadata["vidrecon_role"]`: they may be renamed, hidden, restyled or deleted; what
    is missing comes back with the next trial, run or start.

    Parameters
    ----------
    viewer
        Where the layers live.
    model
        What they show; the board only reads it.
    """

    selection_changed = Signal()
    """Other rows of the rasters are marked: see `selected_neurons`."""

    def __init__(self, viewer: napari.components.ViewerModel, model: ReconstructionModel) -> None:
        self.viewer, self.model = viewer, model
        self.faults = Faults(model.message.emit)
        self.layers = RoleLayers(viewer)
        self.flatness = Flatness(self.layers, self.faults, model.message.emit)
        self.layout: BoardLayout = gridded(Clip())
        self.movies = MovieTiles(self.layers, model)
        self.activity = ActivityTiles(self.layers, model)
        self.strip = CorrelationStrip(self.layers, model)
        self.activity.marked_changed.connect(self._on_marked)
        self.activity.explained.chosen_changed.connect(self._write_captions)
        self.camera = BoardCamera(viewer, self.layers, self.reset_view)
        self.grid = GridTiles(self.layers, self.faults, self._on_grid)
        self.outlines = Outlines(self.layers, self.grid.copies_of, model)
        self.painting = MaskPainting(self.layers, model)
        self.region = Region(self.layers)
        self.alpha = AlphaTile(self.layers, model)
        self.blinking = Blinking(self.layers, self.faults)
        self.cells = CellsView(viewer, model)
        self.cells.explained, self.cells.predicted = self.activity.explained, lambda: self.activity.predicted
        self.cells.looks_at = self.activity.ordering.looks_at
        self.activity.explained.chosen_changed.connect(self._on_explained)
        self.activity.explained.correlation_changed.connect(self._on_explained)
        self.layer_list = LayerListRest(viewer, self.faults)
        self._zoomed, self._fitting, self._building = model.zoomed, False, False
        self._tiles = 0
        self._written: tuple[list[captions.Caption], str, float] = ([], "", 1.0)
        self._titled: tuple[dict[Role, str], Layer | None] = ({}, None)
        self._slots: tuple[tuple[Any, Callable[..., None]], ...] = (
            (model.session_changed, self._on_session),
            (model.trial_changed, self.build),
            (model.mask_changed, self._on_mask),
            (model.thresholds_changed, self._on_mask),
            (model.neurons_changed, self._on_neurons),
            (model.snapshot_arrived, self._on_snapshot),
            (model.looked_back_changed, self._on_snapshot),
            (model.shown_changed, self._on_shown),
            (model.runs_changed, self._on_runs),
            (model.stimulus_prediction_changed, self._on_prediction),
            (model.view_changed, self._on_shown),
            (model.state_changed, self._on_state),
            (viewer.events.theme, self._write_captions),
            (get_settings().appearance.events.font_size, self._on_letters),
            (viewer.dims.events.current_step, self._on_frame),
            (viewer.events.reset_view, self._on_home),
            (viewer.scene.camera.events.zoom, self._on_camera),
            (viewer.scene.camera.events.center, self._on_camera),
        )
        for signal, slot in self._slots:
            signal.connect(slot)
        if model.trial is not None:
            self.build()

    # What others ask for

    def layer(self, role: Role | str) -> Layer | None:
        """The layer of a role such as "reconstruction", or None if it was deleted or never made."""
        return self.layers.find(role)

    def selected_neurons(self) -> np.ndarray:
        """Neurons, ascending, whose rows a person marked in a raster (Shift-drag)."""
        return self.activity.marked.copy()

    def draw_region(self) -> Layer:
        """Offer the pen for a region on the stimulus, in two dimensions."""
        self._lay_flat()
        return self.region.begin(self.layout)

    def region_mask(self) -> np.ndarray | None:
        """(36, 64) bool, True inside the drawn region; None if there is none."""
        return self.region.mask(self.layout)

    def show_cells(self) -> Points | None:
        """Show the cells' cortical positions beside the board; None where they are not known."""
        return self.cells.show()

    def cells_layer(self) -> Points | None:
        """The cells, whose `selected_data` the lasso sets; None while they are not shown."""
        return self.cells.layer

    def begin_painting(self) -> Layer:
        """Lend the brush: 1 adds pixels to the mask, 0 erases them; in two dimensions, as the mask has no more."""
        self._lay_flat()
        return self.painting.begin(self.layout)

    def _lay_flat(self) -> None:
        dims = self.viewer.dims
        dims.ndisplay, dims.order = 2, tuple(range(dims.ndim))

    @guarded
    def show_fitted_alpha(self, alpha: np.ndarray | None) -> None:
        """Show a mask that is being fitted, (36, 64), as far as it is; None: no more."""
        if alpha is not self.alpha.fitted:
            self.alpha.fitted = alpha
            self.alpha.draw(self.layout)

    def end_painting(self) -> None:
        """Take the brush back."""
        self.painting.end()

    @guarded
    def reset_view(self) -> None:
        """Show the whole board, as large as it goes."""
        if self.model.trial is None or self.layer(Role.STIMULUS) is None:
            return
        before = self.layout
        self._set_layout()
        if self.layout != before:
            self._arrange()
        self._fitting = True
        self.camera.fit(self.layout, self._mask_place() if self.model.zoomed else None)
        self._fitting = False
        self._write_captions()

    @guarded
    def _on_home(self) -> None:
        """Napari's own button for the whole view means the board, which follows the window again from then on."""
        asked_for_another = self._fitting or self.model.grid or self.model.zoomed
        # Napari looks at the whole of a first layer by itself; laid out is what there is when all are made.
        if (
            not asked_for_another
            and not self._building
            and self.layers.flat
            and self.layers.nothing_beside(self.layout.canvas)
        ):
            self.layers.when_settled(self.reset_view)

    @guarded
    def _on_letters(self) -> None:
        """Letters of another size need another room."""
        self.cells.follow_letters()
        if self.model.trial is not None and self.layer(Role.STIMULUS) is not None:
            self.layers.when_settled(self._redraw if self.model.grid else self.reset_view)

    def _mask_place(self) -> Box | None:
        """Where the mask is, in the reconstruction's tile."""
        inside = self.model.common_mask.binary(self.model.training_threshold)
        if not inside.any():
            return None
        rows, columns = union_crop(inside, margin=1)
        tile = self.layout.movie(self.movies.number_of(Role.RECONSTRUCTION))
        (height, width), pitch = ((part.stop - part.start for part in (rows, columns)), self.layout.pitch)
        return Box(tile.top + rows.start * pitch, tile.left + columns.start * pitch, height * pitch, width * pitch)

    def leave(self) -> None:
        """Listen to nothing any more, as the window is gone: napari's settings stay, and would tell a board without."""
        slots, self._slots = self._slots, ()
        for signal, slot in slots:
            signal.disconnect(slot)

    def close(self) -> None:
        """Listen to nothing any more; the layers stay."""
        self.leave()
        self.activity.ordering.close()
        for part in (
            self.layers, self.movies, self.camera, self.painting, self.blinking, self.cells, self.layer_list,
            self.flatness, self.grid,
        ):  # fmt: skip
            part.close()

    # Building

    @guarded
    def build(self) -> None:
        """Make the layers of the model's trial, or take over those that are there."""
        model, trial = self.model, self.model.trial
        if trial is None or model.neurons is None:
            return
        self.grid.leave()
        # Layers for which the slider was set before keep the frame, where the new clip has it.
        step = present_frame(self.viewer) if self.viewer.dims.ndim > 2 else None
        screen = None if model.session is None else model.session.screen
        self.layers.unit = "pixel" if screen is None else "degree"
        self.layers.frame_s = seconds_a_frame(trial.frame_rate_hz, trial.frames)
        self._set_layout()
        active = self.viewer.layers.selection.active
        self._building = True
        try:
            self.movies.build(self.layout)
            self.activity.build(self.layout)
        finally:
            self._building = False
        self.layers.style_again()
        self._refresh(active)
        go_to_frame(self.viewer, min(step or 0, trial.frames - 1))
        self.reset_view()

    def _set_layout(self) -> None:
        trial, session = self.model.trial, self.model.session
        assert trial is not None
        screen = None if session is None else session.screen
        pitch = 1.0 if screen is None else screen.degrees_per_pixel
        self._tiles = len(self.movies.row)
        clip = Clip(trial.frames, trial.video.shape[1], trial.video.shape[2], pitch)
        if self.model.grid:
            self.layout = gridded(clip)
        else:
            others, letters = len(other_runs(self.model)), letter_scale()
            self.layout = arranged(
                self.model.layout, self.camera.canvas, self._tiles, clip, others=others, letters=letters
            )

    def _refresh(self, active: Layer | None) -> None:
        """Draw everything from the model, in its order, with the layer selected that was."""
        self.movies.update_mask()
        self.movies.draw_comparison(self.layout)
        self.movies.draw_video()
        self.movies.draw_base()
        self.movies.draw_error()
        self.movies.settle_limit()
        self.movies.style_error()
        self.activity.redraw_all()
        self._arrange()
        self.layers.sort(ORDERED)
        if self.layout.gridded:
            self.grid.enter(captions.short_titles(self.model, self.movies.has_error))
        # The controls napari shows for the selected layer are of use for a movie, not for a caption.
        is_there = active is not None and active in self.viewer.layers and active is not self.layer(Role.RESTING)
        kept = active if is_there else self.layer(Role.RECONSTRUCTION)
        self.viewer.layers.selection.active = kept

    def _arrange(self) -> None:
        self.movies.arrange(self.layout)
        self.activity.arrange(self.layout)
        self.movies.draw_others(self.layout)
        self._show_rasters()
        self.strip.draw(self.layout)
        self._lay_on_stimulus()
        self.alpha.draw(self.layout)
        self.outlines.draw(self.layout)
        self._write_captions()
        self.layers.show(self.layer(Role.CAPTIONS), not self.layout.gridded)
        self.blinking.set_on(self.model.blinking)

    def _lay_on_stimulus(self) -> None:
        """What is painted or drawn on the stimulus goes where that goes, or a brush would mark other pixels."""
        pixels = (self.layout.rows, self.layout.cols)
        for role in ON_THE_STIMULUS:
            layer = self.layer(role)
            if layer is not None:
                # Of shapes the coordinates are pixels of the movie.
                self.layers.place(layer, self.layout.movie(0), pixels if isinstance(layer, Shapes) else None)

    def _show_rasters(self) -> None:
        """Show the activity where the layout has a place for it, and the line where there is something to read."""
        difference = self.model.activity_mode == ActivityMode.DIFFERENCE
        for role, wanted in (
            (Role.RECORDED, True),
            (Role.PREDICTED, not difference),
            (Role.DIFFERENCE, difference),
            (Role.MARKED, not self.layout.gridded),
        ):
            self.layers.show(self.layer(role), wanted and self.layout.has_rasters)
        if not self.layout.has_rasters:
            for role in (*OF_RASTERS, Role.MARKED):
                self.layers.put_away(role)
        self.layer_list.hide(INNER if self.layout.has_rasters else INNER | ACTIVITY)
        self.layers.show(self.layer(Role.NOW), self.layout.has_rasters or self.layout.strip is not None)

    # Following the model

    def _complete(self) -> bool:
        rasters = self.model.grid or self.model.layout is Layout.EXPLAIN
        needed = [role for role in NEEDED if rasters or role not in OF_RASTERS]
        return self.model.trial is not None and all(self.layer(role) is not None for role in needed)

    @guarded
    def _on_session(self) -> None:
        self.painting.abandon()
        self.activity.forget()
        self.cells.update_session()

    @guarded
    def _on_frame(self) -> None:
        """The slider moved: what has no axis of time of its own goes along."""
        if self.model.trial is None:
            return
        self.movies.draw_base()
        self.activity.draw_line()
        line = self.layer(Role.NOW) if self.layout.gridded else None
        for copy in [] if line is None else self.grid.copies_of(line):
            repaint(copy)

    @guarded
    def _on_camera(self) -> None:
        """A person zooms: what is seen of a tile keeps its title."""
        if self.camera.moved and not self.layout.gridded and not self._fitting:
            self._write_captions()

    @guarded
    def _on_snapshot(self, snapshot: Snapshot | Stage | None) -> None:
        # Its layers are listed in the picture that the window makes for them anyway; a rest would cost it another.
        self.layer_list.end()
        self.movies.draw_video()
        self.movies.draw_error()
        self.strip.follow(self.layout)
        if self.layout.has_rasters:
            self.activity.draw_predicted()
        # The first picture of a run is news for the titles, the others are not.
        if (captions.titles(self.model, self.movies.has_error), self.layer(Role.CAPTIONS)) != self._titled:
            self._write_captions()

    @guarded
    def _on_runs(self) -> None:
        if self._complete() and self.layout.kind in CELLED:
            self._redraw()
            return
        # A run from predicted activity may have come, or gone, or what the brain adds, that the error map waits for.
        if self._complete() and self.model.error_mode in (ErrorMode.PREDICTED, ErrorMode.ADDED):
            self.movies.draw_error()
            self.movies.settle_limit()
        self._write_captions()

    @guarded
    def _on_mask(self) -> None:
        if self.model.trial is None:
            return
        self.movies.update_mask()
        if self.model.presented.changes:
            self.movies.draw_video()
        self.movies.draw_error()
        self.strip.draw(self.layout)
        self.outlines.draw(self.layout)
        self.alpha.draw(self.layout)
        self._write_captions()
        self.painting.follow_mask()

    @guarded
    def _on_neurons(self) -> None:
        if self.model.trial is not None:
            self.activity.redraw_all()
            self._show_rasters()
        self.cells.update_neurons()
        self._write_captions()

    @guarded
    def _on_prediction(self) -> None:
        self.activity.take_stimulus_prediction()
        self._show_rasters()
        self._write_captions()

    @guarded
    def _on_explained(self) -> None:
        # Not with every picture of a run: the cells have a canvas of their own to draw.
        if not self.model.going_on:
            self.cells.update_neurons()

    def _on_marked(self) -> None:
        self.selection_changed.emit()

    @guarded
    def _on_state(self) -> None:
        if self._complete() and len(self.movies.row) != self._tiles:
            # The run before gets a tile, or gives it back.
            self._redraw()
        if self.model.state is RunState.RUNNING:
            if self.model.trial is not None and not self._complete():
                self.build()
        elif self.model.state is not RunState.PAUSED:
            self.movies.settle_limit()
            self.strip.draw(self.layout)
            self._write_captions()
            for layer in self.layers.ours():
                layer.refresh(highlight=False, extent=False)

    @guarded
    def _on_shown(self) -> None:
        if self.model.trial is None:
            return
        if not self._complete():
            # What was deleted comes back when it is asked for.
            self.build()
            return
        self._redraw()

    def _redraw(self) -> None:
        before = self.layout
        active = self.viewer.layers.selection.active
        self.grid.leave()
        self._set_layout()
        with self.layers.axes_told_once():
            self._refresh(active)
        if self.layout != before or self.model.zoomed != self._zoomed:
            self._zoomed = self.model.zoomed
            self.reset_view()

    def _on_grid(self, wanted: bool) -> None:
        """Of layers that lie beside each other napari's grid shows snippets: ours is meant."""
        if self.model.trial is not None:
            self.model.set_view(grid=wanted)

    # What belongs to no tile

    def _write_captions(self) -> None:
        self.layers.when_settled(self._write_all)

    @guarded
    def _write_all(self) -> None:
        if self.model.trial is None or self.layer(Role.STIMULUS) is None:
            return
        has_error, limit = self.movies.has_error, self.movies.error_limit
        if self.layout.gridded:
            return
        curves = self.activity.explained.words(self.activity.predicted)
        # Compared runs have errors of their own.
        explains = self.model.error_mode != ErrorMode.NONE and (has_error or bool(self.layout.differences))
        if explains is not self.outlines.explains:
            self.outlines.explains = explains
            self.outlines.draw(self.layout)
        shown_limit = limit if explains else None
        written = captions.captions(
            self.model, self.layout, self.movies.row, has_error, shown_limit, curves, below_zero=self.strip.below_zero
        )
        if self.camera.moved:
            view, unit = self.camera.view, self.layout.letters / self.viewer.scene.camera.zoom
            written = [caption.in_view(view, unit) for caption in written]
        colour = get_theme(self.viewer.theme).text.as_hex()
        # While a run goes on this is asked for with every snapshot, and nearly never is anything new.
        now = written, colour, self.layout.letters
        if now != self._written or self.layer(Role.CAPTIONS) is None:
            captions.write(self.layers, *now)
            self._written = now
        self._titled = (captions.titles(self.model, has_error), self.layer(Role.CAPTIONS))
