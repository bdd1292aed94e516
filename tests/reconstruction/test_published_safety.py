"""Published results from anyone: rebuilt to the bit, and the process afterwards is the same as before."""

from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest
import torch

from napari_vidrecon.cli import main
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.published import is_published, read_published

HEADER = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }\n"
NESTED = b"{'descr': '|O', 'fortran_order': False, 'shape': (" + b"-" * 9000 + b"1,)}\n"


def write(path, body: bytes, header: bytes = HEADER):
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body)
    return path


@pytest.fixture
def entries(golden_folder):
    return np.load(golden_folder / "reconstruction_summary_standard.npy", allow_pickle=True).item()


def store(path, entries, protocol=4):
    return write(path, pickle.dumps(np.array(entries, dtype=object), protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_gives_the_same_bits(protocol, entries, golden_folder, tmp_path):
    expected = read_published(golden_folder / "reconstruction_summary_standard.npy")
    found = read_published(store(tmp_path / "summary.npy", entries, protocol))
    for name in ("video", "stimulus", "target", "alpha", "keep", "predicted_activity"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert mine.dtype == theirs.dtype
        assert mine.tobytes() == theirs.tobytes()
    for name in expected.history.names:
        np.testing.assert_array_equal(found.history[name], expected.history[name])
    assert found.provenance["settings"] == expected.provenance["settings"]


def test_a_file_of_100_bytes_claims_no_memory(tmp_path, capsys):
    file = write(tmp_path / "summary.npy", b"cnumpy\nndarray\n((L700000000L\ntS'O'\ntR.")
    assert main(["info", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_torch_is_the_same_afterwards(tmp_path, golden_folder):
    before = torch._utils._rebuild_tensor_v2.__defaults__
    file = write(tmp_path / "summary.npy", b"ctorch._utils\n_rebuild_tensor_v2\n(N(dS'__defaults__'\n)stb.")
    with pytest.raises(RunError, match="could run code; it was not opened"):
        read_published(file)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    assert pickle.loads(pickle.dumps(torch.ones(2))).sum() == 2


def _itself() -> dict:
    found: dict = {}
    found["video_pred"] = [found]
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"video_pred": np.zeros(3)},
        {"video_pred": np.zeros((0, 36, 64))},
        {"video_gt": torch.zeros(1).expand(300, 36, 64)},
        {"video_gt": None},
        {"responses": np.zeros((2, 2), complex)},
        {"responses": np.array([["a"]])},
        {"responses": np.array([1, None], object)},
        {"responses": [[1, 2], [3]]},
        {"mask": np.full((64, 64), 1e300)},
        {"mask": np.full((64, 64), np.nan)},
        {"mask": np.zeros((3, 3))},
        {"epochs": 10**30},
        {"epochs": float("inf")},
        {"epochs": "many"},
        {"lr": None},
        {"lr": float("nan")},
        {"mask_update_th": [1]},
        {"video_itter": np.zeros((3, 3))},
        {"video_itter": 5},
        {"video_itter": [10**40]},
        {"population_mask": np.ones(3, bool)},
        {"trial": {}},
        {"response_loss_gt": "x"},
        _itself(),
    ],
    ids=lambda changes: f"{next(iter(changes))}",
)
def test_an_entry_of_another_kind_is_one_line(changes, entries, tmp_path):
    file = store(tmp_path / "summary.npy", {**entries, **changes})
    with pytest.raises(RunError) as caught:
        read_published(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_that_share_their_bytes_claim_no_more_than_the_file_allows(entries, tmp_path):
    frames = 25_000
    shared = np.zeros((frames, 36, 64), bool)
    entries.update(video_pred=shared, video_gt=shared, responses=np.zeros((1, frames), np.float32))
    with pytest.raises(RunError, match="more room than the file has bytes"):
        read_published(store(tmp_path / "summary.npy", entries))


def test_only_a_python_object_is_taken_for_a_published_result(golden_folder, tmp_path):
    assert is_published(golden_folder / "reconstruction_summary_standard.npy")
    np.save(tmp_path / "mask.npy", np.ones((36, 64)))
    assert not is_published(tmp_path / "mask.npy")
    assert not is_published(write(tmp_path / "nested.npy", b"", NESTED))
    with pytest.raises(RunError, match="nested too deep"):
        read_published(tmp_path / "nested.npy")


def test_a_pipe_and_a_device_are_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(RunError, match="found a pipe"):
        read_published(tmp_path / "pipe.npy")
    (tmp_path / "device.npy").symlink_to("/dev/zero")
    with pytest.raises(RunError, match="found a device"):
        read_published(tmp_path / "device.npy")
