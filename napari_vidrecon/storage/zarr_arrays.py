"""Arrays of a zarr folder that somebody else may have made: held against the bytes that are there before any is read.

Only what this program writes is taken: plain numbers in regular chunks, as they are or packed by zstd. A chunk that is
not there counts as zeros, as zarr leaves out those that are.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_vidrecon.errors import VidreconError, one_line
from napari_vidrecon.settings import first_fault
from napari_vidrecon.storage.reading import check_inside, check_regular, parse_json, read_bytes

DESCRIPTION = "zarr.json"
LONGEST_ARRAY_DESCRIPTION_BYTES = 64 << 10
LONGEST_ATTRIBUTES_BYTES = 64 << 20
"""A hundred times the longest run that was ever made."""
MOST_PARTS_DESCRIBED = 200_000
"""Lists and dictionaries of a description: each takes many times the room of its bytes."""
MOST_ENTRIES = 50_000
MOST_CHUNKS = 50_000
MOST_DIMENSIONS = 8
SURPLUS_BYTES, LARGEST_SURPLUS_BYTES = 64 << 20, 512 << 20
"""What arrays may hold beyond their bytes on disk: zeros, flat movies and integers pack well."""
LARGEST_PACKING = 8
UNPACKABLE_SURPLUS_BYTES = 1024
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_LONGEST_HEADER_BYTES = 18
ZSTD_SIZE_BYTES = {0: 0, 1: 2, 2: 4, 3: 8}
ZSTD_NAME_BYTES = {0: 0, 1: 1, 2: 2, 3: 4}
ZSTD_SIZE_SURPLUS = 256

Length = Annotated[int, Field(ge=0, le=2**40)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class _Grid(_Part):
    class Chunks(_Part):
        chunk_shape: list[Annotated[Length, Field(ge=1)]] = Field(max_length=MOST_DIMENSIONS)

    name: Literal["regular"]
    configuration: Chunks


class _Keys(_Part):
    class Separator(_Part):
        separator: Literal["/"] = "/"

    name: Literal["default"]
    configuration: Separator = Separator()


class _Bytes(_Part):
    class Order(_Part):
        endian: Literal["little", "big"] | None = None

    name: Literal["bytes"]
    configuration: Order = Order()


class _Zstd(_Part):
    class Level(_Part):
        level: Annotated[int, Field(ge=-(2**17), le=22)] = 0
        checksum: bool = False

    name: Literal["zstd"]
    configuration: Level = Level()


class ArrayDescription(_Part):
    """What a `zarr.json` says of an array.

    Parameters
    ----------
    zarr_format
        Version of the format.
    node_type
        What is described.
    shape
        Elements along each axis.
    data_type
        Kind of number.
    chunk_grid
        Size of the pieces.
    chunk_key_encoding
        How their files are named.
    fill_value
        What stands where no piece is.
    codecs
        How pieces are packed.
    attributes
        Free text and numbers.
    storage_transformers
        None are taken.
    dimension_names
        Of the axes.
    """

    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: list[Length] = Field(min_length=1, max_length=MOST_DIMENSIONS)
    data_type: Literal[
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
    chunk_grid: _Grid
    chunk_key_encoding: _Keys = _Keys(name="default")
    fill_value: bool | int | float
    codecs: list[Annotated[_Bytes | _Zstd, Field(discriminator="name")]] = Field(min_length=1, max_length=2)
    attributes: dict[str, Any] = {}
    storage_transformers: list[Any] = Field([], max_length=0)
    dimension_names: list[str | None] | None = Field(None, max_length=MOST_DIMENSIONS)

    @model_validator(mode="after")
    def _fits_together(self) -> ArrayDescription:
        chunks = self.chunk_grid.configuration.chunk_shape
        if len(chunks) != len(self.shape) or any(
            part > max(1, whole) for part, whole in zip(chunks, self.shape, strict=True)
        ):
            raise ValueError(f"expected chunks that fit a shape of {self.shape}, found {chunks}")
        if [codec.name for codec in self.codecs] not in (["bytes"], ["bytes", "zstd"]):
            raise ValueError("expected numbers as they are or packed by zstd, found another order of codecs")
        if self.fill_value != 0:
            raise ValueError("expected zeros where a chunk is left out, found another value")
        return self

    @property
    def packed(self) -> bool:
        """Whether chunks are packed by zstd."""
        return len(self.codecs) > 1

    @property
    def item_bytes(self) -> int:
        """Bytes of one number."""
        return np.dtype(self.data_type).itemsize

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole array in memory."""
        return math.prod(self.shape) * self.item_bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk in memory."""
        return math.prod(self.chunk_grid.configuration.chunk_shape) * self.item_bytes

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each dimension."""
        pairs = zip(self.shape, self.chunk_grid.configuration.chunk_shape, strict=True)
        return tuple(-(-whole // part) for whole, part in pairs)


@dataclass(frozen=True)
class _Stored:
    folder: Path
    description: ArrayDescription

    def chunks(self) -> Iterator[Path]:
        for index in itertools.product(*map(range, self.description.grid)):
            yield self.folder.joinpath("c", *map(str, index))


def read_attributes(folder: Path, expected: str, error: type[VidreconError]) -> dict[str, Any]:
    """What the description of a zarr folder says beside its arrays; whoever takes it checks every key.

    Parameters
    ----------
    folder
        The zarr folder.
    expected
        What it should be, with its article.
    error
        The kind of error to raise.

    Returns
    -------
    dict[str, Any]
        Plain values.

    Raises
    ------
    VidreconError
        Of the kind asked for: no regular file inside the folder.
    ValueError
        No description of a group.
    """
    file = folder / DESCRIPTION
    if not os.path.lexists(file):
        raise ValueError(f"without {DESCRIPTION}")
    check_inside(folder, file, error)
    text = read_bytes(file, most=LONGEST_ATTRIBUTES_BYTES, expected=f"{expected} with {DESCRIPTION}", error=error)
    if text.count(b"[") + text.count(b"{") > MOST_PARTS_DESCRIBED:
        raise ValueError(f"{DESCRIPTION}: expected a description, found one of more parts than any has")
    told = parse_json(text)
    if not isinstance(told, dict) or told.get("node_type") != "group" or told.get("zarr_format") != 3:
        raise ValueError(f"{DESCRIPTION}: expected a zarr group of format 3, found something else")
    attributes = told.get("attributes", {})
    if not isinstance(attributes, dict):
        raise ValueError(f"{DESCRIPTION}: expected attributes by name, found something else")
    return attributes


def read_arrays(
    folder: Path, arrays: re.Pattern[str], groups: re.Pattern[str], error: type[VidreconError]
) -> dict[str, np.ndarray]:
    """All arrays of a zarr folder whose path inside it is known; whatever else lies there is left alone.

    Parameters
    ----------
    folder
        The zarr folder.
    arrays
        Paths of arrays, with "/" between the parts.
    groups
        Paths of the folders that hold some.
    error
        The kind of error to raise.

    Returns
    -------
    dict[str, np.ndarray]
        {path inside the folder: array}, in memory.

    Raises
    ------
    VidreconError
        Of the kind asked for: a link leads out of the folder, or no regular file.
    ValueError
        An array that cannot be, or that needs more memory than its bytes can account for.
    """
    found = {name: _Stored(folder / name, _described(folder, name, error)) for name in _members(folder, arrays, groups)}
    _check_room(folder, found, error)
    return {name: _unpacked(stored) for name, stored in found.items()}


def _members(folder: Path, arrays: re.Pattern[str], groups: re.Pattern[str]) -> list[str]:
    names = []
    for seen, (name, entry) in enumerate(_entries(folder, groups)):
        if seen == MOST_ENTRIES:
            raise ValueError("expected the arrays of a run, found more files than any has")
        is_array = arrays.fullmatch(name) and not groups.fullmatch(name)
        if is_array and os.path.lexists(os.path.join(entry.path, DESCRIPTION)):  # noqa: PTH118
            names.append(name)
    return sorted(names)


def _entries(folder: Path, groups: re.Pattern[str], inside: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What lies in a folder and in its groups, by the path inside it."""
    with os.scandir(folder / inside) as entries:
        for entry in entries:
            name = f"{inside}{entry.name}"
            yield name, entry
            if groups.fullmatch(name) and entry.is_dir():
                yield from _entries(folder, groups, f"{name}/")


def _described(folder: Path, name: str, error: type[VidreconError]) -> ArrayDescription:
    file = folder / name / DESCRIPTION
    check_inside(folder, file, error)
    text = read_bytes(file, most=LONGEST_ARRAY_DESCRIPTION_BYTES, expected="the description of an array", error=error)
    try:
        told = parse_json(text)
    except ValueError as raised:
        raise ValueError(f"{name}: expected the description of an array, found {one_line(raised)}") from None
    try:
        return ArrayDescription.model_validate(told)
    except ValidationError as raised:
        raise ValueError(f"{name}: {first_fault(raised)}") from None


def _check_room(folder: Path, found: dict[str, _Stored], error: type[VidreconError]) -> None:
    """Hold shapes and chunks against the files that are there, before anything is allocated."""
    chunks = sum(math.prod(each.description.grid) for each in found.values())
    if chunks > MOST_CHUNKS:
        raise ValueError(f"expected at most {MOST_CHUNKS:,} chunks, found {chunks:,}")
    on_disk = sum(_checked_chunks(folder, name, each, error) for name, each in found.items())
    needed = sum(each.description.size_bytes for each in found.values())
    most = on_disk + min((LARGEST_PACKING - 1) * on_disk + SURPLUS_BYTES, LARGEST_SURPLUS_BYTES)
    if needed > most:
        raise ValueError(f"its {on_disk:,} bytes hold arrays of at most {most:,}, and it says {needed:,}")


def _checked_chunks(folder: Path, name: str, stored: _Stored, error: type[VidreconError]) -> int:
    """Bytes of the files of all chunks; each is regular, inside the folder, and as large as the array says."""
    total, expected = 0, stored.description.chunk_bytes
    for file in stored.chunks():
        if not os.path.lexists(file):
            continue
        check_inside(folder, file, error)
        size = check_regular(file, "a part of an array", error)
        if not stored.description.packed:
            unpacked = size
        elif size > expected + expected // LARGEST_PACKING + UNPACKABLE_SURPLUS_BYTES:
            raise ValueError(f"{name}: expected a chunk of at most {expected:,} bytes, found {size:,}")
        else:
            unpacked = _unpacked_bytes(name, file)
        if unpacked != expected:
            raise ValueError(f"{name}: expected chunks of {expected:,} bytes, found one of {unpacked:,}")
        total += size
    return total


def _unpacked_bytes(name: str, file: Path) -> int:
    """What a zstd frame says that it unpacks to; it never unpacks to more (RFC 8878, 3.1.1.1)."""
    with file.open("rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise ValueError(f"{name}: expected a chunk, found something else")
        header = opened.read(ZSTD_LONGEST_HEADER_BYTES)
    if header[:4] != ZSTD_MAGIC or len(header) < 5:
        raise ValueError(f"{name}: expected a chunk packed by zstd, found other bytes")
    flags = header[4]
    single, size_flag = bool(flags & 0x20), flags >> 6
    length = ZSTD_SIZE_BYTES[size_flag] or (1 if single else 0)
    start = 5 + (0 if single else 1) + ZSTD_NAME_BYTES[flags & 0x03]
    told = header[start : start + length]
    if not length or len(told) < length:
        raise ValueError(f"{name}: expected a chunk that tells its size, found none told")
    return int.from_bytes(told, "little") + (ZSTD_SIZE_SURPLUS if length == 2 else 0)


def _unpacked(stored: _Stored) -> np.ndarray:
    import zarr
    from zarr.storage import LocalStore

    return np.asarray(zarr.open_array(store=LocalStore(stored.folder, read_only=True), mode="r", zarr_format=3)[...])
