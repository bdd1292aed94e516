"""One movie from several presentations of a clip."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.presentations import scales_of
from napari_vidrecon.reconstruction.script_texts import command_words, python_text
from napari_vidrecon.reconstruction.scripts import script_of_folder
from napari_vidrecon.sessions.repeats import shown_in_both


@pytest.fixture(scope="module")
def repeated_folder(small_session_folder, tmp_path_factory):
    """The small session, in which trial 2 shows the clip of trial 0, as whole grey levels."""
    folder = tmp_path_factory.mktemp("repeated") / small_session_folder.name
    shutil.copytree(small_session_folder, folder)
    video = np.load(folder / "data" / "videos" / "0.npy")
    np.save(folder / "data" / "videos" / "2.npy", video + np.float32(0.4) * (video < 200))
    return folder


@pytest.fixture(scope="module")
def repeated(repeated_folder):
    return vr.open_session(repeated_folder)


def quick(preset, **changes):
    return vr.ReconstructionConfig.preset(preset, steps=3, track_skip_frames=8, **changes)


def test_trials_of_one_clip_are_found_by_its_content(repeated):
    assert vr.trials_showing(repeated, 0) == vr.trials_showing(repeated, 2) == [0, 2]
    assert vr.trials_showing(repeated, 1) == [1]
    assert vr.trials_showing(repeated, 3) == [], "its responses are withheld"
    assert shown_in_both(repeated, [0, 1], [2, 3]) == [2]
    assert shown_in_both(repeated, [1], [0, 2]) == []
    (other,) = vr.repeats_of(repeated, repeated.trial(2).part(4, 44))
    np.testing.assert_array_equal(other.responses, repeated.trial(0).responses[:, 4:44])
    with pytest.raises(vr.SessionError, match="found trial 1"):
        vr.repeats_of(repeated, repeated.trial(0), [1])


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_a_presentation_with_the_same_activity_says_nothing_new(preset, trial, encoder, disc_mask):
    joint = vr.reconstruct(trial, [encoder], disc_mask, quick(preset), repeats=[replace(trial, id=9)])
    alone = vr.reconstruct(trial, [encoder], disc_mask, quick(preset))
    np.testing.assert_allclose(joint.video, alone.video, atol=0.01)


def test_presentations_count_more_together_the_more_independent_their_noise_is(trial, encoder, disc_mask):
    def scales(*shift_frames):
        rolled = [replace(trial, recorded_responses=np.roll(trial.responses, each, axis=1)) for each in shift_frames]
        run = vr.plan_run(trial, [encoder], disc_mask, quick("best"), repeats=[replace(e, id=9) for e in rolled])
        return sum(scales_of(run.steppable.presentations))

    # Noise against itself at another time is independent: two presentations count nearly twice.
    assert 1.3 < scales(11) / scales() < 2.2


def test_the_published_rule_norms_the_gradient_of_the_sum(trial, encoder, disc_mask):
    alone = vr.reconstruct(trial, [encoder], disc_mask, quick("paper"))
    twice = vr.reconstruct(trial, [encoder], disc_mask, quick("paper"), repeats=[replace(trial, id=9)])
    # The behaviour of each presentation is its own, so the movie's part of the norm is larger, and a step longer.
    grown, before = (np.abs(each.video - 127.5).mean() for each in (twice, alone))
    assert before < grown < 1.5 * before
    assert np.corrcoef(alone.video.ravel(), twice.video.ravel())[0, 1] > 0.99


def test_a_run_says_its_presentations_and_goes_on_with_them(repeated, repeated_folder, encoder, disc_mask, tmp_path):
    clip = repeated.trial(0).part(0, 44)
    others, folder = vr.repeats_of(repeated, clip), tmp_path / "run.zarr"
    whole = vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), repeats=others)
    again = {"repeats": others, "save_to": folder}
    vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), on_step=lambda info: info.step < 1, **again)
    vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), **again)
    saved = vr.Reconstruction.load(folder)
    np.testing.assert_array_equal(saved.video, whole.video)
    recipe = vr.Recipe.of(saved)
    assert recipe.repeats == (2,)
    script = script_of_folder(saved, folder)
    assert "repeats=vr.repeats_of(session, trial, [2])" in python_text(script)
    assert command_words(replace(script, run=None))[5:7] == ["--repeats", "2"]
    alone = vr.reconstruct(clip, [encoder], disc_mask, quick("fast"))
    assert alone.provenance["fingerprint"] != saved.provenance["fingerprint"]
    assert vr.Recipe.of(alone).differences(recipe) == ["presentations 1 → 2"]


def test_averaged_activity_is_another_target(repeated, encoder, disc_mask):
    clip = repeated.trial(0).part(0, 44)
    others = vr.repeats_of(repeated, clip)
    mean = vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), repeats=others, target="averaged")
    np.testing.assert_allclose(mean.target, (clip.responses + others[0].responses) / 2, rtol=1e-6)
    assert vr.Recipe.of(mean).target == "averaged"
    with pytest.raises(vr.ConfigError, match="further presentations"):
        vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), target="averaged")


def test_only_the_clip_itself_is_left_out_of_its_repeats(trial, encoder, disc_mask):
    def told(clip, other):
        return vr.plan_run(clip, [encoder], disc_mask, quick("fast"), repeats=[other]).provenance.get("repeats")

    assert told(trial.part(0, 40), trial.part(0, 40)) is None
    with pytest.raises(vr.SessionError, match=r"expected the movie of .*, found another"):
        told(trial.part(0, 40), trial.part(4, 44))
    shuffled = replace(trial, recorded_responses=trial.responses[::-1])
    with pytest.raises(vr.ConfigError, match="give it a number of its own"):
        told(trial, shuffled)
    assert [each["trial"] for each in told(trial, replace(shuffled, id=9))] == [9]


def test_what_does_not_go_together_is_refused_in_one_line(repeated, encoder, disc_mask):
    clip, another = repeated.trial(0).part(0, 44), repeated.trial(1).part(0, 44)
    same = repeated.trial(2).part(0, 44)
    for given, error, told in (
        ([another], vr.SessionError, "found another"),
        ([repeated.trial(2)], vr.SessionError, "expected 44 frames"),
        ([same, same], vr.ConfigError, "twice"),
        (3, vr.ConfigError, "list of trials"),
    ):
        with pytest.raises(error, match=told):
            vr.plan_run(clip, [encoder], disc_mask, quick("fast"), repeats=given)
    assert not vr.Recipe.of(vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), repeats=[clip])).repeats
