"""Inverted residuals on a GPU by fused kernels: the passes of `folded_block.py`, with a third of their memory traffic.

Weights are frozen, so a backward pass needs no more than the block's input, u2 and u3: u1 is computed again, and the
gradients of u3 and u2 take their places. Kernels: `kernels.py`.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import torch
import torch.nn.functional as F

TAPS = 5
"""Of the temporal convolution, the only number that the kernels slide along the frames."""
LEAST_BLOCK = 16
"""Rows and columns of the smallest matrix product."""
MOST_CHANNELS = 256
"""Of a block's input: its gradient is summed in registers."""


@dataclass(frozen=True)
class Tiling:
    """How the kernels cut their work; found by `benchmarks/speed/tuning.py`.

    Parameters
    ----------
    matrix_pixels
        Pixels of a program of a matrix product; a power of two, at least 16.
    stencil_pixels
        Pixels of a program of a depthwise convolution; a power of two.
    middle
        Expanded channels of a program; a power of two, at least 16.
    warps
        Of a program.
    products
        How a product of float32 numbers is computed: "tf32", "tf32x3" or "ieee".
    """

    matrix_pixels: int = 64
    stencil_pixels: int = 32
    middle: int = 64
    warps: int = 4
    products: str = "tf32"


class FoldedWeights(Protocol):
    """What the kernels need to know of a folded block; names as in `folded_block.py`."""

    expand: torch.Tensor
    space_weight: torch.Tensor
    space_bias: torch.Tensor
    time_weight: torch.Tensor
    time_bias: torch.Tensor
    reduce: list[torch.Tensor]
    excite: list[torch.Tensor]
    contract: torch.Tensor
    bias: torch.Tensor
    stride: int
    out: int
    fused: FusedPasses | None

    def expansion_input(self, x: torch.Tensor) -> torch.Tensor:
        """What `expand` is multiplied with to give u1 without its tables."""

    def expansion_tables(self, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What is added to give u1: (frames or 1, M), and (rows, columns, M) or None."""


@dataclass
class FusedKept:
    """What a block keeps for its backward pass: names as in `folded_block.py`.

    Parameters
    ----------
    x
        Input with its positions, [B, T, H, W, C].
    u2, u3
        Before the second and third SiLU, [B, T, H', W', M]; used up by the backward pass.
    reduced
        What the gate's first layer gave, before its SiLU.
    gate
        [B, M], 0..1.
    """

    x: torch.Tensor
    u2: torch.Tensor
    u3: torch.Tensor
    reduced: torch.Tensor
    gate: torch.Tensor


def power_of_two(length: int, most: int) -> int:
    """The smallest one that holds `length`, at least 16 and at most `most`."""
    return max(LEAST_BLOCK, min(most, 1 << max(0, length - 1).bit_length()))


def kernels_at_hand() -> bool:
    """Whether Triton, which compiles the kernels, is installed."""
    return importlib.util.find_spec("triton") is not None


class FusedPasses:
    """The forward and backward pass of folded blocks, by fused kernels.

    Parameters
    ----------
    tiling
        How the work is cut.
    """

    def __init__(self, tiling: Tiling | None = None) -> None:
        self.tiling = tiling or Tiling()

    @staticmethod
    def fit(block: FoldedWeights) -> bool:
        """Whether the kernels know a block's sizes."""
        channels = block.expand.shape[1]
        return block.time_weight.shape[2] == TAPS and channels <= MOST_CHANNELS and block.out <= MOST_CHANNELS

    def take_over(self, blocks: Sequence[FoldedWeights]) -> int:
        """Do both passes of the blocks that fit, from now on; how many these are."""
        fitting = [block for block in blocks if self.fit(block)]
        for block in fitting:
            block.fused = self
        return len(fitting)

    def forward(self, block: FoldedWeights, x: torch.Tensor, *, keep: bool) -> tuple[torch.Tensor, FusedKept | None]:
        """The block's answer to an input with its positions.

        Parameters
        ----------
        block
            Its weights.
        x
            [B, T, H, W, C], contiguous.
        keep
            Whether a backward pass follows.

        Returns
        -------
        tuple[torch.Tensor, FusedKept | None]
            [B, T, H', W', C'], and what the backward pass needs.
        """
        kernels, cut = _kernels(), self.tiling
        x = block.expansion_input(x).contiguous()
        windows, frames, rows, columns, channels = x.shape
        middle, out, stride = len(block.space_weight), block.out, block.stride
        out_rows, out_columns = (-(-length // stride) for length in (rows, columns))
        image, out_image = rows * columns, out_rows * out_columns
        block_m = power_of_two(middle, cut.middle)
        tiles_m = math.ceil(middle / block_m)
        frame_bias, pixel_bias = block.expansion_tables(x.shape)
        pixels = windows * frames * image

        h1 = x.new_empty(windows, frames, rows, columns, middle)
        kernels.expand[(math.ceil(pixels / cut.matrix_pixels) * tiles_m,)](
            x, block.expand, frame_bias, frame_bias if pixel_bias is None else pixel_bias, h1,
            pixels, image, len(frame_bias), channels, middle, pixel_bias is not None,
            cut.matrix_pixels, power_of_two(channels, cut.middle), block_m, cut.products, num_warps=cut.warps,
        )  # fmt: skip
        u2 = x.new_empty(windows, frames, out_rows, out_columns, middle)
        pixels = windows * frames * out_image
        kernels.space[(math.ceil(pixels / cut.stencil_pixels) * tiles_m,)](
            h1, block.space_weight, block.space_bias, u2, pixels, rows, columns, out_rows, out_columns, middle,
            stride, block.space_weight.shape[-1], cut.stencil_pixels, block_m, num_warps=cut.warps,
        )  # fmt: skip
        del h1
        parts = math.ceil(out_image / cut.stencil_pixels)
        u3 = torch.empty_like(u2)
        sums = x.new_empty(windows, parts, middle, dtype=torch.float32)
        kernels.time[(parts * tiles_m, windows)](
            u2, block.time_weight, block.time_bias, u3, sums, out_image, frames, middle,
            cut.stencil_pixels, block_m, num_warps=cut.warps,
        )  # fmt: skip
        mean = (sums.sum(dim=1) / (frames * out_image)).to(x.dtype)
        reduced = F.linear(mean, *block.reduce)
        gate = F.linear(F.silu(reduced), *block.excite).sigmoid()
        y = x.new_empty(windows, frames, out_rows, out_columns, out)
        block_o = power_of_two(out, MOST_CHANNELS)
        kernels.contract[(math.ceil(frames * out_image / cut.matrix_pixels) * math.ceil(out / block_o), windows)](
            u3, block.contract, gate, block.bias, y, frames * out_image, middle, out,
            cut.matrix_pixels, block_m, block_o, cut.products, num_warps=cut.warps,
        )  # fmt: skip
        return y, FusedKept(x, u2, u3, reduced, gate) if keep else None

    def backward(self, block: FoldedWeights, dy: torch.Tensor, kept: FusedKept) -> torch.Tensor:
        """Gradient of the input through all but the shortcut.

        Parameters
        ----------
        block
            Its weights.
        dy
            [B, T, H', W', C'], contiguous.
        kept
            Of the forward pass; used up.

        Returns
        -------
        torch.Tensor
            [B, T, H, W, C].
        """
        kernels, cut = _kernels(), self.tiling
        x, u2, u3, gate = kept.x, kept.u2, kept.u3, kept.gate
        windows, frames, rows, columns, channels = x.shape
        out_rows, out_columns, middle, out = *u3.shape[2:], block.out
        image, out_image = rows * columns, out_rows * out_columns
        block_m, block_o = power_of_two(middle, cut.middle), power_of_two(out, cut.middle)
        tiles_m = math.ceil(middle / block_m)
        pixels = frames * out_image
        parts = math.ceil(pixels / cut.matrix_pixels)
        matrices = (cut.matrix_pixels, block_m, block_o, cut.products)

        sums = x.new_empty(windows, parts, middle, dtype=torch.float32)
        kernels.gate_back[(parts * tiles_m, windows)](
            dy, u3, block.contract, sums, pixels, middle, out, *matrices, num_warps=cut.warps
        )
        # The sums have to be whole before u3's gradient is known, as the gate's mean is over all pixels.
        dgate = sums.sum(dim=1).to(x.dtype) * gate * (1.0 - gate)
        dreduced = torch.ops.aten.silu_backward(dgate @ block.excite[0], kept.reduced)
        dmean = dreduced @ block.reduce[0] / (frames * out_image)
        kernels.contract_back[(parts * tiles_m, windows)](
            dy, u3, block.contract, gate, dmean.contiguous(), pixels, middle, out, *matrices, num_warps=cut.warps
        )
        kernels.time_back[(math.ceil(out_image / cut.stencil_pixels) * tiles_m, windows)](
            u3, u2, block.time_weight, out_image, frames, middle, cut.stencil_pixels, block_m, num_warps=cut.warps
        )
        frame_bias, pixel_bias = block.expansion_tables(x.shape)
        dx = torch.empty_like(x)
        pixels = windows * frames * image
        kernels.expand_back[(math.ceil(pixels / cut.matrix_pixels),)](
            u2, x, block.space_weight, block.expand, frame_bias, frame_bias if pixel_bias is None else pixel_bias, dx,
            pixels, image, rows, columns, out_rows, out_columns, len(frame_bias), channels, middle,
            pixel_bias is not None, block.stride, block.space_weight.shape[-1], cut.matrix_pixels,
            power_of_two(channels, cut.middle), block_m, power_of_two(channels, MOST_CHANNELS), cut.products,
            num_warps=cut.warps,
        )  # fmt: skip
        return dx


def _kernels() -> ModuleType | Any:
    """Imported only where they are used: Triton is not installed everywhere."""
    from napari_vidrecon.encoders.frozen import kernels

    return kernels
