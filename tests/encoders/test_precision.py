"""bfloat16 is used only where the gradient keeps its direction."""

from __future__ import annotations

import pytest
import torch

from napari_vidrecon.encoders import answers
from napari_vidrecon.encoders.answers import gradient_cosine
from napari_vidrecon.encoders.checkpoints import load_encoder


def test_the_cosine_of_a_form_with_itself_is_one_and_of_another_one_is_not():
    weight = torch.randn(16, 4, generator=torch.Generator().manual_seed(1)).exp()
    windows = torch.rand(2, 5, 1, 4, 4)

    def first(x):
        return x[:, 0].flatten(1) @ weight

    def second(x):
        return x[:, 0].flatten(1) @ weight.flip(0)

    assert gradient_cosine(first, first, windows) == pytest.approx(1.0)
    assert gradient_cosine(second, first, windows) < 0.99


def test_an_encoder_whose_gradient_holds_computes_in_bfloat16(golden_checkpoints):
    encoder = load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    windows = 255.0 * torch.rand(1, 5, 16, 64, 64)
    exact = encoder.responses(windows)
    assert encoder.use_bfloat16()
    found = encoder.responses(windows)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, rtol=0.1, atol=0.1)
    encoder.to(dtype=torch.float32)
    torch.testing.assert_close(encoder.responses(windows), exact)


def test_an_encoder_whose_gradient_does_not_hold_stays_as_it_is_and_says_so(golden_checkpoints, monkeypatch, caplog):
    monkeypatch.setattr(answers, "LEAST_COSINE", 1.1)
    encoder = load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    windows = 255.0 * torch.rand(1, 5, 16, 64, 64)
    exact = encoder.responses(windows)
    assert not encoder.use_bfloat16()
    assert torch.equal(encoder.responses(windows), exact)
    assert "in bfloat16 its gradient differs" in caplog.text


def test_an_encoder_without_a_form_in_bfloat16_stays_as_it_is(small_encoder_file):
    assert not load_encoder(small_encoder_file, device="cpu").use_bfloat16()
