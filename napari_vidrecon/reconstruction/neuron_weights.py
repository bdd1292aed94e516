"""What neurons count: by how noisy the activity to match tells that each is, or by how well encoders predict it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import SessionError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.inputs import encoder_list
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.settings import listed

LEAST_VARIATION = 1e-10
"""Variance in units of the squared mean; below, it is rounding in single precision."""


def never_changes(means: np.ndarray, variances: np.ndarray) -> bool:
    """Whether no neuron's activity varies over the frames, given the mean and variance of each."""
    return bool(variances.sum() <= LEAST_VARIATION * (means**2).sum())


def noise_weights(config: ReconstructionConfig, matched: np.ndarray) -> np.ndarray | None:
    """What each neuron counts, by how much its activity varies beside its mean.

    In a quasi-likelihood a neuron counts by one over its dispersion. What a neuron signals is in the variance too,
    and a clip is short; so variance and mean are pulled towards those of all neurons.

    Parameters
    ----------
    config
        `neuron_noise` and its shrinkage.
    matched
        (neurons in the loss, T) activity to match.

    Returns
    -------
    np.ndarray | None
        (neurons in the loss,) weights, 1 on average; None: all the same.

    References
    ----------
    McCullagh & Nelder 1989; not part of the published method.
    """
    if config.neuron_noise == "alike":
        return None
    variances = matched.var(axis=1, dtype=np.float64)
    means = np.maximum(matched.mean(axis=1, dtype=np.float64), 0.0)
    if never_changes(means, variances) or means.mean() == 0.0:
        # Nothing changes, so nothing tells one neuron from another.
        return np.ones(len(matched))
    # A neuron that is silent among others counts as they do on average: the pull is all there is of it.
    pull = config.neuron_noise_shrinkage
    weights = (means + pull * means.mean()) / (variances + pull * variances.mean())
    return weights / weights.mean()


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
        if trial.frames < encoder.spec.windows.span:
            continue
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
