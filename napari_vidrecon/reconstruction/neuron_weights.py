"""Weighing neurons by how well an encoder predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.errors import SessionError
from napari_vidrecon.reconstruction.inputs import encoder_list
from napari_vidrecon.reconstruction.neurons import NeuronSet
from napari_vidrecon.settings import listed

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Session

FEWEST_TRIALS = 2


def weighed_by_prediction(session: Session, encoder: Encoder, trial_ids: Sequence[int] | None = None) -> NeuronSet:
    """All neurons, each counting by how little its activity scatters about its prediction.

    In a quasi-likelihood a neuron counts by one over its dispersion: the squared distance from the prediction, in
    units of the prediction. It holds the noise of the neuron and the faults of the encoder.

    Parameters
    ----------
    session
        The mouse.
    encoder
        Bound to it.
    trial_ids
        Labelled trials to judge on, which the encoder was not trained on; default: the oracle tier.

    Returns
    -------
    NeuronSet
        With weights, 1 on average.

    Raises
    ------
    SessionError
        Too few trials.
    EncoderError
        The encoder has other neurons, or answers NaN or infinity.

    References
    ----------
    McCullagh & Nelder 1989; not part of the published method.
    """
    ids = session.trials_in_tier("oracle") if trial_ids is None else listed(trial_ids, "trial_ids")
    if len(ids) < FEWEST_TRIALS:
        raise SessionError(
            f"{session.path}: expected at least {FEWEST_TRIALS} trials of the tier oracle to weigh neurons by, "
            f"found {len(ids)}"
        )
    encoder_list([encoder], "encoder")
    encoder.require_neurons(session.n_neurons, session.name)
    squares, expected = np.zeros(session.n_neurons), np.zeros(session.n_neurons)
    for trial_id in ids:
        trial = session.trial(trial_id)
        answer = predicted(encoder, trial.video, trial.behavior, trial.pupil_center, clip=trial.name)
        squares += ((trial.responses - answer) ** 2).sum(axis=1)
        expected += answer.sum(axis=1)
    weights = np.ones(session.n_neurons)
    # Where all are silent, or predicted without a fault, nothing tells one from another.
    if squares.mean() > 0 and expected.mean() > 0:
        # A neuron that was never active has no scatter, and must not count without end.
        dispersion = np.maximum(squares, squares.mean() * 1e-3) / np.maximum(expected, expected.mean() * 1e-3)
        weights = 1.0 / dispersion
    reason = f"all neurons, weighed by their prediction in {len(ids)} trials"
    details = {"kind": "weighed", "trials": [int(each) for each in ids]}
    return NeuronSet(np.ones(session.n_neurons, dtype=bool), reason, details, weights / weights.mean())
