"""Numpy arrays of a pickle, rebuilt from their bytes: none is ever larger than what the file holds."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from napari_vidrecon.storage.pickles import Allowance, Name, Unfinished

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
