"""Versions of the method: their names, the runs behind them, and their movies.

Source: Bauer et al. 2026, Fig. 1-S2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD
from napari_vidrecon.studies.runs.run_spec import RunSpec
from napari_vidrecon.studies.study import Clip, Plan, averaged

if TYPE_CHECKING:
    from napari_vidrecon.studies.runs.run_spec import RunStore

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
