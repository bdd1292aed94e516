"""Stimulus: what the encoders are shown instead of a recorded clip."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.panels.controls import button, choice, form, row, words
from napari_vidrecon.viewer.stimuli.making import StimulusMaker
from napari_vidrecon.viewer.stimuli.stimulus_pages import (
    GratingPage,
    MoviePage,
    NoisePage,
    PatchPage,
    StimulusPage,
)
from napari_vidrecon.viewer.subscriptions import subscribe

EXPLAINED = (
    "Show the encoders a movie of your own, see the activity they predict, then press Start to reconstruct it from "
    "that activity. Behaviour is the mouse's average."
)


class StimulusPanel(QWidget):
    """Makes a stimulus and puts it on the board, or the trial back.

    Parameters
    ----------
    model
        The state of the window.
    """

    def __init__(self, model: ReconstructionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._trial: tuple[int, int, int | None] | None = None
        self.maker = StimulusMaker(model, self)
        self.movie_page = MoviePage(self._show)
        self.pages: list[StimulusPage] = [NoisePage(), GratingPage(), PatchPage(), self.movie_page]
        kinds = {page.title: index for index, page in enumerate(self.pages)}
        self.kind = choice("stimulus_kind", kinds, lambda _: self._show())
        self.show_button = button("Show it", "show_stimulus", self.show_stimulus)
        self.back_button = button("Back to the trial", "back_to_trial", self.go_back)
        self.state = words()
        self._lay_out()
        self.maker.changed.connect(self._show)
        for signal in (model.session_changed, model.trial_changed):
            subscribe(self, signal, self._follow)
        self._follow()

    def show_stimulus(self) -> None:
        """Put what the controls say on the board."""
        try:
            stimulus = self.pages[self.kind.currentData()].stimulus()
        except VidreconError as error:
            self._model.message.emit(str(error), True)
            return
        self.maker.show(stimulus)

    def go_back(self) -> None:
        """Put the trial back that was on the board before, and match what was recorded."""
        if self._trial is not None:
            trial, start, stop = self._trial
            self._model.set_trial(trial, start, stop)
            self._model.set_settings(target="recorded")

    def _follow(self) -> None:
        model = self._model
        for page in self.pages:
            page.take_screen(None if model.session is None else model.session.screen)
        if model.trial is None:
            self._trial = None
        elif model.stimulus is None:
            self._trial = (model.trial.id, *model.clip)
        self._show()

    def _show(self) -> None:
        model = self._model
        for index, page in enumerate(self.pages):
            page.setVisible(index == self.kind.currentData())
        needs_file = self.pages[self.kind.currentData()] is self.movie_page and self.movie_page.path is None
        self.show_button.setEnabled(model.session is not None and not self.maker.busy and not needs_file)
        self.back_button.setEnabled(model.stimulus is not None and self._trial is not None)
        shown = f"On the board: {model.stimulus.name}." if model.stimulus is not None else EXPLAINED
        self.state.setText("Making it…" if self.maker.busy else shown)

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Kind", self.kind)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.state)
        layout.addLayout(fields)
        for page in self.pages:
            layout.addWidget(page)
        layout.addLayout(row(self.show_button, self.back_button))
