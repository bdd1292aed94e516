"""Chance in a run: movies drawn from what activity and prior leave open, and small changes of what an encoder sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_vidrecon.reconstruction.config import ReconstructionConfig

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


SHIFT_STREAM, NOISE_STREAM = 2, 3
"""Of chance, apart from those of sub-batches and draws."""


@dataclass(frozen=True)
class Disturbance:
    """Shifts the movie and adds noise, otherwise at every step; gradients are shifted back.

    The running mean of an update averages over the steps. Not part of the published method.

    Parameters
    ----------
    jitter_px
        Largest shift along rows and columns; what leaves on one side of the canvas comes in on the other.
    noise
        SD, grey levels.
    seed
        Of the run.
    member
        Of an ensemble of movies; each has its own chance, so that it cancels in their mean.
    """

    jitter_px: int
    noise: float
    seed: int
    member: int = 0

    @classmethod
    def of(cls, config: ReconstructionConfig, member: int = 0) -> Disturbance | None:
        """The one a configuration names, if any."""
        if not config.input_jitter_px and not config.input_noise:
            return None
        return cls(config.input_jitter_px, config.input_noise, config.seed, member)

    def applied(self, video: torch.Tensor, step: int) -> torch.Tensor:
        """(T, rows, columns) as the encoder sees it at a step."""
        seen = video.roll(self._shift(step), dims=(1, 2))
        if self.noise:
            # Drawn on the CPU, so that it is the same on every machine.
            chance = self._chance(step, NOISE_STREAM).standard_normal(video.shape, dtype=np.float32)
            seen = seen + self.noise * torch.as_tensor(chance).to(video)
        return seen

    def undone(self, gradient: torch.Tensor, step: int) -> torch.Tensor:
        """The gradient of what was seen, in the movie's own place."""
        rows, columns = self._shift(step)
        return gradient.roll((-rows, -columns), dims=(1, 2))

    def _shift(self, step: int) -> tuple[int, int]:
        rows, columns = self._chance(step, SHIFT_STREAM).integers(-self.jitter_px, self.jitter_px + 1, size=2)
        return int(rows), int(columns)

    def _chance(self, step: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step, stream, self.member])
