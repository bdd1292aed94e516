"""The rules that choose a run's movie, none of which sees the true one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.reconstruction.outcome import HeldOut, MeanOfLast, Plateau, held_out_neurons
from napari_vidrecon.reconstruction.run import plan_run

PLATEAU = {"outcome": "plateau", "outcome_steps": 2, "plateau_share": 0.5}
EARLY = {
    "last": {},
    "mean_of_last": {"outcome_steps": 5},
    "held_out": {"outcome_steps": 2, "held_out_share": 0.3},
    "plateau": {"outcome_steps": 2, "plateau_share": 0.5},
}
"""Settings with which rules that can end a run early do so."""


def everyone(neurons):
    return np.ones(neurons, dtype=bool)


def movie(number):
    return torch.full((1, 2, 2), float(number))


def watched(rule, losses):
    """Show a rule movies 0, 1, 2, ... until it stops; how many steps that took."""
    for step, loss in enumerate(losses):
        rule.watch(movie(step), movie(step + 1), loss, step)
        if rule.stopped:
            return step + 1
    return len(losses)


def finished(run):
    while not run.finished:
        run.step()
    return run


@pytest.fixture
def config():
    return vr.ReconstructionConfig.preset("fast", steps=10, track_every=100)


def test_the_mean_of_last_is_the_mean_of_the_last_movies(trial, encoder, disc_mask, config):
    run = plan_run(trial, [encoder], disc_mask, config)
    movies = []
    while not run.finished:
        run.step()
        movies.append(run.steppable.video)
    averaged = plan_run(trial, [encoder], disc_mask, config.changed(outcome="mean_of_last", outcome_steps=4))
    np.testing.assert_allclose(finished(averaged).steppable.video, np.mean(movies[-4:], axis=0), atol=1e-3)


def test_of_fewer_steps_than_are_averaged_all_are():
    rule = MeanOfLast(steps=3, averaged=10)
    assert torch.equal(rule.movie(movie(0)), movie(0))
    watched(rule, [1.0] * 3)
    assert torch.equal(rule.movie(movie(3)), movie(2))


def test_held_out_ends_early_and_shows_the_movie_before_its_best_loss():
    rule = HeldOut(20, patience=3)
    assert watched(rule, [5.0, 4.0, 3.0, 9.0, 9.0, 9.0, 9.0]) == 6
    assert torch.equal(rule.movie(movie(6)), movie(2))
    assert watched(HeldOut(20, patience=3), [9.0 - step for step in range(9)]) == 9


def test_until_held_out_ends_a_run_its_present_movie_is_shown():
    rule = HeldOut(20, patience=3)
    watched(rule, [5.0, 4.0, 9.0])
    assert torch.equal(rule.movie(movie(3)), movie(3))


def test_held_out_neurons_are_judged_by_but_not_fitted_to(trial, encoder, disc_mask):
    config = vr.ReconstructionConfig.preset("paper", track_every=100, outcome="held_out", outcome_steps=100)
    others = trial.responses.copy()
    others[held_out_neurons(config, everyone(encoder.spec.neurons))] = 50.0

    def begun(config, target):
        run = plan_run(trial, [encoder], disc_mask, config, target=target)
        for _ in range(5):
            run.step()
        return run

    plain, changed = begun(config, trial.responses), begun(config, others)
    assert np.array_equal(plain.steppable.video, changed.steppable.video)
    assert not np.isclose(plain.history["loss"], changed.history["loss"]).any()
    fitted = begun(config.changed(outcome="last"), others)
    assert not np.allclose(fitted.steppable.video, changed.steppable.video, atol=0.1)


def test_neurons_are_held_out_only_where_asked_for_and_by_seed(config):
    assert not held_out_neurons(config, everyone(500)).any()
    asking = config.changed(outcome="held_out", held_out_share=0.2)
    chosen = held_out_neurons(asking, everyone(500))
    assert 70 < chosen.sum() < 130
    assert np.array_equal(chosen, held_out_neurons(asking, everyone(500)))
    assert not np.array_equal(chosen, held_out_neurons(asking.changed(seed=1), everyone(500)))
    assert held_out_neurons(asking.changed(held_out_share=0.001), everyone(3)).sum() == 1


def test_plateau_ends_when_the_loss_stops_falling():
    falling = [10.0 - step for step in range(10)]
    assert watched(Plateau(window=5, share=0.05), falling) == 10
    rule = Plateau(window=5, share=0.05)
    steps = watched(rule, falling + [0.0] * 50)
    assert 15 < steps < 40
    assert torch.equal(rule.movie(movie(99)), movie(steps))


def test_a_plateau_reached_once_keeps_its_movie():
    rule = Plateau(window=2, share=0.05)
    steps = watched(rule, [2.0] + [1.0] * 40)
    rule.watch(movie(98), movie(99), -100.0, steps)
    assert rule.stopped
    assert torch.equal(rule.movie(movie(99)), movie(steps))


@pytest.mark.parametrize("outcome", EARLY)
def test_a_run_continued_from_disk_ends_with_the_same_bits(outcome, trial, encoder, disc_mask, config, tmp_path):
    config = config.changed(outcome=outcome, **EARLY[outcome])
    whole = finished(plan_run(trial, [encoder], disc_mask, config))
    half, again = (plan_run(trial, [encoder], disc_mask, config) for _ in range(2))
    for _ in range(len(whole.history) - 2):
        half.step()
    half.result(with_activity=False).save(tmp_path / "half.zarr")
    again.resume(vr.Reconstruction.load(tmp_path / "half.zarr"))
    assert np.array_equal(again.steppable.video, half.steppable.video)
    finished(again)
    assert np.array_equal(again.steppable.video, whole.steppable.video)
    np.testing.assert_array_equal(again.history["loss"], whole.history["loss"])
    assert (len(whole.history) < config.steps) == (outcome in ("held_out", "plateau"))


def test_an_ensemble_is_finished_when_all_its_members_are(trial, encoder, small_encoder_file, disc_mask, config):
    other = load_encoder(small_encoder_file, device="cpu")
    with torch.no_grad():
        other.module.readouts[0].space.mul_(0.1)
    config = config.changed(outcome="plateau", outcome_steps=2, plateau_share=0.3, input_noise=0.0)
    singles = [finished(plan_run(trial, [each], disc_mask, config)) for each in (encoder, other)]
    steps = [len(single.history) for single in singles]
    together = finished(plan_run(trial, [encoder, other], disc_mask, config))
    assert min(steps) < len(together.history) == max(steps)
    np.testing.assert_array_equal(together.steppable.video, np.mean([s.steppable.video for s in singles], axis=0))


def test_a_run_that_ended_early_is_saved_as_finished(trial, encoder, disc_mask, config, tmp_path):
    config, folder = config.changed(**PLATEAU), tmp_path / "run.zarr"
    first = vr.reconstruct(trial, [encoder], disc_mask, config, save_to=folder)
    assert len(first.history) < config.steps
    assert vr.Reconstruction.load(folder).finished
    again = vr.reconstruct(trial, [encoder], disc_mask, config, save_to=folder)
    assert np.array_equal(again.video, first.video)


def test_held_out_once_ended_keeps_its_movie():
    rule = HeldOut(10, patience=2)
    for step, loss in enumerate([5.0, 6.0, 6.0, -50.0]):
        rule.watch(movie(step), movie(step + 1), loss, step)
    assert rule.stopped
    assert torch.equal(rule.movie(movie(9)), movie(0))


def test_held_out_shows_its_best_movie_when_all_steps_are_done(trial, encoder, disc_mask, config):
    config = config.changed(outcome="held_out", outcome_steps=100)
    run, plain = (plan_run(trial, [encoder], disc_mask, config) for _ in range(2))
    finished(run)
    smooth, lowest, best = run.history["loss"][0], np.inf, 0
    for step, loss in enumerate(run.history["loss"]):
        smooth = 0.8 * smooth + 0.2 * loss
        if smooth < lowest:
            lowest, best = smooth, step
    assert best < config.steps - 1
    for _ in range(best):
        plain.step()
    assert np.array_equal(run.steppable.video, plain.steppable.video)


def test_held_out_activity_does_not_reach_the_spectral_update(trial, encoder, disc_mask, config):
    config = config.changed(outcome="held_out", outcome_steps=100)
    others = trial.responses.copy()
    others[held_out_neurons(config, everyone(encoder.spec.neurons))] *= 20.0
    plain, changed = (plan_run(trial, [encoder], disc_mask, config, target=each) for each in (trial.responses, others))
    for run in (plain, changed):
        for _ in range(3):
            run.step()
    assert np.array_equal(plain.steppable.video, changed.steppable.video)


def test_held_out_neurons_leave_some_to_fit_to(trial, encoder, disc_mask, config):
    config = config.changed(outcome="held_out")
    only = held_out_neurons(config, everyone(encoder.spec.neurons))
    run = finished(plan_run(trial, [encoder], disc_mask, config, neurons=only))
    assert run.steppable.video.std() > 0.1
