"""Two processes with the same run: one does it, the other says so, and nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.run_folder import at_work_on
from napari_vidrecon.storage.writing import InUseError, claimed


def name_of_trial_1(run: Path) -> str:
    return run.name.replace("trial0", "trial1")


@pytest.mark.parametrize("together", [False, True], ids=["one trial", "two at once"])
def test_a_run_that_another_process_works_on_is_one_line_and_left_alone(
    vidrecon, reconstruct_words, finished_run: Path, tmp_path: Path, together: bool
) -> None:
    out = tmp_path / "claimed"
    trials = ("--trial", 0, "--trial", 1, "--at-once", 2) if together else ("--trial", 1)
    with at_work_on(out / name_of_trial_1(finished_run)):
        answer = vidrecon(*reconstruct_words, *trials, "--out", out)
        assert answer.code == 2
        assert "another process is at work on this run (process " in answer.err.splitlines()[-1]
        assert not list(out.glob("*.zarr"))
    assert not out.exists()
    assert vidrecon(*reconstruct_words, *trials, "--out", out).code == 0
    assert sorted(path.suffix for path in out.iterdir()) == [".zarr"] * (1 + together)


def test_python_says_that_another_process_works_on_the_run(
    small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    trial = vr.open_session(small_session_folder).trial(0)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    config = vr.ReconstructionConfig.preset("fast", steps=1)
    with at_work_on(tmp_path / "run.zarr"), pytest.raises(InUseError, match="wait until it has ended"):
        vr.reconstruct(trial, [encoder], vr.AlphaMask.full(), config, save_to=tmp_path / "run.zarr")


def test_who_waits_goes_on_when_the_other_has_ended(tmp_path: Path) -> None:
    waited = threading.Event()

    def other() -> None:
        with at_work_on(tmp_path / "run.zarr", wait_s=-1):
            waited.set()

    with at_work_on(tmp_path / "run.zarr"):
        thread = threading.Thread(target=other)
        thread.start()
        assert not waited.wait(0.2)
    assert waited.wait(10)
    thread.join()
    assert not list(tmp_path.iterdir())


def test_a_folder_of_a_user_is_not_replaced_even_when_asked_to_overwrite(
    vidrecon, reconstruct_words, finished_run: Path, tmp_path: Path
) -> None:
    place = tmp_path / "out" / name_of_trial_1(finished_run)
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("precious")
    answer = vidrecon(*reconstruct_words, "--trial", 1, "--out", tmp_path / "out", "--overwrite")
    assert answer.code == 2
    assert "found a folder of something else" in answer.err.splitlines()[-1]
    assert (place / "thesis.txt").read_text() == "precious"


def test_overwriting_a_run_names_what_is_none_of_it_and_leaves_it(
    vidrecon, reconstruct_words, finished_run: Path, tmp_path: Path
) -> None:
    words = (*reconstruct_words, "--trial", 1, "--out", tmp_path / "out")
    assert vidrecon(*words).code == 0
    place = tmp_path / "out" / name_of_trial_1(finished_run)
    (place / "notes.txt").write_text("precious")
    answer = vidrecon(*words, "--set", "seed=9", "--overwrite")
    assert answer.code == 0
    assert "notes.txt is no part of a run and stays where it is" in answer.err
    assert (place / "notes.txt").read_text() == "precious"
    assert vr.Reconstruction.load(place).config.seed == 9


@pytest.mark.parametrize(
    ("words", "out", "what"),
    [
        (("train", "--steps", 1, "--recipe", "features=4"), "encoder.safetensors", "encoder"),
        (("mask", "--steps", 1), "mask.npy", "mask"),
        (("decoder",), "decoder.safetensors", "decoder"),
        (("calibrate", "--mask", "none"), "calibration.json", "calibration"),
        (("prior", "train", "--set", "steps=1"), "prior.safetensors", "denoiser"),
    ],
)
def test_what_another_process_is_making_is_left_to_it(
    words, out: str, what: str, vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    verb, *others = words
    session = () if verb == "prior" else (small_session_folder,)
    encoder = ("--encoder", small_encoder_file) if verb in ("mask", "calibrate") else ()
    with claimed(tmp_path / out):
        answer = vidrecon(verb, *others, *session, *encoder, "--out", tmp_path / out)
    assert answer.code == 2
    assert f"another process is at work on this {what}" in answer.err
    assert not list(tmp_path.iterdir())
