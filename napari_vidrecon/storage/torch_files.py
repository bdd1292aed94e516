"""What `torch.save` wrote, rebuilt by constructors of this program: tensors are views of the bytes in the file."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from napari_vidrecon.storage.pickles import PLAIN, Allowance, Name, OrderedPairs, Rules, rebuild
from napari_vidrecon.storage.plain_arrays import ARRAY_NAMES, ARRAYS, MOST_DIMENSIONS

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
LEGACY_COUNT_BYTES = 8
LOCAL_HEADER = struct.Struct("<4s22xHH")
LOCAL_HEADER_MAGIC = b"PK\x03\x04"
LONGEST_PICKLE_BYTES = 64 << 20
COPIED_BYTES = 16 << 20
ENCRYPTED = 1
ZIP_MAGIC = b"PK"

KINDS: dict[str, np.dtype] = {
    name: np.dtype(code)
    for name, code in (
        *(("Double", "f8"), ("Float", "f4"), ("Half", "f2"), ("BFloat16", "u2")),
        *(("Long", "i8"), ("Int", "i4"), ("Short", "i2"), ("Char", "i1"), ("Byte", "u1"), ("Bool", "?")),
    )
}
"""Numpy's types of torch's storages; the bits of a BFloat16 stand in 16-bit integers."""


class StoredValues:
    """Stands for a torch storage: one row of numbers.

    Attributes
    ----------
    kind
        A name of `KINDS`.
    values
        The row; empty until the file has been read that far.
    """

    __slots__ = ("kind", "values")

    def __init__(self, kind: str, values: np.ndarray | None = None) -> None:
        self.kind = kind
        self.values = np.zeros(0, KINDS[kind]) if values is None else values


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Stands for a torch tensor.

    Parameters
    ----------
    stored
        The row of numbers it shows.
    offset
        Its first one.
    size, stride
        As torch counts them, in numbers.
    """

    stored: StoredValues
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def kind(self) -> str:
        """Type of its numbers, a name of `KINDS`."""
        return self.stored.kind

    def array(self) -> np.ndarray:
        """The tensor as a view of the bytes in the file.

        Returns
        -------
        np.ndarray
            Of the tensor's shape.

        Raises
        ------
        ValueError
            It shows more numbers than its storage has.
        """
        values = self.stored.values
        count = math.prod(self.size)
        if count == 0:
            return np.zeros(self.size, values.dtype)
        last = self.offset + sum((length - 1) * step for length, step in zip(self.size, self.stride, strict=True))
        if last >= len(values) or count > len(values):
            raise ValueError("a tensor that shows more numbers than are there")
        strides = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.size, strides)


def _tensor(_: Allowance, stored: Any, offset: Any, size: Any, stride: Any, *_ignored: Any) -> StoredTensor:
    if not isinstance(stored, StoredValues):
        raise TypeError("a tensor without numbers")
    counts = type(size) is tuple and type(stride) is tuple and len(size) == len(stride) <= MOST_DIMENSIONS
    if not counts or any(type(each) is not int or each < 0 for each in (offset, *size, *stride)):
        raise ValueError("a tensor of a size that cannot be")
    return StoredTensor(stored, offset, size, stride)


def _parameter(_: Allowance, tensor: Any, *_ignored: Any) -> Any:
    return tensor


def _device(_: Allowance, *_parts: Any) -> Name:
    # Where it was computed; nothing here asks.
    return Name("torch", "device")


def _size(_: Allowance, lengths: Any) -> tuple[Any, ...]:
    if type(lengths) is not tuple:
        raise TypeError("a size that is none")
    return lengths


STORAGE_NAMES = frozenset(("torch", f"{name}Storage") for name in KINDS)
TYPE_NAMES = frozenset(
    ("torch", name)
    for name in (
        *("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool"),
        *("strided", "contiguous_format", "preserve_format"),
    )
)
TENSORS: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "device"): _device,
    ("torch", "Size"): _size,
}
CONSTRUCTORS = {**PLAIN, **ARRAYS, **TENSORS}
NAMES = STORAGE_NAMES | TYPE_NAMES | ARRAY_NAMES


def rules_for_values(persistent: Callable[[Any], Any] | None = None) -> Rules:
    """Plain data, arrays and tensors, those included that Python pickled with their bytes inside.

    Parameters
    ----------
    persistent
        Builds a storage that stands outside the pickle.

    Returns
    -------
    Rules
        To give to `rebuild`.
    """
    return Rules({**CONSTRUCTORS, ("torch.storage", "_load_from_bytes"): _storage_of_bytes}, NAMES, persistent)


def _storage_of_bytes(allowance: Allowance, content: Any) -> StoredValues:
    if not isinstance(content, (bytes, bytearray)):
        raise TypeError("a storage without bytes")
    allowance.take(steps=1)
    whole = np.frombuffer(content, np.uint8)
    found = _read_legacy(io.BytesIO(content), whole, allowance, inside=True)
    if not isinstance(found, StoredValues):
        raise TypeError("a storage that is none")
    return found


def read_torch_file(file: BinaryIO, size: int) -> Any:
    """What a file of `torch.save` holds: plain values, `StoredTensor`s and `PlainArray`s.

    Parameters
    ----------
    file
        The open file.
    size
        Its bytes.

    Returns
    -------
    Any
        Tensors are read when they are asked for.

    Raises
    ------
    ForbiddenObject
        It holds anything else than data.
    Exception
        It is damaged or another file: of any kind, see `storage.reading`.
    """
    allowance = Allowance(size + COPIED_BYTES)
    # Copy on write: torch takes no bytes that cannot be written, and nobody writes.
    whole = np.memmap(file, np.uint8, mode="c", shape=(size,))
    file.seek(0)
    magic = file.read(len(ZIP_MAGIC))
    file.seek(0)
    if magic == ZIP_MAGIC:
        return _read_zip(file, whole, allowance)
    return _read_legacy(file, whole, allowance)


def _kind(named: Any) -> str:
    if not isinstance(named, Name) or (named.module, named.name) not in STORAGE_NAMES:
        raise TypeError("numbers of an unknown kind")
    return named.name.removesuffix("Storage")


def _read_zip(file: BinaryIO, whole: np.ndarray, allowance: Allowance) -> Any:
    with zipfile.ZipFile(file) as packed:
        members = {member.filename.partition("/")[2]: member for member in packed.infolist()}
    stored: dict[str, StoredValues] = {}

    def content(name: str) -> np.ndarray:
        member = members[name]
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
            raise ValueError("its numbers are packed, which torch never does")
        header = whole[member.header_offset : member.header_offset + LOCAL_HEADER.size].tobytes()
        magic, name_length, extra_length = LOCAL_HEADER.unpack(header)
        start = member.header_offset + LOCAL_HEADER.size + name_length + extra_length
        if magic != LOCAL_HEADER_MAGIC or start + member.file_size > len(whole):
            raise ValueError("a part of it lies outside the file")
        return whole[start : start + member.file_size]

    def storage(key: Any) -> StoredValues:
        word, named, name, _, count, *_rest = key
        kind = _kind(named)
        if word != "storage" or type(name) is not str or type(count) is not int or count < 0:
            raise ValueError("a reference to something unknown")
        if name not in stored:
            stored[name] = StoredValues(kind, _numbers(content(f"data/{name}"), 0, kind, count, allowance))
        found = stored[name]
        return found if found.kind == kind else StoredValues(kind, found.values.view(KINDS[kind]))

    if "byteorder" in members and content("byteorder").tobytes() != b"little":
        raise ValueError("it was written by a machine of another byte order")
    description = content("data.pkl")
    if len(description) > LONGEST_PICKLE_BYTES:
        raise ValueError("its description is longer than that of any encoder")
    return rebuild(io.BytesIO(description.tobytes()), len(description), rules_for_values(storage), allowance)


def _numbers(row: np.ndarray, start: int, kind: str, count: int, allowance: Allowance) -> np.ndarray:
    length = count * KINDS[kind].itemsize
    if start + length > len(row):
        raise ValueError("it ends in the middle")
    found = row[start : start + length]
    if found.ctypes.data % KINDS[kind].itemsize:
        # torch takes only numbers that stand where the processor likes them.
        allowance.take(copied_bytes=length)
        found = found.copy()
    return found.view(KINDS[kind])


def _read_legacy(file: BinaryIO, whole: np.ndarray, allowance: Allowance, inside: bool = False) -> Any:
    stored: dict[str, StoredValues] = {}

    def storage(key: Any) -> StoredValues:
        word, named, name, _, _count, view = key
        if word != "storage" or type(name) is not str or view is not None:
            raise ValueError("a reference to something unknown")
        kind = _kind(named)
        found = stored.setdefault(name, StoredValues(kind))
        if found.kind != kind:
            raise ValueError("numbers of two kinds in one place")
        return found

    def part(rules: Rules) -> Any:
        return rebuild(file, len(whole), rules, allowance)

    if part(Rules()) != LEGACY_MAGIC or part(Rules()) != LEGACY_VERSION:
        raise ValueError("it was not written by torch")
    part(Rules())
    # A storage inside a storage inside ... is nothing that torch writes.
    rules = Rules(CONSTRUCTORS, NAMES, storage) if inside else rules_for_values(storage)
    found = part(rules)
    names = part(Rules())
    if type(names) is not list or any(type(name) is not str for name in names):
        raise TypeError("a list of numbers that is none")
    allowance.take(steps=len(names))
    place = file.tell()
    for name in names:
        count = int.from_bytes(whole[place : place + LEGACY_COUNT_BYTES].tobytes(), "little")
        each = stored[name]
        each.values = _numbers(whole, place + LEGACY_COUNT_BYTES, each.kind, count, allowance)
        place += LEGACY_COUNT_BYTES + each.values.nbytes
    return found


__all__ = [
    "OrderedPairs",
    "StoredTensor",
    "StoredValues",
    "read_torch_file",
    "rules_for_values",
]
