"""One movie from several mice that saw a clip."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.reconstruction.script_texts import command_words, python_text
from napari_vidrecon.reconstruction.scripts import script_of_folder
from napari_vidrecon.reconstruction.several_mice import CommonScreen

FIRST, LATE = 44, 7
"""Frames of the clip, and the frame at which the other mouse's trial comes to it."""


@pytest.fixture(scope="module")
def other_session(small_session_folder, tmp_path_factory):
    """Of another mouse, whose trial 2 shows the clip of trial 0 of the small session, some frames later."""
    folder = tmp_path_factory.mktemp("other") / "dynamic2-2-2-Video-other"
    shutil.copytree(small_session_folder, folder)
    videos = folder / "data" / "videos"
    np.save(videos / "2.npy", np.roll(np.load(videos / "0.npy")[..., :60], LATE, axis=-1))
    np.save(videos / "0.npy", np.load(videos / "1.npy")[..., ::-1][..., 6:])
    return vr.open_session(folder)


@pytest.fixture(scope="module")
def clip(small_session_folder):
    return vr.open_session(small_session_folder).trial(0).part(0, FIRST)


@pytest.fixture(scope="module")
def its_encoder(small_encoder_file):
    """The same weights once more: to the program those of another mouse."""
    return vr.load_encoder(small_encoder_file, device="cpu")


@pytest.fixture(scope="module")
def left():
    return vr.AlphaMask(np.where(np.arange(64) < 24, 1.2, 0.0) * np.ones((36, 1)), "left")


def quick(preset="best", **changes):
    return vr.ReconstructionConfig.preset(preset, steps=3, track_skip_frames=8, **changes)


def test_the_clip_is_found_wherever_another_mouse_s_trial_comes_to_it(clip, other_session, its_encoder, left):
    mouse = vr.mouse_that_saw(clip, other_session, [its_encoder], left)
    assert (mouse.trial.id, mouse.trial.source.frames) == (2, (LATE, LATE + FIRST))
    np.testing.assert_array_equal(mouse.trial.responses, other_session.trial(2).responses[:, LATE : LATE + FIRST])
    np.testing.assert_allclose(mouse.trial.video, clip.video)


def test_likelihoods_of_mice_are_added_and_masks_united(clip, other_session, encoder, its_encoder, left, disc_mask):
    mouse = vr.mouse_that_saw(clip, other_session, [its_encoder], left)
    both = vr.plan_run(clip, [encoder], disc_mask, quick(), with_mice=[mouse])
    union = np.maximum(disc_mask.alpha, left.alpha)
    np.testing.assert_array_equal(both.mask.alpha, union)
    # The movies of the other's trial lie elsewhere in time, so the first one's clip stands in for the prior's level.
    theirs = replace(mouse.trial, movies=clip.movies)
    alone = [
        vr.plan_run(each, [one], vr.AlphaMask(union), quick()) for each, one in ((clip, encoder), (theirs, its_encoder))
    ]
    gradients = [run.steppable.gradient()[0] for run in (both, *alone)]
    assert float(gradients[0].abs().max()) > 0
    torch.testing.assert_close(gradients[0], gradients[1] + gradients[2], rtol=1e-4, atol=1e-7)


def test_a_run_of_several_mice_says_all_of_them_and_goes_on(clip, other_session, encoder, left, disc_mask, tmp_path):
    saved_mask = tmp_path / "left.npy"
    left.save(saved_mask)
    its_encoder = vr.load_encoder(encoder.spec.path, device="cpu")
    mouse = vr.mouse_that_saw(clip, other_session, [its_encoder], vr.AlphaMask.load(saved_mask))
    given, folder = {"with_mice": [mouse], "evaluation_threshold": 0.6}, tmp_path / "run.zarr"
    whole = vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), **given)
    vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), **given, save_to=folder, on_step=lambda at: at.step < 1)
    saved = vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), **given, save_to=folder)
    saved = vr.Reconstruction.load(folder)
    np.testing.assert_array_equal(saved.video, whole.video)
    np.testing.assert_array_equal(saved.own_alpha, disc_mask.alpha)
    scores = saved.scores_by_mouse()
    assert [each["pixels"] for each in scores.values()] == [(disc_mask.alpha >= 0.6).sum(), 36 * 24]
    assert all(-1 <= each["response_correlation"] <= 1 for each in scores.values())
    recipe = vr.Recipe.of(saved)
    (told,) = recipe.mice
    assert (told.session, told.trial, told.mask) == (str(other_session.path), 2, str(saved_mask))
    words = command_words(replace(script_of_folder(saved, folder), run=None))
    at = words.index("--with-mouse")
    assert words[at : at + 4] == ["--with-mouse", str(other_session.path), "--with-trial", "2"]
    text = python_text(script_of_folder(saved, folder))
    compile(text, "again.py", "exec")
    assert "with_mice=[another(*each) for each in MICE]" in text
    alone = vr.reconstruct(clip, [encoder], disc_mask, quick("fast"), evaluation_threshold=0.6)
    assert not alone.mice
    assert alone.provenance["fingerprint"] != saved.provenance["fingerprint"]
    (difference,) = vr.Recipe.of(alone).differences(recipe)
    assert difference.startswith("mice dynamic1-1-1-Video-small")


def test_what_mice_do_not_share_is_said_in_one_line(clip, other_session, encoder, its_encoder, left, disc_mask):
    session = vr.open_session(clip.source.session)
    for asked, told in (
        ({"clip": session.trial(2)}, "found none; both mice must have seen the same clip"),
        ({"clip": clip, "trial_id": 1}, "trial 1 with recorded activity"),
        ({"clip": replace(clip, frame_rate_hz=60.0)}, "expected 60 frames a second"),
        ({"clip": replace(clip, video=np.full_like(clip.video, 90))}, "found a grey screen"),
        (
            {"clip": clip, "screen": vr.ScreenGeometry(distance_cm=30.0)},
            "at the same visual angle, found it in trial 2",
        ),
        ({"clip": replace(clip, video=clip.video[:, ::2, ::2])}, "expected movies of 18x32 pixels"),
    ):
        with pytest.raises(vr.SessionError, match=told):
            vr.mouse_that_saw(session=other_session, encoders=[its_encoder], mask=left, **asked)
    mouse = vr.mouse_that_saw(clip, other_session, [its_encoder], left)
    short = replace(mouse, trial=mouse.trial.part(0, 40))
    for given, error, told in (
        ({"with_mice": [short]}, vr.SessionError, "expected 44 frames"),
        ({"with_mice": [mouse, mouse]}, vr.ConfigError, "found dynamic2-2-2-Video-other, trial 2 twice"),
        ({"with_mice": [other_session]}, vr.ConfigError, "as mouse_that_saw gives"),
        ({"with_mice": [replace(mouse, encoders=[its_encoder] * 2)]}, vr.EncoderError, "expected one, or 1"),
        ({"with_mice": [mouse], "target": clip.responses}, vr.ConfigError, "found an array"),
    ):
        with pytest.raises(error, match=told):
            vr.plan_run(clip, [encoder], disc_mask, quick(), **given)


def test_a_mouse_that_saw_another_movie_is_refused(clip, other_session, encoder, its_encoder, left, disc_mask):
    another = vr.AnotherMouse(other_session.trial(1).part(0, FIRST), [its_encoder], left)
    with pytest.raises(vr.SessionError, match=r"expected the movie of .*, found another; mouse_that_saw"):
        vr.plan_run(clip, [encoder], disc_mask, quick(), with_mice=[another])


def test_screens_of_other_pixels_lie_on_one_another_by_visual_angle(clip, left):
    usual, fine, near = vr.ScreenGeometry(), vr.ScreenGeometry(rows=72, cols=128), vr.ScreenGeometry(distance_cm=12.0)
    for down in usual.directions_onto(usual):
        np.testing.assert_array_equal(down, np.eye(len(down)))
    ramp = np.arange(64.0)
    np.testing.assert_allclose(usual.directions_onto(fine)[1][2:-2] @ ramp, (np.arange(128) / 2 - 0.25)[2:-2])
    # A nearer screen reaches further than the usual one: nothing is known of its edge.
    reached = usual.directions_onto(near)[1].sum(axis=1)
    assert set(np.round(reached, 9)) == {0.0, 1.0}
    mouse = vr.AnotherMouse(clip, [], left, screen=fine, shown_on=usual)
    common = CommonScreen(Canvas(), Canvas.of_screen(72, 128), mouse)
    random = np.random.default_rng(0)
    movie, gradient = (torch.as_tensor(random.normal(size=(2, *size))) for size in ((64, 64), (72, 128)))
    shown, nothing = (common.show(each, torch.zeros(2, 72, 128).double()) for each in (movie, 0 * movie))
    torch.testing.assert_close(((shown - nothing) * gradient).sum(), (movie * common.back(gradient)).sum())
