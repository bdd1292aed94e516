"""Opening what has come, by the reader of its kind; only what opens counts as whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.errors import StorageError, VidreconError, one_line
from napari_vidrecon.sessions.downloading.catalogue import Kind, PublicFile
from napari_vidrecon.sessions.downloading.zips import opened_zip, read_through
from napari_vidrecon.storage import read_array

BEGINNINGS = {".npy": b"\x93NUMPY", ".npz": b"PK", ".zip": b"PK", ".pth": b"PK"}
CHECK_THEMSELVES = (".npz", ".zip", ".pth")
"""Zips, all of them: every file in them has a checksum."""
WEIGHTS_MEMBER = "data.pkl"

Opener = Callable[[Path], object]
Openers = dict[Kind, Opener]


def require_whole(file: PublicFile, path: Path, openers: Openers | None = None) -> None:
    """Open what has come; a web page, a half or another file in its place is refused.

    Parameters
    ----------
    file
        What it should be.
    path
        Where it lies.
    openers
        Readers of the floors above, by kind; what they refuse is refused.

    Raises
    ------
    StorageError
        It is something else, damaged or not whole.
    """
    suffix = Path(file.file_name).suffix
    beginning = BEGINNINGS.get(suffix, b"")
    with path.open("rb") as opened:
        found = opened.read(max(len(beginning), 16))
    if not found.startswith(beginning):
        raise StorageError(
            f"{file.url}: expected a {suffix} file, found one that starts with {found!r}; "
            "the server answered with something else: try again later, or fetch it with a browser"
        )
    try:
        if suffix == ".npy":
            _open_array(path)
        elif suffix in CHECK_THEMSELVES:
            _open_zip(path, suffix)
        opener = (openers or {}).get(file.kind)
        if opener is not None:
            opener(path)
    except VidreconError as error:
        reason = one_line(error).removeprefix(f"{path}: ")
        raise StorageError(
            f"{file.url}: expected a whole {suffix} file, found one that does not open ({reason}); "
            "it is not kept: try again later"
        ) from None


def _open_array(path: Path) -> None:
    array = read_array(path)
    if array.dtype.kind not in "fiub" or array.ndim == 0 or not np.isfinite(array).all():
        raise StorageError(f"{path}: expected finite numbers, found others")
    with path.open("rb") as file:
        reader = npy_format.read_array_header_1_0
        if npy_format.read_magic(file) != (1, 0):
            reader = npy_format.read_array_header_2_0
        reader(file)
        surplus = path.stat().st_size - file.tell() - array.nbytes
    if surplus:
        raise StorageError(f"{path}: expected an array, found {surplus} bytes more than it has")


def _open_zip(path: Path, suffix: str) -> None:
    with opened_zip(path) as packed:
        names = [each.rpartition("/")[2] for each in packed.namelist()]
        if suffix == ".pth" and WEIGHTS_MEMBER not in names:
            raise StorageError(f"{path}: expected weights in torch's format, found a zip of something else")
        if suffix == ".npz" and not (names and all(name.endswith(".npy") for name in names)):
            raise StorageError(f"{path}: expected a zip of arrays, found one of something else")
        # A mouse is read through, and more, when it is unpacked.
        if suffix != ".zip":
            read_through(path, packed)
