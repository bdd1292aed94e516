"""Statistics of a session: of every stream frame by frame, and what its movies are like, which a prior starts from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from scipy.fft import dctn

from napari_vidrecon.errors import ConfigError, SessionError
from napari_vidrecon.sessions.trial_files import STREAMS, open_array
from napari_vidrecon.storage import reading

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
TEMPORAL_EXPONENT = 2.0
"""How steeply that prior falls over time above its corner."""
RATIO_HZ = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 14.0)
RATIO_PER_PX = (0.004, 0.012, 0.02, 0.035, 0.06, 0.1, 0.18, 0.3, 0.5)
"""Frequencies in time and space about which the power of movies over that of this prior is told."""
HALF_OCTAVE = 2**0.5
LEAST_RATIO, LARGEST_RATIO = 1e-3, 1e3


Level = Annotated[float, Field(ge=0, le=255)]
Ratio = Annotated[float, Field(ge=LEAST_RATIO, le=LARGEST_RATIO)]


def _whole_table(given: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    found, wanted = {len(row) for row in given}, (len(RATIO_HZ), len(RATIO_PER_PX))
    if given and (len(given) != wanted[0] or found != {wanted[1]}):
        rows = " or ".join(map(str, sorted(found)))
        raise ValueError(f"expected {wanted[0]} x {wanted[1]} numbers, or none, found {len(given)} x {rows}")
    return given


Ratios = Annotated[tuple[tuple[Ratio, ...], ...], Field(max_length=len(RATIO_HZ)), AfterValidator(_whole_table)]
"""A table over `RATIO_HZ` and `RATIO_PER_PX`, or nothing."""


class MovieStatistics(BaseModel):
    """Level, contrast and spectrum of movies.

    The power of a movie falls as (s^2 + 0.035^2)^(-spatial_exponent / 2) times a power of (t^2 + 0.65^2) over frequency
    in space s (cycles per pixel) and time t (Hz). No exponent over time is told: fits of it made reconstructions of the
    sample's mouse no better. How movies differ from that is told frequency by frequency.

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
    colour_levels
        Level of each colour, about which its pixels vary by `sd`; empty for grey levels.
    power_ratios
        (8, 9) power of the movies over that of this spectrum, both as shares of the whole, at `RATIO_HZ` and
        `RATIO_PER_PX`: what drifts past is the faster the finer it is, and what stands still is not. Empty where it
        is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    level: Level
    sd: float = Field(ge=LEAST_SD, le=LARGEST_SD)
    spatial_exponent: float = Field(ge=0, le=STEEPEST)
    source: str = Field("", max_length=LONGEST_SOURCE)
    colour_levels: tuple[Level, ...] = ()
    power_ratios: Ratios = ()

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told = dump(self)
        # Movies of grey levels are described as in earlier versions, and open there.
        return {name: value for name, value in told.items() if value or name not in ("colour_levels", "power_ratios")}

    @classmethod
    def of(
        cls, videos: Iterable[np.ndarray], frame_rate_hz: float, source: str = "", colours: int = 1
    ) -> MovieStatistics:
        """Measure movies; of few, or of movies that hardly vary, the spectrum is that of the public mice.

        Parameters
        ----------
        videos
            Each (frames, rows, columns), grey levels 0..255, of one size.
        frame_rate_hz
            Frames a second.
        source
            Whose they are, in words.
        colours
            Parts of the rows, one below the other, that are measured each for itself.

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
        if colours > 1:
            parts = [np.split(video, colours, axis=1) for video in kept]
            each = [cls.of(planes, frame_rate_hz) for planes in zip(*parts, strict=True)]
            levels = tuple(one.level for one in each)
            together: dict[str, Any] = {
                "level": round(float(np.mean(levels)), 2),
                "sd": round(float(np.sqrt(np.mean([one.sd**2 for one in each]))), 2),
                "spatial_exponent": round(float(np.mean([one.spatial_exponent for one in each])), 3),
                "source": source[:LONGEST_SOURCE],
            }
            if all(one.power_ratios for one in each):
                together["power_ratios"] = _rounded(np.exp(np.mean([np.log(one.power_ratios) for one in each], axis=0)))
            return cls(**together, colour_levels=levels)
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
        exponent = round(fitted_exponent(power, frame_rate_hz), 3)
        ratios = power_ratios(power, frame_rate_hz, exponent)
        return told.model_copy(update={"spatial_exponent": exponent, "power_ratios": ratios})


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
    time, space = _frequencies(power.shape, frame_rate_hz)
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


def power_ratios(power: np.ndarray, frame_rate_hz: float, spatial_exponent: float) -> tuple[tuple[float, ...], ...]:
    """How much more or less than the spectrum movies vary, frequency by frequency.

    Parameters
    ----------
    power
        (frames, rows, columns) mean squared cosine coefficients.
    frame_rate_hz
        Frames a second.
    spatial_exponent
        Of the spectrum.

    Returns
    -------
    tuple[tuple[float, ...], ...]
        (8, 9) share of the power over that of the spectrum, over half an octave to both sides of `RATIO_HZ` and
        `RATIO_PER_PX`.
    """
    hertz, space = _frequencies(power.shape, frame_rate_hz)
    falls = (hertz**2 + TEMPORAL_CORNER_HZ**2) ** (-TEMPORAL_EXPONENT / 2)
    expected = np.outer(falls, (space**2 + SPATIAL_CORNER_PER_PX**2) ** (-spatial_exponent / 2))
    flat, expected = power.reshape(expected.shape) / power.sum(), expected / expected.sum()
    logs = np.full((len(RATIO_HZ), len(RATIO_PER_PX)), np.nan)
    for index in np.ndindex(*logs.shape):
        in_time, in_space = _about(RATIO_HZ, index[0], hertz), _about(RATIO_PER_PX, index[1], space)
        if in_time.any() and in_space.any():
            block = np.ix_(in_time, in_space)
            logs[index] = np.log(max(flat[block].mean() / expected[block].mean(), LEAST_RATIO))
    # Frequencies that so small a screen, or so few frames a second, do not tell are as their neighbours.
    known = np.isfinite(logs)
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    logs = np.stack([np.interp(np.arange(logs.shape[1]), columns, logs[index, columns]) for index in rows])
    logs = np.stack([np.interp(np.arange(len(RATIO_HZ)), rows, each) for each in logs.T], axis=1)
    return _rounded(np.exp(logs))


def _frequencies(shape: tuple[int, ...], frame_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """(frames,) Hz and (rows x columns,) cycles per pixel of the coefficients of a movie's cosine transform."""
    time, row, column = (np.arange(length) / (2 * length) for length in shape)
    return time * frame_rate_hz, np.hypot(row[:, None], column[None, :]).ravel()


def _about(middles: Sequence[float], index: int, frequencies: np.ndarray) -> np.ndarray:
    """Which lie within half an octave of one of the middles; about the lowest, all below as well."""
    middle = middles[index]
    lowest = 0.0 if index == 0 else middle / HALF_OCTAVE
    return (frequencies >= lowest) & (frequencies <= middle * HALF_OCTAVE)


def _rounded(ratios: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(each), 3) for each in row) for row in ratios.clip(LEAST_RATIO, LARGEST_RATIO))


STATISTICS = ("mean", "median", "std", "min", "max")
OVER = ("all", "stimulus_frame")


class SessionStatistics:
    """Reads `meta/statistics` on demand.

    Parameters
    ----------
    folder
        The `meta/statistics` folder of a session; it may be missing.
    session
        The session's folder, which no link may leave.
    """

    def __init__(self, folder: Path, session: Path | None = None) -> None:
        self.folder = folder
        self.session = session

    def file(self, stream: str, statistic: str, which: str = "all") -> Path:
        """Where one statistic lies.

        Parameters
        ----------
        stream
            "videos", "responses", "behavior" or "pupil_center".
        statistic
            Its name, e.g. "mean".
        which
            Trials that it was taken over.

        Returns
        -------
        Path
            It need not exist.
        """
        return self.folder / stream / which / f"{statistic}.npy"

    @property
    def present(self) -> list[str]:
        """Names of the statistics there, as "stream/which/statistic", in order."""
        named = ((stream, which, name) for stream in STREAMS for which in OVER for name in STATISTICS)
        return sorted(
            f"{stream}/{which}/{name}"
            for stream, which, name in named
            if os.path.lexists(self.file(stream, name, which))
        )

    def get(self, stream: str, statistic: str, which: str = "all") -> np.ndarray | None:
        """One statistic, or None where the session holds none.

        Parameters
        ----------
        stream
            "videos", "responses", "behavior" or "pupil_center".
        statistic
            "mean", "median", "std", "min" or "max".
        which
            "all" or "stimulus_frame".

        Returns
        -------
        np.ndarray | None
            Per frame: (36, 64, T) grey levels, (N, T), or (2, T); padding may be NaN.

        Raises
        ------
        SessionError
            The file is damaged or holds no numbers.
        """
        file = self.file(stream, statistic, which)
        if not os.path.lexists(file):
            return None
        values = open_array(file, self.session)
        if values.dtype.kind not in "fiu" or values.ndim == 0:
            raise SessionError(f"{file}: expected numbers per channel, found {values.dtype} of shape {values.shape}")
        with reading(file, SessionError, "numbers per channel"):
            return np.array(values)


MEDIAN_TRIALS = 15


class FrameStatistics:
    """Mean, standard deviation, minimum, maximum and (sampled) median of each channel at each frame.

    The median is taken over at most 15 trials, drawn evenly from all that were added: the exact one would need the
    whole session in memory.

    Parameters
    ----------
    frames
        Columns of the statistics; those that no clip reaches are NaN.
    """

    def __init__(self, frames: int) -> None:
        self._count = np.zeros(frames, dtype=np.int32)
        self._mean: np.ndarray | None = None
        self._trials = 0
        self._sample: list[np.ndarray] = []
        self._draw = np.random.default_rng(0)

    def add(self, clip: np.ndarray) -> None:
        """Take in one trial.

        Parameters
        ----------
        clip
            (..., T) finite numbers, T at most the statistics' frames; the leading axes are the same for all clips.
        """
        shape = (*clip.shape[:-1], len(self._count))
        if self._mean is None:
            self._mean, self._squares = np.zeros(shape), np.zeros(shape)
            self._min, self._max = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
        reached = np.s_[..., : clip.shape[-1]]
        self._count[reached] += 1
        # Welford's update: sums of squares of large values would lose the small variances.
        deviation = clip - self._mean[reached]
        self._mean[reached] += deviation / self._count[reached]
        self._squares[reached] += deviation * (clip - self._mean[reached])
        self._min[reached] = np.minimum(self._min[reached], clip)
        self._max[reached] = np.maximum(self._max[reached], clip)
        self._keep_for_median(clip)
        self._trials += 1

    def _keep_for_median(self, clip: np.ndarray) -> None:
        if len(self._sample) < MEDIAN_TRIALS:
            self._sample.append(clip.copy())
            return
        slot = int(self._draw.integers(self._trials + 1))
        if slot < MEDIAN_TRIALS:
            self._sample[slot] = clip.copy()

    def summary(self) -> dict[str, np.ndarray]:
        """Arrays (..., frames) float32 by name; an empty dictionary if nothing was added."""
        if self._mean is None:
            return {}
        found = {
            "mean": self._mean,
            "std": np.sqrt(self._squares / np.maximum(self._count, 1)),
            "min": self._min,
            "max": self._max,
            "median": self._median(),
        }
        return {name: np.where(self._count > 0, values, np.nan).astype(np.float32) for name, values in found.items()}

    def _median(self) -> np.ndarray:
        lengths = np.array([clip.shape[-1] for clip in self._sample])
        longest = int(lengths.max())
        clips = np.full((len(self._sample), *self._min.shape[:-1], longest), np.inf, dtype=np.float32)
        for row, clip in zip(clips, self._sample, strict=True):
            row[..., : clip.shape[-1]] = clip
        # Frames beyond a clip's end sort behind all that it has: the middle is that of the clips which reach them.
        clips.sort(axis=0)
        median = np.full(self._min.shape, np.nan, dtype=np.float32)
        reaching = (lengths[:, None] > np.arange(longest)).sum(axis=0)
        for many in np.unique(reaching):
            columns = np.flatnonzero(reaching == many)
            middle = clips[(many - 1) // 2][..., columns], clips[many // 2][..., columns]
            median[..., columns] = (middle[0] + middle[1]) / 2
        return median
