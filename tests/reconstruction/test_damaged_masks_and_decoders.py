"""Masks and decoders from anyone: a movie, or one line that names the file."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest

from napari_vidrecon.errors import MaskError, StorageError
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import AlphaMask

NESTED = "(" + "-" * 9000 + "1,)"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("'<f4'", NESTED),
        ("'<f4'", "(1000000000000,)"),
        ("'<f4'", "(-36, 64)"),
        ("'<f4'", "(36, 64, 1)"),
        ("()", "(36, 64)"),
        ("'|O'", "(36, 64)"),
        ("'|S0'", "(36, 64)"),
        ("'<c8'", "(36, 64)"),
        ("'<M8[s]'", "(36, 64)"),
        ("[('a', '<f4')]", "(36, 64)"),
    ],
)
def test_an_odd_array_is_no_mask(kind, shape, tmp_path):
    file = tmp_path / "mask.npy"
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}".encode()
    file.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(36 * 64 * 8))
    with pytest.raises(MaskError) as caught:
        AlphaMask.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alpha", [[[1], [1, 2]], [["a"]], None, np.full((36, 64), 1e300), np.zeros((36, 64), "m8[s]")])
def test_odd_values_are_no_mask(alpha):
    with pytest.raises(MaskError):
        AlphaMask(alpha)


def test_a_mask_that_is_a_pipe_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "mask.npy")
    with pytest.raises(MaskError, match="found a pipe"):
        AlphaMask.load(tmp_path / "mask.npy")


@pytest.mark.parametrize("value", [10**30, -(10**30), 1.5, "1", None, True, [0], float("nan"), {}], ids=repr)
@pytest.mark.parametrize("key", ["lags_frames", "mouse", "provenance", "newer"])
def test_a_decoder_whose_description_cannot_be_is_one_line(key, value, small_decoder_file, tmp_path):
    content = small_decoder_file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["vidrecon"])
    if (key, value) in (("mouse", "1"), ("provenance", {})):
        return
    described[key] = [value, *described[key][1:]] if key == "lags_frames" else value
    header["__metadata__"]["vidrecon"] = json.dumps(described)
    new = json.dumps(header).encode()
    file = tmp_path / "decoder.safetensors"
    file.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    with pytest.raises(StorageError) as caught:
        Decoder.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
