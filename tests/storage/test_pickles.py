"""Pickles are read step by step: data is rebuilt, and whatever a file asks for, nothing else happens."""

from __future__ import annotations

import io
import pickle
import pickletools
import resource
import struct
import time
from collections import OrderedDict
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch

from napari_vidrecon.storage.pickles import Allowance, ForbiddenObject, Rules, rebuild
from napari_vidrecon.storage.plain_arrays import PlainArray
from napari_vidrecon.storage.torch_files import rules_for_values

MOST_SECONDS = 10.0
MOST_BYTES = 512 << 20
ERRORS = (ForbiddenObject, ValueError, TypeError, EOFError, IndexError, OverflowError)
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
TUPLE_OF_TWO_AGAIN = b"".join(b"(h" + bytes([index]) + b"h" + bytes([index]) + b"t\x94" for index in range(200))


COLLIDING_KEYS = (
    b"}(" + b"".join(b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") + b"N" for k in range(20_000)) + b"u."
)
LONG_TEXT = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
ENCODED_AGAIN = b"c_codecs\nencode\n\x94" + LONG_TEXT + b"\x94" + b"h\x00h\x01\x85R" * 9000 + b"."


def read(content: bytes):
    return rebuild(io.BytesIO(content), len(content), rules_for_values(), Allowance(len(content) + (1 << 20)))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back_in_every_protocol(protocol):
    stored = {
        "a": [1, -2, 2.5, None, True, "text", b"bytes"],
        "b": (1, (2,)),
        3: {"c": 2**70},
        "d": PurePosixPath("x/y"),
        "e": OrderedDict(f=1),
        "g": np.float32(1.5),
        "h": list(range(1000)),
    }
    found = read(pickle.dumps(stored, protocol))
    assert found == {**stored, "d": found["d"]}
    assert found["d"] in ("x/y", PurePosixPath("x/y").parts)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.arange(12, dtype=">i4").reshape(3, 4).T,
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["ab", "c"]),
        np.zeros((0, 3), bool),
        np.array(5, np.int16),
    ],
)
def test_arrays_come_back_to_the_bit(array, protocol):
    found = read(pickle.dumps(array, protocol))
    assert isinstance(found, PlainArray)
    np.testing.assert_array_equal(found.array, array)
    assert found.array.dtype == array.dtype


def test_a_pickled_tensor_comes_back_to_the_bit():
    tensor = torch.arange(24, dtype=torch.float64).reshape(2, 3, 4)[:, 1:].transpose(0, 2)
    np.testing.assert_array_equal(read(pickle.dumps(tensor)).array(), tensor.numpy())


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cnumpy\nndarray\n((L700000000L\ntS'O'\ntR.",
        TENSOR + b"(N(dS'__defaults__'\n)stb.",
        b"ccollections\nOrderedDict\n(dS'x'\nI1\nsb.",
        b"(ios\nsystem\n.",
        b"S'outside'\nQ.",
        b"\x82\x01.",
    ],
    ids=["system", "eval", "ndarray", "poison", "class", "instance", "reference", "extension"],
)
def test_nothing_is_called_or_changed_because_a_file_says_so(content):
    before = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises((ForbiddenObject, TypeError)):
        read(content)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    assert not hasattr(OrderedDict, "x")


def _array_of(shape: bytes) -> bytes:
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    dtype = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR"
    return start + b"(I1\n" + shape + dtype + b"I00\nS'abcd'\ntb."


@pytest.mark.timing
@pytest.mark.parametrize(
    "content",
    [
        b"(" * 1_000_000 + b".",
        b")" + b"\x85" * 450_000 + b"\x94}h\x00Ns.",
        b"}\x94(K\x01" + b")" + b"\x85" * 300_000 + b"u}(" + b")" + b"\x85" * 300_000 + b"Nu.",
        b"I" + b"9" * 1_000_000 + b"\n.",
        b"L" + b"9" * 1_000_000 + b"L\n.",
        b"\x8b" + struct.pack("<I", 1_000_000) + b"\x7f" * 1_000_000 + b".",
        b"\x8b\xff\xff\xff\x7f.",
        b"\x8e" + struct.pack("<Q", 1 << 62) + b".",
        b"\x96" + struct.pack("<Q", 1 << 40) + b".",
        COLLIDING_KEYS,
        ENCODED_AGAIN,
        _array_of(b"(L1000000000000L\nt"),
        _array_of(b"(I-1\nI-1\nt"),
        TENSOR + b"(NI0\n(I1\nt(I1\ntI00\nNtR.",
    ],
)
def test_a_small_pickle_stays_small_and_ends_soon(content):
    before, begun = peak_bytes(), time.perf_counter()
    with pytest.raises(ERRORS):
        read(content)
    assert time.perf_counter() - begun < MOST_SECONDS
    assert peak_bytes() - before < MOST_BYTES


def test_a_thousand_laughs_are_shared_not_copied():
    found = read(b")\x94" + TUPLE_OF_TWO_AGAIN + b".")
    assert len(found) == 2
    assert found[0] is found[1]


def test_numbers_have_at_most_128_bits_and_those_of_keys_60():
    assert read(pickle.dumps([2**127, -(2**127)], 2)) == [2**127, -(2**127)]
    assert read(pickle.dumps({2**59: 1}, 2)) == {2**59: 1}
    for value, words in (
        (2**128, "too long"),
        ({2**60: 1}, "too large a number"),
        ({(1,): 1}, "no text and no number"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            read(pickle.dumps(value, 2))


def test_work_is_allowed_to_the_last_step_and_byte():
    content = pickle.dumps([1, 2], 2)
    instructions = len(list(pickletools.genops(content)))
    assert rebuild(io.BytesIO(content), len(content), Rules(), Allowance(0, instructions)) == [1, 2]
    with pytest.raises(ValueError, match="more work"):
        rebuild(io.BytesIO(content), len(content), Rules(), Allowance(0, instructions - 1))
    for more in ({"steps": 1}, {"copied_bytes": 1}):
        allowance = Allowance(copied_bytes=3, steps=2)
        allowance.take(steps=2, copied_bytes=3)
        with pytest.raises(ValueError, match="more work"):
            allowance.take(**more)


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"NI1\n0.", None), (b"I1\n(NN1.", 1), (b"I1\n(0.", 1), (b"I1\n2\x86.", (1, 1)), (b"(I1\nI2\nd.", {1: 2})],
)
def test_what_is_dropped_doubled_or_joined_is_as_python_does_it(content, found):
    assert read(content) == pickle.loads(content) == found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"N\x86.", "its stack is empty"),
        (b"}(Nu.", "a key without a value"),
        (b")Na.", "no list"),
        (b"]I1\nNs.", "no dictionary"),
        (b"NNR.", "no constructor"),
        (b"NQ.", "something outside"),
        (b"N", "in the middle|exhausted"),
        (b"c_codecs\nencode\n(S'a'\nS'utf8'\ntR.", "unknown coding"),
        (b"S'a'\nK\x01\x93.", "a name that is no text"),
        (b"K\x01S'a'\n\x93.", "a name that is no text"),
    ],
)
def test_instructions_that_do_not_fit_are_refused(content, words):
    with pytest.raises(ERRORS, match=words):
        read(content)
