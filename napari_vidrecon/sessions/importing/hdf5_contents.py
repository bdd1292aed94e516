"""HDF5 files from outside, here or on a server: all in the file itself, and no array larger than what is stored."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from collections import OrderedDict
from io import RawIOBase
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line, optional_module
from napari_vidrecon.sessions.downloading.answers import BrokenConnection, asked, check_address, whole_number
from napari_vidrecon.storage import open_regular, reading
from napari_vidrecon.storage.impostors import HEAD_BYTES, format_of, recognised

DANDI_API = "https://api.dandiarchive.org/api"
BLOCK_BYTES = 4 << 20
BLOCKS_KEPT = 32
TRIES = 3
PARTIAL, FOUND = 206, 200
LARGEST_ANSWER_BYTES = 4_000_000
SCHEME = re.compile(r"^(https?):/+", re.IGNORECASE)
ASSET = re.compile(r"^dandi:/*([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$")
FILE_OF_DANDISET = re.compile(r"^dandi:/*(\d{6})(?:@([\w.]+))?/(.+)$")
DANDI_FORMS = "dandi:ASSET-ID or dandi:DANDISET/path/of/file.nwb"


def address_of(path: Path, api: str | None = None) -> str | None:
    """The address that a source is, or None for a file of this machine.

    Parameters
    ----------
    path
        As a person gave it; a path swallows one of the slashes after "https:".
    api
        Of the DANDI archive; None for the public one.

    Returns
    -------
    str | None
        To be read with `RemoteFile`.

    Raises
    ------
    SessionError
        An asset of DANDI that is not there.
    StorageError
        An address that is none, or a server that does not answer.
    """
    text, api = path.as_posix(), (api or DANDI_API).rstrip("/")
    if SCHEME.match(text):
        address = SCHEME.sub(lambda found: f"{found[1].lower()}://", text)
        check_address(address)
        return address
    if not text.lower().startswith("dandi:"):
        return None
    asset, file = ASSET.match(text), FILE_OF_DANDISET.match(text)
    if asset:
        return f"{api}/assets/{asset[1]}/download/"
    if not file:
        raise SessionError(f"{text}: expected an asset of the DANDI archive ({DANDI_FORMS}), found another name")
    dandiset, version, name = file[1], file[2] or "draft", file[3]
    told = _answered(f"{api}/dandisets/{dandiset}/versions/{version}/assets/?path={quote(name)}&page_size=100")
    listed = told.get("results") if isinstance(told, dict) else None
    assets = [each for each in listed or () if isinstance(each, dict) and each.get("path") == name]
    if not assets or not ASSET.match(f"dandi:{assets[0].get('asset_id')}"):
        raise SessionError(
            f"{text}: expected a file of DANDI set {dandiset}, version {version}, found none of that name; "
            "see its page for the names of its files"
        )
    return f"{api}/assets/{assets[0]['asset_id']}/download/"


def _answered(address: str) -> Any:
    try:
        with asked(address) as answer:
            if answer.status != FOUND:
                raise StorageError(f"{address}: expected a list of files, found {answer.status} {answer.reason}")
            body = b""
            for block in answer.blocks(1 << 16):
                body += block
                if len(body) > LARGEST_ANSWER_BYTES:
                    raise StorageError(f"{address}: expected a list of files, found one without end")
        return json.loads(body)
    except BrokenConnection as broken:
        raise StorageError(f"{address}: expected an answer, found {one_line(broken)}; try again later") from None
    except (ValueError, RecursionError):
        raise StorageError(f"{address}: expected a list of files, found an answer that is none") from None


class RemoteFile(io.RawIOBase):
    """A file on a server that sends parts; blocks that were read are kept for a while.

    Parameters
    ----------
    address
        Where it lies; redirects are followed anew for each block, as those of archives expire.

    Raises
    ------
    StorageError
        The server does not answer, has no such file, or sends no parts.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self._place = address, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.size = 0
        self._block(0)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Fill as much of a buffer as there is in one block."""
        view = memoryview(buffer).cast("B")
        if self._place >= self.size or not len(view):
            return 0
        number, start = divmod(self._place, BLOCK_BYTES)
        piece = self._block(number)[start : start + len(view)]
        view[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        for left in reversed(range(TRIES)):
            try:
                found = self._fetched(number * BLOCK_BYTES)
                break
            except BrokenConnection as broken:
                if not left:
                    raise StorageError(
                        f"{self.address}: expected a part of the file, found a connection that breaks "
                        f"({one_line(broken)}); try again later, or download the file"
                    ) from None
        self._blocks[number] = found
        while len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return found

    def _fetched(self, start: int) -> bytes:
        stop = start + BLOCK_BYTES - 1
        with asked(self.address, {"Range": f"bytes={start}-{stop}", "Accept-Encoding": "identity"}) as answer:
            told = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", answer.header("Content-Range"))
            if answer.status != PARTIAL or told is None or int(told[1]) != start:
                what = "the whole file" if answer.status == FOUND else f"{answer.status} {answer.reason}"
                raise StorageError(
                    f"{self.address}: expected a part of the file, found {what}; download it and import the file itself"
                )
            size = whole_number(told[3]) or 0
            if self.size and size != self.size:
                raise StorageError(f"{self.address}: expected {self.size} bytes, found {size}: the file has changed")
            self.size = size
            wanted = min(BLOCK_BYTES, size - start)
            found = bytearray()
            for block in answer.blocks(1 << 18):
                found += block
                if len(found) >= wanted:
                    break
        if len(found) < wanted:
            raise BrokenConnection(f"{len(found)} of {wanted} bytes")
        return bytes(found[:wanted])


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
        head = opened.read(HEAD_BYTES)
    if not head.startswith(HDF5_MAGIC):
        found = recognised(head) or format_of(head) or f"one that starts with {head[: len(HDF5_MAGIC)]!r}"
        raise StorageError(f"{path}: expected {expected}, found {found}")
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


HDF5_NAMED = re.compile(r"(.*\.(?:h5|hdf5))(?::(.*))?", re.IGNORECASE | re.DOTALL)


def split_hdf5(name: str) -> tuple[str, str] | None:
    """File and place of "file.h5:path/in/it"; the place is empty where none is named, None for another file."""
    found = HDF5_NAMED.fullmatch(name)
    return None if found is None else (found[1], (found[2] or "").strip("/"))


def hdf5_arrays(path: Path) -> dict[str, Any]:
    """{place: data set} of all arrays with numbers or text in an HDF5 file, none of which is read yet.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict[str, Any]
        They keep the file open.

    Raises
    ------
    StorageError
        Missing, damaged, another file, or leading to other files.
    """
    what = f"{path}: an HDF5 file, whose arrays may be saved as .npy instead"
    h5py = optional_module("h5py", "nwb", what, StorageError)
    expected = "an HDF5 file"
    require_self_contained(path, expected)
    found: dict[str, Any] = {}

    def look(name: str, each: Any) -> None:
        text = h5py.check_string_dtype(each.dtype) is not None if isinstance(each, h5py.Dataset) else False
        if isinstance(each, h5py.Dataset) and each.shape and (text or each.dtype.kind in "fiub"):
            found[name] = each

    with reading(path, expected=expected):
        # Every group is looked into once, so that circles end.
        h5py.File(path, "r").visititems(look)
    return found


def hdf5_array(path: Path, place: str, likely: str = "") -> Any:
    """One data set of an HDF5 file, not read yet.

    Parameters
    ----------
    path
        The file.
    place
        Its path in the file; empty where the file holds only one, or one of a likely name.
    likely
        Name to take where none is given.

    Returns
    -------
    Any
        Of numbers, stored as it claims; text as an array.

    Raises
    ------
    StorageError
        Nothing of that name, or the file cannot be read.
    """
    found = hdf5_arrays(path)
    data = found[the_array(path, list(found), place, likely)]
    source = f"{path}:{place}"
    if data.dtype.kind in "fiub":
        require_stored(data, source)
        return data
    with reading(path, expected="an HDF5 file"):
        return np.asarray(data.asstr(errors="replace")[()]).astype("U")


def the_array(path: Path, names: list[str], place: str, likely: str) -> str:
    """Which of the arrays in a file is meant.

    Parameters
    ----------
    path
        The file.
    names
        Of all that it holds.
    place
        As it was asked for; empty for the only one, or the likely one.
    likely
        The one to take then.

    Returns
    -------
    str
        One of the names.

    Raises
    ------
    StorageError
        There is no such array.
    """
    wanted = place or (likely if likely in names else names[0] if len(names) == 1 else "")
    if wanted not in names:
        known = one_line(", ".join(names) or "none", 300)
        raise StorageError(
            f"{path}: expected an array {one_line(wanted, 100) or '(say which one)'} of numbers or text in it, found "
            f'{known}; name it as "{path.name}:NAME" in recording.toml'
        )
    return wanted
