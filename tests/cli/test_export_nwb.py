"""`vidrecon export --nwb`: valid NWB that other programs open, and that reads back equal."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.errors import RunError
from napari_vidrecon.figures.nwb_export import read_nwb, write_nwb

pynwb = pytest.importorskip("pynwb", reason="NWB files need the extra nwb")


@pytest.fixture
def several(one_run: Path) -> vr.Reconstruction:
    """The run as if two draws had been averaged, and gaze and gain inferred."""
    result = vr.Reconstruction.load(one_run)
    other = np.clip(result.video + np.random.default_rng(0).normal(0, 3, result.video.shape), 0, 255)
    shift, gain = other[:, :2, :1].T.astype(np.float32), other[:, 0, :1].T.astype(np.float32)
    return replace(result, videos=[result.video, other.astype(np.float32)], gaze_px=shift, gain=gain)


def test_a_run_is_a_valid_nwb_file_with_everything_in_it(
    vidrecon, one_run: Path, small_session_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "run.nwb"
    answer = vidrecon("export", one_run, "--nwb", file, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["nwb"] == str(file)
    assert pynwb.validate(path=str(file)) == []
    result = vr.Reconstruction.load(one_run)
    with pynwb.NWBHDF5IO(str(file), "r") as io:
        book = io.read()
        assert small_session_folder.name in book.notes
        module = book.processing["vidrecon"]
        movie = module["reconstruction"]
        # The standard's (frame, x, y).
        np.testing.assert_array_equal(movie.data[:].transpose(0, 2, 1), result.video)
        assert movie.rate == 30.0
        assert module["mask"]["alpha"].data.shape == result.alpha.shape[::-1]
        np.testing.assert_array_equal(module["neurons"]["kept"][:], result.keep)
        (config,) = (text for of, text in zip(*(module["configuration"][c][:] for c in ("of", "json")), strict=True)
                     if of == "config")  # fmt: skip
        assert json.loads(config)["steps"] == result.config.steps
        assert "uncertainty" not in module.data_interfaces


def test_what_was_exported_reads_back_equal(several: vr.Reconstruction, tmp_path: Path) -> None:
    write_nwb(several, tmp_path / "run.nwb")
    found = read_nwb(tmp_path / "run.nwb")
    for name in ("video", "stimulus", "target", "predicted_activity", "keep", "alpha", "gaze_px", "gain"):
        mine, theirs = getattr(found, name), getattr(several, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
        assert mine.dtype == theirs.dtype
    np.testing.assert_array_equal(found.videos, several.videos)
    assert found.config == several.config
    assert found.provenance == json.loads(json.dumps(several.provenance))
    for name, values in several.history.as_dict().items():
        np.testing.assert_array_equal(found.history[name], values, err_msg=name)
    assert found.levels == several.levels
    assert found.scores() == several.scores()


def test_the_spread_over_draws_is_the_uncertainty(several: vr.Reconstruction, tmp_path: Path) -> None:
    write_nwb(several, tmp_path / "run.nwb")
    assert pynwb.validate(path=str(tmp_path / "run.nwb")) == []
    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        stored = io.read().processing["vidrecon"]["uncertainty"].data[:].transpose(0, 2, 1)
    np.testing.assert_array_equal(stored, uncertainty_map(several.videos))


def test_the_recording_that_a_session_came_from_is_named(several: vr.Reconstruction, tmp_path: Path) -> None:
    session = tmp_path / "mouse"
    session.mkdir()
    notes = [{"kind": "read", "about": "files", "text": "NWB, 5 series; mouse.nwb, identifier abc"}]
    (session / "import.json").write_text(json.dumps({"notes": notes}))
    inputs = {**several.provenance["inputs"], "session": str(session)}
    write_nwb(replace(several, provenance={**several.provenance, "inputs": inputs}), tmp_path / "run.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        assert io.read().notes == "Session: mouse. Imported from: NWB, 5 series; mouse.nwb, identifier abc."


def test_the_terms_of_a_public_mouse_go_with_what_was_made_of_it(several: vr.Reconstruction, tmp_path: Path) -> None:
    inputs = {**several.provenance["inputs"], "session": "mice/dynamic29515-10-12-Video-9b4f6a1a067fe51e"}
    write_nwb(replace(several, provenance={**several.provenance, "inputs": inputs}), tmp_path / "run.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        assert "CC BY-NC-ND 4.0" in io.read().notes


def test_another_nwb_file_and_another_ending_are_one_line(vidrecon, one_run: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    with pynwb.NWBHDF5IO(str(tmp_path / "x.nwb"), "w") as io:
        io.write(pynwb.NWBFile("x", "x", datetime(2026, 1, 1, tzinfo=UTC)))
    with pytest.raises(RunError, match="found no module vidrecon"):
        read_nwb(tmp_path / "x.nwb")
    answer = vidrecon("export", one_run, "--nwb", tmp_path / "run.h5")
    assert answer.code == 2
    assert ".nwb" in answer.err


def test_without_pynwb_it_says_what_to_install(
    vidrecon, one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynwb", None)
    answer = vidrecon("export", one_run, "--nwb", tmp_path / "run.nwb")
    assert answer.code == 2
    assert "napari-vidrecon[nwb]" in answer.err
    assert not (tmp_path / "run.nwb").exists()


def test_a_run_in_colours_says_which_lies_where(several: vr.Reconstruction, tmp_path: Path) -> None:
    result = replace(several, provenance={**several.provenance, "colours": ["green", "uv"]})
    file = write_nwb(result, tmp_path / "run.nwb")
    again = read_nwb(file)
    assert again.colours == ("green", "uv")
    assert again.scores_by_colour() == result.scores_by_colour()
    with pynwb.NWBHDF5IO(str(file), "r") as io:
        book = io.read()
        told = [book.stimulus["stimulus"].description, book.processing["vidrecon"]["mask"]["alpha"].description]
        assert all(each.endswith("Colours stand one below the other: green, uv.") for each in told)
