"""Statistics of a session frame by frame: the mean, spread and range of every stream, read, and gathered anew."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.trial_files import STREAMS, open_array
from napari_vidrecon.storage import reading

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
