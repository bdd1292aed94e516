"""Unpacking the zip of a session: nothing outside its folder, nothing half, nothing that is no session."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.session import EXCLUDED_TIER, open_session
from napari_vidrecon.storage import replacing_folder

JUNK = ("__MACOSX", ".DS_Store")
LARGEST_RATIO = 200.0
"""A zip that grows more than this many times holds no recording."""


class ArchiveError(StorageError):
    """A zip that is damaged, unsafe or holds no whole session: to be fetched again, not unpacked again."""


def unpack_session(archive: Path, folder: Path, on_file: Callable[[int, int], None] | None = None) -> Path:
    """Unpack a zip into a session folder, which appears whole or not at all.

    Parameters
    ----------
    archive : the zip; it may hold the session in one folder, and what macOS adds.
    folder : where the session goes.
    on_file : called with the files unpacked and the files in all.

    Returns
    -------
    The folder.

    Raises
    ------
    ArchiveError : damaged, unsafe, or no whole session.
    StorageError : no room on the disk.
    SessionError : what it holds is no session.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = _safe_members(archive, packed)
            _require_room(archive, folder, members)
            with replacing_folder(folder) as draft:
                for done, (member, place) in enumerate(members, start=1):
                    target = draft / place
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with packed.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                    if on_file is not None:
                        on_file(done, len(members))
                _require_whole(archive, draft)
    # zipfile says NotImplementedError of a compression it does not know, RuntimeError of an encrypted file.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(
            f"{archive}: expected a sound zip, found damage or an unknown kind ({error}); download it again"
        ) from None
    return folder


def _safe_members(archive: Path, packed: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files to unpack, each with its place below the session."""
    found = []
    for member in packed.infolist():
        place = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        outside = place.is_absolute() or ".." in place.parts or "\\" in member.filename or ":" in member.filename
        if outside or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link or device" if not outside else "a path that leads outside"
            raise ArchiveError(
                f"{archive}: expected files inside the session, found {what}: {member.filename!r}; nothing was unpacked"
            )
        if not member.is_dir() and place.parts and not any(part in JUNK for part in place.parts):
            found.append((member, place))
    tops = {place.parts[0] for _, place in found}
    if len(tops) == 1 and not {"data", "meta"} & tops:
        found = [(member, PurePosixPath(*place.parts[1:])) for member, place in found if len(place.parts) > 1]
    if not found:
        raise ArchiveError(f"{archive}: expected the files of a session, found none in it; download it again")
    return found


def _require_room(archive: Path, folder: Path, members: list[tuple[zipfile.ZipInfo, PurePosixPath]]) -> None:
    total = sum(member.file_size for member, _ in members)
    packed = sum(member.compress_size for member, _ in members)
    if total > LARGEST_RATIO * max(packed, 1) + (1 << 20):
        raise ArchiveError(
            f"{archive}: expected a recording, found {packed} bytes that grow to {total}; nothing was unpacked"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if total > free:
        raise StorageError(
            f"{folder}: expected {total / 1e9:.1f} GB of room to unpack into, found {free / 1e9:.1f} GB; "
            "make room; the zip is kept"
        )


def _require_whole(archive: Path, draft: Path) -> None:
    """Refuse an unpacked folder that lacks the video of a trial; raises `SessionError` or `ArchiveError`."""
    session = open_session(draft)
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
