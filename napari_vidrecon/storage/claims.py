"""One process at a time on one run, study or download."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from napari_vidrecon.errors import StorageError

PREFIX = ".vidrecon-lock-"
FIRST_LINE = "napari-vidrecon lock 1"
NAME_CHARACTERS = 16
LONGEST_LOCK_BYTES = 4096


class InUseError(StorageError):
    """Another process is at work there; who wants to may wait for it."""


@contextlib.contextmanager
def claimed(path: Path | str, what: str = "run", wait_s: float = 0.0) -> Iterator[None]:
    """Keep other processes from working on `path` meanwhile.

    Parameters
    ----------
    path
        What is worked on; its parent is made if need be.
    what
        Its kind, for the message.
    wait_s
        How long to wait for another process, seconds; below 0 as long as it takes.

    Raises
    ------
    InUseError
        Another process is at work there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.parent / (
        PREFIX + hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:NAME_CHARACTERS]
    )
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_s, blocking=wait_s != 0)
    except Timeout:
        raise InUseError(
            f"{path}: another process is at work on this {what}{_owner(file)}; "
            "wait until it has ended, or choose another"
        ) from None
    try:
        file.write_text(
            f"{FIRST_LINE}\nprocess {os.getpid()} on {socket.gethostname()}\n{path.name}\n", "utf-8", "replace"
        )
        yield
    finally:
        # While it is held: who waits for it finds it gone, and makes it anew.
        file.unlink(missing_ok=True)
        lock.release()


def _owner(file: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError, IndexError):
        lines = file.read_text(encoding="utf-8")[:LONGEST_LOCK_BYTES].splitlines()
        return f" ({lines[1]})" if lines[0] == FIRST_LINE else ""
    return ""


def sweep_claims(parent: Path | str) -> None:
    """Remove the locks that killed processes left in a folder; those of living ones stay."""
    try:
        with os.scandir(parent) as entries:
            found = [Path(each.path) for each in entries if each.name.startswith(PREFIX) and each.is_file()]
    except OSError:
        return
    for file in found:
        with contextlib.suppress(OSError, Timeout):
            lock = FileLock(file)
            lock.acquire(blocking=False)
            try:
                size = file.stat().st_size
                if size == 0 or (size <= LONGEST_LOCK_BYTES and file.read_bytes().startswith(FIRST_LINE.encode())):
                    file.unlink()
            finally:
                lock.release()
