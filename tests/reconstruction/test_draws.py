"""Movies drawn from what activity and prior leave open: repeatable, of opposite pairs, each its own."""

from __future__ import annotations

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.draws import Draw
from napari_vidrecon.reconstruction.neurons import NeuronSet
from napari_vidrecon.reconstruction.run import plan_run


@pytest.fixture
def drawing():
    return vr.ReconstructionConfig.preset("best", steps=4, draws=4)


def finished(run):
    while not run.finished:
        run.step()
    return run.steppable


def test_weights_count_one_on_average_and_their_pair_is_opposite():
    weights, opposite = (Draw(3, index).weights(20_000).numpy() for index in (0, 1))
    assert weights.mean() == pytest.approx(1.0, abs=0.03)
    assert weights.std() == pytest.approx(1.0, abs=0.05)
    assert weights.min() > 0
    assert opposite.min() > 0
    assert np.corrcoef(weights, opposite)[0, 1] < -0.5
    assert not np.array_equal(weights, Draw(3, 2).weights(20_000).numpy())
    assert not np.array_equal(weights, Draw(4, 0).weights(20_000).numpy())


def test_the_priors_movies_of_a_pair_cancel():
    one, other = (Draw(0, index).coefficients((3, 4, 5)).numpy() for index in (0, 1))
    np.testing.assert_array_equal(one, -other)
    assert 0.5 < one.std() < 1.5


def test_a_run_with_draws_shows_their_mean_and_keeps_each(trial, encoder, disc_mask, drawing):
    result = vr.reconstruct(trial, [encoder], disc_mask, drawing)
    assert len(result.videos) == 4
    np.testing.assert_allclose(result.video, np.mean(result.videos, axis=0), atol=1e-3)
    assert np.std(result.videos, axis=0)[:, disc_mask.binary(0.5)].mean() > 1.0
    again = vr.reconstruct(trial, [encoder], disc_mask, drawing)
    assert np.array_equal(result.video, again.video)
    other = vr.reconstruct(trial, [encoder], disc_mask, drawing.changed(seed=1))
    assert not np.array_equal(result.videos[0], other.videos[0])


def test_every_encoder_is_drawn_for(trial, encoder, disc_mask, drawing):
    run = plan_run(trial, [encoder, encoder], disc_mask, drawing.changed(draws=2))
    assert [member.draw for member in run.steppable.members] == [Draw(0, 0), Draw(0, 1)] * 2
    one_team = plan_run(trial, [encoder, encoder], disc_mask, drawing.changed(draws=2), ensemble="gradients")
    assert [len(member.encoders) for member in one_team.steppable.members] == [2, 2]


def test_a_neuron_keeps_its_weight_when_others_are_ablated(trial, encoder, disc_mask, drawing):
    neurons = encoder.spec.neurons
    keep = np.arange(neurons) % 2 == 0
    drawing = drawing.changed(neuron_noise="alike")
    whole = plan_run(trial, [encoder], disc_mask, drawing).steppable.members[2]
    part = plan_run(trial, [encoder], disc_mask, drawing, neurons=NeuronSet(keep, "half")).steppable.members[2]
    np.testing.assert_array_equal(part.weights[0].numpy(), whole.weights[0].numpy()[keep])


def test_with_all_neurons_weighted_the_same_a_draw_differs_only_by_its_prior(
    trial, encoder, disc_mask, drawing, monkeypatch
):
    import torch

    monkeypatch.setattr(Draw, "weights", lambda self, neurons: torch.ones(neurons))
    monkeypatch.setattr(Draw, "coefficients", lambda self, shape: torch.zeros(shape))
    drawn = finished(plan_run(trial, [encoder], disc_mask, drawing)).members[0]
    plain = finished(plan_run(trial, [encoder], disc_mask, drawing.changed(draws=1)))
    np.testing.assert_allclose(drawn.video, plain.video, atol=1e-3)


def test_a_run_with_draws_goes_on_from_disk_to_the_same_bits(trial, encoder, disc_mask, drawing, tmp_path):
    whole = finished(plan_run(trial, [encoder], disc_mask, drawing))
    first = plan_run(trial, [encoder], disc_mask, drawing)
    first.step()
    first.step()
    first.result().save(tmp_path / "half.zarr")
    second = plan_run(trial, [encoder], disc_mask, drawing)
    second.resume(vr.Reconstruction.load(tmp_path / "half.zarr"))
    assert np.array_equal(finished(second).video, whole.video)


def test_the_published_update_has_no_prior_to_draw_from():
    with pytest.raises(ConfigError, match="draws must be 1"):
        vr.ReconstructionConfig.preset("paper", draws=2)
