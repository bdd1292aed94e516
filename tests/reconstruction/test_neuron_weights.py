"""Neurons count the less the noisier their activity is."""

from __future__ import annotations

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.neuron_weights import noise_weights
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.targets import NeuronSet

OWN = vr.ReconstructionConfig.preset("best")
ALIKE = OWN.changed(neuron_noise="alike")
FRAMES = 400


@pytest.fixture
def activity() -> np.ndarray:
    """Neurons whose variance is 1, 4 and 9 times their mean."""
    chance = np.random.default_rng(0)
    return np.stack([factor * chance.poisson(5.0 / factor, FRAMES) for factor in (1.0, 4.0, 9.0)])


def test_a_neuron_counts_by_one_over_its_variance_in_means(activity):
    weights = noise_weights(OWN.changed(neuron_noise_shrinkage=1e-9), activity)
    assert weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(weights[0] / weights, [1.0, 4.0, 9.0], rtol=0.2)


def test_shrinkage_pulls_all_towards_one(activity):
    spreads = [np.ptp(noise_weights(OWN.changed(neuron_noise_shrinkage=pull), activity)) for pull in (0.1, 1.0, 1e6)]
    assert spreads[0] > spreads[1] > spreads[2]
    assert spreads[2] < 1e-4


def test_units_of_activity_do_not_matter(activity):
    np.testing.assert_allclose(noise_weights(OWN, 7.0 * activity), noise_weights(OWN, activity))


def test_neurons_that_are_silent_or_steady_count_finitely():
    activity = np.stack([np.zeros(FRAMES), np.ones(FRAMES), np.arange(FRAMES) % 3.0])
    for some in (activity, activity[:1], activity[1:2]):
        weights = noise_weights(OWN, some)
        assert np.isfinite(weights).all()
        assert weights.mean() == pytest.approx(1.0)


def test_as_published_all_count_alike(activity):
    assert noise_weights(vr.ReconstructionConfig.preset("paper"), activity) is None
    assert noise_weights(ALIKE, activity) is None


def test_a_run_weighs_the_neurons_it_matches(trial, encoder, disc_mask):
    kept = np.arange(20) % 2 == 0
    (weights,) = plan_run(trial, [encoder], disc_mask, OWN, neurons=NeuronSet(kept)).steppable.weights
    assert weights.shape == (10, len(trial.video))
    np.testing.assert_allclose(weights[:, 0].numpy(), noise_weights(OWN, trial.responses[kept]), rtol=1e-5)


def test_weights_that_are_given_are_taken_instead(trial, encoder, disc_mask):
    given = NeuronSet(np.ones(20, dtype=bool), weights=np.arange(20.0))
    (weights,) = plan_run(trial, [encoder], disc_mask, OWN, neurons=given).steppable.weights
    np.testing.assert_allclose(weights[:, 5].numpy(), np.arange(20.0))
