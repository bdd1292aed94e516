"""`ImportSource`: raw files of one of the kinds that can be imported, and the choices of how to read them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_vidrecon.doors import Door
from napari_vidrecon.errors import ConfigError, SessionError, VidreconError, one_line
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.caiman import CaimanFile
from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.importing.phy import PhyFolder
from napari_vidrecon.sessions.importing.recording import Recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings, Reader
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder
from napari_vidrecon.settings import Settings

LONGEST_KIND = 60
NWB_SUFFIX = ".nwb"
logger = logging.getLogger(__name__)
READERS: dict[str, type[Reader]] = {
    "suite2p": Suite2pFolder,
    "phy": PhyFolder,
    "caiman": CaimanFile,
    "nwb": NwbFile,
    "arrays": ArrayFolder,
}
"""Those of this package."""


def _is_reader(found: Any) -> bool:
    if not isinstance(found, type) or not issubclass(found, Reader) or found.__abstractmethods__:
        return False
    return isinstance(getattr(found, "title", None), str) and issubclass(found.options_class, Settings)


DOOR: Door[type[Reader]] = Door(
    "napari_vidrecon.readers",
    "reader",
    SessionError,
    "a class derived from Reader with a title, options_class, columns and recording",
    _is_reader,
)


def all_readers() -> dict[str, type[Reader]]:
    """Every reader that can be used, by the kind of files; a line says which packages are broken."""
    return {**READERS, **DOOR.usable(READERS)}


def reader_named(kind: str) -> type[Reader]:
    """The reader of a kind of files.

    Returns
    -------
    type[Reader]
        Not yet opened.

    Raises
    ------
    ConfigError
        There is none.
    SessionError
        The package that brings it is broken; the message names it.
    """
    found = READERS.get(kind) or DOOR.part(kind)
    if found is None:
        known = ", ".join([*READERS, *(name for name in DOOR.names if name not in READERS)])
        raise ConfigError(
            f"{one_line(kind, LONGEST_KIND)}: expected one of {known} before the source, "
            f"found {one_line(repr(kind), LONGEST_KIND)}"
        )
    return found


@dataclass(frozen=True)
class ImportSource:
    """What is imported.

    Parameters
    ----------
    kind
        Of the files: "suite2p", "phy", "caiman", "nwb", "arrays", or what another package brings.
    path
        A folder, or a file.
    options
        How they are read: fields of the reader's `options_class`.
    """

    kind: str
    path: Path
    options: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def opened(self, settings: ImportSettings) -> Iterator[OpenedSource]:
        """What reads these files, entered.

        Parameters
        ----------
        settings
            Of the import.

        Yields
        ------
        ArrayFolder, NwbFile, Suite2pFolder and so on
            What reads streams and trials from them.

        Raises
        ------
        ConfigError
            There is no such kind, or an option cannot be used.
        SessionError
            What reads them is not installed, or is broken.
        StorageError
            They are not there, or damaged.
        """
        with contextlib.ExitStack() as stack:
            with _blaming(self.kind):
                reader = stack.enter_context(reader_named(self.kind)(self.path, settings, **self.options))
            yield OpenedSource(self.kind, reader)


@dataclass(frozen=True)
class OpenedSource:
    """Files that are being read; what a reader of another package raises is one line that names the package."""

    kind: str
    reader: Reader

    def columns(self) -> list[Column]:
        """Every array found, and what it would be used for."""
        with _blaming(self.kind):
            return list(self.reader.columns())

    def recording(self) -> Recording:
        """The recording; its movies may stay in the files as long as they are open."""
        with _blaming(self.kind):
            found = self.reader.recording()
            if not isinstance(found, Recording):
                raise TypeError(f"expected a Recording, found {type(found).__name__}")
            return found


def _blaming(kind: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if kind in READERS else DOOR.blaming(kind)


def kind_of(path: Path) -> str:
    """What files seem to be, by their names alone; readers of other packages are asked first."""
    for kind, reader in [*DOOR.usable(READERS).items(), *READERS.items()]:
        try:
            with _blaming(kind):
                if reader.recognises(path):
                    return kind
        except VidreconError as broken:
            logger.warning("%s", broken)
    return "arrays"


def is_recording(path: Path) -> bool:
    """Whether it is told by names that something is a recording to import: a sorter's folder, or an NWB file."""
    try:
        # Any folder may be one of arrays, and a folder in Zarr is a run before it is NWB.
        return kind_of(path) not in ("arrays", "nwb") if path.is_dir() else path.suffix.lower() == NWB_SUFFIX
    except (OSError, ValueError):
        return False
