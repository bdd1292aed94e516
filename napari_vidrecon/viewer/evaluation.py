"""How good the movie on the board is: scores in the evaluation mask, courses over time, and what the brain adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from qtpy.QtCore import QObject

from napari_vidrecon import metrics
from napari_vidrecon.analysis.excess import Added
from napari_vidrecon.figures.export import column_name, motion_energy
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import Evaluation
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.model import NO_RUN_YET, ReconstructionModel
from napari_vidrecon.viewer.record import RunRecord
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf


@dataclass(frozen=True)
class Group:
    """Curves that share an axis.

    Parameters
    ----------
    title, unit
        For people.
    is_correlation
        So that the axis ends at 1.
    is_inferred
        Of some runs only.
    recorded_as
        Of behaviour, its name in the session.
    short
        The title where there is room for a word or two.
    """

    title: str
    unit: str
    is_correlation: bool = False
    is_inferred: bool = False
    recorded_as: str = ""
    short: str = ""


GROUPS = {
    "frame_correlation": Group("Frame correlation", "r", is_correlation=True, short="Frame r"),
    "activity_accuracy": Group("Activity prediction accuracy", "r", is_correlation=True, short="Activity r"),
    "motion_energy": Group("Motion energy", "grey levels per frame"),
    "pupil_size": Group("Pupil size", "camera pixels", recorded_as="pupil size"),
    "running_speed": Group("Running speed", "as recorded", recorded_as="running", short="Running"),
    "gaze": Group("Inferred gaze", "px", is_inferred=True),
    "gain": Group("Inferred gain", "factor", is_inferred=True),
}

SHIFTS = {"gaze_columns_px": "to the right", "gaze_rows_px": "down"}


@dataclass(frozen=True, eq=False)
class TimeCourse:
    """One curve over the frames of a clip.

    Parameters
    ----------
    group
        One of `GROUPS`.
    name
        Whose curve it is, e.g. "reconstruction"; unique within its group.
    values
        (T,) float64; NaN where it has no value.
    told
        Name of its column in a table, where that is not of group and name.
    """

    group: str
    name: str
    values: np.ndarray
    told: str = ""

    @property
    def column(self) -> str:
        """Name of its column in a table."""
        return self.told or column_name(self.group, self.name)


class TimeCourses:
    """The curves of what the board shows; each is computed again only when what it is made from changed.

    Parameters
    ----------
    model
        The state of the window.
    """

    def __init__(self, model: ReconstructionModel) -> None:
        self._model = model
        self._known: dict[tuple[str, str], tuple[tuple[object, ...], TimeCourse]] = {}

    def times_s(self) -> np.ndarray:
        """(T,) time of every frame in the trial, seconds."""
        trial = self._model.trial
        if trial is None:
            return np.zeros(0)
        return (self._model.clip[0] + np.arange(trial.frames)) / trial.frame_rate_hz

    def all(self) -> list[TimeCourse]:
        """Every curve there is now, in the order of `GROUPS`."""
        if self._model.trial is None:
            self._known.clear()
            return []
        curves = [*self._of_movies(), *self._of_activity(), *self._of_behaviour(), *self._inferred()]
        # What a curve was made from that is not shown any more, as of a run that was compared, is let go of.
        shown = {(each.group, each.name) for each in curves}
        self._known = {key: made for key, made in self._known.items() if key in shown}
        return sorted(curves, key=lambda curve: list(GROUPS).index(curve.group))

    def _of_movies(self) -> list[TimeCourse]:
        model = self._model
        assert model.trial is not None
        truth, mask, threshold = model.trial.video, model.common_mask, model.evaluation_threshold
        pixels = mask.binary(threshold)
        movies = {"stimulus": truth if model.trial.has_movie else None, "reconstruction": model.video}
        if model.compared is not None and model.shows_same_movie(model.compared):
            movies["compared run"] = model.compared.result.video
        curves = []
        for name, movie in movies.items():
            if movie is None or movie.shape != truth.shape:
                continue
            made_from = (movie, mask, threshold)
            curves.append(self._curve("motion_energy", name, made_from, partial(motion_energy, movie, pixels)))
            if movie is not truth and model.trial.has_movie:
                compute = partial(metrics.frame_correlation, truth, movie, pixels)
                curves.append(self._curve("frame_correlation", name, (truth, *made_from), compute))
        return curves

    def _of_activity(self) -> list[TimeCourse]:
        model = self._model
        assert model.trial is not None
        if not model.trial.labelled or model.neurons is None:
            return []
        recorded, keep = model.trial.responses, model.neurons.keep
        predictions = {
            # What a grey screen predicts is no more than what stands for a movie that nobody knows.
            "stimulus": model.stimulus_prediction if model.trial.has_movie else None,
            "reconstruction": model.reconstruction_prediction,
        }
        return [
            self._curve(
                "activity_accuracy", name, (recorded, predicted, keep), partial(_accuracy, recorded, predicted, keep)
            )
            for name, predicted in predictions.items()
            if predicted is not None and predicted.shape == recorded.shape
        ]

    def _of_behaviour(self) -> list[TimeCourse]:
        assert self._model.trial is not None
        recorded = self._model.trial.recorded_behavior
        streams = zip(("pupil_size", "running_speed"), self._model.trial.behavior.astype(np.float64), strict=True)
        # A constant that was filled in is no curve of the mouse.
        return [
            TimeCourse(key, "", values)
            for key, values in streams
            if recorded is None or GROUPS[key].recorded_as in recorded
        ]

    def _inferred(self) -> list[TimeCourse]:
        model = self._model
        if model.shown is None or model.run_recipe is not None or model.video is None:
            return []
        columns = model.shown.result.inferred_columns()
        return [
            TimeCourse(column.partition("_")[0], SHIFTS.get(column, ""), values.astype(np.float64), column)
            for column, values in columns.items()
            if len(values) == len(model.video)
        ]

    def _curve(
        self, group: str, name: str, made_from: tuple[object, ...], compute: Callable[[], np.ndarray]
    ) -> TimeCourse:
        known = self._known.get((group, name))
        if known is None or any(old is not new for old, new in zip(known[0], made_from, strict=True)):
            known = (made_from, TimeCourse(group, name, compute()))
            self._known[group, name] = known
        return known[1]


def silent_neurons(trial: Trial | None) -> np.ndarray:
    """(N,) bool, neurons whose recorded activity never changes in a clip; (0,) where none was recorded."""
    if trial is None or not trial.labelled:
        return np.zeros(0, bool)
    return ~(trial.responses != trial.responses[:, :1]).any(axis=1)


def _accuracy(recorded: np.ndarray, predicted: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(T,) correlation over the neurons that take part and have a prediction."""
    rows = keep & np.isfinite(predicted).all(axis=1)
    return metrics.frame_response_correlation(recorded[rows], predicted[rows])


@dataclass(frozen=True)
class Scores:
    """Video correlation and mean frame correlation, -1..1; NaN where they are not defined."""

    video_correlation: float = float("nan")
    frame_correlation: float = float("nan")


class Evaluator:
    """Measures movies against the true one as a run does: in the evaluation mask, first frames left out.

    The truth's side of the correlation is prepared once for a trial and a mask.

    Parameters
    ----------
    model
        Whose trial, mask and evaluation threshold are used.
    """

    def __init__(self, model: ReconstructionModel) -> None:
        self._model = model
        self._trial: Trial | None = None
        self._alpha: AlphaMask | None = None
        self._place: tuple[float, int] | None = None
        self._evaluation: Evaluation | None = None
        model.trial_changed.connect(self._let_go)

    def _let_go(self) -> None:
        """Of a clip that is not there any more nothing is asked, perhaps for long."""
        self._trial = self._alpha = self._evaluation = None

    @property
    def skip_frames(self) -> int:
        """First frames that are left out: as in the run on the board, else as in the next one."""
        made_with = self._model.recipe_of_board
        return (self._model.config if made_with is None else made_with.config).track_skip_frames

    def board(self) -> Scores:
        """The movie on the board."""
        video, evaluation = self._model.video, self._prepared()
        if video is None or evaluation is None:
            return Scores()
        return Scores(evaluation.video_correlation(video), evaluation.mean_frame_correlation(video))

    def video_correlation(self, record: RunRecord) -> float:
        """A kept run inside the present evaluation mask, so that runs can be compared; NaN for another clip."""
        evaluation = self._prepared() if record in self._model.runs_here else None
        return record.correlation if evaluation is None else evaluation.video_correlation(record.result.video)

    def _prepared(self) -> Evaluation | None:
        model, place = self._model, (self._model.evaluation_threshold, self.skip_frames)
        if model.trial is None or not model.trial.has_movie:
            return None
        if self._trial is not model.trial or self._alpha is not model.common_mask or self._place != place:
            pixels = model.common_mask.binary(model.evaluation_threshold)
            self._evaluation = Evaluation(model.trial.video, pixels, self.skip_frames, model.trial.planes)
            self._trial, self._alpha, self._place = model.trial, model.common_mask, place
        return self._evaluation


ONE_PRESENTATION = (
    "What the brain adds is told from repeats, and this run is of one presentation: tick Repeats under What and press "
    "Rerun. A clip that was shown once has none."
)
WITHOUT_ACTIVITY = "What the brain adds is told from recorded activity, of which this clip has none."


QUICK = "fast"
"""Preset of the reconstructions, unless the run is one of this preset with changes of its own."""


class AddedController(Background):
    """Works out what the brain adds to the clip of the shown run, beyond noise and faults of the encoder.

    That takes a reconstruction of every presentation, expected and experienced, and those of other clips to hold it
    against; `counted` says how many are done. Stopped, it leaves nothing.

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
        self._record: RunRecord | None = None

    @property
    def missing(self) -> str:
        """Why it cannot be worked out for the shown run, in one line; empty if it can."""
        shown = self.model.shown
        if shown is None:
            return f"{NO_RUN_YET}: press Start first."
        if not shown.recipe.repeats:
            return ONE_PRESENTATION
        return "" if self.model.trial is None or self.model.trial.labelled else WITHOUT_ACTIVITY

    def start(self) -> None:
        """Work it out with the encoders, the mask and the neurons of the shown run; what is missing is told."""
        model, shown = self.model, self.model.shown
        if not self.free:
            return
        if self.missing or shown is None or model.session is None:
            model.message.emit(self.missing, True)
            return
        self._record = shown
        self.begin(Job(partial(work_on_what_is_added, model.session, shown), "vidrecon-added"), Counted(0, 0))

    def on_news(self, job: Job, news: Added) -> None:
        """It is known, and shown with its run."""
        if self._record is not None and not job.cancelled.is_set():
            self.model.take_added(self._record, news)
            self.model.message.emit(f"{self._record.name}: {news.sentence}.", False)

    def on_end(self, job: Job) -> None:
        """Let go of the run."""
        self._record = None


def work_on_what_is_added(session: Session, record: RunRecord, job: Job) -> None:
    """In the thread: tells `Counted` after every reconstruction, and `Added` at the end.

    Parameters
    ----------
    session
        The mouse.
    record
        Of a clip with repeats.
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.analysis.brain_adds import clips_to_compare, what_the_brain_adds

    recipe, result = record.recipe, record.result
    encoders = EncoderShelf().get([*map(Path, recipe.encoders)], recipe.mouse, recipe.device, len(result.keep))

    usual = ReconstructionConfig.preset(QUICK)
    start = recipe.frames[0]
    end = start + len(result.video)
    clips = clips_to_compare(session, [recipe.trial, *recipe.repeats], end)
    added = what_the_brain_adds(
        session,
        encoders,
        AlphaMask(result.alpha),
        recipe.config if recipe.config.preset_name == QUICK else usual,
        clips=clips,
        frames=(start, end),
        on_movie=lambda done, total: job.count(done, total, "reconstructions"),
        on_step=lambda _step: job.leave_if_cancelled(),
        neurons=NeuronSet(result.keep, "as in the shown run"),
        ablation=recipe.ablation,
    )
    job.tell(added[0])
