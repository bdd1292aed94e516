"""MAT files as sources: numbers and text of MATLAB's versions 5 to 7.3, rebuilt from their bytes, and nothing else."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import StorageError, one_line, optional_module
from napari_vidrecon.sessions.importing.hdf5_contents import LARGEST_CHUNK_BYTES
from napari_vidrecon.storage import open_regular, reading
from napari_vidrecon.storage.impostors import check_genuine

EXPECTED = "a MAT file"
HEADER_BYTES, SUBSYSTEM_BYTES = 128, 124
HDF5_MAGIC, HDF5_START = b"\x89HDF\r\n\x1a\n", 512
UNPACKED_RATIO, UNPACKED_SURPLUS_BYTES = 50, 512 << 20
"""What is packed may be this many times as large as its file, and this much larger."""
LONGEST_TEXTS = 64 << 20
"""Bytes that short texts beside a long one may be filled up with."""
DEEPEST_STRUCT = 8
MOST_VARIABLES = 10_000
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types in which numbers are stored, by MATLAB's codes."""
TEXTS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
CELL, STRUCT, CHAR, SPARSE = 1, 2, 4, 5
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Types that the numbers have in MATLAB."""
LOGICAL, COMPLEX = 0x0200, 0x0800
NAMED = re.compile(r"(.*\.mat)(?::([A-Za-z]\w*(?:\.\w+)*(?:\{\d+\})?))?", re.IGNORECASE)


def split_name(name: str) -> tuple[str, str] | None:
    """File and variable of "file.mat:variable"; the variable is empty where none is named, None for another file."""
    found = NAMED.fullmatch(name)
    return None if found is None else (found[1], found[2] or "")


def matlab_arrays(path: Path, wanted: str | None = None) -> dict[str, np.ndarray]:
    """Arrays of numbers and of text in a MAT file by name; those in a struct are called `struct.field`.

    Parameters
    ----------
    path
        The file.
    wanted
        Leave out all variables but this one, or the struct that holds it; None for all.

    Returns
    -------
    dict[str, np.ndarray]
        With MATLAB's order of axes; a struct array gives one row an element.

    Raises
    ------
    StorageError
        Missing, damaged, another file, leading to other files, or unpacking to far more than its own size.
    """
    found: dict[str, np.ndarray] = {}
    for name, value in _variables(path, None if wanted is None else wanted.partition(".")[0]):
        if len(found) >= MOST_VARIABLES:
            raise StorageError(f"{path}: expected at most {MOST_VARIABLES:,} variables, found more; save fewer")
        found[name] = value
    return found


def matlab_names(path: Path) -> list[str]:
    """Names of the arrays in a MAT file; see `matlab_arrays`, which keeps them all in memory."""
    return [name for name, _ in _variables(path, None)]


def _variables(path: Path, outer: str | None) -> Iterator[tuple[str, np.ndarray]]:
    with open_regular(path, EXPECTED) as file:
        check_genuine(path, file, EXPECTED, StorageError)
        head = file.read(HDF5_START + len(HDF5_MAGIC))
    with reading(path, expected=EXPECTED):
        if head.startswith(HDF5_MAGIC) or head[HDF5_START:] == HDF5_MAGIC:
            yield from _of_hdf5(path, outer)
            return
        if head[SUBSYSTEM_BYTES + 2 : HEADER_BYTES] not in (b"IM", b"MI"):
            raise StorageError(
                f"{path}: expected {EXPECTED} of version 5 to 7.3, found another file; save it with -v7 or -v7.3"
            )
        yield from _of_version_5(path, outer)


def read_matlab(path: Path, variable: str, likely: str = "") -> np.ndarray:
    """One array of a MAT file.

    Parameters
    ----------
    path
        The file.
    variable
        Its name, "struct.field" in a struct; empty where the file holds only one, or one of a likely name.
    likely
        Name to take where none is given.

    Returns
    -------
    np.ndarray
        Numbers or text.

    Raises
    ------
    StorageError
        No such variable, or the file cannot be read.
    """
    return matlab_pieces(path, variable, likely, most=1)[0]


def matlab_pieces(path: Path, variable: str, likely: str = "", most: int | None = None) -> list[np.ndarray]:
    """One array of a MAT file, or those of a cell of several sizes, such as movies of different lengths.

    Parameters
    ----------
    path, variable, likely
        As in `read_matlab`.
    most
        How many arrays it may be; None for any number.

    Returns
    -------
    list[np.ndarray]
        In the order of the cell.

    Raises
    ------
    StorageError
        No such variable, or the file cannot be read.
    """
    found = matlab_arrays(path, variable.partition("{")[0] or None)
    if not variable:
        variable = likely if likely in found else next(iter(found)) if len(found) == 1 else ""
    pieces = [array for name, array in found.items() if most is None and name.startswith(f"{variable}{{")]
    if variable not in found and not pieces:
        known = ", ".join(matlab_names(path)) or "none"
        raise StorageError(
            f"{path}: expected a variable {variable or '(say which one)'}, found {one_line(known, 300)}; "
            f'name it as "{path.name}:VARIABLE" in recording.toml'
        )
    return pieces or [found[variable]]


class _Bytes:
    """Elements of MATLAB's format 5, one after the other."""

    def __init__(self, content: memoryview, order: str) -> None:
        self.content, self.order, self.place = content, order, 0

    def __iter__(self) -> Iterator[tuple[int, memoryview]]:
        while self.place < len(self.content):
            yield self.next()

    def next(self) -> tuple[int, memoryview]:
        kind, length = (
            int(each) for each in np.frombuffer(self.content[self.place : self.place + 8], self.order + "u4")
        )
        if kind >> 16:
            # A few bytes stand in the tag itself.
            kind, length, start, step = kind & 0xFFFF, kind >> 16, self.place + 4, 8
            if length > 4:
                raise ValueError("a tag that holds more than it can")
        else:
            start = self.place + 8
            step = 8 + (length if kind == COMPRESSED else length + (-length) % 8)
        if start + length > len(self.content):
            raise EOFError("it ends in the middle")
        self.place += step
        return kind, self.content[start : start + length]

    def numbers(self) -> np.ndarray:
        kind, content = self.next()
        if kind not in NUMBERS:
            raise ValueError("numbers of an unknown kind")
        return np.frombuffer(content, self.order + NUMBERS[kind])


def _of_version_5(path: Path, outer: str | None) -> Iterator[tuple[str, np.ndarray]]:
    whole = memoryview(np.memmap(path, np.uint8, mode="r")) if path.stat().st_size else memoryview(b"")
    order = "<" if bytes(whole[SUBSYSTEM_BYTES + 2 : HEADER_BYTES]) == b"IM" else ">"
    left = [UNPACKED_RATIO * len(whole) + UNPACKED_SURPLUS_BYTES]
    for kind, content in _Bytes(whole[HEADER_BYTES:], order):
        if kind == COMPRESSED:
            if outer is not None and not _is_named(content, order, outer):
                continue
            content = _unpacked(content, left)
            kind, content = _Bytes(content, order).next()
        if kind == MATRIX and len(content):
            name, value = _matrix(_Bytes(content, order), left, 0)
            if outer in (None, name):
                yield from _flat(name, value)


def _unpacked(content: memoryview, left: list[int]) -> memoryview:
    opened = zlib.decompressobj()
    unpacked = opened.decompress(content, left[0])
    left[0] -= len(unpacked)
    if opened.unconsumed_tail:
        raise ValueError("it unpacks to far more than its size")
    return memoryview(unpacked)


def _is_named(content: memoryview, order: str, outer: str) -> bool:
    """Whether a packed variable may be this one, by its first bytes."""
    start = zlib.decompressobj().decompress(content, 1024)
    return outer.encode("latin1") in start


def _matrix(parts: _Bytes, left: list[int], depth: int) -> tuple[str, Any]:
    """Name and content: an array, a dictionary of a struct's fields, or None for what is neither numbers nor text."""
    if depth > DEEPEST_STRUCT:
        raise ValueError("nested too deep")
    flags = int(parts.numbers()[0])
    shape = tuple(int(length) for length in parts.numbers())
    name = bytes(parts.next()[1]).decode("latin1")
    kind = flags & 0xFF
    if any(length < 0 for length in shape) or math.prod(shape) * 8 > left[0]:
        raise ValueError("an array larger than what its file can hold")
    if kind in CLASSES:
        values = parts.numbers()
        if flags & COMPLEX or values.size != math.prod(shape):
            return name, None
        return name, values.astype("?" if flags & LOGICAL else CLASSES[kind], copy=False).reshape(shape, order="F")
    if kind == CHAR:
        return name, _text(parts, shape)
    if kind == SPARSE:
        return name, _dense(parts, shape, flags)
    if kind == CELL:
        return name, _stacked([_inner(parts, left, depth) for _ in range(math.prod(shape))])
    if kind == STRUCT:
        (length,) = (int(each) for each in parts.numbers())
        raw = bytes(parts.next()[1])
        fields = [raw[at : at + length].partition(b"\0")[0].decode("latin1") for at in range(0, len(raw), length)]
        # Elements without fields, too, are dictionaries in memory.
        left[0] -= 256 * math.prod(shape)
        if left[0] < 0:
            raise ValueError("more elements than what its file can hold")
        rows = [{field: _inner(parts, left, depth) for field in fields} for _ in range(math.prod(shape))]
        if len(rows) == 1:
            return name, rows[0]
        return name, {field: _stacked([row[field] for row in rows]) for field in fields}
    return name, None


def _inner(parts: _Bytes, left: list[int], depth: int) -> Any:
    left[0] -= 1024
    kind, content = parts.next()
    if kind != MATRIX or left[0] < 0:
        raise ValueError("a part that is no array, or too many of them")
    return _matrix(_Bytes(content, parts.order), left, depth + 1)[1] if len(content) else None


def _text(parts: _Bytes, shape: tuple[int, ...]) -> np.ndarray | None:
    kind, content = parts.next()
    coding = TEXTS.get(kind, "")
    if coding == "utf-16":
        coding = "utf-16-le" if parts.order == "<" else "utf-16-be"
    letters = bytes(content).decode(coding, errors="replace") if coding else ""
    if len(shape) != 2 or len(letters) != math.prod(shape):
        return None
    rows = shape[0]
    return np.array([letters[row::rows].rstrip() for row in range(rows)] if letters else [""])


def _dense(parts: _Bytes, shape: tuple[int, ...], flags: int) -> np.ndarray | None:
    rows, starts, values = parts.numbers(), parts.numbers(), parts.numbers()
    if flags & COMPLEX or len(shape) != 2 or starts.size != shape[1] + 1:
        return None
    ends = starts.astype(np.int64)
    filled, steps = int(ends[-1]), ends[1:] - ends[:-1]
    if ends[0] != 0 or (steps < 0).any() or filled > min(rows.size, values.size):
        raise ValueError("columns of a sparse array that it does not hold")
    found = np.zeros(shape, dtype=values.dtype, order="F")
    found[rows[:filled], np.repeat(np.arange(shape[1]), steps)] = values[:filled]
    return found


def _stacked(values: Sequence[Any]) -> Any:
    """Values of a cell or of a field as one array; see the lines below."""
    # Of one shape: one row each. Of other lengths, as of trials: one after the other; movies of those stay apart.
    if not values or not all(isinstance(value, np.ndarray) for value in values):
        return None
    shapes, words = {value.shape for value in values}, {value.dtype.kind == "U" for value in values}
    flat = all(max(value.shape, default=0) == value.size for value in values)
    if len(words) == 1 and len(shapes) == 1:
        sizes = [value.nbytes for value in values]
        if len(sizes) * max(sizes) > 8 * sum(sizes) + LONGEST_TEXTS:
            raise ValueError("texts of too different lengths")
        stacked = np.stack(values)
        return stacked.reshape(len(values), *[-1] * (stacked.size > len(values))) if flat else stacked
    if words != {False} or len({value.ndim for value in values}) != 1:
        return None
    if flat:
        return np.concatenate([value.ravel() for value in values])
    differ = [axis for axis, lengths in enumerate(zip(*shapes, strict=True)) if len(set(lengths)) > 1]
    if values[0].ndim == 2:
        return np.concatenate(values, axis=differ[0]) if len(differ) == 1 else None
    return {f"{{{number}}}": value for number, value in enumerate(values, start=1)}


def _flat(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, dict):
        for field, inner in value.items():
            yield from _flat(f"{name}{field}" if field.startswith("{") else f"{name}.{field}", inner)
    elif isinstance(value, np.ndarray):
        yield name, value


def _of_hdf5(path: Path, outer: str | None) -> Iterator[tuple[str, np.ndarray]]:
    what = f"{path}: a MAT file of version 7.3, which may be saved with -v7 instead"
    h5py = optional_module("h5py", "nwb", what, StorageError)
    with h5py.File(path, "r") as file:
        left = [UNPACKED_RATIO * path.stat().st_size + UNPACKED_SURPLUS_BYTES]
        for name in file:
            if not name.startswith("#") and outer in (None, name):
                yield from _at_key(h5py, file, name, left, 0)


def _at_key(h5py: Any, group: Any, key: str, left: list[int], depth: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays of what lies at a key of a group.

    Parameters
    ----------
    h5py
        The module.
    group, key
        Where it lies.
    left
        Bytes that may still be read.
    depth
        Of structs in structs.

    Yields
    ------
    tuple[str, np.ndarray]
        Fields of a struct one by one.
    """
    if depth > DEEPEST_STRUCT:
        raise ValueError("nested too deep")
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise ValueError("a link to something else")
    each = group[key]
    if isinstance(each, h5py.Group):
        # One group may lie in many places.
        left[0] -= (16 << 10) * (1 + len(each))
        if left[0] < 0:
            raise ValueError("more groups than its file can hold")
        for field in each:
            for name, array in _at_key(h5py, each, field, left, depth + 1):
                yield f"{key}.{name}", array
        return
    value = _plain_of_hdf5(each) if _take(each, left) else None
    if value is None and each.dtype == h5py.ref_dtype and _take(each, left):
        inner = [each.file[reference] for reference in np.asarray(each[()]).T.ravel(order="F")]
        alike = all(isinstance(one, h5py.Dataset) and _take(one, left) for one in inner)
        value = _stacked([_plain_of_hdf5(one) for one in inner]) if alike else None
    yield from _flat(key, value)


def _take(dataset: Any, left: list[int]) -> bool:
    if dataset.is_virtual or dataset.external:
        raise ValueError("a link to other files")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > LARGEST_CHUNK_BYTES:
        raise ValueError("blocks larger than any program writes")
    left[0] -= 1024 + math.prod(int(length) for length in dataset.shape or ()) * dataset.dtype.itemsize
    if left[0] < 0:
        raise ValueError("it unpacks to far more than its size")
    return dataset.shape is not None


def _plain_of_hdf5(dataset: Any) -> np.ndarray | None:
    if dataset.dtype.kind not in "fiub" or "MATLAB_empty" in dataset.attrs:
        return None
    # HDF5 counts axes the other way round.
    values = np.asarray(dataset[()]).T
    kind = dataset.attrs.get("MATLAB_class", b"")
    if kind == b"char":
        return np.array(["".join(map(chr, row)).rstrip() for row in np.atleast_2d(values).tolist()])
    return values.astype(bool) if kind == b"logical" else values
