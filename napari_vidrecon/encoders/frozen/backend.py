"""What frozen encoders compute with: the fastest matrix product of the machine, and tensors that are lent again."""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F

CPU_INFO = Path("/proc/cpuinfo")


class MatrixProduct(Protocol):
    """(..., K) times (M, K), plus (M,): (..., M). Like `torch.nn.functional.linear`, but without gradients."""

    def __call__(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor: ...


def matrix_product_for(device: torch.device, dtype: torch.dtype) -> MatrixProduct:
    """The product to use for tall matrices on a device.

    Chosen by what is there, never by a timing, so that the same machine always gives the same bits.

    Returns
    -------
    MatrixProduct
        A function of x, weight and bias.
    """
    on_cpu = device.type == "cpu" and dtype == torch.float32
    return onednn_product if on_cpu and not made_by_intel() and _onednn_works() else plain_product


def plain_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """As torch does it, which is slower for a tensor of many axes.

    Parameters
    ----------
    x
        (..., K).
    weight
        (M, K).
    bias
        (M,), or None.

    Returns
    -------
    torch.Tensor
        (..., M).
    """
    return F.linear(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])


def onednn_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """As a 1x1 convolution over a column of pixels, which torch gives to oneDNN.

    torch gives `F.linear` to MKL, which on AMD processors runs at half the speed (float32, one thread of an EPYC:
    100 against 220 GFLOP/s). On Intel's both are equally fast, and this one takes seven calls more.

    Parameters
    ----------
    x
        (..., K).
    weight
        (M, K).
    bias
        (M,), or None.

    Returns
    -------
    torch.Tensor
        (..., M).
    """
    pixels = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    y = torch.mkldnn_convolution(pixels, weight[:, :, None, None], bias, (0, 0), (1, 1), (1, 1), 1)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


@functools.cache
def made_by_intel() -> bool:
    """Whether the processor is one of Intel's, as far as the system tells."""
    told = CPU_INFO.read_text(errors="replace") if CPU_INFO.is_file() else platform.processor()
    return "Intel" in told


def _onednn_works() -> bool:
    """Whether torch has oneDNN, and its convolution can still be called as above; it is not a documented one."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([5.0])
    try:
        with torch.no_grad():
            return bool(torch.allclose(onednn_product(x, weight, bias), F.linear(x, weight, bias)))
    except (AttributeError, RuntimeError, TypeError):
        return False


FRAMES, ROWS = 1, 2
"""Axes of [B, T, H, W, C]."""


class BufferPool:
    """Tensors that nobody needs at the moment, by shape.

    Several threads may borrow at once: adding to a list, and taking from it, cannot be interrupted. Devices other
    than CPUs have an allocator that does the same.

    Attributes
    ----------
    free
        By shape.
    """

    def __init__(self) -> None:
        self.free: dict[tuple[int, ...], list[torch.Tensor]] = {}

    def lend(self, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """A tensor of any content."""
        try:
            return self.free[shape].pop()
        except (KeyError, IndexError):
            return like.new_empty(shape)

    def take_back(self, tensor: torch.Tensor) -> None:
        """The next borrower will overwrite it."""
        if tensor.device.type == "cpu":
            self.free.setdefault(tuple(tensor.shape), []).append(tensor)


class Loans:
    """What a block has borrowed for some windows.

    Parameters
    ----------
    kept
        Lends.
    like
        A tensor of the precision and on the device wanted.
    """

    def __init__(self, kept: BufferPool, like: torch.Tensor) -> None:
        self._kept, self._like = kept, like
        self._lent: list[torch.Tensor] = []

    def lend(self, shape: tuple[int, ...]) -> torch.Tensor:
        """A tensor of any content."""
        self._lent.append(self._kept.lend(shape, self._like))
        return self._lent[-1]

    def assembled(
        self, shape: tuple[int, ...], axis: int, tiles: Sequence[slice], compute: Callable[[slice], torch.Tensor]
    ) -> torch.Tensor:
        """A tensor of `shape` made of tiles along an axis; one tile alone is taken as it is.

        Parameters
        ----------
        shape
            Of the whole tensor.
        axis
            Along which the tiles lie.
        tiles
            One after the other.
        compute
            Makes the tensor of one tile.

        Returns
        -------
        torch.Tensor
            Of the pool, or the one tile.
        """
        if len(tiles) == 1:
            return compute(tiles[0])
        whole = self.lend(shape)
        for tile in tiles:
            whole[(*(slice(None),) * axis, tile)] = compute(tile)
        return whole

    def end(self) -> None:
        """Give everything back."""
        for tensor in self._lent:
            self._kept.take_back(tensor)
        self._lent = []
