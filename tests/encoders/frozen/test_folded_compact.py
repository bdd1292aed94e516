"""The folded compact encoder gives the plain module's activity and gradients."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.architectures.compact import Compact, CompactConfig
from napari_vidrecon.encoders.encoder import EncoderSpec
from napari_vidrecon.encoders.frozen.folded_compact import FoldedCompact, strided_conv2d
from napari_vidrecon.encoders.window_encoder import WindowEncoder

CONFIG = CompactConfig((12, 7), features=8, temporal_kernels=(7, 5))
LARGEST_ERROR = {torch.float32: 1e-4, torch.float64: 1e-12}


def trained_module(dtype: torch.dtype, **sizes: object) -> Compact:
    """Every weight and every batch norm does something."""
    generator = torch.Generator().manual_seed(2)
    module = Compact(dataclasses.replace(CONFIG, **sizes))
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.is_floating_point() and "behavior" not in name:
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
        elif "behavior_gain" in name or "behavior_shift" in name:
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))
    return module.to(dtype).eval().requires_grad_(False)


def windows(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    x = 255.0 * torch.rand(3, 5, 16, 36, 64, dtype=dtype, generator=generator)
    planes = torch.tensor([40.0, 0.5, 150.0, 148.0], dtype=dtype)[:, None]
    planes = planes + torch.randn(3, 4, 16, dtype=dtype, generator=generator)
    x[:, 1:] = planes[..., None, None]
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mouse", [0, 1])
@pytest.mark.parametrize("shifter", [False, True])
def test_activity_and_the_gradient_of_all_five_channels_equal_the_module(dtype, mouse, shifter):
    module = trained_module(dtype, shifter=shifter)
    results = []
    for form in (lambda x: module(x, mouse), FoldedCompact.of(module, mouse)):
        leaf = windows(dtype).requires_grad_(True)
        activity = form(leaf)
        (gradient,) = torch.autograd.grad((activity - 3.0 * torch.log(activity + 1e-8)).sum(), leaf)
        results.append((activity.detach(), gradient))
    (expected, expected_gradient), (found, gradient) = results
    torch.testing.assert_close(found, expected, rtol=LARGEST_ERROR[dtype], atol=0.0)
    for channel in range(5):
        largest = expected_gradient[:, channel].abs().max()
        assert largest > 0
        assert (gradient - expected_gradient)[:, channel].abs().max() <= LARGEST_ERROR[dtype] * largest


@pytest.mark.parametrize("chosen", [[0, 5, 11], [11, 2], list(range(12))])
def test_some_neurons_equal_the_same_ones_of_all(chosen):
    folded = FoldedCompact.of(trained_module(torch.float64))
    x = windows(torch.float64)
    whole = folded(x)
    torch.testing.assert_close(folded(x, torch.tensor(chosen)), whole[:, chosen], rtol=1e-12, atol=0.0)
    torch.testing.assert_close(folded(x), whole, rtol=1e-12, atol=0.0)


def test_changed_weights_are_followed():
    encoder = WindowEncoder(trained_module(torch.float32), EncoderSpec("small", "compact", 12))
    x = windows(torch.float32)
    before = encoder.responses(x)
    encoder.module.readouts[0].space.mul_(-1.0)
    after = encoder.responses(x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, encoder.module(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "kernel", "stride"), [((36, 64), 11, 4), ((20, 30), 7, 2), ((9, 9), 3, 1)])
def test_the_stem_equals_torchs_convolution_in_value_and_gradient(size, kernel, stride):
    torch.manual_seed(0)
    x = torch.randn(3, 2, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 2, kernel, kernel, dtype=torch.float64)
    ours = strided_conv2d(x, weight, stride, kernel // 2)
    plain = F.conv2d(x, weight, stride=stride, padding=kernel // 2)
    torch.testing.assert_close(ours, plain)
    pull = torch.randn_like(plain)
    torch.testing.assert_close(torch.autograd.grad(ours, x, pull)[0], torch.autograd.grad(plain, x, pull)[0])
