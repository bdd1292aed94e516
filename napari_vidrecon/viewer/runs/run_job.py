"""What a run does in its thread: load encoders, predict activity from the true movie, then optimise."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from napari_vidrecon import metrics
from napari_vidrecon.encoders.answers import check_session_fits
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import StorageError
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run import Run, plan_recipe
from napari_vidrecon.reconstruction.run_folder import at_work_on
from napari_vidrecon.reconstruction.runner import Mailbox, Runner
from napari_vidrecon.reconstruction.several_mice import AnotherMouse, open_mouse
from napari_vidrecon.reconstruction.targets import NeuronSet, build_target
from napari_vidrecon.sessions.repeats import repeats_of
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.viewer.faults import in_one_line
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from napari_vidrecon.viewer.model import ReconstructionModel


@dataclass(frozen=True)
class Loading:
    """News: what is being prepared, in words."""

    text: str


@dataclass(frozen=True, eq=False)
class Predicted:
    """News: activity (N, T) predicted from the true movie, and the levels it reaches."""

    activity: np.ndarray
    levels: dict[str, float]


@dataclass(frozen=True, eq=False)
class Started:
    """News: the optimisation begins; talk to it through its runner."""

    runner: Runner


@dataclass(frozen=True, eq=False)
class Finished:
    """News: the run is over, finished or stopped.

    Parameters
    ----------
    result
        What it made.
    path
        Its folder, None if nothing was kept.
    unsaved
        Why it is not on disk, or not all of it, in one line; empty for a run that is, or was not to be.
    """

    result: Reconstruction
    path: Path | None
    unsaved: str = ""


@dataclass(frozen=True, eq=False)
class RunRequest:
    """Everything a run needs, taken from the model when it is started, so that later edits do not reach it.

    Parameters
    ----------
    recipe
        What is run.
    trial, mask, neurons, decoder
        What the recipe names, opened.
    prediction
        Activity predicted from the true movie, where it is known already.
    save_to
        Folder the run is kept in, or None.
    go_on_from
        A partial run to continue.
    session
        Holds the further presentations that the recipe names.
    """

    recipe: Recipe
    trial: Trial
    mask: AlphaMask
    neurons: NeuronSet
    decoder: Decoder | None = None
    prediction: np.ndarray | None = None
    save_to: Path | None = None
    go_on_from: Reconstruction | None = None
    session: Session | None = None

    @classmethod
    def from_model(cls, model: ReconstructionModel, **more: Any) -> RunRequest:
        """Take everything from a model that has a trial; `more` overrides single fields."""
        assert model.trial is not None
        assert model.neurons is not None
        fields: dict[str, Any] = {
            "recipe": model.recipe(),
            "trial": model.trial,
            "mask": model.mask,
            "neurons": model.neurons,
            "decoder": model.decoder,
            "prediction": model.stimulus_prediction,
            "session": model.session,
        }
        return cls(**{**fields, **more})

    def planned(self, encoders: Sequence[Encoder]) -> Run:
        """The run with its encoders; nothing is optimised yet."""
        repeats = self.recipe.repeats
        return plan_recipe(
            self.recipe,
            self.trial,
            encoders,
            self.mask,
            neurons=self.neurons,
            decoder=self.decoder,
            repeats=repeats_of(self.session, self.trial, repeats) if self.session and repeats else (),
            with_mice=self._mice(),
        )

    def _mice(self) -> list[AnotherMouse]:
        """The further mice of the recipe, opened."""
        if self.session is None:
            return []
        screen, device = self.session.screen, self.recipe.device
        return [open_mouse(each, self.trial, screen, device) for each in self.recipe.mice]


class EncoderShelf:
    """Encoders that were loaded before, by file and device; those no longer asked for are let go."""

    def __init__(self) -> None:
        self._shelf: dict[tuple, Encoder] = {}

    def get(self, paths: Sequence[Path], mouse: int | str | None, device: str, neurons: int) -> list[Encoder]:
        """Load what is not there yet.

        Parameters
        ----------
        paths
            Encoder files.
        mouse
            Index of their readout; None where the number of neurons chooses it.
        device
            "auto", "cpu", "cuda", ...
        neurons
            Of the recording.

        Returns
        -------
        list[Encoder]
            In the order of `paths`.

        Raises
        ------
        EncoderError
            A file is missing, damaged, no encoder, or of another number of neurons.
        """
        from napari_vidrecon.encoders.checkpoints import load_encoder

        wanted = {path: (path, _changed_at(path), mouse, device, neurons) for path in paths}
        kept: dict[tuple, Encoder] = {}
        for path, key in wanted.items():
            encoder = self._shelf.get(key)
            if encoder is None:
                encoder = load_encoder(path, mouse, device, neurons=neurons)
                encoder.require_neurons(neurons, "the session")
            kept[key] = encoder
        self._shelf = kept
        return [kept[wanted[path]] for path in paths]

    def let_go_of_others(self, paths: Collection[Path]) -> None:
        """Keep encoders of these files only; what runs goes on with the ones that it has."""
        self._shelf = {key: encoder for key, encoder in self._shelf.items() if key[0] in paths}


def _changed_at(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def predict_stimulus(request: RunRequest, shelf: EncoderShelf, job: Job) -> None:
    """Tell what the encoders predict from the true movie.

    Parameters
    ----------
    request
        Trial and encoders.
    shelf
        Holds encoders that were loaded before.
    job
        Takes `Predicted`, and says when to stop.
    """
    encoders = _encoders(request, shelf, job)
    activity = request.prediction
    if activity is None:
        activity = _predicted(encoders, request.trial, job)
    job.tell(Predicted(activity, _levels(request, encoders, activity)))


def reconstruct(request: RunRequest, shelf: EncoderShelf, mailbox: Mailbox, job: Job) -> None:
    """Plan and drive a run exactly as `napari_vidrecon.reconstruct` does.

    Tells `Loading`, `Predicted`, `Started` and `Finished`.

    Parameters
    ----------
    request
        The run.
    shelf
        Holds encoders that were loaded before.
    mailbox
        Brings changes while it runs.
    job
        Takes the news, and says when to stop.
    """
    with contextlib.nullcontext() if request.save_to is None else at_work_on(request.save_to):
        _reconstruct(request, shelf, mailbox, job)


def _reconstruct(request: RunRequest, shelf: EncoderShelf, mailbox: Mailbox, job: Job) -> None:
    predict_stimulus(request, shelf, job)
    job.leave_if_cancelled()
    job.tell(Loading("Preparing the optimisation"))
    run = request.planned(_encoders(request, shelf, job))
    if request.go_on_from is not None:
        run.resume(request.go_on_from)
    runner = Runner(run, mailbox, save_to=request.save_to, publish_activity=True)
    job.leave_if_cancelled()
    # One event for both: cancelling the job, from whatever side, stops the run after its present step.
    runner.stopping = job.cancelled
    job.tell(Started(runner))
    try:
        result = runner.drive()
    except StorageError as error:
        # What cannot be written is no less there for that: who watches has it, and may save it elsewhere.
        done = runner.result or run.result(with_activity=False)
        if not len(done.history):
            raise
        job.tell(Finished(done, None, in_one_line(error)))
        return
    except Exception:
        kept = request.save_to if request.save_to is not None and request.save_to.exists() else None
        if run.steppable.step_index > 0:
            job.tell(Finished(run.result(with_activity=False), kept))
        raise
    finally:
        _leave_memory_to_others()
    job.tell(Finished(result, request.save_to))


def _leave_memory_to_others() -> None:
    """Torch keeps what it once had of a graphics card; other programs may want it between two runs."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _encoders(request: RunRequest, shelf: EncoderShelf, job: Job) -> list[Encoder]:
    recipe, count = request.recipe, len(request.recipe.encoders)
    job.tell(Loading(f"Loading {count} encoders" if count > 1 else "Loading the encoder"))
    encoders = shelf.get([*map(Path, recipe.encoders)], recipe.mouse, recipe.device, request.neurons.keep.size)
    if request.session is not None:
        for encoder in encoders:
            check_session_fits(encoder, request.session)
    return encoders


def _predicted(encoders: Sequence[Encoder], trial: Trial, job: Job) -> np.ndarray:
    """Mean over encoders; the same numbers as `Encoder.predict`, but it can be left and says how far it is."""
    from napari_vidrecon.encoders.window_encoder import predict_clip

    windows = sum(len(encoder.spec.windows.starts(trial.frames)) for encoder in encoders)
    done = 0

    shown = "the true movie" if trial.has_movie else "a grey screen"

    def watch(count: int) -> None:
        nonlocal done
        job.leave_if_cancelled()
        job.tell(Loading(f"Predicting activity from {shown}: {min(100, round(100 * done / windows))} %"))
        done += count

    activities = []
    for encoder in encoders:
        inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
        watched = cast("Encoder", WatchedEncoder(encoder, watch))
        activities.append(predict_clip(watched, inputs).cpu().numpy())
    return np.mean(activities, axis=0)


class WatchedEncoder:
    """An encoder that calls back before every forward pass with the number of windows in it."""

    def __init__(self, encoder: Encoder, watch: Callable[[int], None]) -> None:
        self._encoder, self._watch = encoder, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def responses(self, windows: torch.Tensor) -> torch.Tensor:
        """As the encoder's own."""
        self._watch(windows.shape[0])
        return self._encoder.responses(windows)


def _levels(request: RunRequest, encoders: Sequence[Encoder], activity: np.ndarray) -> dict[str, float]:
    """Loss and correlation the true movie reaches with the request's target and neurons."""
    recipe = request.recipe
    if not request.trial.has_movie:
        # What a grey screen reaches is no level that a true movie does.
        return {}
    target = activity if recipe.target == "predicted" else recipe.target
    goal = build_target(target, request.trial, encoders, request.neurons, recipe.ablation, recipe.config.seed)
    recorded = request.trial.responses if request.trial.labelled else goal.activity
    truth, shown = goal.measured(recorded), goal.measured(activity)
    return {
        # The loss of several mice is the mean over all, and only this one's level is known.
        "loss": np.nan if recipe.mice else metrics.poisson_loss(activity[goal.in_loss], goal.matched),
        "response_loss": metrics.poisson_loss(shown, truth),
        "response_correlation": metrics.response_correlation(truth, shown),
    }
