"""CutMix: a box of one window, all its frames and channels, is replaced by that of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Boxes:
    """One box a window, or an empty one: first row, end row, first column, end column; (B, 4) integers."""

    edges: np.ndarray
    rows: int
    columns: int

    @property
    def areas(self) -> np.ndarray:
        """Share of the canvas each box covers, (B,) 0..1."""
        sides = self.edges[:, 1::2] - self.edges[:, ::2]
        return sides.prod(axis=1) / (self.rows * self.columns)


def draw_boxes(
    generator: np.random.Generator, windows: int, rows: int, columns: int, *, alpha: float, probability: float
) -> Boxes:
    """Boxes for a batch.

    Parameters
    ----------
    generator
        Where chance comes from.
    windows
        In the batch.
    rows, columns
        Of the canvas.
    alpha
        Areas follow Beta(alpha, alpha), before they are cut at the canvas's edge.
    probability
        Of a window to be mixed at all.

    Source: Baikulov 2023.
    """
    used = generator.random(windows) < probability
    side = np.sqrt(generator.beta(alpha, alpha, windows))
    edges = []
    for length in (rows, columns):
        half = (length * side).astype(np.int64) // 2
        centre = generator.integers(0, length, windows)
        edges += [(centre - half).clip(0, length), (centre + half).clip(0, length)]
    return Boxes(np.stack(edges, axis=1) * used[:, None], rows, columns)


def mix_inputs(inputs: torch.Tensor, others: torch.Tensor, boxes: Boxes) -> torch.Tensor:
    """Windows (B, C, T, rows, columns) with the boxes of `others` pasted in."""
    mixed = inputs.clone()
    for window, (top, bottom, left, right) in enumerate(boxes.edges.tolist()):
        mixed[window, ..., top:bottom, left:right] = others[window, ..., top:bottom, left:right]
    return mixed


def mix_targets(targets: torch.Tensor, others: torch.Tensor, boxes: Boxes) -> torch.Tensor:
    """Activity (B, N, T), mixed by the areas of the boxes."""
    weight = torch.as_tensor(boxes.areas, dtype=targets.dtype, device=targets.device)[:, None, None]
    return (1 - weight) * targets + weight * others
