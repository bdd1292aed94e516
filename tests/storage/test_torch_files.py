"""Files of `torch.save`: the same bits as torch reads, and no more than the file holds."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from napari_vidrecon.storage.pickles import ForbiddenObject
from napari_vidrecon.storage.torch_files import StoredTensor, StoredValues, read_torch_file

WHOLE = torch.arange(24, dtype=torch.float32).reshape(4, 6)
STORED = {
    "turned": WHOLE[1:, ::2].T,
    "shared": WHOLE,
    "one": torch.tensor(7),
    "none": torch.zeros(0, 3),
    "half": WHOLE.half(),
    "brain": WHOLE.bfloat16(),
    "learned": torch.nn.Parameter(WHOLE.double()),
    "values": [1, "two", (3.0, None)],
}


def saved(value, packed: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=packed)
    return file.getvalue()


def read(content: bytes, tmp_path):
    path = tmp_path / "stored.pth"
    path.write_bytes(content)
    with path.open("rb") as file:
        return read_torch_file(file, len(content))


def repacked(content: bytes, name: str, part: bytes | None, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for each in old.namelist():
            new.writestr(each, part if each.endswith(name) and part is not None else old.read(each))
    return file.getvalue()


@pytest.mark.parametrize("packed", [True, False])
def test_values_and_tensors_come_back_to_the_bit_from_both_formats(packed, tmp_path):
    found = read(saved(STORED, packed), tmp_path)
    assert found["values"] == STORED["values"]
    for name, tensor in STORED.items():
        if isinstance(tensor, torch.Tensor):
            array = found[name].array()
            plain = tensor.detach()
            expected = plain.view(torch.int16).numpy().view("u2") if name == "brain" else plain.numpy()
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == expected.dtype


@pytest.mark.parametrize("packed", [True, False])
def test_a_tensor_that_shows_more_than_is_there_is_refused(packed, tmp_path):
    found = read(saved({"wide": torch.zeros(1).expand(1 << 20, 1 << 20)}, packed), tmp_path)
    with pytest.raises(ValueError, match="more numbers than are there"):
        found["wide"].array()


def test_a_tensor_may_show_the_last_number_and_none_behind_it():
    stored = StoredValues("Float", np.arange(12, dtype=np.float32))
    assert StoredTensor(stored, 1, (2, 3), (6, 2)).array().tolist() == [[1, 3, 5], [7, 9, 11]]
    assert StoredTensor(stored, 0, (12,), (1,)).array().size == 12
    for tensor in (StoredTensor(stored, 2, (2, 3), (6, 2)), StoredTensor(stored, 0, (13,), (0,))):
        with pytest.raises(ValueError, match="more numbers than are there"):
            tensor.array()


@pytest.mark.parametrize("packed", [True, False])
def test_code_in_it_is_refused_by_name(packed, tmp_path):
    with pytest.raises(ForbiddenObject, match=r"torch\.nn\.modules"):
        read(saved(torch.nn.Linear(1, 1), packed), tmp_path)


def test_packed_numbers_are_refused_before_they_are_unpacked(tmp_path):
    content = repacked(saved({"many": torch.zeros(1 << 20)}), "-", None, zipfile.ZIP_DEFLATED)
    assert len(content) < 1 << 16
    with pytest.raises(ValueError, match="packed"):
        read(content, tmp_path)


def referring(*keys: object, byte_order: bytes = b"little", flags: int = 0) -> bytes:
    """A zip file of a list of references to numbers outside the pickle, of which 0 and 1 are there: 4 bytes each."""

    class Referring(pickle.Pickler):
        def persistent_id(self, value):
            return value[1] if type(value) is tuple and value[:1] == ("refer",) else None

    description, file = io.BytesIO(), io.BytesIO()
    Referring(description, 2).dump([("refer", key) for key in keys])
    with zipfile.ZipFile(file, "w") as packed:
        parts = {"data.pkl": description.getvalue(), "byteorder": byte_order, "data/0": b"\0\0\x80?", "data/1": b"1234"}
        for name, part in parts.items():
            packed.writestr(f"archive/{name}", part)
    content = bytearray(file.getvalue())
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= flags
    return bytes(content)


def key(word="storage", kind=torch.FloatStorage, name="0", count=1):
    return word, kind, name, "cpu", count


def test_numbers_are_found_by_name_and_one_place_may_be_seen_as_another_kind(tmp_path):
    one, again, bits = read(referring(key(), key(), key(kind=torch.IntStorage)), tmp_path)
    assert (one.kind, one.values.tolist()) == ("Float", [1.0])
    assert again is one
    assert (bits.kind, bits.values.tolist()) == ("Int", [0x3F800000])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (referring(key(word="module")), ValueError),
        (referring(key(name=0)), ValueError),
        (referring(key(count="1")), ValueError),
        (referring(key(count=-1)), ValueError),
        (referring(key(count=2)), ValueError),
        (referring(key(name="2")), KeyError),
        (referring(key(kind=torch.float32)), (TypeError, ForbiddenObject)),
        (referring(key(), byte_order=b"big"), ValueError),
        (referring(key(name="1"), flags=1), ValueError),
    ],
)
def test_a_reference_to_what_cannot_be_is_refused(content, error, tmp_path):
    with pytest.raises(error):
        read(content, tmp_path)


def test_a_storage_that_is_shorter_than_it_says_is_refused(tmp_path):
    with pytest.raises(ValueError, match="ends in the middle"):
        read(repacked(saved({"many": torch.zeros(1000)}), "data/0", b"\0" * 16), tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_damage_anywhere_is_an_error_or_another_value_never_a_crash(packed, tmp_path):
    content, generator = saved(STORED, packed), np.random.default_rng(2)
    for _ in range(200):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), size=3):
            damaged[place] ^= 1 << int(generator.integers(8))
        try:
            found = read(bytes(damaged[: int(generator.integers(len(content) // 2, len(content) + 1))]), tmp_path)
            arrays = [each.array() for each in found.values() if isinstance(each, StoredTensor)]
        except Exception:  # noqa: BLE001  # of any kind: whoever reads files turns it into one line
            continue
        assert sum(array.nbytes for array in arrays) < 10 * len(content)
