"""`vidrecon download`: the licence is shown, the bytes are checked, faults are one line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, serving

PLACE = "/Joel-Bauer/Movie_reconstruction/raw/master"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as held:
        buffer = io.BytesIO()
        np.save(buffer, np.ones((64, 64)))
        held.files = {f"{PLACE}/reconstructions/masks/mask_m{mouse}.npy": buffer.getvalue() for mouse in range(5)}
        held.files[f"{PLACE}/LICENSE"] = b"Share alike.\nAnd cite."
        yield held


def test_everything_public_is_listed_without_a_connection(vidrecon, tmp_path: Path) -> None:
    answer = vidrecon("download", "--list")
    assert answer.code == 0
    for name in ("dynamic29515-10-12", "weights-fold6", "mask-m4", "gaussian-noise"):
        assert name in answer.out
    assert "licence could not be checked" in answer.out
    listed = vidrecon("download", "--list", "--json").json["files"]
    assert len(listed) == 24


def test_a_group_is_fetched_after_its_licence_was_shown_once(vidrecon, server: FileServer, tmp_path: Path) -> None:
    words = ("download", "masks", "--out", tmp_path / "data", "--mirror", server.url)
    answer = vidrecon(*words)
    assert answer.code == 0, answer.err
    assert answer.err.count("Share alike.") == 1
    assert "cite: Bauer" in answer.err
    assert answer.out.count("recorded") == 5
    assert len(list((tmp_path / "data" / "masks").glob("*.npy"))) == 5
    again = vidrecon(*words, "--json")
    assert [each["was_there"] for each in again.json["downloads"]] == [True] * 5
    assert vidrecon("info", tmp_path / "data" / "masks" / "mask_m0.npy").code == 0


@pytest.mark.parametrize(
    ("words", "named"), [((), "--list"), (("mouse",), "none of that name"), (("gratings",), "404")]
)
def test_what_cannot_be_fetched_is_one_line(
    words: tuple[str, ...], named: str, vidrecon, server: FileServer, tmp_path: Path
) -> None:
    answer = vidrecon("download", *words, "--out", tmp_path / "data", "--mirror", server.url)
    assert answer.code == 2
    assert named in answer.err
    assert "Traceback" not in answer.err
