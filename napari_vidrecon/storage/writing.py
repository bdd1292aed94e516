"""Writing so that nothing is ever half there, by one process at a time, nothing of a user's gone; safe tables."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import os
import re
import socket
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from napari_vidrecon.errors import StorageError, one_line, optional_module
from napari_vidrecon.storage.drafts import Draft, drafting, sweep
from napari_vidrecon.storage.reading import user_path

LOCK_PREFIX = ".vidrecon-lock-"
LOCK_FIRST_LINE = "napari-vidrecon lock 1"
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
        LOCK_PREFIX + hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:NAME_CHARACTERS]
    )
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_s, blocking=wait_s != 0)
    except Timeout:
        if not file.exists():
            # Some places, as below /proc, take no file and do not say so; or whoever held it has just ended.
            file.touch()
        raise InUseError(
            f"{path}: another process is at work on this {what}{_owner(file)}; "
            "wait until it has ended, or choose another"
        ) from None
    try:
        file.write_text(
            f"{LOCK_FIRST_LINE}\nprocess {os.getpid()} on {socket.gethostname()}\n{path.name}\n", "utf-8", "replace"
        )
        yield
    finally:
        # While it is held: who waits for it finds it gone, and makes it anew. Where its folder has been moved away, or
        # may be written no more, it is left there: nobody is told of that instead of how the work ended.
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        lock.release()


def _owner(file: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError, IndexError):
        lines = file.read_text(encoding="utf-8")[:LONGEST_LOCK_BYTES].splitlines()
        return f" ({lines[1]})" if lines[0] == LOCK_FIRST_LINE else ""
    return ""


def sweep_claims(parent: Path | str) -> None:
    """Remove the locks that killed processes left in a folder; those of living ones stay."""
    try:
        with os.scandir(parent) as entries:
            found = [Path(each.path) for each in entries if each.name.startswith(LOCK_PREFIX) and each.is_file()]
    except OSError:
        return
    for file in found:
        with contextlib.suppress(OSError, Timeout):
            lock = FileLock(file)
            lock.acquire(blocking=False)
            try:
                size = file.stat().st_size
                if size == 0 or (size <= LONGEST_LOCK_BYTES and file.read_bytes().startswith(LOCK_FIRST_LINE.encode())):
                    file.unlink()
            finally:
                lock.release()


LONGEST_NAME_BYTES, MARK_DIGITS = 240, 8
"""Most systems take 255, of which what is written beside a file needs some."""


def fitting_name(name: str, after: str, before: str = "") -> str:
    """The name of a file that is called after something, whose own name may be of any length.

    Parameters
    ----------
    name
        Of a session. It is cut where the whole would be longer than a system takes; a mark of what it was keeps
        such names apart.
    after
        What comes behind it.
    before
        What comes in front of it.

    Returns
    -------
    str
        Equal names give equal ones.
    """
    room = LONGEST_NAME_BYTES - len(f"{before}{after}".encode(errors="replace"))
    whole = name.encode(errors="surrogateescape")
    if len(whole) <= room:
        return f"{before}{name}{after}"
    mark = f"~{hashlib.sha256(whole).hexdigest()[:MARK_DIGITS]}"
    return f"{before}{whole[: max(room - len(mark), 0)].decode(errors='ignore')}{mark}{after}"


LEFT_OF_EARLIER_VERSIONS = re.compile(r"\.(?P<name>.+)-old-[a-z0-9_]{8}")

REASONS = {
    errno.ENOSPC: "the disk is full; make room or choose another place",
    errno.EDQUOT: "the disk quota is used up; make room or choose another place",
    errno.EROFS: "the place is read-only; choose another one",
    errno.EACCES: "writing there is not permitted; choose another place",
    errno.EPERM: "writing there is not permitted; choose another place",
    errno.ENOENT: "no folder can be made there, or it has gone; choose another place",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
    errno.EISDIR: "a folder stands there; choose another name",
    errno.ENOTEMPTY: "another process has written there meanwhile; try again",
    errno.EFBIG: "the disk does not take a file of this size",
    errno.ENAMETOOLONG: "the name is longer than the system takes; choose a shorter one",
    errno.ELOOP: "a link there leads back to itself",
    errno.EMFILE: "too many files are open; close other programs",
    errno.ENFILE: "too many files are open; close other programs",
    errno.EIO: "the disk cannot be written",
}


@contextlib.contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Turn a full disk, a read-only place or a missing permission into one clear `StorageError`."""
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        reason = REASONS.get(number) if number != errno.ENOENT or _is_of(error, path) else None
        if isinstance(error, ValueError) and "null byte" in str(error):
            reason = "the name holds a character that no system takes; choose another name"
        if isinstance(error, UnicodeEncodeError):
            reason = "the name holds characters that this system cannot write; choose another name"
        if reason is None:
            raise
        raise StorageError(f"{one_line(path)}: could not be written: {reason}") from error


def _is_of(error: Exception, path: Path | str) -> bool:
    """Whether what is missing lies where `path` was to be written, and is no file that was read meanwhile."""
    missing = getattr(error, "filename", None)
    if not isinstance(missing, str):
        return False
    place, gone = Path(path).absolute(), Path(missing).absolute()
    # A draft in it or beside it, or a folder above it that cannot be made.
    return gone.parent in (place, place.parent) or place.is_relative_to(gone)


def _system_error(error: Exception) -> int:
    """The system's number for what went wrong, 0 if it was something else.

    Not every library passes the number on: safetensors writes it into its message, and numpy only says how much
    of an array fitted.

    Returns
    -------
    int
        As in `errno`.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    told = re.search(r"os error (\d+)", str(error))
    if told:
        return int(told.group(1))
    return errno.ENOSPC if re.search(r"\d+ requested and \d+ written", str(error)) else 0


@contextlib.contextmanager
def replacing_file(path: Path | str) -> Iterator[Path]:
    """Yield a name in a draft beside `path`; move it to `path` on success, remove it on any failure.

    Parameters
    ----------
    path
        The file to write or replace.

    Yields
    ------
    Path
        An empty file of the same name, in a folder of its own.

    Raises
    ------
    StorageError
        The disk is full, read-only, or writing is not permitted.
    """
    path = user_path(path)
    with disk_errors(path), drafting(path) as draft:
        draft.new.touch()
        usual = draft.new.stat().st_mode & 0o777
        yield draft.new
        with contextlib.suppress(OSError):  # Some libraries write files that their owner alone may read.
            draft.new.chmod(usual)
        draft.new.replace(path)


@contextlib.contextmanager
def replacing_files(*paths: Path) -> Iterator[list[Path]]:
    """Yield a name in a draft for each of several files; all of them are moved into place on success, or none.

    Parameters
    ----------
    paths
        The files to write or replace.

    Yields
    ------
    list[Path]
        Empty files in the order of `paths`.

    Raises
    ------
    StorageError
        The disk is full, read-only, or writing is not permitted; a folder has one of the names.
    """
    with contextlib.ExitStack() as stack:
        drafts = []
        for path in paths:
            stack.enter_context(disk_errors(path))
            drafts.append(stack.enter_context(drafting(path)))
            drafts[-1].new.touch()
        yield [draft.new for draft in drafts]
        moved: list[Draft] = []
        try:
            for draft in drafts:
                _swap_file(draft)
                moved.append(draft)
        except BaseException:
            for draft in reversed(moved):
                draft.target.replace(draft.new)
                draft.restore([])
            raise


def _swap_file(draft: Draft) -> None:
    with disk_errors(draft.target):
        if draft.target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder", str(draft.target))
        draft.swap([])


@contextlib.contextmanager
def replacing_folder(path: Path | str, theirs: Callable[[Path], Sequence[str]] | None = None) -> Iterator[Path]:
    """Yield a new folder in a draft beside `path`; swap it in on success, remove it on any failure.

    What stood at `path` before is kept until the new folder is complete.

    Parameters
    ----------
    path
        The folder to write or replace.
    theirs
        Called with the folder that is replaced: paths inside it that belong to the user, and stay where they are.
        Without it the whole folder is replaced.

    Yields
    ------
    Path
        An empty folder.

    Raises
    ------
    StorageError
        The disk is full, read-only, or writing is not permitted.
    """
    path = user_path(path)
    with disk_errors(path), drafting(path) as draft:
        draft.new.mkdir()
        yield draft.new
        keep = list(theirs(path)) if theirs is not None and path.is_dir() else []
        draft.swap(keep)


def recover_folder(path: Path | str) -> None:
    """Clear up beside `path` after processes that were killed while they wrote there.

    A folder that was moved aside, and not followed by its new one, goes back to `path`; drafts and locks of dead
    processes are removed. Nothing that this program did not make is touched.
    """
    path = user_path(path)
    if not path.parent.is_dir():
        return
    with disk_errors(path):
        sweep(path.parent)
        sweep_claims(path.parent)
        if not os.path.lexists(path):
            _restore_of_earlier_versions(path)


def _restore_of_earlier_versions(path: Path) -> None:
    """Versions up to 0.1.0 of November 2026 moved a folder aside into `.NAME-old-xxxxxxxx`."""
    for folder in path.parent.iterdir():
        told = LEFT_OF_EARLIER_VERSIONS.fullmatch(folder.name)
        if told and told["name"] == path.name and (folder / path.name).is_dir():
            (folder / path.name).replace(path)
            with contextlib.suppress(OSError):
                folder.rmdir()
            return


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write one `.npy` array under a temporary name, then move it into place."""
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


FORMULA_STARTS = ("=", "+", "-", "@")


def safe_cell(value: Any) -> Any:
    """A value as a cell that a spreadsheet shows and never runs.

    Parameters
    ----------
    value
        Numbers stay; a text that starts as a formula does gets an apostrophe before it, control characters go.

    Returns
    -------
    Any
        Text that begins like a formula gets a quote before it.
    """
    if not isinstance(value, str):
        return value
    shown = "".join(" " if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") else each for each in value)
    return "'" + shown if shown.lstrip().startswith(FORMULA_STARTS) else shown


def write_tables(tables: Mapping[Path, Mapping[str, np.ndarray]]) -> None:
    """Write tables of numbers as CSV or Parquet; all of them or none.

    Parameters
    ----------
    tables
        File, ending in .csv or .parquet, to its columns: name to values, all of one length. NaN is an empty cell.

    Raises
    ------
    StorageError
        One of them cannot be written.
    ConfigError
        A Parquet file, and pyarrow is not installed.
    """
    with replacing_files(*tables) as files:
        for file, columns in zip(files, tables.values(), strict=True):
            (_write_parquet if file.suffix.lower() == ".parquet" else _write_csv)(file, columns)


def _write_csv(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([safe_cell(name) for name in columns])
        # A float prints so that it reads back as the same; NaN is the number that is not itself.
        writer.writerows(
            ["" if value != value else value for value in row]
            for row in zip(*(values.tolist() for values in columns.values()), strict=True)
        )


def _write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    pyarrow = optional_module("pyarrow", "studies", f"{one_line(path.name)} (or choose .csv)")
    parquet = optional_module("pyarrow.parquet", "studies", one_line(path.name))
    parquet.write_table(pyarrow.table(dict(columns)), path)
