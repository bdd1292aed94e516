"""How noisy each neuron is, as far as the activity to match tells by itself."""

from __future__ import annotations

import numpy as np

from napari_vidrecon.reconstruction.config import ReconstructionConfig

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
