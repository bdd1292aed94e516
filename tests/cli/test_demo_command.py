"""`vidrecon demo`: ends with movie, picture, summary and run, with a display or without."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import imageio.v3 as iio
import pytest

import napari_vidrecon as vr
from napari_vidrecon.sessions.sample import Sample

FILES = {"movie.mp4", "picture.png", "summary.json", "run.zarr"}


@pytest.fixture
def small_sample(small_session_folder: Path, small_encoder_file: Path, mask_file: Path, monkeypatch) -> Sample:
    """The small session in the place of the sample."""
    sample = Sample(small_session_folder, (small_encoder_file,), mask_file)
    monkeypatch.setattr("napari_vidrecon.sessions.sample.find_sample", lambda: sample)
    return sample


def test_it_ends_with_all_files_and_a_summary(small_sample: Sample, vidrecon, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    answer = vidrecon("demo", "--out", out, "--headless", "--trial", 0, "--frames", 40, "--steps", 2)
    assert answer.code == 0, answer.err
    assert {file.name for file in out.iterdir()} == FILES
    summary = json.loads((out / "summary.json").read_text())
    assert summary["simulated"] is True
    assert (summary["steps"], summary["frames"], summary["window"]) == (2, 40, False)
    assert -1 <= summary["video_correlation"] <= 1
    assert len(iio.imread(out / "movie.mp4")) == 40
    assert "simulated mouse" in answer.out
    assert "video correlation" in answer.out
    assert vr.Reconstruction.load(out / "run.zarr").finished


@pytest.mark.long
def test_it_can_be_run_again_with_other_settings(small_sample: Sample, vidrecon, tmp_path: Path) -> None:
    words = ("demo", "--out", tmp_path, "--headless", "--trial", 0, "--frames", 40, "--json")
    assert vidrecon(*words, "--steps", 1).json["steps"] == 1
    assert vidrecon(*words, "--steps", 2).json["steps"] == 2


def test_a_file_of_somebody_elses_is_named_before_anything_is_computed_and_stays(
    small_sample: Sample, vidrecon, tmp_path: Path
) -> None:
    words = ("demo", "--headless", "--trial", 0, "--frames", 40, "--steps", 1, "--out")
    (tmp_path / "movie.mp4").write_text("mine")
    answer = vidrecon(*words, tmp_path)
    assert answer.code == 2
    assert "movie.mp4: expected a free name, or an earlier demo" in answer.err
    assert [file.name for file in tmp_path.iterdir()] == ["movie.mp4"]
    assert vidrecon(*words, tmp_path / "movie.mp4").code == 2
    assert (tmp_path / "movie.mp4").read_text() == "mine"


@pytest.mark.long
def test_a_demo_that_was_killed_before_its_summary_is_gone_on_with(
    small_sample: Sample, vidrecon, tmp_path: Path
) -> None:
    words = ("demo", "--out", tmp_path, "--headless", "--trial", 0, "--frames", 40, "--steps", 1)
    assert vidrecon(*words).code == 0
    (tmp_path / "summary.json").unlink()
    run = tmp_path / "run.zarr" / "zarr.json"
    run.write_text(run.read_text().replace('"simulated": false', '"simulated": true'))
    assert vidrecon(*words).code == 0
    assert {file.name for file in tmp_path.iterdir()} == FILES


def test_without_a_display_it_goes_on_headless(
    small_sample: Sample, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    answer = vidrecon("demo", "--out", tmp_path, "--trial", 0, "--frames", 40, "--steps", 1)
    assert answer.code == 0
    assert "no display" in answer.err
    assert {file.name for file in tmp_path.iterdir()} == FILES


def test_a_display_that_cannot_be_reached_is_no_end(
    small_sample: Sample, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vidrecon.cli.doctor.has_display", lambda: True)
    monkeypatch.setattr("napari_vidrecon.cli.demo.WINDOW_PROBE", "raise SystemExit(1)")
    answer = vidrecon("demo", "--out", tmp_path, "--trial", 0, "--frames", 40, "--steps", 1)
    assert answer.code == 0
    assert "vidrecon doctor" in answer.err
    assert {file.name for file in tmp_path.iterdir()} == FILES


def test_with_a_display_the_window_makes_the_run(
    small_sample: Sample, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_run: Path
) -> None:
    shown = []

    def show_demo(sample: Sample, trial_id: int, frames: int, config, out: Path) -> vr.Reconstruction:
        shown.append((sample, trial_id, frames, config.steps, out))
        return vr.Reconstruction.load(one_run)

    window = types.ModuleType("napari_vidrecon.viewer.demo")
    window.show_demo = show_demo  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "napari_vidrecon.viewer.demo", window)
    monkeypatch.setattr("napari_vidrecon.cli.demo._window_can_open", lambda: True)
    out = tmp_path / "demo"
    answer = vidrecon("demo", "--out", out, "--trial", 0, "--steps", 7, "--json")
    assert answer.json["window"] is True
    assert shown == [(small_sample, 0, 64, 7, out)]
    assert {file.name for file in out.iterdir()} == FILES


def test_more_encoders_than_there_are_is_one_line(small_sample: Sample, vidrecon, tmp_path: Path) -> None:
    answer = vidrecon("demo", "--out", tmp_path / "demo", "--encoders", 3, "--headless")
    assert answer.code == 2
    assert "expected 3 encoders" in answer.err
    assert not (tmp_path / "demo").exists()


def test_the_sample_of_this_installation_will_do(vidrecon, tmp_path: Path) -> None:
    answer = vidrecon("demo", "--out", tmp_path, "--headless", "--steps", 2, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["simulated"] is True
    assert answer.json["neurons"] >= 500
