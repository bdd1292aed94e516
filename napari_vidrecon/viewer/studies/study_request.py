"""`StudyRequest`: what a person asks to be run, taken when it is asked, so that later changes do not reach it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.errors import ConfigError, MaskError
from napari_vidrecon.reconstruction.masks import AlphaMask

if TYPE_CHECKING:
    from napari_vidrecon.studies.mice import Mouse
    from napari_vidrecon.studies.study import Plan, Study
    from napari_vidrecon.viewer.model import ReconstructionModel

MASK_LETTERS = 12


@dataclass(frozen=True, eq=False)
class BoardMouse:
    """The mouse on the board.

    Parameters
    ----------
    session, encoders
        Where they lie.
    mask
        As it is now; it may have been painted.
    readout
        Of the encoders; None chooses by the number of neurons.
    """

    session: Path
    encoders: tuple[Path, ...]
    mask: AlphaMask
    readout: int | None = None

    @classmethod
    def of(cls, model: ReconstructionModel) -> BoardMouse:
        """Take it from the model.

        Returns
        -------
        BoardMouse
            Its files, mask and readout.

        Raises
        ------
        ConfigError
            No session is open, or no encoder is chosen.
        """
        if model.session is None or not model.encoder_paths:
            raise ConfigError("the mouse on the board: open a session and choose its encoders first, under Data")
        return cls(model.session.path, tuple(model.encoder_paths), model.mask, model.mouse)

    def as_mouse(self, folder: Path) -> Mouse:
        """The same by its files; a mask that is in no file is written into a folder first."""
        from napari_vidrecon.studies.mice import one_mouse

        readout = None if self.readout is None else str(self.readout)
        return one_mouse(self.session, self.encoders, self._mask_file(folder), readout)

    def _mask_file(self, folder: Path) -> Path:
        source = Path(self.mask.source)
        try:
            if self.mask.source and np.array_equal(AlphaMask.load(source).alpha, self.mask.alpha):
                return source
        except MaskError:
            pass  # painted, fitted, or changed since: its source says how it was made, not where it lies
        digest = hashlib.sha256(self.mask.alpha.tobytes()).hexdigest()[:MASK_LETTERS]
        file = folder / f"mask_{digest}.npy"
        self.mask.save(file)
        return file


@dataclass(frozen=True, eq=False)
class StudyRequest:
    """Studies to run, on whom, how large, and where to.

    Parameters
    ----------
    names
        Of the studies.
    mice
        The mouse on the board, a file that lists mice, or None for the simulated mouse of the package.
    scale
        "quick" or "paper".
    out
        Folder of runs and results.
    workers
        Processes; None for one a GPU or one a core.
    device
        "auto", "cpu" ...
    """

    names: tuple[str, ...]
    mice: BoardMouse | Path | None
    scale: str
    out: Path
    workers: int | None = None
    device: str = "auto"

    def studies(self) -> tuple[Study, ...]:
        """The studies, in the order of the catalogue."""
        from napari_vidrecon.studies import catalogue

        return tuple(study for study in catalogue.all_studies() if study.name in self.names)

    def plan(self, masks: Path) -> Plan:
        """Mice and scale, as the core wants them.

        Parameters
        ----------
        masks
            Folder for a mask that lies in no file yet.

        Returns
        -------
        Plan
            Files are opened when they are needed.

        Raises
        ------
        VidreconError
            The sample is missing, a list cannot be read, or a mask cannot be written.
        """
        from napari_vidrecon.studies.mice import read_mice, sample_mouse
        from napari_vidrecon.studies.scale import scale_named
        from napari_vidrecon.studies.study import Plan

        mice: tuple[Mouse, ...]
        if isinstance(self.mice, BoardMouse):
            mice = (self.mice.as_mouse(masks),)
        else:
            mice = (sample_mouse(),) if self.mice is None else read_mice(self.mice)
        return Plan(mice, scale_named(self.scale))
