"""Finished runs on disk, found again by the hash of their inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import RunError, StorageError
from napari_vidrecon.reconstruction.results import SUFFIX, Reconstruction
from napari_vidrecon.storage import read_json
from napari_vidrecon.studies.runs.run_spec import Keys, RunSpec

RUNS_FOLDER = "runs"
DESCRIPTION = "zarr.json"
"""Where zarr keeps a folder's attributes."""


@dataclass
class RunStore:
    """The runs of all studies that share an output folder.

    Parameters
    ----------
    out
        The output folder; runs lie in `out/runs/<key>.zarr`.
    keys
        Keys of runs, so that files are hashed once.
    """

    out: Path
    keys: Keys = field(default_factory=Keys)

    def folder(self, key: str) -> Path:
        """Where a run of this key lies."""
        return self.out / RUNS_FOLDER / f"{key}{SUFFIX}"

    def has(self, key: str) -> bool:
        """Whether a finished run of this key is there."""
        return is_finished(self.folder(key))

    def load(self, spec: RunSpec) -> Reconstruction:
        """A finished run.

        Returns
        -------
        Reconstruction
            Its arrays are in memory.

        Raises
        ------
        RunError
            It was not run, or is not finished.
        """
        folder = self.folder(self.keys.of(spec))
        try:
            found = Reconstruction.load(folder)
        except RunError as error:
            raise RunError(f"{error}; remove this folder, and the same command runs it again") from None
        if not found.finished:
            raise RunError(f"{folder}: expected a finished run, found one of {len(found.history)} steps; run it again")
        return found

    def videos(self, specs: Iterable[RunSpec]) -> list[np.ndarray]:
        """The movies of several runs, each clipped to 0..255 as before an average over encoders."""
        return [np.clip(self.load(spec).video, 0.0, 255.0) for spec in specs]


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished run; reads its description only, never its arrays.

    Parameters
    ----------
    folder
        The run's own; a damaged one is not finished.

    Returns
    -------
    bool
        False, too, where nothing is there.
    """
    try:
        told = read_json(folder / DESCRIPTION)
    except StorageError:
        return False
    attributes = told.get("attributes") if isinstance(told, dict) else None
    return isinstance(attributes, dict) and attributes.get("finished") is True
