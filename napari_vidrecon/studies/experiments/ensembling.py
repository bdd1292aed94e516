"""The mean over more encoders' movies is better (Bauer et al. 2026, Fig. 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.ensembles import mean_frame_correlations, mean_video_correlations
from napari_vidrecon.analysis.postprocess import ensemble_mean, smooth
from napari_vidrecon.errors import number_of
from napari_vidrecon.figures.frame import panels_figure
from napari_vidrecon.figures.mouse_lines import LinePanel, Lines
from napari_vidrecon.figures.picture_grids import mosaic_frames
from napari_vidrecon.studies.runs.measuring import (
    change,
    cropped,
    evaluation_mask,
    level_tests,
    monotone,
    row,
    same_length,
    with_reconstructions,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Finding, Outcome, Plan, Study

if TYPE_CHECKING:
    import pandas as pd


def _specs(plan: Plan, clip: Clip) -> list[RunSpec]:
    """One run for each of the mouse's encoders, also where other studies average over fewer."""
    return plan.standard(clip, encoders=tuple(range(len(clip.mouse.encoders))))


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every clip with every encoder."""
    return [spec for clip in plan.many_clips for spec in _specs(plan, clip)]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Correlation over the number of encoders averaged, mean over all sets of that size; ANOVA and t-tests.

    The table `ensembling` has a row a clip and number of encoders: mouse, clip, encoders, sets (of so many),
    video_correlation and mean_frame_correlation (mean over sets), lowest_video_correlation,
    highest_video_correlation.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Table, tests, finding, figure and movie.
    """
    import pandas as pd

    table = pd.DataFrame(_sizes(plan, store))
    # With as many levels for every mouse nothing is left out of the tests.
    largest = min(len(mouse.encoders) for mouse in plan.mice)
    table = table[table["encoders"] <= largest]
    outcome = Outcome(tables={"ensembling": table})
    if largest > 1:
        outcome.tests += level_tests(table, "encoders", "video_correlation", "encoders averaged")
    outcome.findings.append(_finding(table, largest))
    outcome.add_drawing(
        "ensembling",
        "Video and mean frame correlation over the number of encoders whose reconstructions are averaged: mean "
        "over all sets of so many. Dashed: single mice; solid: their mean; faint dots: clips.",
        "Fig. 3",
        lambda: _figure(plan, table),
    )
    outcome.add_movie(
        "ensembling",
        "The clip shown (top), its reconstruction by one encoder, and the mean over more and more of them; "
        "smoothed, masked, and matched in luminance and contrast.",
        "no counterpart in the paper",
        lambda: _movie(plan, store, largest),
    )
    outcome.notes.append(
        f"Encoders a mouse: {', '.join(str(len(mouse.encoders)) for mouse in plan.mice)}; the paper averages seven. "
        "It does not say which sets of so many it took; here all are, and their mean is one value a clip. Averaged so, "
        "encoders of like quality whose errors differ at all can hardly do otherwise than rise: how much tells more."
    )
    return outcome


def _sizes(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    for clip in plan.many_clips:
        pixels, truth = evaluation_mask(clip), plan.trial(clip).video
        # Smoothing is linear: of each movie first, or of their mean, is the same.
        colours = clip.mouse.open_session().screen.planes
        videos = [smooth(video, colours=colours) for video in store.videos(_specs(plan, clip))]
        part = plan.measured(len(truth))
        cut = truth[part], [video[part] for video in videos], pixels
        found = zip(mean_video_correlations(*cut), mean_frame_correlations(*cut), strict=True)
        for size, (whole, frames) in enumerate(found, start=1):
            yield row(
                clip,
                encoders=size,
                sets=len(whole),
                video_correlation=float(whole.mean()),
                mean_frame_correlation=float(frames.mean()),
                lowest_video_correlation=float(whole.min()),
                highest_video_correlation=float(whole.max()),
            )


def _finding(table: pd.DataFrame, largest: int) -> Finding:
    values, levels = statistics.by_unit(table, ["mouse"], "encoders", "video_correlation")
    means = values.mean(axis=0)
    gains = table.pivot_table(index=["mouse", "clip"], columns="encoders", values="video_correlation")
    best = table[table["encoders"] == 1].set_index(["mouse", "clip"])["highest_video_correlation"].loc[gains.index]
    if largest == 1:
        return Finding(
            "the correlation rises with every encoder that is averaged",
            None,
            f"r = {means[0]:.3f} for one encoder; name two or more of each mouse (--encoder, or encoders in the list "
            "of mice), trained with different seeds",
        )
    better, best_of_all = int((gains[largest] > gains[1]).sum()), int((gains[largest] > best).sum())
    return Finding(
        f"the correlation rises with every encoder that is averaged, from 1 to {largest}",
        monotone(means) if largest > 1 else None,
        f"r = {', '.join(f'{mean:.3f}' for mean in means)} for {', '.join(str(level) for level in levels)} encoders, "
        f"{change(means[0], means[-1], 1)} in all; {largest} are better than one in {better} and "
        f"than the best one in {best_of_all} of {len(gains)} clips (paper: about +28 % from 1 to 7, second-hand)",
    )


def _figure(plan: Plan, table: pd.DataFrame) -> Figure:
    panels = []
    for measure, label in (
        ("video_correlation", "video correlation r"),
        ("mean_frame_correlation", "mean frame correlation r"),
    ):
        mice, levels = statistics.by_unit(table, ["mouse"], "encoders", measure)
        clips, _ = statistics.by_unit(table, ["mouse", "clip"], "encoders", measure)
        ticks = [str(level) for level in levels]
        lines = [Lines(levels, mice, clips=clips)]
        panels.append(LinePanel(lines, "encoders averaged", label, ticks=ticks, y_range=(0, 1)))
    return panels_figure(
        panels, title=f"Ensembling, {number_of(len(plan.many_clips), 'clip')}", simulated=plan.simulated
    )


def _movie(plan: Plan, store: RunStore, largest: int) -> Iterator[np.ndarray]:
    columns = []
    for clip in plan.clips:
        videos = store.videos(_specs(plan, clip))
        colours = clip.mouse.open_session().screen.planes
        means = [smooth(ensemble_mean(videos[:size]), colours=colours) for size in range(1, largest + 1)]
        columns.append(with_reconstructions(plan, clip, means))
    labels = ["shown", *(number_of(size, "encoder") for size in range(1, largest + 1))]
    names = [f"{clip.mouse.name} {clip.trial}" if len(plan.mice) > 1 else f"trial {clip.trial}" for clip in plan.clips]
    return mosaic_frames(
        cropped(plan, same_length(list(zip(*columns, strict=True)))),
        row_labels=labels,
        column_labels=names,
        scale=6,
        simulated=plan.simulated,
    )


ENSEMBLING = Study(
    name="ensembling",
    title="Averaging the movies of several encoders",
    panels="Fig. 3",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
