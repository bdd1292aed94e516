"""`Door`: where other packages bring in parts of one kind, by entry points; a broken package is one line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from napari_vidrecon.errors import VidreconError, one_line

Part = TypeVar("Part")
LONGEST_FAULT, LONGEST_VALUE = 200, 80
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Door(Generic[Part]):
    """The entry points of one group.

    Parameters
    ----------
    group
        Of the entry points, "napari_vidrecon.readers".
    what
        A part is called in messages: "reader".
    error
        Raised for a package that is broken.
    expected
        What an entry point has to be, with its article: "a class derived from Reader".
    fits
        Whether it is that.
    """

    group: str
    what: str
    error: type[VidreconError]
    expected: str
    fits: Callable[[Any], bool]

    @property
    def names(self) -> list[str]:
        """Of all parts that other packages bring, sound or broken, in alphabetical order."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def part(self, name: str) -> Part | None:
        """The part of a name, or None if no package brings one.

        Returns
        -------
        Part | None
            Loaded from its package.

        Raises
        ------
        VidreconError
            Several packages do, or the one that does is broken; the message names it.
        """
        entry = self._entry(name)
        return None if entry is None else self._loaded(entry)

    def usable(self, taken: Collection[str] = ()) -> dict[str, Part]:
        """Every part that can be loaded, by name; a line in the log says which packages are broken.

        Parameters
        ----------
        taken
            Names that are this package's own.

        Returns
        -------
        dict[str, Part]
            {name: part}.
        """
        found: dict[str, Part] = {}
        for name in self.names:
            if name in taken:
                continue
            try:
                part = self.part(name)
            except VidreconError as broken:
                logger.warning("%s", broken)
            else:
                assert part is not None
                found[name] = part
        return found

    def package(self, name: str) -> str:
        """Name and version of the package that brings a part; empty if none does."""
        entry = self._entry(name)
        return "" if entry is None else _package(entry)

    @contextlib.contextmanager
    def blaming(self, name: str) -> Iterator[None]:
        """Turn whatever a part of another package raises into one line that names the package.

        Errors of ours go through; so does everything if the part is none of another package.
        """
        try:
            yield
        except VidreconError:
            raise
        except Exception as raised:
            package = self.package(name)
            if not package:
                raise
            raise self.error(
                f"{self.what} '{name}': the package {package} that brings it failed ({_fault(raised)}); "
                "tell its makers, or update it"
            ) from raised

    def _entry(self, name: str) -> EntryPoint | None:
        found = list(entry_points(group=self.group, name=name))
        if len(found) > 1:
            packages = " and ".join(sorted(map(_package, found)))
            raise self.error(f"{self.what} '{name}': expected one package that brings it, found {packages}; remove one")
        return found[0] if found else None

    def _loaded(self, entry: EntryPoint) -> Part:
        try:
            found = entry.load()
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # a stranger's code
            raise self.error(
                f"{self.what} '{entry.name}': the package {_package(entry)} that brings it cannot be loaded "
                f"({_fault(raised)}); repair, update or remove that package"
            ) from None
        if not self.fits(found):
            raise self.error(
                f"{self.what} '{entry.name}': expected {entry.value} of the package {_package(entry)} to be "
                f"{self.expected}, found {one_line(repr(found), LONGEST_VALUE)}; update or remove it"
            )
        return found


def _fault(raised: BaseException) -> str:
    return f"{type(raised).__name__}: {one_line(raised, LONGEST_FAULT)}"


def _package(entry: EntryPoint) -> str:
    try:
        return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    except Exception:  # noqa: BLE001  # one that was removed meanwhile has no metadata to read
        return entry.value
