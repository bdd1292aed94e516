"""What has come, opened by the reader of its kind, and the zip of a session unpacked: never believed, nothing half."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.errors import SessionError, StorageError, VidreconError, one_line
from napari_vidrecon.sessions.downloading.catalogue import Kind, PublicFile
from napari_vidrecon.sessions.session import EXCLUDED_TIER, open_session
from napari_vidrecon.storage import disk_errors, open_regular, read_array, reading, replacing_folder

END = struct.Struct("<4s4H2LH")
END_MAGIC = b"PK\x05\x06"
LOCATOR = struct.Struct("<4sLQL")
LOCATOR_MAGIC = b"PK\x06\x07"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_MAGIC = b"PK\x06\x06"
LONGEST_COMMENT = 0xFFFF
LARGEST_DIRECTORY_BYTES = 16 << 20
MOST_MEMBERS = 100_000
ENCRYPTED = 0x1
TAKEN_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""The memory that others need is said by the file, and no recording uses them."""

DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError,
    struct.error, LookupError, OverflowError, MemoryError, TypeError,
)  # fmt: skip


class ArchiveError(StorageError):
    """A zip that is damaged, unsafe or holds no whole session: to be fetched again, not unpacked again."""


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose directory is not larger than any real one, and ends where the file ends.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    zipfile.ZipFile
        Closed when the block ends.

    Raises
    ------
    ArchiveError
        It is no zip, damaged, encrypted, or claims to hold more than its bytes can.
    """
    with open_regular(path, "a zip", ArchiveError) as file, reading(path, ArchiveError, "a sound zip"):
        _require_bounded(path, file)
        with zip_damage(path):
            packed = zipfile.ZipFile(file)
        with packed:
            members = packed.infolist()
            if len(members) > MOST_MEMBERS:
                raise ArchiveError(f"{path}: expected at most {MOST_MEMBERS} files in it, found {len(members)}")
            if any(member.flag_bits & ENCRYPTED for member in members):
                raise ArchiveError(f"{path}: expected a sound zip, found an encrypted one; download it again")
            odd = next((each.compress_type for each in members if each.compress_type not in TAKEN_COMPRESSIONS), None)
            if odd is not None:
                name = "lzma" if odd == zipfile.ZIP_LZMA else f"kind {odd}"
                raise ArchiveError(f"{path}: expected a zip of stored, deflated or bzip2 files, found {name}")
            size = os.fstat(file.fileno()).st_size
            claimed = sum(member.compress_size for member in members)
            if claimed > size or any(not 0 <= member.header_offset < size for member in members):
                raise ArchiveError(
                    f"{path}: expected files within its {size} bytes, found some that overlap or lie outside"
                )
            yield packed


@contextmanager
def zip_damage(path: Path) -> Iterator[None]:
    """Turn whatever zipfile and its decompressors raise on damaged bytes into one `ArchiveError`."""
    try:
        yield
    except StorageError:
        raise
    except DAMAGE as error:
        raise ArchiveError(
            f"{path}: expected a sound zip, found damage or an unknown kind ({one_line(error)}); download it again"
        ) from None


def read_through(path: Path, packed: zipfile.ZipFile) -> None:
    """Unpack every member into nothing: its checksum says whether it is what was packed."""
    for member in packed.infolist():
        with zip_damage(path), packed.open(member) as source:
            while source.read(BLOCK_BYTES):
                pass


def _require_bounded(path: Path, file: BinaryIO) -> None:
    """Look at the end of the directory before zipfile makes an object of every entry."""
    size = file.seek(0, os.SEEK_END)
    start = max(size - END.size - LONGEST_COMMENT, 0)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(END_MAGIC)
    if at < 0 or len(tail) - at < END.size:
        raise ArchiveError(
            f"{path}: expected a sound zip, found damage or an unknown kind (no directory at its end); "
            "download it again"
        )
    _, _, _, _, _, directory, _, comment = END.unpack_from(tail, at)
    if at + END.size + comment != len(tail):
        raise ArchiveError(f"{path}: expected a zip that ends with its directory, found more or fewer bytes after it")
    if at >= LOCATOR.size and tail[at - LOCATOR.size : at].startswith(LOCATOR_MAGIC):
        place = LOCATOR.unpack_from(tail, at - LOCATOR.size)[2]
        file.seek(min(place, size))
        end = file.read(END64.size)
        # zipfile looks for it right before the locator, and so must this.
        if place != start + at - LOCATOR.size - END64.size or not end.startswith(END64_MAGIC):
            raise ArchiveError(f"{path}: expected a sound zip, found a directory of 64 bits that is not where it says")
        directory = END64.unpack(end)[8]
    if directory > LARGEST_DIRECTORY_BYTES:
        raise ArchiveError(
            f"{path}: expected a directory of at most {LARGEST_DIRECTORY_BYTES} bytes, found one of {directory}"
        )
    file.seek(0)


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


__all__ = ["ArchiveError", "unpack_session"]

JUNK = ("__MACOSX", ".DS_Store")
LARGEST_RATIO = 200.0
"""A zip that grows more than this many times holds no recording."""
BLOCK_BYTES = 1 << 20
LONGEST_NAME_BYTES = 200
DEEPEST_PLACE = 12
LONGEST_PLACE_BYTES = 1000
RESERVED_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}

Members = list[tuple[zipfile.ZipInfo, PurePosixPath]]


def unpack_session(archive: Path, folder: Path, on_file: Callable[[int, int], None] | None = None) -> Path:
    """Unpack a zip into a session folder, which appears whole or not at all.

    Parameters
    ----------
    archive
        The zip; it may hold the session in one folder, and what macOS adds.
    folder
        Where the session goes.
    on_file
        Called with the files unpacked and the files in all.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArchiveError
        Damaged, unsafe, or no whole session.
    StorageError
        No room on the disk.
    SessionError
        What it holds is no session.
    """
    with opened_zip(archive) as packed:
        members = _safe_members(archive, packed)
        _require_room(archive, folder, members)
        with replacing_folder(folder) as draft:
            for done, (member, place) in enumerate(members, start=1):
                target = draft / place
                target.parent.mkdir(parents=True, exist_ok=True)
                _unpack_member(archive, packed, member, target)
                if on_file is not None:
                    on_file(done, len(members))
            _require_whole(archive, draft)
    return folder


def _unpack_member(archive: Path, packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    # Damage to the zip and a full disk are told apart: after the one it is fetched again, after the other kept.
    with zip_damage(archive):
        source = packed.open(member)
    with source, target.open("xb") as file:
        while True:
            with zip_damage(archive):
                block = source.read(BLOCK_BYTES)
            if not block:
                return
            file.write(block)


def _safe_members(archive: Path, packed: zipfile.ZipFile) -> Members:
    """The files to unpack, each with its place below the session."""
    found: Members = []
    folders: set[PurePosixPath] = set()
    for member in packed.infolist():
        place = PurePosixPath(member.filename)
        reason = _why_unsafe(member, place)
        if reason:
            shown = one_line(repr(member.filename), 120)
            raise ArchiveError(
                f"{archive}: expected files inside the session, found {reason}: {shown}; nothing was unpacked"
            )
        if any(part in JUNK for part in place.parts) or not place.parts:
            continue
        if member.is_dir():
            folders.add(place)
        else:
            found.append((member, place))
    _require_no_clashes(archive, found, folders)
    tops = {place.parts[0] for _, place in found}
    if len(tops) == 1 and not {"data", "meta"} & tops:
        found = [(member, PurePosixPath(*place.parts[1:])) for member, place in found if len(place.parts) > 1]
    if not found:
        raise ArchiveError(f"{archive}: expected the files of a session, found none in it; download it again")
    return found


def _why_unsafe(member: zipfile.ZipInfo, place: PurePosixPath) -> str:
    """What is wrong with a member's place or kind; empty if nothing is."""
    name = member.filename
    if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name:
        return "a path that leads outside"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or device"
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
        return "a name with characters that hide"
    sizes = [len(part.encode()) for part in place.parts]
    if len(sizes) > DEEPEST_PLACE or sum(sizes) > LONGEST_PLACE_BYTES or max(sizes, default=0) > LONGEST_NAME_BYTES:
        return "a name longer or deeper than any of a session"
    if any(part.partition(".")[0].lower() in RESERVED_NAMES or part.endswith((".", " ")) for part in place.parts):
        return "a name that not every system takes"
    return ""


def _require_no_clashes(archive: Path, found: Members, folders: set[PurePosixPath]) -> None:
    """Refuse two members at one place, on systems that know no capitals or compose letters as well."""
    files: dict[str, PurePosixPath] = {}
    for _, place in found:
        if (key := _folded(place)) in files:
            raise ArchiveError(
                f"{archive}: expected a place for each file, found two at {one_line(place, 120)!r}; "
                "nothing was unpacked"
            )
        files[key] = place
    holding = {_folded(parent) for _, place in found for parent in place.parents} | {_folded(each) for each in folders}
    both = holding & files.keys()
    if both:
        raise ArchiveError(
            f"{archive}: expected a file or a folder, found both at {one_line(files[min(both)], 120)!r}; "
            "nothing was unpacked"
        )


def _folded(place: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(place)).casefold()


def _require_room(archive: Path, folder: Path, members: Members) -> None:
    total = sum(member.file_size for member, _ in members)
    packed = sum(member.compress_size for member, _ in members)
    if total > LARGEST_RATIO * max(packed, 1) + (1 << 20):
        raise ArchiveError(
            f"{archive}: expected a recording, found {packed} bytes that grow to {total}; nothing was unpacked"
        )
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if total > free:
        raise StorageError(
            f"{folder}: expected {total / 1e9:.1f} GB of room to unpack into, found {free / 1e9:.1f} GB; "
            "make room; the zip is kept"
        )


def _require_whole(archive: Path, draft: Path) -> None:
    """Refuse an unpacked folder that lacks the video of a trial; raises `SessionError` or `ArchiveError`."""
    try:
        session = open_session(draft)
    except SessionError as error:
        # The draft is gone when this is read; the zip is what a person knows.
        raise SessionError(str(error).replace(str(draft), str(archive))) from None
    missing = [
        trial
        for trial, tier in session.tiers.items()
        if tier != EXCLUDED_TIER and not session.file("videos", trial).is_file()
    ]
    if missing:
        raise ArchiveError(
            f"{archive}: expected a video of each of {len(session.tiers)} trials, "
            f"found none of {len(missing)} (first: {missing[0]}); download it again"
        )
