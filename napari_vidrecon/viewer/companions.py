"""What lies beside a session and belongs to it: encoder files, and a mask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.reconstruction.decoder import is_decoder
from napari_vidrecon.reconstruction.masks import AlphaMask

ENCODER_SUFFIXES = (".safetensors", ".pth", ".pt")
UNFINISHED_ENCODER_MARK = ".training."
"""Part of the name of files that a training leaves beside its encoder."""
HIDDEN_MARK = "."
"""Begins the names of drafts and locks, and of whatever else is nobody's encoder."""
ENCODERS_FOLDER, MASK_NAME = "encoders", "mask.npy"


@dataclass(frozen=True, eq=False)
class Companions:
    """What was found in the session folder or beside it.

    Parameters
    ----------
    encoders
        Files that say that they are encoders, by name.
    mask
        The mask, if there is one.
    passed_over
        One line each for what has the name of an encoder or mask, and is none.
    """

    encoders: tuple[Path, ...] = ()
    mask: AlphaMask | None = None
    passed_over: tuple[str, ...] = ()

    @property
    def mask_path(self) -> Path | None:
        """Where the mask lies."""
        return None if self.mask is None else Path(self.mask.source)


def find_companions(session_folder: Path) -> Companions:
    """Encoder files in a folder `encoders`, and a file `mask.npy`, in the session folder or beside it.

    Only sound ones: a damaged file, or one that is no regular file, is passed over, and said to be.

    Parameters
    ----------
    session_folder
        The session.

    Returns
    -------
    Companions
        Files, and the names of what was passed over.
    """
    encoders: list[Path] = []
    passed_over: list[str] = []
    mask = None
    for folder in (session_folder, session_folder.parent):
        if not encoders:
            encoders, damaged = _encoders_in(folder / ENCODERS_FOLDER)
            passed_over += damaged
        if mask is None and os.path.lexists(folder / MASK_NAME):
            try:
                mask = AlphaMask.load(folder / MASK_NAME)
            except VidreconError as error:
                passed_over.append(str(error))
    return Companions(tuple(encoders), mask, tuple(passed_over))


def _encoders_in(folder: Path) -> tuple[list[Path], list[str]]:
    from napari_vidrecon.encoders.checkpoints import read_encoder_file

    sound, damaged = [], []
    for path in _candidates(folder):
        try:
            if not is_decoder(path):
                read_encoder_file(path)
                sound.append(path)
        except VidreconError as error:
            damaged.append(str(error))
    return sound, damaged


def _candidates(folder: Path) -> list[Path]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
    return [
        folder / name
        for name in names
        if Path(name).suffix in ENCODER_SUFFIXES
        and not name.startswith(HIDDEN_MARK)
        and UNFINISHED_ENCODER_MARK not in name
    ]
