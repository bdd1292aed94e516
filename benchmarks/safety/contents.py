"""What a folder holds, as far as the same command must write it again to the last bit: all but when and how long."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

OF_TIME = re.compile(r"seconds|started|written|date|time|created|fetched|load_before", re.IGNORECASE)
SHOWN = "there"
"""For files whose format holds the time of writing."""
LENGTH = struct.Struct("<Q")


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file in a folder, and of what is neither file nor folder its kind.

    Parameters
    ----------
    folder
        The folder; hidden files count, empty folders too.

    Returns
    -------
    dict
        Path in the folder and digest.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "neither file nor folder"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = _digest(path)
    return found


def _digest(file: Path) -> str:
    reader = READERS.get(file.suffix)
    try:
        content = file.read_bytes() if reader is None else reader(file)
    except Exception as error:  # noqa: BLE001  # a damaged file differs from a sound one
        return f"cannot be read: {error}"
    return hashlib.sha256(content).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(part) for name, part in value.items() if not OF_TIME.search(name)}
    if isinstance(value, list):
        return [_timeless(part) for part in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _timeless(json.loads(value))
        except ValueError:
            return value
    return value


def _json(text: bytes) -> bytes:
    return json.dumps(_timeless(json.loads(text)), sort_keys=True).encode()


def _tensors(file: Path) -> bytes:
    content = file.read_bytes()
    (length,) = LENGTH.unpack(content[: LENGTH.size])
    return _json(content[LENGTH.size : LENGTH.size + length]) + content[LENGTH.size + length :]


def _archive(file: Path) -> bytes:
    whole = io.BytesIO()
    with np.load(file, allow_pickle=False) as arrays:
        for name in sorted(arrays.files):
            whole.write(name.encode())
            np.save(whole, arrays[name])
    return whole.getvalue()


def _table(file: Path) -> bytes:
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))))
    kept = [index for index, name in enumerate(rows[0]) if not OF_TIME.search(name)]
    return json.dumps([[row[index] for index in kept] for row in rows]).encode()


READERS: dict[str, Callable[[Path], bytes]] = {
    ".json": lambda file: _json(file.read_bytes()),
    ".safetensors": _tensors,
    ".npz": _archive,
    ".csv": _table,
    **dict.fromkeys((".html", ".svg", ".pdf", ".parquet"), lambda _: SHOWN.encode()),
}
