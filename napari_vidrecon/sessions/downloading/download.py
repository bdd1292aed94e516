"""Downloading one public thing: its licence first, then its bytes, checked, and moved to its place when whole."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.sessions.downloading.archives import ArchiveError, unpack_session
from napari_vidrecon.sessions.downloading.catalogue import LICENCE_NOTE, PublicFile
from napari_vidrecon.sessions.downloading.ledger import Ledger
from napari_vidrecon.sessions.downloading.resuming import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ResumingDownload
from napari_vidrecon.storage import recover_folder

BEGINNINGS = {".npy": b"\x93NUMPY", ".npz": b"PK", ".zip": b"PK", ".pth": b"PK"}
LONGEST_LICENCE_BYTES = 200_000

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Licence:
    """What a repository says about the use of its data.

    Parameters
    ----------
    url : where it says so; empty where nothing was found.
    text : what it says.
    """

    url: str
    text: str

    @property
    def sha256(self) -> str:
        """Checksum of the text, for the record."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Downloaded:
    """What a download left.

    Parameters
    ----------
    name, path : what it is, and where it lies.
    sha256 : checksum of the file that came; empty if it was there before.
    checked : the checksum was known before, and agrees.
    was_there : nothing was fetched, as it was there already.
    """

    name: str
    path: Path
    sha256: str
    checked: bool
    was_there: bool


def read_licence(file: PublicFile) -> Licence:
    """What the repository of a file says about its use; its LICENSE, or else its README.

    Raises
    ------
    StorageError : the server cannot be reached.
    """
    for url in file.licence_urls:
        try:
            with requests.get(url, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as answer:
                if answer.status_code == requests.codes.ok:
                    text = answer.raw.read(LONGEST_LICENCE_BYTES, decode_content=True).decode(errors="replace")
                    return Licence(url, text)
        except (requests.RequestException, OSError) as error:
            raise StorageError(
                f"{url}: expected an answer of the server, found {type(error).__name__}; "
                "check the connection, or try again later"
            ) from None
    return Licence("", LICENCE_NOTE)


def download(
    file: PublicFile, folder: Path | str, licence: Licence, on_progress: OnProgress | None = None
) -> Downloaded:
    """Fetch one public thing; what was fetched before and interrupted goes on.

    Parameters
    ----------
    file : what to fetch.
    folder : the folder of downloads; the thing goes to `file.goes_to` in it.
    licence : what was shown to the person; recorded with the checksum.
    on_progress : called with what is being done, and how many bytes or files of how many are done.

    Returns
    -------
    What it left. A checksum that is not known is recorded in `downloads.json` of the folder and holds from then on.

    Raises
    ------
    StorageError : it cannot be fetched or written, is damaged, or is not what it was at its first download.
    SessionError : a zip that holds no whole session.
    """
    folder = Path(folder)
    target = folder / file.goes_to
    ledger = Ledger(folder)
    known = file.sha256 or ledger.known_sha256(file.url)
    if target.exists():
        # Everything comes to its place by a move, so what is there is whole.
        return Downloaded(file.name, target, "", False, True)
    arrived = target if file.kind != "mouse" else target.with_name(target.name + ".zip")
    arrived.parent.mkdir(parents=True, exist_ok=True)
    incoming = arrived.with_name(f".{arrived.name}.incoming")
    part = arrived.with_name(f".{arrived.name}.part")

    def on_bytes(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("fetching", done, total)

    if file.kind != "mouse" or not arrived.exists():
        _retrieve(file, incoming, known, ResumingDownload(part, on_bytes), ledger)
        _require_kind(file, incoming)
        sha256 = pooch.file_hash(str(incoming))
        incoming.replace(arrived)
    else:
        # Unpacked in vain before, for want of room.
        sha256 = pooch.file_hash(str(arrived))
    size = arrived.stat().st_size
    if file.kind == "mouse":
        _unpack(arrived, target, on_progress)
    # Only now: a checksum of something damaged would forbid to fetch the sound one.
    ledger.record(file.url, sha256, size, {"url": licence.url, "sha256": licence.sha256})
    return Downloaded(file.name, target, sha256, bool(known), False)


def _retrieve(file: PublicFile, incoming: Path, known: str, fetch: ResumingDownload, ledger: Ledger) -> None:
    incoming.unlink(missing_ok=True)
    with _quiet_pooch():
        try:
            pooch.retrieve(
                file.url,
                known_hash=f"sha256:{known}" if known else None,
                fname=incoming.name,
                path=incoming.parent,
                downloader=fetch,
            )
        except ValueError:
            # Pooch has removed what came: it must never be taken for the file.
            source = "the published checksum" if file.sha256 else f"the one of its first download, in {ledger.file}"
            raise StorageError(
                f"{file.url}: expected the file with the checksum {known[:12]}..., {source}, found another one; "
                "it was damaged on the way or changed by its authors: try again, or ask them"
            ) from None


def _require_kind(file: PublicFile, incoming: Path) -> None:
    """Refuse a web page, or a pointer to the file, in place of the file; what came is removed."""
    beginning = BEGINNINGS.get(Path(file.file_name).suffix, b"")
    with incoming.open("rb") as opened:
        found = opened.read(max(len(beginning), 16))
    if not found.startswith(beginning):
        incoming.unlink()
        raise StorageError(
            f"{file.url}: expected a {Path(file.file_name).suffix} file, found one that starts with {found[:16]!r}; "
            "the server answered with something else: try again later, or fetch it with a browser"
        )


def _unpack(archive: Path, target: Path, on_progress: OnProgress | None) -> None:
    def on_file(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("unpacking", done, total)

    recover_folder(target)
    try:
        unpack_session(archive, target, on_file)
    except (ArchiveError, SessionError):
        archive.unlink()
        raise
    archive.unlink()


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Pooch tells every step on stderr; here the caller does."""
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
