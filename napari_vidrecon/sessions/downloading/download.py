"""Downloading one public thing: its licence first, then its bytes, opened, checked, and moved when whole.

The `Ledger` tells what came from where, with its checksum; a file that changes after its first download is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.sessions.downloading.answers import BrokenConnection, asked
from napari_vidrecon.sessions.downloading.archives import (
    BEGINNINGS,
    CHECK_THEMSELVES,
    ArchiveError,
    Openers,
    require_whole,
    unpack_session,
)
from napari_vidrecon.sessions.downloading.catalogue import LICENCE_NOTE, PublicFile, terms_of
from napari_vidrecon.sessions.downloading.resuming import ResumingDownload
from napari_vidrecon.sessions.metadata import LICENCE_FILE
from napari_vidrecon.storage import claimed, disk_errors, file_hash, read_json, recover_folder, replacing_file

LEDGER_FILE = "downloads.json"
PATIENCE_S = 30.0
"""How long to wait for another process that records something."""


class Entry(BaseModel):
    """What is known of one address.

    Parameters
    ----------
    sha256
        Checksum of the file that came first, hexadecimal.
    bytes
        Its length.
    first_fetched
        When, as ISO 8601.
    licence
        Where its repository says how it may be used, and the checksum of what it says.
    """

    # What a later version adds stays.
    model_config = ConfigDict(strict=True, extra="allow")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    first_fetched: str = Field(max_length=100)
    licence: dict[str, str] = {}


class Entries(RootModel[dict[str, Entry]]):
    """The whole record: an entry for each address."""


class Ledger:
    """The record of a folder of downloads.

    Parameters
    ----------
    folder
        The folder of downloads.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / LEDGER_FILE

    def entries(self) -> dict[str, Entry]:
        """What is known of each address.

        Returns
        -------
        dict[str, Entry]
            {address: entry}; empty where nothing was fetched yet.

        Raises
        ------
        StorageError
            The record is damaged. It is left as it is: without it a changed file would be taken for the first one.
        """
        if not self.file.exists() and not self.file.is_symlink():
            return {}
        told = read_json(self.file, expected="the record of downloads")
        try:
            return Entries.model_validate(told).root
        except ValidationError as error:
            first = error.errors()[0]
            where = one_line(": ".join(str(each) for each in first["loc"]) or "its top", 200)
            expected, found = one_line(first["msg"], 80), one_line(repr(first["input"]), 80)
            raise StorageError(
                f"{self.file}: {where}: expected {expected}, found {found}; "
                "mend it, or move it away: then the next download of each file counts as its first"
            ) from None

    def known_sha256(self, url: str) -> str:
        """The checksum that was recorded when the address was first fetched, or empty."""
        known = self.entries().get(url)
        return known.sha256 if known is not None else ""

    def record(self, url: str, sha256: str, size: int, licence: dict[str, str]) -> None:
        """Keep the checksum of a first download, beside what other processes record meanwhile.

        Parameters
        ----------
        url
            Its address.
        sha256
            Its checksum; one that is known already is left as it is.
        size
            Its length in bytes.
        licence
            What its repository said when it was fetched.

        Raises
        ------
        StorageError
            The record is damaged, or cannot be written.
        """
        with disk_errors(self.file), claimed(self.file, "record of downloads", PATIENCE_S):
            entries = self.entries()
            if url in entries and entries[url].sha256 == sha256:
                return
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entries[url] = Entry(sha256=sha256, bytes=size, first_fetched=now, licence=licence)
            told = Entries(entries).model_dump(mode="json")
            with replacing_file(self.file) as temporary:
                temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


LONGEST_LICENCE_BYTES = 200_000
OK = 200

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Licence:
    """What a repository says about the use of its data.

    Parameters
    ----------
    url
        Where it says so; empty where nothing was found.
    text
        What it says.
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
    name, path
        What it is, and where it lies.
    sha256
        Checksum of the file that came; empty if it was there before.
    checked
        The checksum was known before, and agrees.
    was_there
        Nothing was fetched, as it was there already.
    """

    name: str
    path: Path
    sha256: str
    checked: bool
    was_there: bool


def read_licence(file: PublicFile) -> Licence:
    """What the repository of a file says about its use; its LICENSE, or else its README.

    Returns
    -------
    Licence
        Address and text; a note where the repository says nothing.

    Raises
    ------
    StorageError
        The server cannot be reached, or its answer makes no sense.
    """
    for url in file.licence_urls:
        try:
            content = _licence_page(url)
        except BrokenConnection as error:
            raise StorageError(
                f"{url}: expected an answer of the server, found a connection that breaks ({error}); "
                "check the connection, or try again later"
            ) from None
        text = content[:LONGEST_LICENCE_BYTES].decode(errors="replace")
        # A web page, of a sign-in for example, is nobody's licence.
        if text.strip() and not text.lstrip().startswith("<"):
            return Licence(url, text)
    return Licence("", LICENCE_NOTE)


def _licence_page(url: str) -> bytes:
    """Its beginning; empty where there is no such page."""
    content = b""
    with asked(url, {"Accept-Encoding": "identity"}) as answer:
        if answer.status == OK:
            for block in answer.blocks(LONGEST_LICENCE_BYTES):
                content += block
                if len(content) >= LONGEST_LICENCE_BYTES:
                    break
    return content


def download(
    file: PublicFile,
    folder: Path | str,
    licence: Licence,
    on_progress: OnProgress | None = None,
    *,
    openers: Openers | None = None,
) -> Downloaded:
    """Fetch one public thing; what was fetched before and interrupted goes on.

    Parameters
    ----------
    file
        What to fetch.
    folder
        The folder of downloads; the thing goes to `file.goes_to` in it.
    licence
        What was shown to the person; recorded with the checksum.
    on_progress
        Called with what is being done, and how many bytes or files of how many are done.
    openers
        Readers of encoders and masks, by kind, which must open what came; without them it is opened as an array or
        zip only.

    Returns
    -------
    Downloaded
        What it left. A checksum that is not known is recorded in `downloads.json` of the folder and holds
        from then on; only what opens is recorded.

    Raises
    ------
    StorageError
        It cannot be fetched or written, is damaged, or is not what it was at its first download; or another process
        is fetching it.
    SessionError
        A zip that holds no whole session.
    """
    folder = Path(folder)
    target = folder / file.goes_to
    with disk_errors(target):
        for place in (target, folder / LEDGER_FILE):
            recover_folder(place)
        if _is_there(file, target):
            return Downloaded(file.name, target, "", False, True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with claimed(target, "download"):
            recover_folder(target)
            if _is_there(file, target):
                return Downloaded(file.name, target, "", False, True)
            return _fetch(file, target, Ledger(folder), licence, on_progress, openers)


def _is_there(file: PublicFile, target: Path) -> bool:
    """Everything comes to its place by a move, so what is there is whole; a zip beside it is still to be recorded."""
    return target.exists() and not (file.kind == "mouse" and _archive_of(target).is_file())


def _archive_of(target: Path) -> Path:
    return target.with_name(target.name + ".zip")


def _fetch(
    file: PublicFile,
    target: Path,
    ledger: Ledger,
    licence: Licence,
    on_progress: OnProgress | None,
    openers: Openers | None,
) -> Downloaded:
    known = file.sha256 or ledger.known_sha256(file.url)

    def record(whole: Path) -> str:
        sha256 = file_hash(whole)
        ledger.record(file.url, sha256, whole.stat().st_size, {"url": licence.url, "sha256": licence.sha256})
        return sha256

    if file.kind != "mouse":
        part = _retrieve(file, target, known, on_progress, openers, ledger)
        # Before the move: what is in its place is recorded, whenever the process is killed.
        sha256 = record(part.file)
        part.move(target)
        return Downloaded(file.name, target, sha256, bool(known), False)
    arrived = _archive_of(target)
    # A zip that is there was unpacked in vain before, for want of room, or not recorded yet.
    if not arrived.is_file():
        _retrieve(file, arrived, known, on_progress, openers, ledger).move(arrived)
    if known and file_hash(arrived) != known:
        arrived.unlink()
        raise _changed(file, known, ledger)
    if not target.exists():
        _unpack(arrived, target, on_progress)
    _write_terms(file, target, licence)
    # Only now: a checksum of something damaged would forbid to fetch the sound one.
    sha256 = record(arrived)
    arrived.unlink()
    return Downloaded(file.name, target, sha256, bool(known), False)


def _write_terms(file: PublicFile, target: Path, licence: Licence) -> None:
    """Keep with a session where it came from and how it may be used."""
    told = {**terms_of(target.name), "source": file.url, "licence_url": licence.url, "licence_sha256": licence.sha256}
    with replacing_file(target / LICENCE_FILE) as draft:
        draft.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Part:
    """What was fetched and opened, not yet in its place."""

    file: Path
    fetch: ResumingDownload

    def move(self, place: Path) -> None:
        # The note first: beside a part without one the next process starts anew, a note alone would stay.
        self.fetch.note.unlink(missing_ok=True)
        self.file.replace(place)


def _retrieve(
    file: PublicFile,
    arrived: Path,
    known: str,
    on_progress: OnProgress | None,
    openers: Openers | None,
    ledger: Ledger,
) -> _Part:
    def on_bytes(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("fetching", done, total)

    suffix = Path(file.file_name).suffix
    fetch = ResumingDownload(
        arrived.with_name(f".{arrived.name}.part"),
        on_bytes,
        beginning=BEGINNINGS.get(suffix, b""),
        most_bytes=file.most_bytes,
        checks_itself=suffix in CHECK_THEMSELVES,
    )
    part = fetch(file.url)
    try:
        if known and file_hash(part) != known:
            # A page in its place is told as one, not as another file.
            require_whole(file, part)
            raise _changed(file, known, ledger)
        # A published checksum says more than that it opens.
        if not file.sha256:
            require_whole(file, part, openers)
    except StorageError:
        # What does not open must never be gone on with, nor be taken for the file.
        fetch.discard()
        raise
    return _Part(part, fetch)


def _changed(file: PublicFile, known: str, ledger: Ledger) -> StorageError:
    source = "the published checksum" if file.sha256 else f"the one of its first download, in {ledger.file}"
    return StorageError(
        f"{file.url}: expected the file with the checksum {known[:12]}..., {source}, found another one; "
        "it was damaged on the way or changed by its authors: try again, or ask them"
    )


def _unpack(archive: Path, target: Path, on_progress: OnProgress | None) -> None:
    def on_file(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("unpacking", done, total)

    try:
        unpack_session(archive, target, on_file)
    except (ArchiveError, SessionError):
        archive.unlink()
        raise
