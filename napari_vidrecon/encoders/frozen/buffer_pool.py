"""Tensors that are lent for a while and used again: on a CPU, fresh memory is slower than the work on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

FRAMES, ROWS = 1, 2
"""Axes of [B, T, H, W, C]."""


class BufferPool:
    """Tensors that nobody needs at the moment, by shape.

    Several threads may borrow at once: adding to a list, and taking from it, cannot be interrupted. Devices other
    than CPUs have an allocator that does the same.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[int, ...], list[torch.Tensor]] = {}

    def lend(self, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """A tensor of any content."""
        try:
            return self._free[shape].pop()
        except (KeyError, IndexError):
            return like.new_empty(shape)

    def take_back(self, tensor: torch.Tensor) -> None:
        """The next borrower will overwrite it."""
        if tensor.device.type == "cpu":
            self._free.setdefault(tuple(tensor.shape), []).append(tensor)


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
