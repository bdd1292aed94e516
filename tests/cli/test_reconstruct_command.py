"""`vidrecon reconstruct`: runs on disk, the same bits as Python, nothing overwritten by accident."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.cli.options import choose_neurons
from napari_vidrecon.errors import ConfigError


def test_a_run_has_the_bits_that_python_gives(
    one_run: Path, small_session_folder: Path, small_encoder_file: Path, mask_file: Path
) -> None:
    saved = vr.Reconstruction.load(one_run)
    config = vr.ReconstructionConfig.preset("best", steps=4, track_every=2, track_skip_frames=8)
    expected = vr.reconstruct(
        vr.open_session(small_session_folder).trial(0).part(0, 48),
        [vr.load_encoder(small_encoder_file, device="cpu")],
        vr.AlphaMask.load(mask_file),
        config,
        evaluation_threshold=0.6,
    )
    assert np.array_equal(saved.video, expected.video)
    assert saved.provenance["fingerprint"] == expected.provenance["fingerprint"]


def test_the_line_says_correlation_steps_and_folder(reconstruct_words, vidrecon, tmp_path: Path) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0)
    assert answer.code == 0
    assert "trial 0: video correlation" in answer.out
    assert "4 steps" in answer.out
    assert str(tmp_path / "runs") in answer.out


def test_json_is_one_object_with_every_run(reconstruct_words, vidrecon) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--trial", 2, "--json")
    runs = answer.json["runs"]
    assert [run["trial"] for run in runs] == [0, 2]
    assert all(Path(run["run"]).is_dir() for run in runs)
    assert all(-1 <= run["video_correlation"] <= 1 for run in runs)


def test_a_tier_names_all_its_trials(reconstruct_words, vidrecon) -> None:
    answer = vidrecon(*reconstruct_words, "--trials", "train", "--steps", 1, "--json")
    assert [run["trial"] for run in answer.json["runs"]] == [0, 2]


def test_all_test_takes_tiers_with_test_in_their_name_and_needs_no_labels_for_a_predicted_target(
    reconstruct_words, vidrecon
) -> None:
    answer = vidrecon(*reconstruct_words, "--trials", "all-test", "--steps", 1, "--target", "predicted", "--json")
    assert [run["trial"] for run in answer.json["runs"]] == [3]
    assert answer.json["runs"][0]["run"].endswith("trial3_frames0-48_predicted.zarr")


def test_a_fold_is_the_trials_that_share_it(reconstruct_words, vidrecon, small_session_folder: Path) -> None:
    session = vr.open_session(small_session_folder)
    fold = next(iter(session.folds().values()))
    answer = vidrecon(*reconstruct_words, "--trials", f"fold:{fold}", "--steps", 1, "--json")
    assert [run["trial"] for run in answer.json["runs"]] == session.trials_in_fold(fold)


def test_a_finished_run_is_left_alone(reconstruct_words, vidrecon, one_run: Path) -> None:
    before = (one_run / "zarr.json").stat().st_mtime_ns
    answer = vidrecon(*reconstruct_words, "--trial", 0)
    assert answer.code == 0
    assert "already there" in answer.out
    assert (one_run / "zarr.json").stat().st_mtime_ns == before


def test_another_run_of_the_same_name_is_not_overwritten(reconstruct_words, vidrecon, one_run: Path) -> None:
    before = (one_run / "zarr.json").read_bytes()
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--steps", 5)
    assert answer.code == 2
    assert str(one_run) in answer.err
    assert "steps (4 there)" in answer.err
    assert (one_run / "zarr.json").read_bytes() == before


def test_overwrite_replaces_another_run(reconstruct_words, vidrecon, one_run: Path) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--steps", 5, "--overwrite")
    assert answer.code == 0
    assert len(vr.Reconstruction.load(one_run).history) == 5


def test_overwrite_never_replaces_a_folder_that_is_no_run(reconstruct_words, vidrecon, tmp_path: Path) -> None:
    kept = tmp_path / "runs" / "dynamic1-1-1-Video-small_trial0_frames0-48.zarr" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--overwrite")
    assert answer.code == 2
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "name", "kept"),
    [
        (("--ablate", "0.5", "--ablation-seed", "3"), "_ablated50seed3", None),
        (("--ablate", "0.5", "--ablation", "silence"), "_ablated50seed0_silence", None),
        (("--target", "permuted"), "_permuted", 20),
    ],
)
def test_a_variant_is_part_of_the_name(reconstruct_words, vidrecon, words, name: str, kept) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--steps", 1, *words, "--json")
    assert answer.code == 0, answer.err
    path = Path(answer.json["runs"][0]["run"])
    assert path.stem.endswith(name)
    count = int(vr.Reconstruction.load(path).keep.sum())
    assert count == kept or (kept is None and 0 < count < 20)


def test_neurons_and_activity_may_come_from_files(reconstruct_words, vidrecon, tmp_path: Path) -> None:
    np.save(tmp_path / "keep.npy", np.array([1, 4, 6]))
    activity = np.random.default_rng(0).gamma(0.5, 6.0, (20, 48)).astype(np.float32)
    np.save(tmp_path / "dreamt.npy", activity)
    words = ("--neurons", tmp_path / "keep.npy", "--target", tmp_path / "dreamt.npy")
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--steps", 1, *words, "--json")
    saved = vr.Reconstruction.load(answer.json["runs"][0]["run"])
    assert np.flatnonzero(saved.keep).tolist() == [1, 4, 6]
    assert np.array_equal(saved.target, activity)


@pytest.mark.parametrize("ensemble", ["videos", "gradients"])
def test_several_encoders_are_an_ensemble(reconstruct_words, vidrecon, golden_checkpoints, ensemble: str) -> None:
    encoder = reconstruct_words[3]
    answer = vidrecon(
        *reconstruct_words, "--encoder", encoder, "--trial", 0, "--steps", 2, "--ensemble", ensemble, "--json"
    )
    saved = vr.Reconstruction.load(answer.json["runs"][0]["run"])
    assert saved.provenance["ensemble"] == ensemble
    assert len(saved.videos) == (2 if ensemble == "videos" else 0)


@pytest.mark.parametrize("mouse", [("--mouse", "1"), ()])
def test_a_reference_checkpoint_and_a_public_session_work_the_same_way(
    vidrecon, golden_session_folder: Path, golden_checkpoints, mask_file: Path, tmp_path: Path, mouse
) -> None:
    session = vr.open_session(golden_session_folder)
    answer = vidrecon(
        *("reconstruct", golden_session_folder, "--trial", session.labelled[0], "--encoder", golden_checkpoints[0]),
        *("--mask", mask_file, "--evaluation-threshold", 0.6, "--preset", "paper", "--steps", 1),
        *("--set", "track_responses=false", "--frames", "0:34", "--out", tmp_path, *mouse, "--json"),
    )
    assert answer.code == 0, answer.err
    assert vr.Reconstruction.load(answer.json["runs"][0]["run"]).config.preset_name == "paper"


def test_trials_at_once_are_the_runs_of_one_after_the_other(reconstruct_words, vidrecon, tmp_path: Path) -> None:
    words = (*reconstruct_words, "--trial", 0, "--trial", 2, "--json")
    alone = vidrecon(*words).json["runs"]
    together = vidrecon(*words, "--at-once", 2, "--out", tmp_path / "together").json["runs"]
    for one, other in zip(alone, together, strict=True):
        first, second = (vr.Reconstruction.load(each["run"]) for each in (one, other))
        assert (other["state"], other["steps"]) == ("reconstructed", 4)
        assert first.provenance["fingerprint"] == second.provenance["fingerprint"]
        np.testing.assert_allclose(first.video, second.video, atol=0.02)
        assert len(first.history) == len(second.history)
    again = vidrecon(*words, "--at-once", 2, "--out", tmp_path / "together").json["runs"]
    assert [run["state"] for run in again] == ["already there", "already there"]


def test_trials_at_once_go_on_from_where_they_were(reconstruct_words, vidrecon) -> None:
    assert vidrecon(*reconstruct_words, "--trial", 0, "--stop-after", 2).code == 0
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--trial", 2, "--at-once", 2, "--json")
    assert [run["state"] for run in answer.json["runs"]] == ["continued", "reconstructed"]
    assert "going on from step 2" in answer.err


def test_stop_after_and_at_once_do_not_go_together(reconstruct_words, vidrecon) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--trial", 2, "--at-once", 2, "--stop-after", 1)
    assert answer.code == 2
    assert answer.err.startswith("vidrecon: --stop-after: expected one trial at a time")


def test_a_movie_of_ones_own_is_shown_and_reconstructed_from_predicted_activity(
    reconstruct_words, vidrecon, tmp_path: Path
) -> None:
    movie = np.random.default_rng(3).uniform(0, 255, (40, 36, 64)).astype(np.float32)
    np.save(tmp_path / "my noise.npy", movie)
    words = [word for word in reconstruct_words if word not in ("--frames", "0:48")]
    words = (*words, "--stimulus", tmp_path / "my noise.npy")
    answer = vidrecon(*words, "--target", "predicted", "--json")
    (told,) = answer.json["runs"]
    assert told["stimulus"] == "my noise"
    assert Path(told["run"]).name.endswith("_my_noise_predicted.zarr")
    run = vr.Reconstruction.load(told["run"])
    np.testing.assert_array_equal(run.stimulus, movie)
    assert vr.Recipe.of(run).clip_name == "my noise"
    assert run.name.endswith(", my noise")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--target", "recorded"), "expected recorded responses, found none"),
        (("--target", "predicted", "--trial", 0), "--stimulus: expected neither --trial"),
    ],
)
def test_what_does_not_go_with_a_movie_of_ones_own_is_one_line(
    more: tuple, said: str, reconstruct_words, vidrecon, tmp_path: Path
) -> None:
    np.save(tmp_path / "grey.npy", np.full((40, 36, 64), 127, np.float32))
    words = [word for word in reconstruct_words if word not in ("--frames", "0:48")]
    answer = vidrecon(*words, "--stimulus", tmp_path / "grey.npy", *more)
    assert answer.code == 2
    assert said in answer.err
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    "listed",
    [
        np.array([True, False, True, True]),
        np.array([1, 0, 1, 1], np.uint8),
        np.array([[255], [0], [255], [255]], np.uint8),
        np.array([1, 0, 1, 1]),
        np.array([1.0, 0.0, 1.0, 1.0]),
        np.array([0, 2, 3]),
    ],
)
def test_neurons_may_be_listed_as_yes_and_no_or_by_their_numbers(listed: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "keep.npy", listed)
    assert choose_neurons(4, 0.0, 0, tmp_path / "keep.npy").keep.tolist() == [True, False, True, True]


def test_numbers_of_neurons_that_repeat_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "keep.npy", np.array([2, 3, 2]))
    with pytest.raises(ConfigError, match="each neuron once, found indices that repeat"):
        choose_neurons(4, 0.0, 0, tmp_path / "keep.npy")


def test_one_movie_of_all_presentations_of_a_clip(
    reconstruct_words, vidrecon, copy_of_small_session: Path, small_session_folder: Path, tmp_path: Path
) -> None:
    videos = copy_of_small_session / "data" / "videos"
    (videos / "2.npy").write_bytes((videos / "0.npy").read_bytes())
    words = [copy_of_small_session if word == small_session_folder else word for word in reconstruct_words]
    answer = vidrecon(*words, "--trials", "train", "--repeats", "all", "--json")
    (run,) = answer.json["runs"]
    assert Path(run["run"]).name == f"{copy_of_small_session.name}_trial0_with2_frames0-48.zarr"
    assert vr.Recipe.of(vr.Reconstruction.load(run["run"])).repeats == (2,)
    told = vidrecon("info", run["run"]).out
    assert "presentations            0, 2" in told
    assert "frame rate hz            30" in told
    alone = vidrecon(*words, "--trial", 1, "--repeats", "all")
    assert alone.code == 0
    assert "shown once" in alone.err
    wrong = vidrecon(*words, "--trial", 0, "--repeats", "1,2")
    assert wrong.code == 2
    assert "those are: 2" in wrong.err


def test_another_mouse_that_saw_the_clip_is_fitted_together(
    reconstruct_words, vidrecon, small_session_folder: Path, small_encoder_file: Path, mask_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "mouse_two"
    shutil.copytree(small_session_folder, other)
    beside = ("--with-mouse", other, "--with-encoder", small_encoder_file, "--with-mask", mask_file)
    answer = vidrecon(*reconstruct_words, "--trial", 1, *beside, "--force-mouse")
    assert answer.code == 0, answer.err
    assert answer.out.count("inside the mask of") == 2
    assert "_trial1_andmouse_two" in answer.out
    itself = vidrecon(*reconstruct_words, "--trial", 1, "--with-mouse", small_session_folder, *beside[2:])
    assert (itself.code, itself.err.count("\n")) == (2, 1)
    assert "expected another mouse, found the session itself" in itself.err
    wrong = vidrecon(*reconstruct_words, "--trial", 1, *beside[:4])
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "--with-mask: expected one, found 0 beside 1 --with-mouse" in wrong.err
