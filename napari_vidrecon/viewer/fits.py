"""Fits of a mask (which comes to the model as it grows) and of a decoder (judged, kept, chosen), each in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.background import Background, Counted, subscribe
from napari_vidrecon.viewer.opening import take_mask
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf
from napari_vidrecon.viewer.training import LEARNED_FROM, SCORED_ON, free_path, make_room

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from qtpy.QtCore import QObject

    from napari_vidrecon.reconstruction.decoder import Decoder
    from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe
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
        work = partial(work_on_mask, model.session, model.encoder_paths[0], model.mouse, model.device, recipe)
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


def work_on_mask(
    session: Session, encoder_path: Path, mouse: int | None, device: str, recipe: MaskRecipe, job: Job
) -> None:
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


DECODERS_FOLDER = "decoders"


@dataclass(frozen=True)
class Fitted:
    """News of a fit of a decoder that came to its end.

    Parameters
    ----------
    decoder
        As its file holds it.
    trials, clips
        Learned from, and measured on.
    good
        Whether it is good enough to start from.
    verdict
        The same in a sentence.
    """

    decoder: Decoder
    trials: int
    clips: int
    good: bool
    verdict: str


class DecoderFitController(Background):
    """Start and stop the fit of a decoder of the open session, in a minute or so; `counted` says how far it is.

    Stopped, it is fitted on the trials that were read; there is nothing to go on with later.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.

    Attributes
    ----------
    recipe
        Every setting; None: as `vidrecon decoder` has it.
    result
        What came of the last fit; None before it, and in another session.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self.recipe: DecoderRecipe | None = None
        self.result: Fitted | None = None
        self._session: Session | None = None
        subscribe(self, model.session_changed, self._take_session)

    def start(self) -> None:
        """Fit, judge, write beside the session's encoders, and choose."""
        session = self.model.session
        if not self.free:
            return
        if session is None:
            self.model.message.emit("Open a session first, under What.", True)
            return
        path = free_path(session, DECODERS_FOLDER, "decoder")
        with self.faults:
            make_room(path)
            self._session, self.result = session, None
            pixels = self.model.mask.binary(self.model.evaluation_threshold)
            work = partial(work_on_decoder, session, self.recipe, pixels, path)
            self.begin(Job(work, "vidrecon-decoder"), Counted(0, len(session.trials_in_tier(LEARNED_FROM))))

    def on_news(self, job: Job, news: Fitted) -> None:
        """The fit is over."""
        model, session, path = self.model, self._session, news.decoder.path
        assert session is not None
        if model.session is None or model.session.path != session.path:
            model.message.emit(f"The decoder of {session.name} was fitted and saved as {path}.", False)
            return
        self.result = news
        model.set_settings(decoder=news.decoder)
        model.message.emit(f"The decoder was fitted, saved as {path}, and chosen.", False)

    def _take_session(self) -> None:
        self.result = None
        self.changed.emit()


def work_on_decoder(session: Session, recipe: DecoderRecipe | None, pixels: np.ndarray, path: Path, job: Job) -> None:
    """In the thread: tells `Counted` after every trial, and at the end `Fitted`.

    Parameters
    ----------
    session
        The mouse.
    recipe
        Settings; None: the usual ones.
    pixels
        (36, 64) bool, where it is measured.
    path
        The file to write.
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.reconstruction.decoder import Decoder
    from napari_vidrecon.reconstruction.decoder_fitting import decoder_verdict, fit_decoder, held_out_correlation

    read = [0]

    def told(done: int, trials: int) -> bool:
        read[0] = done
        job.tell(Counted(done, trials))
        return not job.cancelled.is_set()

    job.leave_if_cancelled()
    decoder = fit_decoder(session, recipe, on_progress=told)
    clips = session.trials_in_tier(SCORED_ON)
    correlation = held_out_correlation(decoder, session, clips, pixels)
    decoder.save(path)
    job.tell(Fitted(Decoder.load(path), read[0], len(clips), *decoder_verdict(correlation, len(clips))))
