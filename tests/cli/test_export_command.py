"""`vidrecon export`: movie, figure, tables, and a script that repeats the run."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import napari_vidrecon as vr
from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial
from napari_vidrecon.sessions.stimuli.synthetic import GaussianNoise


def test_movie_and_figure_are_written(vidrecon, one_run: Path, tmp_path: Path) -> None:
    files = {"movie": tmp_path / "a.mp4", "figure": tmp_path / "a.png"}
    answer = vidrecon("export", one_run, "--movie", files["movie"], "--figure", files["figure"], "--error", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["movie"] == str(files["movie"])
    assert len(iio.imread(files["movie"])) == 48
    assert iio.imread(files["figure"]).shape[1] > 1000


def test_several_runs_are_exported_one_by_one_as_it_says(vidrecon, one_run: Path, tmp_path: Path) -> None:
    answer = vidrecon("export", one_run, one_run, "--movie", tmp_path / "a.mp4")
    assert answer.code == 2
    assert f"expected one run to export, found 2 ({one_run.name} and others)" in answer.err
    assert "for run in" in answer.err
    assert not (tmp_path / "a.mp4").exists()


def test_a_tiff_holds_the_grey_levels(vidrecon, one_run: Path, tmp_path: Path) -> None:
    assert vidrecon("export", one_run, "--movie", tmp_path / "a.tif").code == 0
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), vr.Reconstruction.load(one_run).video)


def test_a_gif_may_be_slower_than_the_clip(vidrecon, one_run: Path, tmp_path: Path) -> None:
    assert vidrecon("export", one_run, "--movie", tmp_path / "a.gif", "--speed", 0.5).code == 0
    assert (tmp_path / "a.gif").read_bytes()[:6] == b"GIF89a"


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_a_movie_that_hardly_moves_on_is_refused_with_a_speed_that_does(
    ending: str, vidrecon, one_run: Path, tmp_path: Path
) -> None:
    words = "export", one_run, "--movie", tmp_path / f"a.{ending}", "--speed"
    answer = vidrecon(*words, 1e-9)
    assert answer.code == 2
    assert "expected at least 0.1 frames a second, found 3e-08; choose a speed of 0.0034 or higher" in answer.err
    assert not (tmp_path / f"a.{ending}").exists()
    assert vidrecon(*words, 0.0034).code == 0


def test_an_svg_keeps_its_text(vidrecon, one_run: Path, tmp_path: Path) -> None:
    assert vidrecon("export", one_run, "--figure", tmp_path / "a.svg", "--match-contrast").code == 0
    assert "contrast matched" in (tmp_path / "a.svg").read_text()


def test_tables_hold_every_frame_and_the_history(vidrecon, one_run: Path, tmp_path: Path) -> None:
    answer = vidrecon("export", one_run, "--table", tmp_path / "a.csv", "--json")
    assert answer.json["history_table"] == str(tmp_path / "a_history.csv")
    saved = vr.Reconstruction.load(one_run)
    with (tmp_path / "a_history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["step"] for row in history] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in history] == saved.history["loss"].tolist()
    assert history[1]["video_correlation"] == ""
    assert float(history[-1]["rmse_grey_levels"]) == saved.history["rmse"][-1]
    with (tmp_path / "a.csv").open() as file:
        frames = list(csv.DictReader(file))
    assert [row["frame"] for row in frames] == [str(number) for number in range(48)]
    first = saved.measured_frames.start
    assert [row["measured"] for row in frames] == ["0"] * first + ["1"] * (48 - first)
    expected = vr.metrics.frame_correlation(saved.stimulus, saved.video, saved.evaluation_mask)
    assert [float(row["frame_correlation_reconstruction"]) for row in frames] == expected.tolist()


def test_a_table_may_be_parquet(vidrecon, one_run: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert vidrecon("export", one_run, "--table", tmp_path / "a.parquet").code == 0
    assert parquet.read_table(tmp_path / "a.parquet")["frame"].to_pylist() == list(range(48))
    assert len(parquet.read_table(tmp_path / "a_history.parquet")) == 4


def test_a_folder_in_the_history_s_place_stays_and_no_table_is_written(vidrecon, one_run: Path, tmp_path: Path) -> None:
    (tmp_path / "a_history.csv").mkdir()
    answer = vidrecon("export", one_run, "--table", tmp_path / "a.csv")
    assert answer.code == 2
    assert "a_history.csv" in answer.err
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.long
def test_the_script_repeats_the_run_to_the_bit(
    vidrecon, reconstruct_words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "--ablate",
        0.3,
        "--ablation",
        "silence",
        "--target",
        "permuted",
        "--set",
        "seed=5",
        "--mask-threshold",
        0.4,
    )
    answer = vidrecon(*reconstruct_words, "--trial", 2, *words, "--json")
    run = Path(answer.json["runs"][0]["run"])
    script = tmp_path / "repeat.py"
    assert vidrecon("export", run, "--script", script).code == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "same inputs and settings: True" in done.stdout
    assert "saved movie: 0 grey levels" in done.stdout


@pytest.mark.long
def test_the_script_of_a_stimulus_shows_the_movie_that_the_run_holds(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = GaussianNoise(2.0, 2.0, frames=36)
    trial = stimulus_trial(noise, vr.open_session(small_session_folder))
    config = vr.ReconstructionConfig.preset("fast", steps=2)
    encoders = [vr.load_encoder(small_encoder_file, device="cpu")]
    run = tmp_path / "noise.zarr"
    vr.reconstruct(trial, encoders, vr.AlphaMask.full(), config, target="predicted").save(run)
    script = tmp_path / "repeat.py"
    assert vidrecon("export", run, "--script", script).code == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert "same inputs and settings: True" in done.stdout, done.stderr
    assert "saved movie: 0 grey levels" in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--movie"),
        (("--movie", "a.avi"), "a.avi"),
        (("--figure", "a.jpg"), "a.jpg"),
        (("--table", "a.xls"), "a.xls"),
        (("--script", "a.txt"), "a.txt"),
        (("--movie", "a.mp4", "--speed", "0"), "--speed"),
    ],
)
def test_what_cannot_be_written_is_one_line(words, named: str, vidrecon, one_run: Path, tmp_path: Path) -> None:
    answer = vidrecon("export", one_run, *(tmp_path / word if word.startswith("a.") else word for word in words))
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert named in answer.err
    assert not list(tmp_path.glob("a.*"))


def test_the_reconstruction_is_drawn_as_asked_for(vidrecon, one_run: Path, tmp_path: Path) -> None:
    for how in ("raw", "paper"):
        answer = vidrecon("export", one_run, "--movie", tmp_path / f"{how}.tif", "--show-as", how)
        assert answer.code == 0
    raw, paper = (tifffile.imread(tmp_path / f"{how}.tif") for how in ("raw", "paper"))
    assert not np.array_equal(raw, paper)
    assert vidrecon("export", one_run, "--figure", tmp_path / "a.png", "--outside", "stimulus").code == 0
    refused = vidrecon("export", one_run, "--movie", tmp_path / "b.tif", "--show-as", "pretty")
    assert refused.code == 2
    assert "expected one of raw, paper, matched, found 'pretty'" in refused.err
