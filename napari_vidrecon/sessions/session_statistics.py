"""The statistics that come with a session: the mean, spread and range of every stream, frame by frame."""

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
