"""Arrays that numpy pickled, and descriptions in safetensors files: plain data comes back, and nothing else."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import plain_arrays
from napari_vidrecon.storage.pickles import Allowance
from napari_vidrecon.storage.plain_arrays import (
    PlainArray,
    PlainType,
    check_header,
    read_description,
    read_objects,
    stored_format,
)


def objects(path: Path, *values: Any) -> Path:
    array = np.empty(len(values), object)
    array[:] = values
    np.save(path, array, allow_pickle=True)
    return path


def test_dictionaries_of_arrays_and_numbers_come_back(tmp_path: Path) -> None:
    columns_first = np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3))
    told = {"array": columns_first, "number": np.float32(1.5), "text": ["a", (1, None)], "none": np.zeros((0, 4))}
    (found,) = read_objects(objects(tmp_path / "a.npy", told), "a result")
    np.testing.assert_array_equal(found["array"], columns_first)
    assert found["array"].dtype == columns_first.dtype
    assert (found["number"], found["text"], found["none"].shape) == (1.5, ["a", [1, None]], (0, 4))


def test_many_objects_come_back_in_order(tmp_path: Path) -> None:
    assert read_objects(objects(tmp_path / "a.npy", *range(300)), "a result") == list(range(300))


def test_what_nests_deeper_than_six_levels_is_left_out(tmp_path: Path) -> None:
    nested: Any = "deepest"
    for _ in range(8):
        nested = [nested]
    ((level,),) = (told.values() for told in read_objects(objects(tmp_path / "a.npy", {"a": nested}), "a result"))
    levels = 0
    while level is not None:
        (level,), levels = level, levels + 1
    assert levels == 6


def test_an_array_of_plain_numbers_holds_no_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(StorageError, match="expected a result, found an array of plain numbers or text"):
        read_objects(tmp_path / "a.npy", "a result")


NO_WORK = Allowance(0)


@pytest.mark.parametrize("code", ["V4", "O4", "f", "f4x", "m8", 4])
def test_a_type_is_one_of_numbers_text_or_objects(code: Any) -> None:
    if code == "f":
        assert PlainType(NO_WORK, code).dtype == np.float32
    else:
        with pytest.raises(TypeError, match="neither numbers nor text"):
            PlainType(NO_WORK, code)


def of_type(code: str, order: str = "<", *records: Any) -> PlainType:
    plain = PlainType(NO_WORK, code)
    plain.set_state((3, order, *records))
    return plain


def test_a_type_of_records_or_of_no_byte_order_is_refused() -> None:
    assert of_type("i4", ">", None, None, None).dtype == np.dtype(">i4")
    for changes in (("x",), ("<", ("a",)), ("<", None, None, ("a",))):
        with pytest.raises(TypeError, match="records"):
            of_type("i4", *changes)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (((2, -1), of_type("i4"), False, b""), "cannot be"),
        (([2], of_type("i4"), False, bytes(8)), "cannot be"),
        (((1,) * 33, of_type("i4"), False, bytes(4)), "cannot be"),
        (((2.0,), of_type("i4"), False, bytes(8)), "cannot be"),
        (((2,), "i4", False, bytes(8)), "without a type"),
        (((2,), of_type("i4"), False, bytes(7)), "does not fit its bytes"),
        (((2,), of_type("i4"), False, [1, 2]), "does not fit its bytes"),
        (((2,), of_type("O8"), False, ["a"]), "does not fit what it holds"),
        (((2,), of_type("O8"), False, ("a", "b")), "does not fit what it holds"),
    ],
)
def test_an_array_whose_parts_do_not_fit_is_refused(state: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        PlainArray().set_state(state)


def test_an_array_of_32_dimensions_or_of_text_by_an_old_python_comes_back() -> None:
    array = PlainArray()
    array.set_state((1, (1,) * 32, of_type("i4"), False, b"\1\0\0\0"))
    assert array.array is not None
    assert (array.array.ndim, array.array.item()) == (32, 1)
    array.set_state((1, (2,), of_type("u1"), True, "a\xff"))
    assert array.array.tolist() == [97, 255]


def tensors(path: Path, header: dict[str, Any], surplus: int = 0, more: int = 0) -> Path:
    """A safetensors file without tensors; its length is said to be so much more than it is."""
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) + surplus) + text + bytes(more))
    return path


def test_a_description_comes_back_and_another_programs_file_has_none(tmp_path: Path) -> None:
    ours = {"__metadata__": {"vidrecon": json.dumps({"format": "napari-vidrecon encoder 1"})}}
    file = tensors(tmp_path / "a.safetensors", ours)
    assert read_description(file) == {"format": "napari-vidrecon encoder 1"}
    assert stored_format(file) == "napari-vidrecon encoder 1"
    for header in ({}, {"__metadata__": {"vidrecon": "[1]"}}):
        assert read_description(tensors(tmp_path / "b.safetensors", header)) == {}
        assert stored_format(tmp_path / "b.safetensors") == ""
    assert stored_format(tmp_path / "nothing") == ""


def test_a_header_longer_than_the_file_or_than_any_of_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_header(tensors(tmp_path / "a", {}))
    with pytest.raises(StorageError, match="longer than the file"):
        check_header(tensors(tmp_path / "a", {"abcdefg": 1}, surplus=1))
    monkeypatch.setattr(plain_arrays, "LONGEST_HEADER_BYTES", 20)
    check_header(tensors(tmp_path / "a", {"abcdefgh": 1}, surplus=5, more=9))
    with pytest.raises(StorageError, match="a header of 21 bytes, longer than any of ours"):
        check_header(tensors(tmp_path / "a", {"abcdefgh": 1}, surplus=6, more=9))
