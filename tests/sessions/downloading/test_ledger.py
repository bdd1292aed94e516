"""The record of downloads: every key checked, never lost, and shared by processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from file_server import serving

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.downloading import download as ledger_module
from napari_vidrecon.sessions.downloading.catalogue import catalogue
from napari_vidrecon.sessions.downloading.download import LEDGER_FILE, Ledger, Licence, download
from napari_vidrecon.storage import claimed

URL = "https://example.org/mask.npy"
ENTRY = {"sha256": "a" * 64, "bytes": 3, "first_fetched": "2026-01-01T00:00:00+00:00", "licence": {"url": "x"}}


def write(folder: Path, told: Any) -> str:
    text = told if isinstance(told, str) else json.dumps({URL: told})
    (folder / LEDGER_FILE).write_text(text, encoding="utf-8")
    return text


def test_what_is_recorded_is_known_and_what_later_versions_add_stays(tmp_path: Path) -> None:
    write(tmp_path, {**ENTRY, "mirror": "elsewhere"})
    Ledger(tmp_path).record("https://example.org/other", "b" * 64, 4, {"url": ""})
    assert Ledger(tmp_path).known_sha256(URL) == "a" * 64
    assert Ledger(tmp_path).known_sha256("https://example.org/other") == "b" * 64
    assert json.loads((tmp_path / LEDGER_FILE).read_text())[URL]["mirror"] == "elsewhere"


@pytest.mark.parametrize(
    "told",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "3",
        "null",
        "\x00",
        [],
        None,
        {},
        {**ENTRY, "sha256": 7},
        {**ENTRY, "sha256": "A" * 64},
        {**ENTRY, "sha256": "a" * 63},
        {**ENTRY, "bytes": -1},
        {**ENTRY, "bytes": True},
        {**ENTRY, "bytes": 1e300},
        {**ENTRY, "first_fetched": None},
        {**ENTRY, "licence": {"url": {"url": 1}}},
    ],
    ids=lambda told: repr(told)[:30],
)
def test_a_damaged_record_is_one_line_that_names_it_and_it_is_left_as_it_is(told: Any, tmp_path: Path) -> None:
    text = write(tmp_path, told)
    for attempt in (
        lambda: Ledger(tmp_path).known_sha256(URL),
        lambda: Ledger(tmp_path).record(URL, "b" * 64, 1, {}),
    ):
        with pytest.raises(StorageError, match=LEDGER_FILE) as raised:
            attempt()
        assert len(str(raised.value).splitlines()) == 1
    assert (tmp_path / LEDGER_FILE).read_text(encoding="utf-8") == text


def test_another_process_that_records_is_waited_for_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "PATIENCE_S", 0.05)
    with claimed(tmp_path / LEDGER_FILE), pytest.raises(StorageError, match="another process"):
        Ledger(tmp_path).record(URL, "b" * 64, 1, {})
    Ledger(tmp_path).record(URL, "b" * 64, 1, {})
    assert Ledger(tmp_path).known_sha256(URL) == "b" * 64


def test_a_download_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    with serving() as server:
        mask = catalogue(server.url)["mask-m1"]
        with (
            claimed(tmp_path / mask.goes_to, "download"),
            pytest.raises(StorageError, match="another process is at work on this download"),
        ):
            download(mask, tmp_path, Licence("", ""))
        assert server.requests == []


def test_locks_are_gone_afterwards(tmp_path: Path) -> None:
    Ledger(tmp_path).record(URL, "b" * 64, 1, {})
    assert [each.name for each in tmp_path.iterdir()] == [LEDGER_FILE]
