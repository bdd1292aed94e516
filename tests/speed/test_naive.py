"""The naive loop does what the published one does, and ours gives the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import napari_vidrecon as vr
from benchmarks.speed.gradient_check import check_both_precisions, check_gradients
from benchmarks.speed.naive import NaiveLoop, published_form, sub_batch_starts
from benchmarks.speed.stand_ins import SMALL, random_clip, random_encoder
from napari_vidrecon.reconstruction.run import plan_run

STEPS = 12
TINY = replace(
    SMALL, readout_outputs=(6,), core_features=(8, 8), spatial_strides=(4, 2), expansion_ratio=2, se_reduce_ratio=4
)


def test_gradients_equal_ours_but_for_rounding() -> None:
    in_float64, in_float32 = check_both_precisions(TINY, 44)
    assert in_float64["precision"] == "float64"
    assert in_float64["gradient_error"] < 1e-12
    assert in_float64["norm_error"] < 1e-12
    assert in_float32["gradient_error"] < 1e-4
    assert in_float32["norm_error"] < 1e-4


def test_the_check_notices_an_encoder_that_is_slightly_off() -> None:
    encoder = random_encoder(TINY, dtype=torch.float64)
    exact = encoder.responses
    encoder.responses = lambda windows, *rest, **more: exact(windows, *rest, **more) * (1 + 1e-6)  # type: ignore[method-assign]
    assert check_gradients(encoder, 33)["gradient_error"] > 1e-9


def test_the_compact_encoder_passes_too(small_encoder_file: Path) -> None:
    encoder = vr.load_encoder(small_encoder_file, device="cpu").to(dtype=torch.float64)
    assert check_gradients(encoder, 33)["gradient_error"] < 1e-12


@pytest.mark.parametrize(
    ("frames", "starts"),
    [(32, [0, 0]), (33, [0, 1]), (40, [0, 8, 8]), (45, [0, 8, 13]), (60, [0, 8, 16, 24, 28])],
)
def test_sub_batches_are_the_published_ones(frames: int, starts: list[int]) -> None:
    assert sub_batch_starts(frames) == starts


def test_a_whole_clip_of_300_frames_takes_35_sub_batches() -> None:
    assert len(sub_batch_starts(300)) == 35


def test_windows_are_counted_with_the_sub_batch_that_is_computed_twice() -> None:
    loop = NaiveLoop(random_clip(40, 6), random_encoder(TINY), vr.AlphaMask.full())
    loop.run(2)
    assert loop.windows == 2 * 3 * 2
    assert loop.evaluations == 2 * (40 - 30)
    assert len(loop.history) == 2


def test_its_modules_are_plain_and_their_weights_collect_gradients() -> None:
    loop = NaiveLoop(random_clip(33, 6), random_encoder(TINY), vr.AlphaMask.full())
    convolutions = [part for part in loop.module.modules() if isinstance(part, nn.Conv3d)]
    assert convolutions
    assert all(type(part) is nn.Conv3d for part in convolutions)
    assert any(part.groups > 1 for part in convolutions)
    loop.step()
    first = {name: weight.grad.clone() for name, weight in loop.module.named_parameters()}
    assert all(bool(gradient.abs().max() > 0) for gradient in first.values())
    loop.step()
    assert any(not torch.equal(weight.grad, first[name]) for name, weight in loop.module.named_parameters())


def test_the_plain_form_predicts_what_the_encoder_predicts() -> None:
    encoder, clip = random_encoder(TINY), random_clip(44, 6)
    naive = NaiveLoop(clip, encoder, vr.AlphaMask.full()).predict(clip.video)
    np.testing.assert_allclose(naive, encoder.predict(clip.video, clip.behavior, clip.pupil_center), rtol=1e-4)


def test_the_encoder_it_was_made_from_stays_frozen() -> None:
    encoder = random_encoder(TINY)
    published_form(encoder.module)
    assert not any(weight.requires_grad for weight in encoder.module.parameters())


@pytest.mark.long
def test_a_whole_reconstruction_ends_where_the_paper_preset_ends() -> None:
    encoder, clip = random_encoder(TINY, dtype=torch.float64), random_clip(40, 6)
    loop = NaiveLoop(clip, encoder, vr.AlphaMask.full())
    loop.run(STEPS)
    run = plan_run(clip, [encoder], vr.AlphaMask.full(), vr.ReconstructionConfig.preset("paper", steps=STEPS))
    while not run.finished:
        last = run.step()
    screen = loop.video[(slice(None), *encoder.spec.canvas.screen)].float().numpy()
    np.testing.assert_allclose(run.steppable.video, screen, atol=1e-4)
    assert np.ptp(screen) > 0.1
    assert last.tracked == pytest.approx(loop.history[-1], rel=1e-5)
