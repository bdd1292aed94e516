"""Driving a run: stop, pause, publish the newest snapshot, keep a copy; `reconstruct` is all that most people need."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.encoders.answers import UnusableAnswer
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.inputs import RunInputs, takes_inputs
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.outcome import NotFinite
from napari_vidrecon.reconstruction.reconstructor import StepInfo
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run import Run
from napari_vidrecon.reconstruction.run_folder import at_work_on
from napari_vidrecon.reconstruction.tracking import LiveActivity
from napari_vidrecon.sessions.session import Trial
from napari_vidrecon.settings import brief
from napari_vidrecon.storage import user_path

PUBLISH_HZ = 12.0
PAUSE_POLL_SECONDS = 0.05
KEPT = "what is done is kept in "
"""How a note of an error begins that says where a run was saved before it ended."""
SPEED_MEMORY = 0.9
"""Weight of the past in the running mean of a step's time."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run as it was after a step; its arrays are nobody else's.

    Parameters
    ----------
    info
        The step.
    video
        (T, 36, 64) float32, 0..255.
    history
        A copy; its `response_correlation` is also known at the steps that were published with their activity.
    steps_per_second, seconds_left
        Estimated from recent steps.
    predicted_activity
        (N, T) predicted from the movie, see `LiveActivity`; None if not asked for.
    response_correlation
        Of it with the measured activity, -1..1; NaN where it is not known.
    """

    info: StepInfo
    video: np.ndarray
    history: History
    steps_per_second: float
    seconds_left: float
    predicted_activity: np.ndarray | None = None
    response_correlation: float = float("nan")

    __repr__ = brief


class Mailbox:
    """One slot: the newest snapshot wins, nobody ever waits.

    `wanted` is False while whoever empties the slot would not look at a snapshot; then none is made.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._item: Snapshot | None = None
        self.wanted = True

    def put(self, item: Snapshot) -> None:
        """Replace what is in the slot."""
        with self._lock:
            self._item = item

    def take(self) -> Snapshot | None:
        """Empty the slot; None if nothing new came."""
        with self._lock:
            item, self._item = self._item, None
        return item


class Runner:
    """Drives a run to its end, in whatever thread calls `drive`.

    Parameters
    ----------
    run
        What is driven.
    mailbox
        Gets snapshots, at most `PUBLISH_HZ` a second.
    on_step
        Called after every step; return False to stop.
    save_to
        Folder that a copy of the run is kept in while it goes on, and the result at the end.
    save_every_seconds
        At most this much work is lost when the process is killed.
    publish_activity
        Snapshots carry the activity predicted from the movie, too.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> clip = session.trial(0).part(0, 64)
    >>> run = vr.plan_run(clip, [encoder], vr.AlphaMask.full(), vr.ReconstructionConfig.preset("fast", steps=2))
    >>> vr.Runner(run, on_step=lambda info: info.step < 1).drive().finished
    False
    """

    def __init__(
        self,
        run: Run,
        mailbox: Mailbox | None = None,
        *,
        on_step: Callable[[StepInfo], bool | None] | None = None,
        save_to: Path | str | None = None,
        save_every_seconds: float = 30.0,
        publish_activity: bool = False,
    ) -> None:
        self.run, self.mailbox, self.on_step = run, mailbox, on_step
        self.save_to = None if save_to is None else user_path(save_to)
        self.save_every_seconds = save_every_seconds
        self._live = LiveActivity(run.tracker) if publish_activity else None
        self._seconds_published = 0.0
        self._watched: dict[int, float] = {}
        self.stopping = threading.Event()
        self.paused = threading.Event()
        self.result: Reconstruction | None = None
        self._changes: list[Callable[[Run], None]] = []
        self._changes_lock = threading.Lock()

    def stop(self) -> None:
        """Stop after the present step; the result holds what is done."""
        self.stopping.set()

    def pause(self) -> None:
        """Hold after the present step."""
        self.paused.set()

    def resume(self) -> None:
        """Go on."""
        self.paused.clear()

    def change(self, change: Callable[[Run], None]) -> None:
        """Apply a change to the run between two steps, from any thread.

        Parameters
        ----------
        change
            Gets the run; see `Run.set_mask`, `Run.set_neurons` and `Run.set_training_threshold`.
        """
        with self._changes_lock:
            self._changes.append(change)

    def resume_or_start(self, wait_s: float = 0.0, *, replace: bool = False) -> Reconstruction:
        """Drive the run, on from what its folder holds of it; the folder is this process's as long as it takes.

        Parameters
        ----------
        wait_s
            How long to wait for another process at the folder, seconds; below 0 as long as it takes.
        replace
            Begin anew where the folder holds another run, or none; otherwise that is an error.

        Returns
        -------
        Reconstruction
            Finished or partial; what was there already where nothing was left to do.

        Raises
        ------
        RunError
            The folder holds another run, or no run.
        InUseError
            Another process is at work on it.
        """
        if self.save_to is None:
            return self.drive()
        with at_work_on(self.save_to, wait_s):
            try:
                self.result = self.run.go_on_from(self.save_to)
            except RunError:
                if not replace:
                    raise
            return self.result or self.drive()

    def drive(self) -> Reconstruction:
        """Step until the run is finished or stopped; returns (and keeps) the result.

        On an interrupt or an error what is done is saved first, where there is a folder for it; not if an encoder's
        answer or a step was not finite, which it would be again.

        Returns
        -------
        Reconstruction
            Finished or partial.
        """
        try:
            self._drive()
            self.result = self.run.result()
            if self.save_to is not None:
                self.result.save(self.save_to)
        except (NotFinite, UnusableAnswer):
            # It would end the same way every time: nothing to go on from.
            raise
        except BaseException as error:
            # Also where there was no memory or room to save once more: then an earlier copy is there.
            if self.save_to is not None and self.save_to.exists():
                error.add_note(f"{KEPT}{self.save_to}")
            raise
        return self.result

    def _drive(self) -> None:
        published = saved = time.monotonic()
        step_seconds = 0.0
        info: StepInfo | None = None
        if self.mailbox is not None and not self.run.finished:
            steppable = self.run.steppable
            self.mailbox.put(self._snapshot(StepInfo(steppable.step_index, steppable.config.steps, math.nan, 0.0), 0.0))
        try:
            while not self.run.finished and not self.stopping.is_set():
                if self.paused.is_set():
                    self._save_partial()
                    if self.mailbox is not None and info is not None:
                        self.mailbox.put(self._snapshot(info, step_seconds))
                    while self.paused.is_set() and not self.stopping.wait(PAUSE_POLL_SECONDS):
                        pass
                    continue
                self._apply_changes()
                info = self.run.step()
                step_seconds = (
                    info.seconds
                    if not step_seconds
                    else (SPEED_MEMORY * step_seconds + (1 - SPEED_MEMORY) * info.seconds)
                )
                now = time.monotonic()
                due = now - published >= 1 / PUBLISH_HZ or info.step == 1
                if self.mailbox is not None and self.mailbox.wanted and due:
                    self.mailbox.put(self._snapshot(info, step_seconds))
                    published = now
                # Of a finished run the activity is predicted, which takes long; it is saved in a moment anyway.
                if now - saved >= self.save_every_seconds and not self.run.finished:
                    self._save_partial()
                    saved = time.monotonic()
                if self.on_step is not None and self.on_step(info) is False:
                    break
            if self.mailbox is not None and info is not None and self.stopping.is_set():
                # What is kept of a stopped run holds no activity; this is the last that who watches gets of it.
                self.mailbox.put(self._snapshot(info, step_seconds))
        except (NotFinite, UnusableAnswer):
            raise
        except BaseException:
            self._save_partial()
            raise

    def _apply_changes(self) -> None:
        with self._changes_lock:
            changes, self._changes = self._changes, []
        for change in changes:
            change(self.run)

    def _save_partial(self) -> None:
        if self.save_to is not None:
            self.run.save_partial(self.save_to)

    def _snapshot(self, info: StepInfo, step_seconds: float) -> Snapshot:
        activity, correlation = None, float("nan")
        if self._live is not None and info.step:
            since, self._seconds_published = self.run.seconds - self._seconds_published, self.run.seconds
            correlation = self._live.renew(self.run.steppable, math.inf if self.stopping.is_set() else since)
            activity = self._live.activity
            self._watched[info.step] = correlation
        return Snapshot(
            info=info,
            video=self.run.steppable.video,
            history=self.run.history.filled("response_correlation", self._watched),
            steps_per_second=1 / step_seconds if step_seconds else float("nan"),
            seconds_left=step_seconds * (info.steps - info.step),
            predicted_activity=activity,
            response_correlation=correlation,
        )


@takes_inputs
def reconstruct(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    on_step: Callable[[StepInfo], bool | None] | None = None,
    save_to: Path | str | None = None,
    **others: Any,
) -> Reconstruction:
    """Reconstruct the movie of a trial from activity (Bauer et al. 2026, Fig. 1B).

    Parameters
    ----------
    trial
        The clip: its behaviour goes into the encoder, its movie is only measured against.
    encoders
        One or more, bound to this mouse.
    mask
        Transparency mask of this mouse.
    config
        Every setting; default: the "best" preset.
    on_step
        Called after every step with a StepInfo; return False to stop.
    save_to
        Run folder; kept up to date, and continued from if it holds the same run unfinished.
    others
        Everything else of `RunInputs`, by name: target, neurons, thresholds, a decoder ...

    Returns
    -------
    Reconstruction
        `video` (T, 36, 64) float32 in 0..255, unmasked and unsmoothed; `history`; `provenance`.

    Raises
    ------
    ConfigError
        A setting, target, choice of neurons or decoder that cannot be used, a clip that is too short, or a step whose
        numbers are not finite.
    MaskError
        No pixel reaches a threshold.
    EncoderError
        An encoder does not fit the clip or another encoder, or answers NaN or infinity.
    SessionError
        The clip holds values that are not finite, or its recorded activity is withheld.
    RunError
        `save_to` holds another run, or no run.
    StorageError
        `save_to` cannot be written, or another process is at work on it.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> clip = vr.open_session(sample.session).trial(0).part(0, 64)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> mask = vr.AlphaMask.load(sample.mask)
    >>> result = vr.reconstruct(clip, [encoder], mask, vr.ReconstructionConfig.preset("fast", steps=1))
    >>> result.video.shape
    (64, 36, 64)
    """
    run = Run.plan(RunInputs(trial, encoders, mask, config, **others))
    return Runner(run, on_step=on_step, save_to=save_to).resume_or_start()
