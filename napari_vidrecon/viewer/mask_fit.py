"""Fits a mask in a thread of its own, and brings it to the model as it grows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.controller import POLL_MILLISECONDS
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import take_mask
from napari_vidrecon.viewer.runs.jobs import Failed, Job, OpenJobs
from napari_vidrecon.viewer.runs.run_job import EncoderShelf

if TYPE_CHECKING:
    from pathlib import Path

    from napari_vidrecon.reconstruction.mask_fitting import MaskProgress, MaskRecipe
    from napari_vidrecon.sessions.session import Session


class MaskFitController(QObject):
    """Start and stop the fit of a transparency mask; `model.fitting` says how far it is.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.faults = Faults(model.message.emit)
        self._job: Job | None = None
        self._session: Session | None = None
        self._open = OpenJobs()
        self.destroyed.connect(self._open.close)
        self._poll_timer = QTimer(self, interval=POLL_MILLISECONDS)
        self._poll_timer.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether a fit goes on."""
        return self._job is not None

    def start(self, recipe: MaskRecipe | None = None) -> None:
        """Fit with the first chosen encoder on the oracle tier, else on all labelled trials.

        Parameters
        ----------
        recipe
            Default: the decayed rule.
        """
        from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe

        model = self.model
        if self.busy or self._open.closed:
            return
        if model.session is None or not model.encoder_paths:
            model.message.emit("Open a session and choose an encoder first, under Data.", True)
            return
        recipe, self._session = recipe or MaskRecipe(), model.session
        work = partial(fit, model.session, model.encoder_paths[0], model.mouse, model.device, recipe)
        self._job = Job(work, "vidrecon-mask")
        model.set_progress(fitting=(0, recipe.steps))
        self._open.start(self._job)
        self._poll_timer.start()

    def stop(self) -> None:
        """End after the present step; the mask learned so far is taken."""
        if self._job is not None:
            self._job.cancel()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait for the end, then take in the mask; for scripts. Returns whether it came in time."""
        ended = self._job is None or self._job.wait(seconds)
        self.poll()
        return ended

    @guarded
    def poll(self) -> None:
        """Fetch what came."""
        job = self._job
        if job is None:
            self._poll_timer.stop()
            return
        ended = not job.running
        for news in job.fetch():
            self._take(news)
        if ended:
            self._job = None
            self._poll_timer.stop()
            self.model.set_progress(fitting=None)

    @guarded
    def _take(self, news: Any) -> None:
        from napari_vidrecon.reconstruction.mask_fitting import MaskProgress

        if isinstance(news, MaskProgress):
            self.model.set_progress(fitting=(news.step, news.steps))
        elif isinstance(news, AlphaMask) and self.model.session is self._session:
            take_mask(self.model, news)
            self.model.message.emit("The mask was fitted; Undo brings the old one back.", False)
        elif isinstance(news, Failed):
            self.model.message.emit(news.message, True)


def fit(session: Session, encoder_path: Path, mouse: int | None, device: str, recipe: MaskRecipe, job: Job) -> None:
    """In the thread: tells `MaskProgress` after every step and an `AlphaMask` at the end."""
    from napari_vidrecon.reconstruction.mask_fitting import fit_mask

    (encoder,) = EncoderShelf().get([encoder_path], mouse, device, session.n_neurons)

    def told(progress: MaskProgress) -> bool:
        job.tell(progress)
        return not job.cancelled.is_set()

    oracle = session.trials_in_tier("oracle")
    trials = oracle if len(oracle) > 1 else list(session.labelled)
    job.tell(fit_mask(session, encoder, recipe, trial_ids=trials, on_progress=told))
