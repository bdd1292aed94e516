"""`vidrecon simulate --raw`: the files that a laboratory would have, which an import makes the same mouse of."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.simulation.raw_mouse import raw_place

SMALL = ("--neurons", 6, "--trials", 8, "--validation-trials", 2, "--test-trials", 2)
KINDS = ("arrays", "suite2p", "nwb")


def test_raw_files_of_every_kind_become_the_same_mouse_again(vidrecon, tmp_path) -> None:
    words = [word for kind in KINDS for word in ("--raw", kind)]
    out = tmp_path / "mouse"
    made = vidrecon("simulate", "--seed", 7, "--out", out, "--frames", 75, *SMALL, *words, "--json")
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


def test_an_nwb_file_in_colours_becomes_the_same_mouse_again(vidrecon, tmp_path) -> None:
    out, screen = tmp_path / "mouse", ("--screen", "12x16", "--colours", "red,green,uv")
    made = vidrecon("simulate", "--seed", 7, "--out", out, "--frames", 75, *SMALL, *screen, "--raw", "nwb")
    assert made.code == 0, made.err
    answer = vidrecon("import", "nwb", tmp_path / "mouse.nwb", "--out", tmp_path / "again", *screen)
    assert answer.code == 0, answer.err
    mouse, imported = open_session(out), open_session(tmp_path / "again")
    assert imported.screen.colours == mouse.screen.colours == ("red", "green", "uv")
    np.testing.assert_array_equal(imported.trial(3).video, np.rint(mouse.trial(3).video))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--raw", "matlab"), "expected one of arrays, suite2p, nwb, found 'matlab'"),
        (("--raw", "nwb", "--frames", "70"), "expected clips of a multiple of 15 frames, found 70"),
        (("--raw", "nwb", "--frames", "200", "--rate", "60"), "expected clips of a multiple of 30 frames, found 200"),
        (("--raw", "nwb", "--frames", "75", "--rate", "25"), "expected a multiple of 30 frames a second, found 25"),
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


def test_what_a_person_put_beside_simulated_files_stays_and_is_named(vidrecon, tmp_path) -> None:
    few = ("--neurons", 2, "--trials", 1, "--validation-trials", 1, "--test-trials", 0, "--frames", 45)
    words = ("simulate", "--out", tmp_path / "mouse", *few, "--raw", "arrays", "--raw", "nwb", "--overwrite")
    (tmp_path / "mouse.nwb").write_bytes(b"\x89HDF\r\n\x1a\n of somebody")
    answer = vidrecon(*words)
    assert answer.code == 2
    assert "mouse.nwb: expected a free name" in answer.err
    assert [each.name for each in tmp_path.iterdir()] == ["mouse.nwb"]
    (tmp_path / "mouse.nwb").unlink()
    assert vidrecon(*words).code == 0
    for name in ("mouse/mask.npy", "mouse/encoders/a.safetensors", "mouse_arrays/suite2p/plane0/ops.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    answer = vidrecon(*words)
    assert answer.code == 0
    assert "left as they were: encoders/, mask.npy\n" in answer.err
    assert f"left as they were in {tmp_path / 'mouse_arrays'}: suite2p/plane0/ops.npy\n" in answer.err
    assert (tmp_path / "mouse_arrays/suite2p/plane0/ops.npy").read_text() == "mine"
    assert (tmp_path / "mouse/encoders/a.safetensors").read_text() == "mine"
