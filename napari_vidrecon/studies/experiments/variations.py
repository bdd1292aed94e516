"""Variations of the method: targets, averages, smoothing, masks, and what the movies predict.

Source: Bauer et al. 2026, Fig. 1-S2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import match_luminance_contrast
from napari_vidrecon.analysis.statistics import SIGNIFICANCE
from napari_vidrecon.errors import number_of
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.experiments import variation_figures as figures
from napari_vidrecon.studies.experiments.variation_figures import (
    ACTIVITY_MEASURES,
    FULL,
    GRADIENTS,
    INPUTS,
    MASKED,
    MATCHED,
    NO_MASK,
    PREDICTED,
    RECONSTRUCTED,
    STANDARD,
    STRICT_MASK,
    TRAINING_MASKS,
    UNSMOOTHED,
    USUAL_MASK,
    VERSIONS,
    mask_specs,
    version_movie,
    version_specs,
)
from napari_vidrecon.studies.runs.measuring import change, evaluation_mask, from_truth, pair_tests, row, scores
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Drawing, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


EVALUATION_THRESHOLDS = tuple(step / 10 for step in range(11))


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every clip in every version, and with every training mask."""
    return [
        spec
        for clip in plan.clips
        for specs in (
            *(version_specs(plan, clip, version) for version in VERSIONS),
            *(mask_specs(plan, clip, training_mask) for training_mask in TRAINING_MASKS),
        )
        for spec in specs
    ]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Correlations of every version and mask, activity predicted from each kind of movie; paired t-tests.

    The table `versions` has a row a clip and version: mouse, clip, version, video_correlation,
    mean_frame_correlation, rmse (grey levels). The table `masks` has a row a clip, training mask and evaluation
    threshold: mouse, clip, training_mask, evaluation_threshold, diameter_deg, video_correlation. The table `activity`
    has a row a clip and kind of movie: mouse, clip, movie, poisson_loss, response_correlation.

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

    versions = pd.DataFrame(_versions(plan, store))
    masks = pd.DataFrame(_masks(plan, store))
    activity = pd.DataFrame(_activity(plan, store))
    outcome = Outcome(tables={"versions": versions, "masks": masks, "activity": activity})
    inside = masks[masks["evaluation_threshold"] == EVALUATION_THRESHOLD]
    for other in (PREDICTED, GRADIENTS, UNSMOOTHED):
        outcome.tests += pair_tests(versions, "version", "video_correlation", STANDARD, other)
    for other in (NO_MASK, STRICT_MASK):
        outcome.tests += pair_tests(inside, "training_mask", "video_correlation", USUAL_MASK, other)
    for measure in ACTIVITY_MEASURES:
        outcome.tests += pair_tests(activity, "movie", measure, FULL, MASKED)
        outcome.tests += pair_tests(activity, "movie", measure, RECONSTRUCTED, MATCHED)
    outcome.findings += _findings(versions, inside, activity)
    outcome.drawings += _drawings(plan, store, versions, masks, activity)
    outcome.add_movie(
        "versions",
        "The clips (top) and their reconstructions in every version; masked, matched in luminance and contrast.",
        "no counterpart in the paper",
        lambda: figures.versions_movie(plan, store),
    )
    if plan.scale.config().update.surround != "grey":
        outcome.notes.append(
            f"The preset “{plan.scale.preset}” infers what lies outside the training mask, which the published method "
            "keeps grey. Where training masks are compared it is kept grey here too: else they would hardly differ."
        )
    return outcome


def _drawings(
    plan: Plan, store: RunStore, versions: pd.DataFrame, masks: pd.DataFrame, activity: pd.DataFrame
) -> list[Drawing]:
    return [
        Drawing(
            "versions",
            "Frames of one clip in every version of the method, averaged over encoders, smoothed, masked with the "
            "evaluation mask, and matched to the clip in luminance and contrast, except where a row says otherwise.",
            "Fig. 1-S2 A",
            lambda: figures.versions_figure(plan, store),
        ),
        Drawing(
            "training_masks",
            "The same clip with three training masks: all of the screen that is shown here, without an evaluation "
            "mask. Outside its training mask a reconstruction is grey.",
            "Fig. 1-S2 B",
            lambda: figures.masks_figure(plan, store),
        ),
        Drawing(
            "performance",
            "Left: video correlation of every version, before matching. Middle: over the threshold of the evaluation "
            "mask, for the three training masks. Right: the same over the diameter of a disc of the mask's area. "
            "Dashed: single mice; solid: their mean; faint dots: clips.",
            "Fig. 1-S2 C",
            lambda: figures.performance_figure(plan, versions, masks),
        ),
        Drawing(
            "activity",
            "How well recorded activity is predicted from the whole clip, from the clip inside the training mask, from "
            "its reconstruction, and from the reconstruction matched in luminance and contrast; mean prediction of "
            "the encoders. Left: Poisson loss. Right: correlation over all neurons and frames, "
            "which is not the score of the Sensorium competition.",
            "Fig. 1-S2 D",
            lambda: figures.activity_figure(plan, activity),
        ),
    ]


def _versions(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    for clip in plan.clips:
        trial, pixels = plan.trial(clip), evaluation_mask(clip)
        for version in VERSIONS:
            video = version_movie(plan, store, clip, version)
            yield row(clip, version=version, **scores(plan, trial, video, pixels))


def _masks(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    for clip in plan.clips:
        truth, mask = plan.trial(clip).video, clip.mouse.load_mask()
        part = plan.measured(len(truth))
        for training_mask, training_threshold in TRAINING_MASKS.items():
            video = averaged(store, mask_specs(plan, clip, training_mask))
            for threshold in EVALUATION_THRESHOLDS:
                if threshold >= training_threshold:
                    yield row(
                        clip,
                        training_mask=training_mask,
                        evaluation_threshold=threshold,
                        diameter_deg=mask.diameter_deg(threshold),
                        video_correlation=metrics.video_correlation(truth[part], video[part], mask.binary(threshold)),
                    )


def _activity(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    trials = {clip: plan.trial(clip) for clip in plan.clips}
    for kind in INPUTS:
        shown = {
            clip: replace(trial, video=shown_to_encoders(plan, store, clip, trial, kind))
            for clip, trial in trials.items()
        }
        for clip, predicted in from_truth(plan, shown).items():
            recorded = trials[clip].responses
            part = plan.measured(recorded.shape[1])
            yield row(
                clip,
                movie=kind,
                poisson_loss=metrics.poisson_loss(predicted[:, part], recorded[:, part]),
                response_correlation=metrics.response_correlation(recorded[:, part], predicted[:, part]),
            )


def shown_to_encoders(plan: Plan, store: RunStore, clip: Clip, trial: Trial, kind: str) -> np.ndarray:
    """What the encoders see: as published, masked with the training mask and not smoothed.

    Parameters
    ----------
    plan, store
        The study, and its finished runs.
    clip, trial
        Whose movie.
    kind
        One of `INPUTS`.

    Returns
    -------
    np.ndarray
        (T, 36, 64) grey levels.
    """
    mask = clip.mouse.load_mask()
    if kind == FULL:
        return trial.video
    if kind == MASKED:
        return mask.transparent(trial.video, TRAINING_THRESHOLD)
    video = averaged(store, plan.standard(clip), smoothed=False)
    if kind == MATCHED:
        video = match_luminance_contrast(video, trial.video, mask.binary(TRAINING_THRESHOLD))
    return mask.transparent(video, TRAINING_THRESHOLD)


def _findings(versions: pd.DataFrame, inside: pd.DataFrame, activity: pd.DataFrame) -> Iterator[Finding]:
    correlation = "video_correlation"
    yield comparison(
        "movies from predicted activity are better than those from recorded activity",
        "paper: 0.766 against 0.569, +34.7 %",
        *(versions, "version", correlation, STANDARD, PREDICTED, np.greater),
    )
    yield comparison(
        "averaging gradients over encoders is worse than averaging movies",
        "paper: 0.552 against 0.569, -3.00 %",
        *(versions, "version", correlation, STANDARD, GRADIENTS, np.less),
    )
    yield comparison(
        "without smoothing the correlation is lower",
        "paper: 0.533 against 0.569, -6.28 %",
        *(versions, "version", correlation, STANDARD, UNSMOOTHED, np.less),
    )
    for other, paper in ((NO_MASK, "0.510"), (STRICT_MASK, "0.551")):
        yield comparison(
            f"a training mask of {USUAL_MASK} is better than {other}",
            f"paper: {paper} against 0.569",
            *(inside, "training_mask", correlation, USUAL_MASK, other, np.less),
        )
    yield comparison(
        "of a masked video the encoders predict recorded activity worse than of the whole video",
        "paper: Poisson loss +5.02 %",
        *(activity, "movie", "poisson_loss", FULL, MASKED, np.greater),
    )


def comparison(
    statement: str,
    paper: str,
    table: pd.DataFrame,
    level: str,
    value: str,
    first: str,
    second: str,
    holds: Callable[[float, float], Any],
) -> Finding:
    """Whether the second level stands to the first as the paper says; None where it may be chance.

    Parameters
    ----------
    statement, paper
        What is claimed, and what the paper found.
    table
        One row a clip and level.
    level, value
        Columns: what is compared, and in what.
    first, second
        Levels.
    holds
        Of the second value and the first.

    Returns
    -------
    Finding
        With the numbers.
    """
    wide = table.pivot_table(index=["mouse", "clip"], columns=level, values=value, observed=True)
    means = wide.mean()
    clips = int(holds(wide[second], wide[first]).sum())
    test = pair_tests(table, level, value, first, second)[-1]
    units = {"mouse": "mice", "clip": "clips"}[test.unit]
    certainty = f"paired t-test over {units}: p = {test.p:.2g}" if np.isfinite(test.p) else test.note
    return Finding(
        statement,
        bool(holds(means[second], means[first])) if test.p < SIGNIFICANCE else None,
        f"{value.replace('_', ' ')} {means[second]:.3f} against {means[first]:.3f} "
        f"({change(means[first], means[second])}), so in {clips} of "
        f"{number_of(len(wide), 'clip')}; {certainty}; {paper}",
    )


VARIATIONS = Study(
    name="variations",
    title="Variations of the method",
    panels="Fig. 1-S2",
    runs=runs,
    evaluate=evaluate,
)
