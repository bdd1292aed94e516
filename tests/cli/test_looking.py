"""`vidrecon info`, `validate` and `doctor`, and what the command says of itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from email.message import Message
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon import __version__
from napari_vidrecon.cli.app import VERBS
from napari_vidrecon.cli.doctor import cuda_findings
from napari_vidrecon.errors import TROUBLESHOOTING, page
from napari_vidrecon.reconstruction.denoiser import SHIPPED


def test_the_version_is_said(vidrecon) -> None:
    assert vidrecon("--version").out == f"vidrecon {__version__}\n"


def test_help_names_every_verb_whole(vidrecon) -> None:
    answer = vidrecon("--help")
    assert answer.code == 0
    for verb in VERBS:
        (line,) = (line for line in answer.out.splitlines() if line.strip().startswith(f"{verb} "))
        assert not line.endswith("...")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, vidrecon) -> None:
    answer = vidrecon(verb, "--help")
    assert answer.code == 0
    assert f"vidrecon {verb}" in answer.out


def test_no_words_say_where_to_begin(vidrecon) -> None:
    answer = vidrecon()
    assert (answer.code, answer.err) == (0, "")
    named = re.findall(r"^  vidrecon ([a-z]+)", answer.out, flags=re.MULTILINE)
    assert {"demo", "doctor", "import", "download"} <= set(named) <= set(VERBS)


def test_a_person_at_a_terminal_is_told_where_more_stands_and_a_script_is_not(vidrecon, monkeypatch) -> None:
    assert len(vidrecon("info", "nowhere").err.splitlines()) == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, more = vidrecon("info", "nowhere").err.splitlines()
    assert more == "more about it: docs/how_to/troubleshooting.md#a-file-or-a-run"


def test_of_a_released_package_pages_are_named_by_their_address(vidrecon, monkeypatch) -> None:
    released = Message()
    released["Project-URL"] = "Documentation, https://host.example/lab/blob/v1/docs/index.md"
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: released)
    assert vidrecon().out.endswith(" https://host.example/lab/blob/v1/docs/index.md\n")
    assert page(TROUBLESHOOTING) == "https://host.example/lab/blob/v1/docs/how_to/troubleshooting.md"


def test_an_option_that_is_missing_is_explained(vidrecon) -> None:
    (line,) = vidrecon("reconstruct", "session").err.splitlines()
    assert line == (
        "vidrecon: Missing option '--encoder': Encoder file (.safetensors or .pth); may be repeated. "
        "See `vidrecon reconstruct --help`."
    )


def test_a_word_that_is_no_verb_is_one_line(vidrecon) -> None:
    answer = vidrecon("reconstuct")
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert "reconstuct" in answer.err


def test_exit_codes_reach_the_shell(tmp_path: Path, start_process) -> None:
    process = start_process("info", tmp_path / "nowhere")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("vidrecon: ")


def test_a_session_is_described(vidrecon, small_session_folder: Path) -> None:
    answer = vidrecon("info", small_session_folder, "--json").json
    assert answer["kind"] == "session"
    assert answer["neurons"] == 20
    assert answer["trials_by_tier"] == {"train": 2, "oracle": 1, "live_test_main": 1}
    assert answer["labelled_trials"] == 3
    assert answer["clips_by_frames"] == {"60": 4}
    assert answer["activity"]["trials"] == 3
    assert answer["activity"]["public"]["mean"]["medians"] == [1.7, 3.3]
    assert "(public mice: 1.7 to 3.3)" in vidrecon("info", small_session_folder).out


def test_an_encoder_is_described_with_all_its_readouts(vidrecon, golden_checkpoints, small_encoder_file) -> None:
    reference = vidrecon("info", golden_checkpoints[0], "--json").json
    assert (reference["architecture"], list(reference["readouts"].values())) == (
        "dwiseneuro",
        ["37 neurons", "40 neurons"],
    )
    ours = vidrecon("info", small_encoder_file, "--json").json
    assert ours["readouts"] == {"0 (dynamic1-1-1-Video-small)": "20 neurons"}


def test_a_mask_is_described_in_pixels_and_degrees(vidrecon, mask_file: Path) -> None:
    answer = vidrecon("info", mask_file, "--json").json
    assert answer["kind"] == "mask"
    assert answer["training_mask_pixels"] == int((np.load(mask_file) >= 0.5).sum())
    assert 0 < answer["evaluation_mask_diameter_deg"] < answer["training_mask_diameter_deg"]


def test_a_run_is_described(vidrecon, one_run: Path) -> None:
    answer = vidrecon("info", one_run, "--json").json
    assert (answer["kind"], answer["steps_done"], answer["finished"]) == ("run", 4, True)
    assert "video correlation" in vidrecon("info", one_run).out


def test_of_a_run_the_prior_and_the_number_of_draws_are_told(reconstruct_words, vidrecon) -> None:
    vidrecon(*reconstruct_words, "--trial", 0, "--set", "draws=2")
    (run,) = Path(reconstruct_words[-1]).iterdir()
    answer = vidrecon("info", run, "--json").json
    assert answer["draws"] == 2
    assert answer["prior"].startswith("as the training movies of")


def test_a_published_result_is_described(vidrecon, golden_folder: Path) -> None:
    answer = vidrecon("info", golden_folder / "reconstruction_summary_standard.npy", "--json").json
    assert answer["kind"] == "published run"


def test_a_sound_session_has_no_fault(vidrecon, small_session_folder: Path) -> None:
    answer = vidrecon("validate", small_session_folder)
    assert answer.code == 0
    assert "no fault" in answer.out


def test_a_sound_session_is_told_what_training_and_a_mask_will_miss(vidrecon, copy_of_small_session: Path) -> None:
    file = copy_of_small_session / "meta/trials/tiers.npy"
    before = np.load(file)
    labelled = np.isin(before, ["train", "oracle"])

    def lacking_with(*tiers: str) -> list[str]:
        now = before.copy()
        now[labelled] = np.resize(tiers, labelled.sum())
        np.save(file, now)
        answer = vidrecon("validate", copy_of_small_session, "--json").json
        assert answer["sound"]
        return answer["lacking"]

    assert lacking_with("oracle", "oracle", "train") == []
    (held_out,) = lacking_with("train")
    assert held_out.startswith("0 clips of the tier oracle: a mask needs 2")
    (learned_from,) = lacking_with("oracle")
    assert learned_from.startswith("no clip of the tier train")
    answer = vidrecon("validate", copy_of_small_session)
    assert answer.code == 0
    assert answer.out.splitlines()[1] == f"take care: {learned_from}"


def test_short_gaps_of_behaviour_are_no_fault_and_are_counted(vidrecon, copy_of_small_session: Path) -> None:
    for trial in (0, 2):
        file = copy_of_small_session / f"data/behavior/{trial}.npy"
        behavior = np.load(file)
        behavior[0, 12:19] = np.nan
        np.save(file, behavior)
    answer = vidrecon("validate", copy_of_small_session, "--json").json
    assert answer["sound"]
    assert answer["lacking"][-1].startswith("behaviour of 2 trials is NaN in 14 values, for at most 1 s at a time")
    assert answer["lacking"][-1].endswith("(trial 0, 2)")


def test_faults_are_listed_one_a_line(vidrecon, copy_of_small_session: Path) -> None:
    (copy_of_small_session / "data/pupil_center/2.npy").unlink()
    video = np.load(copy_of_small_session / "data/videos/0.npy")
    video[0, 0, 5] = np.nan
    np.save(copy_of_small_session / "data/videos/0.npy", video)
    answer = vidrecon("validate", copy_of_small_session)
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[-1].startswith("2 faults")
    assert any("pupil_center/2.npy" in line for line in lines)
    assert any("videos/0.npy" in line and "NaN" in line for line in lines)
    quick = vidrecon("validate", copy_of_small_session, "--quick", "--json")
    assert quick.code == 1
    assert [Path(fault["file"]).name for fault in quick.json["faults"]] == ["2.npy"]


@pytest.mark.parametrize("fixture", ["small_encoder_file", "mask_file", "one_run"])
def test_sound_files_have_no_fault(fixture: str, vidrecon, request: pytest.FixtureRequest) -> None:
    answer = vidrecon("validate", request.getfixturevalue(fixture), "--json")
    assert (answer.code, answer.json["faults"]) == (0, [])


def test_what_prior_train_and_calibrate_write_is_described_and_found_sound(vidrecon, tmp_path: Path) -> None:
    of = {"trials": [3], "frames": 64, "preset": "best", "draws": 8, "encoders": 1}
    calibration = tmp_path / "calibration.json"
    vr.Calibration(scale=0.8125, half_widths={0.9: 1.4}, **of).save(calibration)
    for file, kind, use in (
        (SHIPPED, "denoiser", f"--set prior=denoiser --set prior.file={SHIPPED}"),
        (calibration, "calibration", "--set uncertainty_scale=0.812"),
    ):
        told = vidrecon("info", file, "--json").json
        assert (told["kind"], told["use_it_with"]) == (kind, use)
        assert vidrecon("validate", file).code == 0
    calibration.write_text("{}")
    assert "a calibration, as `vidrecon calibrate` writes it" in vidrecon("validate", calibration).out


def test_a_mask_of_no_screen_is_a_fault(vidrecon, tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.ones((3, 3, 3)))
    answer = vidrecon("validate", tmp_path / "mask.npy", "--json")
    assert answer.code == 1
    assert "3x3x3" in answer.json["faults"][0]["found"]


def test_the_doctor_names_what_it_looked_for(vidrecon) -> None:
    answer = vidrecon("doctor", "--json")
    names = {finding["name"] for finding in answer.json["findings"]}
    assert {"Python", "torch", "devices", "free memory", "ffmpeg", "Qt", "display", "sample"} <= names
    assert answer.code == 0
    # What is well needs no mending; of cuDNN there are versions that work and are slow.
    mended = [each["name"] for each in answer.json["findings"] if each["sound"] and each["remedy"]]
    assert set(mended) <= {"cuDNN"}


def test_the_doctor_measures_the_speed_beside_a_known_machine(vidrecon) -> None:
    answer = vidrecon("doctor", "--speed", "--json")
    (found,) = [each["found"] for each in answer.json["findings"] if each["name"] == "speed, cpu"]
    assert re.fullmatch(r"[\d.e-]+ s a step of `paper` .*; [\d.]+ times as fast as one core of .*", found)


def test_the_doctor_says_how_to_mend_what_is_missing(vidrecon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None if name == "xcb-cursor" else name)
    monkeypatch.setattr(sys, "platform", "linux")
    assert "apt-get install -y libxcb-cursor0" in vidrecon("doctor").out


@pytest.mark.parametrize(
    ("torch_version", "cudnn", "told"),
    [
        ("2.9.0+cu128", 91002, "9.10.2; training with mixed precision takes many times the memory"),
        ("2.8.0+cu128", 91002, "9.10.2; large bfloat16 convolutions may be wrong"),
        ("2.11.0+cu130", 91501, "9.15.1"),
    ],
)
def test_the_doctor_names_libraries_of_a_gpu_that_are_slow_or_wrong(torch_version: str, cudnn: int, told: str) -> None:
    found, _ = cuda_findings(torch_version, cudnn)
    assert found.found.startswith(told)
    assert bool(found.remedy) == (";" in told)


def test_the_doctor_fails_without_ffmpeg(vidrecon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    answer = vidrecon("doctor")
    assert answer.code == 1
    assert "pip install imageio-ffmpeg" in answer.out


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).with_name("vidrecon.exe" if os.name == "nt" else "vidrecon")
    answer = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == f"vidrecon {__version__}"


def test_held_out_clips_are_compared_with_training_clips(vidrecon, small_session_folder: Path) -> None:
    answer = vidrecon("info", small_session_folder, "--duplicates", "tiers", "--against", small_session_folder)
    assert answer.code == 0
    assert "trial 1" in answer.out
    assert "clean clips  1" in answer.out
    values = vidrecon("info", small_session_folder, "--duplicates", "tiers", "--json").json
    assert (values["clean"], values["training_clips"]) == ([1], 2)


@pytest.mark.parametrize("split", ["fold", "folds", "0", "tier"])
def test_a_split_that_is_none_is_one_line(split: str, vidrecon, small_session_folder: Path) -> None:
    answer = vidrecon("info", small_session_folder, "--duplicates", split)
    assert answer.code == 2
    assert "e.g. fold0" in answer.err


def test_whether_there_is_a_movie_in_activity_is_said_beside_controls(
    vidrecon, small_session_folder: Path, small_encoder_file: Path
) -> None:
    words = ["evidence", small_session_folder, "--encoder", small_encoder_file, "--mask", "none", "--trial", 0]
    answer = vidrecon(*words, "--controls", 19, "--device", "cpu", "--json")
    (told,) = answer.json["trials"]
    assert not told["found"], "noise of an untrained encoder"
    assert told["sentence"].startswith("nothing to see")
    assert vidrecon(*words[:-1], 3).code == 2


def test_a_checkpoint_by_lightnings_name_is_an_encoder_too(vidrecon, golden_checkpoints, tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(golden_checkpoints[0].read_bytes())
    assert vidrecon("info", file, "--json").json["kind"] == "encoder"


def test_a_trial_with_too_little_activity_keeps_none_of_the_others_from_being_judged(
    vidrecon, copy_of_small_session: Path, small_encoder_file: Path
) -> None:
    file = copy_of_small_session / "data" / "responses" / "0.npy"
    responses = np.load(file)
    responses[3:] = np.where(np.isnan(responses[3:]), np.nan, 0.0)
    np.save(file, responses)
    words = ["evidence", copy_of_small_session, "--encoder", small_encoder_file, "--mask", "none", "--controls", 19]
    both = vidrecon(*words, "--trial", 0, "--trial", 1, "--device", "cpu", "--json")
    assert both.code == 0
    assert [told["trial"] for told in both.json["trials"]] == [1]
    (left,) = both.json["left_out"]
    assert left["trial"] == 0
    assert "trial 0: expected at least 5 active neurons" in left["why"]
    assert "take care: left out" in both.err
    alone = vidrecon(*words, "--trial", 0, "--device", "cpu")
    assert alone.code == 2
    assert "expected at least 5 active neurons" in alone.err


def test_a_folder_of_runs_or_without_anything_of_a_session_has_one_fault(
    vidrecon, one_run: Path, tmp_path: Path
) -> None:
    for folder, found in ((one_run.parent, "found a folder of runs: 1 in it"), (tmp_path, "found a folder of studies")):
        answer = vidrecon("info", folder)
        assert answer.code == 2
        assert found in answer.err
        assert str(one_run) in answer.err
        (fault,) = vidrecon("validate", folder, "--json").json["faults"]
        assert "one run, whose name ends in .zarr" in fault["expected"]
    (tmp_path / "empty").mkdir()
    (fault,) = vidrecon("validate", tmp_path / "empty", "--json").json["faults"]
    assert "session folder" in fault["expected"]


def test_no_gaze_is_looked_for_where_none_was_recorded(
    vidrecon, copy_of_small_session: Path, small_encoder_file: Path
) -> None:
    (copy_of_small_session / "config.json").write_text('{"behavior": ["running"]}')
    answer = vidrecon("gaze", copy_of_small_session, "--encoder", small_encoder_file)
    assert answer.code == 2
    assert "expected a recorded gaze, found none" in answer.err


def test_what_a_mask_is_read_as_is_said_with_its_sizes(vidrecon, mask_file: Path, tmp_path: Path) -> None:
    assert "36 x 64 pixels of grey levels, on 56.5 x 31.8 cm" in vidrecon("info", mask_file, "--json").json["read_as"]
    np.save(tmp_path / "square.npy", np.ones((64, 64), np.float32))
    told = vidrecon("info", tmp_path / "square.npy", "--json").json["read_as"]
    assert "36 x 64 pixels of grey levels, cut out of 64 x 64 as published" in told
