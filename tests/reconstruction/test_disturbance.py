"""Shifts and noise that an encoder sees, and that the movie does not keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.config import PRESETS
from napari_vidrecon.reconstruction.disturbance import Disturbance
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.schedule import RandomOffsetSchedule


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
