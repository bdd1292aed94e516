"""Movies from recorded activity: how the optimisation goes, what comes out, and how good it is.

Source: Bauer et al. 2026, Fig. 1C-D, Fig. 2 and Video 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.statistics import SIGNIFICANCE, TestResult
from napari_vidrecon.errors import SessionError, number_of
from napari_vidrecon.figures.curves import Curve, CurvePanel, p_text
from napari_vidrecon.figures.frame import COLOURS, panels_figure
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.mouse_lines import Distribution, DistributionPanel, distributions_figure
from napari_vidrecon.figures.picture_grids import mosaic_frames
from napari_vidrecon.studies.runs.measuring import (
    counted,
    counts,
    cropped,
    evaluation_mask,
    example_times_s,
    other_movies,
    presented,
    row,
    rows_of_clips,
    same_length,
    scores,
    spread_frames,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Drawing, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


MEASURES = {"video_correlation": "video correlation r", "mean_frame_correlation": "mean frame correlation r"}
FRAMES_SHOWN, FRAMES_APART = 10, 30
FAR_MORE = 0.1
"""Of a correlation: where the 95 % interval of the difference reaches it, few clips say nothing against the paper."""


def runs(plan: Plan) -> Sequence[RunSpec]:
    """The standard reconstruction of every clip, and of the examples at length.

    Parameters
    ----------
    plan
        Mice, clips and scale.

    Returns
    -------
    Sequence[RunSpec]
        One a clip and encoder.

    Raises
    ------
    SessionError
        Nothing tells what a mouse saw, so that nothing could be measured.
    """
    for mouse in plan.mice:
        session = mouse.open_session()
        if not any(map(session.has_movie, mouse.clips())):
            raise SessionError(
                f"{mouse.session}: expected clips whose movie is known, which the study natural measures "
                "reconstructions by, found none; leave this mouse or this study out (`vidrecon evidence` tells whether "
                "there is a movie in activity)"
            )
    specs = [spec for clip in plan.many_clips for spec in plan.standard(clip)]
    return specs + [spec for clip in plan.examples for spec in plan.standard(clip, frames=plan.scale.example_frames)]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Loss and correlation over the steps, correlations of every clip, and those with a random movie.

    The table `clips` has a row a clip: mouse, clip, video_correlation, mean_frame_correlation, rmse (grey levels),
    random_video_correlation, random_mean_frame_correlation (with another clip's movie). The table `steps` has a row a
    clip, encoder and measured step: mouse, clip, encoder, step, loss, video_correlation.

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

    steps, clips = pd.DataFrame(_steps(plan, store)), pd.DataFrame(_clips(plan, store))
    outcome = Outcome(tables={"clips": clips, "steps": steps})
    outcome.findings.append(_course(steps))
    for measure, name in MEASURES.items():
        tests = _against_random(clips, measure)
        outcome.tests += tests
        outcome.findings.append(_above_random(clips, measure, name, tests))
    outcome.drawings += _drawings(plan, store, clips, steps)
    outcome.add_movie(
        "natural",
        "Odd rows: the clips that were shown. Even rows: their reconstructions, averaged over encoders, smoothed "
        "(σ = 0.5), masked, and matched to the clips in luminance and contrast.",
        "Video 1",
        lambda: _movie(plan, store),
    )
    outcome.notes.append(
        "The paper does not say which movies were random: here a reconstruction is compared with the next clip of the "
        "same mouse, in the same mask."
    )
    return outcome


def _steps(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    for clip in plan.many_clips:
        for spec in plan.standard(clip):
            history = store.load(spec).history
            measured, correlation = history.tracked("video_correlation")
            # The loss of a whole prediction where it was tracked, as published; else what the optimisation saw.
            column = "response_loss" if spec.config.track_responses else "loss"
            loss = history[column][np.isin(history["step"], measured)]
            for values in zip(measured, loss, correlation, strict=True):
                names = ("step", "loss", "video_correlation")
                yield row(clip, encoder=spec.encoders[0], **dict(zip(names, map(float, values), strict=True)))


def _clips(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    others = other_movies(plan.many_clips)
    for clip in plan.many_clips:
        trial, pixels = plan.trial(clip), evaluation_mask(clip)
        video = averaged(store, plan.standard(clip))
        values = scores(plan, trial, video, pixels)
        found = np.full(2, np.nan)
        if clip in others:
            other = plan.trial(others[clip]).video
            frames = min(len(other), len(video))
            part = plan.measured(frames)
            pair = other[:frames][part], video[:frames][part], pixels
            found = np.array([metrics.video_correlation(*pair), metrics.mean_frame_correlation(*pair)])
        random = {f"random_{name}": float(value) for name, value in zip(MEASURES, found, strict=True)}
        yield row(clip, **values, **random)


def _course(steps: pd.DataFrame) -> Finding:
    curves = steps.groupby(["mouse", "clip", "encoder"])
    first, last = curves.first(), curves.last()
    falls, rises = last["loss"] < first["loss"], last["video_correlation"] > first["video_correlation"]
    best = curves["video_correlation"].max().mean()
    return Finding(
        "the loss falls and the video correlation rises during the optimisation",
        bool(falls.all() and rises.all()),
        f"loss lower at the end than at the start in {falls.sum()} of {len(last)} runs, correlation higher in "
        f"{rises.sum()}; mean r at the end {last['video_correlation'].mean():.3f}, at each run's best step {best:.3f} "
        "(one encoder, not smoothed)",
    )


def _against_random(clips: pd.DataFrame, measure: str) -> list[TestResult]:
    name, size = MEASURES[measure], counts(clips, ["mouse", "clip"])
    random = f"random_{measure}"
    return [
        statistics.mean_interval(clips[measure], name, **size),
        statistics.mean_interval(clips[random], f"{name} with a random movie", **size),
        statistics.independent_t(clips[measure], clips[random], f"{name}: movie shown against random movie", **size),
        statistics.paired_t(
            clips.groupby("mouse")[measure].mean(),
            clips.groupby("mouse")[random].mean(),
            f"{name}: movie shown against random movie",
            **counts(clips, ["mouse"]),
        ),
    ]


def _above_random(clips: pd.DataFrame, measure: str, name: str, tests: Sequence[TestResult]) -> Finding:
    own, random, test, _ = tests
    sure = test.p < SIGNIFICANCE or test.high < FAR_MORE
    shows = bool(test.p < SIGNIFICANCE and test.estimate > 0) if sure else None
    return Finding(
        f"the reconstructions resemble the movies shown, far more than random movies ({name})",
        shows,
        f"r = {own.interval_in_words}, random {statistics.in_digits(random.estimate)}, "
        f"{test.p_in_words}, {counted(clips)}; "
        f"paper: {'0.569 (0.542 to 0.596)' if measure == 'video_correlation' else '0.512 (0.481 to 0.543)'}",
    )


def _drawings(plan: Plan, store: RunStore, clips: pd.DataFrame, steps: pd.DataFrame) -> list[Drawing]:
    tracked = plan.scale.config().track_skip_frames
    return [
        Drawing(
            "optimisation",
            "Poisson loss (top) and video correlation with the movie shown (bottom) over the steps. Left: every clip "
            "for one encoder, and their mean. Right: mean over clips for every encoder. Not smoothed, "
            f"without the first {tracked} frames.",
            "Fig. 1C, D",
            lambda: _optimisation_figure(plan, steps),
        ),
        Drawing(
            "examples",
            "Frames of clips, each above its reconstruction (averaged over encoders, smoothed, masked, and "
            "matched in luminance and contrast). The clips were chosen by their position, not by their quality.",
            "Fig. 2A",
            lambda: _examples_figure(plan, store),
        ),
        Drawing(
            "correlations",
            "Correlation of every reconstruction with the movie shown and with a random movie, before matching of "
            "luminance and contrast. Dots: clips, a colour each mouse; black: mean with its 95 % interval.",
            "Fig. 2B",
            lambda: _correlations_figure(plan, clips),
        ),
    ]


def _optimisation_figure(plan: Plan, steps: pd.DataFrame) -> Figure:
    first = steps[steps["encoder"] == steps["encoder"].min()]
    panels = []
    for measure, label in (("loss", "Poisson loss"), ("video_correlation", "video correlation r")):
        single = [
            Curve(one["step"], one[measure], colour=COLOURS[1], strong=False)
            for _, one in first.groupby(["mouse", "clip"])
        ]
        mean = first.groupby("step")[measure].mean()
        every = [
            Curve(means.index, means, f"encoder {encoder}", COLOURS[1 + place % (len(COLOURS) - 1)])
            for place, (encoder, part) in enumerate(steps.groupby("encoder"))
            for means in (part.groupby("step")[measure].mean(),)
        ]
        overall = Curve(mean.index, mean, f"mean of {number_of(len(single), 'clip')}")
        titles = (
            (f"{number_of(len(single), 'clip')}, one encoder", "mean of the clips, every encoder")
            if measure == "loss"
            else ""
        )
        for place, curves in enumerate(([*single, overall], every)):
            panels.append(CurvePanel(curves, "optimisation step", label, titles[place] if titles else ""))
    return panels_figure(panels, title="Optimisation", simulated=plan.simulated)


def _examples_figure(plan: Plan, store: RunStore) -> Figure:
    blocks = []
    for clip in plan.examples:
        trial, pixels = plan.trial(clip, frames=plan.scale.example_frames), evaluation_mask(clip)
        part = plan.measured(trial.frames)
        video = averaged(store, plan.standard(clip, frames=plan.scale.example_frames))
        truth, shown = presented(trial.video[part], video[part], pixels)
        chosen = spread_frames(len(truth), FRAMES_APART, FRAMES_SHOWN)
        correlation = metrics.video_correlation(trial.video[part], video[part], pixels)
        blocks.append(
            FrameBlock(
                [("shown", truth[chosen]), ("reconstructed", shown[chosen])],
                example_times_s(plan, trial)[part][chosen],
                f"{clip.name}: video correlation r = {correlation:.2f}",
                [pixels],
            )
        )
    return frame_rows_figure(blocks, title="Reconstructions from recorded activity", simulated=plan.simulated)


def _correlations_figure(plan: Plan, clips: pd.DataFrame) -> Figure:
    panels, mice = [], [str(name) for name in clips["mouse"]]
    averaged_over = max(len(plan.encoders(mouse)) for mouse in plan.mice)
    for measure, name in MEASURES.items():
        own, random, test, _ = _against_random(clips, measure)
        shown, others = ((each.estimate, each.low, each.high) for each in (own, random))
        pair = [
            Distribution("movie shown", clips[measure], shown, mice),
            Distribution("random movie", clips[f"random_{measure}"], others, mice, control=True),
        ]
        note = f"t-test {p_text(test.p)}" if np.isfinite(test.p) else test.note
        panels.append(DistributionPanel(pair, name, note=note))
    title = f"{number_of(len(clips), 'clip')}, mean of {number_of(averaged_over, 'encoder')}"
    return distributions_figure(panels, title=title, simulated=plan.simulated)


def _movie(plan: Plan, store: RunStore) -> Iterator[np.ndarray]:
    rows: list[list[np.ndarray]] = []
    labels: list[str] = []
    for clips in rows_of_clips(plan, plan.many_clips):
        pairs = []
        for clip in clips:
            truth, video = plan.trial(clip).video, averaged(store, plan.standard(clip))
            part = plan.measured(len(video))
            pairs.append(presented(truth[part], video[part], evaluation_mask(clip)))
        rows += [list(movies) for movies in zip(*pairs, strict=True)]
        labels += ["shown" if len(plan.mice) == 1 else clips[0].mouse.name, "reconstructed"]
    return mosaic_frames(cropped(plan, same_length(rows)), row_labels=labels, scale=6, simulated=plan.simulated)


NATURAL = Study(
    name="natural",
    title="Movies reconstructed from recorded activity",
    panels="Fig. 1C-D, Fig. 2, Video 1",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
