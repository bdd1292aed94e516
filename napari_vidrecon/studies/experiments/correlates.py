"""What goes along with a good reconstruction: the movie, the behaviour, or how predictable the activity is.

Source: Bauer et al. 2026, Fig. 2-S1. Which three measures of movie and behaviour the paper took is inferred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from napari_vidrecon import metrics
from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.statistics import SIGNIFICANCE, TestResult
from napari_vidrecon.errors import number_of
from napari_vidrecon.figures.curves import Curve, CurvePanel, ScatterPanel, p_text, scatter_and_curves_figure
from napari_vidrecon.figures.frame import COLOURS, panels_figure
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.runs.measuring import CLIP_UNIT, counts, evaluation_mask, from_truth, row, scores
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Drawing, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


def cross_correlation(first: ArrayLike, second: ArrayLike, largest_lag: int) -> NDArray[np.float64]:
    """Normalised cross-correlation: mean product of the z-scored courses over the frames that overlap.

    Parameters
    ----------
    first, second
        (T,); a frame where either is NaN is left out of both.
    largest_lag
        Frames, 0 <= lag < T.

    Returns
    -------
    NDArray[np.float64]
        (2 * largest_lag + 1,), lags from -largest_lag; at a positive lag `second` comes later. At lag 0 it is Pearson's
        r. NaN where a course does not vary, or where fewer than half of the frames that are known of both overlap: a
        mean over a few of them is of no scale any more.

    Raises
    ------
    ValueError
        Courses of different lengths, or a lag beyond them.

    References
    ----------
    Bauer et al. 2026, Fig. 2-S1 B.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"the courses have shapes {x.shape} and {y.shape}; expected one (frames,)")
    if not 0 <= largest_lag < max(len(x), 1):
        raise ValueError(f"largest lag {largest_lag}; expected 0 to {len(x) - 1} frames")
    known = np.isfinite(x) & np.isfinite(y)
    x, y = _scored(x, known), _scored(y, known)
    lags = range(-largest_lag, largest_lag + 1)
    return np.array([_mean_product(x, y, lag, LEAST_KNOWN_OVERLAP * known.sum()) for lag in lags])


def _scored(course: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    values = course[known]
    scored = np.full(len(course), np.nan)
    if values.size and values.min() < values.max():
        scored[known] = (values - values.mean()) / values.std()
    return scored


def _mean_product(x: NDArray[np.float64], y: NDArray[np.float64], lag: int, fewest: float) -> float:
    early, late = (x[: len(x) - lag], y[lag:]) if lag >= 0 else (x[-lag:], y[: len(y) + lag])
    products = early * late
    products = products[np.isfinite(products)]
    return float(products.mean()) if products.size >= max(fewest, 1) else float("nan")


MOVIE_MEASURES = {
    "contrast": "frame contrast (SD, grey levels)",
    "luminance": "luminance (grey level)",
    "motion_energy": "motion energy (grey levels a frame)",
}
BEHAVIOUR_MEASURES = {
    "pupil_diameter": "pupil diameter (px)",
    "running_speed": "running speed (a.u.)",
    "eye_movement": "eye movement (px/s)",
}
ACCURACY, ACCURACY_LABEL = "mean_frame_correlation", "mean frame correlation r"
FEWEST_FOR_NO_CORRELATION = 30
"""Clips below which "no significant correlation" says nothing: r = 0.5 would be missed about every fifth time."""
LARGEST_LAG_S = 2.0
LEAST_OVERLAP, LEAST_KNOWN_OVERLAP = 2 / 3, 1 / 2
PEAK_WITHIN_S = 0.1


def runs(plan: Plan) -> Sequence[RunSpec]:
    """The standard reconstruction of every clip."""
    return [spec for clip in plan.many_clips for spec in plan.standard(clip)]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Correlations of reconstruction accuracy over clips, and of its course with that of predictability over time.

    The table `clips` has a row a clip: mouse, clip, video_correlation, mean_frame_correlation, rmse (grey levels); of
    its movie contrast, luminance, motion_energy (grey levels, inside the evaluation mask); of the mouse
    pupil_diameter, running_speed (both as recorded), eye_movement (camera pixels a second); activity_accuracy
    (correlation of predicted and recorded activity). The table `lags` has a row a clip and lag: mouse, clip,
    lag_frames, correlation, other_clip (the same with another clip's movie).

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Tables, tests, findings and figures.
    """
    import pandas as pd

    trials = {clip: plan.trial(clip) for clip in plan.many_clips}
    from_movies = from_truth(plan, trials)
    rows, courses = [], []
    for clip, trial in trials.items():
        values, course = _measure(plan, store, clip, trial, from_movies[clip])
        rows.append(row(clip, **values))
        courses.append(course)
    clips, lags = pd.DataFrame(rows), pd.DataFrame(_lags(plan, courses))
    outcome = Outcome(tables={"clips": clips, "lags": lags})
    fits = {
        name: statistics.pearson_fit(
            clips[name], clips[ACCURACY], f"{ACCURACY_LABEL} over {label}", **counts(clips, CLIP_UNIT)
        )
        for name, label in {
            **MOVIE_MEASURES,
            **BEHAVIOUR_MEASURES,
            "activity_accuracy": "activity prediction accuracy",
        }.items()
    }
    at_zero = lags[lags["lag_frames"] == 0]
    size = counts(clips, CLIP_UNIT)
    zero = (
        statistics.mean_interval(at_zero["correlation"], "cross-correlation of the accuracies at lag 0", **size),
        statistics.paired_t(
            at_zero["correlation"], at_zero["other_clip"], "the same at lag 0: same clip - different clips", **size
        ),
    )
    outcome.tests += [*(test for test, _ in fits.values()), *zero]
    outcome.findings += _findings(
        {name: test for name, (test, _) in fits.items()}, len(clips), lags, zero, plan.frame_rate_hz
    )
    outcome.drawings += [
        Drawing(
            "correlates",
            "Mean frame correlation of every clip over three measures of its movie (inside the evaluation mask) and "
            "three of the behaviour. Line: least squares; a colour each mouse.",
            "Fig. 2-S1 A",
            lambda: _scatter_figure(plan, clips, fits),
        ),
        Drawing(
            "predictability",
            "Left: reconstruction accuracy over activity prediction accuracy (correlation of recorded activity with "
            "that predicted from the movie, over neurons and frames). Right: cross-correlation of the two, frame by "
            "frame: mean over clips with its 95 % interval; grey: courses of different clips, as a control.",
            "Fig. 2-S1 B",
            lambda: _predictability_figure(plan, clips, lags, fits["activity_accuracy"]),
        ),
    ]
    outcome.notes.append(_note(plan, len(clips)))
    return outcome


def _measure(
    plan: Plan, store: RunStore, clip: Clip, trial: Trial, from_movie: np.ndarray
) -> tuple[dict[str, float], tuple[np.ndarray, np.ndarray]]:
    """Values of one clip; and, frame by frame, how well its activity is predicted and its movie reconstructed."""
    pixels, part = evaluation_mask(clip), plan.measured(trial.frames)
    video, truth = averaged(store, plan.standard(clip)), trial.video[part]
    recorded, predicted = trial.responses[:, part], from_movie[:, part]
    eye_px = np.hypot(*np.diff(trial.pupil_center[:, part], axis=1))
    values = {
        **scores(plan, trial, video, pixels),
        "contrast": float(metrics.frame_contrast(truth, pixels).mean()),
        "luminance": metrics.luminance(truth, pixels),
        "motion_energy": float(metrics.motion_energy(truth, pixels).mean()),
        "pupil_diameter": float(trial.behavior[0, part].mean()),
        "running_speed": float(trial.behavior[1, part].mean()),
        "eye_movement": float(eye_px.mean() * trial.frame_rate_hz),
        "activity_accuracy": metrics.response_correlation(recorded, predicted),
    }
    activity = metrics.frame_response_correlation(recorded, predicted)
    return values, (activity, metrics.frame_correlation(truth, video[part], pixels))


def _lags(plan: Plan, courses: Sequence[tuple[np.ndarray, np.ndarray]]) -> Iterator[dict[str, Any]]:
    """Cross-correlations: of each clip, and of its activity with the next clip's movie as a control."""
    shortest = min(len(activity) for activity, _ in courses)
    largest = min(round(LARGEST_LAG_S * plan.frame_rate_hz), int((1 - LEAST_OVERLAP) * shortest))
    for place, (clip, (activity, movie)) in enumerate(zip(plan.many_clips, courses, strict=True)):
        other = courses[(place + 1) % len(courses)][1]
        frames = min(len(activity), len(other))
        own = cross_correlation(activity, movie, largest)
        control = cross_correlation(activity[:frames], other[:frames], largest)
        for lag, value, chance in zip(range(-largest, largest + 1), own, control, strict=True):
            yield row(
                clip,
                lag_frames=lag,
                correlation=float(value),
                other_clip=float(chance) if len(courses) > 1 else float("nan"),
            )


def _findings(
    tests: dict[str, TestResult],
    clips: int,
    lags: pd.DataFrame,
    zero: tuple[TestResult, TestResult],
    rate_hz: float,
) -> list[Finding]:
    found = [
        Finding(
            "the more contrast the frames of a movie have, the better it is reconstructed",
            positive(tests["contrast"]),
            _numbers(tests, ["contrast"]),
        ),
        Finding(
            "pupil diameter, running speed and eye movement do not go along with the quality of a reconstruction",
            none_significant([tests[name] for name in BEHAVIOUR_MEASURES], clips),
            _numbers(tests, list(BEHAVIOUR_MEASURES)),
        ),
        Finding(
            "the better the activity is predicted from the movie, the better the movie is reconstructed",
            positive(tests["activity_accuracy"]),
            _numbers(tests, ["activity_accuracy"]),
        ),
    ]
    mean = lags.groupby("lag_frames")["correlation"].mean()
    if mean.notna().any():
        found.append(_without_delay(mean, rate_hz, *zero))
    return found


def _without_delay(mean: pd.Series[float], rate_hz: float, own: TestResult, against_other: TestResult) -> Finding:
    """Whether the courses go together at once: above 0, above those of different clips, with the peak near lag 0."""
    peak_s = float(mean.idxmax()) / rate_hz
    together = own.low > 0 and against_other.p < SIGNIFICANCE and against_other.estimate > 0
    return Finding(
        "within a clip, frames whose activity is better predicted are better reconstructed, without delay",
        abs(peak_s) <= PEAK_WITHIN_S if together else None,
        f"cross-correlation at lag 0: {own.interval_in_words}, "
        f"{statistics.in_digits(against_other.estimate, sign='+')} against different clips "
        f"({against_other.p_in_words}); peak {mean.max():.3f} at "
        f"{peak_s:+.2f} s; lags up to {mean.index.max() / rate_hz:.1f} s",
    )


def positive(test: TestResult) -> bool | None:
    """A correlation above 0, or the lack of one; too few clips can tell neither."""
    if not np.isfinite(test.p):
        return None
    if test.p < SIGNIFICANCE:
        return test.estimate > 0
    return False if test.degrees[0] + 2 >= FEWEST_FOR_NO_CORRELATION else None


def none_significant(tests: Sequence[TestResult], clips: int) -> bool | None:
    """That nothing is there can be told only where enough clips would have shown it."""
    if any(test.p < SIGNIFICANCE for test in tests):
        return False
    known = all(np.isfinite(test.p) for test in tests)
    return True if known and clips >= FEWEST_FOR_NO_CORRELATION else None


def _numbers(tests: dict[str, TestResult], names: Sequence[str]) -> str:
    told = [
        f"{name.replace('_', ' ')}: r = {statistics.in_digits(tests[name].estimate, 2)}, {tests[name].p_in_words}"
        if np.isfinite(tests[name].p)
        else f"{name.replace('_', ' ')}: {tests[name].note}"
        for name in names
    ]
    return "; ".join(told)


def _note(plan: Plan, clips: int) -> str:
    text = "Clips are the unit, as in the paper, which has 50 of 5 mice; clips of one mouse are not independent. "
    if clips < FEWEST_FOR_NO_CORRELATION:
        text += (
            f"With {number_of(clips, 'clip')} only strong correlations can be seen, and that none is seen says "
            "nothing; more clips or mice would tell."
        )
    return text


def _scatter_figure(plan: Plan, clips: pd.DataFrame, fits: dict[str, tuple[TestResult, tuple[float, float]]]) -> Figure:
    mice = [str(name) for name in clips["mouse"]]
    panels = [
        ScatterPanel(clips[name], clips[ACCURACY], label, ACCURACY_LABEL, mice, fits[name][1], _fit_note(fits[name][0]))
        for name, label in {**MOVIE_MEASURES, **BEHAVIOUR_MEASURES}.items()
    ]
    return panels_figure(
        panels, title=f"Movie and behaviour of {number_of(len(clips), 'clip')}", simulated=plan.simulated
    )


def _predictability_figure(
    plan: Plan, clips: pd.DataFrame, lags: pd.DataFrame, fit: tuple[TestResult, tuple[float, float]]
) -> Figure:
    mice = [str(name) for name in clips["mouse"]]
    scatter = ScatterPanel(
        clips["activity_accuracy"],
        clips[ACCURACY],
        "activity prediction accuracy r",
        ACCURACY_LABEL,
        mice,
        fit[1],
        _fit_note(fit[0]),
    )
    groups = lags.groupby("lag_frames")
    seconds = np.array([lag for lag, _ in groups]) / plan.frame_rate_hz
    intervals = [statistics.mean_interval(part["correlation"]) for _, part in groups]
    mean = [each.estimate for each in intervals]
    band = [each.low for each in intervals], [each.high for each in intervals]
    curves = [
        Curve(seconds, groups["other_clip"].mean(), "different clips", "#8A8A8A", style="--"),
        Curve(seconds, mean, "same clip", COLOURS[1], band=band),
    ]
    panel = CurvePanel(curves, "lag of the frame correlation (s)", "cross-correlation", zero="both")
    return scatter_and_curves_figure(scatter, panel, title="Predictability", simulated=plan.simulated)


def _fit_note(test: TestResult) -> str:
    if not np.isfinite(test.p):
        return "r is not defined"
    return f"r = {test.estimate:.2f}".replace("-", "−") + f", {p_text(test.p)}"


CORRELATES = Study(
    name="correlates",
    title="What goes along with a good reconstruction",
    panels="Fig. 2-S1",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
