"""What the movies of a session are like: level, contrast and spectrum, which a prior of movies starts from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.fft import dctn

from napari_vidrecon.errors import ConfigError

PIECE_FRAMES = 64
"""What of a clip is transformed at once."""
FEWEST_PIECES = 8
"""A spectrum of fewer is left to the public mice."""
LONGEST_SOURCE = 300
LARGEST_SD = 128.0
STEEPEST = 8.0
LEAST_SD = 1.0
"""Movies that vary less (grey levels) have no spectrum."""
SPATIAL_EDGES_PER_PX = np.concatenate([[0.0], np.geomspace(0.007, 0.72, 14)])
TEMPORAL_EDGES_HZ = np.concatenate([[0.0], np.geomspace(0.2, 15.1, 12)])
SPATIAL_CORNER_PER_PX, TEMPORAL_CORNER_HZ = 0.035, 0.65
"""Below these the prior of movies is flat, whatever the movies are: what is coarser or slower neurons tell badly, and
with corners as low as those of movies (0.006 per pixel, 0.2 Hz) reconstructions got worse."""


class MovieStatistics(BaseModel):
    """Level, contrast and spectrum of movies.

    The power of a movie falls as (s^2 + 0.035^2)^(-spatial_exponent / 2) times a power of (t^2 + 0.65^2) over frequency
    in space s (cycles per pixel) and time t (Hz). The exponent over time is not told: fits of it made reconstructions
    of the sample's mouse no better.

    Parameters
    ----------
    level
        Mean grey level, 0..255.
    sd
        Standard deviation of a pixel about the level, grey levels.
    spatial_exponent
        How steeply power falls over space, at each frequency in time.
    source
        Whose movies, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    level: float = Field(ge=0, le=255)
    sd: float = Field(ge=LEAST_SD, le=LARGEST_SD)
    spatial_exponent: float = Field(ge=0, le=STEEPEST)
    source: str = Field("", max_length=LONGEST_SOURCE)

    @classmethod
    def of(cls, videos: Iterable[np.ndarray], frame_rate_hz: float, source: str = "") -> MovieStatistics:
        """Measure movies; of few, or of movies that hardly vary, the spectrum is that of the public mice.

        Parameters
        ----------
        videos
            Each (frames, rows, columns), grey levels 0..255, of one size.
        frame_rate_hz
            Frames a second.
        source
            Whose they are, in words.

        Returns
        -------
        MovieStatistics
            Frozen.

        Raises
        ------
        ConfigError
            No movie is given.
        """
        kept = [np.asarray(video, np.float32) for video in videos]
        if not kept:
            raise ConfigError("movies: expected at least one, found none")
        level = float(np.mean([video.mean(dtype=np.float64) for video in kept]))
        sd = float(np.sqrt(np.mean([np.square(video - level).mean(dtype=np.float64) for video in kept])))
        # Rounded: another machine, which adds up in another order, has to come to the same run.
        told = PUBLIC_MOVIES.model_copy(
            update={
                "level": round(level, 2),
                "sd": round(min(max(sd, LEAST_SD), LARGEST_SD), 2),
                "source": source[:LONGEST_SOURCE],
            }
        )
        pieces = [
            video[first : first + PIECE_FRAMES]
            for video in kept
            for first in range(0, len(video) - PIECE_FRAMES + 1, PIECE_FRAMES)
        ]
        if len(pieces) < FEWEST_PIECES or sd < LEAST_SD:
            return told
        power = np.mean([dctn(piece - level, norm="ortho") ** 2 for piece in pieces], axis=0)
        return told.model_copy(update={"spatial_exponent": round(fitted_exponent(power, frame_rate_hz), 3)})


PUBLIC_MOVIES = MovieStatistics(level=79.8, sd=57.9, spatial_exponent=2.5, source="the public mice")
"""Level and contrast: means over the ten public mice of Sensorium 2023. The power of their single frames falls with an
exponent of 3.3 (fitted to the mean log power that github.com/bryanlimy/ViV1T-closed-loop gives); films whose frames do
so, those of the simulated mice, have 2.5 at each frequency in time."""


def fitted_exponent(power: np.ndarray, frame_rate_hz: float) -> float:
    """The exponent over space that comes closest to a movie's mean power, in logarithms, octave by octave.

    Parameters
    ----------
    power
        (frames, rows, columns) mean squared cosine coefficients.
    frame_rate_hz
        Frames a second.

    Returns
    -------
    float
        0..8.
    """
    time, row, column = (np.arange(length) / (2 * length) for length in power.shape)
    time, space = time * frame_rate_hz, np.hypot(row[:, None], column[None, :]).ravel()
    time_bin, space_bin = np.digitize(time, TEMPORAL_EDGES_HZ), np.digitize(space, SPATIAL_EDGES_PER_PX)
    flat = power.reshape(len(time), -1)
    binned = [
        (np.mean(time[time_bin == a] ** 2), np.mean(space[space_bin == b] ** 2), block.mean())
        for a in np.unique(time_bin)
        for b in np.unique(space_bin)
        if (block := flat[np.ix_(time_bin == a, space_bin == b)]).size
    ]
    time2, space2, mean = np.array(binned).T
    logs = np.log(mean + 1e-9 * mean.max())

    falls = np.log(space2 + SPATIAL_CORNER_PER_PX**2), np.log(time2 + TEMPORAL_CORNER_HZ**2)
    design = np.column_stack([-falls[0] / 2, -falls[1] / 2, np.ones_like(logs)])
    (exponent, *_), *_ = np.linalg.lstsq(design, logs, rcond=None)
    return float(np.clip(exponent, 0.0, STEEPEST))
