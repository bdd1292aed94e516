"""Reading what a user opens without trusting it: regular files only, and never more than their bytes can hold."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import reprlib
import stat
import tokenize
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.errors import ConfigError, StorageError, VidreconError, one_line
from napari_vidrecon.storage.impostors import HEAD_BYTES, check_genuine, decoded, format_of, recognised

NPY_MAGIC = b"\x93NUMPY"
PLAIN_KINDS = "biufcSUmM"
HIGHEST_CODE_POINT = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
LONGEST_JSON_BYTES = 16 << 20
DEEPEST_JSON = 100
UNPACKED_SURPLUS_BYTES = 512 << 20
LONGEST_SHOWN = 60
ANNEX_STORE = (".git", "annex", "objects")

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def user_path(path: Path | str) -> Path:
    """The path that a person means: ~/ is their home, as in a shell, and not a folder of that name.

    Returns
    -------
    Path
        Relative where it was.

    Raises
    ------
    ConfigError
        It is no path at all, such as None.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        found = one_line(reprlib.repr(path), LONGEST_SHOWN)
        raise ConfigError(f"expected a path, as text or as a pathlib.Path, found {found} ({type(path).__name__})")
    # ~name stays: it is more often a file of such a name than another person's home. Where there is no home, too.
    meant = Path(path)
    return Path(os.path.expanduser(meant)) if meant.parts[:1] == ("~",) else meant  # noqa: PTH111


@contextlib.contextmanager
def reading(
    path: Path | str, error: type[VidreconError] = StorageError, expected: str = "a readable file"
) -> Iterator[None]:
    """Turn whatever a damaged file makes a reader raise into one line that names the file.

    Parameters
    ----------
    path
        The file or folder being read.
    error
        The kind of error to raise.
    expected
        What the file should have been, with its article: "an encoder file".

    Raises
    ------
    VidreconError
        Of the kind asked for; one of ours that is raised within goes through, with the file in its notes.
    """
    try:
        yield
    except VidreconError as told:
        told.add_note(f"while reading {path}")
        raise
    except MemoryError as raised:
        # What was claimed was held against the bytes before, so this says what is there, not what the file says.
        raise error(f"{path}: expected {expected}, found one that needs more memory than there is") from raised
    except RecursionError as raised:
        raise error(f"{path}: expected {expected}, found one that is nested too deep") from raised
    except OSError as raised:
        raise error(f"{path}: expected {expected}, found {_found(raised)}") from raised
    except Exception as raised:  # readers of damaged data fail in every way there is
        raise error(f"{path}: expected {expected}, found a damaged one ({one_line(raised)})") from raised


def _found(error: OSError) -> str:
    reasons = {
        errno.ENOENT: "nothing there",
        errno.ENOTDIR: "nothing there: a part of the path is a file, not a folder",
        errno.EISDIR: "a folder",
        errno.EACCES: "that reading it is not permitted; check its permissions",
        errno.EPERM: "that reading it is not permitted; check its permissions",
        errno.ENAMETOOLONG: "a name longer than the system takes",
        errno.ELOOP: "a link that leads back to itself",
        errno.EIO: "that the disk cannot read it",
    }
    return reasons.get(error.errno or 0) or f"a damaged one ({one_line(error.strerror or error)})"


def check_regular(path: Path | str, expected: str = "a file", error: type[VidreconError] = StorageError) -> int:
    """Refuse anything but a regular file, before it is opened: devices and pipes may never end.

    Parameters
    ----------
    path
        The file.
    expected
        What it should be, with its article.
    error
        The kind of error to raise.

    Returns
    -------
    int
        Its size in bytes.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, a folder, a device, a pipe, a socket.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  # Path() of a name with a null byte raises later and elsewhere
    except (OSError, ValueError) as raised:
        reason = _found(raised) if isinstance(raised, OSError) else "a name that no system takes"
        if isinstance(raised, FileNotFoundError) and _leads_into_annex(path):
            reason = "a git-annex link to what is not here; fetch it (git annex get, or datalad get)"
        raise error(f"{one_line(path)}: expected {expected}, found {reason}") from None
    if stat.S_ISREG(found.st_mode):
        return found.st_size
    kind = next((name for test, name in KINDS if test(found.st_mode)), "something else")
    raise error(f"{path}: expected {expected}, found {kind}")


def _leads_into_annex(path: Path | str) -> bool:
    try:
        return "/".join(ANNEX_STORE) in Path(os.readlink(path)).as_posix()  # noqa: PTH115  # as above
    except (OSError, ValueError):
        return False


def check_inside(folder: Path | str, file: Path | str, error: type[VidreconError] = StorageError) -> None:
    """Refuse a link in a folder from elsewhere that leads out of it.

    A git-annex store that keeps the files of the folder counts as inside.

    Parameters
    ----------
    folder
        The folder that was opened.
    file
        A file in it.
    error
        The kind of error to raise.

    Raises
    ------
    VidreconError
        Of the kind asked for: the link leads out of the folder, or back to itself.
    """
    try:
        root, target = Path(folder).resolve(), Path(file).resolve()
    except (OSError, RuntimeError, ValueError):
        raise error(f"{file}: expected a file, found a link that leads nowhere") from None
    if target.is_relative_to(root):
        return
    stores = [each.joinpath(*ANNEX_STORE) for each in (root, *root.parents)]
    if not any(target.is_relative_to(store) for store in stores):
        raise error(
            f"{file}: expected a file inside {folder}, found a link that leaves it (to {target}); "
            "put the file itself there"
        )


def open_regular(path: Path | str, expected: str = "a file", error: type[VidreconError] = StorageError) -> BinaryIO:
    """Open a regular file for reading; see `check_regular`.

    Parameters
    ----------
    path
        The file.
    expected
        What it should be, for the message.
    error
        Kind of error.

    Returns
    -------
    BinaryIO
        To be closed by whoever asked.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, not a regular file, or not readable.
    """
    check_regular(path, expected, error)
    with reading(path, error, expected):
        # A pipe that takes the file's place after the check does not block.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        file = os.fdopen(handle, "rb")
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            file.close()
            raise error(f"{path}: expected {expected}, found something else")
        return file


def file_hash(path: Path, expected: str = "a file") -> str:
    """SHA-256 of a regular file, read in blocks; see `open_regular`."""
    with open_regular(path, expected) as file, reading(path, expected=expected):
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has a readinto


def read_bytes(
    path: Path | str, *, most: int, expected: str = "a file", error: type[VidreconError] = StorageError
) -> bytes:
    """All bytes of a regular file of at most `most` bytes.

    Parameters
    ----------
    path
        The file.
    most
        Largest size, bytes.
    expected
        What it should be, for the message.
    error
        Kind of error.

    Returns
    -------
    bytes
        The whole file.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, not a regular file, or larger.
    """
    with open_regular(path, expected, error) as file, reading(path, error, expected):
        found = file.read(most + 1)
    if len(found) > most:
        raise error(f"{path}: expected {expected} of at most {most:,} bytes, found a larger file")
    return found


def read_text(
    path: Path | str,
    *,
    most: int,
    expected: str = "a text file",
    error: type[VidreconError] = StorageError,
    otherwise: str | None = None,
) -> str:
    """The text of a regular file of at most `most` bytes, UTF-8 or UTF-16, without a mark; see `read_bytes`.

    Parameters
    ----------
    path
        The file.
    most
        Largest size, bytes.
    expected
        What it should be, for the message.
    error
        Kind of error.
    otherwise
        Letters of text that is neither, as "cp1252"; None refuses it.

    Returns
    -------
    str
        The whole file.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, not a regular file, larger, or not UTF-8.
    """
    content = read_bytes(path, most=most, expected=expected, error=error)
    # An empty text is one.
    named = recognised(content[:HEAD_BYTES]) if content else ""
    if named:
        raise error(f"{path}: expected {expected}, found {named}")
    try:
        return decoded(content)
    except UnicodeDecodeError:
        if otherwise is not None and b"\0" not in content:
            with contextlib.suppress(UnicodeDecodeError):
                return content.decode(otherwise)
        raise error(f"{path}: expected {expected} in UTF-8, found other bytes; save it as UTF-8") from None


def parse_json(text: str | bytes) -> Any:
    """JSON from outside; one `ValueError` for whatever is wrong with it, nesting that is too deep included."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _deeper_than(found, DEEPEST_JSON):
        raise ValueError("nested too deep")
    return found


def _deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if levels == 0:
        return True
    inside = value.values() if isinstance(value, dict) else value
    # Most of what is long are numbers, of which none has to be gone into.
    return any(_deeper_than(each, levels - 1) for each in inside if isinstance(each, (dict, list)))


def read_json(path: Path | str, *, expected: str = "a JSON file", error: type[VidreconError] = StorageError) -> Any:
    """What a JSON file says; whoever takes it checks every key.

    Parameters
    ----------
    path
        The file.
    expected
        What it should be, for the message.
    error
        Kind of error.

    Returns
    -------
    Any
        Plain values.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, not a regular file, too large, nested too deep, or not JSON.
    """
    text = read_bytes(path, most=LONGEST_JSON_BYTES, expected=expected, error=error)
    try:
        return parse_json(text)
    except ValueError as raised:
        found = recognised(text[:HEAD_BYTES]) if text else ""
        found = found or f"text that is not JSON ({one_line(raised)})"
        raise error(f"{path}: expected {expected}, found {found}") from None


def read_array(path: Path | str, *, memory_map: bool = False) -> np.ndarray:
    """Read one `.npy` array; nothing is ever unpickled, and nothing allocated that the file cannot hold.

    Parameters
    ----------
    path
        The file.
    memory_map
        Map the file instead of reading it, so only what is touched is loaded.

    Returns
    -------
    np.ndarray
        Read-only where it is mapped.

    Raises
    ------
    StorageError
        Missing, not a regular file, not an `.npy` file, truncated, or holding anything but numbers and text.
    """
    path = Path(path)
    with open_regular(path, "an array file") as file, reading(path, expected="an array"):
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEAD_BYTES)
        if not head.startswith(NPY_MAGIC):
            raise StorageError(f"{path}: expected a .npy array, found {_describe(head)}")
        file.seek(0)
        shape, order, dtype = _read_header(path, file)
        start = file.tell()
        _check_length(path, shape, dtype, size, start)
        # Text is read, not mapped: it has to be checked before a letter of it is taken for one.
        if memory_map and math.prod(shape) > 0 and dtype.kind != "U":
            return np.memmap(path, dtype=dtype, shape=shape, order=order, mode="r", offset=start)
        count = math.prod(shape)
        flat = np.fromfile(file, dtype=dtype, count=count)
        if flat.size < count:
            raise StorageError(f"{path}: expected {count} values, found {flat.size}: the file is truncated")
        if dtype.kind == "U":
            _check_text(path, flat)
        return flat.reshape(shape, order=order)


def _describe(head: bytes) -> str:
    if head[:1] == b"\x80":
        return "pickled data, which is never opened because it could run code; save it again with np.save"
    return recognised(head) or format_of(head) or f"a file that starts with {head[: len(NPY_MAGIC)]!r}"


def _read_header(where: Path | str, file: BinaryIO) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Shape, order and data type that an `.npy` header names; only plain numbers and text are taken."""
    try:
        version = npy_format.read_magic(file)
        reader = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except (MemoryError, RecursionError):
        raise StorageError(f"{where}: cannot be read as an array (its header is nested too deep)") from None
    except (ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError, OverflowError, KeyError) as raised:
        raise StorageError(f"{where}: cannot be read as an array ({one_line(raised)})") from None
    if dtype.hasobject:
        raise StorageError(
            f"{where}: expected plain numbers or text, found pickled objects, which are never opened because they "
            "could run code; save them again as such (np.save of array.astype(float), or of array.astype(str))"
        )
    if dtype.kind not in PLAIN_KINDS:
        raise StorageError(
            f"{where}: expected plain numbers or text, found records of {one_line(dtype, 60)}; save one field"
        )
    if any(length < 0 for length in shape):
        raise StorageError(f"{where}: cannot be read as an array (a negative length in its shape)")
    return shape, "F" if fortran else "C", dtype


def _check_length(where: Path | str, shape: tuple[int, ...], dtype: np.dtype, found: int, header: int) -> None:
    count = math.prod(shape)
    expected = header + count * dtype.itemsize
    if expected > found:
        raise StorageError(
            f"{where}: expected {expected} bytes for a {shape} array of {dtype}, found {found}: the file is truncated"
        )
    if dtype.itemsize == 0 and count > 0:
        raise StorageError(f"{where}: expected numbers or text, found {count} values of no bytes")


def _check_text(where: Path | str, flat: np.ndarray) -> None:
    points = flat.view(flat.dtype.newbyteorder("=")) if flat.dtype.isnative else flat.byteswap()
    codes = points.view(np.uint32)
    odd = (codes > HIGHEST_CODE_POINT) | ((codes >= SURROGATES[0]) & (codes <= SURROGATES[1]))
    if odd.any():
        raise StorageError(f"{where}: expected text, found characters that do not exist; the file is damaged")


def read_archive(
    path: Path | str, *, only: Container[str] | None = None, error: type[VidreconError] = StorageError
) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file by name; nothing is ever unpickled.

    Parameters
    ----------
    path
        The file.
    only
        Names of those wanted, the others are not read; None for all.
    error
        The kind of error to raise.

    Returns
    -------
    dict[str, np.ndarray]
        {name: array}.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, damaged, holding objects, or unpacking to far more than its own size.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    with open_regular(path, "an .npz file", error) as file, reading(path, error, "an .npz file"):
        check_genuine(path, file, "an .npz file", error)
        most = os.fstat(file.fileno()).st_size + UNPACKED_SURPLUS_BYTES
        with zipfile.ZipFile(file) as packed:
            members = packed.infolist()
            unpacked = sum(each.file_size for each in members)
            if unpacked > most:
                raise error(
                    f"{path}: expected at most {most:,} bytes when unpacked, found {unpacked:,}; save it "
                    "with np.savez, which does not compress"
                )
            for member in members:
                if only is not None and member.filename.removesuffix(".npy") not in only:
                    continue
                where = f"{path}: {one_line(member.filename, 60)}"
                with packed.open(member) as stored:
                    shape, order, dtype = _read_header(where, stored)  # type: ignore[arg-type]
                    _check_length(where, shape, dtype, member.file_size, stored.tell())
                    flat = np.frombuffer(stored.read(math.prod(shape) * dtype.itemsize), dtype=dtype)
                if dtype.kind == "U":
                    _check_text(where, flat)
                arrays[member.filename.removesuffix(".npy")] = flat.reshape(shape, order=order)
    return arrays


def archive_names(path: Path | str, *, error: type[VidreconError] = StorageError) -> list[str]:
    """Names of the arrays in an `.npz` file.

    Parameters
    ----------
    path
        The file.
    error
        The kind of error to raise.

    Returns
    -------
    list[str]
        In the order in which they were saved.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing or damaged.
    """
    with open_regular(path, "an .npz file", error) as file, reading(path, error, "an .npz file"):
        check_genuine(path, file, "an .npz file", error)
        with zipfile.ZipFile(file) as packed:
            return [each.filename.removesuffix(".npy") for each in packed.infolist()]
