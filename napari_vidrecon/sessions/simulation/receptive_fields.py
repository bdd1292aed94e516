"""The receptive fields of the simulated neurons: where each looks, for what, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

from napari_vidrecon.sessions.simulation.camera import HEIGHT, WIDTH
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

SIMPLE, COMPLEX, ON, OFF = 0, 1, 2, 3
KIND_NAMES = ("simple", "complex", "on", "off")
KIND_FRACTIONS = (0.55, 0.20, 0.125, 0.125)
DIRECTION_SELECTIVE_FRACTION = 0.35

SIGMA_PX = 2.4
PERIOD_IN_SIGMAS = 3.6
SURROUND_IN_SIGMAS = 2.0
# Share of the response to uniform light that a filter loses; the rest lets cells report luminance.
DC_REMOVED = 0.8

FIELDS_BEYOND_RADIUS = 0.10
RADIUS_STRETCH = 1.25

# Rate constants of the temporal filters, 1/s; the fast filter of a neuron peaks 50 to 80 ms after the light.
TEMPORAL_RATES_PER_S = (38.0, 48.0, 60.0)
FAST_ORDER, SLOW_ORDER = 3, 7
TEMPORAL_FRAMES = 16


@dataclass(frozen=True)
class ReceptiveFields:
    """Parameters of N receptive fields; every array has shape (N,).

    Attributes
    ----------
    row, column
        Centre on the screen, px.
    sigma
        Standard deviation of the envelope, px.
    aspect
        Length of the envelope along the stripes over its width.
    period
        Of the grating, px.
    orientation
        Of the normal to its stripes, rad, 0..pi; 0 is horizontal.
    phase
        Of the grating at the centre, rad.
    kind
        0 simple, 1 complex, 2 on, 3 off.
    direction
        +1 or -1 prefers motion along or against the normal; 0 is not direction selective.
    speed
        Index into `TEMPORAL_RATES_PER_S`.
    transience
        0 sustained .. 1 transient; direction-selective cells use fully biphasic filters instead.
    """

    row: np.ndarray
    column: np.ndarray
    sigma: np.ndarray
    aspect: np.ndarray
    period: np.ndarray
    orientation: np.ndarray
    phase: np.ndarray
    kind: np.ndarray
    direction: np.ndarray
    speed: np.ndarray
    transience: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def spatial_filters(self) -> np.ndarray:
        """(2, N, 36 * 64) float32: each neuron's filter and its partner a quarter period on, unit norm."""
        pair = np.zeros((2, len(self), HEIGHT * WIDTH), dtype=np.float32)
        for i in range(len(self)):
            patterns = self._spot(i) if self.kind[i] >= ON else self._gabor_pair(i)
            for filters, pattern in zip(pair, patterns, strict=False):
                filters[i] = (pattern / np.linalg.norm(pattern)).ravel()
        return pair

    def _gabor_pair(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._around(i)
        cosine, sine = np.cos(self.orientation[i]), np.sin(self.orientation[i])
        across, along = cosine * x + sine * y, cosine * y - sine * x
        length = self.sigma[i] * self.aspect[i]
        envelope = np.exp(-0.5 * ((across / self.sigma[i]) ** 2 + (along / length) ** 2))
        angle = 2 * np.pi * across / self.period[i] + self.phase[i]
        return _balanced(envelope * np.cos(angle), envelope), _balanced(envelope * np.sin(angle), envelope)

    def _spot(self, i: int) -> tuple[np.ndarray]:
        x, y = self._around(i)
        distance = x**2 + y**2
        centre = np.exp(-0.5 * distance / self.sigma[i] ** 2)
        surround = np.exp(-0.5 * distance / (SURROUND_IN_SIGMAS * self.sigma[i]) ** 2)
        return (_balanced(centre, surround) * (-1.0 if self.kind[i] == OFF else 1.0),)

    def _around(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of the screen relative to the centre of neuron i."""
        return np.arange(WIDTH)[None, :] - self.column[i], np.arange(HEIGHT)[:, None] - self.row[i]

    def temporal_filters(self) -> np.ndarray:
        """(2, N, 16) float32: fast and slow filter of each neuron over the last 16 frames, latest first."""
        rates = np.array(TEMPORAL_RATES_PER_S)[self.speed]
        transience = np.where(self.direction == 0, self.transience, 1.0)
        fast = np.stack([temporal_filter(r, FAST_ORDER, w) for r, w in zip(rates, transience, strict=True)])
        slow = np.stack([temporal_filter(r, SLOW_ORDER, w) for r, w in zip(rates, transience, strict=True)])
        return np.stack([fast, slow]).astype(np.float32)


def temporal_filter(rate_per_s: float, order: int, transience: float) -> np.ndarray:
    """Gamma filter minus `transience` times a later one, over 16 frames, latest first.

    With transience 1 it is the biphasic filter of Adelson & Bergen 1985, which ignores steady light.

    Parameters
    ----------
    rate_per_s
        Of the decay, per second.
    order
        Of the gamma function; larger is later.
    transience
        0 for a sustained cell, 1 for a transient one.

    Returns
    -------
    np.ndarray
        (16,), of norm 1.
    """
    # Averaging over each frame keeps the filter's area right although frames are long compared with it.
    steps = 8
    time = (np.arange(TEMPORAL_FRAMES * steps) + 0.5) / steps / FRAME_RATE_HZ
    kt = rate_per_s * time
    early = kt**order * np.exp(-kt) / factorial(order)
    late = kt ** (order + 2) * np.exp(-kt) / factorial(order + 2)
    values = (early - transience * late).reshape(TEMPORAL_FRAMES, steps).mean(axis=1)
    if transience == 1.0:
        values -= values.mean()
    return values / np.linalg.norm(values)


def _balanced(pattern: np.ndarray, envelope: np.ndarray) -> np.ndarray:
    return pattern - DC_REMOVED * pattern.sum() / envelope.sum() * envelope


def draw_receptive_fields(
    rng: np.random.Generator,
    neurons: int,
    *,
    radius_px: float,
    centre: tuple[float, float],
) -> ReceptiveFields:
    """Draw a population.

    Parameters
    ----------
    rng
        Random generator.
    neurons
        How many.
    radius_px
        Centres lie evenly in a disc of this radius; one in ten up to a quarter farther out.
    centre
        (row, column) of the disc, px.

    Returns
    -------
    ReceptiveFields
        One a neuron.
    """
    reach = np.where(rng.random(neurons) < FIELDS_BEYOND_RADIUS, RADIUS_STRETCH, 1.0) * radius_px
    distance = reach * np.sqrt(rng.random(neurons))
    azimuth = rng.uniform(0, 2 * np.pi, neurons)
    kind = rng.choice(len(KIND_NAMES), size=neurons, p=KIND_FRACTIONS)
    selective = (rng.random(neurons) < DIRECTION_SELECTIVE_FRACTION / sum(KIND_FRACTIONS[:2])) & (kind < ON)
    sigma = np.clip(SIGMA_PX * np.exp(rng.normal(0.0, 0.18, neurons)), 1.5, 3.8)
    return ReceptiveFields(
        row=centre[0] + distance * np.sin(azimuth),
        column=centre[1] + distance * np.cos(azimuth),
        sigma=np.where(kind >= ON, 0.8 * sigma, sigma),
        aspect=np.clip(np.exp(rng.normal(0.2, 0.2, neurons)), 0.8, 1.8),
        period=sigma * PERIOD_IN_SIGMAS * np.exp(rng.normal(0.0, 0.2, neurons)),
        orientation=rng.uniform(0, np.pi, neurons),
        phase=rng.uniform(0, 2 * np.pi, neurons),
        kind=kind,
        direction=np.where(selective, rng.choice([-1, 1], neurons), 0),
        speed=rng.integers(len(TEMPORAL_RATES_PER_S), size=neurons),
        transience=rng.uniform(0.2, 0.9, neurons),
    )
