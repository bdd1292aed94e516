"""Of which movie the activity of a reconstruction is predicted: one definition, live and at the end."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import GREY_LEVEL, PREDICTED_FROM, ReconstructionConfig
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.runner import Mailbox, Runner, reconstruct
from napari_vidrecon.reconstruction.tracking import LiveActivity

QUICK = {"steps": 3, "track_every": 100}


def finished(trial, encoder, mask, config):
    run = plan_run(trial, [encoder], mask, config)
    while not run.finished:
        run.step()
    return run, run.result()


@pytest.mark.parametrize("name", PREDICTED_FROM)
def test_activity_is_predicted_from_the_movie_that_the_setting_names(trial, encoder, disc_mask, name):
    config = ReconstructionConfig.preset("best", **QUICK, initial_level=90.0, predicted_from=name)
    run, result = finished(trial, encoder, disc_mask, config)
    inside = disc_mask.binary(1.0)
    movie = np.clip(run.steppable.optimised_video if name == "optimised" else result.video, 0, 255)
    if name != "optimised":
        movie = np.where(inside, movie, {"shown": 90.0, "grey": GREY_LEVEL}[name]).astype(np.float32)
    expected = encoder.predict(movie, trial.behavior, trial.pupil_center)
    assert np.array_equal(result.predicted_activity, expected)
    known = run.tracker.activity(expected)["response_correlation"]
    assert result.scores()["response_correlation"] == pytest.approx(known)


def test_the_optimised_movie_is_not_grey_outside_the_mask(trial, encoder, disc_mask):
    run, result = finished(trial, encoder, disc_mask, ReconstructionConfig.preset("best", **QUICK))
    outside = ~disc_mask.binary(0.5)
    assert np.ptp(result.video[:, outside]) == 0
    assert run.steppable.optimised_video[:, outside].std() > 0
    assert np.array_equal(run.steppable.optimised_video[:, ~outside], result.video[:, ~outside])


def test_as_published_shown_and_grey_are_one_movie_bit_for_bit(trial, encoder, disc_mask):
    results = [
        finished(trial, encoder, disc_mask, ReconstructionConfig.preset("paper", **QUICK, predicted_from=name))[1]
        for name in ("shown", "grey")
    ]
    assert np.array_equal(results[0].predicted_activity, results[1].predicted_activity)


def test_fingerprints_of_published_runs_stay_and_others_tell_what_they_are_predicted_from():
    assert "predicted_from" not in ReconstructionConfig.preset("paper").decisive
    assert ReconstructionConfig.preset("best").decisive["predicted_from"] == "shown"


def test_an_unknown_definition_is_refused():
    with pytest.raises(ConfigError, match="predicted_from"):
        ReconstructionConfig.preset("best", predicted_from="dream")


def test_a_run_of_an_earlier_version_opens_and_says_that_grey_was_outside(trial, encoder, disc_mask, tmp_path):
    folder = tmp_path / "run.zarr"
    config = ReconstructionConfig.preset("best", **QUICK)
    reconstruct(trial, [encoder], disc_mask, config, save_to=folder)
    assert Reconstruction.load(folder).config.predicted_from == "shown"
    description = folder / "zarr.json"
    told = json.loads(description.read_text())
    del told["attributes"]["config"]["predicted_from"]
    description.write_text(json.dumps(told))
    assert Reconstruction.load(folder).config.predicted_from == "grey"


@pytest.mark.parametrize("name", PREDICTED_FROM)
def test_live_and_at_the_end_are_of_one_definition(trial, encoder, disc_mask, name):
    config = ReconstructionConfig.preset("best", steps=6, predicted_from=name)
    run, result = finished(trial, encoder, disc_mask, config)
    live = LiveActivity(run.tracker)
    correlation = live.renew(run.steppable, 1.0)
    # Not to the bit: windows laid end to end instead of the mean over all.
    assert np.corrcoef(live.activity.ravel(), result.predicted_activity.ravel())[0, 1] > 0.95
    assert live.activity.mean() == pytest.approx(result.predicted_activity.mean(), rel=0.1)
    assert correlation == pytest.approx(result.scores()["response_correlation"], abs=0.05)


def test_live_activity_takes_no_more_than_its_share_once_all_was_predicted(trial, encoder, disc_mask):
    run = plan_run(trial, [encoder], disc_mask, ReconstructionConfig.preset("best", **QUICK))
    live = LiveActivity(run.tracker, share=0.03)
    live.renew(run.steppable, 1.0)
    before = live.activity.copy()
    run.step()
    for _ in range(50):
        # What the first prediction took is paid back first.
        live.renew(run.steppable, 1e-9)
    assert live.activity is not None
    assert np.array_equal(live.activity, before)
    live.renew(run.steppable, 1e9)
    assert not np.array_equal(live.activity, before)


def test_a_clip_too_short_for_a_sub_batch_has_no_live_activity(trial, encoder, disc_mask):
    run = plan_run(trial, [encoder], disc_mask, ReconstructionConfig.preset("best", **QUICK))
    run.tracker.trial = trial.part(0, 31)
    live = LiveActivity(run.tracker)
    assert np.isnan(live.renew(run.steppable, 1.0))
    assert live.activity is None


def test_the_curve_of_activity_correlation_grows_while_a_run_goes_on(trial, encoder, disc_mask):
    run = plan_run(trial, [encoder], disc_mask, ReconstructionConfig.preset("best", steps=3))
    mailbox, seen = Mailbox(), []
    runner = Runner(run, mailbox, publish_activity=True)
    runner.on_step = lambda info: seen.append(mailbox.take())
    runner.drive()
    first = next(each for each in seen if each is not None)
    steps, values = first.history.tracked("response_correlation")
    assert steps.tolist() == [1]
    assert values[0] == first.response_correlation
    # What is kept tells only what the run itself measured, as without a window.
    assert runner.result.history.tracked("response_correlation")[0].tolist() == [3]


def test_a_clip_no_longer_than_what_is_skipped_is_measured_as_its_scores_are(trial, encoder, disc_mask):
    config = ReconstructionConfig.preset("fast", steps=1, track_every=1, track_skip_frames=40)
    _, result = finished(trial.part(0, 40), encoder, disc_mask, config)
    assert result.history["video_correlation"][-1] == pytest.approx(result.scores()["video_correlation"])
    assert np.isfinite(result.history["response_loss"][-1])
