"""`ResumingDownload`: a download that goes on where the last one stopped, if the file is still the same."""

from __future__ import annotations

import re
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.downloading.answers import Answer, BrokenConnection, asked, whole_number
from napari_vidrecon.storage import disk_errors, read_json

BLOCK_BYTES = 1 << 16
PAUSE_S = 1.0
OVERLAP_BYTES = 1 << 10
"""Bytes that are fetched once more when a part goes on: a server that sends another place is found out."""
GAIN_BYTES = 1 << 20
"""A connection that broke after at least this much is not held against the server."""
SPARE_BYTES = 1 << 26
"""Room to leave on a disk."""
LOOK_AT_DISK_BYTES = 1 << 26

OK, PARTIAL, NOT_SATISFIABLE = 200, 206, 416

PRINTABLE = r"^[ -~]*$"

OnBytes = Callable[[int, int], None]


class Note(BaseModel):
    """Which file a part is of.

    Parameters
    ----------
    url
        Its address.
    validator
        The server's tag or date of it; empty where it says none.
    total
        Its length in bytes.
    """

    model_config = ConfigDict(strict=True)

    url: str
    validator: str = Field(pattern=PRINTABLE, max_length=1000)
    total: int = Field(gt=0)


@dataclass(frozen=True)
class Span:
    """First byte of an answer, and the length of the whole file; 0 where the server does not say."""

    start: int
    total: int


class ResumingDownload:
    """Fetches one file into a part that is kept if the connection breaks.

    Parameters
    ----------
    part
        Where the bytes gather; beside it lies a note of which file they are of.
    on_bytes
        Called with the bytes there and the bytes in all, 0 where the server does not say.
    attempts
        How often a broken connection is tried again without much that is new.
    pause_s
        Time before the first further attempt; each one waits twice as long.
    beginning
        How the file begins; another beginning is refused as soon as it comes.
    most_bytes
        What the file has at most.
    checks_itself
        Its bytes hold their own checksums, so parts of it are put together even if the server has no tag or date
        of the file: what does not belong together is found when it is opened.
    """

    def __init__(
        self,
        part: Path,
        on_bytes: OnBytes | None = None,
        attempts: int = 4,
        pause_s: float | None = None,
        *,
        beginning: bytes = b"",
        most_bytes: int = 1 << 40,
        checks_itself: bool = False,
    ) -> None:
        self.part, self.note = part, part.with_name(part.name + ".json")
        self.on_bytes, self.attempts = on_bytes, attempts
        self.pause_s = PAUSE_S if pause_s is None else pause_s
        self.beginning, self.most_bytes, self.checks_itself = beginning, most_bytes, checks_itself
        self.resumed_at = 0

    def __call__(self, url: str) -> Path:
        """Fetch `url`; what comes is as long as the server says, which is not yet a proof that it is whole.

        Returns
        -------
        Path
            The part, to be opened, and to be moved away or discarded.

        Raises
        ------
        StorageError
            Not there, not permitted, a connection that stays broken, something else than the file, or no room.
        """
        failures = 0
        while True:
            before = self._bytes
            try:
                self._fetch(url)
                return self.part
            except BrokenConnection as error:
                gained = self._bytes - before >= GAIN_BYTES
                failures = 0 if gained else failures + 1
                if failures >= self.attempts or (error.lost and not gained):
                    kept = self._bytes if self._known(url) else 0
                    if not kept:
                        self.discard()
                    raise StorageError(
                        f"{url}: expected the whole file, found a connection that breaks ({error}); "
                        f"{kept} bytes are kept, and the same command goes on from there"
                    ) from None
                time.sleep(self.pause_s * 2 ** max(failures - 1, 0))

    def discard(self) -> None:
        """Remove the part and its note."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    @property
    def _bytes(self) -> int:
        """Length of the part; what has its name and is no file of ours, a link for example, goes first."""
        try:
            found = self.part.lstat()
        except FileNotFoundError:
            return 0
        if stat.S_ISREG(found.st_mode):
            return found.st_size
        with disk_errors(self.part):
            self.part.unlink()
        return 0

    def _fetch(self, url: str) -> None:
        known = self._known(url)
        have = self._bytes if known else 0
        headers = {"Accept-Encoding": "identity"}
        overlap = OVERLAP_BYTES if known and OVERLAP_BYTES < have <= known.total else 0
        if known and overlap:
            headers["Range"] = f"bytes={have - overlap}-"
            if known.validator:
                headers["If-Range"] = known.validator
        with asked(url, headers) as answer:
            if answer.status == NOT_SATISFIABLE and overlap:
                self.discard()
                raise BrokenConnection("the part did not fit the file")
            if answer.status not in (OK, PARTIAL):
                raise StorageError(
                    f"{url}: expected a file, found the answer {answer.status} {answer.reason}; "
                    "check the name, or whether it has moved"
                )
            span, validator = _span(answer), _validator(answer)
            if overlap and answer.status == PARTIAL:
                fits = known is not None and span == Span(have - overlap, known.total)
                if known is None or not fits or validator not in ("", known.validator):
                    self.discard()
                    raise BrokenConnection("the file has changed, or another part of it came")
                validator = known.validator
            else:
                # The server sends all of it.
                if span.start:
                    raise BrokenConnection("a part of the file that nobody asked for")
                have = overlap = 0
            self._require_likely(url, span.total)
            self.resumed_at = have
            self._write_note(url, answer, span.total, validator)
            self._require_room(span.total - have)
            self._receive(answer, have, overlap, span.total)
        if span.total and self._bytes != span.total:
            raise BrokenConnection(f"{self._bytes} of {span.total} bytes came")

    def _receive(self, answer: Answer, have: int, overlap: int, total: int) -> None:
        again = self._tail(overlap)
        looked_at = have
        with disk_errors(self.part), self.part.open("ab" if have else "wb") as file:
            for block in answer.blocks(BLOCK_BYTES):
                fresh = block[len(again) :]
                if block[: len(again)] != again[: len(block)]:
                    file.truncate(0)
                    raise BrokenConnection("another part of the file came than was asked for")
                again = again[len(block) :]
                if not have:
                    self._require_beginning(answer.url, fresh)
                have += len(fresh)
                self._require_likely(answer.url, have)
                file.write(fresh)
                if have - looked_at >= LOOK_AT_DISK_BYTES:
                    looked_at = have
                    self._require_room(max(total - have, 0))
                if self.on_bytes is not None:
                    file.flush()
                    self.on_bytes(have, total)

    def _tail(self, length: int) -> bytes:
        if not length:
            return b""
        with self.part.open("rb") as file:
            file.seek(-length, 2)
            return file.read(length)

    def _known(self, url: str) -> Note | None:
        """What the note says, if the part can be gone on with."""
        if not self.note.is_file() or self.note.is_symlink():
            return None
        try:
            known = Note.model_validate(read_json(self.note))
        except (ValidationError, StorageError):
            return None
        return known if known.url == url and (known.validator or self.checks_itself) else None

    def _write_note(self, url: str, answer: Answer, total: int, validator: str) -> None:
        # First of all the old note goes: it must never stand beside bytes that it does not speak of.
        self.note.unlink(missing_ok=True)
        if not self.resumed_at:
            self.part.unlink(missing_ok=True)
        if total and not answer.encoded:
            note = Note(url=url, validator=validator, total=total)
            with disk_errors(self.note), self.note.open("x", encoding="utf-8") as file:
                file.write(note.model_dump_json())

    def _require_beginning(self, url: str, block: bytes) -> None:
        if block[: len(self.beginning)] != self.beginning[: len(block)]:
            self.discard()
            raise StorageError(
                f"{url}: expected a {self._suffix} file, found one that starts with {block[:16]!r}; "
                "the server answered with something else: try again later, or fetch it with a browser"
            )

    @property
    def _suffix(self) -> str:
        return Path(self.part.name.removesuffix(".part")).suffix

    def _require_likely(self, url: str, length: int) -> None:
        if length > self.most_bytes:
            self.discard()
            raise StorageError(
                f"{url}: expected at most {self.most_bytes:,} bytes, found more; the server answered with something "
                "else: try again later"
            )

    def _require_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if wanted + SPARE_BYTES > free:
            raise StorageError(
                f"{self.part.parent}: expected {wanted / 1e9:.2f} GB of room for {self.part.name}, "
                f"found {free / 1e9:.2f} GB; make room or choose another folder"
            )


def _span(answer: Answer) -> Span:
    if answer.status != PARTIAL:
        return Span(0, answer.length)
    unit, _, place = answer.header("Content-Range").partition(" ")
    span, _, total = place.partition("/")
    first, last, length = (whole_number(each) for each in (*span.partition("-")[::2], total))
    if unit != "bytes" or first is None or last is None or length is None or not first <= last < length:
        raise BrokenConnection("a part of the file that says not which")
    if answer.encoded or (answer.length and answer.length != last - first + 1):
        raise BrokenConnection("a part of the file of another length than it says")
    return Span(first, length)


def _validator(answer: Answer) -> str:
    tag = answer.header("ETag")
    # A weak tag may not be used to put parts together.
    found = tag if tag and not tag.startswith("W/") else answer.header("Last-Modified")
    return found if re.match(PRINTABLE, found) else ""
