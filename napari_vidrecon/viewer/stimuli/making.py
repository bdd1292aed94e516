"""Makes a stimulus in a thread of its own, as a film may be large, and puts it on the board."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_vidrecon.viewer.background import Background
from napari_vidrecon.viewer.choices import ActivityMode
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_vidrecon.sessions.session import Session, Trial
    from napari_vidrecon.sessions.stimuli.stimulus import Stimulus
    from napari_vidrecon.viewer.model import ReconstructionModel
LEAST_FRAMES = 32
"""Encoders look at windows of so many frames."""


class StimulusMaker(Background):
    """Shows stimuli to the mouse on the board.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self._asked: tuple[Session, Stimulus] | None = None

    def show(self, stimulus: Stimulus) -> None:
        """Make it, put it on the board, and let its predicted activity be the target."""
        session = self.model.session
        if not self.free:
            return
        if session is None:
            self.model.message.emit("Open a session first, under What: a stimulus is shown to its encoders.", True)
            return
        self._asked = (session, stimulus)
        self.begin(Job(partial(make, stimulus, session), "vidrecon-stimulus"))

    def on_news(self, job: Job, trial: Trial) -> None:
        """It is made."""
        assert self._asked is not None
        session, stimulus = self._asked
        model = self.model
        if model.session is not session:
            return
        if trial.frames < LEAST_FRAMES:
            text = f"{stimulus.name}: expected at least {LEAST_FRAMES} frames, found {trial.frames}; make it longer."
            model.message.emit(text, True)
            return
        model.set_stimulus(stimulus, trial)
        model.set_view(activity_mode=ActivityMode.FROM_STIMULUS)
        if model.target != "predicted":
            model.set_settings(target="predicted")
            text = "The target is now “predicted activity”, as none was recorded for a stimulus."
            model.message.emit(text, False)


def make(stimulus: Stimulus, session: Session, job: Job) -> None:
    """In the thread: tells the `Trial` that shows the stimulus.

    Parameters
    ----------
    stimulus
        What to show.
    session
        The mouse that it is shown to.
    job
        Takes the news.
    """
    from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial

    job.tell(stimulus_trial(stimulus, session))
