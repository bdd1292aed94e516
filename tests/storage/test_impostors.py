"""What came instead of a file is named for what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.errors import EncoderError, StorageError, VidreconError
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.sessions.importing.matlab_files import matlab_arrays
from napari_vidrecon.sessions.importing.stimuli import open_pixels
from napari_vidrecon.storage import read_archive, read_array, read_json, read_text
from napari_vidrecon.storage.impostors import decoded, is_companion

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n"


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (POINTER, "a Git LFS pointer; fetch the file itself"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"", "an empty file"),
    ],
)
def test_an_encoder_that_is_none_is_named(name, content, named, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EncoderError, match=named):
        load_encoder(tmp_path / name, device="cpu")


def test_a_decoder_that_is_a_pointer_is_named(tmp_path):
    (tmp_path / "decoder.safetensors").write_bytes(POINTER)
    with pytest.raises(StorageError, match="a Git LFS pointer"):
        Decoder.load(tmp_path / "decoder.safetensors")


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a.npy", "a.npz", "a.tif", "a.mp4", "a.mat"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (POINTER, "a Git LFS pointer"),
        (b"/annex/objects/MD5E-s5529728--0123.npy\n", "git annex get"),
        (b"<html><title>Sign in</title></html>", "a web page"),
    ],
)
def test_whatever_is_opened_is_named_for_what_came_instead(name, content, named, tmp_path):
    readers = {
        ".json": read_json,
        ".txt": lambda path: read_text(path, most=1000),
        ".npy": read_array,
        ".npz": read_archive,
        ".mat": matlab_arrays,
    }
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StorageError, match=named) as caught:
        readers.get((tmp_path / name).suffix, open_pixels)(tmp_path / name)
    assert "again" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["._clip.tif", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "~$cells.csv", "__MACOSX"]
)
def test_hidden_files_are_companions_and_others_are_not(name):
    assert is_companion(Path("folder") / name)
    assert not is_companion(Path("folder") / "clip.tif")


def test_pickled_objects_get_a_remedy_that_fits(tmp_path):
    np.save(tmp_path / "tiers.npy", np.array(["train"], dtype=object), allow_pickle=True)
    with pytest.raises(StorageError, match=r"pickled objects.*save them again as such"):
        read_array(tmp_path / "tiers.npy")


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["a", "b,\u00e9", "xyz"])
def test_text_is_read_as_editors_and_matlab_write_it(coding, text):
    assert decoded(text.encode(coding)) == text


@pytest.mark.parametrize("content", [b"", b"\0", b"ab\0d", b"a\0b"])
def test_a_zero_elsewhere_or_half_a_letter_makes_no_utf_16(content):
    assert decoded(content) == content.decode()


def test_an_array_in_place_of_an_encoder_or_a_decoder_is_named(tmp_path):
    np.save(tmp_path / "mask.npy", np.ones((36, 64)))
    for load in (lambda path: load_encoder(path, device="cpu"), Decoder.load):
        with pytest.raises(VidreconError, match=r"found an array \(\.npy\), as masks and movies are"):
            load(tmp_path / "mask.npy")


def test_an_encoder_in_place_of_an_array_is_named(small_encoder_file):
    with pytest.raises(StorageError, match=r"found tensors \(\.safetensors\), as encoders and decoders are"):
        read_array(small_encoder_file)
