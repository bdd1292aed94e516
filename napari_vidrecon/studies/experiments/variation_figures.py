"""Figures and the movie of the variations of the method.

Source: Bauer et al. 2026, Fig. 1-S2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.postprocess import apply_mask, match_luminance_contrast
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.mosaic import mosaic_frames
from napari_vidrecon.figures.mouse_lines import LinePanel, Lines, mouse_lines_figure
from napari_vidrecon.studies.experiments import method_versions
from napari_vidrecon.studies.measures.measuring import cropped, evaluation_mask, presented, same_length, spread_frames
from napari_vidrecon.studies.study import Clip, Plan, averaged

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from napari_vidrecon.sessions.trial import Trial
    from napari_vidrecon.studies.runs.run_spec import RunStore

EXAMPLE_MOUSE = 3
"""Position of the paper's example, mouse 4 trial 1."""
FRAMES_SHOWN, FRAMES_APART = 10, 30
PIXEL_SCALE = 5
VERSION_TICKS = ("from\npredicted", "standard", "gradient\nensembling", "no\nsmoothing")
SHORT_NAMES = ("from predicted", "standard", "gradient ens.", "no smoothing")
MASK_NAMES = dict(
    zip(method_versions.TRAINING_MASKS, ("no training\nmask", "alpha ≥ 0.5", "alpha ≥ 1\n(strict)"), strict=True)
)
INPUT_TICKS = ("full\nvideo", "masked\nvideo", "recon-\nstruction", "matched\nrecon.")


def example(plan: Plan) -> Clip:
    """The clip that is shown, by its position: the first of the fourth mouse, or of the mouse in that place."""
    mouse = plan.mice[EXAMPLE_MOUSE % len(plan.mice)]
    return next(clip for clip in plan.clips if clip.mouse == mouse)


def versions_figure(plan: Plan, store: RunStore) -> Figure:
    """Frames of one clip in every version (Fig. 1-S2 A)."""
    clip = example(plan)
    trial, pixels = plan.trial(clip), evaluation_mask(clip)
    part = plan.measured(trial.frames)
    truth, times_s = trial.video[part], _times_s(plan, trial)[part]
    chosen = spread_frames(len(truth), FRAMES_APART, FRAMES_SHOWN)
    rows = [("shown", apply_mask(truth, pixels)[chosen])]
    for version in method_versions.VERSIONS:
        video = method_versions.version_movie(plan, store, clip, version)[part]
        rows.append((version.replace(" ", "\n", 1), presented(truth, video, pixels)[1][chosen]))
    unmatched = method_versions.version_movie(plan, store, clip, method_versions.STANDARD)[part]
    rows.append(("no matching", apply_mask(unmatched, pixels)[chosen]))
    block = FrameBlock(rows, times_s[chosen], clip.name, [pixels])
    return frame_rows_figure([block], title="Versions of the method", simulated=plan.simulated)


def _times_s(plan: Plan, trial: Trial) -> np.ndarray:
    """Time of every frame in seconds from the beginning of the whole clip."""
    return ((plan.scale.frames or (0, 0))[0] + np.arange(trial.frames)) / trial.frame_rate_hz


def masks_figure(plan: Plan, store: RunStore) -> Figure:
    """Frames of the same clip with every training mask, on the whole screen (Fig. 1-S2 B)."""
    clip = example(plan)
    trial, mask = plan.trial(clip), clip.mouse.load_mask()
    part = plan.measured(trial.frames)
    truth, times_s = trial.video[part], _times_s(plan, trial)[part]
    chosen = spread_frames(len(truth), FRAMES_APART, FRAMES_SHOWN)
    rows = [("shown", truth[chosen])]
    for name, threshold in method_versions.TRAINING_MASKS.items():
        video = averaged(store, method_versions.mask_specs(plan, clip, name))[part]
        matched = match_luminance_contrast(video, truth, mask.binary(threshold))
        rows.append((MASK_NAMES[name], matched[chosen]))
    block = FrameBlock(rows, times_s[chosen], clip.name)
    return frame_rows_figure([block], title="Training masks", simulated=plan.simulated)


def performance_figure(plan: Plan, versions: pd.DataFrame, masks: pd.DataFrame) -> Figure:
    """Correlation of every version, and over the threshold and the size of the evaluation mask (Fig. 1-S2 C).

    Parameters
    ----------
    plan
        Mice and scale.
    versions
        One row a mouse, clip and version.
    masks
        One row a mouse, clip, training mask and evaluation threshold.

    Returns
    -------
    Figure
        Three panels.
    """
    left = _categories(versions, "version", method_versions.VERSIONS, "video_correlation")
    by_threshold, by_size = [], []
    # Black, blue and red, as published.
    for name in (method_versions.USUAL_MASK, method_versions.STRICT_MASK, method_versions.NO_MASK):
        part = masks[masks["training_mask"] == name]
        mice, thresholds = statistics.by_unit(part, ["mouse"], "evaluation_threshold", "video_correlation")
        clips, _ = statistics.by_unit(part, ["mouse", "clip"], "evaluation_threshold", "video_correlation")
        sizes, _ = statistics.by_unit(part, ["mouse"], "evaluation_threshold", "diameter_deg")
        by_threshold.append(Lines(thresholds, mice, name, clips))
        by_size.append(Lines(sizes.mean(axis=0), mice, name, clips))
    label = "video correlation r"
    panels = [
        LinePanel([left], "version of the method", label, ticks=VERSION_TICKS, y_range=(0, 1)),
        LinePanel(by_threshold, "evaluation mask: alpha ≥", label, y_range=(0, 1)),
        LinePanel(by_size, "evaluation mask: diameter (°)", label, y_range=(0, 1)),
    ]
    return mouse_lines_figure(panels, title="Performance of variations", simulated=plan.simulated)


def activity_figure(plan: Plan, activity: pd.DataFrame) -> Figure:
    """Poisson loss and correlation of activity predicted from every kind of movie (Fig. 1-S2 D)."""
    panels = [
        LinePanel(
            [_categories(activity, "movie", method_versions.INPUTS, measure)],
            "what the encoders see",
            label,
            ticks=INPUT_TICKS,
        )
        for measure, label in method_versions.ACTIVITY_MEASURES.items()
    ]
    return mouse_lines_figure(panels, title="Predicted against recorded activity", simulated=plan.simulated)


def _categories(table: pd.DataFrame, level: str, names: Sequence[str], value: str) -> Lines:
    import pandas as pd

    ordered = table.assign(**{level: pd.Categorical(table[level], names, ordered=True)})
    mice, clips = (statistics.by_unit(ordered, unit, level, value)[0] for unit in (["mouse"], ["mouse", "clip"]))
    return Lines(np.arange(len(names)), mice, clips=clips)


def versions_movie(plan: Plan, store: RunStore) -> Iterator[np.ndarray]:
    """Every clip in every version, below each other."""
    columns = []
    for clip in plan.clips:
        truth, pixels = plan.trial(clip).video, evaluation_mask(clip)
        part = plan.measured(len(truth))
        column = [apply_mask(truth[part], pixels)]
        for version in method_versions.VERSIONS:
            video = method_versions.version_movie(plan, store, clip, version)
            column.append(presented(truth[part], video[part], pixels)[1])
        columns.append(column)
    return mosaic_frames(
        cropped(plan, list(zip(*same_length(columns), strict=True))),
        row_labels=["shown", *SHORT_NAMES],
        column_labels=[clip.name if len(plan.mice) > 1 else f"trial {clip.trial}" for clip in plan.clips],
        scale=PIXEL_SCALE,
        simulated=plan.simulated,
    )
