"""Fits a mask in a thread of its own, and brings it to the model as it grows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.opening import take_mask
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from qtpy.QtCore import QObject

    from napari_vidrecon.reconstruction.mask_fitting import MaskProgress, MaskRecipe
    from napari_vidrecon.sessions.session import Session
    from napari_vidrecon.viewer.model import ReconstructionModel


class MaskFitController(Background):
    """Start and stop the fit of a transparency mask; `counted` says how far it is, in steps.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.

    Attributes
    ----------
    alpha
        (36, 64) of the mask as far as it is fitted; None at rest.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self._session: Session | None = None
        self.alpha: np.ndarray | None = None

    def start(self, recipe: MaskRecipe | None = None) -> None:
        """Fit with the first chosen encoder on the oracle tier, else on all labelled trials.

        Parameters
        ----------
        recipe
            Default: the resolved rule.
        """
        from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe

        model = self.model
        if not self.free:
            return
        if model.session is None or not model.encoder_paths:
            model.message.emit("Open a session and choose an encoder first, under What.", True)
            return
        recipe, self._session = recipe or MaskRecipe(), model.session
        work = partial(fit, model.session, model.encoder_paths[0], model.mouse, model.device, recipe)
        self.begin(Job(work, "vidrecon-mask"), Counted(0, recipe.steps))

    def on_news(self, job: Job, news: MaskProgress | AlphaMask) -> None:
        """A step was done; or the fit is over, or was stopped: what was learned so far is taken."""
        here = self.model.session is self._session
        if not isinstance(news, AlphaMask):
            self.alpha = news.alpha if here else None
            self._count(Counted(news.step, news.steps))
        elif here:
            take_mask(self.model, news)
            self.model.message.emit("The mask was fitted; Undo brings the old one back.", False)

    def on_end(self, job: Job) -> None:
        """There is no picture of a fit at rest."""
        self.alpha = None


def fit(session: Session, encoder_path: Path, mouse: int | None, device: str, recipe: MaskRecipe, job: Job) -> None:
    """In the thread: tells `MaskProgress` after every step and an `AlphaMask` at the end.

    Parameters
    ----------
    session
        The mouse.
    encoder_path
        Encoder file.
    mouse
        Index of its readout; None where the number of neurons chooses it.
    device
        "auto", "cpu", "cuda", ...
    recipe
        Settings of the fit.
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.reconstruction.mask_fitting import fit_mask

    (encoder,) = EncoderShelf().get([encoder_path], mouse, device, session.n_neurons)

    def told(progress: MaskProgress) -> bool:
        job.tell(progress)
        return not job.cancelled.is_set()

    oracle = session.trials_in_tier("oracle")
    trials = oracle if len(oracle) > 1 else list(session.labelled)
    job.tell(fit_mask(session, encoder, recipe, trial_ids=trials, on_progress=told))
