"""Where a movie from recorded activity differs from the one the encoder would have led to expect.

Source: Bauer et al. 2026, Fig. 6 and Video 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.error_maps import LIMIT_PERCENTILE, error_map, overlay, symmetric_limit
from napari_vidrecon.analysis.postprocess import apply_mask
from napari_vidrecon.analysis.raster_order import by_first_component
from napari_vidrecon.analysis.statistics import SIGNIFICANCE
from napari_vidrecon.figures.activity import activity_figure
from napari_vidrecon.figures.curves import Curve, CurvePanel
from napari_vidrecon.figures.frame import COLOURS
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.picture_grids import picture_grid_figure
from napari_vidrecon.reconstruction.config import PREDICTED_FROM
from napari_vidrecon.studies.runs.measuring import (
    CLIP_UNIT,
    MOUSE_UNIT,
    counts,
    evaluation_mask,
    example_times_s,
    from_reconstructions,
    from_truth,
    mosaic_of_rows,
    row,
    rows_of_clips,
    screen_window,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Drawing, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_FRAMES_SHOWN = 9
SLOWED = 2
TARGETS = ("recorded", "predicted")


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every clip, and one example at length, from recorded and from predicted activity."""
    specs = [spec for clip in plan.many_clips for target in TARGETS for spec in plan.standard(clip, target=target)]
    frames = plan.scale.example_frames
    return specs + [
        spec for target in TARGETS for spec in plan.standard(plan.examples[0], target=target, frames=frames)
    ]


@dataclass(frozen=True)
class _Compared:
    """A clip reconstructed from recorded and from predicted activity; measured frames only.

    Parameters
    ----------
    truth, recorded, predicted
        (T, 36, 64), the latter averaged over encoders and smoothed, not matched.
    pixels
        Evaluation mask.
    """

    truth: np.ndarray
    recorded: np.ndarray
    predicted: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, plan: Plan, store: RunStore, clip: Clip, frames: tuple[int, int] | None) -> _Compared:
        videos = [averaged(store, plan.standard(clip, target=target, frames=frames)) for target in TARGETS]
        truth = plan.trial(clip, frames=frames).video
        part = plan.measured(len(truth))
        return cls(truth[part], videos[0][part], videos[1][part], evaluation_mask(clip))

    @cached_property
    def error(self) -> np.ndarray:
        return error_map(self.recorded, self.predicted, self.pixels)

    def overlaid(self, limit: float) -> np.ndarray:
        """(T, 36, 64, 3) 8-bit: the whole truth in grey, tinted by the error inside the mask."""
        return overlay(self.truth, self.error, limit)


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Errors of every clip, what they have to do with the movie shown, and how well movies explain the activity.

    The table `clips` has a row a clip: mouse, clip; video correlations recorded_correlation and predicted_correlation
    (of the reconstruction from each activity with the movie), between_correlation (of the two); mean_absolute_error
    (grey levels); error_with_difference_from_movie (correlation of the error map with what the reconstruction lacks);
    activity_from_movie, activity_from_reconstruction (correlation of predicted with recorded activity). The table
    `example` has a row a frame of one clip: mouse, clip, time_s, frame_correlation_from_recorded,
    frame_correlation_from_predicted, activity_explained_by_movie, activity_explained_by_reconstruction.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Tables, tests, findings, figures and movie.
    """
    import pandas as pd

    compared = {clip: _Compared.of(plan, store, clip, plan.scale.frames) for clip in plan.many_clips}
    limit = max(
        float(np.percentile(np.concatenate([_inside(each) for each in compared.values()]), LIMIT_PERCENTILE)), 1.0
    )
    clips = pd.DataFrame(_clips(plan, store, compared))
    example = _example(plan, store)
    outcome = Outcome(tables={"clips": clips, "example": pd.DataFrame(example.course())})
    _judge(outcome, clips)
    outcome.drawings += _drawings(plan, store, compared, limit, example)
    outcome.add_movie(
        "error_maps",
        "The clips shown, in grey, tinted where the reconstruction from recorded activity is brighter (orange) or "
        "darker (blue) than the one from predicted activity. "
        + ("Clips of one mouse. " if len(plan.mice) == 1 else "Each row: clips of one mouse. ")
        + "Half speed.",
        "Video 4",
        lambda: _movie(plan, compared, limit),
        fps=plan.frame_rate_hz / SLOWED,
    )
    outcome.notes.append(
        f"An error of {limit:.0f} grey levels ({LIMIT_PERCENTILE:g}th percentile of all errors in the masks) is drawn "
        "opaque, smaller ones in proportion; the paper's scale is not known. Luminance and contrast are not matched. "
        "Predicted activity is the mean over all the mouse's encoders, from the movie shown."
    )
    if plan.scale.config().update.surround == "inferred":
        outcome.notes.append(
            "At this scale pixels outside the mask are inferred with the others, but activity is predicted from "
            f"{PREDICTED_FROM[plan.scale.config().predicted_from]} (setting predicted_from). Where that is not the "
            "movie that was optimised, it explains less of the recorded activity than it did while it was fitted."
        )
    return outcome


def _inside(compared: _Compared) -> np.ndarray:
    return np.abs(compared.error[:, compared.pixels]).ravel()


def _clips(plan: Plan, store: RunStore, compared: Mapping[Clip, _Compared]) -> Iterator[dict[str, Any]]:
    trials = {clip: plan.trial(clip) for clip in compared}
    from_movies = from_truth(plan, trials)
    for clip, each in compared.items():
        recorded = trials[clip].responses
        part = plan.measured(trials[clip].frames)
        from_reconstruction = from_reconstructions(store, plan.standard(clip))
        yield row(
            clip,
            recorded_correlation=metrics.video_correlation(each.truth, each.recorded, each.pixels),
            predicted_correlation=metrics.video_correlation(each.truth, each.predicted, each.pixels),
            between_correlation=metrics.video_correlation(each.predicted, each.recorded, each.pixels),
            mean_absolute_error=float(_inside(each).mean()),
            error_with_difference_from_movie=metrics.video_correlation(
                each.recorded.astype(np.float64) - each.truth, each.error, each.pixels
            ),
            activity_from_movie=metrics.response_correlation(recorded[:, part], from_movies[clip][:, part]),
            activity_from_reconstruction=metrics.response_correlation(recorded[:, part], from_reconstruction[:, part]),
        )


def _judge(outcome: Outcome, clips: pd.DataFrame) -> None:
    pairs = (
        (
            *("predicted_correlation", "recorded_correlation", "video correlation: from predicted - from recorded"),
            "reconstructions from predicted activity resemble the movie more than those from recorded activity",
            "paper: 0.766 and 0.569",
        ),
        (
            *("activity_from_reconstruction", "activity_from_movie", "correlation with recorded activity: predicted"),
            "the reconstruction explains the recorded activity better than the movie shown, as it was fitted to it",
            "published notebook, one mouse: 0.442 and 0.379",
        ),
    )
    for first, second, compared, statement, paper in pairs:
        tests = []
        for unit in (MOUSE_UNIT, CLIP_UNIT):
            means = clips.groupby(list(unit))[[first, second]].mean()
            what = compared + (" from the reconstruction - from the movie" if compared.endswith("predicted") else "")
            tests.append(statistics.paired_t(means[first], means[second], what, **counts(clips, unit)))
        outcome.tests += tests
        decisive = next((test for test in tests if np.isfinite(test.p)), None)
        outcome.findings.append(
            Finding(
                statement,
                None if decisive is None or decisive.p >= SIGNIFICANCE else decisive.estimate > 0,
                f"r = {clips[first].mean():.3f} and {clips[second].mean():.3f}, higher in "
                f"{int((clips[first] > clips[second]).sum())} of {len(clips)} clips ({paper})"
                + ("" if decisive is None else f"; paired t-test over {decisive.unit}s {decisive.p_in_words}"),
            )
        )


@dataclass(frozen=True)
class _Example:
    """One clip at length: what was recorded, and what is predicted from the movie and from its reconstruction."""

    clip: Clip
    compared: _Compared
    times_s: np.ndarray
    recorded: np.ndarray
    from_movie: np.ndarray
    from_reconstruction: np.ndarray

    @cached_property
    def frame_correlations(self) -> dict[str, np.ndarray]:
        each = self.compared
        return {
            "recorded": metrics.frame_correlation(each.truth, each.recorded, each.pixels),
            "predicted": metrics.frame_correlation(each.truth, each.predicted, each.pixels),
        }

    @cached_property
    def explained(self) -> dict[str, np.ndarray]:
        """Correlation over neurons of recorded with predicted activity, frame by frame."""
        return {
            "movie": metrics.frame_response_correlation(self.recorded, self.from_movie),
            "reconstruction": metrics.frame_response_correlation(self.recorded, self.from_reconstruction),
        }

    def course(self) -> dict[str, Any]:
        """Columns of a table, a row a frame."""
        return {
            "mouse": [self.clip.mouse.name] * len(self.times_s),
            "clip": [self.clip.trial] * len(self.times_s),
            "time_s": self.times_s,
            "frame_correlation_from_recorded": self.frame_correlations["recorded"],
            "frame_correlation_from_predicted": self.frame_correlations["predicted"],
            "activity_explained_by_movie": self.explained["movie"],
            "activity_explained_by_reconstruction": self.explained["reconstruction"],
        }


def _example(plan: Plan, store: RunStore) -> _Example:
    clip, frames = plan.examples[0], plan.scale.example_frames
    trial = plan.trial(clip, frames=frames)
    part = plan.measured(trial.frames)
    return _Example(
        clip,
        _Compared.of(plan, store, clip, frames),
        example_times_s(plan, trial)[part],
        trial.responses[:, part],
        from_truth(plan, {clip: trial})[clip][:, part],
        from_reconstructions(store, plan.standard(clip, frames=frames))[:, part],
    )


def _drawings(
    plan: Plan, store: RunStore, compared: Mapping[Clip, _Compared], limit: float, example: _Example
) -> list[Drawing]:
    return [
        Drawing(
            "activity",
            "Top: correlation of each frame of the reconstruction with the movie. Middle: recorded activity, and "
            "activity predicted from the movie and from its reconstruction; neurons ordered by their share in the "
            "strongest common fluctuation, neighbours averaged where there are many. Bottom: correlation over neurons "
            "of recorded activity with the activity predicted from the movie, minus that with the activity predicted "
            "from the reconstruction.",
            "Fig. 6A-C",
            lambda: _activity_figure(plan, example),
        ),
        Drawing(
            "frames",
            "Reconstruction from recorded activity, from predicted activity, and the movie shown, tinted where the "
            "first is brighter (orange) or darker (blue) than the second. Yellow: evaluation mask.",
            "Fig. 6D",
            lambda: _frames_figure(plan, example),
        ),
        Drawing(
            "every_clip",
            "Error map of the middle frame of every clip, over the movie shown. Yellow: evaluation mask.",
            "Fig. 6E",
            lambda: _every_clip_figure(plan, compared, limit),
        ),
    ]


def _activity_figure(plan: Plan, example: _Example) -> Figure:
    times, frames, explained = example.times_s, example.frame_correlations, example.explained
    difference = explained["movie"] - explained["reconstruction"]
    above = CurvePanel(
        [
            Curve(times, frames["recorded"], "from recorded activity", COLOURS[2]),
            Curve(times, frames["predicted"], "from predicted activity", COLOURS[1]),
        ],
        "time (s)",
        "frame correlation r",
        "A   reconstruction and movie",
        y_range=(min(0.0, float(np.nanmin(np.stack(list(frames.values()))))), 1.0),
        zero="y",
    )
    below = CurvePanel(
        [Curve(times, difference, colour=COLOURS[0])],
        "time (s)",
        "difference of r",
        "C   activity explained: by the movie minus by its reconstruction",
        zero="y",
    )
    rasters = [
        ("B   recorded", example.recorded),
        ("predicted from the movie", example.from_movie),
        ("predicted from reconstruction", example.from_reconstruction),
    ]
    order = by_first_component(example.from_movie)
    return activity_figure(above, rasters, below, times, order, title=example.clip.name, simulated=plan.simulated)


def _frames_figure(plan: Plan, example: _Example) -> Figure:
    each = example.compared
    chosen = np.unique(np.round(np.linspace(0, len(each.truth) - 1, EXAMPLE_FRAMES_SHOWN)).astype(int))
    limit = symmetric_limit(each.error, each.pixels)
    rows = [
        ("from recorded", apply_mask(each.recorded, each.pixels)[chosen]),
        ("from predicted", apply_mask(each.predicted, each.pixels)[chosen]),
        ("error over\nthe movie", each.overlaid(limit)[chosen]),
    ]
    block = FrameBlock(rows, example.times_s[chosen], example.clip.name, [each.pixels], each.pixels)
    return frame_rows_figure([block], title="Error maps", simulated=plan.simulated, error_limit=limit)


def _every_clip_figure(plan: Plan, compared: Mapping[Clip, _Compared], limit: float) -> Figure:
    def entry(clip: Clip) -> tuple[str, np.ndarray, np.ndarray]:
        each = compared[clip]
        return plan.label(clip), each.overlaid(limit)[len(each.truth) // 2], each.pixels

    rows = [[entry(clip) for clip in clips] for clips in rows_of_clips(plan, plan.many_clips)]
    return picture_grid_figure(
        rows, screen_window(plan), error_limit=limit, title="Error maps of every clip", simulated=plan.simulated
    )


def _movie(plan: Plan, compared: Mapping[Clip, _Compared], limit: float) -> Iterator[np.ndarray]:
    overlaid = {clip: compared[clip].overlaid(limit) for clip in plan.many_clips}
    return mosaic_of_rows(plan, overlaid, "half speed; orange: brighter, blue: darker than expected")


ERROR_MAPS = Study(
    name="error-maps",
    title="Error maps: recorded against predicted",
    panels="Fig. 6, Video 4",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
