"""Makes a stimulus in a thread of its own, as a film may be large, and puts it on the board."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_vidrecon.viewer.choices import ActivityMode
from napari_vidrecon.viewer.controller import POLL_MILLISECONDS
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.runs.jobs import Failed, Job, OpenJobs

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session, Trial
    from napari_vidrecon.sessions.stimuli.stimulus import Stimulus
    from napari_vidrecon.viewer.model import ReconstructionModel
LEAST_FRAMES = 32
"""Encoders look at windows of so many frames."""


class StimulusMaker(QObject):
    """Shows stimuli to the mouse on the board.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.
    """

    changed = Signal()

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.faults = Faults(model.message.emit)
        self._job: Job | None = None
        self._asked: tuple[Session, Stimulus] | None = None
        self._open = OpenJobs()
        self.destroyed.connect(self._open.close)
        self._poll_timer = QTimer(self, interval=POLL_MILLISECONDS)
        self._poll_timer.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether a stimulus is being made."""
        return self._job is not None

    def show(self, stimulus: Stimulus) -> None:
        """Make it, put it on the board, and let its predicted activity be the target."""
        session = self.model.session
        if self.busy or self._open.closed:
            return
        if session is None:
            self.model.message.emit("Open a session first, under Data: a stimulus is shown to its encoders.", True)
            return
        self._asked = (session, stimulus)
        self._job = Job(partial(make, stimulus, session), "vidrecon-stimulus")
        self._open.start(self._job)
        self._poll_timer.start()
        self.changed.emit()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait for the end, then show it; for scripts. Returns whether it came in time."""
        ended = self._job is None or self._job.wait(seconds)
        self.poll()
        return ended

    @guarded
    def poll(self) -> None:
        """Fetch what came."""
        job = self._job
        if job is None or job.running:
            return
        self._job = None
        self._poll_timer.stop()
        for news in job.fetch():
            if isinstance(news, Failed):
                self.model.message.emit(news.message, True)
            else:
                self._take(news)
        self.changed.emit()

    @guarded
    def _take(self, trial: Trial) -> None:
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
    """In the thread: tells the `Trial` that shows the stimulus."""
    from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial

    job.tell(stimulus_trial(stimulus, session))
