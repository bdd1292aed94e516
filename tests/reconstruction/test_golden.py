"""Gradients and whole reconstructions equal the reference's."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import sub_batch_gradients
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.reconstruction.schedule import SlidingSchedule
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import open_session

STEPS = 41
FIRST_STEPS = 11
WHOLE = "standard"
DEAR = "from_predicted"
"""Seven encoders predict its target, which takes longer than its steps."""
GREY_LEVEL_TOLERANCE = 0.02
TRACKED_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def trial(golden, golden_session_folder):
    return open_session(golden_session_folder).trial(int(golden["fold0_trial_ids"][0]))


@pytest.fixture(scope="module")
def mask(golden):
    return AlphaMask(golden["alpha_m1"])


@pytest.fixture(scope="module")
def encoder(golden_checkpoints):
    """An encoder of the reference by its number; loaded once, for that takes a second."""
    return functools.cache(lambda number: load_encoder(golden_checkpoints[number], mouse=1, device="cpu"))


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_sub_batch_gradients_equal_the_reference(golden, encoder, trial, chunk):
    encoder = encoder(0)
    config = ReconstructionConfig.preset("paper")
    starts = SlidingSchedule(60, 32, 8, duplicate_last=True).at(0).starts
    assert starts.tolist() == golden["subbatch_starts"].tolist()
    inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
    inputs[0] = torch.as_tensor(golden["grad_video"])
    target = torch.as_tensor(trial.responses)
    parts = sub_batch_gradients(encoder, inputs, target, None, starts, config, chunk)
    np.testing.assert_allclose(parts.losses, golden["subbatch_losses"], rtol=1e-5)
    np.testing.assert_allclose(parts.norms, golden["subbatch_gradient_norms"], rtol=1e-5)
    for ours, reference in zip(parts.video.numpy(), golden["subbatch_unit_gradients"], strict=True):
        assert np.abs(ours - reference).max() < 1e-4 * np.abs(reference).max()


VARIANTS = {
    "standard": {"encoders": [0]},
    "gradient_ensemble": {"encoders": [0, 1, 2], "ensemble": "gradients"},
    "no_mask": {"encoders": [1], "mask_threshold": 0.0},
    "strict_mask": {"encoders": [1], "mask_threshold": 1.0},
    "ablation": {"encoders": [0], "ablation": "silence"},
    "from_predicted": {"encoders": [0], "target": "predicted", "target_encoders": range(7)},
}


def reconstructed(golden, encoder, trial, mask, variant, steps):
    """The run of a variant, its first steps or all of them, and the numbers that the reference has for it."""
    options = dict(VARIANTS[variant])
    encoders = [encoder(number) for number in options.pop("encoders")]
    if "target_encoders" in options:
        options["target_encoders"] = [encoder(number) for number in options["target_encoders"]]
    if variant == "ablation":
        options["neurons"] = NeuronSet(golden["ablation__kept_neurons"], "as the reference drew")
    result = reconstruct(trial, encoders, mask, ReconstructionConfig.preset("paper", steps=steps), **options)
    return result, {name.split("__")[1]: value for name, value in golden.items() if name.startswith(f"{variant}__")}


def assert_tracked_as_the_reference(result, expected):
    """Losses and correlations on the way are the reference's, as far as the run went."""
    tracked = {
        "response_loss": "response_loss_full",
        "video_correlation": "video_corr",
        "response_correlation": "response_corr_full",
    }
    steps = result.history["step"][~np.isnan(result.history["rmse"])] - 1
    assert steps.tolist() == [step for step in expected["video_itter"] if step < len(result.history)]
    for ours, theirs in tracked.items():
        measured = result.history[ours][steps.astype(int)]
        np.testing.assert_allclose(measured, expected[theirs][: len(steps)], atol=TRACKED_TOLERANCE, rtol=0)
    assert result.levels["response_loss"] == pytest.approx(float(expected["response_loss_gt"]), abs=TRACKED_TOLERANCE)
    assert result.levels["response_correlation"] == pytest.approx(
        float(expected["response_corr_gt"]), abs=TRACKED_TOLERANCE
    )


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in (WHOLE, DEAR, "no_mask")])
def test_every_variant_begins_as_the_reference(golden, encoder, trial, mask, variant):
    result, expected = reconstructed(golden, encoder, trial, mask, variant, FIRST_STEPS)
    assert len(result.history) == FIRST_STEPS
    assert_tracked_as_the_reference(result, expected)


@pytest.mark.parametrize(
    "variant", [name if name == WHOLE else pytest.param(name, marks=pytest.mark.long) for name in VARIANTS]
)
def test_every_variant_ends_with_the_movie_of_the_reference(golden, encoder, trial, mask, variant):
    result, expected = reconstructed(golden, encoder, trial, mask, variant, STEPS)
    assert np.abs(result.video - expected["video_pred"]).max() < GREY_LEVEL_TOLERANCE
    assert_tracked_as_the_reference(result, expected)
    predicted = result.predicted_activity * result.keep[:, None]
    np.testing.assert_allclose(predicted, expected["responses_predicted_full"], atol=1e-3)
