"""Fits of a mask (which grows in sight), of a decoder (judged, kept, chosen), of the pupil's gaze; each in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.decoder_fitting import (
    DecoderRecipe,
    decoder_verdict,
    fit_decoder,
    held_out_correlation,
)
from napari_vidrecon.reconstruction.mask_fitting import MaskProgress, MaskRecipe, fit_mask
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.viewer.background import Background, Counted, subscribe
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import take_mask
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf
from napari_vidrecon.viewer.training import LEARNED_FROM, SCORED_ON, free_path, make_room

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.gaze_fitting import PupilGaze

NO_ENCODER = "Open a session and choose an encoder first, under What."


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
        model = self.model
        if not self.free:
            return
        if model.session is None or not model.encoder_paths:
            model.message.emit(NO_ENCODER, True)
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
            session.require_folder()
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


CHECKED_OF = 4
"""One trial of so many checks what the others tell, where no tiers say which."""


class GazeFitController(Background):
    """Finds how the recorded pupil shifts the picture, once for a session and an encoder, and has runs infer the gaze.

    Stopped, it changes nothing.

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
        self._known: dict[tuple[Path, Path, int | None], PupilGaze] = {}
        self._asked: tuple[Path, Path, int | None] | None = None

    @property
    def _what(self) -> tuple[Path, Path, int | None] | None:
        """What it is found for."""
        model = self.model
        if model.session is None or not model.encoder_paths:
            return None
        return model.session.path, model.encoder_paths[0], model.mouse

    def start(self) -> None:
        """Find it, on training clips or, without any, on the session's others; what was found is kept."""
        model, what = self.model, self._what
        if not self.free:
            return
        if model.session is None or what is None:
            model.message.emit(NO_ENCODER, True)
            return
        self._asked = what
        if what in self._known:
            self._use(self._known[what])
            return
        known, checked = None, None
        if not model.session.trials_in_tier(LEARNED_FROM):
            shown = {*model.repeats, *(() if model.trial is None else (model.trial.id,))}
            others = [each for each in model.session.labelled if each not in shown]
            checked, known = others[::CHECKED_OF], [each for place, each in enumerate(others) if place % CHECKED_OF]
        work = partial(work_on_gaze, model.session, what[1], model.mouse, model.device, known, checked)
        self.begin(Job(work, "vidrecon-gaze"), Counted(0, 0))

    def on_news(self, job: Job, news: PupilGaze) -> None:
        """It was found."""
        if self._asked is not None:
            self._known[self._asked] = news
        if self._what == self._asked and not job.cancelled.is_set():
            self._use(news)

    def _use(self, found: PupilGaze) -> None:
        model = self.model
        settings = found.settings or ({"gaze": "inferred"} if model.repeats else {})
        told = found.checked_in_words
        if found.settings:
            columns, rows = found.shift_px
            told = f"Gaze by the pupil: {columns:.1f} px across, {rows:.1f} px up and down (SD); {told}."
        elif settings:
            told = f"Gaze from the presentations alone: the pupil tells nothing ({told})."
        else:
            told = f"No gaze: the pupil tells nothing beyond the encoder ({told})."
        with self.faults:
            if settings:
                model.set_settings(config=model.config.changed(**settings))
            model.message.emit(told, False)
        self.changed.emit()


def work_on_gaze(
    session: Session,
    encoder_path: Path,
    mouse: int | None,
    device: str,
    known: list[int] | None,
    checked: list[int] | None,
    job: Job,
) -> None:
    """In the thread: tells `Counted` after every step and a `PupilGaze` at the end.

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
    known, checked
        Trials to find it on and to check it on; None: of the tiers for that.
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.reconstruction.gaze_fitting import fit_gaze

    (encoder,) = EncoderShelf().get([encoder_path], mouse, device, session.n_neurons)
    job.leave_if_cancelled()
    job.tell(fit_gaze(session, encoder, known, checked, on_progress=job.count))
