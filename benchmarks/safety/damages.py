"""Ways in which a file or a folder from elsewhere can be damaged or hostile, each from one source of chance."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

NPY_MAGIC = b"\x93NUMPY\x01\x00"
LARGEST_SHIFT_BYTES = 64

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    -(10**30),
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "1",
    "nan",
    "../../etc/passwd",
    "a\x00b",
    "a\nb",
    "=1+1",
    "\ud800",
    "a" * 5000,
    '"""\nimport os\n"""',
    "$(touch CANARY)",
    [],
    [None],
    [[[]]],
    [0] * 1000,
    [10**9, 10**9],
    {},
    {"x": 1},
    {"": None},
)
ODD_DTYPES = ("<f4", ">f8", "<i8", "|b1", "<c16", "<U3", "|S4", "|O", "|V8", "<M8[s]", "<f2", "|u1", "<U0", "()", "x")
ODD_SHAPES = (
    "()",
    "(0,)",
    "(1,)",
    "(-1,)",
    "(1000000000000,)",
    "(36, 64)",
    "(1, 2, 3, 4)",
    "(0, 10000000000)",
    "(99999999, 99999999, 99999999)",
    "(True, 2)",
    "(1.5,)",
    "'x'",
    "(" + "-" * 9000 + "1,)",
)


def bytes_flipped(data: bytes, chance: random.Random) -> bytes:
    """A few bits turned over."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def beginning_flipped(data: bytes, chance: random.Random) -> bytes:
    """A few bits turned over in the first kilobyte, where headers are."""
    return bytes_flipped(data[:1024], chance) + data[1024:]


def truncated(data: bytes, chance: random.Random) -> bytes:
    """Cut off somewhere."""
    return data[: chance.randrange(len(data))] if data else data


def block_zeroed(data: bytes, chance: random.Random) -> bytes:
    """A block of nothing, as a disk that lost a sector leaves."""
    start = chance.randrange(len(data)) if data else 0
    length = chance.choice((1, 16, 512, 4096))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def shifted(data: bytes, chance: random.Random) -> bytes:
    """Bytes put in, or taken out, so that all that follows stands elsewhere."""
    start, length = (chance.randrange(len(data)) if data else 0), chance.randint(1, LARGEST_SHIFT_BYTES)
    if chance.random() < 0.5:
        return data[:start] + chance.randbytes(length) + data[start:]
    return data[:start] + data[start + length :]


def something_else(data: bytes, chance: random.Random) -> bytes:
    """Another thing under this name: nothing, text, a web page, a pointer, a pickle, noise."""
    return chance.choice(
        (
            b"",
            b"\n",
            b"<!DOCTYPE html><html><body>Sign in</body></html>",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
            b"\x80\x04cos\nsystem\n(S'touch CANARY'\ntR.",
            b"PK\x05\x06" + bytes(18),
            b"\x89HDF\r\n\x1a\n" + bytes(64),
            b"[" * 100_000,
            b"a." * 50_000 + b"a=1",
            chance.randbytes(chance.choice((1, 100, 10_000))),
            b"\xff" * len(data[:4096]),
        )
    )


def array_header(data: bytes, chance: random.Random) -> bytes:
    """An array whose header says something odd of the same numbers."""
    body = data[128:] if data.startswith(NPY_MAGIC[:6]) else data
    descr, shape = chance.choice(ODD_DTYPES), chance.choice(ODD_SHAPES)
    shown = descr if descr == "()" else repr(descr)
    header = (
        f"{{'descr': {shown}, 'fortran_order': {chance.choice(('True', 'False', '1'))}, 'shape': {shape}}}".encode()
    )
    return NPY_MAGIC + struct.pack("<H", len(header)) + header + body


BYTES_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    bytes_flipped,
    beginning_flipped,
    truncated,
    block_zeroed,
    shifted,
    something_else,
)


def json_changed(value: Any, chance: random.Random) -> Any:
    """A tree of JSON with one thing in it replaced, taken out, added or doubled."""
    places = list(_places(value))
    if not places:
        return chance.choice(ODD_VALUES)
    holder, key = chance.choice(places)
    way = chance.random()
    if way < 0.7:
        holder[key] = chance.choice(ODD_VALUES)
    elif way < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[chance.choice(("newer_option", "", "__class__", "x" * 1000))] = chance.choice(ODD_VALUES)
    else:
        holder.append(chance.choice(ODD_VALUES))
    return value


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in list(pairs):
        yield value, key
        yield from _places(inside)


def json_text_changed(data: bytes, chance: random.Random) -> bytes:
    """A JSON file with one thing in it replaced, taken out, added or doubled."""
    try:
        return json.dumps(json_changed(json.loads(data), chance)).encode()
    except (ValueError, RecursionError):
        return something_else(data, chance)


HOSTILE_DESCRIPTIONS = ("[" * 100_000, "1" * 10_000)


def description_changed(data: bytes, chance: random.Random) -> bytes:
    """A safetensors file whose description, or list of tensors, is changed."""
    try:
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        told = json.loads(header["__metadata__"]["vidrecon"])
    except (ValueError, KeyError, TypeError, RecursionError, struct.error):
        return something_else(data, chance)
    way = chance.random()
    if way < 0.8:
        header["__metadata__"]["vidrecon"] = json.dumps(json_changed(told, chance))
    elif way < 0.85:
        header["__metadata__"]["vidrecon"] = chance.choice(HOSTILE_DESCRIPTIONS)
    else:
        header = json_changed(header, chance)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data[8 + length :]


def file_damaged(path: Path, chance: random.Random) -> str:
    """Damage one file in place, in a way that fits its kind; says how."""
    data = path.read_bytes()
    ways = list(BYTES_DAMAGES)
    if path.suffix == ".npy":
        ways += [array_header] * 4
    if path.suffix == ".json":
        ways += [json_text_changed] * 12
    if path.suffix == ".safetensors":
        ways += [description_changed] * 12
    way = chance.choice(ways)
    path.write_bytes(way(data, chance))
    return f"{way.__name__} in {path.name}"


def folder_damaged(folder: Path, chance: random.Random) -> str:
    """Damage one thing in a folder: a file's bytes most often, else what stands in its place; says how."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    # The few files that describe the rest are met as often as the many that hold numbers.
    kinds = sorted({each.suffix or each.name for each in files})
    kind = chance.choice(kinds)
    file = chance.choice([each for each in files if (each.suffix or each.name) == kind])
    way = chance.random()
    if way < 0.72:
        return f"{file.relative_to(folder)}: {file_damaged(file, chance)}"
    if way < 0.80:
        return f"{_put_in_place(file, chance)} for {file.relative_to(folder)}"
    if way < 0.88:
        file.unlink()
        return f"without {file.relative_to(folder)}"
    if way < 0.94 and file.parent != folder:
        shutil.rmtree(file.parent)
        return f"without {file.parent.relative_to(folder)}"
    other = chance.choice(files)
    other_bytes = other.read_bytes()
    file.write_bytes(other_bytes)
    return f"{other.relative_to(folder)} in place of {file.relative_to(folder)}"


def _put_in_place(file: Path, chance: random.Random) -> str:
    file.unlink()
    what = chance.choice(("folder", "pipe", "zeros", "passwd", "loop", "socket folder", "hidden"))
    if what == "folder":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "zeros":
        file.symlink_to("/dev/zero")
    elif what == "passwd":
        file.symlink_to("/etc/passwd")
    elif what == "loop":
        file.symlink_to(file.name)
    elif what == "hidden":
        file.with_name(f"._{file.name}").write_bytes(b"Mac OS X")
        file.touch()
    else:
        file.symlink_to(file.parent)
    return what


def damaged(path: Path, chance: random.Random) -> str:
    """Damage a file or a folder in place, once or twice; says how."""
    done = []
    for _ in range(chance.choice((1, 1, 1, 2))):
        if path.is_dir():
            done.append(folder_damaged(path, chance) if any(path.rglob("*")) else "empty")
        elif path.is_file():
            done.append(file_damaged(path, chance))
    return "; ".join(done)
