"""Chance in a run: movies drawn from what activity leaves open, in opposite pairs; small changes of what is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import PRESETS
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.schedule import RandomOffsetSchedule
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.reconstruction.update import Disturbance, Draw


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


@pytest.mark.parametrize("index", range(4))
def test_the_same_seed_draws_the_same_in_every_version(index):
    """Runs that were begun by an earlier version go on to the same bits."""
    chance = np.random.default_rng([5, index // 2, 0]).random(6)
    np.testing.assert_array_equal(Draw(5, index).weights(6), -np.log(chance if index % 2 else 1.0 - chance))
    normal = np.random.default_rng([5, index // 2, 1]).standard_normal((1, 2, 3))
    np.testing.assert_array_equal(Draw(5, index).coefficients((1, 2, 3)), -normal if index % 2 else normal)


def test_the_same_seed_disturbs_the_same_in_every_version(video):
    disturbance = Disturbance(jitter_px=3, noise=2.0, seed=5, member=1)
    rows, columns = np.random.default_rng([5, 9, 2, 1]).integers(-3, 4, size=2)
    noise = np.random.default_rng([5, 9, 3, 1]).standard_normal((3, 12, 16), dtype=np.float32)
    expected = np.roll(video.numpy(), (rows, columns), axis=(1, 2)) + np.float32(2.0) * noise
    np.testing.assert_array_equal(disturbance.applied(video, 9), expected)


def test_either_a_shift_or_noise_disturbs_and_belongs_to_its_movie():
    calm = vr.ReconstructionConfig.preset("fast", input_jitter_px=0, input_noise=0.0, seed=5)
    assert Disturbance.of(calm) is None
    assert Disturbance.of(calm.changed(input_jitter_px=1)) == Disturbance(1, 0.0, 5, 0)
    assert Disturbance.of(calm.changed(input_noise=2.0), 3) == Disturbance(0, 2.0, 5, 3)


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
    with pytest.raises(ConfigError, match="draws: with momentum it must be 1"):
        vr.ReconstructionConfig.preset("paper", draws=2)


@pytest.fixture
def video():
    return torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))


def test_a_shift_is_undone(video):
    shifting = Disturbance(jitter_px=3, noise=0.0, seed=0)
    seen = [shifting.applied(video, step) for step in range(20)]
    assert all(torch.equal(shifting.undone(each, step), video) for step, each in enumerate(seen))
    assert sum(torch.equal(each, video) for each in seen) < 5


def test_shifts_reach_as_far_as_they_may_both_ways():
    point = torch.zeros(1, 21, 21)
    point[0, 10, 10] = 1.0
    shifting = Disturbance(jitter_px=2, noise=0.0, seed=0)
    places = np.array([shifting.applied(point, step)[0].nonzero()[0].tolist() for step in range(400)]) - 10
    assert {tuple(place) for place in places} == {(row, column) for row in range(-2, 3) for column in range(-2, 3)}


def test_noise_has_the_stated_deviation_and_is_new_at_each_step():
    grey = torch.full((20, 36, 64), 127.5)
    noisy = Disturbance(jitter_px=0, noise=5.0, seed=0)
    first, second = noisy.applied(grey, 0), noisy.applied(grey, 1)
    assert float((first - grey).std()) == pytest.approx(5.0, rel=0.02)
    assert abs(float(((first - grey) * (second - grey)).mean())) < 0.5


def test_chance_repeats_with_its_seed_and_step(video):
    first, again, other = (Disturbance(3, 2.0, seed).applied(video, 4) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_is_off_in_the_published_preset_only():
    disturbing = {preset for preset in PRESETS if Disturbance.of(vr.ReconstructionConfig.preset(preset)) is not None}
    assert disturbing == set(PRESETS) - {"paper"}


@pytest.mark.parametrize("change", [{"input_jitter_px": 2}, {"input_noise": 20.0}])
def test_it_changes_a_run_in_a_way_that_repeats(change, trial, encoder, disc_mask):
    plain = vr.ReconstructionConfig.preset("fast", steps=3, track_every=100, input_noise=0.0)
    runs = [plan_run(trial, [encoder], disc_mask, config) for config in (plain, plain.changed(**change))]
    runs.append(plan_run(trial, [encoder], disc_mask, runs[1].config))
    for run in runs:
        for _ in range(2):
            run.step()
    undisturbed, disturbed, again = (run.steppable.video for run in runs)
    assert not np.allclose(disturbed, undisturbed, atol=0.1)
    assert np.array_equal(disturbed, again)


def test_shifts_do_not_hang_on_the_offset_of_sub_batches():
    schedule, shifting = RandomOffsetSchedule(300, 32, 32, seed=0), Disturbance(4, 0.0, seed=0)
    point = torch.zeros(1, 21, 21)
    point[0, 10, 10] = 1.0
    offsets = [schedule.at(step).starts[1] for step in range(400)]
    rows = [int(shifting.applied(point, step)[0].nonzero()[0, 0]) for step in range(400)]
    assert abs(np.corrcoef(offsets, rows)[0, 1]) < 0.2


def test_each_movie_of_an_ensemble_has_its_own_noise(trial, encoder, disc_mask):
    noisy = vr.ReconstructionConfig.preset("fast", steps=3, track_every=100)
    for config, alike in ((noisy, False), (noisy.changed(input_noise=0.0), True)):
        run = plan_run(trial, [encoder, encoder], disc_mask, config)
        while not run.finished:
            run.step()
        first, second = run.steppable.videos
        assert np.array_equal(first, second) == alike
