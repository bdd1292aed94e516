"""Arrays of a zarr folder: no more than its files hold, and the limits to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_vidrecon.errors import RunError
from napari_vidrecon.storage import zarr_arrays
from napari_vidrecon.storage.zarr_arrays import ArrayDescription, read_arrays, read_attributes

ZSTD = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 0}}]
MAGIC = b"\x28\xb5\x2f\xfd"
MIB = 1 << 20


def described(shape: list[int], chunks: list[int] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks or shape}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": ZSTD[:1],
        **changes,
    }


def written(folder: Path, description: dict[str, Any], chunk: bytes | None = None) -> Path:
    """An array, and the first of its chunks."""
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps(description))
    if chunk is not None:
        first = folder.joinpath("c", *["0"] * len(description["shape"]))
        first.parent.mkdir(parents=True)
        first.write_bytes(chunk)
    return folder


def read(folder: Path) -> dict[str, np.ndarray]:
    return read_arrays(folder, re.compile(r"[a-c]|g/[a-c]"), re.compile(r"g"), RunError)


def test_known_arrays_are_read_wherever_they_lie_and_others_left_alone(tmp_path: Path) -> None:
    written(tmp_path / "a", described([2, 3]), bytes(range(6)))
    written(tmp_path / "g" / "b", described([2, 3], [1, 2]), bytes([8, 9]))
    written(tmp_path / "x", {"not": "looked at"})
    (tmp_path / "b").mkdir()
    found = read(tmp_path)
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": [[0, 1, 2], [3, 4, 5]],
        "g/b": [[8, 9, 0], [0, 0, 0]],
    }


def test_a_description_tells_its_chunks_and_bytes() -> None:
    told = ArrayDescription.model_validate(described([3, 8], [2, 3], data_type="float32"))
    assert (told.grid, told.item_bytes, told.size_bytes, told.chunk_bytes) == ((2, 3), 4, 96, 24)
    assert not told.packed
    assert ArrayDescription.model_validate(described([3], codecs=ZSTD)).packed


def packed_at(level: int) -> list[dict[str, Any]]:
    return [ZSTD[0], {"name": "zstd", "configuration": {"level": level}}]


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (described([2**40], [1]), described([2**40 + 1], [1])),
        (described([0], [1]), described([-1], [1])),
        (described([0], [1]), described([0], [0])),
        (described([1] * 8), described([1] * 9)),
        (described([2], codecs=packed_at(22)), described([2], codecs=packed_at(23))),
        (described([2], codecs=packed_at(-(2**17))), described([2], codecs=packed_at(-(2**17) - 1))),
        (described([2], dimension_names=["a"] * 8), described([2], dimension_names=["a"] * 9)),
        (described([2], storage_transformers=[]), described([2], storage_transformers=[{}])),
        (described([2]), {**described([2]), "shape": []}),
        (described([2]), described([2], codecs=[])),
    ],
)
def test_a_description_may_say_so_much_and_no_more(allowed: dict[str, Any], refused: dict[str, Any]) -> None:
    ArrayDescription.model_validate(allowed)
    with pytest.raises(ValueError, match="ArrayDescription"):
        ArrayDescription.model_validate(refused)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [2, 3], "chunks": [2, 4]}, "chunks that fit"),
        ({"shape": [2, 3], "chunks": [2]}, "chunks that fit"),
        ({"shape": [0], "chunks": [2]}, "chunks that fit"),
        ({"shape": [2], "codecs": ZSTD[::-1]}, "another order of codecs"),
        ({"shape": [2], "codecs": ZSTD[1:]}, "another order of codecs"),
        ({"shape": [2], "fill_value": 1}, "zeros where a chunk is left out"),
        ({"shape": [2], "attributes": {"x": "x" * (64 << 10)}}, "description of an array of at most 65,536 bytes"),
    ],
)
def test_a_description_that_cannot_be_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    written(tmp_path / "a", described(**changes))
    with pytest.raises((ValueError, RunError), match=words):
        read(tmp_path)


def test_a_chunk_behind_one_that_is_left_out_is_looked_at_too(tmp_path: Path) -> None:
    chunks = written(tmp_path / "a", described([4], [2]), b"12") / "c"
    (chunks / "0").rename(chunks / "1")
    assert read(tmp_path)["a"].tolist() == [0, 0, *b"12"]
    (chunks / "1").write_bytes(b"123")
    with pytest.raises(ValueError, match="expected chunks of 2 bytes, found one of 3"):
        read(tmp_path)


def test_an_array_may_be_empty(tmp_path: Path) -> None:
    written(tmp_path / "a", described([0, 3], [1, 3]))
    assert read(tmp_path)["a"].shape == (0, 3)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (bytes([0x20, 77]), 77),
        (bytes([0x21, 9, 77]), 77),
        (bytes([0x22, 9, 9, 77]), 77),
        (bytes([0x23, 9, 9, 9, 9, 77]), 77),
        (bytes([0x60, 1, 2]), 256 + 0x201),
        (bytes([0x40, 9, 1, 2]), 256 + 0x201),
        (bytes([0x80, 9, 1, 2, 3, 0]), 0x30201),
        (bytes([0xC0, 9, 1, 2, 3, 0, 0, 0, 0, 0]), 0x30201),
        (bytes([0xC3, 9, 8, 8, 8, 8, 1, 2, 3, 0, 0, 0, 0, 0]), 0x30201),
    ],
)
def test_a_packed_chunk_is_held_against_the_size_that_its_header_tells(
    header: bytes, told: int, tmp_path: Path
) -> None:
    written(tmp_path / "a", described([800], codecs=ZSTD), MAGIC + header + bytes(9))
    with pytest.raises(ValueError, match=f"a: expected chunks of 800 bytes, found one of {told:,}$"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (MAGIC, "other bytes"),
        (b"PK\x03\x04" + bytes(9), "other bytes"),
        (MAGIC + bytes([0x00, 9, 1, 2]), "none told"),
        (MAGIC + bytes([0x60, 1]), "none told"),
        (MAGIC + bytes([0x20]), "none told"),
        (MAGIC + bytes([0x20, 77]) + bytes(800 + 100 + 1024 - 6), "found one of 77"),
        (MAGIC + bytes([0x20, 77]) + bytes(800 + 100 + 1024 - 5), "a chunk of at most 800 bytes, found 1,925"),
    ],
)
def test_a_chunk_that_is_none_or_far_too_long_is_not_unpacked(chunk: bytes, words: str, tmp_path: Path) -> None:
    written(tmp_path / "a", described([800], codecs=ZSTD), chunk)
    with pytest.raises(ValueError, match=words):
        read(tmp_path)


@pytest.mark.parametrize(("on_disk", "most"), [(10 * MIB, 144 * MIB), (100 * MIB, 612 * MIB)])
def test_arrays_may_be_so_much_larger_than_their_files_and_not_a_byte_more(
    on_disk: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_arrays, "_unpacked", lambda stored: np.zeros(0))
    chunk = written(tmp_path / "a", described([on_disk]), b"") / "c" / "0"
    with chunk.open("r+b") as file:
        file.truncate(on_disk)
    claims = written(tmp_path / "b", described([most - on_disk])) / "zarr.json"
    assert set(read(tmp_path)) == {"a", "b"}
    claims.write_text(json.dumps(described([most - on_disk + 1])))
    words = f"its {on_disk:,} bytes hold arrays of at most {most:,}, and it says {most + 1:,}"
    with pytest.raises(ValueError, match=words):
        read(tmp_path)


def test_more_chunks_or_entries_than_any_run_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarr_arrays, "MOST_CHUNKS", 6)
    monkeypatch.setattr(zarr_arrays, "MOST_ENTRIES", 2)
    written(tmp_path / "a", described([4, 2], [2, 1]))
    written(tmp_path / "b", described([2], [1]))
    assert set(read(tmp_path)) == {"a", "b"}
    (tmp_path / "b" / "zarr.json").write_text(json.dumps(described([3], [1])))
    with pytest.raises(ValueError, match="at most 6 chunks, found 7"):
        read(tmp_path)
    (tmp_path / "more").touch()
    with pytest.raises(ValueError, match="more files than any has"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "found something else"),
        ({"node_type": "array", "zarr_format": 3}, "a zarr group of format 3"),
        ({"node_type": "group", "zarr_format": 2}, "a zarr group of format 3"),
        ({"node_type": "group", "zarr_format": 3, "attributes": []}, "attributes by name"),
        ({"node_type": "group", "zarr_format": 3, "attributes": {"x": [[], {}]}}, "more parts than any has"),
    ],
)
def test_what_describes_no_group_is_refused(
    told: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_arrays, "MOST_PARTS_DESCRIBED", 4)
    with pytest.raises(ValueError, match=r"without zarr\.json"):
        read_attributes(tmp_path, "a run", RunError)
    file = tmp_path / "zarr.json"
    file.write_text(json.dumps({"node_type": "group", "zarr_format": 3, "attributes": {"x": [[]]}}))
    assert read_attributes(tmp_path, "a run", RunError) == {"x": [[]]}
    file.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=words):
        read_attributes(tmp_path, "a run", RunError)
