"""`ImportSource`: raw files of one of the kinds that can be imported, and the choices of how to read them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.belongings import REPORT_FILE
from napari_vidrecon.sessions.importing.nwb import NwbFile, NwbNames
from napari_vidrecon.storage import recover_folder

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.arrays import ArrayFolder
    from napari_vidrecon.sessions.importing.settings import ImportSettings
    from napari_vidrecon.sessions.importing.suite2p import Signal2p, Suite2pFolder

SourceKind = Literal["suite2p", "nwb", "arrays"]
SOURCE_KINDS: tuple[SourceKind, ...] = ("suite2p", "nwb", "arrays")
NWB_SUFFIXES = (".nwb", ".h5", ".hdf5")
SUITE2P_MARKS = ("spks.npy", "F.npy", "iscell.npy", "suite2p", "plane0")


@dataclass(frozen=True)
class ImportSource:
    """What is imported.

    Parameters
    ----------
    kind
        "suite2p", "nwb" or "arrays".
    path
        A folder, or an NWB file.
    beside
        suite2p: where stimulus, clocks and behaviour lie; None for the same folder.
    signal, all_regions
        suite2p: see `Suite2pFolder`.
    names, sample_time
        NWB: see `NwbFile`.
    """

    kind: SourceKind
    path: Path
    beside: Path | None = None
    signal: Signal2p = "spks"
    all_regions: bool = False
    names: NwbNames = field(default_factory=NwbNames)
    sample_time: Literal["start", "middle"] = "start"

    @contextlib.contextmanager
    def opened(self, settings: ImportSettings) -> Iterator[ArrayFolder | NwbFile | Suite2pFolder]:
        """The reader of these files; an NWB file stays open as long as it is used.

        Parameters
        ----------
        settings
            Of the import.

        Yields
        ------
        ArrayFolder, NwbFile or Suite2pFolder
            What reads streams and trials from them.

        Raises
        ------
        SessionError
            What reads them is not installed.
        StorageError
            They are not there, or damaged.
        """
        if self.kind == "arrays":
            from napari_vidrecon.sessions.importing.arrays import ArrayFolder

            yield ArrayFolder(self.path, settings)
        elif self.kind == "suite2p":
            from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder

            yield Suite2pFolder(self.path, self.beside, settings, self.signal, self.all_regions)
        else:
            with NwbFile(self.path, settings, self.names, self.sample_time) as file:
                yield file


def kind_of(path: Path) -> SourceKind:
    """What files seem to be, by their names alone."""
    if path.is_file() or path.suffix.lower() in NWB_SUFFIXES:
        return "nwb"
    return "suite2p" if any((path / mark).exists() for mark in SUITE2P_MARKS) else "arrays"


def require_replaceable(out: Path, replace: bool) -> None:
    """Refuse a place for a session where other files lie, and clear up there after processes that were killed.

    Parameters
    ----------
    out
        The session folder to write.
    replace
        Whether a session that was imported there before may be replaced.

    Raises
    ------
    StorageError
        Something lies there that may not be replaced.
    """
    recover_folder(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / REPORT_FILE).is_file():
        raise StorageError(f"{out}: expected a free name for the session, found other files; choose another name")
    if not replace:
        raise StorageError(
            f"{out}: expected a free name for the session, found an imported one; "
            "give --overwrite to replace it, or another name"
        )
