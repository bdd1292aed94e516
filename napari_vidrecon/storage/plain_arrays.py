"""Numpy arrays of a pickle, rebuilt from their bytes: none is ever larger than what the file holds."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.errors import StorageError, VidreconError, one_line
from napari_vidrecon.storage.impostors import check_genuine, format_of
from napari_vidrecon.storage.pickles import PLAIN, Allowance, ForbiddenObject, Name, Rules, Unfinished, rebuild
from napari_vidrecon.storage.reading import open_regular, parse_json, reading

MOST_DIMENSIONS = 32
NUMBERS_AND_TEXT = re.compile(r"[<>=|]?([biufcSU]\d{1,9}|[?bBhHiIlLqQefdgFD])")
BYTE_ORDERS = ("<", ">", "=", "|")


class PlainType(Unfinished):
    """Stands for `numpy.dtype`.

    Attributes
    ----------
    code
        numpy's code of the type, e.g. "f4".
    dtype
        None for Python objects.
    """

    __slots__ = ("dtype",)

    def __init__(self, _: Allowance, code: str, *_flags: Any) -> None:
        if not isinstance(code, str) or (code != "O8" and code != "O" and not NUMBERS_AND_TEXT.fullmatch(code)):
            raise TypeError("an array of neither numbers nor text")
        self.dtype = None if code.startswith("O") else np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Take its byte order.

        Parameters
        ----------
        state
            (version, byte order, and what only records have).
        """
        order, records = state[1], state[2:5]
        if order not in BYTE_ORDERS or any(records):
            raise TypeError("an array of records")
        if self.dtype is not None:
            self.dtype = self.dtype.newbyteorder(order)


class PlainArray(Unfinished):
    """Stands for `numpy.ndarray`.

    Attributes
    ----------
    array
        Numbers or text, a view of the bytes in the file; None for an array of Python objects.
    objects
        Those, in order.
    """

    __slots__ = ("array", "objects")

    def __init__(self) -> None:
        self.array: np.ndarray | None = None
        self.objects: list[Any] = []

    def set_state(self, state: Any) -> None:
        """Take its content.

        Parameters
        ----------
        state
            ([version,] shape, type, whether columns come first, bytes or a list of objects).
        """
        shape, plain_type, columns_first, content = state[-4:]
        _check_shape(shape)
        if not isinstance(plain_type, PlainType):
            raise TypeError("an array without a type")
        if plain_type.dtype is None:
            if type(content) is not list or len(content) != math.prod(shape):
                raise ValueError("an array whose shape does not fit what it holds")
            self.objects = content
            return
        self.array = _from_bytes(content, plain_type.dtype, shape, "F" if columns_first else "C")


def _check_shape(shape: Any) -> None:
    lengths = type(shape) is tuple and len(shape) <= MOST_DIMENSIONS
    if not lengths or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError("an array of a shape that cannot be")


def _from_bytes(content: Any, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    if isinstance(content, str):
        # Python 2 wrote bytes as text.
        content = content.encode("latin1")
    if not isinstance(content, (bytes, bytearray)) or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array whose shape does not fit its bytes")
    if not content:
        return np.zeros(shape, dtype)
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _unfinished_array(_: Allowance, kind: Any, *_ignored: Any) -> PlainArray:
    if kind != ARRAY:
        raise TypeError("an array of an unknown kind")
    return PlainArray()


def _scalar(_: Allowance, plain_type: Any, content: Any) -> Any:
    if not isinstance(plain_type, PlainType) or plain_type.dtype is None:
        raise TypeError("a number that is none")
    return _from_bytes(content, plain_type.dtype, (1,), "C")[0]


def _array_of_buffer(_: Allowance, content: Any, plain_type: Any, shape: Any, order: Any) -> PlainArray:
    array = PlainArray()
    array.set_state((shape, plain_type, order == "F", content))
    return array


ARRAY = Name("numpy", "ndarray")
ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): PlainType,
    ("numpy._core.multiarray", "_reconstruct"): _unfinished_array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
}
"""Constructors of what numpy pickles by name."""
ARRAY_NAMES = frozenset({(ARRAY.module, ARRAY.name)})
SURPLUS_BYTES = 1 << 20


def _time(_: Allowance, *_parts: Any) -> None:
    """Stands for a date or a time, which nothing here asks for."""


TIMES = {("datetime", name): _time for name in ("datetime", "date", "timezone", "timedelta")}


def read_objects(path: Path, expected: str) -> list[Any]:
    """Dictionaries, numbers, text and plain arrays that numpy pickled into an `.npy` file, rebuilt by constructors.

    Nothing that the file names is looked up or called, and nothing is made that is larger than its bytes.

    Parameters
    ----------
    path
        The file.
    expected
        What it should be, with its article.

    Returns
    -------
    list[Any]
        Its objects in order, arrays as numpy's; a single object is a list of one.

    Raises
    ------
    StorageError
        Missing, damaged, an array of numbers, or holding anything else than such data.
    """
    with open_regular(path, expected) as file, reading(path, expected=expected):
        size = os.fstat(file.fileno()).st_size
        version = npy_format.read_magic(file)
        header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        if header(file)[2] != np.dtype(object):
            raise StorageError(f"{path}: expected {expected}, found an array of plain numbers or text")
        constructors: dict[tuple[str, str], Any] = {**PLAIN, **ARRAYS, **TIMES}
        rules = Rules(constructors, ARRAY_NAMES)
        try:
            # An instruction takes a byte at least.
            found = rebuild(file, size, rules, Allowance(size + SURPLUS_BYTES, size))
        except ForbiddenObject as error:
            raise StorageError(
                f"{path}: expected {expected}, found {one_line(error, 120)}, which is no data and could run code; "
                "it was not opened"
            ) from None
        if not isinstance(found, PlainArray):
            raise StorageError(f"{path}: expected {expected}, found no array")
        return [_plain(each, 0) for each in found.objects]


NAMED = re.compile(r"(.+\.npy):([^/:]+)", re.IGNORECASE)
ARCHIVE_NAMED = re.compile(r"(.*\.npz)(?::(.*))?", re.IGNORECASE | re.DOTALL)
LONGEST_LIST = 300


def split_archive(name: str) -> tuple[str, str] | None:
    """File and array of "file.npz:name"; the name is empty where none is given, None for another file."""
    found = ARCHIVE_NAMED.fullmatch(name)
    return None if found is None else (found[1], found[2] or "")


def split_dictionary(name: str) -> tuple[str, str] | None:
    """File and place of "file.npy:place", an array in a dictionary that numpy pickled; None for another file."""
    found = NAMED.fullmatch(name)
    return None if found is None else (found[1], found[2])


def read_dictionary(path: Path, place: str) -> np.ndarray:
    """One array of a dictionary in an `.npy` file, as Facemap's; see `read_objects`.

    Parameters
    ----------
    path
        The file.
    place
        Names from the outside to the inside with points between, "pupil.area"; a list of one needs no number.

    Returns
    -------
    np.ndarray
        Numbers or text.

    Raises
    ------
    StorageError
        Nothing of that name, or the file cannot be read.
    """
    arrays = dictionary_arrays(path)
    found = [name for name in arrays if place in (name, _without_ones(name, arrays))]
    if len(found) != 1:
        known = one_line(", ".join(arrays) or "none", LONGEST_LIST)
        raise StorageError(f"{path}: expected an array {one_line(place, 100)} in it, found {known}; name one of these")
    return arrays[found[0]]


def dictionary_arrays(path: Path) -> dict[str, np.ndarray]:
    """{place: array} of all arrays with numbers or text in the dictionaries of an `.npy` file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict[str, np.ndarray]
        Views of its bytes.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    objects = read_objects(path, "a dictionary of arrays")
    found: dict[str, np.ndarray] = {}

    def look(name: str, value: Any) -> None:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in inner:
            look(f"{name}.{key}" if name else str(key), each)
        if isinstance(value, np.ndarray) and value.size:
            found[name] = value

    look("", objects[0] if len(objects) == 1 else objects)
    return found


def _without_ones(name: str, names: Iterable[str]) -> str:
    """A place without the numbers of lists that hold one thing only: pupil.0.area is pupil.area."""
    parts = name.split(".")
    kept = [
        part
        for number, part in enumerate(parts)
        if part != "0" or any(other.startswith(".".join([*parts[:number], "1"])) for other in names)
    ]
    return ".".join(kept)


DEEPEST = 6


def _plain(value: Any, depth: int) -> Any:
    """Arrays of ours as numpy's, in dictionaries and lists; what nests deeper is left out."""
    if isinstance(value, PlainArray):
        return value.array
    if depth > DEEPEST:
        return None
    if isinstance(value, dict):
        return {name: _plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, depth + 1) for each in value]
    return value


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
        start = file.read(LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        size = os.fstat(file.fileno()).st_size
    if length + LENGTH_BYTES > size:
        if other := format_of(start):
            raise error(f"{path}: expected {expected}, found {other}")
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
