"""`ResumingDownload`: a download that goes on where the last one stopped, if the file is still the same."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import disk_errors

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 15.0, 60.0
BLOCK_BYTES = 1 << 20
SPARE_BYTES = 1 << 26
"""Room to leave on a disk."""

OnBytes = Callable[[int, int], None]


class ResumingDownload:
    """Fetches one file into a part that is kept if the connection breaks; pooch calls it.

    Parameters
    ----------
    part : where the bytes gather; beside it lies a note of which file they are of.
    on_bytes : called with the bytes there and the bytes in all, 0 where the server does not say.
    attempts : how often a broken connection is tried again without any new byte.
    pause_s : time before the first further attempt; each one waits twice as long.
    """

    def __init__(self, part: Path, on_bytes: OnBytes | None = None, attempts: int = 4, pause_s: float = 1.0) -> None:
        self.part, self.note = part, part.with_name(part.name + ".json")
        self.on_bytes, self.attempts, self.pause_s = on_bytes, attempts, pause_s
        self.resumed_at = 0

    def __call__(self, url: str, output_file: str | Path, _pooch: object, check_only: bool = False) -> None:
        """Fetch `url` and move it to `output_file`.

        Raises
        ------
        StorageError : not there, not permitted, a connection that stays broken, or no room on the disk.
        """
        # Pooch asks so in `is_available`, which nothing here calls; a silent answer would mean "not there".
        if check_only:
            raise NotImplementedError("only whole downloads")
        failures = 0
        while True:
            before = self._bytes
            try:
                self._fetch(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failures = 0 if self._bytes > before else failures + 1
                if failures >= self.attempts:
                    raise StorageError(
                        f"{url}: expected the whole file, found a connection that breaks ({_reason(error)}); "
                        f"{self._bytes} bytes are kept, and the same command goes on from there"
                    ) from None
                time.sleep(self.pause_s * 2 ** max(failures - 1, 0))
        with disk_errors(output_file):
            shutil.move(self.part, output_file)
        self.note.unlink(missing_ok=True)

    @property
    def _bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch(self, url: str) -> None:
        have, known = self._bytes, self._known(url)
        headers = {"Accept-Encoding": "identity"}
        if have and known:
            headers["Range"] = f"bytes={have}-"
            if known["validator"]:
                headers["If-Range"] = known["validator"]
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                if have == known.get("total"):
                    return
                self.part.unlink()
                raise requests.ConnectionError("the part did not fit the file")
            if answer.status_code >= 400:
                raise StorageError(f"{url}: expected a file, found the answer {answer.status_code} {answer.reason}; "
                                   "check the name, or whether it has moved")  # fmt: skip
            start, total = _place(answer)
            if start != have or (have and total != known.get("total")):
                # The server sends all of it, or another file than the part is of.
                if start:
                    self.part.unlink()
                    raise requests.ConnectionError("the file has changed")
                have = 0
            self.resumed_at = have
            self._write_note(url, answer, total)
            self._require_room(total - have)
            self._receive(answer, have, total)
        if total and self._bytes != total:
            raise requests.ConnectionError(f"{self._bytes} of {total} bytes came")

    def _receive(self, answer: requests.Response, have: int, total: int) -> None:
        with disk_errors(self.part), self.part.open("ab" if have else "wb") as file:
            for block in answer.iter_content(BLOCK_BYTES):
                file.write(block)
                have += len(block)
                if self.on_bytes is not None:
                    file.flush()
                    self.on_bytes(have, total)

    def _known(self, url: str) -> dict[str, Any]:
        try:
            known = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        fits = isinstance(known, dict) and known.get("url") == url and known.get("total") and "validator" in known
        return known if fits else {}

    def _write_note(self, url: str, answer: requests.Response, total: int) -> None:
        validator = answer.headers.get("ETag", "")
        if validator.startswith("W/"):
            # A weak tag may not be used to put parts together.
            validator = ""
        validator = validator or answer.headers.get("Last-Modified", "")
        with disk_errors(self.note):
            self.note.parent.mkdir(parents=True, exist_ok=True)
            self.note.write_text(json.dumps({"url": url, "validator": validator, "total": total}), encoding="utf-8")

    def _require_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if wanted + SPARE_BYTES > free:
            raise StorageError(
                f"{self.part.parent}: expected {wanted / 1e9:.2f} GB of room for {self.part.name}, "
                f"found {free / 1e9:.2f} GB; make room or choose another folder"
            )


def _place(answer: requests.Response) -> tuple[int, int]:
    """First byte of an answer, and the length of the whole file; 0 where the server does not say."""
    if answer.status_code == requests.codes.partial_content:
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = span.partition("-")[0]
        if start.isdecimal() and total.isdecimal():
            return int(start), int(total)
        raise requests.ConnectionError("a part of the file that says not which")
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else 0


def _reason(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0][:200] if text else type(error).__name__
