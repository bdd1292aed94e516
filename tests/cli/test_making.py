"""`vidrecon predict`, `train`, `mask`, `simulate`, `convert`: what they write is what Python makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr

SMALL_TRAINING = ("--recipe", "features=4", "--recipe", "temporal_kernels=3,3", "--recipe", "batch_size=2")
FEW_TRIALS = ("--neurons", 4, "--trials", 1, "--validation-trials", 1, "--test-trials", 0, "--frames", 40)


def test_activity_is_what_the_encoder_predicts(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "activity.npy"
    words = ("predict", small_session_folder, "--trial", 0, "--encoder", small_encoder_file, "--out", out)
    answer = vidrecon(*words, "--json")
    trial = vr.open_session(small_session_folder).trial(0)
    expected = vr.load_encoder(small_encoder_file).predict(trial.video, trial.behavior, trial.pupil_center)
    assert np.array_equal(np.load(out), expected)
    assert answer.json["response_correlation"] == pytest.approx(
        vr.metrics.response_correlation(trial.responses, expected)
    )
    assert vidrecon(*words).code == 2
    assert vidrecon(*words, "--overwrite").code == 0


def test_activity_for_an_unlabelled_trial_has_no_correlation(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    words = ("predict", small_session_folder, "--trial", 3, "--encoder", small_encoder_file)
    answer = vidrecon(*words, "--out", tmp_path / "activity.npy")
    assert answer.code == 0
    assert "no recorded activity" in answer.out


@pytest.mark.parametrize("trial", [(), ("--trial", 0)])
def test_any_movie_can_be_shown(
    trial, vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    movie = np.full((40, 36, 64), 90, np.uint8)
    np.save(tmp_path / "movie.npy", movie)
    out = tmp_path / "activity.npy"
    words = ("--movie", tmp_path / "movie.npy", "--encoder", small_encoder_file, "--out", out)
    assert vidrecon("predict", small_session_folder, *trial, *words).code == 0
    session = vr.open_session(small_session_folder)
    behavior, pupil_center = (np.tile(mean[:, None], 40) for mean in session.average_behavior())
    if trial:
        behavior, pupil_center = session.trial(0).behavior[:, :40], session.trial(0).pupil_center[:, :40]
    expected = vr.load_encoder(small_encoder_file).predict(movie.astype(np.float32), behavior, pupil_center)
    assert np.array_equal(np.load(out), expected)


def test_a_trained_encoder_can_be_opened(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder.safetensors"
    answer = vidrecon("train", small_session_folder, "--out", out, *SMALL_TRAINING, "--steps", 2, "--seed", 4, "--json")
    assert answer.code == 0, answer.err
    encoder = vr.load_encoder(out)
    assert encoder.spec.mouse == small_session_folder.name
    assert encoder.spec.provenance["training"]["seed"] == 4
    assert encoder.spec.provenance["training"]["temporal_kernels"] == [3, 3]
    assert answer.json["validation_correlation"] == pytest.approx(encoder.spec.provenance["validation_correlation"])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--out", "encoder.pth"), ".safetensors"),
        (("--out", "encoder.safetensors", "--recipe", "feature=3"), "did you mean features"),
        (("--out", "encoder.safetensors", "--recipe", "features=1"), "features"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(words, named: str, vidrecon, small_session_folder, tmp_path) -> None:
    answer = vidrecon("train", small_session_folder, *(tmp_path / w if w.startswith("encoder") else w for w in words))
    assert answer.code == 2
    assert named in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rule", ["resolved", "decayed", "published"])
def test_a_fitted_mask_is_written_with_its_size_and_a_picture(
    rule: str, vidrecon, copy_of_small_session: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    np.save(copy_of_small_session / "meta/trials/tiers.npy", np.array(["oracle"] * 3 + ["live_test_main"]))
    out = tmp_path / "mask.npy"
    words = ("--encoder", small_encoder_file, "--out", out, "--rule", rule, "--steps", 2, "--set", "skip_frames=10")
    answer = vidrecon("mask", copy_of_small_session, *words, "--json")
    assert answer.code == 0, answer.err
    mask = vr.AlphaMask.load(out)
    assert answer.json["training_pixels"] == int(mask.binary(0.5).sum())
    assert answer.json["evaluation_diameter_deg"] == pytest.approx(mask.diameter_deg(1.0))
    assert (answer.json["training_height_deg"], answer.json["training_width_deg"]) == mask.extent_deg(0.5)
    assert answer.json["training_eccentricity_deg"] == pytest.approx(mask.eccentricity_deg(0.5))
    assert answer.json["picture"] == str(tmp_path / "mask_alpha.png")
    assert (tmp_path / "mask_alpha.png").read_bytes().startswith(b"\x89PNG")
    again = vidrecon("mask", copy_of_small_session, *words[:2], "--out", tmp_path / "other.npy", "--picture", out)
    assert (again.code, (tmp_path / "other.npy").exists()) == (2, False)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--picture", "mask.jpg"), "mask.jpg: expected a picture's name ending in .png"),
        (("--out", "mask.txt"), "mask.txt: expected a name ending in .npy for the mask"),
        (("--rule", "decayed", "--set", "rule=published"), "--rule decayed: expected rule once"),
        (("--seed", 1, "--set", "seed=2"), "--seed 1: expected seed once"),
        (("--set", "decay=3"), "decay: expected a setting that the resolved rule reads"),
        (("--rule", "published", "--set", "highest=3"), "or give --rule decayed"),
    ],
)
def test_a_mask_that_cannot_be_as_it_is_asked_for_is_one_line_before_the_fit(
    words, named: str, vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("mask", small_session_folder, "--encoder", small_encoder_file, "--out", "mask.npy")
    answer = vidrecon(*given, *words)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert named in answer.err
    assert list(tmp_path.iterdir()) == []


def test_the_published_rule_takes_its_own_steps_however_it_is_asked_for(
    vidrecon, copy_of_small_session: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    from napari_vidrecon.cli import fits

    found = []
    for words in (("--rule", "published"), ("--set", "rule=published")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fits, "Progress", lambda label, steps: found.append((label, steps)))
            vidrecon(
                "mask", copy_of_small_session, "--encoder", small_encoder_file, "--out", tmp_path / "m.npy", *words
            )
    assert found == [("mask", 1000)] * 2


def test_a_stopped_fit_keeps_the_mask_so_far(
    vidrecon, copy_of_small_session: Path, small_encoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.cli.report import StopRequest

    monkeypatch.setattr(StopRequest, "asked", property(lambda stop: True))
    np.save(copy_of_small_session / "meta/trials/tiers.npy", np.array(["oracle"] * 3 + ["live_test_main"]))
    words = ("--encoder", small_encoder_file, "--out", tmp_path / "mask.npy", "--set", "skip_frames=10")
    answer = vidrecon("mask", copy_of_small_session, *words)
    assert answer.code == 130
    assert not (tmp_path / "mask.npy").exists()
    assert vr.AlphaMask.load(tmp_path / "mask.partial.npy").alpha.shape == (36, 64)


def test_a_simulated_mouse_is_a_session_that_says_so(vidrecon, tmp_path: Path) -> None:
    out = tmp_path / "mouse"
    answer = vidrecon("simulate", "--out", out, "--seed", 3, *FEW_TRIALS, "--json")
    assert answer.code == 0, answer.err
    session = vr.open_session(out)
    assert (session.simulated, session.n_neurons, session.tiers) == (True, 4, {0: "oracle", 1: "train"})
    assert vidrecon("simulate", "--out", out, *FEW_TRIALS).code == 2
    assert "simulated mouse" in vidrecon("info", out).out


def test_a_simulated_mouse_has_the_noise_and_the_field_that_were_asked_for(vidrecon, tmp_path: Path) -> None:
    asked = ("--gain", 0.5, "--field-radius", 7, "--field-centre", 16, 40)
    assert vidrecon("simulate", "--out", tmp_path / "mouse", *FEW_TRIALS, *asked).code == 0
    simulation = vr.open_session(tmp_path / "mouse").simulation
    assert (simulation["gain"], simulation["field_radius_px"]) == (0.5, 7.0)
    assert simulation["field_centre_px"] == [16.0, 40.0]


@pytest.mark.parametrize("asked", [("--gain", 0), ("--field-radius", -1), ("--field-centre", 40, 10)])
def test_a_mouse_that_cannot_be_is_one_line(vidrecon, tmp_path: Path, asked: tuple) -> None:
    answer = vidrecon("simulate", "--out", tmp_path / "mouse", *FEW_TRIALS, *asked)
    assert (answer.code, (tmp_path / "mouse").exists()) == (2, False)
    assert "simulated mouse: expected" in answer.err


def test_a_simulated_mouse_never_replaces_other_files(vidrecon, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    answer = vidrecon("simulate", "--out", tmp_path / "thesis", *FEW_TRIALS, "--overwrite")
    assert answer.code == 2
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_a_stopped_simulation_writes_nothing(vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_vidrecon.cli.report import StopRequest

    monkeypatch.setattr(StopRequest, "asked", property(lambda stop: True))
    answer = vidrecon("simulate", "--out", tmp_path / "mice" / "mouse", *FEW_TRIALS)
    assert answer.code == 130
    assert list((tmp_path / "mice").iterdir()) == []


def test_a_converted_checkpoint_predicts_the_same(
    vidrecon, golden_checkpoints, golden_session_folder, tmp_path
) -> None:
    out = tmp_path / "encoder.safetensors"
    assert vidrecon("convert", golden_checkpoints[0], "--out", out).code == 0
    trial = vr.open_session(golden_session_folder).trial(0)
    one, other = (
        vr.load_encoder(file, 1, "cpu").predict(trial.video, trial.behavior, trial.pupil_center)
        for file in (golden_checkpoints[0], out)
    )
    assert np.array_equal(one, other)
    assert vidrecon("convert", golden_checkpoints[0], "--out", out).code == 2


def test_a_published_result_becomes_a_run(vidrecon, golden_folder: Path, golden, tmp_path: Path) -> None:
    out = tmp_path / "published.zarr"
    source = golden_folder / "reconstruction_summary_standard.npy"
    assert vidrecon("convert", source, "--out", out).code == 0
    saved = vr.Reconstruction.load(out)
    assert np.array_equal(saved.video, golden["standard__video_pred"])
    assert saved.provenance["published"] is True
    assert vidrecon("export", out, "--table", tmp_path / "table.csv").code == 0
    refused = vidrecon("export", out, "--script", tmp_path / "repeat.py")
    assert refused.code == 2
    assert "published" in refused.err


@pytest.mark.parametrize(
    ("source", "out"), [("nowhere.pth", "a.safetensors"), ("a.txt", "a.zarr"), ("a.pth", "a.zarr")]
)
def test_what_cannot_be_converted_is_one_line(source: str, out: str, vidrecon, tmp_path: Path) -> None:
    if source != "nowhere.pth":
        (tmp_path / source).write_text("x")
    answer = vidrecon("convert", tmp_path / source, "--out", tmp_path / out)
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / out).exists()


def test_gaze_says_what_to_set_or_that_nothing_is_to_be_set(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vidrecon.reconstruction.gaze_fitting.PUPIL_STEPS", 2)
    words = (small_session_folder, "--encoder", small_encoder_file, "--device", "cpu")
    answer, told = vidrecon("gaze", *words), vidrecon("gaze", *words, "--json").json
    assert answer.code == 0, answer.err
    assert ("--set gaze=inferred" if told["settings"] else "nothing: ") in answer.out
    assert told["trials"] == 2


def test_a_calibration_says_what_to_set_and_is_written(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    words = ("--encoder", small_encoder_file, "--mask", "none", "--preset", "fast", "--set", "steps=2")
    more = ("--set", "draws=2", "--trials", "train", "--clips", 1, "--frames", 40, "--device", "cpu")
    answer = vidrecon("calibrate", small_session_folder, *words, *more, "--out", tmp_path / "c.json")
    assert answer.code == 0, answer.err
    scale = json.loads((tmp_path / "c.json").read_text())["scale"]
    assert f"--set uncertainty_scale={scale:.3g}" in answer.out
    refused = vidrecon("calibrate", small_session_folder, *words, *more, "--out", tmp_path / "c.json")
    assert refused.code == 2
    assert "c.json" in refused.err
