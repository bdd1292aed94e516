"""The faster convolutions are the same functions with the same gradients as torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.frozen_convolution import depthwise_conv2d, strided_conv2d


@pytest.mark.parametrize("kernel", [(3, 3), (5, 1), (1, 7)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_depthwise_equals_torch_in_value_and_gradient(kernel, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 9, 11, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_(True)
    weight = torch.randn(6, 1, *kernel, dtype=torch.float64)
    ours = depthwise_conv2d(x, weight)
    plain = F.conv2d(x, weight, padding=(kernel[0] // 2, kernel[1] // 2), groups=6)
    torch.testing.assert_close(ours, plain)
    pull = torch.randn_like(plain)
    torch.testing.assert_close(torch.autograd.grad(ours, x, pull)[0], torch.autograd.grad(plain, x, pull)[0])


@pytest.mark.parametrize(("size", "kernel", "stride"), [((36, 64), 11, 4), ((20, 30), 7, 2), ((9, 9), 3, 1)])
def test_strided_equals_torch_in_value_and_gradient(size, kernel, stride):
    torch.manual_seed(0)
    x = torch.randn(3, 2, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 2, kernel, kernel, dtype=torch.float64)
    ours = strided_conv2d(x, weight, stride, kernel // 2)
    plain = F.conv2d(x, weight, stride=stride, padding=kernel // 2)
    torch.testing.assert_close(ours, plain)
    pull = torch.randn_like(plain)
    torch.testing.assert_close(torch.autograd.grad(ours, x, pull)[0], torch.autograd.grad(plain, x, pull)[0])


def test_weights_that_learn_get_their_gradient():
    x = torch.randn(1, 2, 8, 8)
    for weight, convolve in (
        (torch.randn(2, 1, 3, 3, requires_grad=True), lambda w: depthwise_conv2d(x, w)),
        (torch.randn(4, 2, 3, 3, requires_grad=True), lambda w: strided_conv2d(x, w, 2, 1)),
    ):
        (gradient,) = torch.autograd.grad(convolve(weight).sum(), weight)
        assert gradient.abs().sum() > 0
