"""Reading files from elsewhere: regular ones only, and never more than their bytes can hold."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import MaskError, StorageError
from napari_vidrecon.storage import check_inside, read_archive, read_array, read_json, reading


def array_file(path: Path, header: str, body: bytes = b"") -> Path:
    raw = header.encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + body)
    return path


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array(["é", "train"]),
        np.array(3.5),
        np.zeros((0, 4)),
        np.array([True, False]),
    ],
)
def test_plain_arrays_come_back_as_they_were_saved(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    for found in (read_array(tmp_path / "a.npy"), read_array(tmp_path / "a.npy", memory_map=True)):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr':'<f4','fortran_order':False,'shape':(" + "-" * 9000 + "1,)}",
        "{'descr': (), 'fortran_order': False, 'shape': (36, 64)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    ],
    ids=["nested", "no type", "huge", "negative", "of no bytes", "records", "objects"],
)
def test_a_header_that_promises_what_the_file_does_not_hold_is_one_line(tmp_path: Path, header: str) -> None:
    file = array_file(tmp_path / "a.npy", header)
    with pytest.raises(StorageError, match=r"a\.npy") as told:
        read_array(file)
    assert len(str(told.value).splitlines()) == 1


def test_text_of_characters_that_do_not_exist_is_refused(tmp_path: Path) -> None:
    tiers = np.array(["train", "oracle"])
    tiers.view(np.uint32)[0] = 0x110005
    np.save(tmp_path / "tiers.npy", tiers)
    for memory_map in (False, True):
        with pytest.raises(StorageError, match="characters that do not exist"):
            read_array(tmp_path / "tiers.npy", memory_map=memory_map)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_a_device_and_a_folder_are_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for file, kind in ((tmp_path / "pipe.npy", "a pipe"), (Path("/dev/zero"), "a device"), (tmp_path, "a folder")):
        with pytest.raises(StorageError, match=f"found {kind}"):
            read_array(file)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b"], ids=["too long", "null"])
def test_a_name_that_no_system_takes_is_one_line(name: str) -> None:
    with pytest.raises(StorageError, match="found a name"):
        read_array(name)


def test_a_link_may_stay_in_its_folder_or_lead_to_an_annex_store_and_nowhere_else(tmp_path: Path) -> None:
    session = tmp_path / "dataset" / "mouse"
    store = tmp_path / "dataset" / ".git" / "annex" / "objects"
    for folder in (session, store):
        folder.mkdir(parents=True)
    for place in (session / "own.npy", store / "kept.npy", tmp_path / "secret.npy"):
        np.save(place, np.zeros(2))
    links = {"inside": session / "own.npy", "annex": store / "kept.npy", "outside": tmp_path / "secret.npy"}
    for name, target in links.items():
        (session / name).symlink_to(target)
    check_inside(session, session / "inside")
    check_inside(session, session / "annex")
    with pytest.raises(StorageError, match="leaves it"):
        check_inside(session, session / "outside")


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 200 + "]" * 200, "1" * 10_000, "{", "\ud800"])
def test_json_that_is_damaged_or_deep_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(MaskError, match="not JSON"):
        read_json(tmp_path / "a.json", error=MaskError)


def test_an_archive_comes_back_and_one_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "fine.npz", a=np.arange(5), text=np.array(json.dumps({"x": 1})))
    found = read_archive(tmp_path / "fine.npz")
    assert found["a"].tolist() == [0, 1, 2, 3, 4]
    assert json.loads(str(found["text"])) == {"x": 1}
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("a.npy", "w") as file:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (600 << 20,)})
        file.write(header.getvalue())
        for _ in range(600):
            file.write(bytes(1 << 20))
    with pytest.raises(StorageError, match="when unpacked"):
        read_archive(tmp_path / "bomb.npz")


def test_whatever_a_reader_raises_names_the_file_in_one_line() -> None:
    line = r"mask\.npy: expected a mask, found a damaged one \(two lines\)"
    with pytest.raises(MaskError, match=line) as told, reading("mask.npy", MaskError, "a mask"):
        raise LookupError("two\nlines")
    assert isinstance(told.value.__cause__, LookupError)
