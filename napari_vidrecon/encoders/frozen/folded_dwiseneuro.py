"""DwiseNeuro with frozen weights, for one mouse: the numbers of `dwiseneuro.py`, and its input gradient, faster.

How the blocks do it is told, and derived, in `folded_block.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon.encoders.architectures.dwiseneuro import (
    DwiseNeuro,
    InvertedResidual,
    PositionalEncoding,
    Readout,
    ShuffleLayer,
)
from napari_vidrecon.encoders.frozen.backend import BufferPool
from napari_vidrecon.encoders.frozen.folded_block import FoldedBlock, affine_of, affine_part, folded


def position_tables(
    position: PositionalEncoding, weight: torch.Tensor, frames: int, rows: int, columns: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix times the positional encoding, as a part of time and a part of space.

    Parameters
    ----------
    position
        Its encoding.
    weight
        (M, C).
    frames, rows, columns
        Size of the map.

    Returns
    -------
    tuple[torch.Tensor, torch.Tensor]
        f(t) as (T, M) and g(h) + k(w) as (H, W, M), float64.
    """
    exact = deepcopy(position).cpu().double()
    tables = []
    for length, part in zip((frames, rows, columns), weight.split(2 * len(exact.inv_freq), dim=1), strict=False):
        tables.append(exact.axis(length)[:, : part.shape[1]] @ part.T)
    # With few channels the cut at `channels` may leave none for the columns.
    along_columns = tables[2] if len(tables) > 2 else tables[0].new_zeros(columns, len(weight))
    return tables[0], tables[1][:, None] + along_columns


class FoldedResidual(FoldedBlock):
    """A positional encoding of DwiseNeuro and the inverted residual after it.

    Parameters
    ----------
    position
        Added to the block's input.
    block
        To fold, in evaluation mode.
    kept
        Where its tensors are borrowed from.
    precision
        It computes in; None for the module's own.
    """

    def __init__(
        self,
        position: PositionalEncoding,
        block: InvertedResidual,
        kept: BufferPool,
        precision: torch.dtype | None = None,
    ) -> None:
        space, space_bias = folded(block.spat_covn_dw)
        time, time_bias = folded(block.temp_covn_dw)
        super().__init__(
            expand=folded(block.conv_pw),
            space=(space.squeeze(2), space_bias),
            time=(time.flatten(3), time_bias),
            reduce=affine_part(block.se.conv_reduce),
            excite=affine_part(block.se.conv_expand),
            contract=folded(block.conv_pwl),
            shortcut=affine_of(block.bn_sc),
            stride=block.stride,
            like=affine_part(block.se.conv_reduce)[0].to(precision),
            kept=kept,
        )
        self.position = position

    def with_position(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1:] not in self.tables:
            table = deepcopy(self.position).cpu().double().table(*x.shape[1:4])
            self.tables[x.shape[1:]] = self.stored(table.permute(1, 2, 3, 0))
        return x + self.tables[x.shape[1:]]


class FoldedFirstBlock(FoldedResidual):
    """The stem and the first block: [B, T, H, W, 5] to [B, T, H', W', C'] (point 3 in `folded_block.py`).

    Parameters
    ----------
    stem
        The convolution before the first block, with its batch norm.
    position
        Added to the stem's output.
    block
        To fold, in evaluation mode.
    kept
        Where its tensors are borrowed from.
    """

    def __init__(
        self, stem: nn.Sequential, position: PositionalEncoding, block: InvertedResidual, kept: BufferPool
    ) -> None:
        super().__init__(position, block, kept)
        weight, shift = folded(stem)
        weight = weight.flatten(1)
        # Batch norm's scale and the tiling of channels, as a matrix: the stem goes into it, too.
        channels = torch.arange(self.out) % len(weight)
        tiling = torch.eye(len(weight), dtype=torch.float64)[channels]
        tiling = tiling * affine_of(block.bn_sc)[0][:, None]
        expand, expand_bias = folded(block.conv_pw)
        expand = expand.flatten(1)
        self.expansion_of_position, self.shortcut_of_position = expand.detach(), tiling.detach()
        self.expansion_bias, self.shortcut_bias = expand @ shift + expand_bias, tiling @ shift
        self.expand, self.expand_back = self.stored(expand @ weight), self.stored((expand @ weight).T)
        self.shortcut, self.shortcut_back = self.stored(tiling @ weight), self.stored((tiling @ weight).T)

    def with_position(self, x: torch.Tensor) -> torch.Tensor:
        return x  # The positions come with the tables.

    def tables_for(self, shape: torch.Size) -> list[torch.Tensor]:
        """f(t) and g(h) + k(w) of the expansion, then of the shortcut; biases included."""
        size = shape[1:4]
        if size not in self.tables:
            f, g = position_tables(self.position, self.expansion_of_position, *size)
            f_near, g_near = position_tables(self.position, self.shortcut_of_position, *size)
            parts = (f + self.expansion_bias, g, f_near + self.shortcut_bias, g_near)
            self.tables[size] = [self.stored(part) for part in parts]
        return self.tables[size]

    def expansion_tables(self, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor | None]:
        f, g, _, _ = self.tables_for(shape)
        return f, g

    def expanded(self, x: torch.Tensor, t: slice) -> torch.Tensor:
        f, g, _, _ = self.tables_for(x.shape)
        # A matrix product a frame, so that f(t) is its bias and costs nothing.
        frames, bias = x[:, t].flatten(2, 3).flatten(0, 1), f[t].repeat(len(x), 1)[:, None]
        u1 = torch.baddbmm(bias, frames, self.expand.T.expand(len(frames), -1, -1))
        return u1.unflatten(0, (len(x), -1)).unflatten(2, x.shape[2:4]).add_(g)

    def add_shortcut(self, y: torch.Tensor, x: torch.Tensor) -> None:
        _, _, f, g = self.tables_for(x.shape)
        near = self.shrunk(g[None, None], y.shape)
        y.add_(self.product(self.shrunk(x, y.shape), self.shortcut)).add_(f[:, None, None] + near)

    def add_shortcut_gradient(self, dx: torch.Tensor, dy: torch.Tensor) -> None:
        dx[self.near_pixels(dx, dy.shape, dx.shape[-1])] += self.product(dy, self.shortcut_back)


class FoldedShuffleLayer:
    """Grouped matrix product, SiLU, channel shuffle, shortcut: [B, T, C] to [B, T, out]."""

    def __init__(self, layer: ShuffleLayer) -> None:
        weight, bias = folded(nn.Sequential(layer.conv, layer.bn))
        scale, shift = affine_of(layer.bn_sc)
        like = layer.conv.weight
        self.weights = weight.squeeze(2).to(like).detach().chunk(layer.groups)
        self.biases = bias.to(like).detach().chunk(layer.groups)
        self.scale, self.shift = scale.to(like).detach(), shift.to(like).detach()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        branch = F.silu(grouped_linear(x, self.weights, self.biases))
        shuffled = branch.unflatten(-1, (len(self.weights), -1)).transpose(-1, -2).flatten(-2)
        repeats = math.ceil(len(self.scale) / x.shape[-1])
        return shuffled + x.repeat(1, 1, repeats)[..., : len(self.scale)] * self.scale + self.shift


def grouped_linear(x: torch.Tensor, weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor]) -> torch.Tensor:
    """Each group of the last axis through its own matrix.

    Parameters
    ----------
    x
        (..., C).
    weights
        (M, C / groups) of each group.
    biases
        (M,) of each group.

    Returns
    -------
    torch.Tensor
        (..., groups M).
    """
    parts = zip(x.chunk(len(weights), dim=-1), weights, biases, strict=True)
    return torch.cat([F.linear(part, weight, bias) for part, weight, bias in parts], dim=-1)


class FoldedReadout:
    """One mouse's neurons, or some of them: [B, T, C] to [B, N, T]."""

    def __init__(self, readout: Readout) -> None:
        convolution: Any = readout.layer[1]
        self.beta, self.neurons = readout.beta, readout.neurons
        self.weights = convolution.weight.detach().squeeze(2).chunk(convolution.groups)
        self.biases = convolution.bias.detach().chunk(convolution.groups)
        self._chosen: tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]] | None = None

    def __call__(self, x: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        if neurons is None:
            drive = grouped_linear(x, self.weights, self.biases)[..., : self.neurons]
        else:
            # Runs ask for the same neurons again and again, with the same tensor; other threads may ask for others.
            chosen = self._chosen
            if chosen is None or chosen[0] is not neurons:
                chosen = self._chosen = (neurons, self._slice(neurons))
            drive = chosen[1](x)
        return F.softplus(drive.transpose(1, 2), beta=self.beta)

    def _slice(self, neurons: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        group = neurons // len(self.biases[0])
        order = torch.argsort(group, stable=True)
        chosen = [neurons[group == each] - each * len(self.biases[0]) for each in range(len(self.weights))]
        weights = [weight[part] for weight, part in zip(self.weights, chosen, strict=True)]
        biases = [bias[part] for bias, part in zip(self.biases, chosen, strict=True)]
        back = torch.argsort(order)
        in_order = bool((order[1:] > order[:-1]).all())

        def drive(x: torch.Tensor) -> torch.Tensor:
            answer = grouped_linear(x, weights, biases)
            return answer if in_order else answer[..., back]

        return drive


class FoldedDwiseNeuro:
    """A frozen DwiseNeuro for one mouse: [B, 5, T, H, W] to [B, N, T]. Built with `FoldedDwiseNeuro.of`.

    Parameters
    ----------
    blocks
        The core, first block first.
    cortex
        Its layers.
    readout
        Of one mouse.
    """

    takes_precision = True

    def __init__(self, blocks: list[FoldedBlock], cortex: list[FoldedShuffleLayer], readout: FoldedReadout) -> None:
        self.blocks, self.cortex, self.readout = blocks, cortex, readout

    @classmethod
    def of(cls, module: DwiseNeuro, mouse: int = 0, precision: torch.dtype | None = None) -> FoldedDwiseNeuro:
        """Fold a module; later changes of its weights do not follow.

        Parameters
        ----------
        module
            In evaluation mode, in the precision and on the device wanted.
        mouse
            Index of its readout.
        precision
            Of the blocks after the first, which sees grey levels; None for the module's own.

        Returns
        -------
        FoldedDwiseNeuro
            Of this mouse alone.
        """
        kept = BufferPool()
        children: list[Any] = list(module.core.blocks)
        with torch.no_grad():
            blocks: list[FoldedBlock] = [FoldedFirstBlock(module.core.stem, children[0], children[1], kept)]
            blocks += [
                FoldedResidual(*pair, kept, precision) for pair in zip(children[2::2], children[3::2], strict=True)
            ]
            layers: Any = module.cortex.layers
            cortex = [FoldedShuffleLayer(layer) for layer in layers]
            readout: Any = module.readouts[mouse]
            return cls(blocks, cortex, FoldedReadout(readout))

    def __call__(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        """Activity of all neurons, or of those with the indices `neurons`; differentiable once, in `windows`."""
        x = windows.permute(0, 2, 3, 4, 1).contiguous()
        for block in self.blocks:
            x = block(x.to(block.dtype))
        x = x.to(windows.dtype).mean(dim=(2, 3))
        for layer in self.cortex:
            x = layer(x)
        return self.readout(x, neurons)
