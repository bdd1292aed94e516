"""Activity without a movie: it is read, reconstructed, kept and judged, and measured against nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.sessions.validation import session_summary, validate_session
from napari_vidrecon.sessions.writer import write_session
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.measuring import scores


@pytest.fixture(scope="module")
def spontaneous_folder(small_session_folder, tmp_path_factory):
    """The small session whose trial 2 says nothing of what was shown."""
    folder = tmp_path_factory.mktemp("spontaneous") / small_session_folder.name
    shutil.copytree(small_session_folder, folder)
    (folder / "data" / "videos" / "2.npy").unlink()
    tiers = np.load(folder / "meta" / "trials" / "tiers.npy")
    tiers[2] = "spontaneous"
    np.save(folder / "meta" / "trials" / "tiers.npy", tiers)
    return folder


def quick(**changes):
    return vr.ReconstructionConfig.preset("fast", steps=3, track_skip_frames=8, **changes)


def test_a_trial_without_a_movie_is_read_and_comes_back_as_if_it_had_one(
    spontaneous_folder, small_session_folder, encoder, disc_mask, tmp_path
):
    session = vr.open_session(spontaneous_folder)
    dark = session.trial(2).part(0, 44)
    assert not dark.has_movie
    assert vr.trials_showing(session, 2) == [2]
    assert validate_session(spontaneous_folder) == []
    assert session_summary(session).trials_by_tier["spontaneous"] == 1
    shown = replace(vr.open_session(small_session_folder).trial(2).part(0, 44), movies=dark.movies)
    folder = tmp_path / "dark.zarr"
    imagined = vr.reconstruct(dark, [encoder, encoder], disc_mask, quick(), save_to=folder)
    normal = vr.reconstruct(shown, [encoder, encoder], disc_mask, quick())
    np.testing.assert_array_equal(imagined.video, normal.video)
    saved = vr.Reconstruction.load(folder)
    assert not saved.has_movie
    scores = saved.scores()
    assert all(np.isnan(scores[name]) for name in ("video_correlation", "mean_frame_correlation", "rmse", "ssim"))
    assert np.isfinite(scores["response_correlation"])
    assert 0.9 < saved.agreement() <= 1
    assert "nothing can be checked" in saved.label
    with pytest.raises(vr.ConfigError, match="without one"):
        vr.plan_run(dark, [encoder], disc_mask, quick(), target="predicted")


def test_a_missing_movie_of_another_tier_is_still_a_fault(spontaneous_folder, tmp_path):
    folder = tmp_path / spontaneous_folder.name
    shutil.copytree(spontaneous_folder, folder)
    (folder / "data" / "videos" / "0.npy").unlink()
    with pytest.raises(vr.SessionError, match=r"0\.npy"):
        vr.open_session(folder).trial(0)
    assert any("0.npy" in str(fault) for fault in validate_session(folder))


def test_a_session_without_any_movie_is_written_and_opened(trial, tmp_path):
    folder = tmp_path / "in_the_dark"
    dark = replace(trial, tier="spontaneous", has_movie=False)
    write_session(folder, [dark, dark], coordinates=np.zeros((len(trial.responses), 3)))
    again = vr.open_session(folder).trial(1)
    assert not again.has_movie
    np.testing.assert_allclose(again.responses, trial.responses, rtol=1e-6)
    with pytest.raises(vr.SessionError, match="tier spontaneous"):
        write_session(folder, [replace(dark, tier="train")], coordinates=np.zeros((len(trial.responses), 3)))


def test_noise_holds_no_movie_and_activity_of_a_movie_does(trial, encoder, disc_mask):
    # The encoder is untrained: what it predicts of a movie is all that it can ever find again.
    movie = np.clip(127 + 100 * np.sin(np.arange(44)[:, None, None] / 3 + np.arange(64) / 9), 0, 255)
    clip = replace(trial, video=np.broadcast_to(movie, (44, 36, 64)).astype(np.float32))
    answers = encoder.predict(clip.video, clip.behavior, clip.pupil_center)
    seen = vr.evidence_of_a_movie(
        replace(clip, recorded_responses=answers), [encoder], disc_mask, quick().changed(steps=12), controls=99
    )
    dark = replace(trial, has_movie=False)
    unseen = vr.evidence_of_a_movie(dark, [encoder], disc_mask, quick(), controls=99)
    assert seen.explained > unseen.explained
    assert not unseen.found
    assert "nothing to see" in unseen.sentence
    assert "nothing can be checked" in unseen.sentence


def test_neurons_are_not_chosen_beside_evidence(trial, encoder, disc_mask):
    everyone = vr.NeuronSet.all(len(trial.responses))
    with pytest.raises(vr.ConfigError, match="neurons: expected none beside evidence"):
        vr.evidence_of_a_movie(trial, [encoder], disc_mask, neurons=everyone)


def test_nothing_is_calibrated_by_a_clip_without_a_movie(spontaneous_folder, encoder, disc_mask):
    session = vr.open_session(spontaneous_folder)
    with pytest.raises(vr.SessionError, match="trial 2: expected a clip whose movie is known"):
        vr.calibrate_uncertainty(session, [encoder], disc_mask, quick(draws=2), [2], frames=40)


def test_a_study_leaves_clips_without_a_movie_out_where_others_have_one(spontaneous_folder):
    mouse = Mouse(spontaneous_folder, (), Path("mask.npy"), "a mouse", trials=(0, 1))
    assert mouse.clips() == replace(mouse, trials=(0, 1, 0)).clips() == (0, 1)
    with pytest.raises(vr.SessionError, match="found trial 2 without one"):
        replace(mouse, trials=(0, 2)).clips()
    assert replace(mouse, trials=(2,)).clips() == (2,)
    dark = mouse.open_session().trial(2)
    plan = SimpleNamespace(measured=lambda frames: slice(None))
    assert np.isnan(list(scores(plan, dark, dark.video + 1, np.ones((36, 64), bool)).values())).all()


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([0, 1], "trial 1 shows another movie than trial 0"),
        ([0, 0], "found trial 0 twice"),
        ([2], "trial 2: expected a movie to predict"),
    ],
)
def test_what_the_brain_adds_takes_presentations_of_one_clip(ids, said, spontaneous_folder, encoder, disc_mask):
    session = vr.open_session(spontaneous_folder)
    with pytest.raises(vr.VidreconError, match=said):
        vr.what_the_brain_adds(session, [encoder], disc_mask, quick(), clips=[ids], frames=(0, 40), surrogates=6)
    with pytest.raises(vr.ConfigError, match="recorded and predicted activity are both taken"):
        vr.what_the_brain_adds(session, [encoder], disc_mask, quick(), clips=[[0]], target="recorded")


def test_a_clip_that_is_too_short_is_named(trial, encoder, disc_mask):
    with pytest.raises(vr.ConfigError, match="trial 1: clip of 3 frames: expected at least"):
        vr.plan_run(trial.part(0, 3), [encoder], disc_mask, quick())


@pytest.mark.parametrize(("rate_hz", "fewest"), [(15.0, 26), (30.0, 34), (60.0, 50)])
def test_what_activity_is_shifted_by_lasts_as_long_at_every_rate(rate_hz, fewest, trial, encoder, disc_mask):
    quiet = replace(trial, recorded_responses=np.zeros_like(trial.responses), frame_rate_hz=rate_hz)
    with pytest.raises(vr.ConfigError, match=f"at least 5 active neurons to hold out and {fewest} measured frames"):
        vr.evidence_of_a_movie(quiet, [encoder], disc_mask, quick())


def test_what_would_help_is_said_where_there_is_too_little_activity(trial, encoder, disc_mask):
    def remedy(of) -> str:
        with pytest.raises(vr.ConfigError) as told:
            vr.evidence_of_a_movie(of, [encoder], disc_mask, quick())
        return str(told.value).rpartition("; ")[2]

    quiet = np.zeros_like(trial.responses)
    assert remedy(replace(trial, recorded_responses=quiet)) == "take one with more activity"
    assert remedy(trial.part(0, 33)) == "take a longer clip"
    few = replace(trial, recorded_responses=trial.responses[:8])
    assert remedy(few) == "half of the neurons are held out, so that 10 are needed"
