"""Unpacking the zip of a session: nothing outside its folder, nothing half, nothing that is no session."""

from __future__ import annotations

import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.downloading.opening import ArchiveError, opened_zip, zip_damage
from napari_vidrecon.sessions.session import EXCLUDED_TIER, open_session
from napari_vidrecon.storage import disk_errors, replacing_folder

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
