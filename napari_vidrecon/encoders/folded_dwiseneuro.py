"""DwiseNeuro with frozen weights, for one mouse: the numbers of `dwiseneuro.py`, and its input gradient, faster.

How the blocks do it is told, and derived, in `folded_block.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon.encoders.folded_block import (
    FoldedBlock,
    FoldedFirstBlock,
    FoldedResidual,
    affine_of,
    folded,
)
from napari_vidrecon.encoders.kept_tensors import KeptTensors

if TYPE_CHECKING:
    from napari_vidrecon.encoders.dwiseneuro import DwiseNeuro, Readout, ShuffleLayer


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
    """Each group of the last axis through its own matrix."""
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
    """A frozen DwiseNeuro for one mouse: [B, 5, T, H, W] to [B, N, T]. Built with `FoldedDwiseNeuro.of`."""

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
        """
        kept = KeptTensors()
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
