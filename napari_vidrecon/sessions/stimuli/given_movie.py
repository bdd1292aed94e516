"""A movie that is at hand as an array, such as what a kept run was shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class GivenMovie:
    """A movie as it is.

    Parameters
    ----------
    name
        For titles and file names.
    pixels
        (T, 36, 64) float32, grey levels 0..255.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> vr.GivenMovie("grey", np.full((40, 36, 64), 127.5)).video().dtype
    dtype('float32')
    """

    name: str
    pixels: np.ndarray

    def video(self) -> np.ndarray:
        """(T, 36, 64) float32, 0..255."""
        return np.asarray(self.pixels, dtype=np.float32)
