"""How the board is shown: the bar above the canvas with its layouts, and the panel View with its tiles and playing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QComboBox, QLabel, QMainWindow, QSizePolicy, QToolBar, QVBoxLayout, QWidget

from napari_vidrecon.analysis.postprocess import Presentation
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.evaluation import AddedController
from napari_vidrecon.viewer.main_window import Letters
from napari_vidrecon.viewer.model import ActivityMode, ErrorMode, RasterOrder, ReconstructionModel
from napari_vidrecon.viewer.panels.controls import button, choice, choose, form, put, row, tick, words
from napari_vidrecon.viewer.tooltips import TOOLTIPS

if TYPE_CHECKING:
    from napari_vidrecon.viewer.board import Board
    from napari_vidrecon.viewer.playing import Player


BAR_NAME, TITLE = "vidrecon_stage_bar", "Movies"
LAYOUT_KEYS = {Layout.WATCH: "F5", Layout.EXPLAIN: "F6", Layout.COMPARE: "F7", Layout.PAPER: "F8"}
CHECKED_STYLE = "QToolButton:checked { background-color: #0072B2; color: white; border-radius: 3px; }"
SHOWN_AS = {"Raw": "raw", "As in the paper": "paper", "Contrast matched": "matched"}
AROUND = {"Grey outside": "grey", "Stimulus outside": "stimulus", "Hidden outside": "hidden"}


class StageBar(QToolBar):
    """A slim bar of napari's window.

    Parameters
    ----------
    model
        The state of the window.
    board
        Its canvas.
    player
        Plays the movie.
    window
        napari's main window; the bar is put below its menus.
    """

    alone_asked = Signal()
    """The movies alone are to be seen, without the window."""

    def __init__(self, model: ReconstructionModel, board: Board, player: Player, window: QMainWindow) -> None:
        super().__init__(TITLE, window)
        self.setObjectName(BAR_NAME)
        Letters(self, CHECKED_STYLE)
        self._model, self._board, self._player = model, board, player
        group = QActionGroup(self)
        self.layouts = {layout: self._add_layout(layout, group) for layout in Layout}
        self.addSeparator()
        self.play = self._add("Play", "play", player.toggle)
        self.mask = self._add("Zoom to mask", "zoom_to_mask", self._zoom)
        self.mask.setCheckable(True)
        self.smooth = self._add("Smooth", "smooth_pixels", self._take_smooth)
        self.smooth.setCheckable(True)
        self.alone = self._add("Alone", "movies_alone", self.alone_asked.emit)
        self.addSeparator()
        self.addWidget(QLabel(" Show "))
        self.show_as = self._add_choice("show_as", SHOWN_AS)
        self.outside = self._add_choice("outside", AROUND)
        subscribe(self, model.view_changed, self._show_view)
        subscribe(self, player.playing_changed, self._show_playing)
        self._show_view()
        window.addToolBar(self)

    def _add_layout(self, layout: Layout, group: QActionGroup) -> QAction:
        action = self._add(layout.value.capitalize(), f"layout_{layout.value}", partial(self._take, layout=layout))
        action.setToolTip(f"{action.toolTip()} ({LAYOUT_KEYS[layout]})")
        action.setCheckable(True)
        group.addAction(action)
        return action

    def _add(self, text: str, name: str, done: Any) -> QAction:
        action = QAction(text, self)
        action.setToolTip(TOOLTIPS[name])
        action.triggered.connect(lambda _checked=False: done())
        self.addAction(action)
        button = self.widgetForAction(action)
        if button is not None:
            button.setObjectName(name)
            button.setAccessibleName(text)
            button.setAccessibleDescription(TOOLTIPS[name])
        return action

    def _add_choice(self, name: str, options: dict[str, str]) -> QComboBox:
        made = choice(name, options, lambda _value: self._take_presentation())
        made.setAccessibleName(TOOLTIPS[name].partition(":")[0])
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.addWidget(made)
        return made

    def _take(self, **fields: Any) -> None:
        self._model.set_view(**fields)

    def _take_smooth(self) -> None:
        self._take(smooth_pixels=self.smooth.isChecked())

    def _take_presentation(self) -> None:
        self._take(presentation=Presentation(self.show_as.currentData(), self.outside.currentData()))

    def _zoom(self) -> None:
        self._take(zoomed=self.mask.isChecked())

    def _show_playing(self, playing: bool) -> None:
        self.play.setText("Hold" if playing else "Play")

    def _show_view(self) -> None:
        model = self._model
        self.layouts[model.layout].setChecked(True)
        self.smooth.setChecked(model.smooth_pixels)
        self.mask.setChecked(model.zoomed)
        choose(self.show_as, model.presentation.show_as)
        choose(self.outside, model.presentation.outside)


OVER_LABELS = {"the stimulus": "stimulus", "the reconstruction": "reconstruction"}
DRAWS = 8
NO_UNCERTAINTY = "One movie says nothing of its uncertainty; {} that fit the activity as well do, in {} times the time."
NO_DRAWS = "Uncertainty needs several movies: take several encoders, or another preset than {}; rerun."
ADDED_ASKED, ADDED_STOPPED = "Work it out", "Stop"
ADDED_TAKES = (
    "Each presentation is reconstructed as expected and as experienced, and so are those of up to 7 other clips to "
    "hold it against: some minutes, with the preset fast."
)
NO_COUNTERPART = "This error map compares two reconstructions. The second one starts once the first is done."

PREDICTED = "Predicted"


class ViewPanel(QWidget):
    """How the board looks.

    Parameters
    ----------
    model
        The state of the window.
    controller
        Starts the second half of the paper's error map.
    player
        Plays the movie.
    reset_view
        Fits the board into the window.
    parent
        The widget that owns it.
    added
        Works out what the brain adds; None: one of its own.
    """

    def __init__(
        self,
        model: ReconstructionModel,
        controller: RunController,
        player: Player,
        reset_view: Callable[[], None],
        parent: QWidget | None = None,
        *,
        added: AddedController | None = None,
    ) -> None:
        super().__init__(parent)
        self._model, self._controller = model, controller
        self._added = added or AddedController(model, self)
        self.error_mode = choice("error_mode", _labels(ErrorMode), self._take_error_mode)
        self.signed = tick("signed", "error_signed", partial(self._take, "error_signed"))
        self.over = choice("error_over", OVER_LABELS, partial(self._take, "error_over"))
        self.apart = tick("own tile", "error_apart", partial(self._take, "error_apart"))
        self.activity_mode = choice("activity_mode", _labels(ActivityMode), partial(self._take, "activity_mode"))
        self.raster_order = choice("raster_order", _labels(RasterOrder), partial(self._take, "raster_order"))
        self.grid = tick("napari's grid", "grid", partial(self._take, "grid"))
        self.alpha = tick("alpha", "alpha_shown", partial(self._take, "alpha_shown"))
        self.ghost = tick("run before", "ghost_shown", partial(self._take, "ghost_shown"))
        self.magnified = tick("magnifier", "magnified", partial(self._take, "magnified"))
        self.play_button = button("Play", "play", player.toggle)
        self.reset_button = button("Fit to window", "reset_view", reset_view)
        self.note = words()
        self.draw_button = button(f"Rerun with {DRAWS} draws", "draw_several", self._draw_several)
        self.added_button = button(ADDED_ASKED, "work_out_added", self._work_out_added)
        self._lay_out()
        for signal in (
            model.view_changed,
            model.shown_changed,
            model.state_changed,
            model.session_changed,
            model.settings_changed,
        ):
            subscribe(self, signal, self._show_view)
        subscribe(self, player.playing_changed, self._show_playing)
        self._added.changed.connect(self._show_view)
        self._show_playing(player.playing)
        self._show_view()

    def _take(self, name: str, value: Any) -> None:
        self._model.set_view(**{name: value})

    def _take_error_mode(self, mode: ErrorMode) -> None:
        self._take("error_mode", mode)
        self._start_counterpart()

    def _start_counterpart(self) -> None:
        model = self._model
        if self._lacks_counterpart and not self._controller.busy and model.shown is not None:
            self._controller.start_counterpart()

    @property
    def _lacks_counterpart(self) -> bool:
        return self._model.error_mode == ErrorMode.PREDICTED and self._model.expected is None

    @property
    def _lacks_movies(self) -> bool:
        shown = self._model.shown
        return self._model.error_mode == ErrorMode.UNCERTAINTY and shown is not None and shown.uncertainty is None

    @property
    def _can_draw(self) -> bool:
        return "draws" in type(self._model.config.update).model_fields

    def _draw_several(self) -> None:
        self._model.set_settings(config=self._model.config.changed(draws=DRAWS))
        self._controller.rerun()

    def _work_out_added(self) -> None:
        if self._added.busy:
            self._added.stop()
        else:
            self._added.start()

    @property
    def _told_of_added(self) -> str:
        shown, counted = self._model.shown, self._added.counted
        if self._added.stopping:
            return "Stopping after the present step"
        if counted is not None and counted.total:
            left = self._added.seconds_left
            return f"{counted.done} of {counted.total} reconstructions" + (f", {left:.0f} s left" if left > 0 else "")
        if counted is not None:
            return "Looking for the presentations of the clips"
        if shown is not None and shown.added is not None:
            return f"{shown.added.sentence}{self._most_at(shown.added.exceeds)}"
        return self._added.missing or ADDED_TAKES

    def _most_at(self, exceeds: np.ndarray) -> str:
        """When to look: most frames have no colour."""
        trial, per_frame = self._model.trial, exceeds.sum(axis=(1, 2))
        if trial is None or not per_frame.any():
            return ""
        return f"; most of it at {(self._model.clip[0] + int(per_frame.argmax())) / trial.frame_rate_hz:.2f} s"

    def _show_added(self) -> None:
        shown, asked = self._model.shown, self._model.error_mode == ErrorMode.ADDED
        lacks = shown is None or shown.added is None
        self.added_button.setVisible(asked and (self._added.busy or (lacks and not self._added.missing)))
        self.added_button.setEnabled(not self._added.stopping and not self._model.going_on)
        self.added_button.setText(ADDED_STOPPED if self._added.busy else ADDED_ASKED)

    def _show_playing(self, playing: bool) -> None:
        self.play_button.setText("Hold" if playing else "Play")

    def _show_view(self) -> None:
        model = self._model
        choose(self.error_mode, model.error_mode)
        put(self.signed, model.error_signed)
        self.signed.setEnabled(model.error_mode != ErrorMode.UNCERTAINTY)
        choose(self.over, model.error_over)
        put(self.apart, model.error_apart)
        choose(self.activity_mode, model.activity_mode)
        choose(self.raster_order, model.raster_order)
        put(self.grid, model.grid)
        put(self.alpha, model.alpha_shown)
        put(self.ghost, model.ghost_shown)
        put(self.magnified, model.magnified)
        text = NO_COUNTERPART if self._lacks_counterpart else ""
        if self._lacks_movies:
            text = NO_UNCERTAINTY.format(DRAWS, DRAWS) if self._can_draw else NO_DRAWS.format(model.config.preset_name)
        if model.error_mode == ErrorMode.ADDED:
            text = self._told_of_added
        self._show_added()
        self.note.setText(text)
        self.note.setVisible(bool(text))
        self.draw_button.setVisible(self._lacks_movies and self._can_draw)

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Error", self.error_mode)
        fields.addRow("Drawn over", self.over)
        fields.addRow("", row(self.signed, self.apart))
        # Three do not fit beside the labels.
        fields.addRow(row(self.magnified, self.alpha, self.ghost))
        fields.addRow(PREDICTED, self.activity_mode)
        fields.addRow("Neurons", self.raster_order)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(fields)
        layout.addLayout(row(self.play_button, self.reset_button, self.grid))
        # Below all else, which they would move when they come.
        layout.addWidget(self.note)
        layout.addWidget(self.draw_button)
        layout.addWidget(self.added_button)


def _labels(kinds: Any) -> dict[str, Any]:
    # What the row is called need not be said again, and would be cut.
    return {str(kind.value).removeprefix(f"{PREDICTED.lower()} "): kind for kind in kinds}
