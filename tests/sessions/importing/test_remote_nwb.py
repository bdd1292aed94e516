"""NWB files at an address and assets of DANDI are read in parts; what cannot be read so is one line."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, StorageError, VidreconError
from napari_vidrecon.sessions.importing import hdf5_contents
from napari_vidrecon.sessions.importing.hdf5_contents import RemoteFile, address_of
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.session import open_session

ASSET = "01234567-89ab-cdef-0123-456789abcdef"


class Archive:
    """A server like DANDI's, on this machine: a list of assets, downloads that lead elsewhere, files in parts."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.parts, self.breaks, self.sent = True, 0, 0
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                archive.answer(self)

            def log_message(self, *arguments: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def answer(self, ask: Any) -> None:
        path = ask.path.partition("?")[0]
        if path == f"/api/assets/{ASSET}/download/":
            ask.send_response(302)
            ask.send_header("Location", f"{self.url}/blobs/mouse.nwb?signed=1")
            ask.end_headers()
        elif path == "/api/dandisets/000123/versions/draft/assets/":
            body = b'{"results": [{"path": "sub-1/mouse.nwb.old"}, {"path": "sub-1/mouse.nwb", "asset_id": "%s"}]}'
            self.send(ask, 200, body % ASSET.encode())
        elif path not in self.files:
            ask.send_error(404)
        else:
            whole = self.files[path]
            first, last = (int(word) for word in re.findall(r"\d+", ask.headers["Range"]))
            part = whole[first : last + 1] if self.parts else whole
            span = f"bytes {first}-{first + len(part) - 1}/{len(whole)}" if self.parts else ""
            self.send(ask, 206 if self.parts else 200, part, span)

    def send(self, ask: Any, status: int, body: bytes, span: str = "") -> None:
        ask.send_response(status)
        ask.send_header("Content-Length", str(len(body)))
        if span:
            ask.send_header("Content-Range", span)
        ask.end_headers()
        if span and self.breaks:
            self.breaks -= 1
            body = body[: len(body) // 2]
        self.sent += len(body)
        ask.wfile.write(body)
        ask.close_connection = True


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    held = Archive()
    monkeypatch.setattr(hdf5_contents, "DANDI_API", f"{held.url}/api")
    try:
        yield held
    finally:
        held.server.shutdown()
        held.thread.join()
        held.server.server_close()


@pytest.fixture
def there(archive: Archive, raw_mouse: RawMouse, tmp_path: Path) -> Archive:
    archive.files["/blobs/mouse.nwb"] = raw_mouse.write_nwb(tmp_path / "mouse.nwb").read_bytes()
    return archive


@pytest.mark.parametrize("form", ["address", "asset", "path in a set"])
def test_a_file_on_a_server_gives_the_same_recording(
    form: str, there: Archive, raw_mouse: RawMouse, tmp_path: Path, out: Path
) -> None:
    source = {
        "address": f"{there.url}/blobs/mouse.nwb",
        "asset": f"dandi:{ASSET}",
        "path in a set": "dandi:000123/sub-1/mouse.nwb",
    }[form]
    # As the command makes it: a path swallows a slash.
    with NwbFile(Path(source)) as opened:
        recording = opened.recording()
        np.testing.assert_array_equal(recording.activity.values, raw_mouse.activity.astype(np.float32))
        import_recording(recording, out)
    np.testing.assert_array_equal(open_session(out).trial(2).video, raw_mouse.movies[2])


def test_only_the_parts_that_are_needed_are_read_and_what_breaks_is_asked_for_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5_contents, "BLOCK_BYTES", 1000)
    content = np.random.default_rng(0).bytes(100_500)
    archive.files["/x"], archive.breaks = content, 2
    file = RemoteFile(f"{archive.url}/x")
    assert file.size == len(content)
    file.seek(50_990)
    assert file.read(20) == content[50_990:51_000]
    assert file.read(20) == content[51_000:51_020]
    file.seek(-5, 2)
    assert file.read() == content[-5:]
    assert archive.sent < 6000


def broken(archive: Archive) -> str:
    archive.breaks = 100
    return "a connection that breaks"


def without_parts(archive: Archive) -> str:
    archive.parts = False
    return "found the whole file; download it"


def gone(archive: Archive) -> str:
    archive.files.clear()
    return "found 404"


def no_nwb(archive: Archive) -> str:
    archive.files["/blobs/mouse.nwb"] = b"<html>sign in</html>"
    return "expected an NWB file, found a web page"


@pytest.mark.parametrize("damage", [broken, without_parts, gone, no_nwb])
def test_a_server_that_does_not_send_the_file_is_one_line(damage: Any, there: Archive) -> None:
    words = damage(there)
    with pytest.raises(StorageError) as caught, NwbFile(Path(f"{there.url}/blobs/mouse.nwb")):
        pass
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dandi:x", "dandi:000123/sub-1/other.nwb", "http:/a b/c"])
def test_an_address_that_is_none_is_one_line(name: str, archive: Archive) -> None:
    with pytest.raises(VidreconError, match="expected"):
        address_of(Path(name))
    assert address_of(Path("mouse.nwb")) is None


def test_nwb_in_zarr_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "mouse.nwb.zarr"
    folder.mkdir()
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(StorageError, match=r"found one in Zarr.*hdmf_zarr.*out.nwb"), NwbFile(folder):
        pass


def test_an_unknown_file_of_a_dandi_set_is_named(archive: Archive) -> None:
    with pytest.raises(SessionError, match="found none of that name"):
        address_of(Path("dandi:000123/sub-2/mouse.nwb"))
