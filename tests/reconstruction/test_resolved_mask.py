"""The resolved rule finds where neurons look, in one solid piece, and tells how much of a pixel they make known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import MaskError
from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe, fit_mask
from napari_vidrecon.reconstruction.masks import MaskShape, mask_faults
from napari_vidrecon.reconstruction.resolved_mask import InformationFitter, Shares, solid_alpha
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum

FRAME_RATE_HZ = 30.0
NEURONS, FRAMES = 200, 40
ROW, COLUMN, RADIUS_PX = 15.0, 40.0, 9.0


class Spots(nn.Module):
    """Every neuron adds up the light of a Gaussian spot; the spots lie in a disc."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        angle, reach = rng.uniform(0, 2 * np.pi, NEURONS), RADIUS_PX * np.sqrt(rng.random(NEURONS))
        row, column = ROW + reach * np.sin(angle), COLUMN + reach * np.cos(angle)
        down, right = np.mgrid[:36, :64]
        distance = (down - row[:, None, None]) ** 2 + (right - column[:, None, None]) ** 2
        self.spots = nn.Parameter(torch.as_tensor(gain * np.exp(-distance / 8.0) / 60.0, dtype=torch.float32))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        drive = torch.einsum("bthw,nhw->bnt", windows[:, 0] - 80.0, self.spots)
        return nn.functional.softplus(drive)


def spots_encoder(gain: float = 1.0) -> WindowEncoder:
    spec = EncoderSpec("spots", "spots", NEURONS, canvas=Canvas(36, 64), windows=FrameWindows())
    return WindowEncoder(Spots(gain), spec)


def spots_trials(encoder: WindowEncoder, count: int = 3, noise: float = 1.0, frames: int = FRAMES) -> list[vr.Trial]:
    rng, trials = np.random.default_rng(1), []
    for number in range(count):
        video = rng.integers(0, 160, (frames, 36, 64)).astype(np.float32)
        quiet = np.zeros((2, frames), np.float32)
        expected = encoder.predict(video)
        recorded = rng.gamma(np.maximum(expected / noise, 1e-6), noise).astype(np.float32)
        trials.append(vr.Trial(number, "oracle", video, quiet, quiet, recorded))
    return trials


def fitted(gain: float = 1.0, noise: float = 1.0, steps: int = 6) -> InformationFitter:
    encoder = spots_encoder(gain)
    trials = spots_trials(encoder, noise=noise)
    fitter = InformationFitter(encoder, FRAME_RATE_HZ)
    for step in range(steps):
        fitter.step(*fitter.drawn(trials, step))
    return fitter


def test_the_mask_is_where_the_neurons_look_in_one_piece_without_a_hole() -> None:
    alpha = fitted().alpha
    down, right = np.mgrid[:36, :64]
    field = (down - ROW) ** 2 + (right - COLUMN) ** 2 <= RADIUS_PX**2
    training, evaluation = alpha >= 0.5, alpha >= 1.0
    assert (training & field).sum() / (training | field).sum() > 0.75
    for inside in (training, evaluation):
        shape = MaskShape.of(inside)
        assert (shape.pieces, shape.hole_pixels) == (1, 0)
    assert 0.4 <= evaluation.sum() / training.sum() <= 0.9
    assert mask_faults(vr.AlphaMask(alpha)) == []


def test_noisier_neurons_resolve_less_of_the_same_field() -> None:
    clear, noisy = fitted(noise=1.0), fitted(noise=50.0)
    assert 1.0 >= clear.share.max() > 1.5 * noisy.share.max() > 0.0
    overlap = (clear.alpha >= 0.5) & (noisy.alpha >= 0.5)
    assert overlap.sum() / ((clear.alpha >= 0.5) | (noisy.alpha >= 0.5)).sum() > 0.8
    assert f"up to {100 * clear.share.max():.0f} %" in clear.said


def test_an_encoder_that_sees_nothing_has_no_mask() -> None:
    blind = fitted(gain=0.0)
    assert not blind.alpha.any()
    assert "no pixel at all" in mask_faults(vr.AlphaMask(blind.alpha))[0]


def test_the_share_that_is_resolved_is_that_of_a_wiener_filter() -> None:
    shares = Shares(NaturalSpectrum(10.0, 0.035, 0.0, 0.65, 0.0), (36, 64), FRAME_RATE_HZ)
    # White movies of variance 100: information 1 / 100 resolves one half, none resolves nothing.
    for information, expected in ((0.01, 0.5), (0.09, 0.9), (0.0, 0.0)):
        assert shares.of(np.full((36, 64), information)) == pytest.approx(expected, abs=0.01)


def test_holes_are_filled_and_crumbs_fall_below_the_threshold() -> None:
    information = np.zeros((36, 64))
    information[5:30, 10:40] = 1.0
    information[15:18, 20:23] = 0.1
    information[2:4, 55:60] = 1.0
    alpha = solid_alpha(information)
    for threshold in (0.5, 1.0):
        inside = alpha >= threshold
        assert inside[5:30, 10:40].all()
        assert not inside[:, 50:].any()


def test_clips_no_longer_than_a_window_are_enough_and_shorter_ones_say_so() -> None:
    encoder = spots_encoder()
    fitter = InformationFitter(encoder, FRAME_RATE_HZ, skip_frames=50)
    assert fitter.step(spots_trials(encoder, 1, frames=32)[0]) > 0.0
    short = spots_trials(encoder, 1)[0].part(0, 31)
    with pytest.raises(MaskError, match="expected at least 32 frames for the mask fit, found 31"):
        fitter.step(short)


def test_it_is_the_usual_rule_with_steps_of_its_own(encoder, small_session_folder) -> None:
    assert (MaskRecipe().rule, MaskRecipe().steps) == ("resolved", 96)
    assert MaskRecipe(rule="decayed").steps == MaskRecipe(rule="published").steps == 350
    session = vr.open_session(small_session_folder)
    first, second = (fit_mask(session, encoder, MaskRecipe(steps=3), trial_ids=[0, 2]) for _ in range(2))
    np.testing.assert_array_equal(first.alpha, second.alpha)
    assert "resolved rule, up to" in first.source


def test_what_it_adds_up_in_double_precision_lies_on_the_cpu_as_not_every_gpu_has_that(encoder) -> None:
    elsewhere = SimpleNamespace(spec=encoder.spec, device=torch.device("meta"))
    fitter = InformationFitter(elsewhere, 30.0)
    assert (fitter._residual.dtype, fitter._residual.device.type) == (torch.float64, "cpu")
