"""Activity that the encoders predict from the true movies and from their reconstructions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.errors import RunError
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.runs.run_spec import RunSpec
from napari_vidrecon.studies.runs.store import RunStore
from napari_vidrecon.studies.study import Clip, Plan


def from_truth(plan: Plan, trials: Mapping[Clip, Trial]) -> dict[Clip, np.ndarray]:
    """Activity predicted from the movies shown, (N, T), mean over the encoders that are averaged.

    Parameters
    ----------
    trials
        Each clip, cut as it is reconstructed. Every encoder is loaded once a mouse.

    Returns
    -------
    dict[Clip, np.ndarray]
        {clip: (N, T)}.
    """
    total: dict[Clip, np.ndarray] = {}
    for mouse in dict.fromkeys(clip.mouse for clip in trials):
        indices = plan.encoders(mouse)
        for index in indices:
            encoder = mouse.load_encoder(index)
            for clip, trial in trials.items():
                if clip.mouse == mouse:
                    inputs = trial.video, trial.behavior, trial.pupil_center
                    activity = predicted(encoder, *inputs, clip=trial.name) / len(indices)
                    total[clip] = total[clip] + activity if clip in total else activity
    return total


def from_reconstructions(store: RunStore, specs: Iterable[RunSpec]) -> np.ndarray:
    """Activity predicted from reconstructions, mean over runs; each encoder predicts from its own.

    Returns
    -------
    np.ndarray
        (N, T) >= 0.

    Raises
    ------
    RunError
        A run holds no predicted activity.
    """
    activities = []
    for spec in specs:
        activity = store.load(spec).predicted_activity
        if activity is None:
            raise RunError(f"{spec.label}: expected a run with predicted activity, found none; run it again")
        activities.append(activity)
    return np.mean(activities, axis=0)
