"""What of a folder this program wrote, and what a person has put there since."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.metadata import COORDINATES_FILE, NEURON_IDS_FILE, SIMULATION_FILE, TIERS_FILE
from napari_vidrecon.sessions.session_statistics import STATISTICS
from napari_vidrecon.sessions.trial_files import STREAMS

TRIAL_IDS_FILE = "meta/trials/trial_idx.npy"
CONFIG_FILE, REPORT_FILE, REPORT_TEXT_FILE = "config.json", "import.json", "import.txt"
NUMBERED_FILE = re.compile(r"(?P<folder>.+)/(0|[1-9][0-9]{0,8})\.npy")


@dataclass(frozen=True)
class Layout:
    """Which files of a folder this program writes.

    Parameters
    ----------
    files
        Their paths in it.
    numbered
        Folders in it whose files are named by number: `0.npy`, `1.npy` ...
    """

    files: frozenset[str]
    numbered: tuple[str, ...] = ()

    def with_files(self, names: Iterable[str]) -> Layout:
        """The same with more files."""
        return replace(self, files=self.files | {Path(name).as_posix() for name in names})

    @property
    def folders(self) -> frozenset[str]:
        """Folders that it makes; what else lies in one of them is looked at piece by piece."""
        above = (str(parent) for name in self.files for parent in Path(name).parents)
        return frozenset({*above, *self.numbered, *(str(Path(name).parent) for name in self.numbered)})

    def belongings(self, folder: Path) -> list[str]:
        """What lies in a folder and is not of this layout, as paths inside it; a folder as a whole ends in /."""
        return sorted(self._theirs(folder, "", self.folders))

    def _theirs(self, folder: Path, prefix: str, folders: frozenset[str]) -> Iterator[str]:
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if not entry.is_dir(follow_symlinks=False):
                    if not self._writes(name):
                        yield name
                elif name in folders:
                    yield from self._theirs(folder, f"{name}/", folders)
                else:
                    yield f"{name}/"

    def _writes(self, name: str) -> bool:
        numbered = NUMBERED_FILE.fullmatch(name)
        return name in self.files or (numbered is not None and numbered["folder"] in self.numbered)

    def left_in(self, old: Path, new: Path) -> list[str]:
        """What moves from a folder into the one that takes its place.

        Returns
        -------
        list[str]
            Paths inside the folder.

        Raises
        ------
        StorageError
            It stands where a file of the new one must go.
        """
        theirs = self.belongings(old)
        for name in theirs:
            if os.path.lexists(new / name):
                raise StorageError(
                    f"{old / name}: expected what may be replaced, found something that this program did not write; "
                    "move it away first"
                )
        return theirs


SESSION = Layout(
    frozenset(
        {
            *(TIERS_FILE, TRIAL_IDS_FILE, NEURON_IDS_FILE, COORDINATES_FILE),
            *(CONFIG_FILE, SIMULATION_FILE, REPORT_FILE, REPORT_TEXT_FILE),
            *(f"meta/statistics/{stream}/all/{name}.npy" for stream in STREAMS for name in STATISTICS),
        }
    ),
    tuple(f"data/{stream}" for stream in STREAMS),
)


def require_session_or_nothing(folder: Path) -> None:
    """Refuse to write a session where other things lie.

    Raises
    ------
    StorageError
        They do.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not ((folder / TIERS_FILE).is_file() and (folder / "data").is_dir()):
        raise StorageError(f"{folder}: expected a free name for the session, found other files; choose another name")
