"""Chance in a drawn movie: which neurons count how much, and where the prior's middle lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

WEIGHTS, CENTRE = 0, 1
"""Streams of chance."""
SMALLEST = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Draw:
    """One of several movies that activity and prior leave open.

    The weighted likelihood bootstrap (Newton & Raftery 1994): every neuron counts by an exponential weight, as if
    others had been recorded, and the prior lies around a movie drawn from it. Where neurons say much, all draws agree;
    where they say nothing, each shows its own drawn movie. No model of the noise is needed. Draws come in pairs of
    opposite chance, so that chance all but cancels in the mean of a pair.

    Parameters
    ----------
    seed
        Of the run.
    index
        Of the draw, 0, 1, ...
    """

    seed: int
    index: int

    def weights(self, neurons: int) -> torch.Tensor:
        """(neurons,) what each counts; 1 on average."""
        chance = self._chance(WEIGHTS).random(neurons)
        # The logarithm of a uniform number makes an exponential one, and so does that of its opposite.
        return torch.as_tensor(-np.log(np.maximum(chance if self._opposite else 1.0 - chance, SMALLEST)))

    def coefficients(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """Whitened coefficients of a movie from the prior, of a shape (frames, rows, columns)."""
        drawn = self._chance(CENTRE).standard_normal(shape)
        return torch.as_tensor(-drawn if self._opposite else drawn)

    @property
    def _opposite(self) -> bool:
        return self.index % 2 == 1

    def _chance(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.index // 2, stream])
