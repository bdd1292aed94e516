"""The reconstruction itself: one step, its state; no threads, no files, no window."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, EncoderError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.gaze import Curves, Drift, Inferred
from napari_vidrecon.reconstruction.gradients import (
    SubBatchGradients,
    average_over_overlaps,
    build_transforms,
    negative_log_likelihood,
    summed,
)
from napari_vidrecon.reconstruction.history import StepInfo
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.outcome import (
    DEVIANCE,
    OUTCOME_PREFIX,
    NotFinite,
    build_outcome,
    check_state,
    why_not_finite,
)
from napari_vidrecon.reconstruction.presentations import Presentation, scales_of, weigh_together
from napari_vidrecon.reconstruction.schedule import SubBatches, build_schedule
from napari_vidrecon.reconstruction.targets import Target
from napari_vidrecon.reconstruction.tracking import Grown, Tracker
from napari_vidrecon.reconstruction.update import Disturbance, Draw, build_update, learning_rate
from napari_vidrecon.sessions.session import Trial

Bookmark = tuple[int, torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor], float | None, list[Curves]]
"""Steps done, the video, the states of update and outcome, the deviance, and the states of what else is inferred."""
DRIFT = "drift_{}_{}"
"""Name of a state by the place of its presentation."""


class Steppable(Grown, Protocol):
    """What a runner drives: one reconstruction, or several in step."""

    config: ReconstructionConfig
    tracker: Tracker | None

    @property
    def step_index(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    @property
    def state(self) -> dict[str, Any]: ...
    def load_state(self, state: dict[str, Any]) -> None: ...
    def step(self) -> StepInfo: ...
    def set_mask(self, mask: AlphaMask, threshold: float) -> None: ...
    def set_training_threshold(self, threshold: float) -> None: ...
    def set_target(self, target: Target) -> None: ...


@dataclass(eq=False)
class Reconstructor:
    """Grows a movie until the activity predicted from it matches the target (Bauer et al. 2026, Fig. 1B).

    Parameters
    ----------
    trial
        The clip; its behaviour goes into the encoder, its movie only into the tracker.
    encoders
        One, or several whose unit gradients are averaged (gradient ensembling).
    mask
        Transparency mask.
    target
        The activity to match.
    config
        Every setting.
    training_threshold
        Pixels with alpha at least this are changed; all others stay as they are.
    tracker
        Measures the movie as it grows, or None.
    chunk
        Windows at once; None chooses by device and free memory.
    draw
        The chance of this movie; None: the most probable one.
    decoder
        Says what it sees in the target's activity; the run starts from that, and the prior lies around it.
    member
        Of an ensemble of movies, 0, 1, ...
    others
        Further presentations of the same clip, to this mouse or others, each with its own behaviour and activity;
        likelihoods are added.
    """

    trial: Trial
    encoders: Sequence[Encoder]
    mask: AlphaMask
    target: Target
    config: ReconstructionConfig
    training_threshold: float = 0.5
    tracker: Tracker | None = None
    chunk: int | None = None
    draw: Draw | None = None
    decoder: Decoder | None = None
    member: int = 0
    others: Sequence[Presentation] = ()
    _step: int = field(default=0, init=False)
    _activity: torch.Tensor | None = field(default=None, init=False)
    _norms: list[torch.Tensor] = field(default_factory=list, init=False)
    deviance: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        first = self.encoders[0].spec
        if any(e.spec.canvas != first.canvas or e.spec.windows != first.windows for e in self.encoders):
            raise EncoderError(
                "gradients can only be averaged over encoders of one input size; "
                "average their movies instead (ensemble: videos)"
            )
        frames = self.trial.video.shape[0]
        self._canvas, self._frames = first.canvas, frames
        try:
            self._schedule = build_schedule(self.config, frames, first.windows.sub_batch_frames)
        except ConfigError as refused:
            # Of many trials, which; of one, of which session.
            raise ConfigError(f"{self.trial.name}: {refused}") from None
        self._first = Presentation(self.trial, self.encoders, self.target, self.config, self.draw)
        self._video = self._first.inputs[0][0].clone()
        screen, frame_rate_hz = self._canvas.screen, self.trial.frame_rate_hz
        for each in self.presentations:
            how = {"by_pupil": each.same_mouse(self._first), "alone": not self.others}
            each.drift = Drift.of(self.config, each.trial, self._canvas, self._video, **how)
        decoded, colours = self.decoder is not None, len(self._canvas.parts)
        told = self.config, self._video, screen, frame_rate_hz, self.draw
        self._update = build_update(*told, decoded=decoded, colours=colours)
        self._outcome = build_outcome(self.config)
        self._disturbance = Disturbance.of(self.config, self.member, self._canvas.parts)
        self._set_update_mask(self.training_threshold)
        self.set_target(self.target)

    @property
    def presentations(self) -> list[Presentation]:
        """All of the clip, the trial's own first."""
        return [self._first, *self.others]

    @property
    def matched(self) -> list[torch.Tensor]:
        """(neurons in the loss, T) activity to match in the first presentation, one an encoder."""
        return self._first.matched

    @property
    def chosen(self) -> list[torch.Tensor | None]:
        """Indices of these neurons, one an encoder; None: all."""
        return self._first.chosen

    @property
    def weights(self) -> list[torch.Tensor | None]:
        """(neurons in the loss, T) what each counts, one an encoder; None: all the same."""
        return self._first.weights

    def set_target(self, target: Target) -> None:
        """Match other activity, or other neurons, from the next step on."""
        self.target = target
        self._first.set_target(target)
        for other in self.others:
            if other.same_mouse(self._first):
                other.set_target(replace(other.target, neurons=target.neurons, ablation=target.ablation))
        weigh_together(self.presentations)
        self._rebuild_transforms()
        if self.decoder is not None:
            mine = [each for each in self.presentations if each.same_mouse(self._first)]
            told = [self.decoder.movie(each.target.activity, target.neurons.keep) for each in mine]
            movie = np.mean(told, axis=0, dtype=told[0].dtype) if len(told) > 1 else told[0]
            if not np.isfinite(movie).all():
                raise ConfigError(
                    "decoder: expected a finite movie of the activity to match, found others; fit it anew"
                )
            start = self._update.start_from(self._video, torch.as_tensor(movie).to(self._video), self._step)
            self._video = self._update.restrict_to(start, self._update_mask, self._blank)

    def set_mask(self, mask: AlphaMask, threshold: float) -> None:
        """Take another mask from the next step on."""
        self.mask = mask
        self.set_training_threshold(threshold)

    def set_training_threshold(self, threshold: float) -> None:
        """Change which pixels are updated, from the next step on; pixels that leave the mask become grey again."""
        self._set_update_mask(threshold)
        self._rebuild_transforms()

    def _set_update_mask(self, threshold: float) -> None:
        self.training_threshold = threshold
        all_join = threshold <= 0 and self.config.include_negative_alpha
        shown = self._everywhere() if all_join else self.mask.on(self._canvas, threshold)
        changed = self._everywhere() if self.config.update.surround == "inferred" else shown
        self._shown_mask, self._update_mask = (torch.as_tensor(m).to(self._video.device) for m in (shown, changed))
        self._blank = self._first.packed(self.encoders[0])[0]
        self._video = self._update.restrict_to(self._video, self._update_mask, self._blank)

    def _everywhere(self) -> np.ndarray:
        return self._canvas.embed(np.ones(self.mask.screen.shape, bool), False)

    def _rebuild_transforms(self) -> None:
        scale = self._first.scale
        self._scales = scales_of(self.presentations)
        self._shares = [each / scale for each in self._scales]
        changed = self._update_mask.to(self._video.dtype)
        self.transforms = build_transforms(self.config, changed, scale, self._canvas.parts)

    @property
    def step_index(self) -> int:
        """Steps done."""
        return self._step

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or more would not change the movie."""
        return self._step >= self.config.steps or self._outcome.stopped

    @property
    def video(self) -> np.ndarray:
        """The movie so far, (T, 36, 64) float32, 0..255, unmasked and unsmoothed; a copy."""
        shown = torch.where(self._shown_mask, self._outcome.movie(self._video), self._blank)
        return shown[(slice(None), *self._canvas.screen)].float().cpu().numpy()

    @property
    def optimised_video(self) -> np.ndarray:
        """As `video`, with what the run itself has outside the mask, where that is inferred; a copy."""
        return self._outcome.movie(self._video)[(slice(None), *self._canvas.screen)].float().cpu().numpy().copy()

    @property
    def state(self) -> dict[str, Any]:
        """Everything a later process needs to go on to the same bits: step, video, the update's moments."""
        outcome = {OUTCOME_PREFIX + name: kept for name, kept in self._outcome.state.items()}
        tensors = {**self._update.state, **outcome, **self._drifting()}
        kept = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
        if self.deviance is not None:
            kept[DEVIANCE] = np.array(self.deviance)
        return {"step": self._step, "video": self._video.cpu().numpy().copy(), **kept}

    @property
    def drifts(self) -> list[Drift]:
        """What is inferred of each presentation besides the movie, the trial's own first; none if nothing is."""
        return [each.drift for each in self.presentations if each.drift is not None]

    @property
    def inferred(self) -> list[Inferred]:
        """The same as arrays, as far as it is known."""
        return [each.inferred for each in self.drifts]

    def _drifting(self) -> dict[str, torch.Tensor]:
        return {
            DRIFT.format(place, name): kept
            for place, each in enumerate(self.drifts)
            for name, kept in each.state.items()
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises
        ------
        ConfigError
            The state is of a clip or encoder of another size, or damaged.
        """
        drifting = self._drifting()
        check_state(state, tuple(self._video.shape), {**self._update.state, **drifting}, self.config.steps)
        for place, drift in enumerate(self.drifts):
            told = {name: torch.as_tensor(np.asarray(state[DRIFT.format(place, name)])) for name in drift.state}
            drift.state = {name: each.to(self._video) for name, each in told.items()}
        self._step = int(state["step"])
        self._video = torch.as_tensor(np.asarray(state["video"])).to(self._video)
        other = {name: value for name, value in state.items() if name not in ("step", "video", DEVIANCE, *drifting)}
        kept = {name: torch.as_tensor(value) for name, value in other.items()}
        self.deviance = float(np.ravel(state[DEVIANCE])[0]) if DEVIANCE in state else None
        self._outcome.state = {
            # Numbers of a rule stay as exact as they were, and on the CPU.
            name.removeprefix(OUTCOME_PREFIX): value.to(self._video) if value.ndim > 1 else value
            for name, value in kept.items()
            if name.startswith(OUTCOME_PREFIX)
        }
        self._update.state = {
            name: value.to(self._video) for name, value in kept.items() if not name.startswith(OUTCOME_PREFIX)
        }

    def bookmark(self) -> Bookmark:
        """Where the run is, to go back to; costs nothing, as a step never writes into its tensors."""
        drifting = [each.state for each in self.drifts]
        return self._step, self._video, self._update.state, self._outcome.state, self.deviance, drifting

    def go_back(self, bookmark: Bookmark) -> None:
        """Undo everything since `bookmark` was called."""
        self._step, self._video, self._update.state, self._outcome.state, self.deviance, drifting = bookmark
        for drift, state in zip(self.drifts, drifting, strict=True):
            drift.state = state

    def sub_batches(self) -> SubBatches:
        """What the next step looks at."""
        return self._schedule.at(self._step)

    def inputs(self, index: int) -> torch.Tensor:
        """(5, T, rows, columns) input of an encoder with the present video."""
        return self._first.showing(index, self._seen(self._first.drift))

    def _seen(self, drift: Drift | None) -> torch.Tensor:
        """(T, rows, columns) the present video as encoders see it."""
        shown, disturbed = self._shown(), self._disturbance
        seen = shown if drift is None else drift.seen(shown)
        return seen if disturbed is None else disturbed.noisy(seen, self._step)

    def _shown(self) -> torch.Tensor:
        """(T, rows, columns) the present video before gaze moves it."""
        disturbed = self._disturbance
        return self._video if disturbed is None else disturbed.shifted(self._video, self._step)

    def gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Transformed gradient (T, rows, columns) at the present video, and the loss there; waits for no device."""
        return self.combined(list(self.parts()))

    def parts(self) -> Iterator[SubBatchGradients]:
        """What each encoder's sub-batches give at the present video."""
        sub_batches, shown, drifts = self.sub_batches(), self._shown(), self.drifts
        for drift in drifts:
            drift.forget()
        seen = [self._seen(drift) for drift in drifts] or [self._seen(None)] * len(self.presentations)
        for index in range(len(self.encoders)):
            told = [
                each.gradients(index, shown, its, sub_batches, self.chunk)
                for each, its in zip(self.presentations, seen, strict=True)
            ]
            yield told[0] if len(told) == 1 else summed(told, self._shares, self.config)

    def combined(self, parts: Sequence[SubBatchGradients]) -> tuple[torch.Tensor, torch.Tensor]:
        """Transformed gradient of what each encoder's sub-batches gave, and the loss, of held-out neurons if any."""
        sub_batches, device = self.sub_batches(), self._video.device
        averages = [average_over_overlaps(each.video, sub_batches, self._frames).to(device) for each in parts]
        activities = [average_over_overlaps(each.activity, sub_batches, self._frames).to(device) for each in parts]
        gradient = torch.stack(averages).mean(dim=0) if len(averages) > 1 else averages[0]
        self.activity = torch.stack(activities).mean(dim=0)
        # Of infinite length, a unit gradient is 0: the movie would stay as it is, and nobody be told.
        self._norms = [each.norms.to(device) for each in parts]
        if self._disturbance is not None:
            gradient = self._disturbance.undone(gradient, self._step)
        for transform in self.transforms:
            gradient = transform(gradient, self._video, self._step)
        if (held_out := self._first.held_out) is not None:
            held_out = held_out.to(device)
            predicted, wanted = self.activity[:, held_out], self.matched[0].to(device)[held_out].T
            return gradient, negative_log_likelihood(predicted, wanted, self.config).mean()
        return gradient, torch.stack([each.losses.mean().to(device) for each in parts]).mean()

    def step(self) -> StepInfo:
        """One optimisation step.

        Returns
        -------
        StepInfo
            Loss, time taken, and what was measured.

        Raises
        ------
        NotFinite
            The loss, its gradient or the movie is not; the video is left as it was.
        EncoderError
            An encoder answers NaN or infinity.
        """
        began = time.perf_counter()
        with undone_on_failure([self]):
            return self.advance(*self.gradient(), began)

    def advance(self, gradient: torch.Tensor, loss: torch.Tensor, began: float) -> StepInfo:
        """Update the video by a gradient.

        Parameters
        ----------
        gradient
            (T, rows, columns), of the loss with respect to the video.
        loss
            Of the video before the step, one number.
        began
            When the step did, `time.perf_counter()` seconds.

        Returns
        -------
        StepInfo
            What the step did, and how long it took.

        Raises
        ------
        NotFinite
            The loss, its gradient or the movie would not be.
        """
        index, before, state = self._step, self._video, self._update.state
        changed = self._update(before, gradient, index)
        # The one time in a step that a GPU is waited for.
        # Sums: one that is not finite shows, and they cost a tenth of looking at every element.
        wide = torch.promote_types(changed.dtype, torch.float32)
        slopes = [slope for drift in self.drifts for slope in drift.slopes()]
        sums = [each.sum(dtype=wide) for each in (gradient, *self._norms, *slopes)]
        told = torch.stack([loss.to(wide), torch.stack(sums).sum(), changed.sum(dtype=wide)]).tolist()
        if not np.isfinite(told).all():
            self._update.state = state
            movie = f"the movie of step {index + 1} of {self.trial.name}"
            parts = zip(self.encoders, self.parts(), strict=True)
            finite = bool(np.isfinite(told[1]))
            reason = why_not_finite(self.trial.name, movie, self.config, parts, told[0], finite)
            raise NotFinite(f"step {index + 1}: {reason}")
        loss_here = told[0]
        self._video = changed
        for drift, scale in zip(self.drifts, self._scales, strict=False):
            drift.advance(scale, learning_rate(self.config, index), index)
        self._outcome.watch(before, self._video, loss_here, index)
        self._step += 1
        if self.config.member_weights == "deviance":
            self.deviance = self._deviance()
        tracked = self.measure(index)
        return StepInfo(self._step, self.config.steps, loss_here, time.perf_counter() - began, tracked)

    def _deviance(self) -> float:
        """How far the activity predicted on the way is from the target; 0 if not at all."""
        predicted = self.activity
        assert predicted is not None  # a step has just been done
        wanted = self.matched[0].to(predicted).T
        misfits = [negative_log_likelihood(each, wanted, self.config).mean() for each in (predicted, wanted)]
        return float(misfits[0] - misfits[1])

    def measure(self, index: int) -> dict[str, float] | None:
        """What is tracked at step `index`, if anything."""
        return measured(self, index)


@contextlib.contextmanager
def undone_on_failure(members: list[Reconstructor]) -> Iterator[None]:
    """Leave all members as they were if a step fails, or is interrupted half-way through."""
    bookmarks = [member.bookmark() for member in members]
    try:
        yield
    except BaseException:
        for member, bookmark in zip(members, bookmarks, strict=True):
            member.go_back(bookmark)
        raise


def measured(run: Steppable, index: int) -> dict[str, float] | None:
    """What a run tracks after step `index` (0, 1, ...): every tenth step and the last, by default."""
    tracker, config = run.tracker, run.config
    last = run.finished
    if tracker is None or (index % config.track_every and not last):
        return None
    values = tracker.movie(run.video)
    if config.track_responses or last:
        values |= tracker.activity(tracker.explained(run))
    return values
