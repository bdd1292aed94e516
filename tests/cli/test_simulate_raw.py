"""`vidrecon simulate --raw`: the files that a laboratory would have, which an import makes the same mouse of."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.simulation.raw.raw_mouse import raw_place

SMALL = ("--neurons", 6, "--trials", 8, "--validation-trials", 2, "--test-trials", 2)
KINDS = ("arrays", "suite2p", "nwb")


def test_raw_files_of_every_kind_become_the_same_mouse_again(vidrecon, tmp_path) -> None:
    words = [word for kind in KINDS for word in ("--raw", kind)]
    out = tmp_path / "mouse"
    made = vidrecon("simulate", "--seed", 9, "--out", out, "--frames", 75, *SMALL, *words, "--json")
    assert made.code == 0, made.err
    mouse = open_session(out)
    for kind in KINDS:
        session = tmp_path / f"from_{kind}"
        answer = vidrecon("import", kind, raw_place(out, kind), "--out", session)
        assert answer.code == 0, answer.err
        imported = open_session(session)
        assert imported.simulated
        assert imported.tiers == mouse.tiers
        trial, expected = imported.trial(3), mouse.trial(3)
        np.testing.assert_array_equal(trial.video, np.rint(expected.video))
        np.testing.assert_allclose(trial.responses, expected.responses, atol=1e-4 * expected.responses.max())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--raw", "matlab"), "expected one of arrays, suite2p, nwb, found 'matlab'"),
        (("--raw", "nwb", "--frames", "70"), "expected clips of a multiple of 15 frames, found 70"),
    ],
)
def test_what_cannot_be_written_is_one_line_before_anything_is_simulated(words, expected, vidrecon, tmp_path) -> None:
    answer = vidrecon("simulate", "--out", tmp_path / "mouse", *SMALL, *words)
    assert answer.code == 2
    assert expected in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_somebody_s_recording_is_never_replaced_by_raw_files(vidrecon, tmp_path) -> None:
    place = tmp_path / "mouse_suite2p"
    place.mkdir()
    (place / "recording.toml").write_text('name = "mine"\n')
    answer = vidrecon("simulate", "--out", tmp_path / "mouse", *SMALL, "--raw", "suite2p", "--overwrite")
    assert answer.code == 2
    assert "mouse_suite2p: expected a free name" in answer.err
    assert [each.name for each in tmp_path.iterdir()] == ["mouse_suite2p"]
