"""Trains an encoder in a thread of its own: a training that can be stopped, gone on with, and judged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.storage import fitting_name
from napari_vidrecon.viewer.background import Background, Counted, subscribe
from napari_vidrecon.viewer.folders import ENCODERS_FOLDER
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from napari_vidrecon.encoders.training.training_run import TrainingProgress

ARCHITECTURE = "compact"
"""As `vidrecon train` chooses where nothing is said."""
ENCODER_SUFFIX = ".safetensors"
LEARNED_FROM, SCORED_ON = "train", "oracle"
"""Tiers of trials, as `vidrecon train` and `vidrecon decoder` choose."""


@dataclass(frozen=True)
class Trained:
    """News of a training that came to its end.

    Parameters
    ----------
    correlation
        Mean single-trial correlation over the validation trials, NaN without any.
    good
        Whether that is good enough.
    verdict
        The same in a sentence.
    """

    correlation: float
    good: bool
    verdict: str


@dataclass(frozen=True)
class StoppedEarly:
    """News of a training that a person stopped; its checkpoint is kept.

    Parameters
    ----------
    step, steps
        Done, and in all.
    """

    step: int
    steps: int


class TrainingController(Background):
    """Start, stop and go on with the training of an encoder for the open session.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.

    Attributes
    ----------
    path
        The file to write; None where no session is open.
    recipe
        Every setting; None: as `vidrecon train` has it, see `chosen_recipe`.
    session
        What is trained on, or was last.
    progress
        The last that the training said; None before its first step.
    result
        What came of it; None until it has ended.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self.path: Path | None = None
        self.recipe: TrainingRecipe | None = None
        self.session: Session | None = None
        self.progress: TrainingProgress | None = None
        self.result: Trained | None = None
        subscribe(self, model.session_changed, self._take_session)
        self._take_session()

    @property
    def seconds_left(self) -> float:
        """Estimated by the training, which knows where it went on from; NaN before its first step."""
        return float("nan") if self.progress is None else self.progress.seconds_left

    @property
    def goes_on(self) -> bool:
        """Whether a stopped training would be gone on with."""
        from napari_vidrecon.encoders.training.training_run import checkpoint_path

        return self.path is not None and checkpoint_path(self.path).exists()

    def chosen_recipe(self) -> TrainingRecipe:
        """The recipe to train by."""
        from napari_vidrecon.encoders.training.architectures import recipe_of

        if self.recipe is None:
            self.recipe = recipe_of(ARCHITECTURE).model_validate({})
        return self.recipe

    @property
    def steps(self) -> int:
        """Optimiser steps of the training."""
        return self.chosen_recipe().schedule(1).steps

    def set_steps(self, steps: int) -> None:
        """Train so many steps."""
        recipe = self.chosen_recipe()
        self.recipe = type(recipe).model_validate({**dict(recipe), "steps": steps})
        self.changed.emit()

    def set_path(self, path: Path) -> None:
        """Write the encoder there."""
        self.path, self.result, self.progress = path, None, None
        self.changed.emit()

    def start(self) -> None:
        """Train, or go on where a stopped training was; a file that is there already is never replaced."""
        session = self.model.session
        if not self.free:
            return
        if session is None:
            self.model.message.emit("Open a session first, under What.", True)
            return
        if self.result is not None or self.path is None:
            self.path = free_path(session)
        with self.faults:
            # Or a folder would come up again that a person has just given another name.
            session.require_folder()
            make_room(self.path)
            self.session, self.progress, self.result = session, None, None
            recipe = self.chosen_recipe()
            work = partial(train, session, recipe, self.path, self.model.device)
            self.begin(Job(work, "vidrecon-training"), Counted(0, self.steps))

    def on_news(self, job: Job, news: Any) -> None:
        """A step was done, the training is over, or it was stopped."""
        if isinstance(news, Trained):
            self._finish(news)
        elif isinstance(news, StoppedEarly):
            self.model.message.emit(
                f"Training stopped after step {news.step} of {news.steps}; what it learned is kept, "
                "and Go on leads on from there.",
                False,
            )
        else:
            self.progress = news
            self._count(Counted(news.step, news.steps))

    def on_end(self, job: Job) -> None:
        """Another session may have been opened meanwhile."""
        if not self._is_open(self.session):
            self._take_session()

    def _finish(self, result: Trained) -> None:
        model, path, session = self.model, self.path, self.session
        assert path is not None
        assert session is not None
        self.result = result
        if self._is_open(session):
            model.set_encoders([path])
            model.message.emit(f"The encoder was trained, saved as {path}, and chosen.", False)
        else:
            model.message.emit(f"The encoder of {session.name} was trained and saved as {path}.", False)

    def _is_open(self, session: Session | None) -> bool:
        opened = self.model.session
        return opened is not None and session is not None and opened.path == session.path

    def _take_session(self) -> None:
        if self.busy:
            return
        session = self.model.session
        self.path = None if session is None else free_path(session)
        self.session, self.progress, self.result = session, None, None
        self.changed.emit()


def free_path(session: Session, folder_name: str = ENCODERS_FOLDER, kind: str = "encoder") -> Path:
    """Where an encoder of a session goes: where the session will find it when it is opened again.

    Parameters
    ----------
    session
        The mouse.
    folder_name
        Of the folder for files of this kind.
    kind
        What the file's name begins with.

    Returns
    -------
    Path
        In its own such folder if it has one, else in that beside it; of a name that no file has yet.
    """
    own = session.path / folder_name
    folder = own if own.is_dir() else session.path.parent / folder_name
    path, number = folder / fitting_name(session.name, ENCODER_SUFFIX, f"{kind}_"), 1
    while path.exists():
        number += 1
        path = folder / fitting_name(session.name, f"_{number}{ENCODER_SUFFIX}", f"{kind}_")
    return path


def make_room(path: Path) -> None:
    """Make the folder of a file to write, and refuse to replace one.

    Parameters
    ----------
    path
        Of an encoder or a decoder.

    Raises
    ------
    StorageError
        It is there already, or nothing can be written there.
    """
    if path.exists():
        raise StorageError(f"{path}: expected a free name for the encoder, found a file; choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path.parent}: expected a folder to write to, found none; choose another file ({error.strerror})"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{path.parent}: expected a folder that can be written to; choose another file")


def train(session: Session, recipe: TrainingRecipe, path: Path, device: str, job: Job) -> None:
    """In the thread: tells `TrainingProgress` after every step, and at the end `Trained` or `StoppedEarly`.

    Parameters
    ----------
    session
        The mouse.
    recipe
        Every setting.
    path
        The file to write; the checkpoint lies beside it.
    device
        "auto", "cpu", "cuda", ...
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.encoders.checkpoints import choose_device
    from napari_vidrecon.encoders.training.instances import plan_instances
    from napari_vidrecon.encoders.training.training_run import train_encoder, training_verdict

    (planned,) = plan_instances([session], recipe, path)
    last = [0, 0]

    def told(progress: TrainingProgress) -> None:
        job.tell(progress)
        last[:] = progress.step, progress.steps
        # As Ctrl-C does in the terminal: the checkpoint is written, and no encoder.
        if job.cancelled.is_set() and progress.step < progress.steps:
            raise KeyboardInterrupt

    def between(*_done: int) -> None:
        if job.cancelled.is_set():
            raise KeyboardInterrupt

    job.leave_if_cancelled()
    try:
        correlation = train_encoder(
            [session],
            planned.recipe,
            path,
            core=planned.core,
            training_trials=planned.training_trials,
            validation_trials=planned.validation_trials,
            device=choose_device(device),
            provenance={"held_out_fold": planned.held_out_fold},
            on_progress=told,
            on_scoring=between,
            on_fitting=between,
        )
    except KeyboardInterrupt:
        job.tell(StoppedEarly(*last))
        return
    good, verdict = training_verdict(correlation, simulated=session.simulated)
    job.tell(Trained(correlation, good, verdict))
