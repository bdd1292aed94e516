"""Recordings that somebody handed on: nothing outside their folder, nothing that their bytes cannot hold, one line."""

from __future__ import annotations

import itertools
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, StorageError, VidreconError
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.description import read_description
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.matlab_files import matlab_arrays
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder

ACTIVITY = "processing/ophys/Deconvolved/Deconvolved/data"
TIMES = "processing/ophys/Deconvolved/Deconvolved/timestamps"
DESCRIPTION: dict[str, Any] = {
    "activity": {"file": "activity.npy", "times": "activity_times.npy"},
    "stimulus": {"file": "stimulus.npy", "times": "stimulus_times.npy"},
}


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_arrays(tmp_path / "raw")


@pytest.fixture
def file(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_nwb(tmp_path / "mouse.nwb")


def refusal(call: Callable[[], Any], expected: type[VidreconError] = VidreconError) -> str:
    with pytest.raises(expected) as raised:
        call()
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    assert "expected" in text
    return text


@pytest.mark.parametrize(
    "text",
    [
        "a." * 20_000 + "a = 1",
        "[" + "a." * 20_000 + "a]",
        "x = " + "[" * 20_000,
        "x = " + "{a = " * 5_000,
        "x" * 100_000,
        "\0",
        "x = ",
    ],
    ids=lambda text: text[:8] + f"... {len(text)}",
)
def test_a_description_that_costs_more_than_it_says_is_one_line_at_once(text: str, folder: Path) -> None:
    (folder / "recording.toml").write_text(text)
    assert "recording.toml" in refusal(lambda: read_description(folder), SessionError)
    assert any(column.fault for column in ArrayFolder(folder).columns())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("activity",), 3),
        (("activity", "file"), 10**30),
        (("activity", "file"), "a\0b"),
        (("activity", "rate_hz"), float("nan")),
        (("activity", "rate_hz"), float("inf")),
        (("activity", "rate_hz"), 10**400),
        (("activity", "start_s"), 1e300),
        (("stimulus", "levels"), [0, float("inf")]),
        (("stimulus", "levels"), [[[]]]),
        (("stimulus", "axes"), "ttt"),
        (("coordinate_scale_um",), float("inf")),
        (("name",), "a\nb"),
        (("nobody",), "knows"),
        (("stimulus",), None),
    ],
)
def test_every_key_of_a_description_is_checked_and_named(place: tuple[str, ...], value: Any, folder: Path) -> None:
    told = json.loads(json.dumps(DESCRIPTION))
    part = told
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (folder / "recording.json").write_text(json.dumps(told))
    text = refusal(lambda: ArrayFolder(folder).recording(), SessionError)
    assert place[-1] in text or "JSON" in text


@pytest.mark.parametrize("name", ["../outside.npy", "OUTSIDE", "link.npy"])
def test_no_file_outside_the_folder_is_read(name: str, folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "outside.npy", np.load(folder / "activity.npy"))
    (folder / "link.npy").symlink_to(tmp_path / "outside.npy")
    name = str(tmp_path / "outside.npy") if name == "OUTSIDE" else name
    told = {**DESCRIPTION, "activity": {"file": name, "times": "activity_times.npy"}}
    (folder / "recording.json").write_text(json.dumps(told))
    refusal(lambda: ArrayFolder(folder).recording())


@pytest.mark.parametrize("name", ["activity.npy", "stimulus.npy", "running_times.npy", "recording.toml"])
def test_a_pipe_or_device_in_place_of_a_file_does_not_hang(name: str, folder: Path) -> None:
    for make in (os.mkfifo, lambda place: place.symlink_to("/dev/zero")):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        refusal(lambda: ArrayFolder(folder).recording())
        assert len(ArrayFolder(folder).columns()) > 5


def test_a_preview_survives_one_bad_file_and_names_it(folder: Path) -> None:
    sound = ArrayFolder(folder).columns()
    for name in ("running_times.npy", "stimulus.npy"):
        (folder / name).write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"(" * 118)
    columns = ArrayFolder(folder).columns()
    assert [column.name for column in columns] == [column.name for column in sound]
    assert {column.name for column in columns if column.fault} == {"running_times.npy", "stimulus.npy"}


@pytest.mark.parametrize("rate_hz", [1e-9, 1e-3])
def test_a_stimulus_so_slow_that_it_fills_years_is_refused_before_it_is_cut(rate_hz: float, folder: Path) -> None:
    onsets = np.arange(len(np.load(folder / "stimulus.npy"))) * 80 / rate_hz
    np.save(folder / "onsets.npy", onsets)
    told = {**DESCRIPTION, "stimulus": {"file": "stimulus.npy", "onsets": "onsets.npy", "rate_hz": rate_hz}}
    (folder / "recording.json").write_text(json.dumps(told))
    text = refusal(lambda: import_recording(ArrayFolder(folder).recording(), folder / "session"), SessionError)
    assert "days" in text or "frames that stay" in text


def test_activity_sampled_once_in_minutes_is_refused(folder: Path) -> None:
    times = np.load(folder / "activity_times.npy")
    np.save(folder / "activity_times.npy", times[0] + np.arange(times.size) * 100.0)
    text = refusal(lambda: import_recording(ArrayFolder(folder).recording(), folder / "session"), SessionError)
    assert "samples a second" in text


def test_an_order_that_shows_more_frames_than_a_life_has_is_refused(folder: Path) -> None:
    np.save(folder / "order.npy", np.zeros(200_000, dtype=int))
    np.save(folder / "onsets.npy", np.arange(200_000) * 1.0)
    stimulus = {"file": "stimulus.npy", "onsets": "onsets.npy", "rate_hz": 30, "order": "order.npy"}
    (folder / "recording.json").write_text(json.dumps({**DESCRIPTION, "stimulus": stimulus}))
    assert "frames shown" in refusal(lambda: ArrayFolder(folder).recording(), SessionError)


@pytest.mark.parametrize("kind", ["M8[s]", "c16", "U3", "?"])
def test_pulses_that_are_no_numbers_are_named(kind: str, folder: Path) -> None:
    np.save(folder / "pulses_activity.npy", np.zeros(5, dtype=kind))
    np.save(folder / "pulses_stimulus.npy", np.arange(5.0))
    assert "pulses_activity.npy" in refusal(lambda: ArrayFolder(folder).recording(), SessionError)


def test_a_tiff_that_claims_terabytes_is_refused(folder: Path) -> None:
    movie = np.load(folder / "stimulus.npy")
    (folder / "stimulus.npy").unlink()
    pictures = movie.reshape(-1, *movie.shape[-2:])[:4]
    tifffile.imwrite(folder / "stimulus.tif", pictures, photometric="minisblack")
    with tifffile.TiffFile(folder / "stimulus.tif", mode="r+b") as opened:
        for page in opened.pages:
            for name in ("ImageWidth", "ImageLength"):
                page.tags[name].overwrite(2**20, dtype="I")
    assert "stimulus.tif" in refusal(lambda: ArrayFolder(folder).recording())


def test_suite2p_files_that_link_out_of_the_folder_are_refused(raw_mouse: RawMouse, tmp_path: Path) -> None:
    folder = raw_mouse.write_suite2p(tmp_path / "suite2p_result")
    for name in ("spks.npy", "iscell.npy"):
        file = next(folder.rglob(name))
        file.rename(tmp_path / name)
        file.symlink_to(tmp_path / name)
        assert name in refusal(lambda: Suite2pFolder(folder).recording())
        file.unlink()
        (tmp_path / name).rename(file)


def replaced(file: Path, name: str, make: Callable[[h5py.File, str], Any]) -> None:
    with h5py.File(file, "r+") as book:
        told = dict(book[name].attrs)
        del book[name]
        make(book, name)
        if isinstance(book.get(name), h5py.Dataset):
            book[name].attrs.update(told)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda book, name: book.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/x")), "a link to"),
        (lambda book, name: book.create_dataset(name, (9,), "f8", external=[("/etc/passwd", 0, 72)]), "a link to"),
        (
            lambda book, name: book.create_virtual_dataset(
                name, _virtual(h5py.VirtualSource("/etc/passwd", "x", shape=(5,)))
            ),
            "link",
        ),
        (lambda book, name: book.create_dataset(name, shape=(10**12, 9), dtype="f4", chunks=(64, 9)), "stored"),
        (lambda book, name: book.create_dataset(name, shape=(10**9, 9), dtype="f4"), "stored"),
        (lambda book, name: book.create_dataset(name, shape=(384, 9), dtype="f4", chunks=True), "stored"),
        (
            lambda book, name: book.create_dataset(
                name, compression="gzip", chunks=(10**7, 1), data=np.zeros((5 * 10**7, 1), "u1")
            ),
            "at most",
        ),
    ],
    ids=["external link", "external storage", "virtual", "huge chunks", "huge", "nothing stored", "zeros"],
)  # fmt: skip
def test_an_nwb_file_holds_all_that_it_says_and_in_itself(make: Any, found: str, file: Path) -> None:
    replaced(file, ACTIVITY, make)

    def read() -> None:
        with NwbFile(file) as source:
            source.recording()

    assert found in refusal(read)


def _virtual(source: h5py.VirtualSource) -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout(shape=(5,), dtype="f8")
    layout[:] = source
    return layout


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, -1.0])
def test_a_clock_of_an_nwb_file_that_is_none_is_one_line(value: float, file: Path) -> None:
    replaced(file, TIMES, lambda book, name: book.create_dataset(name, data=np.full(384, value)))

    def read() -> None:
        with NwbFile(file) as source:
            source.recording()

    assert "expected" in refusal(read, SessionError)


def test_a_preview_of_an_nwb_file_survives_one_bad_series(file: Path) -> None:
    with NwbFile(file) as source:
        sound = source.columns()
    replaced(file, TIMES, lambda book, name: book.create_dataset(name, shape=(10**9,), dtype="f8"))
    with NwbFile(file) as source:
        columns = source.columns()
    assert {column.name for column in sound} <= {column.name for column in columns}
    assert [column.fault for column in columns if column.name.endswith("Deconvolved")] == [True]


def test_groups_that_hold_each_other_end(file: Path) -> None:
    with h5py.File(file, "r+") as book:
        group = book.create_group("scratch/deep")
        for _ in range(100):
            group = group.create_group("deeper")

    def read() -> None:
        with NwbFile(file):
            pass

    assert "too many groups" in refusal(read)


def element(kind: int, content: bytes) -> bytes:
    """A part of a MAT file of version 5."""
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(kind: int, shape: tuple[int, int], *parts: bytes) -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<ii", *shape)) + element(1, b"x")
    return element(14, head + b"".join(parts))


def letters(count: int) -> bytes:
    return matrix(4, (1, count), element(16, b"a" * count))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (matrix(2, (8_000_000, 1), element(5, struct.pack("<i", 8)), element(1, b"")), "more elements"),
        (matrix(5, (1, 1), *(element(5, struct.pack("<2i", 0, n)) for n in (0, 2**31 - 1, 0))), "sparse"),
        (matrix(1, (2001, 1), letters(50_000), *[letters(1)] * 2000), "too different lengths"),
    ],
    ids=["struct", "sparse", "cell"],
)
def test_a_small_mat_file_stays_small(content: bytes, said: str, tmp_path: Path) -> None:
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    (tmp_path / "m.mat").write_bytes(header + content)
    with pytest.raises(StorageError, match=rf"m\.mat: expected a MAT file, .*{said}"):
        matlab_arrays(tmp_path / "m.mat")


def test_groups_in_many_places_and_huge_blocks_of_a_mat_file_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "shared.mat", "w", userblock_size=512) as file:
        groups = [file.create_group(f"#{level}") for level in range(7)]
        for outer, inner in itertools.pairwise([file, *groups]):
            for number in range(30):
                outer[f"b{number}"] = inner
    with pytest.raises(StorageError, match="more groups"):
        matlab_arrays(tmp_path / "shared.mat")
    with h5py.File(tmp_path / "block.mat", "w", userblock_size=512) as file:
        file.create_dataset("a", (1,), "f8", maxshape=(None,), chunks=(1 << 26,), compression="gzip")
    with pytest.raises(StorageError, match="blocks larger"):
        matlab_arrays(tmp_path / "block.mat")
