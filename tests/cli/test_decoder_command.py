"""`vidrecon decoder`, and runs that start from one: the same as in Python, and every bad file in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import napari_vidrecon as vr

SMALL_FIT = ("--set", "lags_frames=0,2", "--set", "finest_cycles_per_px=0.1")
"""As the shared decoder was fitted."""
ORACLE_TRIAL = 1


@pytest.fixture(scope="session")
def small_decoder(small_decoder_file: Path) -> vr.Decoder:
    """The decoder in the shared file."""
    return vr.Decoder.load(small_decoder_file)


def assert_refused(answer, *named: str) -> None:
    """Exit code 2 and one line on stderr that holds these words."""
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1, answer.err
    assert answer.err.startswith("vidrecon: ")
    for word in named:
        assert word in answer.err


def test_a_fitted_decoder_is_the_one_that_python_fits(
    vidrecon, small_session_folder: Path, small_decoder: vr.Decoder, tmp_path: Path
) -> None:
    out = tmp_path / "decoder.safetensors"
    answer = vidrecon("decoder", small_session_folder, "--out", out, *SMALL_FIT, "--json")
    assert answer.code == 0, answer.err
    assert vr.Decoder.load(out).sha256 == small_decoder.sha256
    told = answer.json
    assert (told["neurons"], told["trials"], told["lags_frames"]) == (20, 2, [0, 2])
    assert (told["coefficients"], told["bytes"]) == (len(small_decoder.frequencies), out.stat().st_size)
    trial = vr.open_session(small_session_folder).trial(ORACLE_TRIAL)
    expected = vr.metrics.video_correlation(trial.video, small_decoder.movie(trial.responses))
    assert told["video_correlation"] == pytest.approx(expected)
    assert told["scored_trials"] == [ORACLE_TRIAL]


def test_it_is_measured_inside_a_mask(
    vidrecon, small_session_folder: Path, small_decoder: vr.Decoder, mask_file: Path, tmp_path: Path
) -> None:
    words = ("decoder", small_session_folder, "--out", tmp_path / "decoder.safetensors", *SMALL_FIT)
    answer = vidrecon(*words, "--mask", mask_file, "--json")
    inside = vr.AlphaMask.load(mask_file).binary(1.0)
    trial = vr.open_session(small_session_folder).trial(ORACLE_TRIAL)
    expected = vr.metrics.video_correlation(trial.video, small_decoder.movie(trial.responses), inside)
    assert answer.json["video_correlation"] == pytest.approx(expected)
    assert answer.json["scored_pixels"] == int(inside.sum())
    assert "inside alpha >= 1" in vidrecon(*words, "--mask", mask_file, "--overwrite").out


def test_the_table_says_how_it_was_made(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    words = ("decoder", small_session_folder, "--out", tmp_path / "decoder.safetensors", *SMALL_FIT)
    answer = vidrecon(*words)
    assert answer.code == 0, answer.err
    assert "2 trials (train)" in answer.out
    assert "on the whole screen (mean of 1 held-out clip, tier oracle)" in answer.out
    assert "simulated" not in answer.out
    assert_refused(vidrecon(*words), "decoder.safetensors", "--overwrite")
    assert vidrecon(*words, "--overwrite").code == 0


def test_clips_it_learned_from_are_not_measured(vidrecon, copy_of_small_session: Path, tmp_path: Path) -> None:
    np.save(copy_of_small_session / "meta/trials/tiers.npy", np.array(["oracle"] * 3 + ["live_test_main"]))
    words = ("decoder", copy_of_small_session, "--out", tmp_path / "decoder.safetensors", *SMALL_FIT)
    answer = vidrecon(*words, "--trials", "oracle")
    assert answer.code == 0, answer.err
    assert "not measured" in answer.out
    assert vidrecon(*words, "--trials", "oracle", "--overwrite", "--json").json["video_correlation"] is None


def test_a_simulated_mouse_is_named_as_one(vidrecon, tmp_path: Path) -> None:
    few = ("--neurons", 4, "--trials", 2, "--validation-trials", 1, "--test-trials", 0, "--frames", 40)
    assert vidrecon("simulate", "--out", tmp_path / "mouse", *few).code == 0
    out = tmp_path / "decoder.safetensors"
    assert "simulated mouse" in vidrecon("decoder", tmp_path / "mouse", "--out", out, *SMALL_FIT).out
    assert "simulated mouse" in vidrecon("info", out).out


def test_a_stopped_fit_writes_nothing(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.cli.report import StopRequest

    monkeypatch.setattr(StopRequest, "asked", property(lambda stop: True))
    answer = vidrecon("decoder", small_session_folder, "--out", tmp_path / "decoder.safetensors", *SMALL_FIT)
    assert answer.code == 130
    assert "after 1 of 2 trials; nothing was written" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_stopped_once_it_was_fitted_is_kept(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.cli.report import StopRequest
    from napari_vidrecon.reconstruction import decoder_fitting

    out, fitted, fit = tmp_path / "decoder.safetensors", [], decoder_fitting.fit_decoder
    monkeypatch.setattr(StopRequest, "asked", property(lambda stop: bool(fitted)))

    def stopped_when_done(*given: object, **named: object) -> vr.Decoder:
        found = fit(*given, **named)
        fitted.append(found)
        return found

    monkeypatch.setattr(decoder_fitting, "fit_decoder", stopped_when_done)
    answer = vidrecon("decoder", small_session_folder, "--out", out, *SMALL_FIT)
    assert answer.code == 130
    assert f"stopped after {out} was written" in answer.err
    assert vr.Decoder.load(out).neurons == 20


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--set", "lag_frames=3"), "did you mean lags_frames"),
        (("--set", "ridge=0"), "ridge"),
        (("--set", "lags_frames=soon"), "lags_frames"),
        (("--trials", "nightly"), "its tiers are"),
        (("--trials", "oracle"), "at least 2 training trials"),
        (("--trials", "live_test_main"), "training trials"),
        (("--mask", "nowhere.npy"), "nothing there"),
        (("--mask", "dark.npy"), "no pixel reaches alpha 1"),
    ],
)
def test_a_fit_that_cannot_be_is_one_line(words, named: str, vidrecon, small_session_folder, tmp_path: Path) -> None:
    np.save(tmp_path / "dark.npy", np.zeros((36, 64)))
    given = [tmp_path / word if word.endswith(".npy") else word for word in words]
    out = tmp_path / "answer" / "decoder.safetensors"
    assert_refused(vidrecon("decoder", small_session_folder, "--out", out, *given), named)
    assert not out.parent.exists()


def test_trials_without_labels_are_refused(vidrecon, copy_of_small_session: Path, tmp_path: Path) -> None:
    np.save(copy_of_small_session / "meta/trials/tiers.npy", np.array(["train", "oracle"] + ["live_test_main"] * 2))
    np.save(copy_of_small_session / "data/responses/2.npy", np.zeros((20, 66), np.float32))
    out = tmp_path / "answer" / "decoder.safetensors"
    answer = vidrecon("decoder", copy_of_small_session, "--out", out, "--trials", "live_test_main")
    assert_refused(answer, "trial 2", "withheld")
    assert not out.parent.exists()


def test_another_ending_is_refused_before_the_fit(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    answer = vidrecon("decoder", small_session_folder, "--out", tmp_path / "decoder.npy")
    assert_refused(answer, "decoder.npy", ".safetensors")


def test_a_full_disk_is_one_line(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*args: object, **options: object) -> None:
        from safetensors import SafetensorError

        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("napari_vidrecon.reconstruction.decoder.save_file", no_room)
    out = tmp_path / "answer" / "decoder.safetensors"
    assert_refused(vidrecon("decoder", small_session_folder, "--out", out, *SMALL_FIT), "the disk is full")
    assert not out.parent.exists()


# Runs with one


def test_a_run_with_a_decoder_has_the_bits_that_python_gives(
    reconstruct_words, vidrecon, small_decoder: vr.Decoder, small_decoder_file: Path, small_encoder_file, mask_file
) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--decoder", small_decoder_file, "--json")
    assert answer.code == 0, answer.err
    run = Path(answer.json["runs"][0]["run"])
    assert run.name == "dynamic1-1-1-Video-small_trial0_frames0-48.zarr"
    saved = vr.Reconstruction.load(run)
    expected = vr.reconstruct(
        vr.open_session(reconstruct_words[1]).trial(0).part(0, 48),
        [vr.load_encoder(small_encoder_file, device="cpu")],
        vr.AlphaMask.load(mask_file),
        vr.ReconstructionConfig.preset("best", steps=4, track_every=2, track_skip_frames=8),
        evaluation_threshold=0.6,
        decoder=small_decoder,
    )
    assert np.array_equal(saved.video, expected.video)
    assert saved.provenance["fingerprint"] == expected.provenance["fingerprint"]
    assert saved.provenance["inputs"]["decoder"] == str(small_decoder_file)
    assert "already there" in vidrecon(*reconstruct_words, "--trial", 0, "--decoder", small_decoder_file).out
    assert vidrecon("info", run, "--json").json["decoder"] == "decoder.safetensors"


def test_a_run_without_one_says_so(one_run: Path, vidrecon) -> None:
    assert vr.Reconstruction.load(one_run).provenance["inputs"]["decoder"] is None
    assert "decoder" not in vidrecon("info", one_run, "--json").json


def test_a_run_made_without_it_is_not_overwritten(
    reconstruct_words, vidrecon, one_run, small_decoder_file: Path
) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--decoder", small_decoder_file)
    assert_refused(answer, one_run.name, "differs in decoder", "--overwrite")


def test_a_decoder_of_other_neurons_is_refused(
    reconstruct_words, vidrecon, small_decoder: vr.Decoder, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    replace(small_decoder, weights=small_decoder.weights[:, :7], mean=small_decoder.mean[:7]).save(other)
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--decoder", other, "--force-mouse")
    assert_refused(answer, str(other), "20 neurons", "found one for 7")
    assert not (tmp_path / "runs").exists()


def test_a_decoder_of_another_mouse_is_refused_unless_forced(
    reconstruct_words, vidrecon, small_decoder: vr.Decoder, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    replace(small_decoder, mouse="dynamic2-2-2-Video-other").save(other)
    words = (*reconstruct_words, "--trial", 0, "--steps", 1, "--decoder", other)
    assert_refused(vidrecon(*words), str(other), "dynamic1-1-1-Video-small", "2-2-2-Video-other", "--force-mouse")
    assert not (tmp_path / "runs").exists()
    assert vidrecon(*words, "--force-mouse").code == 0


def other_tensors(path: Path) -> None:
    save_file({"weights": np.zeros(3)}, str(path))


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: None, "found nothing there"),
        (Path.mkdir, "found a folder"),
        (lambda path: path.write_text("weights"), "damaged"),
        (other_tensors, "found other tensors"),
    ],
)
def test_a_file_that_is_no_decoder_is_refused(make, found: str, reconstruct_words, vidrecon, tmp_path: Path) -> None:
    file = tmp_path / "strange.safetensors"
    make(file)
    assert_refused(vidrecon(*reconstruct_words, "--trial", 0, "--decoder", file), str(file), found)
    assert not (tmp_path / "runs").exists()


def test_an_encoder_is_no_decoder_and_a_decoder_no_encoder(
    reconstruct_words, vidrecon, small_encoder_file: Path, small_decoder_file: Path, golden_checkpoints, tmp_path: Path
) -> None:
    words = (*reconstruct_words, "--trial", 0)
    assert_refused(vidrecon(*words, "--decoder", small_encoder_file), str(small_encoder_file), "expected a decoder")
    assert_refused(vidrecon(*words, "--decoder", golden_checkpoints[0]), "expected a decoder")
    assert_refused(
        vidrecon(*words, "--encoder", small_decoder_file), str(small_decoder_file), "expected an encoder", "decoder 1"
    )
    assert not (tmp_path / "runs").exists()


# Looking at one


def test_a_decoder_is_described_and_found_sound(vidrecon, small_decoder_file: Path, small_decoder: vr.Decoder) -> None:
    told = vidrecon("info", small_decoder_file, "--json").json
    assert (told["kind"], told["mouse"], told["neurons"]) == ("decoder", "dynamic1-1-1-Video-small", 20)
    assert (told["lags_frames"], told["trials"], told["sha256"]) == ([0, 2], 2, small_decoder.sha256)
    assert told["simulated"] is False
    assert "dynamic1-1-1-Video-small" in vidrecon("info", small_decoder_file).out
    assert vidrecon("validate", small_decoder_file).code == 0


def test_a_damaged_decoder_is_one_line(vidrecon, small_decoder: vr.Decoder, tmp_path: Path) -> None:
    file = tmp_path / "odd.safetensors"
    replace(small_decoder, lags_frames=(0, 2, 4)).save(file)
    assert_refused(vidrecon("info", file), str(file))
    assert vidrecon("validate", file).code == 1


# The script that repeats a run


@pytest.mark.long
def test_the_script_repeats_a_run_with_a_decoder_to_the_bit(
    reconstruct_words, vidrecon, small_decoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--decoder", small_decoder_file, "--json")
    script = tmp_path / "repeat.py"
    assert vidrecon("export", answer.json["runs"][0]["run"], "--script", script).code == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "same inputs and settings: True" in done.stdout
    assert "saved movie: 0 grey levels" in done.stdout


def test_a_script_asks_for_a_decoder_whose_place_is_not_known(
    vidrecon, one_run: Path, small_encoder_file, small_decoder: vr.Decoder, small_session_folder, tmp_path: Path
) -> None:
    assert vidrecon("export", one_run, "--script", tmp_path / "without.py").code == 0
    assert "decoder" not in (tmp_path / "without.py").read_text().lower()
    trial = vr.open_session(small_session_folder).trial(0)
    config = vr.ReconstructionConfig.preset("fast", steps=1)
    encoders = [vr.load_encoder(small_encoder_file, device="cpu")]
    run = tmp_path / "run.zarr"
    vr.reconstruct(trial, encoders, vr.AlphaMask.full(), config, decoder=replace(small_decoder, path="")).save(run)
    assert vidrecon("export", run, "--script", tmp_path / "repeat.py").code == 0
    text = (tmp_path / "repeat.py").read_text()
    assert "Where its decoder lies is not known: write it below" in text
    assert "DECODER = ''\n" in text
    assert "sha256" in vidrecon("info", run, "--json").json["decoder"]
    compile(text, "repeat.py", "exec")
