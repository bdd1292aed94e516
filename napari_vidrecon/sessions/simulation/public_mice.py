"""Statistics of the ten public mice (Sensorium 2023), and simulated neurons whose recorded activity has them.

Figures only: means and spreads over neurons and mice, from the statistics published with bryanlimy/ViV1T-closed-loop
(MIT), which were derived from the data of Sensorium 2023 (CC BY-NC-ND 4.0). No array of those data is here.
"""

from __future__ import annotations

import numpy as np

from napari_vidrecon.sessions.simulation import signals
from napari_vidrecon.sessions.simulation.movies import Grading
from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck
from napari_vidrecon.sessions.simulation.visual_cortex import SPONTANEOUS_SHARE, VisualCortex

RECORDING_STREAM, NOISE_STREAM, TIME_STREAM = 11, 12, 13

PUBLIC_GREY = 80.0
"""Mean grey level of the public movies (77.5 to 81.9)."""
PUBLIC_GRADING = Grading(mean=96.0, contrast=64.0, gamma=1.32)
"""Movies of that mean, whose pixels deviate by 57 (public: 56.8 to 59.7) with a median of 71 (66.8 to 71.6)."""

MEAN_RESPONSE, MEAN_SPREAD = 2.4, 0.8
"""Median over neurons of a neuron's mean response, and the deviation of its logarithm (1.7 to 3.3; 0.7 to 0.85)."""
FANO, FANO_SPREAD, FANO_FOLLOWS_MEAN = 48.0, 0.95, 0.86
"""Median of variance over mean, without what movies add (39 to 69 with it), the deviation of its logarithm, and the
correlation of that with the mean's logarithm."""
EVENT_SIZE_CV = 1.5
"""Of the sizes of one neuron's events: heavy enough for largest responses of 33 deviations (median of ten mice)."""
LEAST_EVENT_SIZE = 2.0
"""Response units."""

LATENTS, LATENT_SECONDS = 3, (1.5, 0.7, 4.0)
LATENT_SPREAD = (0.35, 0.2, 0.2)
"""Shared fluctuations of the logarithm of the rate: the first raises all neurons, the others some and lower some.

No figure of the public mice stands behind these and the drift: trials of one movie would be needed.
"""
COMMON_LOADING_SPREAD = 0.3
DRIFT_SPREAD, DRIFT_CYCLES = 0.25, (0.5, 2.0)
"""Slow drift of each neuron's excitability: deviation of its logarithm, and cycles in the course of a session."""

SHOT_POWER = 1.0 + EVENT_SIZE_CV**2
KERNEL = np.array(signals.RESIDUAL_KERNEL)
CLOCK_POWER = 0.75
"""Part of the variance between scans that linear interpolation to the movie's frames leaves."""
FANO_PER_SIZE = SHOT_POWER * CLOCK_POWER * float((KERNEL**2).sum() / KERNEL.sum())


class PublicActivity:
    """Noise of a population: few events of very different sizes, shared fluctuations and a slow drift.

    Every trial's noise is a pure function of the seed and the trial's number.

    Parameters
    ----------
    neurons
        How many.
    seed
        Draws the population and its noise.

    Attributes
    ----------
    mean_response
        (N,) response units.
    event_size
        (N,) mean size of an event, response units.
    """

    def __init__(self, neurons: int, seed: int) -> None:
        rng = np.random.default_rng([seed, RECORDING_STREAM])
        self.seed = seed
        ours, own = rng.standard_normal((2, neurons))
        fano = FANO_FOLLOWS_MEAN * ours + np.sqrt(1.0 - FANO_FOLLOWS_MEAN**2) * own
        self.mean_response = (MEAN_RESPONSE * np.exp(MEAN_SPREAD * ours)).astype(np.float32)
        size = FANO * np.exp(FANO_SPREAD * fano) / FANO_PER_SIZE
        self.event_size = np.maximum(size, LEAST_EVENT_SIZE).astype(np.float32)
        loadings = rng.standard_normal((neurons, LATENTS))
        loadings[:, 0] = np.exp(COMMON_LOADING_SPREAD * loadings[:, 0])
        self._loadings = (loadings * LATENT_SPREAD).astype(np.float32)
        self._drift_cycles = rng.uniform(*DRIFT_CYCLES, neurons)
        self._drift_phase = rng.uniform(0.0, 2.0 * np.pi, neurons)

    @property
    def event_rate_hz(self) -> np.ndarray:
        """(N,) mean number of events a second."""
        return self.mean_response * signals.SCAN_RATE_HZ / (self.event_size * KERNEL.sum())

    def counts(self, expected: np.ndarray) -> np.ndarray:
        """Expected events in each scan.

        Parameters
        ----------
        expected
            (N, T) mean response at 30 Hz, response units.

        Returns
        -------
        np.ndarray
            (N, bins).
        """
        per_unit = 1.0 / (self.event_size * np.float32(KERNEL.sum()))
        return (expected @ signals.bin_average(expected.shape[1])) * per_unit[:, None]

    def scan(self, counts: np.ndarray, trial: int) -> np.ndarray:
        """One noisy trial at the microscope's rate.

        Parameters
        ----------
        counts
            (N, bins) expected events of each scan.
        trial
            Its number.

        Returns
        -------
        np.ndarray
            (N, bins) float32, response units.
        """
        rng = np.random.default_rng([self.seed, NOISE_STREAM, trial])
        latents = [ornstein_uhlenbeck(rng, counts.shape[1], 1.0, s, signals.SCAN_RATE_HZ) for s in LATENT_SECONDS]
        shared = self._loadings @ np.array(latents) - 0.5 * (self._loadings**2).sum(axis=1, keepdims=True)
        counts = counts * np.exp(shared + self.drift(trial)[:, None])
        events = signals.draw_events(rng, counts, EVENT_SIZE_CV)
        return signals.residual(events) * self.event_size[:, None]

    def drift(self, trial: int) -> np.ndarray:
        """(N,) logarithm of the excitability; trials' numbers do not tell when in the session they were shown."""
        time = np.random.default_rng([self.seed, TIME_STREAM, trial]).random()
        course = np.cos(2.0 * np.pi * self._drift_cycles * time + self._drift_phase)
        return DRIFT_SPREAD * np.sqrt(2.0) * course - DRIFT_SPREAD**2 / 2.0


class PublicCortex(VisualCortex):
    """The usual simulated neurons, with the movies' brightness and the activity's statistics of the public mice."""

    grading = PUBLIC_GRADING
    grey_level = PUBLIC_GREY

    def _draw_activity(self) -> None:
        self._activity = PublicActivity(len(self.fields), self.seed)
        self.event_size = self._activity.event_size
        self.preferred_rate_hz = self._activity.event_rate_hz / (1.0 + SPONTANEOUS_SHARE)
        self.spontaneous_hz = SPONTANEOUS_SHARE * self.preferred_rate_hz

    def scan_responses(
        self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray, *, trial: int
    ) -> np.ndarray:
        """One noisy trial at the microscope's rate.

        Parameters
        ----------
        video, behavior, pupil_center, trial
            As in `responses`.

        Returns
        -------
        np.ndarray
            (N, bins) float32 at 8 Hz.
        """
        return self._activity.scan(self._expected_counts(video, behavior, pupil_center), trial)
