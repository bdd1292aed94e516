"""What the window knows: one model a viewer, without Qt. Panels set its fields; it tells everyone else."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal

from napari_vidrecon.analysis.excess import Added
from napari_vidrecon.analysis.postprocess import Presentation
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.recipe import (
    MADE_FROM,
    Recipe,
    decoder_fields,
    mask_fields,
    neuron_fields,
    stimulus_hash,
)
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import Session, Trial
from napari_vidrecon.sessions.stimuli.stimulus import Stimulus, stimulus_trial
from napari_vidrecon.viewer.choices import ActivityMode, Choices, ErrorMode, Layout, RasterOrder, RunState
from napari_vidrecon.viewer.record import Course, RunRecord, Stage, counterpart_of, with_more_neurons

MOST_ELSEWHERE = 20
"""Runs of other sessions that are kept to compare."""
VIEW = (
    "layout", "error_mode", "error_signed", "error_over", "error_apart", "activity_mode", "raster_order", "grid",
    "blinking", "smooth_pixels", "zoomed", "presentation", "alpha_shown", "ghost_shown",
    "magnified",
)  # fmt: skip
PROGRESS = ("loading", "stopping")
NO_MOVIE_YET, NO_RUN_YET = "There is no reconstruction yet", "There is no run yet"
"""How news begin that are none any more as soon as there is one."""


class ReconstructionModel(Choices):
    """State of one window. Every setter emits one signal, and only when something changed.

    Signals carry no data: listeners read the model. `snapshot_arrived` carries the newest Snapshot.
    """

    session_changed = Signal()
    trial_changed = Signal()
    state_changed = Signal()
    snapshot_arrived = Signal(object)
    stimulus_prediction_changed = Signal()
    runs_changed = Signal()
    shown_changed = Signal()
    view_changed = Signal()
    progress_changed = Signal()
    """`loading` or `stopping` changed."""
    picture_arrived = Signal(object)
    """The newest snapshot of the run that goes on, oftener than `snapshot_arrived` tells of it."""
    looked_back_changed = Signal(object)
    """Another step of a run is looked back at: a `Stage`, or None for the newest."""
    message = Signal(str, bool)
    """text, whether it is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None
        self.trial: Trial | None = None
        self.stimulus: Stimulus | None = None
        self.clip: tuple[int, int | None] = (0, None)
        self.state = RunState.IDLE
        self.loading = ""
        self.stopping = False
        self.run_recipe: Recipe | None = None
        self.run_is_counterpart = False
        self.snapshot: Snapshot | None = None
        self.newest: Snapshot | None = None
        """As `snapshot`, but already when only its movie was drawn yet."""
        self.course: Course | None = None
        self.looked_back: Stage | None = None
        self._back: tuple[np.ndarray, np.ndarray | None] | None = None
        self.runs: list[RunRecord] = []
        self.elsewhere: list[RunRecord] = []
        self.shown: RunRecord | None = None
        self.compared: RunRecord | None = None
        self.layout = Layout.WATCH
        self.smooth_pixels, self.zoomed, self.alpha_shown = False, False, False
        self.ghost_shown, self.magnified = True, False
        self.presentation = Presentation()
        self.error_mode = ErrorMode.STIMULUS
        self.error_signed = True
        self.error_over = "stimulus"
        self.error_apart = True
        self.activity_mode = ActivityMode.FROM_RECONSTRUCTION
        self.raster_order = RasterOrder.SIMILARITY
        self.grid = False
        self.blinking = False

    # Inputs

    def set_session(self, session: Session) -> None:
        """Take another session; trial, encoders, decoder, mask and neurons of the old one are let go.

        Its runs stay, to compare, and come back with it.
        """
        self.session, self.trial, self.stimulus, self.clip = session, None, None, (0, None)
        self.encoder_files, self.encoder_paths, self.mouse, self.decoder = [], [], None, None
        self.mask, self.mask_path = AlphaMask.full(Canvas.of_screen(*session.screen.size_px)), None
        self.neurons = NeuronSet.all(session.n_neurons)
        self.snapshot, self.newest, self.stimulus_prediction, self.stimulus_levels = None, None, None, {}
        kept = [*self.elsewhere, *self.runs]
        self.runs = [run for run in kept if _is_of(run, session)]
        self.elsewhere = [run for run in kept if run not in self.runs][-MOST_ELSEWHERE:]
        self.shown, self.compared, self.course = None, None, None
        self.look_back(None)
        self.begin_edits()
        self.session_changed.emit()
        self.encoders_changed.emit()
        self.mask_changed.emit()
        self.neurons_changed.emit()
        self.runs_changed.emit()

    def set_trial(self, trial_id: int, start: int = 0, stop: int | None = None) -> None:
        """Take another trial, or part of one (frames start to stop).

        Parameters
        ----------
        trial_id
            One of the session's trials.
        start, stop
            First frame, and the frame after the last one; None for the end of the trial.

        Raises
        ------
        SessionError
            The trial cannot be read.
        """
        assert self.session is not None
        trial = self.session.trial(trial_id)
        stop = None if stop is None or stop >= trial.frames else stop
        if (start, stop) != (0, None):
            trial = trial.part(start, trial.frames if stop is None else stop)
        self._take_clip(trial, None, (start, stop))

    def set_stimulus(self, stimulus: Stimulus, trial: Trial | None = None) -> None:
        """Show a stimulus to the mouse instead of a recorded clip; there is no recorded activity then.

        Parameters
        ----------
        trial
            The one that shows it, if it was made already.

        Raises
        ------
        VidreconError
            Its movie, or the mouse's average behaviour, cannot be read.
        """
        assert self.session is not None
        self._take_clip(trial or stimulus_trial(stimulus, self.session), stimulus, (0, None))

    def _take_clip(self, trial: Trial, stimulus: Stimulus | None, clip: tuple[int, int | None]) -> None:
        if self.trial is None or stimulus is not None or self.trial.id != trial.id:
            self.repeats, self.mice, self.mice_alphas = (), (), ()
        self.trial, self.stimulus, self.clip = trial, stimulus, clip
        self.snapshot, self.newest, self.stimulus_prediction, self.stimulus_levels = None, None, None, {}
        self.look_back(None)
        before = self.shown, self.compared
        self.compared, self.shown = None, next(reversed(self.runs_here), None)
        self.trial_changed.emit()
        if (self.shown, self.compared) != before:
            self.shown_changed.emit()

    @property
    def presented(self) -> Presentation:
        """How the reconstruction on the board is shown: as asked for, as far as there is a movie to match."""
        known = self.trial is None or self.trial.has_movie
        return self.presentation if known else self.presentation.without_truth

    @property
    def error_has_sign(self) -> bool:
        """Whether the error is shown with its sign; an uncertainty has none."""
        return self.error_signed and self.error_mode != ErrorMode.UNCERTAINTY

    def set_view(self, **fields: Any) -> None:
        """Change what is seen, and how: fields that `VIEW` names."""
        if self._take("view", fields, VIEW):
            self.view_changed.emit()

    # Runs

    def begin_run(self, recipe: Recipe, *, counterpart: bool = False) -> None:
        """A run is being prepared; a counterpart is the other half of the paper's error map."""
        self.run_recipe, self.run_is_counterpart, self.snapshot, self.newest = recipe, counterpart, None, None
        self.course = Course()
        self.look_back(None)
        self.set_state(RunState.LOADING)

    def end_run(self, state: RunState) -> None:
        """No run goes on any more."""
        self.run_recipe, self.run_is_counterpart = None, False
        self.set_progress(loading="", stopping=False)
        self.set_state(state)

    def set_state(self, state: RunState) -> None:
        """Where the optimisation is now."""
        if state != self.state:
            self.state = state
            self.state_changed.emit()

    def set_progress(self, **fields: Any) -> None:
        """Say what is being prepared: `loading` in words, `stopping`."""
        if self._take("progress", fields, PROGRESS):
            self.progress_changed.emit()

    def take_picture(self, snapshot: Snapshot) -> None:
        """A newer state of the run that goes on, which is not yet looked at in full."""
        if self.course is not None:
            self.course.add(snapshot)
        self.newest = snapshot
        self.picture_arrived.emit(snapshot)

    def look_back(self, step: float | None) -> None:
        """Show a run as it was at a step; None: as it is now."""
        course = self.course if self.going_on else None if self.shown is None else self.shown.course
        stage = None if step is None or course is None else course.at(step)
        if step is not None and stage is None:
            self.message.emit("Only a run that was made in this window can be looked back on.", False)
        if stage is not self.looked_back:
            self.looked_back = stage
            self._back = None if stage is None else stage.as_floats()
            self.looked_back_changed.emit(stage)

    def take_snapshot(self, snapshot: Snapshot) -> None:
        """The newest state of the run that goes on."""
        self.snapshot = self.newest = snapshot
        self.snapshot_arrived.emit(snapshot)

    def set_stimulus_prediction(self, activity: np.ndarray, levels: dict[str, float]) -> None:
        """Activity (N, T) the encoders predict from the true movie, and the levels it reaches."""
        self.stimulus_prediction, self.stimulus_levels = activity, levels
        self.stimulus_prediction_changed.emit()

    def recipe(self) -> Recipe:
        """Everything that decides the run that Start would make; there has to be a trial."""
        assert self.neurons is not None
        return Recipe(
            **self._clip_fields(),
            encoders=tuple(map(str, self.encoder_paths)),
            mouse=self.mouse,
            **decoder_fields(self.decoder),
            **mask_fields(self.mask),
            mask_threshold=self.training_threshold,
            evaluation_threshold=self.evaluation_threshold,
            **neuron_fields(self.neurons),
            ablation=self.ablation,
            target=self.target,
            ensemble=self.ensemble if len(self.encoder_paths) > 1 else "single",
            config=self.config,
            device=self.device,
        )

    def _clip_fields(self) -> dict[str, Any]:
        assert self.session is not None
        assert self.trial is not None
        shown = self.stimulus
        return {
            "session": str(self.session.path),
            "trial": self.trial.id,
            "frames": self.clip,
            "stimulus": "" if shown is None else shown.name,
            "stimulus_content": "" if shown is None else stimulus_hash(self.trial.video),
            "repeats": self.repeats,
            "mice": self.mice,
        }

    @property
    def clip_name(self) -> str:
        """What is shown: "trial 22", or the name of the stimulus; empty if nothing is."""
        if self.stimulus is not None:
            return self.stimulus.name
        return "" if self.trial is None else f"trial {self.trial.id}"

    @property
    def stale(self) -> list[str]:
        """What was changed since the run that goes on, or the shown one: names of settings; empty if nothing was."""
        made_with = self.recipe_of_board
        if made_with is None or self.trial is None or self.run_is_counterpart:
            return []
        return made_with.changed_in(self.recipe())

    @property
    def recipe_of_board(self) -> Recipe | None:
        """Of the run that goes on, or of the shown one; None if there is neither."""
        if self.run_recipe is not None:
            return self.run_recipe
        return None if self.shown is None else self.shown.recipe

    @property
    def runs_here(self) -> list[RunRecord]:
        """The kept runs of the present trial and frames, oldest first."""
        if self.trial is None:
            return []
        fields = self._clip_fields()
        return [run for run in self.runs if all(getattr(run.recipe, name) == fields[name] for name in MADE_FROM)]

    def shows_same_movie(self, record: RunRecord) -> bool:
        """Whether a run, of whatever session, is of the very movie that is open."""
        stimulus = record.result.stimulus
        return self.trial is not None and (record in self.runs_here or np.array_equal(stimulus, self.trial.video))

    def add_run(self, record: RunRecord, *, show: bool = True) -> None:
        """Keep a run and, unless it is of another trial, show it."""
        self.runs.append(record)
        self.runs_changed.emit()
        if show:
            self.show_run(record)

    def runs_of(self, session: str) -> list[RunRecord]:
        """The runs of the session of a folder, open or not."""
        return [run for run in (*self.elsewhere, *self.runs) if run.recipe.session == session]

    def add_elsewhere(self, record: RunRecord) -> None:
        """Keep a run of a session that is not open."""
        self.elsewhere = [*self.elsewhere, record][-MOST_ELSEWHERE:]
        self.runs_changed.emit()

    def replace_result(self, record: RunRecord, result: Reconstruction) -> None:
        """Give a run that went on its new result."""
        record.result = result
        self.runs_changed.emit()
        if record in (self.shown, self.compared):
            self.shown_changed.emit()

    def take_added(self, record: RunRecord, added: Added) -> None:
        """Keep with a run what the brain adds to its clip."""
        record.added = added
        self.runs_changed.emit()

    def rename_run(self, record: RunRecord, name: str) -> None:
        """Give a run another name."""
        if name and name != record.name:
            record.name = name
            self.runs_changed.emit()

    def remove_run(self, record: RunRecord) -> None:
        """Forget a run; its folder, if any, is the caller's business."""
        (self.runs if record in self.runs else self.elsewhere).remove(record)
        if self.shown is record:
            self.shown = next(reversed(self.runs_here), None)
            self.shown_changed.emit()
        if self.compared is record:
            self.compared = None
            self.shown_changed.emit()
        self.runs_changed.emit()

    def show_run(self, record: RunRecord | None) -> None:
        """Put a run on the board."""
        if record is not self.shown:
            self.look_back(None)
            self.shown = record
            self.compared = None if record is self.compared else self.compared
            self.shown_changed.emit()

    def compare_with(self, record: RunRecord | None) -> None:
        """Put another run beside the shown one; None, or that run itself, ends the comparison."""
        record = None if record is self.shown else record
        if record is not self.compared:
            self.compared = record
            self.shown_changed.emit()

    @property
    def ghost(self) -> RunRecord | None:
        """The run of this clip that was on the board when another one began, while that one goes on."""
        goes_on = self.state in (RunState.RUNNING, RunState.PAUSED) and not self.run_is_counterpart
        return self.shown if goes_on and self.ghost_shown and self.shown in self.runs_here else None

    @property
    def beside(self) -> RunRecord | None:
        """The run beside the one on the board: the compared one, else the ghost."""
        return self.compared or self.ghost

    @property
    def fuller(self) -> RunRecord | None:
        """The run against which something is lost: the one beside, else the newest of this clip with more neurons."""
        if self.beside is not None or self.shown is None:
            return self.beside
        return with_more_neurons(self.shown, self.runs_here)

    @property
    def going_on(self) -> bool:
        """Whether the board shows a run that goes on, or is held."""
        return self.state in (RunState.RUNNING, RunState.PAUSED) and self.snapshot is not None

    @property
    def video(self) -> np.ndarray | None:
        """(T, 36, 64) the reconstruction on the board: of the run that goes on, of the shown one, or a step of it."""
        if self._back is not None:
            return self._back[0]
        if self.state in (RunState.RUNNING, RunState.PAUSED) and self.snapshot is not None:
            return self.snapshot.video
        return None if self.shown is None else self.shown.result.video

    @property
    def reconstruction_prediction(self) -> np.ndarray | None:
        """(N, T) activity predicted from the reconstruction on the board, where known."""
        if self._back is not None and self._back[1] is not None:
            return self._back[1]
        if self.state in (RunState.RUNNING, RunState.PAUSED) and self.snapshot is not None:
            return self.snapshot.predicted_activity
        return None if self.shown is None else self.shown.activity

    @property
    def expected(self) -> RunRecord | None:
        """The kept run that makes an error map with the one on the board; None if there is none yet."""
        present = self.recipe_of_board
        return None if present is None else counterpart_of(present, self.runs)


def _is_of(run: RunRecord, session: Session) -> bool:
    """Whether a run is of a session, and not of another one that was in its folder before."""
    same_place = run.recipe.session == str(session.path)
    fits = run.recipe.neurons_of in (0, session.n_neurons) and run.result.video.shape[1:] == session.screen.size_px
    return same_place and fits
