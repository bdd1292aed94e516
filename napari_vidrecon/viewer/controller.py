"""Starts, holds and ends runs in their own thread, and brings what they make to the model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_vidrecon.reconstruction.recipe import OF_NEURONS
from napari_vidrecon.reconstruction.runner import Mailbox, Runner, Snapshot
from napari_vidrecon.viewer.background import POLL_MILLISECONDS, Background
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.folders import default_runs_folder
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunState
from napari_vidrecon.viewer.runs import run_job
from napari_vidrecon.viewer.runs.active_run import Active, Plan
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import RunRequest
from napari_vidrecon.viewer.runs.status import missing

PAINTED_AFTER_MILLISECONDS = 15
"""Qt paints a few milliseconds after it is asked to, and holds the event loop meanwhile: later than that it is done."""
EDIT_RESTS_MILLISECONDS = 250
"""A change reaches the run that goes on once it rested: pixels that leave the mask lose what they had."""
OF_MASK = ("mask", "mask_content")
EDITED = ("mask_threshold", *OF_MASK, *OF_NEURONS, "ablation")
"""The settings that can change while a run goes on."""
REDRAW_SHARE = 0.015
"""Most of the time that pictures of the whole board may take. While Qt paints, it keeps Python, and so the run,
waiting; a processor that draws by itself takes its other cores from the run as well, which costs as much again. A
graphics card draws one or two a second within this share, such a processor one in some six seconds."""
SNAPSHOT_SECONDS = 0.25
"""Least time between two snapshots that are asked for."""
FIRST_REST_SECONDS = 1.5
"""After the start of a run: its first steps are all but grey, and a picture of them would only put off the next."""
LONGEST_REST_SECONDS = 8.0
"""However long a picture of the whole board took: a person still sees errors and scores go on. The movie itself grows
between two of them (`live_picture.py`)."""
GOING_ON = (RunState.LOADING, RunState.RUNNING, RunState.PAUSED)


class RunController(Background):
    """Start, pause, resume, stop and rerun the reconstruction that a model describes.

    Runs live in a daemon thread; a timer fetches their newest picture twelve times a second, so neither ever
    waits for the other. With the window the thread ends after its present step; what it has is kept on disk.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.
    runs_folder
        Where runs are kept; default: $VIDRECON_RUNS, or the user's data folder.
    """

    def __init__(
        self, model: ReconstructionModel, parent: QObject | None = None, *, runs_folder: Path | None = None
    ) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self.runs_folder = runs_folder or default_runs_folder()
        self._shelf = run_job.EncoderShelf()
        self._active: Active | None = None
        self._left_behind: list[Active] = []
        self._redraws = RedrawBudget()
        self._next: Callable[[], None] | None = None
        self._newest: Snapshot | None = None
        self._taken_s = -math.inf
        self._painted_timer = QTimer(self, interval=PAINTED_AFTER_MILLISECONDS, singleShot=True)
        self._painted_timer.timeout.connect(self._redraws.end)
        self._prediction_timer = QTimer(self, interval=POLL_MILLISECONDS, singleShot=True)
        self._prediction_timer.timeout.connect(self.predict_stimulus)
        model.session_changed.connect(self._inputs_changed)
        model.trial_changed.connect(self._inputs_changed)
        model.encoders_changed.connect(self._inputs_changed)
        self._live_timer = QTimer(self, interval=EDIT_RESTS_MILLISECONDS, singleShot=True)
        self._live_timer.timeout.connect(self._apply_edits)
        for edited in (model.thresholds_changed, model.mask_changed, model.neurons_changed, model.settings_changed):
            edited.connect(self._edited)

    # What a person asks for

    @property
    def busy(self) -> bool:
        """Whether a run is being prepared, goes on, or is held."""
        active = self._active
        # One that failed is over, though its thread may live for a moment more: a new one waits for its end.
        return self._next is not None or not (active is None or active.plan.predicts_only or active.failed)

    @property
    def runner(self) -> Runner | None:
        """What drives the run that goes on, in its thread; None at rest and while a run is made ready."""
        return None if self._active is None else self._active.runner

    @property
    def missing(self) -> str:
        """What has to be done before a run can start; empty if nothing."""
        return missing(self.model)

    def start(self) -> None:
        """Begin a run with the present settings; what is missing becomes a message."""
        self._begin(lambda: Plan(RunRequest.from_model(self.model)))

    def start_counterpart(self) -> None:
        """Reconstruct the same from predicted instead of recorded activity, or the other way round.

        The pair makes the error map of Bauer et al. 2026, Fig. 6; the shown run returns to the board at the end.
        """
        if self.model.stale:
            self.model.message.emit("Settings changed since the shown run: press Rerun, then choose this error.", True)
            return
        target = "recorded" if self.model.target == "predicted" else "predicted"

        def plan() -> Plan:
            recipe = self.model.recipe().changed(target=target)
            return Plan(RunRequest.from_model(self.model, recipe=recipe), counterpart=self.model.shown is not None)

        self._begin(plan)

    def pause(self) -> None:
        """Hold after the present step; what is done is kept on disk."""
        if self.model.state == RunState.RUNNING and self.runner is not None:
            self.runner.pause()
            self.model.set_state(RunState.PAUSED)

    @property
    def can_continue(self) -> bool:
        """Whether the shown run was stopped early and nothing was changed since."""
        shown = self.model.shown
        if self.busy or shown is None or shown.result.state is None or self.missing:
            return False
        return not self.model.stale and not shown.result.provenance.get("changes")

    def resume(self) -> None:
        """Go on: with the held run, or with the shown run if it was stopped early."""
        if self.model.state == RunState.PAUSED and self.runner is not None:
            self.runner.resume()
            self.model.set_state(RunState.RUNNING)
        elif self.can_continue:
            shown = self.model.shown
            assert shown is not None
            request = RunRequest.from_model(
                self.model,
                recipe=shown.recipe.changed(device=self.model.device),
                go_on_from=shown.result,
                save_to=shown.path,
            )
            self._begin(lambda: Plan(request, continues=shown))

    def stop(self) -> None:
        """End after the present step and keep what is done; while still loading, at once."""
        if not self.busy:
            return
        self._next = None
        active = self._active
        if active is None or active.plan.predicts_only:
            self.model.end_run(self._resting_state)
        elif active.runner is None:
            self._leave_behind(active)
        else:
            active.job.cancel()
            self.model.set_progress(stopping=True)

    def rerun(self) -> None:
        """Stop what goes on, keep it, and start with the present settings."""
        self.stop()
        if self._active is None or self._active.plan.predicts_only:
            self.start()
        else:
            self._next = self.start

    @guarded
    def predict_stimulus(self) -> None:
        """Predict activity from the true movie, so that it can be seen before the first run."""
        if self._active is None and not self.jobs.closed and self._wants_prediction:
            self._launch(Plan(RunRequest.from_model(self.model), predicts_only=True))

    # Jobs

    @property
    def _wants_prediction(self) -> bool:
        return not self.missing and self.model.stimulus_prediction is None

    @property
    def _wants_counterpart(self) -> bool:
        """Whether the board is to show an error map whose other half was never made."""
        model = self.model
        shown = model.shown
        if model.error_mode != ErrorMode.PREDICTED or shown is None or not shown.result.finished:
            return False
        return model.expected is None and not model.stale

    @property
    def _resting_state(self) -> RunState:
        return RunState.IDLE if self.model.shown is None else RunState.DONE

    def _begin(self, plan: Callable[[], Plan]) -> None:
        if self.busy or self.jobs.closed:
            return
        if self.missing:
            self.model.message.emit(self.missing, True)
        elif self._active is None:
            self._launch(plan())
        else:
            # What goes on is a prediction, which the run would begin with anyway, or the last moment of a failed run.
            self._next = lambda: self._launch(plan())
            self.model.set_state(RunState.LOADING)

    def _launch(self, plan: Plan) -> None:
        plan = plan.placed(self.model, self.runs_folder)
        mailbox = Mailbox()
        if plan.predicts_only:
            work: Callable[[Job], None] = partial(run_job.predict_stimulus, plan.request, self._shelf)
        else:
            self.model.begin_run(plan.request.recipe, counterpart=plan.counterpart)
            work = partial(run_job.reconstruct, plan.request, self._shelf, mailbox)
        job = Job(work, "vidrecon-prediction" if plan.predicts_only else "vidrecon-run")
        self._active = Active(plan, job, mailbox, plan.request.recipe)
        self.begin(job)

    def _leave_behind(self, active: Active) -> None:
        """Wait no longer for a job; whatever it still makes is kept, but not shown."""
        active.job.cancel()
        self._left_behind.append(active)
        self._active = None
        self.model.set_progress(loading="")
        if not active.plan.predicts_only:
            self.model.end_run(self._resting_state)

    @guarded
    def poll(self) -> None:
        """Fetch what came: the newest picture, and all news."""
        super().poll()
        active = self._active
        if active is not None:
            taken = active.mailbox.take()
            self._take_picture(taken)
            # Making a snapshot takes the run some milliseconds; what lies between two is drawn from both of them.
            now = time.monotonic()
            self._taken_s = now if taken is not None else self._taken_s
            active.mailbox.wanted = now - self._taken_s >= SNAPSHOT_SECONDS or self.model.state == RunState.PAUSED
            # Of a run that goes on not every picture of the whole board is drawn; that would take its time.
            if self._redraws.may_redraw() or self.model.state == RunState.PAUSED:
                newest, self._newest = self._newest, None
                self._show(newest)

    def _take_picture(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None and self.model.state in (RunState.RUNNING, RunState.PAUSED):
            self._newest = snapshot
            self.model.take_picture(snapshot)

    def on_news(self, job: Job, news: Any) -> None:
        """Of the run that is waited for, or of one that was left behind."""
        left = self._left_of(job)
        if left is not None:
            self._keep_of(left, news)
        elif self._active is not None:
            self._follow(self._active, news)

    def _left_of(self, job: Job) -> Active | None:
        return next((left for left in self._left_behind if left.job is job), None)

    def _keep_of(self, left: Active, news: Any) -> None:
        if isinstance(news, run_job.Finished):
            left.keep(news, self.model, show=False)

    @guarded
    def _show(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None and self.model.state in (RunState.RUNNING, RunState.PAUSED):
            self._redraws.begin()
            self.model.take_snapshot(snapshot)
            self._painted_timer.start()

    def _follow(self, active: Active, news: Any) -> None:
        model = self.model
        if isinstance(news, run_job.Loading):
            model.set_progress(loading=news.text)
        elif isinstance(news, run_job.Predicted):
            if active.plan.has_encoders_of(model):
                model.set_stimulus_prediction(news.activity, news.levels)
        elif isinstance(news, run_job.Started):
            active.runner = news.runner
            self._newest = None
            self._redraws.rest(FIRST_REST_SECONDS)
            model.set_progress(loading="")
            model.set_state(RunState.RUNNING)
        elif isinstance(news, run_job.Finished):
            shows = not active.plan.counterpart
            steps = len(news.result.history)
            last, self._newest = active.mailbox.take() or self._newest, None
            if shows and last is not None:
                # Of a stopped run it is all that is known of its activity.
                model.snapshot = last
            model.end_run(RunState.DONE if steps and shows else self._resting_state)
            active.keep(news, model, show=shows)

    def on_failure(self, job: Job, message: str) -> None:
        """Of one that was left behind, nobody wants to know."""
        active = self._active
        if active is None or active.job is not job:
            return
        was_waited_for = self.busy
        active.failed = True
        if was_waited_for:
            self._next = None
            self.model.end_run(RunState.FAILED)
        super().on_failure(job, message)

    def on_end(self, job: Job) -> None:
        """Go on with what waits for it."""
        left, active = self._left_of(job), self._active
        if left is not None:
            # By identity: what a run was asked for holds arrays, which do not compare.
            self._left_behind = [each for each in self._left_behind if each is not left]
        if left is not None or active is None:
            return
        self._active = None
        self.model.set_progress(loading="")
        # Its result may have been taken a moment before the thread ended; only now is there nothing to stop.
        self.model.progress_changed.emit()
        if self.model.state in GOING_ON and self._next is None:
            self.model.end_run(self._resting_state)
        following, self._next = self._next, None
        if following is not None:
            following()
        elif active.failed:
            return
        elif self._wants_counterpart and not active.plan.counterpart and not active.plan.predicts_only:
            self.start_counterpart()
        elif self._wants_prediction:
            self._prediction_timer.start()

    # Changes while something goes on

    def _inputs_changed(self) -> None:
        if self.jobs.closed:
            return
        # Without a chosen encoder nothing runs that would let go of the last ones.
        self._shelf.let_go_of_others(self.model.encoder_paths)
        active = self._active
        if active is not None and not active.plan.fits(self.model):
            self._next = None
            if active.runner is not None:
                session = self.model.session
                stays = session is not None and active.recipe.session == str(session.path)
                why = "another trial was chosen" if stays else "another session was opened"
                self.model.message.emit(f"The run was stopped, because {why}; it is kept.", False)
            self._leave_behind(active)
        if self.model.state in (RunState.DONE, RunState.FAILED) and not self.busy:
            self.model.set_state(self._resting_state)
        self._prediction_timer.start()

    def _edited(self) -> None:
        if self.model.apply_live and self.busy and not self.jobs.closed:
            self._live_timer.start()

    @guarded
    def _apply_edits(self) -> None:
        """Bring what was changed by hand to the run that goes on, and note it in the run's settings."""
        model, active = self.model, self._active
        if not model.apply_live or active is None or active.runner is None or active.job.cancelled.is_set():
            return
        present = model.recipe()
        differ = set(EDITED).intersection(active.recipe.changed_in(present))
        change, mask, threshold = active.runner.change, model.mask, model.training_threshold
        lowest = max(threshold, active.recipe.evaluation_threshold)
        if differ.intersection(OF_MASK) and mask.binary(lowest).any():
            change(lambda run: run.set_mask(mask, threshold))
        elif "mask_threshold" in differ and mask.binary(threshold).any():
            change(lambda run: run.set_training_threshold(threshold))
        elif differ.intersection((*OF_MASK, "mask_threshold")):
            differ -= {*OF_MASK, "mask_threshold"}
            model.message.emit("No pixel of the mask would be left; the run goes on with the mask it has.", True)
        neurons, ablation = model.neurons, model.ablation
        if differ.intersection((*OF_NEURONS, "ablation")) and neurons is not None:
            change(lambda run: run.set_neurons(neurons, ablation))
        if differ:
            fields = {*differ, *(("neurons_of", "neuron_details") if differ.intersection(OF_NEURONS) else ())}
            active.recipe = active.recipe.changed(**{name: getattr(present, name) for name in fields})
            model.run_recipe = active.recipe
            model.settings_changed.emit()


class RedrawBudget:
    """Rests after a redraw for as long as its share demands.

    Parameters
    ----------
    share
        Part of the time that redraws may take, 0..1.
    clock
        Seconds, ever growing.
    """

    def __init__(self, share: float = REDRAW_SHARE, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest_per_second, self._clock = 1 / share - 1, clock
        self._began: float | None = None
        self._rests_until = -float("inf")

    def rest(self, seconds: float) -> None:
        """Show nothing for so long."""
        self._rests_until = self._clock() + seconds

    def may_redraw(self) -> bool:
        """Whether the last redraw is over and rested from."""
        return self._began is None and self._clock() >= self._rests_until

    def begin(self) -> None:
        """A redraw begins."""
        self._began = self._clock()

    def end(self) -> None:
        """It is on the screen."""
        if self._began is not None:
            now = self._clock()
            self._rests_until = now + min(self._rest_per_second * (now - self._began), LONGEST_REST_SECONDS)
            self._began = None
