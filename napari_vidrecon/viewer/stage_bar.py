"""The bar above the canvas: which layout it has, and how the movies are shown on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QComboBox, QLabel, QMainWindow, QSizePolicy, QToolBar

from napari_vidrecon.analysis.postprocess import Presentation
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.panels.controls import choice, choose
from napari_vidrecon.viewer.tooltips import TOOLTIPS

if TYPE_CHECKING:
    from napari_vidrecon.viewer.board import Board
    from napari_vidrecon.viewer.model import ReconstructionModel
    from napari_vidrecon.viewer.player import Player

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
        self.setStyleSheet(CHECKED_STYLE)
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
