"""A tour in a slim bar at the foot of the window: three steps on the simulated mouse, each a click."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QMainWindow, QToolBar, QWidget

from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.sample import find_sample
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.choices import Layout, RunState
from napari_vidrecon.viewer.folders import remember_tour, tour_was_seen
from napari_vidrecon.viewer.main_window import Letters
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import open_sample, try_to
from napari_vidrecon.viewer.panels.controls import FewLines, button, emphasise

if TYPE_CHECKING:
    from napari_vidrecon.viewer.controller import RunController

BAR_NAME, TITLE = "vidrecon_tour", "Tour"
LINES = 2
ABLATED = 0.5
BAR_STYLE = "QToolBar { background-color: rgba(0, 114, 178, 60); border: none; }"


class Stop(IntEnum):
    """Where a person is on the tour."""

    OFFERED = 0
    WATCH = 1
    ABLATE = 2
    COMPARE = 3
    OVER = 4


class Words(NamedTuple):
    """What the bar says: on the way, when the step is done, and on the button to the next step."""

    going: str
    done: str
    next_step: str


TOLD = {
    Stop.OFFERED: Words(
        "",
        "New here? Three clicks, on a simulated mouse, show what this is for.",
        "1  Watch",
    ),
    Stop.WATCH: Words(
        "1 of 3: the first movie is what the mouse was shown, the other is made from its neurons' activity alone, step "
        "by step. r says how alike they are.",
        "1 of 3: the movie is there. Drag the slider below it, or press Play. Next, about half of the neurons are left "
        "out, and it is made again.",
        "2  Ablate",
    ),
    Stop.ABLATE: Words(
        "2 of 3: the same movie from about half of the neurons. Which ones take part is chosen under How: at random, "
        "by region, or with a lasso over the cells.",
        "2 of 3: done; both runs are kept under Results. Next they are put side by side.",
        "3  Compare",
    ),
    Stop.COMPARE: Words(
        "",
        "3 of 3: both runs on one scale, below them what differs from the stimulus. F5 leads back to the large "
        "movies. Now open your own data: What, Open… or Import….",
        "Done",
    ),
}
INTERRUPTED = " This step is not done yet; press again."


class TourBar(QToolBar):
    """Offered once, where nothing is open; skipped or finished it stays away until it is asked for.

    Parameters
    ----------
    model
        The state of the window.
    controller
        Starts the runs.
    window
        napari's main window; the bar is put at its foot, so that no button moves when it goes.
    """

    def __init__(self, model: ReconstructionModel, controller: RunController, window: QMainWindow) -> None:
        super().__init__(TITLE, window)
        self.setObjectName(BAR_NAME)
        Letters(self, BAR_STYLE)
        self.setMovable(False)
        self._model, self._controller = model, controller
        self.stop = Stop.OVER if tour_was_seen() else Stop.OFFERED
        self._asked_for, self._runs_before = False, 0
        self.words = FewLines(LINES)
        self.next_button = button("", "tour_next", self.go_on)
        self.skip_button = button("Skip the tour", "tour_skip", self.end)
        inside = QWidget()
        layout = QHBoxLayout(inside)
        letter = self.fontMetrics().averageCharWidth()
        layout.setContentsMargins(letter, letter // 2, letter, letter // 2)
        layout.addWidget(self.words, 1)
        layout.addWidget(self.next_button)
        layout.addWidget(self.skip_button)
        self.addWidget(inside)
        for signal in (model.session_changed, model.state_changed, model.runs_changed):
            subscribe(self, signal, self._show)
        window.addToolBar(Qt.ToolBarArea.BottomToolBarArea, self)
        self._show()

    def begin(self) -> None:
        """Start the tour, whether it was seen before or not."""
        self.stop, self._asked_for = Stop.OFFERED, True
        self._show()

    def end(self) -> None:
        """Take the bar away, in later windows too."""
        self.stop = Stop.OVER
        remember_tour()
        self._show()

    def go_on(self) -> None:
        """Do the next step; a step that was interrupted is done again."""
        if self.stop is Stop.COMPARE:
            self.end()
            return
        if not (self.stop in (Stop.WATCH, Stop.ABLATE) and not self._done):
            self.stop = Stop(self.stop + 1)
        if try_to(self._model, self._act):
            self._show()

    def _act(self) -> None:
        model = self._model
        if self.stop is Stop.COMPARE:
            before, after = model.runs_here[-2:]
            model.show_run(after)
            model.compare_with(before)
            model.set_view(layout=Layout.COMPARE, grid=False)
            return
        if self.stop is Stop.WATCH:
            if model.session is None or model.session.path != find_sample().session:
                open_sample(model)
            model.set_view(layout=Layout.WATCH, grid=False)
        elif model.neurons is not None:
            model.set_neurons(NeuronSet.random(len(model.neurons.keep), ABLATED))
        self._runs_before = len(model.runs_here)
        self._controller.start()

    @property
    def _going_on(self) -> bool:
        return self._model.state in (RunState.LOADING, RunState.RUNNING, RunState.PAUSED)

    @property
    def _done(self) -> bool:
        """Whether what the step set going has come to its end."""
        return not self._going_on and len(self._model.runs_here) > self._runs_before

    def _show(self) -> None:
        stop = self.stop
        # Who has opened something knows the way, and is not offered anything.
        passed_by = stop is Stop.OFFERED and self._model.session is not None and not self._asked_for
        self.setVisible(stop is not Stop.OVER and not passed_by)
        if stop is Stop.OVER:
            return
        told, runs = TOLD[stop], stop in (Stop.WATCH, Stop.ABLATE)
        done = not runs or self._done
        waits = runs and self._going_on
        self.words.write(told.done if done else told.going + ("" if waits else INTERRUPTED), "")
        self.next_button.setText(told.next_step if done or waits else TOLD[Stop(stop - 1)].next_step)
        self.next_button.setEnabled(not waits)
        emphasise(self.next_button, True)
