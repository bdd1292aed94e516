"""Reading what a user opens without trusting it, and writing so that nothing is ever half there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.errors import StorageError

NPY_MAGIC = b"\x93NUMPY"


def read_array(path: Path | str, *, memory_map: bool = False) -> np.ndarray:
    """Read one `.npy` array; nothing is ever unpickled.

    Parameters
    ----------
    path : the file.
    memory_map : map the file instead of reading it, so only what is touched is loaded.

    Raises
    ------
    StorageError : missing, not an `.npy` file, truncated, or holding pickled objects.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            magic = file.read(len(NPY_MAGIC))
        if magic != NPY_MAGIC:
            raise StorageError(f"{path}: expected a .npy array, found {_describe(magic)}")
        return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
    except FileNotFoundError:
        raise StorageError(f"{path}: expected an array file, found nothing there") from None
    except IsADirectoryError:
        raise StorageError(f"{path}: expected an array file, found a folder") from None
    except PermissionError:
        raise StorageError(f"{path}: expected a readable file, found that reading it is not permitted") from None
    except (ValueError, EOFError, OSError, SyntaxError, TypeError, tokenize.TokenError, OverflowError) as error:
        # A damaged header makes numpy's own reader fail in all of these ways.
        raise StorageError(f"{path}: {_explain(path, error)}") from None


def _describe(magic: bytes) -> str:
    if not magic:
        return "an empty file"
    if magic[:1] == b"\x80":
        return "pickled data, which is never opened because it could run code"
    return f"a file that starts with {magic!r}"


def _explain(path: Path, error: Exception) -> str:
    if "allow_pickle" in str(error) or "Object arrays" in str(error) or "Python objects" in str(error):
        return "expected plain numbers, found pickled objects, which are never opened because they could run code"
    try:
        with path.open("rb") as file:
            version = npy_format.read_magic(file)
            reader = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = reader(file)
            expected = file.tell() + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        found = path.stat().st_size
        if found < expected:
            return f"expected {expected} bytes for a {shape} array of {dtype}, found {found}: the file is truncated"
    except (ValueError, OSError, SyntaxError, TypeError, tokenize.TokenError, OverflowError):
        pass
    return f"cannot be read as an array ({error})"


def stored_format(path: Path | str) -> str:
    """The format that a safetensors file of this program names, e.g. "napari-vidrecon encoder 1".

    Returns
    -------
    Empty for any other file, a damaged one, or nothing there.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            described = json.loads((file.metadata() or {}).get("vidrecon", "null"))
    except (SafetensorError, OSError, ValueError):
        return ""
    return str(described.get("format", "")) if isinstance(described, dict) else ""


@contextlib.contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Turn a full disk, a read-only place or a missing permission into one clear `StorageError`."""
    try:
        yield
    except Exception as error:
        reasons = {
            errno.ENOSPC: "the disk is full; make room or choose another place",
            errno.EDQUOT: "the disk quota is used up; make room or choose another place",
            errno.EROFS: "the place is read-only; choose another one",
            errno.EACCES: "writing there is not permitted; choose another place",
            errno.EPERM: "writing there is not permitted; choose another place",
            errno.ENOTDIR: "a part of the path is a file, not a folder",
            errno.EFBIG: "the disk does not take a file of this size",
        }
        reason = reasons.get(_system_error(error))
        if reason is None:
            raise
        raise StorageError(f"{path}: could not be written: {reason}") from error


def _system_error(error: Exception) -> int:
    """The system's number for what went wrong, 0 if it was something else.

    Not every library passes the number on: safetensors writes it into its message, and numpy only says how much
    of an array fitted.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    told = re.search(r"os error (\d+)", str(error))
    if told:
        return int(told.group(1))
    return errno.ENOSPC if re.search(r"\d+ requested and \d+ written", str(error)) else 0


@contextlib.contextmanager
def replacing_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name beside `path`; move it to `path` on success, remove it on any failure.

    Raises
    ------
    StorageError : the disk is full, read-only, or writing is not permitted.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; swap it in on success, remove it on any failure.

    What stood at `path` before is kept until the new folder is complete.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
        temporary.chmod(0o777 & ~_umask())
        retired: Path | None = None
        try:
            yield temporary
            if path.exists():
                retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-old-"))
                path.replace(retired / path.name)
            temporary.replace(path)
        except BaseException:
            # An interrupt may come between the two moves; what stood there goes back then.
            if retired is not None and not path.exists():
                (retired / path.name).replace(path)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        finally:
            if retired is not None and path.exists():
                shutil.rmtree(retired, ignore_errors=True)


def recover_folder(path: Path | str) -> None:
    """Clear up after a process that was killed while it replaced a folder; nobody else may be replacing it now.

    A folder that was moved aside, and not followed by its new one, goes back to `path`; drafts are removed.
    """
    path = Path(path)
    if not path.parent.is_dir():
        return
    # By name and not by pattern, because the name of a run may hold characters that mean something in one.
    left = [each for each in path.parent.iterdir() if each.name.startswith(f".{path.name}-") and each.is_dir()]
    with disk_errors(path):
        for folder in left:
            if (folder / path.name).is_dir() and not path.exists():
                (folder / path.name).replace(path)
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write one `.npy` array under a temporary name, then move it into place."""
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
