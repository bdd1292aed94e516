"""Controls: what a reconstruction shares with a movie it was not made from, and what comes of wrong activity.

Source: Bauer et al. 2026, Fig. 2B (random movies) and the published code (permuted neurons).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.errors import number_of
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.mouse_lines import Distribution, DistributionPanel, distributions_figure
from napari_vidrecon.studies.runs.measuring import (
    CLIP_UNIT,
    counts,
    evaluation_mask,
    mosaic_of_clips,
    other_movies,
    row,
    spread_frames,
    with_reconstructions,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Drawing, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


SHOWN, RANDOM = "movie shown", "random movie"
PERMUTED, OTHER_CLIP = "permuted neurons", "other clip's activity"
CONTROLS = {
    RANDOM: "a reconstruction does not resemble a movie that was not shown",
    PERMUTED: "activity under permuted neurons does not reconstruct the movie",
    OTHER_CLIP: "activity during another clip does not reconstruct the movie",
}
MEASURES = {"video_correlation": "video correlation r", "mean_frame_correlation": "mean frame correlation r"}
MOVIE_LABELS = {OTHER_CLIP: "other's activity"}
FRAMES_SHOWN, FRAMES_APART, CLIPS_SHOWN = 10, 30, 5
PIXEL_SCALE = 4
NEAR_ZERO = 0.05
"""A mean correlation below this is none, however narrow its interval; a reconstruction reaches ten times as much."""

RECONSTRUCTED = 0.3
"""A mean correlation that tells of a movie: an interval from below 0 to here rules neither out."""


def partners(plan: Plan) -> dict[Clip, Clip]:
    """For each clip the next one of the same mouse and length, whose movie or activity is taken instead of its own."""
    alike: dict[tuple[str, int], list[Clip]] = {}
    for clip in plan.many_clips:
        frames = clip.mouse.open_session().clip_frames(clip.trial)
        cut = plan.scale.frames
        length = frames if cut is None else min(frames, cut[1]) - cut[0]
        alike.setdefault((clip.mouse.name, length), []).append(clip)
    return {clip: other for clips in alike.values() for clip, other in other_movies(clips).items()}


def specs_of(plan: Plan, clip: Clip, kind: str, other: Clip | None = None) -> list[RunSpec]:
    """The runs whose movies are averaged: of recorded activity, of permuted neurons, or of another clip's activity.

    Parameters
    ----------
    plan
        Mice and scale.
    clip
        Which mouse and trial.
    kind
        One of the kinds of this study.
    other
        Whose activity is taken.

    Returns
    -------
    list[RunSpec]
        One an encoder.
    """
    if kind == PERMUTED:
        return plan.standard(clip, target="permuted", config=plan.scale.config().changed(seed=plan.seed(clip)))
    if kind == OTHER_CLIP and other is not None:
        return plan.standard(clip, target="other clip", other_trial=other.trial)
    return plan.standard(clip)


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every clip from its own activity, from permuted neurons, and from another clip's activity."""
    others = partners(plan)
    return [
        spec
        for clip in plan.many_clips
        for kind in (SHOWN, PERMUTED, *([OTHER_CLIP] if clip in others else []))
        for spec in specs_of(plan, clip, kind, others.get(clip))
    ]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Correlations of the reconstruction and of every control; their intervals, and t-tests against the real one.

    The table `controls` has a row a clip and kind of control: mouse, clip, control, other_clip (trial of the other
    clip, where one takes part), video_correlation, mean_frame_correlation.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Table, tests, findings, figures and movie.
    """
    import pandas as pd

    others = partners(plan)
    table = pd.DataFrame(_rows(plan, store, others))
    outcome = Outcome(tables={"controls": table})
    for measure in MEASURES:
        outcome.tests += _tests(table, measure)
    outcome.findings += [finding_of(table, control) for control in CONTROLS]
    outcome.drawings += [
        Drawing(
            "controls",
            "Correlation with the movie shown of its reconstruction and of three controls: the reconstruction against "
            "the mouse's next clip, a reconstruction from the same activity under permuted neurons, and one from the "
            "activity during the next clip. Averaged over encoders, smoothed, before matching of luminance and "
            "contrast. Dots: clips, a colour each mouse; black: mean with its 95 % interval.",
            "Fig. 2B and the published code's control",
            lambda: _correlations_figure(plan, table),
        ),
        Drawing(
            "frames",
            "Frames of one clip, its reconstruction, and those of the controls; masked, and matched to the clip shown "
            "in luminance and contrast. Last row: the clip whose activity the row above was made from.",
            "no counterpart in the paper",
            lambda: _frames_figure(plan, store, others),
        ),
    ]
    outcome.add_movie(
        "controls",
        "The clips (top), their reconstructions, and those from permuted neurons and from another clip's activity; "
        "masked, and matched in luminance and contrast.",
        "no counterpart in the paper",
        lambda: _movie(plan, store, others),
    )
    if len(others) < len(plan.many_clips):
        outcome.notes.append(
            f"{len(plan.many_clips) - len(others)} of {len(plan.many_clips)} clips have no other clip of the same "
            "mouse and length: two of the controls leave them out."
        )
    return outcome


def _rows(plan: Plan, store: RunStore, others: dict[Clip, Clip]) -> Iterator[dict[str, Any]]:
    for clip in plan.many_clips:
        truth, pixels = plan.trial(clip).video, evaluation_mask(clip)
        part = plan.measured(len(truth))
        real = averaged(store, specs_of(plan, clip, SHOWN))
        pairs = {SHOWN: (truth, real), PERMUTED: (truth, averaged(store, specs_of(plan, clip, PERMUTED)))}
        if clip in others:
            pairs[RANDOM] = plan.trial(others[clip]).video, real
            pairs[OTHER_CLIP] = truth, averaged(store, specs_of(plan, clip, OTHER_CLIP, others[clip]))
        for kind in (SHOWN, *CONTROLS):
            if kind in pairs:
                movie, video = pairs[kind]
                yield row(
                    clip,
                    control=kind,
                    other_clip=others[clip].trial if kind in (RANDOM, OTHER_CLIP) else None,
                    video_correlation=metrics.video_correlation(movie[part], video[part], pixels),
                    mean_frame_correlation=metrics.mean_frame_correlation(movie[part], video[part], pixels),
                )


def _values(table: pd.DataFrame, kind: str, measure: str) -> np.ndarray:
    return table.loc[table["control"] == kind, measure].to_numpy(dtype=float)


def _interval(table: pd.DataFrame, kind: str, measure: str) -> TestResult:
    part = table[table["control"] == kind]
    return statistics.mean_interval(part[measure], f"{MEASURES[measure]}: {kind}", **counts(part, CLIP_UNIT))


def _tests(table: pd.DataFrame, measure: str) -> list[TestResult]:
    results = [_interval(table, kind, measure) for kind in (SHOWN, *CONTROLS)]
    for kind in CONTROLS:
        pair = _values(table, SHOWN, measure), _values(table, kind, measure)
        what = f"{MEASURES[measure]}: {SHOWN} against {kind}"
        results.append(statistics.independent_t(*pair, what, **counts(table, CLIP_UNIT)))
    return results


def finding_of(table: pd.DataFrame, control: str) -> Finding:
    """Whether a control finds nothing, as it must; None where the interval holds both 0 and a reconstruction's r."""
    real, found = (_interval(table, kind, "video_correlation") for kind in (SHOWN, control))
    statement = f"{CONTROLS[control]}: its correlation is 0 within the 95 % interval, or nearly so"
    if found.note:
        return Finding(statement, None, found.note)
    holds_0 = found.low <= 0 <= found.high
    too_wide = holds_0 and found.high > RECONSTRUCTED
    return Finding(
        statement,
        None if too_wide else bool(holds_0 or abs(found.estimate) < NEAR_ZERO),
        f"r = {found.estimate:.3f} ({found.low:.3f} to {found.high:.3f}), against {real.estimate:.3f} "
        f"({real.low:.3f} to {real.high:.3f}) of the reconstruction, over {number_of(real.clips, 'clip')} of "
        f"{number_of(real.mice, 'mouse', 'mice')}" + ("; too wide to tell: take more clips" if too_wide else ""),
    )


def _correlations_figure(plan: Plan, table: pd.DataFrame) -> Figure:
    panels = []
    for measure, label in MEASURES.items():
        distributions = []
        for kind in (SHOWN, *CONTROLS):
            part, found = table[table["control"] == kind], _interval(table, kind, measure)
            mice = [str(name) for name in part["mouse"]]
            interval = found.estimate, found.low, found.high
            name = kind.replace(" ", "\n").replace("clip's\n", "clip's ")
            distributions.append(Distribution(name, part[measure], interval, mice, control=kind != SHOWN))
        panels.append(DistributionPanel(distributions, label))
    title = f"Controls, {number_of(len(plan.many_clips), 'clip')}, averaged over encoders"
    return distributions_figure(panels, title=title, simulated=plan.simulated)


def _shown(plan: Plan, store: RunStore, clip: Clip, others: dict[Clip, Clip]) -> dict[str, np.ndarray]:
    """The measured frames of a clip and of everything that was made in its place, as the paper shows movies."""
    kinds = {"reconstruction": SHOWN, PERMUTED: PERMUTED} | ({OTHER_CLIP: OTHER_CLIP} if clip in others else {})
    videos = (averaged(store, specs_of(plan, clip, kind, others.get(clip))) for kind in kinds.values())
    movies = dict(zip(("shown", *kinds), with_reconstructions(plan, clip, videos), strict=True))
    if clip in others:
        (movies["other clip"],) = with_reconstructions(plan, others[clip], ())
    return movies


def _frames_figure(plan: Plan, store: RunStore, others: dict[Clip, Clip]) -> Figure:
    clip = plan.many_clips[0]
    movies = _shown(plan, store, clip, others)
    frames = len(movies["shown"])
    chosen = spread_frames(frames, FRAMES_APART, FRAMES_SHOWN)
    trial = plan.trial(clip)
    first = (plan.scale.frames or (0, 0))[0] + plan.measured(trial.frames).start
    rows = [(name.replace(" ", "\n", 1).replace("'s\n", "'s "), movie[chosen]) for name, movie in movies.items()]
    block = FrameBlock(rows, (first + chosen) / trial.frame_rate_hz, clip.name, [evaluation_mask(clip)])
    return frame_rows_figure([block], title="Controls", simulated=plan.simulated)


def _movie(plan: Plan, store: RunStore, others: dict[Clip, Clip]) -> Iterator[np.ndarray]:
    clips = [clip for clip in plan.many_clips if clip in others or not others][:CLIPS_SHOWN]
    columns = [_shown(plan, store, clip, others) for clip in clips]
    labels = [MOVIE_LABELS.get(name, name) for name in columns[0]]
    return mosaic_of_clips(plan, clips, [list(column.values()) for column in columns], labels, PIXEL_SCALE)


CONTROLS_STUDY = Study(
    name="controls",
    title="Controls",
    panels="Fig. 2B, published code's control",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
