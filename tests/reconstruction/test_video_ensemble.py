"""How much each movie of an ensemble counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.run import plan_run


@pytest.fixture(scope="module")
def encoders(encoder, small_encoder_file):
    """The second predicts activity far larger than any that was recorded."""
    worse = load_encoder(small_encoder_file, device="cpu")
    with torch.no_grad():
        worse.module.readouts[0].space.mul_(50.0)
    return [encoder, worse]


@pytest.fixture
def ensemble(trial, encoders, disc_mask, quick_config):
    def stepped(**changes):
        run = plan_run(trial, encoders, disc_mask, quick_config.changed(track_every=100, **changes))
        for _ in range(3):
            run.step()
        return run.steppable

    return stepped


def test_the_member_that_explains_the_activity_better_counts_more(ensemble):
    weighed = ensemble(member_weights="deviance")
    better, worse = (member.deviance for member in weighed.members)
    assert 0 < better < 0.9 * worse
    weights = weighed.member_weights()
    assert weights[0] / weights[1] == pytest.approx(worse / better)
    expected = np.average(weighed.videos, axis=0, weights=weights)
    np.testing.assert_allclose(weighed.video, expected, atol=1e-4)
    assert weighed.video.dtype == np.float32
    assert not np.allclose(weighed.video, np.mean(weighed.videos, axis=0), atol=0.01)


def test_of_equal_weights_the_movie_is_the_plain_mean(ensemble):
    equal = ensemble(member_weights="equal")
    assert equal.member_weights() is None
    assert np.array_equal(equal.video, np.mean(equal.videos, axis=0))


def test_weights_change_what_is_shown_and_no_member(ensemble):
    equal, weighed = (ensemble(member_weights=weights) for weights in ("equal", "deviance"))
    assert np.array_equal(equal.videos, weighed.videos)


def test_before_a_step_all_count_the_same(trial, encoders, disc_mask, quick_config):
    run = plan_run(trial, encoders, disc_mask, quick_config.changed(member_weights="deviance"))
    assert run.steppable.member_weights() is None
    assert np.array_equal(run.steppable.video, np.mean(run.steppable.videos, axis=0))


def test_activity_that_is_predicted_as_wanted_has_no_deviance(trial, encoder, disc_mask, quick_config):
    first = plan_run(trial, [encoder], disc_mask, quick_config.changed(track_every=100, member_weights="deviance"))
    assert first.steppable.deviance is None
    first.step()
    predicted = first.steppable.activity.T.numpy()
    second = plan_run(trial, [encoder], disc_mask, first.config, target=predicted)
    second.step()
    assert abs(second.steppable.deviance) < 1e-5
    assert first.steppable.deviance > 0.1


@pytest.fixture
def weighed(trial, encoder, small_encoder_file, disc_mask, quick_config):
    other = load_encoder(small_encoder_file, device="cpu")
    with torch.no_grad():
        other.module.readouts[0].space.mul_(-3.0)
    return lambda: plan_run(trial, [encoder, other], disc_mask, quick_config.changed(member_weights="deviance"))


def test_a_step_that_fails_leaves_the_weighed_movie_as_it_was(weighed):
    run = weighed()
    run.step()
    before = run.steppable.video
    run.steppable.members[1].transforms = [lambda gradient, video, step: gradient * np.nan]
    with pytest.raises(ConfigError, match="not finite"):
        run.step()
    assert np.array_equal(run.steppable.video, before)


def test_a_resumed_ensemble_shows_the_weighed_movie_it_had(weighed, tmp_path):
    run, again = weighed(), weighed()
    run.step()
    run.step()
    run.result(with_activity=False).save(tmp_path / "half.zarr")
    again.resume(vr.Reconstruction.load(tmp_path / "half.zarr"))
    assert np.array_equal(again.steppable.video, run.steppable.video)
