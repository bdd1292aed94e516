"""What came instead of a file is named for what it is."""

from __future__ import annotations

import pytest

from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.errors import EncoderError, StorageError
from napari_vidrecon.reconstruction.decoder import Decoder

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
