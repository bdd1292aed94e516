"""Reading files from elsewhere: regular ones only, and never more than their bytes can hold."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.errors import MaskError, StorageError
from napari_vidrecon.storage import check_inside, read_archive, read_array, read_bytes, read_json, reading


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


def test_an_array_a_byte_short_is_cut_off_and_bytes_behind_one_are_ignored(tmp_path: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"
    for memory_map in (False, True):
        longer = array_file(tmp_path / "longer.npy", header, bytes(13))
        assert read_array(longer, memory_map=memory_map).tolist() == [0.0, 0.0, 0.0]
        with pytest.raises(StorageError, match="the file is truncated"):
            read_array(array_file(tmp_path / "shorter.npy", header, bytes(11)), memory_map=memory_map)


@pytest.mark.parametrize("code", [0xD7FF, 0xE000, 0x10FFFF, 0xD800, 0xDFFF, 0x110000])
def test_characters_exist_up_to_the_last_but_for_surrogates(code: int, tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.array([code], np.uint32).view("<U1"))
    if code in (0xD7FF, 0xE000, 0x10FFFF):
        assert read_array(tmp_path / "text.npy").tolist() == [chr(code)]
    else:
        with pytest.raises(StorageError, match="characters that do not exist"):
            read_array(tmp_path / "text.npy")


def test_a_file_may_have_its_most_bytes_and_json_a_hundred_levels(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("[" * 100 + "]" * 100)
    assert read_json(file)
    assert len(read_bytes(file, most=200)) == 200
    with pytest.raises(StorageError, match="a file of at most 199 bytes, found a larger file"):
        read_bytes(file, most=199)
    file.write_text('{"a":' * 101 + "1" + "}" * 101)
    with pytest.raises(StorageError, match="nested too deep"):
        read_json(file)


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
    packed, most = (tmp_path / "fine.npz").read_bytes(), (tmp_path / "fine.npz").stat().st_size + (512 << 20)
    # Where the directory tells what the first member unpacks to.
    place = packed.index(b"PK\x01\x02") + 24
    others = unpacked_bytes(tmp_path / "fine.npz") - struct.unpack_from("<I", packed, place)[0]

    def claiming(unpacked: int) -> Path:
        content = packed[:place] + struct.pack("<I", unpacked - others) + packed[place + 4 :]
        (tmp_path / "bomb.npz").write_bytes(content)
        return tmp_path / "bomb.npz"

    assert read_archive(claiming(most))["a"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(StorageError, match=f"at most {most:,} bytes when unpacked, found {most + 1:,}"):
        read_archive(claiming(most + 1))


def unpacked_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as packed:
        return sum(each.file_size for each in packed.infolist())


def test_whatever_a_reader_raises_names_the_file_in_one_line() -> None:
    line = r"mask\.npy: expected a mask, found a damaged one \(two lines\)"
    with pytest.raises(MaskError, match=line) as told, reading("mask.npy", MaskError, "a mask"):
        raise LookupError("two\nlines")
    assert isinstance(told.value.__cause__, LookupError)


def test_home_is_home_in_python_too(small_encoder_file, small_decoder_file, tmp_path, monkeypatch) -> None:
    import napari_vidrecon as vr

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoder.safetensors").symlink_to(small_encoder_file)
    assert vr.load_encoder("~/encoder.safetensors").spec.path == str(tmp_path / "encoder.safetensors")
    vr.Decoder.load(small_decoder_file).save("~/decoder.safetensors")
    assert vr.Decoder.load("~/decoder.safetensors").path == str(tmp_path / "decoder.safetensors")
    vr.AlphaMask.full().save("~/mask.npy")
    assert vr.AlphaMask.load("~/mask.npy").source == str(tmp_path / "mask.npy")
    with pytest.raises(vr.RunError, match=str(tmp_path / "run.zarr")):
        vr.Reconstruction.load("~/run.zarr")
    # Of a name that only begins so, nothing else is made.
    vr.AlphaMask.full().save("~mask.npy")
    assert {each.name for each in tmp_path.iterdir()} == {
        "encoder.safetensors",
        "decoder.safetensors",
        "mask.npy",
        "~mask.npy",
    }


@pytest.mark.parametrize("nothing", [None, 3, 1.5, ["a"], b"bytes", object()])
def test_what_is_no_path_is_refused_in_one_line(nothing: object) -> None:
    doors = vr.open_session, vr.load_encoder, vr.AlphaMask.load, vr.Decoder.load, vr.Reconstruction.load
    for door in doors:
        with pytest.raises(vr.ConfigError, match=rf"expected a path, .*found .*\({type(nothing).__name__}\)"):
            door(nothing)  # type: ignore[operator]
