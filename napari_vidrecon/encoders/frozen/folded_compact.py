"""The compact encoder with frozen weights, for one mouse: the numbers of `compact.py`, and its gradient, faster.

Its blocks are inverted residuals like DwiseNeuro's and are computed by the same code; batch norms are folded, and
the readout's maps over space and features are multiplied once instead of at every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.architectures.compact import Block, ChannelNorm, Compact, FactorisedReadout
from napari_vidrecon.encoders.frozen.backend import BufferPool, MatrixProduct, matrix_product_for
from napari_vidrecon.encoders.frozen.folded_block import Affine, FoldedBlock, affine_of, affine_part


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
    """Convolution with frozen weights; its input gradient is several times faster.

    Parameters
    ----------
    x
        (B, C, H, W).
    weight
        (out, C, kh, kw).
    stride
        Pixels.
    padding
        Pixels of 0 on each side.

    Returns
    -------
    torch.Tensor
        (B, out, H', W').
    """
    return _FrozenStrided.apply(x, weight, stride, padding)


def folded_pair(weight: torch.Tensor, norm: ChannelNorm) -> Affine:
    """Weight and bias of a layer without bias and the norm after it, in float64."""
    scale, shift = affine_of(norm)
    return weight.detach().cpu().double() * scale.view(-1, *(1,) * (weight.ndim - 1)), shift


class FoldedCompactBlock(FoldedBlock):
    """A block of the compact encoder: learned tables of position, which its shortcut does not see."""

    def __init__(self, block: Block, kept: BufferPool) -> None:
        features: Any = block.time_table
        width = features.shape[-1]
        ones, zeros = torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
        gate: Any = block.gate
        super().__init__(
            expand=folded_pair(block.expand.weight, block.expand_norm),
            space=folded_pair(block.space.weight, block.space_norm),
            time=folded_pair(block.time.weight, block.time_norm),
            reduce=affine_part(gate[0]),
            excite=affine_part(gate[2]),
            contract=folded_pair(block.contract.weight, block.contract_norm),
            shortcut=(ones, zeros),
            stride=1,
            like=features,
            kept=kept,
        )
        self.table = self.stored(block.time_table + block.space_table)

    def expansion_input(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table

    def expanded(self, x: torch.Tensor, t: slice) -> torch.Tensor:
        return self.product(x[:, t] + self.table[t], self.expand, self.expand_bias)


class _FrozenLinear(torch.autograd.Function):
    """A matrix product whose gradient is one, too, both on the machine's fastest backend."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, back: torch.Tensor, product: MatrixProduct
    ) -> torch.Tensor:
        ctx.back, ctx.product = back, product
        return product(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return ctx.product(gradients[0].contiguous(), ctx.back), None, None, None


@dataclass(frozen=True)
class ChosenNeurons:
    """The readout's weights of some neurons, maps over space and features multiplied.

    Parameters
    ----------
    indices
        The neurons; None for all.
    weight, back
        (N, pixels x features), and its transpose.
    gain, shift
        (N, 4) of behaviour.
    bias
        (N,).
    """

    indices: torch.Tensor | None
    weight: torch.Tensor
    back: torch.Tensor
    gain: torch.Tensor
    shift: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, readout: FactorisedReadout, indices: torch.Tensor | None) -> ChosenNeurons:
        """Some neurons of a readout; later changes of its weights do not follow."""
        rows: Any = slice(None) if indices is None else indices
        weight = (readout.space[rows][:, :, None] * readout.features[rows][:, None, :]).flatten(1).detach()
        gain, shift, bias = (
            each[rows].detach() for each in (readout.behavior_gain, readout.behavior_shift, readout.bias)
        )
        return cls(indices, weight, weight.T.contiguous(), gain, shift, bias)


class FoldedFactorisedReadout:
    """One mouse's neurons, or some of them: [B, T, h, w, C] and behaviour [B, T, 4] to [B, N, T]."""

    def __init__(self, readout: FactorisedReadout) -> None:
        self._readout = readout
        self._product = matrix_product_for(readout.space.device, readout.space.dtype)
        self._chosen = ChosenNeurons.of(readout, None)

    def __call__(self, x: torch.Tensor, behavior: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        # Runs ask for the same neurons again and again, with the same tensor; other threads may ask for others.
        chosen = self._chosen
        if chosen.indices is not neurons:
            chosen = self._chosen = ChosenNeurons.of(self._readout, neurons)
        drive = _FrozenLinear.apply(x.flatten(2), chosen.weight, chosen.back, self._product)
        gain = F.linear(behavior, chosen.gain).clamp(-2.0, 2.0).exp()
        logits = drive * gain + F.linear(behavior, chosen.shift, chosen.bias)
        return F.softplus(logits).transpose(1, 2) / self._readout.beta


class FoldedCompact:
    """A frozen compact encoder for one mouse: [B, 5, T, 36, 64] to [B, N, T]."""

    takes_precision = False

    def __init__(self, module: Compact, mouse: int = 0) -> None:
        kept = BufferPool()
        self._module, self._mouse = module, mouse
        with torch.no_grad():
            stem, bias = folded_pair(module.stem.weight, module.stem_norm)
            self._stem, self._stem_bias = stem.to(module.stem.weight), bias.to(module.stem.weight)
            children: Any = module.blocks
            self.blocks: list[FoldedBlock] = [FoldedCompactBlock(block, kept) for block in children]
            readout: Any = module.readouts[mouse]
            self._readout = FoldedFactorisedReadout(readout)

    @classmethod
    def of(cls, module: Compact, mouse: int = 0, precision: torch.dtype | None = None) -> FoldedCompact:
        """Fold a module; later changes of its weights do not follow. It computes in the module's own precision.

        Parameters
        ----------
        module
            In evaluation mode, on the device wanted.
        mouse
            Index of its readout.
        precision
            Not used: it computes in the module's own.

        Returns
        -------
        FoldedCompact
            Of this mouse alone.
        """
        return cls(module, mouse)

    def __call__(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        """Activity of all neurons, or of those with the indices `neurons`; differentiable once, in `windows`."""
        module, config = self._module, self._module.config
        clips, frames = windows.shape[0], windows.shape[2]
        behavior = module.behavior_of(windows, self._mouse)
        video = module.scaled(module.on_retina(windows[:, 0], behavior, self._mouse))
        x = strided_conv2d(video, self._stem, config.stem_stride, config.stem_kernel // 2)
        x = (x.permute(0, 2, 3, 1) + self._stem_bias).unflatten(0, (clips, frames)).contiguous()
        for block in self.blocks:
            x = block(x)
        return self._readout(x, behavior, neurons)
