"""Where the outline of a mask runs on an enlarged frame."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

DASH_PX = 2.0  # length of a dash and of a gap, in pixels of the movie
THICK_FROM_SCALE = 8  # enlargement from which a line one pixel thick looks lost


def outline(inside: NDArray[np.bool_], scale: int, dashed: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the pixels of a line just inside a mask's edge on the enlarged frame.

    Parameters
    ----------
    inside
        (H, W), True inside the mask.
    scale
        Enlargement, >= 1.
    dashed
        Leave gaps.

    Returns
    -------
    tuple[NDArray[np.intp], NDArray[np.intp]]
        flat indices into the (H * scale, W * scale) frame of the line, and of the pixels beside it (its shadow).
    """
    large = np.pad(inside.repeat(scale, axis=0).repeat(scale, axis=1), 1)
    line = large[1:-1, 1:-1] & ~_eroded(large)[1:-1, 1:-1]
    if scale >= THICK_FROM_SCALE:
        inner = np.pad(large[1:-1, 1:-1] & ~line, 1)
        line |= inner[1:-1, 1:-1] & ~_eroded(inner)[1:-1, 1:-1]
    if dashed:
        line = _dashed(line, scale)
    around = ~_eroded(np.pad(~line, 1, constant_values=True))[1:-1, 1:-1]
    return np.flatnonzero(line), np.flatnonzero(around & ~line)


def _dashed(line: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Cut a closed line into dashes of about two movie pixels, in order of the angle around its middle."""
    rows, columns = np.nonzero(line)
    if not len(rows):
        return line
    order = np.argsort(np.arctan2(rows - rows.mean(), columns - columns.mean()), kind="stable")
    thickness = 2 if scale >= THICK_FROM_SCALE else 1
    dashes = max(2, 2 * round(len(order) / (2 * thickness * DASH_PX * scale)))
    kept = order[np.arange(len(order)) * dashes // len(order) % 2 == 0]
    dashed = np.zeros_like(line)
    dashed[rows[kept], columns[kept]] = True
    return dashed


def _eroded(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose eight neighbours are inside too; the array needs a border of one pixel."""
    kept = inside.copy()
    for row, column in itertools.product((-1, 0, 1), repeat=2):
        kept &= np.roll(inside, (row, column), axis=(0, 1))
    return kept
