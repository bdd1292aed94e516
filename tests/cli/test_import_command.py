"""`vidrecon import`: raw files in, a session out, and every fault one line."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outside_packages import BOXES, write_box
from raw_recordings import RawMouse

from napari_vidrecon.cli.report import Progress
from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.session import Session, open_session


@pytest.fixture(scope="module")
def mouse(recorded_mouse_folder: Path) -> Session:
    return open_session(recorded_mouse_folder)


@pytest.fixture
def raw(mouse: Session) -> RawMouse:
    return RawMouse.of(mouse)


def words_of(raw: RawMouse, kind: str, place: Path) -> tuple[str, Path]:
    """Write the raw files of a kind; the words that import them."""
    if kind == "nwb":
        return kind, raw.write_nwb(place.with_suffix(".nwb"))
    return kind, (raw.write_suite2p if kind == "suite2p" else raw.write_arrays)(place)


@pytest.mark.parametrize("kind", ["suite2p", "nwb", "arrays"])
def test_a_recording_becomes_a_session(kind: str, raw: RawMouse, mouse: Session, vidrecon, tmp_path: Path) -> None:
    out = tmp_path / "session"
    answer = vidrecon("import", *words_of(raw, kind, tmp_path / "raw"), "--out", out, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["totals"]["trials_by_tier"] == {"train": 8, "live_test_main": 2, "oracle": 2}
    assert {"kind": "resampled", "about": "activity", "text": "8 Hz to the video clock, interpolated linearly"} in (
        answer.json["notes"]
    )
    np.testing.assert_allclose(open_session(out).trial(3).responses, mouse.trial(3).responses, atol=0.01)
    assert vidrecon("validate", out).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--screen", "18x16"), "18 x 16 pixels on 56.5 x 31.8 cm are 0.5 times as high as wide"),
        (("--screen", "18x16", "--screen-cm", "16,18,20"), ""),
        (("--screen", "72x128"), ""),
    ],
)
def test_pixels_that_are_not_square_on_the_screen_are_told(
    words, said: str, raw: RawMouse, vidrecon, tmp_path: Path
) -> None:
    recording = words_of(raw, "arrays", tmp_path / "raw")
    answer = vidrecon("import", *recording, "--out", tmp_path / "session", "--fit", "stretch", *words, "--json")
    told = [note["text"] for note in answer.json["notes"] if note["about"] == "screen"]
    assert len(told) == bool(said)
    assert all(text.startswith(said) for text in told)


@pytest.mark.parametrize("kind", ["suite2p", "nwb", "arrays"])
def test_a_preview_lists_every_array_and_writes_nothing(kind: str, raw: RawMouse, vidrecon, tmp_path: Path) -> None:
    words = words_of(raw, kind, tmp_path / "raw")
    before = sorted(tmp_path.rglob("*"))
    answer = vidrecon("import", *words, "--preview", "--json")
    uses = {column["use"]: column for column in answer.json["columns"]}
    assert uses["activity"]["rate_hz"] == pytest.approx(8)
    assert uses["stimulus"]["highest"] > uses["stimulus"]["lowest"]
    assert {"running", "pupil size", "pupil centre"} <= set(uses)
    assert "pupil centre" in vidrecon("import", *words, "--preview").out
    assert sorted(tmp_path.rglob("*")) == before


def test_an_imported_session_is_replaced_only_if_asked_and_other_folders_never(
    raw: RawMouse, vidrecon, tmp_path: Path
) -> None:
    words = ("import", *words_of(raw, "arrays", tmp_path / "raw"), "--out", tmp_path / "session")
    assert vidrecon(*words).code == 0
    assert vidrecon(*words).code == 2
    (tmp_path / "session/encoders").mkdir()
    (tmp_path / "session/encoders/own.pth").write_text("mine")
    answer = vidrecon(*words, "--overwrite")
    assert answer.code == 0
    assert "left as they were: encoders/" in answer.err
    assert (tmp_path / "session/encoders/own.pth").read_text() == "mine"
    answer = vidrecon("import", "arrays", tmp_path / "raw", "--out", tmp_path / "raw", "--overwrite")
    assert answer.code == 2
    assert "other files" in answer.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("matlab", "SOURCE"), "suite2p, phy, caiman, nwb, arrays"),
        (("arrays", "nowhere"), "nothing there"),
        (("arrays", "SOURCE", "--fit", "squeeze"), "fit"),
        (("arrays", "SOURCE", "--levels", "white"), "BLACK:WHITE"),
        (("arrays", "SOURCE", "--trial-frames", "10"), "trial_frames"),
        (("suite2p", "SOURCE", "--signal", "raw"), "spks or dff"),
        (("nwb", "SOURCE", "--sample-time", "end"), "start or middle"),
        (("nwb", "SOURCE"), "NWB file"),
        (("arrays", "SOURCE", "--signal", "dff"), "--signal: expected only for suite2p"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, named: str, raw: RawMouse, vidrecon, tmp_path: Path) -> None:
    source = raw.write_arrays(tmp_path / "raw")
    answer = vidrecon("import", *(source if word == "SOURCE" else word for word in words), "--out", tmp_path / "s")
    assert answer.code == 2
    assert named in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_without_a_place_to_write_to_it_says_so(raw: RawMouse, vidrecon, tmp_path: Path) -> None:
    answer = vidrecon("import", *words_of(raw, "arrays", tmp_path / "raw"))
    assert answer.code == 2
    assert "--out" in answer.err
    assert "--preview" in answer.err


def test_an_interrupted_import_leaves_nothing(
    raw: RawMouse, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.sessions.importing import importer

    once = importer.behavior_of

    def interrupted(*arguments: Any) -> object:
        signal.raise_signal(signal.SIGINT)
        return once(*arguments)

    monkeypatch.setattr(importer, "behavior_of", interrupted)
    words = words_of(raw, "arrays", tmp_path / "raw")
    answer = vidrecon("import", *words, "--out", tmp_path / "out" / "session")
    assert answer.code == 130
    assert "nothing was written" in answer.err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_film_whose_decoder_ctrl_c_ended_is_not_called_damaged(
    raw: RawMouse, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.sessions.importing import importer

    def interrupted(*_words: object) -> None:
        signal.raise_signal(signal.SIGINT)
        raise StorageError("film.mp4: expected 300 frames, found that frame 90 cannot be read; it is damaged")

    monkeypatch.setattr(importer, "import_recording", interrupted)
    answer = vidrecon("import", *words_of(raw, "arrays", tmp_path / "raw"), "--out", tmp_path / "session")
    assert answer.code == 130
    assert "nothing was written to" in answer.err
    assert "damaged" not in answer.err


def test_a_reader_of_another_package_brings_its_options(
    install_package, raw: RawMouse, mouse: Session, vidrecon, tmp_path: Path
) -> None:
    install_package("lab_boxes", BOXES, {"readers": "box = lab_boxes:BoxReader"})
    file, out = write_box(raw, tmp_path / "mouse.box"), tmp_path / "session"
    told = vidrecon("import", "--help").out
    assert "--gain" in told
    assert "--box-out" in told
    assert vidrecon("import", "box", file, "--gain", "3", "--box-out", "--out", out).code == 0
    np.testing.assert_allclose(open_session(out).trial(3).responses, 3 * mouse.trial(3).responses, atol=0.03)
    answer = vidrecon("import", "box", file, "--gain", "much", "--out", tmp_path / "other")
    assert (answer.code, len(answer.err.strip().splitlines())) == (2, 1)
    assert "gain: input should be a valid number" in answer.err


@pytest.mark.parametrize(
    ("verb", "usage"),
    [("reconstruct", "SESSION"), ("train", "SESSION..."), ("import", "KIND SOURCE"), ("export", "RUN.zarr")],
)
def test_a_line_of_usage_names_what_is_wanted_without_braces(verb: str, usage: str, vidrecon, tmp_path: Path) -> None:
    assert f"vidrecon {verb} [OPTIONS] {usage}\n" in vidrecon(verb, "--help").out


def test_a_rate_is_told_once_the_first_step_is_done(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    from napari_vidrecon.cli import report

    monkeypatch.setattr(report, "SECONDS_BETWEEN_LINES", 0)
    with report.Progress("study", 8, "runs", done=2) as progress:
        progress.update(2, "first")
        progress.update(3)
    begun, going = capsys.readouterr().err.splitlines()
    assert begun == "study: 2 of 8 runs, first"
    assert going.startswith("study: 3 of 8 runs, ")
    assert "runs/s" in going


def test_what_went_before_the_first_step_does_not_count_for_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("napari_vidrecon.cli.report.time.monotonic", lambda: now[0])
    with Progress("importing", 0) as progress:
        now[0] = 600.0
        progress.begin(1)
        progress.total = 101
        now[0] = 640.0
        progress.update(21)
    assert "importing: 21 of 101 steps, 0.5 steps/s, 2 min 40 s left" in capsys.readouterr().err
