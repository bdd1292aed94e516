"""What this program's safetensors files say of themselves, read as data from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_vidrecon.errors import StorageError, VidreconError
from napari_vidrecon.storage.reading import check_regular, parse_json, reading

DESCRIPTION = "vidrecon"


def read_description(path: Path | str, error: type[VidreconError] = StorageError) -> dict[str, Any]:
    """The description in a safetensors file's metadata.

    Parameters
    ----------
    path
        The file.
    error
        The kind of error to raise.

    Returns
    -------
    dict
        Empty for a safetensors file of another program. Whoever takes it checks every key.

    Raises
    ------
    VidreconError
        Of the kind asked for: missing, not a regular file, damaged.
    """
    from safetensors import safe_open

    check_regular(path, "a safetensors file", error)
    with reading(path, error, "a safetensors file"), safe_open(str(path), framework="np") as file:
        described = parse_json((file.metadata() or {}).get(DESCRIPTION, "null"))
    return described if isinstance(described, dict) else {}


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
