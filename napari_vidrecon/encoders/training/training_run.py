"""The loop around a trainer: scores, progress, checkpoints, and a run that can be killed and resumed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_vidrecon.encoders.answers import check_finite, predicted
from napari_vidrecon.encoders.training.architectures import TrainableArchitecture
from napari_vidrecon.encoders.training.checkpoint import curve_path
from napari_vidrecon.encoders.training.core import PretrainedCore, chosen_core, core_for_few_frames
from napari_vidrecon.encoders.training.processes import Processes
from napari_vidrecon.encoders.training.samples import NEURONS_AT_ONCE
from napari_vidrecon.encoders.training.trainer import TRAINING_TIER, Trainer
from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.errors import ConfigError, EncoderError, SessionError
from napari_vidrecon.storage import claimed, disk_errors, user_path

if TYPE_CHECKING:
    from napari_vidrecon.encoders.window_encoder import WindowEncoder
    from napari_vidrecon.sessions.session import Session

VALIDATION_TIER = "oracle"
SPREAD_EPSILON = 1e-8
ASKED_OF_SIMULATED_MOUSE, BEST_ON_RECORDINGS = 0.40, 0.29
"""Validation correlations to judge by: docs/own_mouse.md; the winning ensemble on public mice (Sensorium 2023)."""
SKIPPED_FRAMES = 50
"""The competition's score leaves out the first frames of every clip (Sensorium 2023)."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training run is.

    Parameters
    ----------
    step, steps
        Done, and in all.
    loss
        Of the last step.
    correlation
        The last validation correlation, or NaN.
    seconds
        Spent so far, earlier processes included by estimate.
    fits_readouts_next
        Before the next step readouts begin with a regression on the core, which takes longer than a step.
    """

    step: int
    steps: int
    loss: float
    correlation: float
    seconds: float
    fits_readouts_next: bool = False

    @property
    def seconds_left(self) -> float:
        """Estimated from the mean time a step."""
        return self.seconds / max(self.step, 1) * (self.steps - self.step)


def checkpoint_path(encoder: Path | str) -> Path:
    """Where the checkpoint of an encoder in training lies."""
    encoder = user_path(encoder)
    return encoder.with_name(encoder.stem + ".training.safetensors")


def single_trial_correlation(
    encoder: WindowEncoder,
    session: Session,
    trial_ids: list[int],
    *,
    every_window: bool = True,
    skip_frames: int = SKIPPED_FRAMES,
    on_trial: Callable[[], None] | None = None,
) -> np.ndarray:
    """Correlation of each neuron's predicted with its recorded single-trial activity, (N,).

    Trials are joined after leaving out their first frames (the Sensorium 2023 score, without its
    normalisation). Neurons that never vary give 0.

    Parameters
    ----------
    encoder
        Bound to the session's mouse.
    session
        The mouse.
    trial_ids
        Labelled trials.
    every_window
        Slide over all windows; otherwise take windows that do not overlap and score every second frame, as in the
        training of the published encoders, which is 30 times faster.
    skip_frames
        Left out at the beginning of every clip that is more than twice as long.
    on_trial
        Called after every trial.

    Returns
    -------
    np.ndarray
        (N,), -1..1.
    """
    recorded, answered = [], []
    for trial_id in trial_ids:
        trial = session.trial(trial_id)
        if trial.frames < encoder.spec.windows.span:
            # Nothing is predicted of it: that would count as silence.
            continue
        frames = np.arange(trial.video.shape[0])
        if every_window:
            activity = predicted(encoder, trial.video, trial.behavior, trial.pupil_center, clip=trial.name)
        else:
            windows = encoder.spec.windows
            indices = windows.indices(np.arange(0, len(frames) - windows.span + 1, windows.span))
            inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
            with torch.no_grad():
                parts = encoder.responses(inputs[:, torch.as_tensor(indices)].transpose(0, 1))
            check_finite(encoder, parts, trial.name)
            frames = indices.ravel()
            activity = parts.transpose(0, 1).flatten(1).cpu().numpy()
        kept = frames >= (skip_frames if trial.video.shape[0] > 2 * skip_frames else 0)
        recorded.append(trial.responses[:, frames[kept]])
        answered.append(activity[:, kept])
        if on_trial is not None:
            on_trial()
    if not recorded:
        raise SessionError(
            f"{session.path}: expected trials to score the encoder on, of at least {encoder.spec.windows.span} frames, "
            "found none"
        )
    # Thousands of neurons in an hour take gigabytes: some at a time.
    starts = range(0, session.n_neurons, NEURONS_AT_ONCE)
    return np.concatenate([_correlations(recorded, answered, slice(at, at + NEURONS_AT_ONCE)) for at in starts])


def _correlations(recorded: list[np.ndarray], answered: list[np.ndarray], neurons: slice) -> np.ndarray:
    """Of some neurons, over all clips together."""
    a, b = (np.concatenate([part[neurons] for part in parts], axis=1) for parts in (recorded, answered))
    a = (a - a.mean(1, keepdims=True)) / (a.std(1, keepdims=True) + SPREAD_EPSILON)
    b = (b - b.mean(1, keepdims=True)) / (b.std(1, keepdims=True) + SPREAD_EPSILON)
    return np.asarray((a * b).mean(axis=1))


def validation_correlation(
    trainer: Trainer,
    trials: Sequence[list[int]],
    *,
    every_window: bool,
    skip_frames: int = SKIPPED_FRAMES,
    on_scoring: Callable[[int, int], object] | None = None,
) -> float:
    """Mean single-trial correlation over neurons, then over the mice that have trials.

    Parameters
    ----------
    trainer
        Whose encoder is scored, with each mouse's readout.
    trials
        Ids of each mouse's trials.
    every_window
        As for `single_trial_correlation`.
    skip_frames
        As for `single_trial_correlation`.
    on_scoring
        Called with the trials done and the trials in all: before the first, and after each.

    Returns
    -------
    float
        -1..1; NaN without any trial.
    """
    done, total = -1, sum(map(len, trials))

    def on_trial() -> None:
        nonlocal done
        done += 1
        if on_scoring is not None and total:
            on_scoring(done, total)

    on_trial()
    scores = [
        single_trial_correlation(
            trainer.encoder(mouse),
            session,
            ids,
            every_window=every_window,
            skip_frames=skip_frames,
            on_trial=on_trial,
        ).mean()
        for mouse, (session, ids) in enumerate(zip(trainer.sessions, trials, strict=True))
        if ids
    ]
    return float(np.mean(scores)) if scores else float("nan")


def training_verdict(correlation: float, *, simulated: bool) -> tuple[bool, str]:
    """Whether an encoder is good enough to reconstruct with, by rule of thumb: half of what good ones reach.

    Parameters
    ----------
    correlation
        Mean single-trial correlation over validation trials, -1..1; NaN without any.
    simulated
        Of a simulated mouse, whose activity can be predicted better.

    Returns
    -------
    tuple[bool, str]
        Whether it is, and a sentence for people.
    """
    if np.isnan(correlation):
        return (
            False,
            f"Nobody knows how good it is: the session has no trials of the tier {VALIDATION_TIER} to score on.",
        )
    asked = ASKED_OF_SIMULATED_MOUSE if simulated else BEST_ON_RECORDINGS
    known = (
        f"the simulated mouse of docs/own_mouse.md is asked for {asked:.2f}"
        if simulated
        else f"the best published encoders reach {asked:.2f} on public mice"
    )
    found = f"validation correlation {correlation:.2f} in single trials, {known}"
    if correlation >= asked:
        return True, f"Good enough to reconstruct with: {found}."
    if correlation >= asked / 2:
        return True, f"Usable, and it could be better: {found}. More trials or more steps may help."
    return False, (
        f"Not good enough to trust a reconstruction: {found}. "
        "Train longer or on more trials; check the timing of movie and activity."
    )


def train_encoder(
    sessions: Sequence[Session],
    recipe: TrainingRecipe,
    path: Path | str,
    *,
    training_trials: Sequence[list[int]] | None = None,
    validation_trials: Sequence[list[int]] | None = None,
    device: torch.device | str = "cpu",
    teachers: Sequence[Path | str] = (),
    architecture: TrainableArchitecture | None = None,
    core: PretrainedCore | Path | str | None = None,
    thaw: float = 0.0,
    provenance: dict[str, Any] | None = None,
    checkpoint_seconds: float = 30.0,
    finish: bool = False,
    processes: Processes | None = None,
    on_progress: Callable[[TrainingProgress], bool | None] | None = None,
    on_scoring: Callable[[int, int], None] | None = None,
    on_fitting: Callable[[], None] | None = None,
) -> float:
    """Train an encoder and write it; a killed run goes on from its checkpoint beside `path`.

    The learning curve lies beside the encoder, as a CSV table (step, loss, learning rate, validation correlation).

    Parameters
    ----------
    sessions
        One readout each.
    recipe
        Every setting.
    path
        The `.safetensors` file to write.
    training_trials, validation_trials
        For each session; default: its train and oracle tiers.
    device
        Where it runs.
    teachers
        Encoder files whose predictions it also learns from.
    architecture
        How the module is built and run; default: the recipe's.
    core
        Encoder file whose core is taken as it is, so that only readouts learn; the recipe has to have its sizes, as
        `PretrainedCore.recipe_fields` tells them. Default: where the recipe begins trained, the core of the simulated
        mouse that comes along: of few frames kept as it is, otherwise learned on.
    thaw
        Share of the steps, at the end, in which the core learns too.
    provenance
        More plain values to write into the encoder's file.
    checkpoint_seconds
        At most this much work is lost when the process is killed.
    finish
        Do not go on with a stopped run, but write what it has learned.
    processes
        Those that share the training, each with a part of every batch; the first writes. Default: this one alone.
    on_progress
        Called after every step; return False to stop early and keep what is learned.
    on_scoring
        Called at the end, while the encoder is scored, with the held-out trials done and the trials in all; a
        `KeyboardInterrupt` from it stops the training, which then goes on with the scoring.
    on_fitting
        Called about once a second while readouts begin by a regression in one process; a `KeyboardInterrupt` from it
        stops the training as it was before.

    Returns
    -------
    float
        Mean single-trial correlation over the validation trials and sessions; NaN without any.

    Raises
    ------
    EncoderError
        Settings that cannot be trained, a checkpoint of another training, or nothing to finish; a loss, weights or an
        answer that is not finite.
    SessionError
        A trial to learn from or to score on cannot be read; found before the first step.
    ConfigError
        One session is given twice.
    StorageError
        Another process trains this encoder.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> recipe = TrainingRecipe(steps=2000)  # doctest: +SKIP
    >>> vr.train_encoder([session], recipe, "encoder.safetensors")  # doctest: +SKIP
    """
    path = user_path(path)
    checkpoint = checkpoint_path(path)
    if finish and not checkpoint.exists():
        raise EncoderError(f"{checkpoint}: expected the checkpoint of a stopped training to finish, found none")
    folders = [session.path.resolve() for session in sessions]
    if again := [folder for folder in folders if folders.count(folder) > 1]:
        raise ConfigError(
            f"{again[0]}: expected each session once, found it {folders.count(again[0])} times; a mouse has one readout"
        )
    together, core = processes or Processes(), chosen_core(core, thaw)
    if core is None and architecture is None:
        learned = training_trials or [session.trials_in_tier(TRAINING_TIER) for session in sessions]
        core, recipe = core_for_few_frames(sessions, learned, recipe)
    trainer = Trainer(
        sessions,
        recipe,
        training_trials,
        device,
        teachers=teachers,
        architecture=architecture,
        core=core,
        processes=together,
        # Of several processes, which would have to agree each time, none stops within a regression.
        on_fitting=on_fitting if together.count == 1 else None,
    )
    validation = validation_trials or [session.trials_in_tier(VALIDATION_TIER) for session in sessions]
    if not finish:
        # A damaged one is found now, not after hours.
        trainer.read_trials()
    for session, ids in zip(trainer.sessions, validation, strict=True):
        for trial_id in ids:
            session.trial(trial_id).require_responses()
    with contextlib.ExitStack() as alone:
        if together.is_first:
            # Two at once would take each other's checkpoint, and the last one's encoder would replace the other's.
            with disk_errors(path):
                alone.enter_context(claimed(path, "encoder"))
        if checkpoint.exists():
            trainer.load_checkpoint(checkpoint)
        loop = _Loop(trainer, validation, path)
        try:
            if not finish:
                loop.run(checkpoint_seconds, on_progress)
            correlation = validation_correlation(
                trainer, validation, every_window=True, on_scoring=lambda *done: loop.agreed(on_scoring, *done)
            )
        except KeyboardInterrupt:
            # Weights of a half-done step would not lead to the same bits; the last checkpoint does.
            if not trainer.half_way:
                loop.save()
            raise
        trainer.curve.score(correlation)
        if together.is_first:
            trainer.save_encoder(path, {"validation_correlation": correlation, **(provenance or {})})
            trainer.curve.write(curve_path(path))
            checkpoint.unlink(missing_ok=True)
        together.wait()
    return correlation


@dataclass(frozen=True)
class _Loop:
    """The steps of a training that is scored, told about and kept now and then."""

    trainer: Trainer
    validation: Sequence[list[int]]
    path: Path

    def save(self) -> None:
        if self.trainer.processes.is_first:
            self.trainer.save_checkpoint(checkpoint_path(self.path))
            self.trainer.curve.write(curve_path(self.path))

    def run(self, checkpoint_seconds: float, on_progress: Callable[[TrainingProgress], bool | None] | None) -> None:
        trainer, curve = self.trainer, self.trainer.curve
        steps, first = trainer.schedule.steps, trainer.step_index
        begun = saved = time.monotonic()
        while trainer.step_index < steps and not _runs_out_of_patience(trainer):
            loss = trainer.step()
            done = trainer.step_index
            self._score_now_and_then(done, steps)
            if time.monotonic() - saved > checkpoint_seconds:
                self.save()
                saved = time.monotonic()
            seconds = (time.monotonic() - begun) * done / max(done - first, 1)
            correlation = curve.scores[-1] if curve.scores else float("nan")
            fits_next = done < steps and trainer.fits_readouts_before(done)
            now = TrainingProgress(done, steps, loss, correlation, seconds, fits_next)
            if not self.agreed(on_progress, now):
                break

    def _score_now_and_then(self, done: int, steps: int) -> None:
        recipe = self.trainer.recipe
        between = recipe.steps_between_scores(len(self.trainer.sessions))
        if between and done % between == 0 and done < steps:
            skipped = recipe.validation_skip_frames
            score = validation_correlation(self.trainer, self.validation, every_window=False, skip_frames=skipped)
            self.trainer.curve.score(score)

    def agreed(self, call: Callable[..., bool | None] | None, *told: Any) -> bool:
        """Whether to go on, as all processes agree: one that leaves alone would leave the others waiting."""
        together, goes_on = self.trainer.processes, True
        interrupted = together.abandoned
        try:
            goes_on = call is None or call(*told) is not False
        except KeyboardInterrupt:
            if together.count == 1:
                raise
            interrupted = True
        if together.any(interrupted, self.trainer.device):
            raise KeyboardInterrupt
        return not together.any(not goes_on, self.trainer.device)


def _runs_out_of_patience(trainer: Trainer) -> bool:
    patience = trainer.recipe.patience
    return bool(patience) and trainer.curve.scores_since_best() >= patience
