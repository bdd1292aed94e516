"""Zips that are not what they say: where they lead, what they hold, and how much of it."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Iterable

from benchmarks.safety.lying_ways import Way, says, sends

Change = Callable[[bytes], bytes]


def again(
    sound: bytes,
    *,
    more: Iterable[tuple[str | zipfile.ZipInfo, bytes]] = (),
    without: str = "",
    kind: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """The zip written again, with more in it, or less, or of another kind."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(buffer, "w", kind) as new:
        for name in old.namelist():
            if not without or without not in name:
                new.writestr(name, old.read(name))
        for name, content in more:
            new.writestr(name, content)
    return buffer.getvalue()


def also(name: str, mode: int = 0, content: bytes = b"x") -> Change:
    """One more member."""

    def change(sound: bytes) -> bytes:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        return again(sound, more=[(member, content)])

    return change


def damaged(kind: int) -> Change:
    """Bytes of the first member overwritten."""

    def change(sound: bytes) -> bytes:
        told = bytearray(again(sound, kind=kind))
        told[400:440] = b"\xff" * 40
        return bytes(told)

    return change


def in_directory(offset: int, form: str, value: int) -> Change:
    """A field of the first entry of the directory says something else."""

    def change(sound: bytes) -> bytes:
        told = bytearray(sound)
        struct.pack_into(form, told, sound.index(b"PK\x01\x02") + offset, value)
        return bytes(told)

    return change


def at_end(offset: int, form: str, value: int) -> Change:
    """A field of the end of the directory says something else."""

    def change(sound: bytes) -> bytes:
        told = bytearray(sound)
        struct.pack_into(form, told, sound.rindex(b"PK\x05\x06") + offset, value)
        return bytes(told)

    return change


def crowd(sound: bytes) -> bytes:
    """More members than any recording has."""
    return again(sound, more=((f"m/data/videos/x{n}.npy", b"") for n in range(120_000)))


def bomb(sound: bytes) -> bytes:
    """Zeros."""
    return again(sound, more=[("m/data/zeros.npy", bytes(400 << 20))])


def overlapping(sound: bytes) -> bytes:
    """A directory whose entries all lead to the same bytes, which they claim to be large."""
    return in_directory(20, "<I", 0x7FFFFFFF)(sound)


def twice(sound: bytes) -> bytes:
    """One name for two members."""
    with zipfile.ZipFile(io.BytesIO(sound)) as old:
        name = next(each for each in old.namelist() if each.endswith("tiers.npy"))
    return also(name)(sound)


EMPTY = b"PK\x05\x06" + bytes(18)
CHANGES: tuple[tuple[str, Change, bool], ...] = (
    ("leads outside", also("../../evil"), True),
    ("leads outside from within", also("m/data/../../../evil"), True),
    ("leads to an absolute place", also("/tmp/vidrecon_evil"), True),
    ("leads to a drive", also("C:/evil"), True),
    ("leads outside by backslashes", also("m\\..\\..\\evil"), True),
    ("holds a link", also("m/data/link", stat.S_IFLNK | 0o777, b"/etc/passwd"), True),
    ("holds a device", also("m/data/null", stat.S_IFCHR | 0o666), True),
    ("holds a pipe", also("m/data/pipe", stat.S_IFIFO | 0o666), True),
    ("holds names that differ by capitals", also("m/META/trials/TIERS.npy"), True),
    ("holds one name twice", twice, True),
    ("holds a file where a folder is", also("m/data"), True),
    ("holds a folder where a file is", also("m/meta/trials/tiers.npy/x"), True),
    ("holds a name of 300 letters", also("m/" + "a" * 300), True),
    ("holds 500 folders in one another", also("m/" + "a/" * 500 + "b"), True),
    ("holds a name with control characters", also("m/data/\x1b[2J\x07"), True),
    ("holds a name that Windows keeps", also("m/data/con.npy"), True),
    ("is damaged, deflated", damaged(zipfile.ZIP_DEFLATED), True),
    ("is damaged, lzma", damaged(zipfile.ZIP_LZMA), True),
    ("is damaged, bzip2", damaged(zipfile.ZIP_BZIP2), True),
    ("is damaged, stored", damaged(zipfile.ZIP_STORED), True),
    ("is encrypted", in_directory(8, "<H", 1), True),
    ("is of a kind nobody knows", in_directory(10, "<H", 77), True),
    ("claims another checksum", in_directory(16, "<I", 1), True),
    ("claims overlapping bytes", overlapping, True),
    ("claims 4 GB", in_directory(24, "<I", 0xFFFFFFFE), True),
    ("claims to need 64 bits", in_directory(24, "<I", 0xFFFFFFFF), True),
    ("claims a place outside", in_directory(42, "<I", 0x7FFFFFF0), True),
    ("claims a name of 60,000 letters", in_directory(28, "<H", 60_000), True),
    ("claims a directory of 4 GB", at_end(12, "<I", 0xFFFFFFF0), True),
    ("claims a directory elsewhere", at_end(16, "<I", 0xFFFFFFF0), True),
    ("is cut", lambda sound: sound[: len(sound) // 2], True),
    ("has more after it", lambda sound: sound + b"more", True),
    ("lacks a video", lambda sound: again(sound, without="videos/1.npy"), True),
    ("lacks its tiers", lambda sound: again(sound, without="tiers"), True),
    ("holds no session", lambda sound: again(EMPTY, more=[("m/readme.txt", b"hello")]), True),
    ("holds nothing", lambda sound: EMPTY, True),
    ("holds itself", lambda sound: again(EMPTY, more=[("m/mouse.zip", sound)]), True),
    ("grows a thousand times", bomb, False),
    ("holds 120,000 members", crowd, False),
)

ZIPS = (
    Way("mouse: sound", lambda talk: talk.honest(), "mouse"),
    Way("mouse: no length, cut", says(body=lambda sound: sound[:-900]), "mouse"),
    *(
        Way(f"mouse: {name}", sends(change), "mouse", quick=quick, may_succeed=False)
        for name, change, quick in CHANGES
    ),
    Way("weights: sound", lambda talk: talk.honest(), "weights"),
    Way("weights: no length, cut", says(body=lambda sound: sound[:-900]), "weights", may_succeed=False),
    Way("weights: flipped", sends(lambda s: s[:5000] + bytes(64) + s[5064:]), "weights", may_succeed=False),
    Way("weights: another zip", sends(lambda s: again(EMPTY, more=[("a", s)])), "weights", may_succeed=False),
)  # fmt: skip
