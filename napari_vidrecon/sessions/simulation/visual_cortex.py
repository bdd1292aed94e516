"""A population of simulated V1 neurons that watches a movie and is recorded by a slow, noisy microscope."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from napari_vidrecon.sessions.simulation import signals
from napari_vidrecon.sessions.simulation.behavior import PUPIL_MEAN, as_seen
from napari_vidrecon.sessions.simulation.movies import USUAL_GRADING, Grading, movie
from napari_vidrecon.sessions.simulation.receptive_fields import COMPLEX, TEMPORAL_FRAMES, draw_receptive_fields
from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck

# Numbers that keep the random streams of one seed apart.
POPULATION_STREAM, CALIBRATION_STREAM, NOISE_STREAM = 3, 4, 5
CALIBRATION_SEEDS_FROM = CALIBRATION_STREAM << 40

GREY_LEVEL = 127.5
POOL_SIGMA_PX = 7.0
HALF_SATURATION_CONTRAST = 0.25

# Output nonlinearity: (softplus of drive above threshold) ** exponent, levelling off at the saturation;
# drive in units of its own deviation.
THRESHOLDS = (0.2, 1.2)
THRESHOLD_SOFTNESS = 0.3
EXPONENT = 1.6
SATURATION = 12.0
RATE_SPREAD = 0.45
# Events without a stimulus: a share of the neuron's own rate plus a rate common to all (Hz, at gain 1).
SPONTANEOUS_SHARE, SPONTANEOUS_HZ = 0.06, 0.08

# Gains on a neuron's rate, as (mean, spread) over neurons of the slope of its logarithm: per log(1 + cm/s) of
# running, and per typical deviation of the pupil.
RUNNING_GAIN, PUPIL_GAIN = (0.12, 0.12), (0.06, 0.08)
PUPIL_DEVIATION = 15.0

# A slow fluctuation that all neurons share and no input explains.
LATENT_SPREAD, LATENT_SECONDS, LATENT_GAIN_SPREAD = 0.2, 1.0, 0.3

# Response units per event at gain 1, and its log-normal spread over neurons.
EVENT_SIZE, EVENT_SIZE_SPREAD = 9.0, 0.35

# Noise and field of the usual mouse; (row, column) of the field's centre on the screen.
USUAL_GAIN = 0.33
USUAL_RADIUS_PX = 11.0
USUAL_CENTRE_PX = (18.0, 30.0)

CALIBRATION_CLIPS, CALIBRATION_FRAMES = 24, 60
CALIBRATIONS_KEPT = 8
"""Of so many seeds the movies are kept, 13 MB each: drawing them costs more than a small population."""

UM_PER_PX = 28.0
COORDINATE_JITTER_UM = 25.0
DEPTH_PLANES_UM = (180, 200, 220, 240, 260, 280)


class VisualCortex:
    """Simulated neurons; every trial's noise is a pure function of the seed and the trial number.

    Parameters
    ----------
    neurons
        How many.
    seed
        Draws the population and its noise.
    radius_px
        receptive-field centres lie in a disc of this radius on the 36 x 64 screen, one in ten beyond.
    centre
        (row, column) of the disc, px.
    mean_rate
        Mean event rate of the population under natural movies, Hz.
    gain
        Scales the event rate on top of `mean_rate` at an unchanged mean response: the lower, the noisier.

    Attributes
    ----------
    fields
        The receptive fields.
    coordinates
        (N, 3) int cortical position [x, y, z], µm; x follows the field's column, y its row.
    preferred_rate_hz
        (N,) mean event rate under natural movies at rest, Hz.
    event_size
        (N,) response units per event.
    threshold, running_gain, pupil_gain, latent_gain
        (N,) parameters of the output, see the constants above.
    drive_scale, rate_scale
        (N, 1) deviation of the drive, and Hz per tuned response, under natural movies.
    grading, grey_level
        Of the movies that this mouse sees, and what its contrast is told from.
    """

    grading: Grading = USUAL_GRADING
    grey_level: float = GREY_LEVEL

    def __init__(
        self,
        neurons: int = 1000,
        seed: int = 0,
        *,
        radius_px: float = USUAL_RADIUS_PX,
        centre: tuple[float, float] = USUAL_CENTRE_PX,
        mean_rate: float = 1.4,
        gain: float = USUAL_GAIN,
    ) -> None:
        rng = np.random.default_rng([seed, POPULATION_STREAM])
        self.seed = seed
        self.mean_rate, self.gain = mean_rate, gain
        self.radius_px, self.centre = radius_px, centre
        self.fields = draw_receptive_fields(rng, neurons, radius_px=radius_px, centre=centre)
        self.threshold = rng.uniform(*THRESHOLDS, neurons).astype(np.float32)
        rate_factors = np.exp(rng.normal(-(RATE_SPREAD**2) / 2, RATE_SPREAD, neurons))
        self.preferred_rate_hz = mean_rate * gain * rate_factors
        size_factors = np.exp(rng.normal(0.0, EVENT_SIZE_SPREAD, neurons))
        self.event_size = (EVENT_SIZE / gain * size_factors).astype(np.float32)
        self.running_gain = rng.normal(*RUNNING_GAIN, neurons).astype(np.float32)
        self.pupil_gain = rng.normal(*PUPIL_GAIN, neurons).astype(np.float32)
        self.latent_gain = np.exp(rng.normal(0.0, LATENT_GAIN_SPREAD, neurons)).astype(np.float32)
        self.coordinates = _cortical_positions(rng, self.fields.row, self.fields.column, centre)
        self.spontaneous_hz = SPONTANEOUS_SHARE * self.preferred_rate_hz + SPONTANEOUS_HZ * gain
        self._draw_activity()
        self._spatial = self.fields.spatial_filters()
        self._temporal = self.fields.temporal_filters()
        self._calibrate()

    def __len__(self) -> int:
        return len(self.fields)

    def _draw_activity(self) -> None:
        """For mice whose activity is another: takes the place of rates and event sizes before they are used."""

    def event_rates(self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray) -> np.ndarray:
        """Expected event rate of every neuron at every frame.

        Parameters
        ----------
        video
            (T, 36, 64) grey levels 0..255.
        behavior
            (2, T) pupil dilation and running speed.
        pupil_center
            (2, T) camera pixels.

        Returns
        -------
        np.ndarray
            (N, T) float32, Hz.
        """
        tuned = self._tuned(self._drive(as_seen(video, pupil_center)) / self.drive_scale)
        rates = tuned * self.rate_scale + self.spontaneous_hz[:, None]
        return (rates * self.behavioural_gain(np.asarray(behavior))).astype(np.float32)

    def rates(self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray) -> np.ndarray:
        """Expected response: what `responses` would average to over endless repeats.

        Parameters
        ----------
        video, behavior, pupil_center
            As in `event_rates`.

        Returns
        -------
        np.ndarray
            (N, T) float32, in the unit of the responses; it knows neither event noise nor the shared fluctuation.
        """
        counts = self._expected_counts(video, behavior, pupil_center)
        return signals.to_video_clock(signals.residual(counts) * self.event_size[:, None], len(video))

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
            (N, bins) float32 at 8 Hz; `signals.to_video_clock` takes it to the video's frames.
        """
        rng = np.random.default_rng([self.seed, NOISE_STREAM, trial])
        counts = self._expected_counts(video, behavior, pupil_center)
        counts = counts * self._shared_gain(rng, counts.shape[1])
        return signals.residual(signals.draw_events(rng, counts)) * self.event_size[:, None]

    def responses(self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray, *, trial: int) -> np.ndarray:
        """One noisy trial on the video clock.

        Parameters
        ----------
        video
            (T, 36, 64) grey levels 0..255.
        behavior
            (2, T) pupil dilation and running speed.
        pupil_center
            (2, T) camera pixels.
        trial
            Number of the trial; the same number gives the same noise.

        Returns
        -------
        np.ndarray
            (N, T) float32, >= 0.
        """
        scan = self.scan_responses(video, behavior, pupil_center, trial=trial)
        return signals.to_video_clock(scan, len(video))

    def _expected_counts(self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray) -> np.ndarray:
        rates = self.event_rates(video, behavior, pupil_center)
        return rates @ signals.bin_average(rates.shape[1]) / np.float32(signals.SCAN_RATE_HZ)

    def _shared_gain(self, rng: np.random.Generator, bins: int) -> np.ndarray:
        latent = ornstein_uhlenbeck(rng, bins, 1.0, LATENT_SECONDS, signals.SCAN_RATE_HZ)
        strength = LATENT_SPREAD * self.latent_gain[:, None]
        return np.exp(strength * latent[None, :] - strength**2 / 2)

    def behavioural_gain(self, behavior: np.ndarray) -> np.ndarray:
        """(N, T) factor on the rates of (2, T) pupil dilation and running speed."""
        pupil = (behavior[0] - PUPIL_MEAN) / PUPIL_DEVIATION
        running = np.log1p(np.maximum(behavior[1], 0.0))
        return np.exp(self.running_gain[:, None] * running + self.pupil_gain[:, None] * pupil)

    def _drive(self, video: np.ndarray) -> np.ndarray:
        """(N, T) float32: linear drive of simple, on and off cells, motion energy of complex cells."""
        frames = len(video)
        contrast = _normalised_contrast(video, self.grey_level).reshape(frames, -1).T
        even, odd = (_convolved(filters @ contrast, self._temporal) for filters in self._spatial)
        direction = self.fields.direction.astype(np.float32)[:, None]
        one = even[0] - direction * odd[1]
        two = odd[0] + direction * even[1]
        is_complex = (self.fields.kind == COMPLEX)[:, None]
        return np.where(is_complex, np.hypot(one, two), one)

    def _tuned(self, drive: np.ndarray) -> np.ndarray:
        above = (drive - self.threshold[:, None]) / np.float32(THRESHOLD_SOFTNESS)
        response = (THRESHOLD_SOFTNESS * np.logaddexp(0, above)) ** np.float32(EXPONENT)
        return response / (1.0 + response / np.float32(SATURATION))

    def _calibrate(self) -> None:
        """Set the unit of each neuron's drive and rate from clips that no trial shows."""
        shown = calibration_movies(self.seed, self.grading)
        drive = np.concatenate([self._drive(clip)[:, TEMPORAL_FRAMES:] for clip in shown], axis=1)
        centre = np.where(self.fields.kind == COMPLEX, 0.0, drive.mean(axis=1))
        self.drive_scale = np.sqrt(((drive - centre[:, None]) ** 2).mean(axis=1))[:, None].astype(np.float32)
        tuned = self._tuned(drive / self.drive_scale).mean(axis=1)
        self.rate_scale = (self.preferred_rate_hz / tuned)[:, None].astype(np.float32)


@lru_cache(maxsize=CALIBRATIONS_KEPT)
def calibration_movies(seed: int, grading: Grading = USUAL_GRADING) -> np.ndarray:
    """(clips, frames, 36, 64) float32, read-only."""
    clips = range(CALIBRATION_CLIPS)
    shown = np.stack([movie(seed + CALIBRATION_SEEDS_FROM, clip, CALIBRATION_FRAMES, grading) for clip in clips])
    shown.setflags(write=False)
    return shown


def _normalised_contrast(video: np.ndarray, grey_level: float) -> np.ndarray:
    """Contrast to grey, divided by what the surround holds.

    Source: divisive normalisation, Carandini & Heeger 2012.

    Returns
    -------
    np.ndarray
        Of the movie's shape, signed.
    """
    contrast = (np.asarray(video, dtype=np.float32) - grey_level) / grey_level
    sigma = (0, POOL_SIGMA_PX, POOL_SIGMA_PX)
    mean = ndimage.gaussian_filter(contrast, sigma, mode="nearest", truncate=2.5)
    power = ndimage.gaussian_filter(contrast**2, sigma, mode="nearest", truncate=2.5)
    variance = np.maximum(power - mean**2, 0.0)
    return contrast / np.sqrt(HALF_SATURATION_CONTRAST**2 + variance)


def _convolved(traces: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Causal filtering of (N, T) traces with (2, N, taps) filters; a grey screen came before."""
    frames = traces.shape[1]
    filtered = np.zeros((2, *traces.shape), dtype=np.float32)
    for lag in range(min(filters.shape[2], frames)):
        for output, taps in zip(filtered, filters, strict=True):
            output[:, lag:] += taps[:, lag : lag + 1] * traces[:, : frames - lag]
    return filtered


def _cortical_positions(
    rng: np.random.Generator, row: np.ndarray, column: np.ndarray, centre: tuple[float, float]
) -> np.ndarray:
    x = (column - centre[1]) * UM_PER_PX + rng.normal(0, COORDINATE_JITTER_UM, len(row))
    y = (row - centre[0]) * UM_PER_PX + rng.normal(0, COORDINATE_JITTER_UM, len(row))
    z = rng.choice(DEPTH_PLANES_UM, len(row))
    return np.rint(np.stack([x, y, z], axis=1)).astype(np.int64)
