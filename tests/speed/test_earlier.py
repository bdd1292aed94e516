"""Earlier results of a benchmark are data from outside: sound ones make their page, others are one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.earlier import read_results
from benchmarks.speed.lines import machine_line, short_lines
from benchmarks.speed.page import markdown
from napari_vidrecon.errors import StorageError

PAGES = Path(__file__).parents[2] / "docs"
STRANGE = (None, True, -1, 0, 10**30, float("nan"), float("inf"), "", "x" * 1000, "a\nb", [], {}, [[[]]], 1.5)


def places(value: Any, before: tuple = ()) -> Iterator[tuple]:
    """Every key, and the first entry of every list."""
    if isinstance(value, dict):
        for key in value:
            yield (*before, key)
            yield from places(value[key], (*before, key))
    elif isinstance(value, list) and value:
        yield (*before, 0)
        yield from places(value[0], (*before, 0))


def test_our_own_results_make_their_page() -> None:
    results = read_results(PAGES / "performance.json")
    assert markdown(results) == (PAGES / "performance.md").read_text(encoding="utf-8")


def test_a_strange_value_at_any_place_is_refused_or_harmless(tmp_path: Path) -> None:
    sound = json.loads((PAGES / "performance.json").read_text(encoding="utf-8"))
    file, refused = tmp_path / "speed.json", 0
    for place in places(sound):
        for strange in STRANGE:
            results = copy.deepcopy(sound)
            inner = results
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = strange
            file.write_text(json.dumps(results), encoding="utf-8")
            try:
                found = read_results(file)
            except StorageError:
                refused += 1
                continue
            markdown(found)
            short_lines(found)
            machine_line(found["machine"])
    assert refused > 500


@pytest.mark.parametrize("content", ["", "[" * 100_000, "{}", "[]", "1", "\x00", '{"format": "vidrecon bench 2"}'])
def test_a_file_of_something_else_is_one_line(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "speed.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match="expected results of `vidrecon bench`"):
        read_results(file)
