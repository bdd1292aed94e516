"""Validation finds every fault, and the summary says what a session holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.validation import session_summary, validate_session


def rewrite(folder: Path, file: str, values: np.ndarray) -> None:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / file, values)


def test_sound_sessions_have_no_faults(small_session_folder: Path, golden_session_folder: Path) -> None:
    assert validate_session(small_session_folder) == []
    assert validate_session(golden_session_folder) == []


def test_every_fault_is_found_in_one_go(copy_of_small_session: Path) -> None:
    folder = copy_of_small_session
    responses = np.load(folder / "data/responses/2.npy")
    responses[3, 12] = np.inf
    (folder / "data/videos/0.npy").write_bytes((folder / "data/videos/0.npy").read_bytes()[:-8])
    (folder / "data/behavior/1.npy").unlink()
    (folder / "data/videos/notes.txt").write_text("x")
    rewrite(folder, "data/responses/2.npy", responses)
    rewrite(folder, "data/pupil_center/2.npy", np.zeros((3, 66)))
    rewrite(folder, "data/videos/9.npy", np.zeros(3))
    rewrite(folder, "meta/neurons/unit_ids.npy", np.ones(20, dtype=int))
    rewrite(folder, "meta/neurons/cell_motor_coordinates.npy", np.full((20, 3), np.nan))
    rewrite(folder, "meta/trials/tiers.npy", np.array(["train", "oracle", "train", "holiday"]))
    rewrite(folder, "meta/statistics/behavior/all/mean.npy", np.zeros((5, 5)))
    (folder / "simulation.json").write_text("{")

    found = {fault.file.relative_to(folder).as_posix(): str(fault) for fault in validate_session(folder)}
    assert set(found) == {
        "data/videos/0.npy",
        "data/behavior/1.npy",
        "data/videos/notes.txt",
        "data/responses/2.npy",
        "data/pupil_center/2.npy",
        "data/videos/9.npy",
        "meta/neurons/unit_ids.npy",
        "meta/neurons/cell_motor_coordinates.npy",
        "meta/trials/tiers.npy",
        "meta/statistics/behavior/all/mean.npy",
        "simulation.json",
    }
    assert "truncated" in found["data/videos/0.npy"]
    assert "nothing there" in found["data/behavior/1.npy"]
    assert "'holiday'" in found["meta/trials/tiers.npy"]
    assert "frame 12" in found["data/responses/2.npy"]


def test_every_fault_says_file_expected_found_and_remedy(copy_of_small_session: Path) -> None:
    rewrite(copy_of_small_session, "data/behavior/0.npy", np.zeros((3, 66)))
    (fault,) = validate_session(copy_of_small_session)
    assert fault.file == copy_of_small_session / "data/behavior/0.npy"
    assert fault.expected == "an array of shape (2, frames)"
    assert fault.found == "shape (3, 66)"
    assert fault.remedy
    assert str(fault) == f"{fault.file}: expected {fault.expected}, found {fault.found}; {fault.remedy}"


@pytest.mark.parametrize("stream", ["videos", "responses", "behavior", "pupil_center"])
def test_a_missing_folder_does_not_hide_the_other_faults(copy_of_small_session: Path, stream: str) -> None:
    shutil.rmtree(copy_of_small_session / "data" / stream)
    (copy_of_small_session / "meta/neurons/unit_ids.npy").write_bytes(b"")
    names = {fault.file.name for fault in validate_session(copy_of_small_session)}
    assert names == {stream, "unit_ids.npy"}


def test_what_is_advised_where_no_pupil_was_recorded_makes_a_sound_session(copy_of_small_session: Path) -> None:
    folder = copy_of_small_session / "data" / "pupil_center"
    frames = {file.name: np.load(file).shape[1] for file in folder.iterdir()}
    shutil.rmtree(folder)
    (fault,) = validate_session(copy_of_small_session)
    with pytest.raises(SessionError) as refused:
        open_session(copy_of_small_session)
    for told in (fault.remedy, str(refused.value)):
        assert (
            'zeros of shape (2, frames) for each trial, and name what was recorded in config.json, "behavior":' in told
        )
    for name, length in frames.items():
        rewrite(copy_of_small_session, f"data/pupil_center/{name}", np.zeros((2, length), np.float32))
    config = copy_of_small_session / "config.json"
    notes = json.loads(config.read_text("utf-8")) if config.exists() else {}
    config.write_text(json.dumps({**notes, "behavior": ["running", "pupil size"]}), "utf-8")
    assert validate_session(copy_of_small_session) == []
    assert open_session(copy_of_small_session).recorded_behavior == ("running", "pupil size")


def test_trials_under_a_labs_own_numbers_are_to_be_renamed_not_removed(copy_of_small_session: Path) -> None:
    files = sorted((copy_of_small_session / "data" / "responses").iterdir())
    for file in files:
        file.rename(file.with_name(f"{1000 + 7 * int(file.stem)}.npy"))
    (fault,) = validate_session(copy_of_small_session)
    assert fault.file == copy_of_small_session / "data" / "responses"
    assert fault.found == f"1000.npy to {1000 + 7 * (len(files) - 1)}.npy"
    assert "rename them in this order" in fault.remedy


def test_pictures_of_sensorium_2022_are_told_for_what_they_are(copy_of_small_session: Path) -> None:
    (copy_of_small_session / "data" / "videos").rename(copy_of_small_session / "data" / "images")
    told = [fault.remedy for fault in validate_session(copy_of_small_session)]
    assert any("holds pictures" in remedy for remedy in told)


def test_trials_are_checked_even_when_the_list_of_tiers_is_damaged(copy_of_small_session: Path) -> None:
    (copy_of_small_session / "meta/trials/tiers.npy").write_bytes(b"junk")
    (copy_of_small_session / "data/behavior/2.npy").write_bytes(b"junk")
    names = {fault.file.name for fault in validate_session(copy_of_small_session)}
    assert {"tiers.npy", "2.npy"} <= names


@pytest.mark.parametrize("tier", ["none", "final_test_main"])
def test_trials_set_aside_or_withheld_may_lack_responses(copy_of_small_session: Path, tier: str) -> None:
    rewrite(copy_of_small_session, "meta/trials/tiers.npy", np.array(["train", "oracle", "train", tier]))
    (copy_of_small_session / "data/responses/3.npy").unlink()
    assert validate_session(copy_of_small_session) == []


def test_numbers_on_the_wrong_scale_are_found(copy_of_small_session: Path) -> None:
    video = np.load(copy_of_small_session / "data/videos/0.npy")
    rewrite(copy_of_small_session, "data/videos/0.npy", video / 255)
    rewrite(copy_of_small_session, "data/videos/1.npy", video * 4)
    responses = np.load(copy_of_small_session / "data/responses/2.npy")
    rewrite(copy_of_small_session, "data/responses/2.npy", responses * 0)
    remedies = {fault.file.name: fault for fault in validate_session(copy_of_small_session)}
    assert "multiply the video by 255" in str(remedies["0.npy"])
    assert "expected grey levels from 0 to 255" in str(remedies["1.npy"])
    assert "only zeros" in str(remedies["2.npy"])


def of_activity(folder: Path, change) -> list[str]:
    """What is found wrong once every trial's activity, (20, T), is changed."""
    for file in (folder / "data/responses").iterdir():
        np.save(file, change(np.load(file)))
    return [str(fault) for fault in validate_session(folder)]


def test_activity_that_never_changes_is_no_recording(copy_of_small_session: Path) -> None:
    # What pads a clip stays NaN, and what was withheld stays so.
    (fault,) = of_activity(copy_of_small_session, lambda responses: 0 * responses + 3 * responses.any())
    assert "expected activity that changes over time, found one value for every neuron in each trial" in fault


def test_a_few_neurons_may_be_silent_for_a_clip_but_not_for_all(copy_of_small_session: Path) -> None:
    np.save(copy_of_small_session / "meta/neurons/unit_ids.npy", np.arange(1))
    for file in ("cell_motor_coordinates.npy", "functional.npy"):
        (copy_of_small_session / "meta/neurons" / file).unlink(missing_ok=True)
    shutil.rmtree(copy_of_small_session / "meta/statistics", ignore_errors=True)
    assert of_activity(copy_of_small_session, lambda responses: responses[:1]) == []
    rewrite(copy_of_small_session, "data/responses/2.npy", 0 * np.load(copy_of_small_session / "data/responses/2.npy"))
    assert validate_session(copy_of_small_session) == []
    (fault,) = of_activity(copy_of_small_session, lambda responses: 0 * responses)
    assert "activity that changes over time" in fault


def test_a_short_clip_and_an_array_that_ends_early_are_found(copy_of_small_session: Path) -> None:
    responses = np.load(copy_of_small_session / "data/responses/0.npy")
    responses[:, 20:] = np.nan
    rewrite(copy_of_small_session, "data/responses/0.npy", responses)
    behavior = np.load(copy_of_small_session / "data/behavior/1.npy")
    rewrite(copy_of_small_session, "data/behavior/1.npy", behavior[:, :50])
    lines = [str(fault) for fault in validate_session(copy_of_small_session)]
    assert any("at least 32 frames" in line and "found 20 frames" in line for line in lines)
    assert any("the 60 frames of the clip" in line and "found 50 frames" in line for line in lines)


def test_a_quick_check_skips_the_numbers_of_videos_but_not_their_headers(copy_of_small_session: Path) -> None:
    video = np.load(copy_of_small_session / "data/videos/0.npy")
    video[0, 0, 5] = np.inf
    rewrite(copy_of_small_session, "data/videos/0.npy", video)
    rewrite(copy_of_small_session, "data/videos/1.npy", video[:10])
    quick = {fault.file.name for fault in validate_session(copy_of_small_session, full=False)}
    assert quick == {"1.npy"}
    assert {fault.file.name for fault in validate_session(copy_of_small_session)} == {"0.npy", "1.npy"}


def test_progress_is_told_trial_by_trial(small_session_folder: Path) -> None:
    told: list[tuple[int, int]] = []
    validate_session(small_session_folder, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_path_that_is_no_folder_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "absent"):
        (fault,) = validate_session(path)
        assert fault.file == path
        assert fault.expected == "a session folder"


def test_an_empty_folder_lists_all_that_is_missing(tmp_path: Path) -> None:
    names = {fault.file.name for fault in validate_session(tmp_path)}
    assert names == {"unit_ids.npy", "tiers.npy", "videos", "responses", "behavior", "pupil_center"}


def test_whatever_validation_passes_can_be_read(golden_session_folder: Path) -> None:
    assert validate_session(golden_session_folder) == []
    session = open_session(golden_session_folder)
    lengths = {session.trial(trial).frames for trial in session.labelled}
    assert lengths == {60, 63}


def test_the_summary_counts_trials_and_frames(golden_session_folder: Path) -> None:
    summary = session_summary(open_session(golden_session_folder))
    assert summary.trials_by_tier == {"train": 23, "oracle": 3, "none": 3, "live_test_main": 1}
    assert summary.clips_by_frames == {60: 20, 63: 7}
    assert summary.labelled_trials == 26
    assert summary.neurons == 40
    assert summary.coordinates
    assert summary.video_dtype == "float32"
    assert summary.statistics == []
    assert not summary.simulated


def test_a_folder_of_a_session_that_is_chosen_instead_of_it_names_the_session(small_session_folder):
    for part in ("data", "data/videos", "meta/neurons"):
        with pytest.raises(SessionError, match=f"lies in the session {small_session_folder.name}; choose"):
            open_session(small_session_folder / part)
