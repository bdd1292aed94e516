"""Three clips over time: what was seen, done, recorded, predicted and reconstructed (Bauer et al. 2026, Fig. 1-S1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis.raster_order import by_first_component
from napari_vidrecon.errors import number_of
from napari_vidrecon.figures.activity import EthogramColumn, ethogram_figure
from napari_vidrecon.reconstruction.config import PREDICTED_FROM
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.runs.measuring import (
    evaluation_mask,
    example_times_s,
    from_reconstructions,
    from_truth,
    row,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


def runs(plan: Plan) -> Sequence[RunSpec]:
    """The standard reconstruction of the examples, at length."""
    return [spec for clip in plan.examples for spec in plan.standard(clip, frames=plan.scale.example_frames)]


@dataclass(frozen=True)
class _Course:
    """Everything over time of one clip: a value a frame; NaN where there is none."""

    clip: Clip
    trial: Trial
    times_s: np.ndarray
    motion_energy: np.ndarray
    from_movie: np.ndarray
    from_reconstruction: np.ndarray
    frame_correlation: np.ndarray

    @classmethod
    def of(cls, plan: Plan, store: RunStore, clip: Clip, trial: Trial, from_movie: np.ndarray) -> _Course:
        specs, pixels = plan.standard(clip, frames=plan.scale.example_frames), evaluation_mask(clip)
        part, video = plan.measured(trial.frames), averaged(store, specs)
        correlation = np.full(trial.frames, np.nan)
        correlation[part] = metrics.frame_correlation(trial.video[part], video[part], pixels)
        motion = np.concatenate([[np.nan], metrics.motion_energy(trial.video, pixels)])
        reconstructed = from_reconstructions(store, specs)
        return cls(clip, trial, example_times_s(plan, trial), motion, from_movie, reconstructed, correlation)

    def columns(self) -> dict[str, Any]:
        """Columns of a table, a row a frame."""
        return {
            "mouse": [self.clip.mouse.name] * self.trial.frames,
            "clip": [self.clip.trial] * self.trial.frames,
            "time_s": self.times_s,
            "motion_energy": self.motion_energy,
            "pupil_diameter": self.trial.behavior[0],
            "running_speed": self.trial.behavior[1],
            "mean_recorded_activity": self.trial.responses.mean(axis=0),
            "mean_predicted_from_movie": self.from_movie.mean(axis=0),
            "mean_predicted_from_reconstruction": self.from_reconstruction.mean(axis=0),
            "frame_correlation": self.frame_correlation,
        }

    def activity(self) -> dict[str, Any]:
        """How well each prediction explains the recorded activity, over neurons and frames."""
        recorded = self.trial.responses
        return row(
            self.clip,
            from_movie=metrics.response_correlation(recorded, self.from_movie),
            from_reconstruction=metrics.response_correlation(recorded, self.from_reconstruction),
            between_predictions=metrics.response_correlation(self.from_movie, self.from_reconstruction),
            mean_frame_correlation=float(np.nanmean(self.frame_correlation)),
        )


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Courses of the examples, and how well their activity is predicted.

    The table `frames` has a row a frame: mouse, clip, time_s, motion_energy (grey levels, inside the evaluation
    mask), pupil_diameter and running_speed (as recorded), mean_recorded_activity, mean_predicted_from_movie,
    mean_predicted_from_reconstruction (over neurons), frame_correlation. The table `activity` has a row a clip:
    mouse, clip, from_movie, from_reconstruction, between_predictions (correlations of activities),
    mean_frame_correlation.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Tables and figure.
    """
    import pandas as pd

    trials = {clip: plan.trial(clip, frames=plan.scale.example_frames) for clip in plan.examples}
    from_movies = from_truth(plan, trials)
    courses = [_Course.of(plan, store, clip, trial, from_movies[clip]) for clip, trial in trials.items()]
    frames = pd.concat([pd.DataFrame(course.columns()) for course in courses], ignore_index=True)
    outcome = Outcome(tables={"frames": frames, "activity": pd.DataFrame([course.activity() for course in courses])})
    outcome.add_drawing(
        "ethogram",
        "A: motion energy of the movie shown, inside the evaluation mask; pupil diameter and running speed. "
        "B: recorded activity. C: activity predicted from movie and behaviour. D: activity predicted from the "
        f"reconstruction ({PREDICTED_FROM[plan.scale.config().predicted_from]}) and the true behaviour. "
        "E: correlation of each frame with its reconstruction. Neurons in "
        "one order a clip, by their share in the strongest common fluctuation of C, neighbours averaged where "
        "there are many. The same clips as in study “natural”.",
        "Fig. 1-S1 A-E",
        lambda: _figure(plan, courses),
    )
    outcome.notes.append(_note(outcome.tables["activity"]))
    return outcome


def _note(activity: pd.DataFrame) -> str:
    means = activity.mean(numeric_only=True)
    return (
        "The paper states no result for this figure. Correlation of recorded activity over all neurons and frames with "
        f"the activity predicted from the movie {means['from_movie']:.3f}, from the reconstruction "
        f"{means['from_reconstruction']:.3f} (mean of {number_of(len(activity), 'clip')}; published notebook, one "
        "mouse: 0.379 and 0.442)."
    )


def _figure(plan: Plan, courses: Sequence[_Course]) -> Figure:
    columns = [
        EthogramColumn(
            title=course.clip.name,
            times_s=course.times_s,
            motion_energy=course.motion_energy,
            pupil=course.trial.behavior[0],
            running=course.trial.behavior[1],
            recorded=course.trial.responses,
            from_truth=course.from_movie,
            from_reconstruction=course.from_reconstruction,
            order=by_first_component(course.from_movie),
            frame_correlation=course.frame_correlation,
        )
        for course in courses
    ]
    return ethogram_figure(columns, title="Ethogram", simulated=plan.simulated)


ETHOGRAM = Study(
    name="ethogram",
    title="Movie, behaviour and activity over time",
    panels="Fig. 1-S1",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("examples"),
)
