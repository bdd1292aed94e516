"""A short part of `benchmarks/safety/lying_server.py`: whatever a server answers, the sound file comes or one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.safety.lying_server import WAYS, one_way, sound_things
from benchmarks.safety.lying_ways import LENGTHS, PARTS, Way
from napari_vidrecon.sessions.downloading import answers, resuming


@pytest.fixture(scope="module")
def things() -> dict[str, bytes]:
    return sound_things()


# All of them take minutes; of these, at most a tenth of a second each, the table has every kind.
SHORT = [way for way in WAYS if way.quick and way.thing == "mask"]
SHORT = [*LENGTHS, *PARTS, *[way for way in SHORT if way not in LENGTHS + PARTS][::4]]


@pytest.mark.parametrize("way", SHORT, ids=lambda way: way.name[:60])
def test_a_server_that_lies_brings_the_sound_file_or_one_line(
    way: Way, things: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WINDOW_S", 1.0)
    monkeypatch.setattr(resuming, "PAUSE_S", 0.0)
    assert one_way(way, things, tmp_path).fault == ""


def test_the_table_holds_at_least_forty_ways_of_each_name_once() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS) >= 45
