"""What this program's safetensors files say of themselves, read as data from outside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_vidrecon.errors import StorageError, VidreconError
from napari_vidrecon.storage.impostors import check_genuine
from napari_vidrecon.storage.reading import open_regular, parse_json, reading

DESCRIPTION = "vidrecon"
EXPECTED = "a safetensors file"
LENGTH_BYTES = 8
LONGEST_HEADER_BYTES = 16 << 20


def read_description(
    path: Path | str, error: type[VidreconError] = StorageError, expected: str = EXPECTED
) -> dict[str, Any]:
    """The description in a safetensors file's metadata.

    Parameters
    ----------
    path
        The file.
    error
        The kind of error to raise.
    expected
        What the file should be, with its article.

    Returns
    -------
    dict[str, Any]
        dict Empty for a safetensors file of another program. Whoever takes it checks every key.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, not a regular file, damaged.
    """
    from safetensors import safe_open

    check_header(path, error, expected)
    with reading(path, error, expected), safe_open(str(path), framework="np") as file:
        told = (file.metadata() or {}).get(DESCRIPTION, "null")
        described = parse_json(told)
    return described if isinstance(described, dict) else {}


def check_header(path: Path | str, error: type[VidreconError] = StorageError, expected: str = EXPECTED) -> None:
    """Refuse what cannot be a safetensors file, or has a header that is longer than any of ours.

    Parameters
    ----------
    path
        The file.
    error
        The kind of error to raise.
    expected
        What the file should be, with its article.

    Raises
    ------
    VidreconError
        Of the kind asked for.
    """
    with open_regular(path, expected, error) as file, reading(path, error, expected):
        check_genuine(path, file, expected, error)
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        size = os.fstat(file.fileno()).st_size
    if length + LENGTH_BYTES > size:
        raise error(f"{path}: expected {expected}, found a damaged one (its header is longer than the file)")
    if length > LONGEST_HEADER_BYTES:
        raise error(
            f"{path}: expected {expected}, found one with a header of {length:,} bytes, longer than any of ours"
        )


def stored_format(path: Path | str) -> str:
    """The format that a safetensors file of this program names, e.g. "napari-vidrecon encoder 1".

    Returns
    -------
    str
        Empty for any other file, a damaged one, or nothing there.
    """
    try:
        return str(read_description(path).get("format", ""))
    except StorageError:
        return ""
