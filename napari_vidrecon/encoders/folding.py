"""Batch norms, positional encodings and shortcuts of frozen modules, as the constants they are.

All in float64 and on the CPU, as not every device has float64.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from napari_vidrecon.encoders.dwiseneuro import PositionalEncoding

Affine = tuple[torch.Tensor, torch.Tensor]
"""Weight (out, in, ...) and bias (out,)."""


def affine_of(norm: nn.Module) -> Affine:
    """Scale and shift a channel of a batch norm in evaluation, in float64."""
    bn: Any = norm.bn
    weight, bias, mean, variance = (
        each.cpu().double() for each in (bn.weight, bn.bias, bn.running_mean, bn.running_var)
    )
    scale = weight / (variance + bn.eps).sqrt()
    return scale, bias - mean * scale


def folded(normalised: nn.Sequential) -> Affine:
    """Weight (out, in, ...) and bias (out,) of a convolution without bias and the batch norm after it, in float64."""
    conv: Any = normalised[0]
    scale, shift = affine_of(normalised[1])
    weight = conv.weight.cpu().double()
    return weight * scale.view(-1, *(1,) * (weight.ndim - 1)), shift


def affine_part(layer: nn.Module) -> Affine:
    """Weight and bias of a convolution or linear layer."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, torch.Tensor)
    assert isinstance(bias, torch.Tensor)
    return weight, bias


def nearest(length: int, out: int) -> torch.Tensor:
    """Which of `length` positions the `out` ones of a nearest-neighbour shrinking are; none occurs twice."""
    return F.interpolate(torch.arange(length).double()[None, None], size=out, mode="nearest")[0, 0].long()


def position_tables(
    position: PositionalEncoding, weight: torch.Tensor, frames: int, rows: int, columns: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix (M, C) times the positional encoding: f(t) as (T, M) and g(h) + k(w) as (H, W, M), float64."""
    exact = deepcopy(position).cpu().double()
    tables = []
    for length, part in zip((frames, rows, columns), weight.split(2 * len(exact.inv_freq), dim=1), strict=False):
        tables.append(exact.axis(length)[:, : part.shape[1]] @ part.T)
    # With few channels the cut at `channels` may leave none for the columns.
    along_columns = tables[2] if len(tables) > 2 else tables[0].new_zeros(columns, len(weight))
    return tables[0], tables[1][:, None] + along_columns
