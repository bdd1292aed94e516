"""Versions of the method, the runs behind them and their movies; the figures and the movie that compare them.

Source: Bauer et al. 2026, Fig. 1-S2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.postprocess import apply_mask, match_luminance_contrast
from napari_vidrecon.figures.frame import panels_figure
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.mouse_lines import LinePanel, Lines
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.runs.measuring import evaluation_mask, mosaic_of_clips, spread_frames, with_reconstructions
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Plan, averaged

if TYPE_CHECKING:
    import pandas as pd


STANDARD, PREDICTED = "standard", "from predicted"
GRADIENTS, UNSMOOTHED = "gradient ensembling", "no smoothing"
VERSIONS = (PREDICTED, STANDARD, GRADIENTS, UNSMOOTHED)
NO_MASK, USUAL_MASK, STRICT_MASK = "no training mask", "alpha ≥ 0.5", "alpha ≥ 1 (strict)"
TRAINING_MASKS = {NO_MASK: 0.0, USUAL_MASK: TRAINING_THRESHOLD, STRICT_MASK: EVALUATION_THRESHOLD}
FULL, MASKED = "full video", "masked video"
RECONSTRUCTED, MATCHED = "reconstruction", "matched reconstruction"
INPUTS = (FULL, MASKED, RECONSTRUCTED, MATCHED)
ACTIVITY_MEASURES = {"poisson_loss": "Poisson loss (lower is better)", "response_correlation": "activity correlation r"}


def version_specs(plan: Plan, clip: Clip, version: str) -> list[RunSpec]:
    """The runs whose movies are averaged for one version of the method.

    Parameters
    ----------
    plan
        Mice and scale.
    clip
        Which mouse and trial.
    version
        One of `VERSIONS`.

    Returns
    -------
    list[RunSpec]
        One an encoder, or one of all.
    """
    if version == PREDICTED:
        return plan.standard(clip, target="predicted")
    if version == GRADIENTS:
        return [plan.standard(clip)[0].changed(encoders=plan.encoders(clip.mouse), ensemble="gradients")]
    return plan.standard(clip)


def mask_specs(plan: Plan, clip: Clip, training_mask: str) -> list[RunSpec]:
    """The runs with one training mask; what lies outside stays grey, as published, whatever the preset does there.

    Parameters
    ----------
    plan
        Mice and scale.
    clip
        Which mouse and trial.
    training_mask
        One of `TRAINING_MASKS`.

    Returns
    -------
    list[RunSpec]
        One an encoder.
    """
    config = plan.scale.config().changed(surround="grey")
    return plan.standard(clip, config=config, mask_threshold=TRAINING_MASKS[training_mask])


def version_movie(plan: Plan, store: RunStore, clip: Clip, version: str) -> np.ndarray:
    """The movie of one version, ready to be measured.

    Parameters
    ----------
    plan
        Mice and scale.
    store
        Where the runs lie.
    clip
        Which mouse and trial.
    version
        One of `VERSIONS`.

    Returns
    -------
    np.ndarray
        (T, 36, 64), grey levels.
    """
    return averaged(store, version_specs(plan, clip, version), smoothed=version != UNSMOOTHED)


EXAMPLE_MOUSE = 3
"""Position of the paper's example, mouse 4 trial 1."""
FRAMES_SHOWN, FRAMES_APART = 10, 30
PIXEL_SCALE = 5
VERSION_TICKS = ("from\npredicted", "standard", "gradient\nensembling", "no\nsmoothing")
SHORT_NAMES = ("from predicted", "standard", "gradient ens.", "no smoothing")
MASK_NAMES = dict(zip(TRAINING_MASKS, ("no training\nmask", "alpha ≥ 0.5", "alpha ≥ 1\n(strict)"), strict=True))
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
    movies = with_reconstructions(plan, clip, (version_movie(plan, store, clip, version) for version in VERSIONS))
    unmatched = apply_mask(version_movie(plan, store, clip, STANDARD)[part], pixels)
    chosen = spread_frames(len(unmatched), FRAMES_APART, FRAMES_SHOWN)
    labels = ["shown", *(version.replace(" ", "\n", 1) for version in VERSIONS), "no matching"]
    rows = [(label, movie[chosen]) for label, movie in zip(labels, [*movies, unmatched], strict=True)]
    block = FrameBlock(rows, _times_s(plan, trial)[part][chosen], clip.name, [pixels])
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
    for name, threshold in TRAINING_MASKS.items():
        video = averaged(store, mask_specs(plan, clip, name))[part]
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
    left = _categories(versions, "version", VERSIONS, "video_correlation")
    by_threshold, by_size = [], []
    # Black, blue and red, as published.
    for name in (USUAL_MASK, STRICT_MASK, NO_MASK):
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
    return panels_figure(panels, title="Performance of variations", simulated=plan.simulated)


def activity_figure(plan: Plan, activity: pd.DataFrame) -> Figure:
    """Poisson loss and correlation of activity predicted from every kind of movie (Fig. 1-S2 D)."""
    panels = [
        LinePanel(
            [_categories(activity, "movie", INPUTS, measure)],
            "what the encoders see",
            label,
            ticks=INPUT_TICKS,
        )
        for measure, label in ACTIVITY_MEASURES.items()
    ]
    return panels_figure(panels, title="Predicted against recorded activity", simulated=plan.simulated)


def _categories(table: pd.DataFrame, level: str, names: Sequence[str], value: str) -> Lines:
    import pandas as pd

    ordered = table.assign(**{level: pd.Categorical(table[level], names, ordered=True)})
    mice, clips = (statistics.by_unit(ordered, unit, level, value)[0] for unit in (["mouse"], ["mouse", "clip"]))
    return Lines(np.arange(len(names)), mice, clips=clips)


def versions_movie(plan: Plan, store: RunStore) -> Iterator[np.ndarray]:
    """Every clip in every version, below each other."""
    columns = [
        with_reconstructions(plan, clip, (version_movie(plan, store, clip, version) for version in VERSIONS))
        for clip in plan.clips
    ]
    return mosaic_of_clips(plan, plan.clips, columns, ["shown", *SHORT_NAMES], PIXEL_SCALE)
