"""Convolutions with frozen weights whose input gradients are several times faster on a CPU than torch's."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


class _FrozenDepthwise(torch.autograd.Function):
    """Depthwise, stride 1: the input gradient is the same convolution with the kernel turned round."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.padding = padding
        return F.conv2d(x, weight, padding=padding, groups=weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        turned = weight.flip(2, 3)
        return F.conv2d(gradients[0], turned, padding=ctx.padding, groups=weight.shape[0]), None, None


def depthwise_conv2d(x: torch.Tensor, weight: torch.Tensor, stride: tuple[int, int] = (1, 1)) -> torch.Tensor:
    """Depthwise convolution with "same" padding.

    Parameters
    ----------
    x
        (B, C, H, W).
    weight
        (C, 1, kh, kw), odd sizes.
    stride
        Rows, columns.
    """
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    if stride == (1, 1) and not weight.requires_grad:
        return _FrozenDepthwise.apply(x, weight, padding)
    return F.conv2d(x, weight, stride=stride, padding=padding, groups=weight.shape[0])


class _FrozenStrided(torch.autograd.Function):
    """Few input channels, large kernel, any stride: the input gradient is a matrix product and a fold."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.stride, ctx.padding = x.shape[2:], stride, padding
        return F.conv2d(x, weight, stride=stride, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        patches = torch.matmul(weight.flatten(1).T, gradients[0].contiguous().flatten(2))
        gradient = F.fold(patches, ctx.size, tuple(weight.shape[2:]), padding=ctx.padding, stride=ctx.stride)
        return gradient, None, None, None


def strided_conv2d(x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """Strided convolution of (B, C, H, W) with weight (out, C, kh, kw)."""
    if not weight.requires_grad:
        return _FrozenStrided.apply(x, weight, stride, padding)
    return F.conv2d(x, weight, stride=stride, padding=padding)
