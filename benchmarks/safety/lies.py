"""A server, for this machine only, that answers as a way of lying says; on bare sockets: it can say anything."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_REQUEST_BYTES = 1 << 16
MOST_SENT_BYTES = 1 << 30
"""What an answer without an end sends at most, so that no machine fills up if it is believed."""
PATIENCE_S = 30.0


class Talk:
    """One request and its answer.

    Parameters
    ----------
    connection
        The open socket.
    path
        What is asked for.
    span
        Range header, or empty.
    sound
        The bytes that an honest server has there.
    count
        How many requests of the file came before.
    over
        Set when nobody listens any more.
    """

    def __init__(
        self, connection: socket.socket, path: str, span: str, sound: bytes, count: int, over: threading.Event
    ) -> None:
        self.connection, self.path, self.span, self.sound = connection, path, span, sound
        self.count, self.over = count, over

    def send(self, *parts: bytes | str) -> None:
        """Send some bytes as they are; text as Latin-1."""
        self.connection.sendall(b"".join(part.encode("latin-1") if isinstance(part, str) else part for part in parts))

    def head(self, status: str = "200 OK", *lines: str) -> None:
        """Send a status line, header lines, and the empty line after them."""
        self.send("\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]))

    def whole(self, body: bytes, *lines: str, status: str = "200 OK") -> None:
        """A sound answer with a length."""
        self.head(status, f"Content-Length: {len(body)}", *lines)
        self.send(body)

    def endless(self, block: bytes) -> None:
        """Send a block again and again, until nobody listens."""
        block = block * max(1, (1 << 16) // len(block))
        for _ in range(MOST_SENT_BYTES // len(block)):
            if self.over.is_set():
                return
            self.send(block)

    def drip(self, content: bytes, pause_s: float = 0.3) -> None:
        """Send one byte after another, slowly."""
        for place in range(len(content)):
            if self.over.wait(pause_s):
                return
            self.send(content[place : place + 1])

    def silent(self) -> None:
        """Say nothing until nobody listens."""
        self.over.wait(PATIENCE_S)

    def reset(self) -> None:
        """Break off so that the other end gets an error, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    @property
    def start(self) -> int:
        """First byte that is asked for."""
        first = self.span.removeprefix("bytes=").partition("-")[0]
        return int(first) if first.isdecimal() else 0

    def honest(self, *lines: str) -> None:
        """What a good server answers, parts included."""
        lines = (*lines, 'ETag: "1"')
        if not self.span:
            self.whole(self.sound, *lines)
        elif self.start >= len(self.sound):
            self.whole(b"", *lines, status="416 Range Not Satisfiable")
        else:
            span = f"Content-Range: bytes {self.start}-{len(self.sound) - 1}/{len(self.sound)}"
            self.whole(self.sound[self.start :], span, *lines, status="206 Partial Content")


Lie = Callable[[Talk], None]


def honest(talk: Talk) -> None:
    """No lie at all."""
    talk.honest()


class LyingServer:
    """Answers every request as it is told to.

    Parameters
    ----------
    sound
        Path and bytes of what there is; anything else is not found.
    """

    def __init__(self, sound: dict[str, bytes]) -> None:
        self.sound = sound
        self.lie: Lie = honest
        self.lie_of_licences: Lie | None = None
        self.counts: dict[str, int] = {}
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listening.getsockname()[1]

    def close(self) -> None:
        """Stop; whoever still sends or waits ends."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._threads:
            each.join(timeout=5)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(PATIENCE_S)
            asked = b""
            while b"\r\n\r\n" not in asked and len(asked) < LONGEST_REQUEST_BYTES:
                more = connection.recv(4096)
                if not more:
                    return
                asked += more
                if not asked.startswith(b"GET "):
                    # TLS, for example: whoever asks gets an answer that it cannot understand.
                    break
            lines = asked.decode("latin-1").split("\r\n")
            path = [*lines[0].split(" "), ""][1]
            span = next((each.partition(":")[2].strip() for each in lines if each.lower().startswith("range:")), "")
            count = self.counts.get(path, 0)
            self.counts[path] = count + 1
            is_licence = path.rpartition("/")[2].startswith(("LICENSE", "README"))
            lie = self.lie_of_licences if is_licence else self.lie
            # What is there under another name is what a redirect leads to.
            sound = self.sound.get(path, b"")
            talk = Talk(connection, path, span, sound, count, self._over)
            if lie is None:
                talk.whole(b"Do what you like.")
            else:
                lie(talk)
            connection.shutdown(socket.SHUT_WR)


@contextmanager
def lying(sound: dict[str, bytes]) -> Iterator[LyingServer]:
    """A server for as long as it is entered."""
    server = LyingServer(sound)
    try:
        yield server
    finally:
        server.close()
