"""The mask fit follows the published rule step for step, and finds where the population looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.errors import MaskError
from napari_vidrecon.reconstruction.mask_fitting import MaskFitter, MaskRecipe, blur_reflected, fit_mask


def _transcribed_steps(encoder, pairs, recipe):
    """The published rule, written out frame by frame from its description."""
    rows = encoder.spec.canvas.rows
    above = (rows - 36) // 2
    alpha = np.random.default_rng(recipe.seed).random((32, rows, 64)).astype(np.float32) * np.float32(
        recipe.initial_scale
    )
    for shown, background in pairs:
        part = slice(recipe.skip_frames, recipe.skip_frames + 32)
        video, behind = (np.pad(trial.video[part], ((0, 0), (above, above), (0, 0))) for trial in (shown, background))
        planes = np.concatenate([shown.behavior[:, part], shown.pupil_center[:, part]])[:, :, None, None]
        planes = np.broadcast_to(planes, (4, 32, rows, 64)).astype(np.float32)
        leaf = torch.tensor(np.concatenate([video[None], alpha[None], planes]), requires_grad=True)
        opacity = torch.clip(leaf[1], 0, 1)
        blend = leaf[0] * opacity + torch.tensor(behind) * (1 - opacity)
        inputs = torch.cat([blend[None], leaf[2:]])
        predicted = torch.zeros(shown.responses.shape[0], 32)
        for parity in (0, 1):
            predicted[:, parity::2] = encoder.responses(inputs[None, :, parity::2])[0]
        loss = ((predicted - torch.tensor(shown.responses[:, part])) ** 2).mean()
        gradient = torch.autograd.grad(loss, leaf)[0]
        gradient = torch.clip(gradient / (gradient.norm() + 1e-6), -1, 1)
        average = gradient[1].mean(dim=0)
        alpha = alpha - 10 * blur_reflected(average, 5.0, 15).numpy()
    return alpha[0]


def _compare_steps(encoder, trials):
    recipe = MaskRecipe.published(steps=3, skip_frames=10)
    fitter = MaskFitter(encoder, recipe)
    pairs = [(trials[0], trials[1]), (trials[1], trials[0]), (trials[0], trials[0])]
    for shown, background in pairs:
        fitter.step(shown, background)
    expected = _transcribed_steps(encoder, pairs, recipe)
    assert fitter.alpha.shape == expected.shape
    assert np.abs(fitter.alpha - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_published_rule_step_for_step(encoder, small_session_folder):
    session = vr.open_session(small_session_folder)
    _compare_steps(encoder, [session.trial(0), session.trial(2)])


def test_the_published_rule_step_for_step_on_the_published_canvas(golden_checkpoints, golden_session_folder):
    session = vr.open_session(golden_session_folder)
    first, second, *_ = session.labelled
    encoder = vr.load_encoder(golden_checkpoints[1], mouse=1, device="cpu")
    assert encoder.spec.canvas.rows == 64
    _compare_steps(encoder, [session.trial(first), session.trial(second)])


def test_the_published_recipe_has_the_published_numbers():
    recipe = MaskRecipe.published()
    assert (recipe.steps, recipe.learning_rate, recipe.initial_scale, recipe.skip_frames) == (1000, 10, 0.05, 50)
    assert (recipe.blur_sigma_px, recipe.blur_kernel_px, recipe.norm_epsilon) == (5, 15, 1e-6)


def test_the_blur_equals_scipy_with_mirrored_edges():
    from scipy.ndimage import correlate1d

    image = np.random.default_rng(0).random((36, 64))
    offsets = np.arange(15) - 7
    weights = np.exp(-0.5 * (offsets / 5.0) ** 2)
    weights /= weights.sum()
    expected = correlate1d(correlate1d(image, weights, 0, mode="mirror"), weights, 1, mode="mirror")
    np.testing.assert_allclose(blur_reflected(torch.tensor(image), 5.0, 15), expected, atol=1e-12)


def test_the_decayed_rule_keeps_alpha_within_its_limits(encoder, small_session_folder):
    session = vr.open_session(small_session_folder)
    recipe = MaskRecipe(rule="decayed", steps=5, skip_frames=10, decay=0.05)
    seen = []
    mask = fit_mask(session, encoder, recipe, trial_ids=[0, 2], on_progress=lambda p: seen.append(p.step))
    assert seen == [1, 2, 3, 4, 5]
    assert mask.alpha.shape == (36, 64)
    assert recipe.lowest <= mask.alpha.min()
    assert mask.alpha.max() <= recipe.highest


def test_a_fit_needs_two_labelled_trials_of_enough_frames(encoder, small_session_folder):
    session = vr.open_session(small_session_folder)
    with pytest.raises(MaskError, match="at least 2 labelled trials"):
        fit_mask(session, encoder)
    with pytest.raises(MaskError, match="expected at least 82 frames"):
        fit_mask(session, encoder, MaskRecipe(rule="decayed", steps=1), trial_ids=[0, 2])


def test_a_session_without_the_tier_oracle_is_told_where_to_keep_trials(encoder, copy_of_small_session):
    np.save(copy_of_small_session / "meta/trials/tiers.npy", np.array(["train"] * 4, dtype="<U16"))
    with pytest.raises(MaskError, match=r"2 labelled trials of the tier oracle to fit .*, found 0; .*tiers\.npy"):
        fit_mask(vr.open_session(copy_of_small_session), encoder)
