"""A local server of files that can break, change its mind, or answer with something else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class FileServer:
    """What the server holds, and how it misbehaves.

    Parameters
    ----------
    files : {path: bytes}.
    breaks_after : for each coming request of a file, the bytes after which the connection breaks.
    ranges : the server can send parts.
    tags : it says an ETag.
    lengths : it says the length of a file.
    requests : (path, Range header or empty) of every request so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: list[int] = field(default_factory=list)
    ranges: bool = True
    tags: bool = True
    lengths: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def asked_for(self, path: str) -> list[str]:
        """Range headers of the requests of a path."""
        return [span for asked, span in self.requests if asked == path]


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server on a free port of this machine."""
    held = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, span = unquote(self.path), self.headers.get("Range", "")
            held.requests.append((path, span))
            content = held.files.get(path)
            if content is None:
                self.send_error(404)
                return
            tag, start = f'"{hash(content) & 0xFFFFFFFF:x}"', 0
            wanted = self.headers.get("If-Range", tag) == tag
            if span and held.ranges and wanted:
                start = int(span.removeprefix("bytes=").partition("-")[0])
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if held.tags:
                self.send_header("ETag", tag)
            if held.lengths:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if held.breaks_after and not path.endswith(("LICENSE", ".md", ".txt")):
                body = body[: held.breaks_after.pop(0)]
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
