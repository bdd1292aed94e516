"""Ways in which a server, or what it sends, is not what it says; one entry a way."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.safety.lies import Lie, Talk

HTML = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
MEGABYTE = 1 << 20
CUT = 5000
"""Bytes of the first answer of those that break off, to be gone on with."""


@dataclass(frozen=True)
class Way:
    """One way to lie.

    Parameters
    ----------
    name
        What it does.
    lie
        The answer to a request of the file.
    thing
        What is downloaded: "mask", "weights" or "mouse".
    licences
        The answer to a request of a licence; not found without it.
    mirror
        The address given to the command, with the port in braces.
    quick
        It takes next to no time, and belongs to the short part.
    may_succeed
        An honest file may come of it, as of a server that only breaks once.
    """

    name: str
    lie: Lie
    thing: str = "mask"
    licences: Lie | None = None
    mirror: str = "http://127.0.0.1:{port}"
    quick: bool = True
    may_succeed: bool = True


def sends(make: Callable[[bytes], bytes], *lines: str) -> Lie:
    """Another body, soundly sent."""
    return lambda talk: talk.whole(make(talk.sound), *lines)


def says(*lines: str, status: str = "200 OK", body: Callable[[bytes], bytes] = lambda sound: sound) -> Lie:
    """A head as given, then a body, then the end of the connection."""

    def lie(talk: Talk) -> None:
        talk.head(status, *lines)
        talk.send(body(talk.sound))

    return lie


def raw(*parts: bytes | str) -> Lie:
    """Bytes as they are."""
    return lambda talk: talk.send(*parts)


def then(second: Lie) -> Lie:
    """A first answer that breaks off, with a tag; then a lie."""

    def lie(talk: Talk) -> None:
        if talk.count == 0:
            talk.head("200 OK", f"Content-Length: {len(talk.sound)}", 'ETag: "1"')
            talk.send(talk.sound[:CUT])
        else:
            second(talk)

    return lie


def part(span: str | None, body: Callable[[Talk], bytes], *lines: str) -> Lie:
    """A part that says `span`, with {start}, {last} and {size} filled in."""

    def lie(talk: Talk) -> None:
        size = len(talk.sound)
        told = [] if span is None else [f"Content-Range: {span.format(start=talk.start, last=size - 1, size=size)}"]
        talk.whole(body(talk), *told, *lines, status="206 Partial Content")

    return lie


def rest(talk: Talk) -> bytes:
    """What was asked for."""
    return talk.sound[talk.start :]


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks, without the last one."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def leads(*places: str) -> Lie:
    """Redirects, one after the other, the last one for ever."""

    def lie(talk: Talk) -> None:
        place = places[min(talk.count, len(places) - 1)]
        talk.whole(b"", f"Location: {place}", status="302 Found")

    return lie


def once_more(talk: Talk) -> None:
    """A new place each time."""
    talk.whole(b"", f"Location: {talk.path}x", status="301 Moved Permanently")


def endless(head: str, block: bytes, first: bytes = b"") -> Lie:
    """A body, or a head, without an end."""

    def lie(talk: Talk) -> None:
        talk.send(head, first)
        talk.endless(block)

    return lie


def after(head: str | bytes, what: Callable[[Talk], None]) -> Lie:
    """Some bytes, then something else."""

    def lie(talk: Talk) -> None:
        if head:
            talk.send(head)
        what(talk)

    return lie


def array(*shape: int, value: float = 1.0) -> bytes:
    """An `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.full(shape, value))
    return buffer.getvalue()


def bomb() -> bytes:
    """Much in little, as gzip."""
    return gzip.compress(b"\x93NUMPY" + bytes(64 * MEGABYTE))


OK, CHUNKS = "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked"
START = OK + "Content-Length: 16512\r\n\r\n"
GZIP = "Content-Encoding: gzip"

HONEST = (
    Way("sound", lambda talk: talk.honest()),
    Way("sound, without a length", says()),
    Way("sound, in chunks", says(CHUNKS, body=lambda sound: chunked(sound[:99], sound[99:]) + b"0\r\n\r\n")),
    Way("sound, in gzip that nobody asked for", sends(gzip.compress, GZIP)),
    Way("sound after one break", then(lambda talk: talk.honest())),
)
LENGTHS = (
    Way("no length, cut", says(body=lambda sound: sound[: len(sound) // 2])),
    Way("no length, cut in its header", says(body=lambda sound: sound[:20])),
    Way("no length, more after it", says(body=lambda sound: sound + b"more")),
    Way("length too short", says("Content-Length: 8000")),
    Way("length too long", says("Content-Length: 90000")),
    Way("length 0 with a body", says("Content-Length: 0")),
    Way("negative length", says("Content-Length: -5")),
    Way("length in words", says("Content-Length: many")),
    Way("length of 10^30", says("Content-Length: 1" + "0" * 30)),
    Way("length of a petabyte", says("Content-Length: 1000000000000000")),
    Way("two lengths", says("Content-Length: 16512", "Content-Length: 12")),
    Way("length and chunks", says("Content-Length: 12", CHUNKS, body=lambda s: chunked(s[:700]))),
    Way("body longer than announced", says("Content-Length: 16512", body=lambda sound: sound + bytes(MEGABYTE))),
)
BODIES = (
    Way("empty", sends(lambda sound: b"")),
    Way("empty, without a length", says(body=lambda sound: b"")),
    Way("a sign-in page", sends(lambda sound: HTML, "Content-Type: text/html")),
    Way("zeros", sends(lambda sound: bytes(len(sound)))),
    Way("without an end", endless(OK + "\r\n", bytes(4096), b"\x93NUMPY")),
    Way("without an end, a page", endless(OK + "\r\n", HTML)),
    Way("without an end, in chunks", endless(OK + CHUNKS + "\r\n\r\n", chunked(bytes(4096)), chunked(b"\x93NUMPY"))),
    Way("half, then silence", after(START, lambda talk: (talk.send(talk.sound[:CUT]), talk.silent())), quick=False),
    Way("half, then a reset", after(START, lambda talk: (talk.send(talk.sound[:CUT]), talk.reset()))),
    Way("byte by byte", after(START, lambda talk: talk.drip(talk.sound)), quick=False),
    Way("byte by byte, without a length", after(OK + "\r\n", lambda talk: talk.drip(talk.sound)), quick=False),
    Way("a pickle as an array", sends(lambda sound: b"\x80\x04" + sound)),
    Way("NaN", sends(lambda sound: array(64, 64, value=float("nan")))),
    Way("another shape", sends(lambda sound: array(3, 5))),
    Way("a shape of terabytes", sends(lambda sound: sound.replace(b"(64, 64)", b"(9999999999999,)", 1)[:16512])),
)
CHUNKED = (
    Way("chunks, broken off", says(CHUNKS, body=lambda sound: chunked(sound[:900]) + b"400\r\nabc")),
    Way("chunks without a last one", says(CHUNKS, body=lambda sound: chunked(sound))),
    Way("chunk of no size", says(CHUNKS, body=lambda sound: b"zz\r\n" + sound)),
    Way("chunk of negative size", says(CHUNKS, body=lambda sound: b"-5\r\n" + sound)),
    Way("chunk of 10^30", says(CHUNKS, body=lambda sound: b"f" * 30 + b"\r\n" + sound)),
    Way("chunk size without an end", endless(OK + CHUNKS + "\r\n\r\n", b"0")),
    Way("not in chunks at all", says(CHUNKS)),
    Way("trailers without an end", endless(OK + CHUNKS + "\r\n\r\n", b"X: y\r\n", b"0\r\n"), quick=False),
)
ENCODINGS = (
    Way("gzip that is none", sends(lambda sound: sound, GZIP)),
    Way("gzip, cut", sends(lambda sound: gzip.compress(sound)[:-3000], GZIP)),
    Way("gzip, damaged", sends(lambda sound: gzip.compress(sound)[:900] + bytes(900), GZIP)),
    Way("gzip of gigabytes", sends(lambda sound: bomb(), GZIP)),
    Way("deflate that is none", sends(lambda sound: sound, "Content-Encoding: deflate")),
    Way("an encoding nobody knows", sends(lambda sound: sound, "Content-Encoding: snail")),
    Way("twice encoded", sends(lambda s: gzip.compress(zlib.compress(s)), "Content-Encoding: deflate, gzip")),
    Way("encoded a hundred times", sends(lambda sound: sound, "Content-Encoding: " + ", ".join(["gzip"] * 100))),
)
PARTS = (
    Way("a part nobody asked for", part("bytes 700-16511/16512", lambda talk: talk.sound[700:])),
    Way("all of it as a part", part("bytes 0-16511/16512", lambda talk: talk.sound)),
    Way("another part", then(part("bytes 12-16511/16512", lambda talk: talk.sound[12:]))),
    Way(
        "another part than it says",
        then(part("bytes {start}-{last}/{size}", lambda talk: talk.sound[: len(rest(talk))])),
    ),
    Way("a part without a place", then(part(None, rest))),
    Way("a part with a place that is none", then(part("bytes none", rest))),
    Way("a part with its end before its start", then(part("bytes {start}-3/{size}", rest))),
    Way("a part of a file of another length", then(part("bytes {start}-{last}/99999", rest))),
    Way("a part of a file of unknown length", then(part("bytes {start}-{last}/*", rest))),
    Way("a part in another unit", then(part("furlongs {start}-{last}/{size}", rest))),
    Way("a part longer than it says", then(part("bytes {start}-{last}/{size}", lambda talk: rest(talk) + b"more"))),
    Way("parts in a letter", then(part(None, rest, "Content-Type: multipart/byteranges; boundary=x"))),
    Way("a part of a file that has changed", then(part("bytes {start}-{last}/{size}", rest, 'ETag: "2"'))),
    Way(
        "a part that changed under the same tag",
        then(part("bytes {start}-{last}/{size}", lambda t: bytes(len(rest(t))), 'ETag: "1"')),
    ),
    Way("all of it where a part was asked for", then(says("Content-Length: 16512"))),
    Way("no part satisfies it", then(lambda talk: talk.whole(b"", status="416 Range Not Satisfiable"))),
    Way("never a part satisfies it", lambda talk: talk.whole(b"", status="416 Range Not Satisfiable")),
    Way(
        "breaks always at the same place",
        lambda talk: then(lambda _: None)(Talk(talk.connection, talk.path, "", talk.sound, 0, talk.over)),
    ),
)
REDIRECTS = (
    Way("leads to itself", lambda talk: talk.whole(b"", f"Location: {talk.path}", status="302 Found")),
    Way("leads in a circle of two", leads("/one", "/two", "/one", "/two")),
    Way("leads on and on", once_more),
    Way("leads to a file of this machine", leads("file:///etc/passwd")),
    Way("leads to ftp", leads("ftp://127.0.0.1/mask.npy")),
    Way("leads to data", leads("data:application/octet-stream;base64,AAAA")),
    Way("leads nowhere", lambda talk: talk.whole(b"", status="302 Found")),
    Way("leads to a dead server", leads("http://127.0.0.1:9/mask.npy")),
    Way("leads to a name and password", leads("http://user:secret@127.0.0.1/mask.npy")),
    Way("leads to control characters", leads("/a\x1b[31m\x07b")),
    Way("leads to a port that is none", leads("http://127.0.0.1:99999/mask.npy")),
    Way("leads to a host that is none", leads("http://[::1/mask.npy")),
    Way("leads to an empty host", leads("http:///mask.npy")),
    Way("leads to a host of 300 letters", leads(f"http://{'a' * 300}.test/mask.npy")),
    Way("leads to 50 kB of address", leads("/" + "a" * 50_000)),
    Way("not modified", lambda talk: talk.whole(b"", status="304 Not Modified")),
)
STATUS = (
    *(
        Way(f"answers {status}", lambda talk, status=status: talk.whole(HTML, status=status))
        for status in ("400 Bad", "401 Sign in", "403 No", "404 Gone", "429 Slow down", "500 Oops", "503 Busy", "999 ?")
    ),
    Way("answers 204", lambda talk: talk.head("204 No Content")),
    Way("answers 199", says(status="199 Nothing")),
    Way("continues for ever", endless("", b"HTTP/1.1 100 Continue\r\n\r\n"), quick=False),
    Way("hints for ever", endless("", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
    Way("a status that is none", raw("HTTP/1.1 abc OK\r\n\r\n")),
    Way("a status of five digits", raw("HTTP/1.1 20000 OK\r\n\r\n")),
    Way("a status line of 100 kB", raw("HTTP/1.1 200 " + "x" * 100_000 + "\r\n\r\n")),
    Way("a reason with control characters", says(status="404 \x1b]0;x\x07\x1b[2J")),
    Way("another protocol", raw("SSH-2.0-OpenSSH_9.9\r\n")),
    Way("HTTP/9.9", raw("HTTP/9.9 200 OK\r\n\r\n")),
    Way("no head at all", lambda talk: talk.send(talk.sound)),
    Way("noise", raw(bytes(range(256)) * 40)),
)
HEADS = (
    Way("a header of 1 MB", says("X-Long: " + "a" * MEGABYTE)),
    Way("10,000 headers", says(*(f"X-{n}: y" for n in range(10_000)))),
    Way("headers without an end", endless(OK, b"X: y\r\n")),
    Way("a header without a name", raw(OK, ": x\r\nno colon\r\n\r\n", b"\x93NUMPY")),
    Way("null bytes in a header", says("X-Null: a\0b", "Content-Length: 16512")),
    Way("a head cut off", raw(OK + "Content-Le")),
    Way("a head byte by byte", lambda talk: talk.drip(START.encode()), quick=False),
    Way("a name that leads outside", sends(lambda s: s, 'Content-Disposition: attachment; filename="../../../evil"')),
    Way("a tag with control characters", then(sends(lambda s: s, 'ETag: "\x1b[2J\x80"'))),
    Way("a tag of 40 kB", says('ETag: "' + "a" * 40_000 + '"', "Content-Length: 90000")),
)
BREAKS = (
    Way("silent from the start", lambda talk: talk.silent(), quick=False),
    Way("silent after its head", after(START, lambda talk: talk.silent()), quick=False),
    Way("resets at once", lambda talk: talk.reset()),
    Way("resets in its head", after(OK + "Content-", lambda talk: talk.reset())),
    Way("resets after its head", after(START, lambda talk: talk.reset())),
    Way("closes at once", lambda talk: None),
    Way("resets a part", then(lambda talk: talk.reset())),
)
ADDRESSES = (
    Way("TLS asked of one that has none", lambda talk: talk.send("HTTP/1.1 400 No\r\n\r\n"), mirror="https://127.0.0.1:{port}"),
    Way("TLS that breaks off", lambda talk: talk.reset(), mirror="https://127.0.0.1:{port}"),
    Way("TLS that is silent", lambda talk: talk.silent(), mirror="https://127.0.0.1:{port}", quick=False),
    *(
        Way(f"address {mirror!r}", lambda talk: talk.honest(), mirror=mirror, may_succeed=False)
        for mirror in (
            "file:///etc", "ftp://127.0.0.1:{port}", "http://me:secret@127.0.0.1:{port}", "http://127.0.0.1:{port}/a\nb",
            "http://127.0.0.1:{port}/\x1b[2J", "http://", "127.0.0.1:{port}", "http://[::1", "http://127.0.0.1:0",
            "http://127.0.0.1:99999", "http://127.0.0.1:{port}?a=b", "http://\\127.0.0.1", "http://a..b",
            "javascript:0", "http://127.0.0.1:9", "http://" + "a" * 5000,
        )
    ),
)  # fmt: skip
LICENCES = tuple(
    Way(f"licence: {name}", lambda talk: talk.honest(), licences=lie, quick=quick)
    for name, lie, quick in (
        ("a sign-in page", sends(lambda sound: HTML), True),
        ("control characters", sends(lambda sound: b"\x1b[2J\x1b]0;owned\x07 do\xffwhat\x00you\r\nlike"), True),
        ("without an end", endless(OK + "\r\n", b"Do what you like. "), True),
        ("gzip that is none", sends(lambda sound: b"Do what you like.", GZIP), True),
        ("leads to a file", leads("file:///etc/passwd"), True),
        ("closes at once", lambda talk: None, True),
        ("silent", lambda talk: talk.silent(), False),
        ("a head of 1 MB", says("X: " + "a" * MEGABYTE), True),
        ("cut", says("Content-Length: 900", body=lambda sound: b"Do"), True),
    )
)
TRANSPORT = (
    HONEST + LENGTHS + BODIES + CHUNKED + ENCODINGS + PARTS + REDIRECTS + STATUS + HEADS + BREAKS + ADDRESSES + LICENCES
)  # fmt: skip
