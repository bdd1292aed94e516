"""The statistics that come with a session: the mean, spread and range of every stream, frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.trial_files import open_array


class SessionStatistics:
    """Reads `meta/statistics` on demand.

    Parameters
    ----------
    folder : the `meta/statistics` folder of a session; it may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, stream: str, statistic: str, which: str = "all") -> Path:
        """Where one statistic lies."""
        return self.folder / stream / which / f"{statistic}.npy"

    @property
    def present(self) -> list[str]:
        """Names of the statistics there, as "stream/which/statistic", in order."""
        return sorted(
            file.relative_to(self.folder).with_suffix("").as_posix() for file in self.folder.glob("*/*/*.npy")
        )

    def get(self, stream: str, statistic: str, which: str = "all") -> np.ndarray | None:
        """One statistic, or None where the session holds none.

        Parameters
        ----------
        stream : "videos", "responses", "behavior" or "pupil_center".
        statistic : "mean", "median", "std", "min" or "max".
        which : "all" or "stimulus_frame".

        Returns
        -------
        Per frame: (36, 64, T) grey levels, (N, T), or (2, T); padding may be NaN.

        Raises
        ------
        SessionError : the file is damaged or holds no numbers.
        """
        file = self.file(stream, statistic, which)
        if not file.exists():
            return None
        values = open_array(file)
        if values.dtype.kind not in "fiu" or values.ndim == 0:
            raise SessionError(f"{file}: expected numbers per channel, found {values.dtype} of shape {values.shape}")
        return np.array(values)
