"""HDF5 files from outside: everything in the file itself, and no array larger than what is stored of it."""

from __future__ import annotations

import contextlib
import math
from io import RawIOBase
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.storage import open_regular, reading

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_LINKS = 100_000
DEEPEST_GROUP = 40
UNPACKED_RATIO, UNPACKED_SURPLUS_BYTES = 200, 256 << 20
"""What is compressed may be this many times as large as its file, and this much larger."""
WHOLE_RATIO, WHOLE_SURPLUS_BYTES = 30, 128 << 20
LARGEST_CHUNK_BYTES = 256 << 20
MOST_FRAMES = 10_000_000


def require_self_contained(path: Path, expected: str = "an NWB file", remote: RawIOBase | None = None) -> None:
    """Refuse a file that leads to other files, or in circles, before anything follows it there.

    Parameters
    ----------
    path
        The HDF5 file.
    expected
        What it should be, with its article, for messages.
    remote
        The file itself, where it does not lie on this machine.

    Raises
    ------
    StorageError
        Missing, no HDF5 file, damaged, or not all in one file.
    """
    import h5py

    with open_regular(path, expected) if remote is None else contextlib.nullcontext(remote) as opened:
        found = opened.read(len(HDF5_MAGIC))
    if found != HDF5_MAGIC:
        raise StorageError(f"{path}: expected {expected}, found one that starts with {found!r}")
    with reading(path, expected=expected), h5py.File(path if remote is None else remote, "r") as file:
        waiting: list[tuple[Any, int]] = [(file, 0)]
        seen = {_address(file)}
        links = 0
        while waiting:
            group, depth = waiting.pop()
            for name in group:
                links += 1
                if links > MOST_LINKS or depth > DEEPEST_GROUP:
                    raise StorageError(f"{path}: expected {expected}, found one with too many groups in one another")
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise _outside(path, f"{group.name}/{name}", link.filename)
                if isinstance(link, h5py.SoftLink):
                    continue
                each = group[name]
                if isinstance(each, h5py.Dataset):
                    _require_inside(path, each)
                elif isinstance(each, h5py.Group) and _address(each) not in seen:
                    seen.add(_address(each))
                    waiting.append((each, depth + 1))


def _address(group: Any) -> int:
    import h5py

    return int(h5py.h5o.get_info(group.id).addr)


def _require_inside(path: Path, dataset: Any) -> None:
    if dataset.is_virtual:
        raise _outside(path, dataset.name, "parts of other files")
    if dataset.external:
        raise _outside(path, dataset.name, dataset.external[0][0])


def _outside(path: Path, place: str, target: str) -> StorageError:
    return StorageError(
        f"{path}: {one_line(place, 100)}: expected everything in the file, found a link to "
        f"{one_line(repr(target), 100)}; save it as one file (pynwb's export)"
    )


def require_stored(data: Any, source: str) -> None:
    """Refuse a data set that claims to be larger than what is stored of it.

    Parameters
    ----------
    data
        A data set of an HDF5 file; anything else is in memory already, and passes.
    source
        Its place, for messages.

    Raises
    ------
    StorageError
        Parts of it are missing, or it grows beyond any real one.
    """
    import h5py

    if not isinstance(data, h5py.Dataset) or data.shape is None or h5py.check_vlen_dtype(data.dtype) is not None:
        return
    if h5py.check_string_dtype(data.dtype) is not None:
        return
    with reading(source, expected="stored data"):
        wanted = math.prod(int(each) for each in data.shape) * data.dtype.itemsize
        stored, file_bytes = int(data.id.get_storage_size()), _file_bytes(data)
        if data.chunks is not None:
            blocks = math.prod(-(-int(n) // chunk) for n, chunk in zip(data.shape, data.chunks, strict=True))
            missing = wanted > 0 and data.id.get_num_chunks() < blocks
            if math.prod(data.chunks) * data.dtype.itemsize > LARGEST_CHUNK_BYTES:
                raise StorageError(f"{source}: expected blocks of at most {LARGEST_CHUNK_BYTES:,} bytes, found larger")
        else:
            missing = stored < wanted
        if missing or wanted > UNPACKED_RATIO * file_bytes + UNPACKED_SURPLUS_BYTES:
            raise StorageError(
                f"{source}: expected {wanted:,} bytes of data of shape {data.shape}, found {stored:,} stored: "
                "the file is truncated or damaged"
            )


def _file_bytes(data: Any) -> int:
    """Size of the file that a data set lies in; what HDF5 says where it does not lie on this machine."""
    try:
        return Path(data.file.filename).stat().st_size
    except OSError:
        return int(data.file.id.get_filesize())


def whole(data: Any, source: str) -> np.ndarray:
    """All of a data set, in memory.

    Parameters
    ----------
    data
        The data set, or an array.
    source
        Its place, for messages.

    Returns
    -------
    np.ndarray
        Of the data set's shape.

    Raises
    ------
    StorageError
        It is not stored as it claims, or cannot be read.
    SessionError
        There is none.
    """
    if data is None:
        raise SessionError(f"{source}: expected data, found none")
    require_stored(data, source)
    _require_small(data, source)
    with reading(source, expected="stored data"):
        return np.asarray(data[:])


def _require_small(data: Any, source: str) -> None:
    """Refuse zeros in their millions that take no room in the file; what is read whole is computed with as float64."""
    import h5py

    if isinstance(data, h5py.Dataset) and data.shape is not None:
        most = WHOLE_RATIO * _file_bytes(data) + WHOLE_SURPLUS_BYTES
        wanted = math.prod(int(each) for each in data.shape) * max(data.dtype.itemsize, np.dtype(np.float64).itemsize)
        if wanted > most:
            raise StorageError(
                f"{source}: expected at most {most:,} bytes in a file of this size, found {wanted:,}; "
                "the file is damaged: copy it again"
            )


def rows_of(data: Any, rows: np.ndarray, source: str) -> np.ndarray:
    """Some rows of a data set; which rows comes from outside as well.

    Parameters
    ----------
    data
        The data set.
    rows
        (R,) integers.
    source
        What it is called in the message.

    Returns
    -------
    np.ndarray
        (R, ...).

    Raises
    ------
    SessionError
        There is no such row.
    """
    table = whole(data, source)
    if rows.dtype.kind not in "iu" or (rows.size and (rows.min() < 0 or rows.max() >= len(table))):
        raise SessionError(f"{source}: expected rows from 0 to {len(table) - 1}, found others")
    return np.asarray(table[rows])
