"""`vidrecon rf`: what it writes, what it tells, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import napari_vidrecon as vr
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.cli import inputs

COARSE = ("--set", "patch_px=12", "--device", "cpu")


def test_maps_and_figure_are_written_and_summed_up(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, mask_file: Path, tmp_path: Path
) -> None:
    out, figure = tmp_path / "rf.npz", tmp_path / "rf.svg"
    words = ("rf", small_session_folder, "--encoder", small_encoder_file, "--out", out, *COARSE)
    answer = vidrecon(*words, "--figure", figure, "--mask", mask_file, "--json")
    assert answer.code == 0, answer.err
    maps = ReceptiveFieldMaps.load(out)
    assert maps.on.shape == (20, 3, 6)
    assert answer.json["neurons"] == 20
    assert answer.json["responsive"] == int(maps.responsive.sum())
    assert answer.json["mask_pixels"] > 0
    assert 0 <= answer.json["mask_overlap"] <= 1
    assert maps.provenance["session"] == small_session_folder.name
    assert small_session_folder.name in figure.read_text()
    assert vidrecon(*words).code == 2
    table = vidrecon(*words, "--overwrite")
    assert table.code == 0
    assert "responsive" in table.out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--out", "rf.npy"), "ending in .npz"),
        (("--out", "rf.npz", "--figure", "rf.bmp"), ".svg"),
        (("--out", "rf.npz", "--preset", "slow"), "quick or published"),
        (("--out", "rf.npz", "--set", "patch=2"), "did you mean patch_px"),
        (("--out", "rf.npz", "--set", "patch_px=0"), "patch_px"),
    ],
)
def test_what_cannot_be_is_one_line(
    words, named: str, vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    placed = [tmp_path / word if word.startswith("rf.") else word for word in words]
    answer = vidrecon("rf", small_session_folder, "--encoder", small_encoder_file, *placed)
    assert answer.code == 2
    assert named in answer.err
    assert not list(tmp_path.iterdir())


def test_a_stopped_mapping_leaves_nothing(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path, monkeypatch
) -> None:
    from napari_vidrecon.cli.report import StopRequest

    monkeypatch.setattr(StopRequest, "asked", property(lambda self: True))
    words = ("rf", small_session_folder, "--encoder", small_encoder_file, "--out", tmp_path / "rf.npz", *COARSE)
    answer = vidrecon(*words)
    assert answer.code == 130
    assert "nothing was written" in answer.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("least", "told"), [(2.0, True), (-2.0, False)])
def test_an_encoder_that_predicts_nothing_is_told(
    least: float,
    told: bool,
    vidrecon,
    small_session_folder: Path,
    small_encoder_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inputs, "LEAST_SCORE", least)
    encoder = ("--encoder", small_encoder_file)
    mapped = vidrecon("rf", small_session_folder, *encoder, "--out", tmp_path / "rf.npz", *COARSE)
    score = vr.load_encoder(small_encoder_file).spec.provenance["validation_correlation"]
    assert mapped.code == 0, mapped.err
    assert (f"predicts next to nothing of held-out trials (r = {score:.3f})" in mapped.err) == told
