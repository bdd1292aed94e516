"""Inverted residuals with frozen weights: the numbers of the modules and their input gradient, for less work.

What is done differently, and why it is the same:

1. Batch norm of frozen weights is a scale and a shift a channel; both move into the convolution before it.
2. Tensors are [B, T, H, W, C]. There a 1x1 convolution is a matrix product, a spatial depthwise convolution is a
   2-D one of the view (B T, C, H, W), and a temporal one is a 2-D one of the view (B, C, T, H W); no copies.
3. The stem is linear and so is what follows it up to the first SiLU. With stem x -> S x + s, positional encoding
   p(t,h,w) and first expansion E: E(S x + s + p) = (E S) x + E s + E p. So 5 channels go straight to M, and as p is
   sines of t, of h and of w in channels of their own, E p = f(t) + g(h) + k(w): small tables.
4. The gate of squeeze-and-excite scales the columns of the contraction, W (gate * x) = (W gate) x: a matrix is
   scaled, not a movie.
5. No gradient of a weight is ever computed, so of a block only its input and what is around the second and the third
   SiLU (u2, u3, h3 below) are kept; u1, the largest, is computed again.
6. The gate's gradient would take two passes over tensors as large as h3. But y = C' h3 with C' = C gate (column m
   scaled by gate_m); the gradient of this matrix is dC' = dy^T h3, small, and dgate_m = sum over o of C_om dC'_om.
7. On a CPU, memory is the bottleneck: fresh pages cost seven times the arithmetic. Work goes tile by tile (some
   frames, or some rows, of one window) through the cache, and the tensors that are kept are used again.

Activations of a block, in the order of computation (the gradients, dX for X, run backwards through the same names):

    u1 = E x + table        [T, H, W, M]     h1 = silu(u1)
    u2 = space(h1) + b2     [T, H', W', M]   h2 = silu(u2)
    u3 = time(h2) + b3      [T, H', W', M]   h3 = silu(u3)
    gate = sigmoid(expand(silu(reduce(mean(h3)))))
    y  = (C gate) h3 + b + shortcut(x)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from napari_vidrecon.encoders.frozen.backend import FRAMES, ROWS, BufferPool, Loans, matrix_product_for
from napari_vidrecon.encoders.frozen.fused_block import FusedKept, FusedPasses

Affine = tuple[torch.Tensor, torch.Tensor]
"""Weight (out, in, ...) and bias (out,)."""

CPU_TILE_FLOATS = 1 << 20
"""Floats of a tile on a CPU: a few of them fit into its cache, and the allocator hands them out again."""

silu, silu_ = torch.ops.aten.silu.out, torch.ops.aten.silu_
silu_gradient = torch.ops.aten.silu_backward


def silu_gradient_(gradient: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Gradient before a SiLU, from the one after it, which it overwrites."""
    return silu_gradient.grad_input(gradient, u, grad_input=gradient)


@dataclass
class Kept:
    """What a block keeps of some windows for its backward pass: names as at the top of this file.

    Parameters
    ----------
    x
        Input, [B, T, H, W, C].
    u2
        Before the second SiLU, [B, T, H', W', M].
    u3
        Before the third SiLU, [B, T, H', W', M].
    h3
        After the third SiLU, [B, T, H', W', M].
    reduced
        What the gate's first layer gave, before its SiLU.
    gate
        [B, M], 0..1.
    loans
        The tensors above that go back to the pool.
    """

    x: torch.Tensor
    u2: torch.Tensor
    u3: torch.Tensor
    h3: torch.Tensor
    reduced: torch.Tensor
    gate: torch.Tensor
    loans: Loans


def affine_of(norm: nn.Module) -> Affine:
    """Scale and shift a channel of a batch norm in evaluation; float64 on the CPU, as not every device has it."""
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


def images_of_pixels(x: torch.Tensor) -> torch.Tensor:
    """[B, T, H, W, C] as images (B T, C, H, W), channels last."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def images_of_time(x: torch.Tensor) -> torch.Tensor:
    """[B, T, H, W, C] as images (B, C, T, H W), channels last."""
    return x.flatten(2, 3).permute(0, 3, 1, 2)


class FoldedBlock:
    """An inverted residual: [B, T, H, W, C] to [B, T, H', W', C'].

    Parameters
    ----------
    expand, space, time, contract
        Weights of the convolutions, batch norms folded in.
    reduce, excite
        Matrices of the gate.
    shortcut
        Scale and shift a channel.
    stride
        Of `space`.
    like
        A weight in the precision and on the device of the encoder.
    kept
        Lends the large tensors.
    """

    def __init__(
        self,
        *,
        expand: Affine,
        space: Affine,
        time: Affine,
        reduce: Affine,
        excite: Affine,
        contract: Affine,
        shortcut: Affine,
        stride: int,
        like: torch.Tensor,
        kept: BufferPool,
    ) -> None:
        self.dtype, self.device = like.dtype, like.device
        self.product = matrix_product_for(self.device, self.dtype)
        self.kept, self.stride = kept, stride
        self.tables: dict[tuple[int, ...], Any] = {}
        self.expand, self.expand_bias = self.stored(expand[0].flatten(1)), self.stored(expand[1])
        self.expand_back = self.stored(expand[0].flatten(1).T)
        self.space_weight, self.space_bias = self.stored(space[0]), self.stored(space[1])
        self.time_weight, self.time_bias = self.stored(time[0]), self.stored(time[1])
        self.reduce = [self.stored(reduce[0].flatten(1)), self.stored(reduce[1])]
        self.excite = [self.stored(excite[0].flatten(1)), self.stored(excite[1])]
        self.contract, self.contract_back = self.stored(contract[0].flatten(1)), self.stored(contract[0].flatten(1).T)
        self.shortcut_scale, self.bias = self.stored(shortcut[0]), self.stored(contract[1] + shortcut[1])
        self.out = len(self.bias)
        self.fused: FusedPasses | None = None
        """Set where kernels of the device do both passes."""

    def stored(self, tensor: torch.Tensor) -> torch.Tensor:
        """In the precision and on the device of the encoder."""
        return tensor.detach().to(self.device, self.dtype).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            return _BlockFunction.apply(x, self)
        y, _ = self.forward(x, keep=False)
        return y

    # Forward

    def forward(self, x: torch.Tensor, *, keep: bool) -> tuple[torch.Tensor, list[Kept] | FusedKept | None]:
        """The block, and what its backward pass needs if that is to be kept."""
        x = self.with_position(x)
        if self.fused is not None:
            y, all_kept = self.fused.forward(self, x, keep=keep)
            self.add_shortcut(y, x)
            return y, all_kept
        rows, columns = (-(-length // self.stride) for length in x.shape[2:4])
        y = x.new_empty(*x.shape[:2], rows, columns, self.out)
        kept = [self._forward_group(x[group], y[group], keep) for group in self.groups(x)]
        return y, [each for each in kept if each is not None]

    def _forward_group(self, x: torch.Tensor, y: torch.Tensor, keep: bool) -> Kept | None:
        shape = (*y.shape[:4], len(self.space_weight))
        loans = Loans(self.kept, y)
        u2 = loans.assembled(shape, FRAMES, self.frame_tiles(x.shape), lambda t: self.space(silu_(self.expanded(x, t))))
        h3, total = loans.lend(shape), x.new_zeros(shape[0], shape[-1])

        def after_time(r: slice) -> torch.Tensor:
            u3 = self.time(F.silu(u2[:, :, r]))
            # All sums at once would be ten times slower, as rows of several frames are not one piece of memory.
            total.add_(silu(u3, out=h3[:, :, r]).sum(dim=(2, 3)).sum(dim=1))
            return u3

        if keep:
            u3 = loans.assembled(shape, ROWS, self.row_tiles(shape), after_time)
        else:
            for r in self.row_tiles(shape):
                after_time(r)
        reduced = F.linear(total / (shape[1] * shape[2] * shape[3]), *self.reduce)
        gate = F.linear(F.silu(reduced), *self.excite).sigmoid()
        gated = self.contract * gate[:, None]
        for t in self.frame_tiles(shape):
            y[:, t] = self.samplewise(h3[:, t], gated, self.bias.expand(shape[0], -1))
        self.add_shortcut(y, x)
        if keep:
            return Kept(x, u2, u3, h3, reduced, gate, loans)
        loans.end()
        return None

    def with_position(self, x: torch.Tensor) -> torch.Tensor:
        """The input with its positional encoding, if it has any."""
        return x

    def expanded(self, x: torch.Tensor, t: slice) -> torch.Tensor:
        """u1 of some frames."""
        return self.product(x[:, t], self.expand, self.expand_bias)

    def expansion_input(self, x: torch.Tensor) -> torch.Tensor:
        """What `expand` is multiplied with to give u1 without its tables."""
        return x

    def expansion_tables(self, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What is added to give u1: (frames or 1, M), and (rows, columns, M) or None."""
        return self.expand_bias[None], None

    def space(self, x: torch.Tensor) -> torch.Tensor:
        """Depthwise convolution over rows and columns, at the stride."""
        weight, padding = self.space_weight, self.space_weight.shape[-1] // 2
        y = F.conv2d(images_of_pixels(x), weight, self.space_bias, self.stride, padding, groups=len(weight))
        return y.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])

    def time(self, x: torch.Tensor) -> torch.Tensor:
        """Depthwise convolution over frames."""
        weight, padding = self.time_weight, (self.time_weight.shape[2] // 2, 0)
        y = F.conv2d(images_of_time(x), weight, self.time_bias, padding=padding, groups=len(weight))
        return y.permute(0, 2, 3, 1).unflatten(2, x.shape[2:4])

    def samplewise(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Matrix product with a matrix and a bias of each window.

        Parameters
        ----------
        x
            [B, T, H, W, K].
        weight
            (B, M, K).
        bias
            (B, M).

        Returns
        -------
        torch.Tensor
            [B, T, H, W, M].
        """
        if len(x) == 1:
            return self.product(x, weight[0], bias[0])
        return torch.baddbmm(bias[:, None], x.flatten(1, 3), weight.transpose(1, 2)).unflatten(1, x.shape[1:4])

    def add_shortcut(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """Nearest pixels at the stride, channels tiled, its batch norm's scale; the shift is in the bias."""
        near = self.shrunk(x, y.shape)
        for first in range(0, self.out, x.shape[-1]):
            part = y[..., first : first + x.shape[-1]]
            part.addcmul_(near[..., : part.shape[-1]], self.shortcut_scale[first : first + x.shape[-1]])

    def shrunk(self, x: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Nearest pixels, as many rows and columns as `shape` has."""
        return x if self.stride == 1 else x[self.near_pixels(x, shape, x.shape[-1])]

    def near_pixels(self, x: torch.Tensor, shape: torch.Size, channels: int) -> tuple[Any, ...]:
        """Index of the pixels and channels of x that a shortcut to `shape` takes.

        Parameters
        ----------
        x
            [B, T, H, W, C].
        shape
            Of what the shortcut is added to, [B, T, H', W', C'].
        channels
            How many are taken.

        Returns
        -------
        tuple[Any, ...]
            For `x[...]`.
        """
        if x.shape[2] == shape[2] * self.stride and x.shape[3] == shape[3] * self.stride:
            return (..., slice(None, None, self.stride), slice(None, None, self.stride), slice(0, channels))
        rows, columns = (nearest(x.shape[axis], shape[axis]).to(x.device) for axis in (2, 3))
        return (..., rows[:, None], columns, slice(0, channels))

    # Backward

    def backward(self, dy: torch.Tensor, kept: list[Kept] | FusedKept) -> torch.Tensor:
        """Gradient of the input. What was kept is used up."""
        if isinstance(kept, FusedKept):
            assert self.fused is not None
            dx = self.fused.backward(self, dy, kept)
            self.add_shortcut_gradient(dx, dy)
            return dx
        x_shape = (*dy.shape[:2], *kept[0].x.shape[2:])
        dx = dy.new_empty(x_shape)
        for group, each in zip(self.groups(dy), kept, strict=True):
            self._backward_group(dy[group], each, dx[group])
            each.loans.end()
        return dx

    def _backward_group(self, dy: torch.Tensor, kept: Kept, dx: torch.Tensor) -> None:
        u2, u3, h3, gate = kept.u2, kept.u3, kept.h3, kept.gate
        # Point 6 above.
        dcontract = dy.flatten(1, 3).transpose(1, 2) @ h3.flatten(1, 3)
        dgate = (self.contract * dcontract).sum(dim=1)
        dreduced = silu_gradient((dgate * gate * (1.0 - gate)) @ self.excite[0], kept.reduced)
        dmean = dreduced @ self.reduce[0] / (u3.shape[1] * u3.shape[2] * u3.shape[3])
        gated_back = self.contract_back * gate[:, :, None]
        for r in self.row_tiles(u3.shape):
            du3 = silu_gradient_(self.samplewise(dy[:, :, r], gated_back, dmean), u3[:, :, r])
            # The gradient takes the place of u2, which nobody needs any more.
            silu_gradient.grad_input(self.time_back(du3), u2[:, :, r], grad_input=u2[:, :, r])
        du2 = u2
        for t in self.frame_tiles(dx.shape):
            du1 = silu_gradient_(self.space_back(du2[:, t], dx.shape), self.expanded(kept.x, t))
            dx[:, t] = self.product(du1, self.expand_back)
        self.add_shortcut_gradient(dx, dy)

    def space_back(self, dy: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Input gradient of `space`, for an input of `shape`."""
        weight, stride = self.space_weight, self.stride
        kernel, padding = weight.shape[-1], weight.shape[-1] // 2
        left_over = [shape[axis] + 2 * padding - kernel - (dy.shape[axis] - 1) * stride for axis in (2, 3)]
        dx = F.conv_transpose2d(images_of_pixels(dy), weight, None, stride, padding, left_over, len(weight))
        return dx.permute(0, 2, 3, 1).unflatten(0, dy.shape[:2])

    def time_back(self, dy: torch.Tensor) -> torch.Tensor:
        """Input gradient of `time`."""
        weight, padding = self.time_weight, (self.time_weight.shape[2] // 2, 0)
        dx = F.conv_transpose2d(images_of_time(dy), weight, padding=padding, groups=len(weight))
        return dx.permute(0, 2, 3, 1).unflatten(2, dy.shape[2:4])

    def add_shortcut_gradient(self, dx: torch.Tensor, dy: torch.Tensor) -> None:
        """Input gradient of `add_shortcut`."""
        scaled = dy * self.shortcut_scale
        near = scaled[..., : dx.shape[-1]]
        for part in scaled.split(dx.shape[-1], dim=-1)[1:]:
            near[..., : part.shape[-1]] += part
        dx[self.near_pixels(dx, dy.shape, near.shape[-1])] += near

    # Tiles

    def groups(self, x: torch.Tensor) -> list[slice]:
        """Windows that are computed together: one at a time on a CPU, all of them elsewhere."""
        return [slice(b, b + 1) for b in range(len(x))] if self.device.type == "cpu" else [slice(0, len(x))]

    def frame_tiles(self, shape: tuple[int, ...]) -> list[slice]:
        """Slices of the frames of a group's [B, T, H, W, C]."""
        return self._tiles(shape[1], shape[0] * shape[2] * shape[3])

    def row_tiles(self, shape: tuple[int, ...]) -> list[slice]:
        """Slices of the rows of a group's [B, T, H, W, C]."""
        return self._tiles(shape[2], shape[0] * shape[1] * shape[3])

    def _tiles(self, length: int, pixels: int) -> list[slice]:
        size = length
        if self.device.type == "cpu":
            size = min(length, max(1, CPU_TILE_FLOATS // (pixels * len(self.space_weight))))
        return [slice(first, min(first + size, length)) for first in range(0, length, size)]


class _BlockFunction(torch.autograd.Function):
    """A folded block under autograd: one backward pass, as it uses up what was kept."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, block: FoldedBlock) -> torch.Tensor:
        ctx.block = block
        y, ctx.kept = block.forward(x, keep=True)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        if ctx.kept is None:
            raise RuntimeError("A folded encoder can be differentiated once; call it again for a second time")
        kept, ctx.kept = ctx.kept, None
        return ctx.block.backward(gradients[0].contiguous(), kept), None
