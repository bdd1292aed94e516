"""Every bad input is one line that names the file and what is wrong; nothing half-written stays."""

from __future__ import annotations

import errno
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_vidrecon.sessions.session import open_session

Damage = Callable[[Path], object]


def array_of(folder: Path, stream: str) -> np.ndarray:
    """An array of trial 0, to be changed."""
    return np.load(folder / "data" / stream / "0.npy")


def put(folder: Path, stream: str, array: np.ndarray) -> None:
    """Make it trial 0's."""
    np.save(folder / "data" / stream / "0.npy", array)


def set_values(stream: str, index: Any, value: float) -> Damage:
    """Damage that writes one value into an array of trial 0."""

    def damage(folder: Path) -> None:
        array = array_of(folder, stream)
        array[index] = value
        put(folder, stream, array)

    return damage


def truncate(folder: Path) -> None:
    file = folder / "data" / "responses" / "0.npy"
    file.write_bytes(file.read_bytes()[:700])


def pickle_it(folder: Path) -> None:
    file = folder / "data" / "videos" / "0.npy"
    file.write_bytes(pickle.dumps(array_of(folder, "videos")))


def make_objects(folder: Path) -> None:
    np.save(folder / "data" / "behavior" / "0.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def shorten(folder: Path) -> None:
    set_values("responses", np.s_[:, 20:], np.nan)(folder)


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "no folder": (shutil.rmtree, "Video-small", "nothing there"),
    "no meta": (lambda folder: shutil.rmtree(folder / "meta"), "Video-small", "no meta"),
    "no video": (lambda folder: (folder / "data/videos/0.npy").unlink(), "videos/0.npy", "nothing there"),
    "truncated": (truncate, "responses/0.npy", "truncated"),
    "pickled": (pickle_it, "videos/0.npy", "pickled"),
    "objects": (make_objects, "behavior/0.npy", "objects"),
    "shape": (lambda f: put(f, "videos", array_of(f, "videos")[:, :40]), "videos/0.npy", "(36, 64, frames)"),
    "dtype": (lambda f: put(f, "responses", array_of(f, "responses").astype(complex)), "responses/0.npy", "complex"),
    "text": (lambda f: put(f, "responses", array_of(f, "responses").astype("U8")), "responses/0.npy", "<U8"),
    "NaN in the video": (set_values("videos", (3, 4, 10), np.nan), "videos/0.npy", "NaN"),
    "NaN in one neuron": (set_values("responses", (7, 12), np.nan), "responses/0.npy", "NaN"),
    "short clip": (shorten, "responses/0.npy", "at least 32 frames"),
    "infinite": (set_values("responses", (7, 12), np.inf), "responses/0.npy", "infinite"),
    "negative": (set_values("responses", (7, 12), -5.0), "responses/0.npy", "at least 0"),
    "neuron count": (lambda f: put(f, "responses", array_of(f, "responses")[:12]), "responses/0.npy", "20 neurons"),
}


def assert_refused(answer: Any, *named: str) -> None:
    """Exit code 2, one line on stderr that holds these words, no traceback, no answer."""
    assert answer.code == 2
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("vidrecon: ")
    assert "Traceback" not in answer.err
    for word in named:
        assert word in lines[0], (word, lines[0])


def left_in(folder: Path) -> list[Path]:
    """Everything below a folder, hidden files too."""
    return sorted(folder.rglob("*")) if folder.exists() else []


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_session_is_refused(
    kind: str, copy_of_small_session: Path, reconstruct_words, vidrecon, tmp_path: Path
) -> None:
    damage, file, found = DAMAGES[kind]
    damage(copy_of_small_session)
    words = [copy_of_small_session if index == 1 else word for index, word in enumerate(reconstruct_words)]
    answer = vidrecon(*words, "--trial", 0)
    assert_refused(answer, file, "expected", found)
    assert left_in(tmp_path / "runs") == []


def test_a_trial_without_labels_is_refused(reconstruct_words, vidrecon, tmp_path: Path) -> None:
    assert_refused(vidrecon(*reconstruct_words, "--trial", 3), "Video-small, trial 3", "withheld", "predicted target")
    assert left_in(tmp_path / "runs") == []


def changed(words: list, option: str, value: object) -> list:
    """The same words with another value of an option."""
    place = words.index(option) + 1
    return [value if index == place else word for index, word in enumerate(words)]


def test_a_neuron_count_that_does_not_fit_the_encoder_is_refused(
    reconstruct_words, vidrecon, golden_checkpoints, tmp_path: Path
) -> None:
    words = changed(reconstruct_words, "--encoder", golden_checkpoints[0])
    name = golden_checkpoints[0].name
    assert_refused(vidrecon(*words, "--trial", 0), name, "20 neurons", "0: 37 neurons", "1: 40 neurons")
    assert_refused(vidrecon(*words, "--trial", 0, "--mouse", 0), name, "37 neurons", "20")
    assert_refused(vidrecon(*words, "--trial", 3, "--mouse", 0, "--target", "predicted"), name, "37 neurons", "20")
    assert_refused(vidrecon(*words, "--trial", 0, "--mouse", 5), name, "mouse index 5")
    assert left_in(tmp_path / "runs") == []


def test_an_encoder_of_another_mouse_is_refused_unless_forced(
    reconstruct_words, vidrecon, copy_of_small_session: Path
) -> None:
    renamed = copy_of_small_session.rename(copy_of_small_session.with_name("dynamic2-2-2-Video-other"))
    words = [renamed if index == 1 else word for index, word in enumerate(reconstruct_words)]
    answer = vidrecon(*words, "--trial", 0)
    assert_refused(answer, "small.safetensors", "dynamic2-2-2-Video-other", "dynamic1-1-1-Video-small", "--force-mouse")
    assert vidrecon(*words, "--trial", 0, "--steps", 1, "--force-mouse").code == 0


class RunsCode:
    """Unpickling this would create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def not_a_checkpoint(file: Path) -> None:
    file.write_bytes(b"this is no checkpoint" * 100)


def truncated_checkpoint(file: Path) -> None:
    torch.save({"params": {}, "nn_state_dict": {"a": torch.zeros(100_000)}}, file)
    file.write_bytes(file.read_bytes()[:5000])


def other_checkpoint(file: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, file)


def hidden_code(file: Path) -> None:
    torch.save({"params": RunsCode(file.with_name("code_was_run")), "nn_state_dict": {}}, file)


def nothing_at_all(file: Path) -> None:
    file.unlink(missing_ok=True)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "make", [nothing_at_all, not_a_checkpoint, truncated_checkpoint, other_checkpoint, hidden_code]
)
def test_a_file_that_is_no_encoder_is_refused(make, suffix: str, reconstruct_words, vidrecon, tmp_path: Path) -> None:
    file = tmp_path / f"encoder{suffix}"
    make(file)
    answer = vidrecon(*changed(reconstruct_words, "--encoder", file), "--trial", 0)
    assert_refused(answer, str(file), "found" if make is not hidden_code else str(file))
    assert not (tmp_path / "code_was_run").exists()
    assert left_in(tmp_path / "runs") == []


def test_a_checkpoint_that_hides_code_is_named_as_such(vidrecon, tmp_path: Path) -> None:
    hidden_code(tmp_path / "evil.pth")
    assert_refused(vidrecon("info", tmp_path / "evil.pth"), "evil.pth", "run code")
    assert_refused(vidrecon("convert", tmp_path / "evil.pth", "--out", tmp_path / "a.safetensors"), "run code")
    assert not (tmp_path / "code_was_run").exists()
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(
    ("alpha", "words"),
    [
        (np.ones((36, 65)), "36x64 or 64x64 pixels, found 36x65"),
        (np.ones(36), "found 36"),
        (np.zeros((36, 64)), "no pixel reaches alpha 0.6"),
        (np.full((64, 64), np.nan), "NaN"),
        (np.full((36, 64), "a"), "expected numbers"),
        (None, "nothing there"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused(alpha, words: str, reconstruct_words, vidrecon, tmp_path: Path) -> None:
    file = tmp_path / "strange.npy"
    if alpha is not None:
        np.save(file, alpha)
    assert_refused(vidrecon(*changed(reconstruct_words, "--mask", file), "--trial", 0), "strange.npy", words)
    assert left_in(tmp_path / "runs") == []


def test_a_training_mask_without_a_pixel_is_refused(reconstruct_words, vidrecon) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--mask-threshold", 3)
    assert_refused(answer, "mask.npy", "no pixel reaches alpha 3")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--trial", 17), "from 0 to 3"),
        (("--trials", "oracles"), "its tiers are"),
        (("--trials", "fold:x"), "fold:K"),
        ((), "--trial"),
        (("--trial", 0, "--frames", "10:30"), "at least 32 frames"),
        (("--trial", 0, "--frames", "0:500"), "frames within 0..60"),
        (("--trial", 0, "--frames", "ten"), "A:B"),
        (("--trial", 0, "--set", "stepz=3"), "did you mean steps"),
        (("--trial", 0, "--set", "momentum=2"), "momentum"),
        (("--trial", 0, "--set", "momentum"), "name=value"),
        (("--trial", 0, "--preset", "good"), "paper, fast, best"),
        (("--trial", 0, "--steps", 0), "steps"),
        (("--trial", 0, "--set", "steps=9"), "--steps 4: expected steps once, found --set steps=9 as well"),
        (("--trial", 0, "--set", "seed=1", "--set", "seed=2"), "once, found seed=1 as well"),
        (("--trial", 0, "--target", "guessed"), "recorded, predicted"),
        (("--trial", 0, "--ensemble", "votes"), "videos or gradients"),
        (("--trial", 0, "--ablation", "kill", "--ablate", 0.5), "drop or silence"),
        (("--trial", 0, "--ablate", 1), "0 to below 1"),
        (("--trial", 0, "--device", "quantum"), "quantum"),
        (("--trial", "zero"), "'--trial'"),
        (("--trial", 0, "--bogus"), "--bogus"),
    ],
)
def test_a_word_that_cannot_be_used_is_one_line(words, named: str, reconstruct_words, vidrecon, tmp_path: Path) -> None:
    assert_refused(vidrecon(*reconstruct_words, *words), named)
    assert left_in(tmp_path / "runs") == []


def test_home_is_home_wherever_it_stands_in_a_command(reconstruct_words, vidrecon, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    session, encoder, mask = (reconstruct_words[place] for place in (1, 3, 5))
    for name, file in (("mouse", session), ("encoder.safetensors", encoder), ("mask.npy", mask)):
        (tmp_path / name).symlink_to(file)
    here = {session: "~/mouse", encoder: "~/encoder.safetensors", mask: "~/mask.npy"}
    words = [*(here.get(word, word) for word in reconstruct_words[:-2]), "--out=~/runs", "--trial", 0, "--force-mouse"]
    answer = vidrecon(*words, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["runs"][0]["run"] == str(tmp_path / "runs" / "mouse_trial0_frames0-48.zarr")
    answer = vidrecon(*words, "--set", "prior=denoiser", "--set", "prior.file=~/prior.safetensors")
    assert_refused(answer, str(tmp_path / "prior.safetensors"))
    assert not (tmp_path / "~").exists()


def test_a_missing_option_is_one_line(vidrecon, small_session_folder: Path) -> None:
    assert_refused(vidrecon("reconstruct", small_session_folder), "--encoder", "vidrecon reconstruct --help")


def full_disk(*args: object, **options: object) -> None:
    """What the system says when there is no room."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_at_the_end_of_a_run_is_one_line_and_leaves_nothing(
    reconstruct_words, vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zarr.Group.create_array", full_disk)
    assert_refused(vidrecon(*reconstruct_words, "--trial", 0), "trial0_frames0-48.zarr", "the disk is full")
    assert left_in(tmp_path / "runs") == []


def short_write(*args: object, **options: object) -> None:
    """What numpy says when not all of an array fits."""
    raise OSError("960 requested and 109 written")


@pytest.mark.parametrize("failure", [full_disk, short_write])
def test_a_full_disk_while_activity_is_written_is_one_line(
    failure, vidrecon, small_session_folder, small_encoder_file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numpy.save", failure)
    out = tmp_path / "answer" / "activity.npy"
    answer = vidrecon(
        "predict", small_session_folder, "--trial", 0, "--encoder", small_encoder_file, "--device", "cpu", "--out", out
    )
    assert_refused(answer, "activity.npy", "the disk is full")
    assert left_in(out.parent) == []


def no_room_for_tensors(*args: object, **options: object) -> None:
    """What safetensors says: its errors are not the system's."""
    from safetensors import SafetensorError

    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_a_full_disk_while_an_encoder_is_written_is_one_line(
    vidrecon, small_session_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vidrecon.encoders.checkpoints.save_file", no_room_for_tensors)
    out = tmp_path / "answer" / "encoder.safetensors"
    small = ("--recipe", "features=4", "--recipe", "temporal_kernels=3", "--steps", 1)
    assert_refused(vidrecon("train", small_session_folder, "--out", out, *small), "encoder.safetensors", "disk is full")
    assert left_in(out.parent) == []


def test_a_full_disk_while_a_mouse_is_simulated_is_one_line(
    vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numpy.save", full_disk)
    few = ("--neurons", 4, "--trials", 1, "--validation-trials", 0, "--test-trials", 0, "--frames", 40)
    answer = vidrecon("simulate", "--out", tmp_path / "answer" / "mouse", *few)
    assert_refused(answer, "the disk is full")
    assert left_in(tmp_path / "answer") == []


def test_too_little_memory_is_one_line(reconstruct_words, vidrecon, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*args: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("napari_vidrecon.encoders.window_encoder.WindowEncoder.responses", no_memory)
    assert_refused(vidrecon(*reconstruct_words, "--trial", 0), "memory", "--frames")


def test_an_error_of_the_program_itself_is_one_line_that_names_the_file_with_its_traceback(
    reconstruct_words, vidrecon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*args: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setenv("VIDRECON_LOGS", str(tmp_path / "logs"))
    monkeypatch.setattr("napari_vidrecon.encoders.window_encoder.WindowEncoder.responses", broken)
    answer = vidrecon(*reconstruct_words, "--trial", 0)
    assert answer.code == 70
    (line,) = answer.err.strip().splitlines()
    (log,) = (tmp_path / "logs").iterdir()
    assert str(log) in line
    assert "a fault of the program itself (KeyError: 'a mistake')" in line
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert left_in(tmp_path / "runs") == []


@pytest.mark.parametrize("verb", ["info", "validate"])
def test_nothing_at_a_path_is_one_line(verb: str, vidrecon, tmp_path: Path) -> None:
    assert_refused(vidrecon(verb, tmp_path / "nowhere"), "nowhere", "nothing there")


@pytest.mark.filterwarnings("error:Object at")
@pytest.mark.parametrize("damage", [lambda file: file.write_text("{"), Path.unlink])
def test_a_run_folder_that_is_damaged_is_one_line(damage, vidrecon, one_run: Path, tmp_path: Path) -> None:
    damage(one_run / "video" / "zarr.json")
    assert_refused(vidrecon("export", one_run, "--table", tmp_path / "a.csv"), one_run.name, "damaged")
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: np.zeros((48, 36, 60), np.float32), "found float32 of shape (48, 36, 60)"),
        (lambda: np.zeros((20, 36, 64), np.float32), "at least 32"),
        (lambda: np.full((48, 36, 64), 300.0), "0 to 255"),
        (lambda: np.full((48, 36, 64), np.nan), "NaN"),
        (lambda: np.linspace(0, 1, 48 * 36 * 64).reshape(48, 36, 64), "found none above 1; multiply it by 255"),
        (lambda: np.full((48, 36, 64), None), "objects"),
    ],
)
def test_a_movie_that_cannot_be_shown_is_refused(
    make, words: str, vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "movie.npy", make(), allow_pickle=True)
    answer = vidrecon(
        *("predict", small_session_folder, "--movie", tmp_path / "movie.npy", "--encoder", small_encoder_file),
        *("--out", tmp_path / "answer" / "activity.npy"),
    )
    assert_refused(answer, "movie.npy", words)
    assert left_in(tmp_path / "answer") == []


def test_a_sound_session_is_opened_after_all_that(small_session_folder: Path) -> None:
    assert open_session(small_session_folder).trial(0).labelled


@pytest.mark.parametrize(
    ("option", "text"), [("--trial", "2,3"), ("--ablate", "0,5"), ("--steps", "1e2"), ("--trial", "")]
)
def test_a_number_that_is_none_is_repeated_in_the_message(option: str, text: str, reconstruct_words, vidrecon) -> None:
    answer = vidrecon(*reconstruct_words, option, text)
    assert_refused(answer, option, f"found '{text}'")


def test_trials_of_no_name_are_refused(vidrecon, small_session_folder: Path, small_encoder_file: Path) -> None:
    answer = vidrecon(
        *("reconstruct", small_session_folder, "--encoder", small_encoder_file, "--mask", "none", "--trials", "")
    )
    assert_refused(answer, "--trials", "found nothing")


@pytest.mark.parametrize("verb", ["export", "info"])
def test_a_folder_of_runs_is_named_as_such(verb: str, vidrecon, one_run: Path, tmp_path: Path) -> None:
    words = ["--figure", tmp_path / "a.png"] if verb == "export" else []
    answer = vidrecon(verb, one_run.parent, *words)
    assert_refused(answer, one_run.parent.name, "found a folder of runs", one_run.name)
    # As whoever gives `reconstruct --out` a run's name has it.
    named = tmp_path / "named.zarr"
    (named / one_run.name).mkdir(parents=True)
    assert_refused(vidrecon(verb, named, *words), "named.zarr", "found a folder of runs", one_run.name)


def test_a_session_in_place_of_a_run_is_named_as_such(vidrecon, small_session_folder: Path, tmp_path: Path) -> None:
    answer = vidrecon("export", small_session_folder, "--figure", tmp_path / "a.png")
    assert_refused(answer, small_session_folder.name, "expected a run folder (.zarr), found a session")


def test_activity_of_a_trial_without_a_movie_is_not_predicted_from_grey(
    vidrecon, copy_of_small_session: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    tiers = np.load(copy_of_small_session / "meta" / "trials" / "tiers.npy")
    tiers[0] = "spontaneous"
    np.save(copy_of_small_session / "meta" / "trials" / "tiers.npy", tiers)
    (copy_of_small_session / "data" / "videos" / "0.npy").unlink()
    words = ["predict", copy_of_small_session, "--trial", 0, "--encoder", small_encoder_file]
    out = tmp_path / "answer" / "activity.npy"
    assert_refused(vidrecon(*words, "--out", out), "trial 0", "expected a movie to predict activity from")
    assert left_in(tmp_path / "answer") == []
    np.save(tmp_path / "movie.npy", np.full((40, 36, 64), 90.0))
    assert vidrecon(*words, "--out", out, "--movie", tmp_path / "movie.npy").code == 0


@pytest.mark.parametrize("name", ["activity", "activity.txt"])
def test_activity_is_written_under_a_name_that_says_what_it_is(
    name: str, vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    answer = vidrecon(
        *("predict", small_session_folder, "--trial", 0, "--encoder", small_encoder_file, "--out", tmp_path / name)
    )
    assert_refused(answer, name, "ending in .npy for the activity")


def test_a_calibration_is_written_under_a_name_that_says_what_it_is(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    answer = vidrecon(
        *("calibrate", small_session_folder, "--mask", "none", "--encoder", small_encoder_file),
        *("--out", tmp_path / "scale.txt"),
    )
    assert_refused(answer, "scale.txt", "ending in .json for the calibration")
