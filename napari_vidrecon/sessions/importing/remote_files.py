"""Files that lie on a server: an address or an asset of the DANDI archive, read in blocks as they are needed."""

from __future__ import annotations

import io
import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.downloading.answers import BrokenConnection, asked, check_address, whole_number

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
