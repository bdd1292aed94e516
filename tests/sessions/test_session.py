"""Opening sessions and reading trials: what sound folders give, and what is said about damaged ones."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial import Trial, seconds_a_frame

FRAMES = 60
STREAMS = ("videos", "responses", "behavior", "pupil_center")

Change = Callable[[np.ndarray], np.ndarray]


def change(folder: Path, file: str, how: Change) -> None:
    """Rewrite one array of a session."""
    np.save(folder / file, how(np.load(folder / file)))


def with_value(value: float, *place: int) -> Change:
    """A change of one element."""

    def put(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return put


def error_of(folder: Path, trial: int = 0) -> str:
    """What reading a trial says is wrong; always one line."""
    with pytest.raises(SessionError) as caught:
        open_session(folder).trial(trial)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Sound sessions


def test_a_trial_is_cut_at_the_first_nan_and_comes_as_float32(small_session_folder: Path) -> None:
    trial = open_session(small_session_folder).trial(0)
    shapes = [trial.video.shape, trial.responses.shape, trial.behavior.shape, trial.pupil_center.shape]
    assert shapes == [(FRAMES, 36, 64), (20, FRAMES), (2, FRAMES), (2, FRAMES)]
    for array in (trial.video, trial.responses, trial.behavior, trial.pupil_center):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()


def test_a_trial_holds_the_numbers_of_its_files(small_session_folder: Path) -> None:
    trial = open_session(small_session_folder).trial(2)
    stored = {stream: np.load(small_session_folder / f"data/{stream}/2.npy") for stream in STREAMS}
    np.testing.assert_array_equal(trial.video[17], stored["videos"][:, :, 17])
    np.testing.assert_array_equal(trial.responses, stored["responses"][:, :FRAMES])
    np.testing.assert_array_equal(trial.behavior, stored["behavior"][:, :FRAMES])
    np.testing.assert_array_equal(trial.pupil_center, stored["pupil_center"][:, :FRAMES])


def test_a_session_says_who_and_what_was_recorded(small_session_folder: Path) -> None:
    session = open_session(str(small_session_folder))
    assert session.name == small_session_folder.name
    assert session.trial_ids == (0, 1, 2, 3)
    assert session.tiers == {0: "train", 1: "oracle", 2: "train", 3: "live_test_main"}
    assert session.trials_in_tier("train") == [0, 2]
    assert session.neuron_ids.tolist() == list(range(1, 21))
    assert session.n_neurons == 20
    assert session.coordinates is not None
    assert session.coordinates.shape == (20, 3)
    assert session.frame_rate_hz == 30.0
    assert session.labelled == (0, 1, 2)
    assert not session.simulated


def test_cells_of_which_depth_is_not_told_lie_at_one(copy_of_small_session: Path) -> None:
    places = np.random.default_rng(2).uniform(0, 600, (20, 2))
    np.save(copy_of_small_session / "meta/neurons/cell_motor_coordinates.npy", places)
    coordinates = open_session(copy_of_small_session).coordinates
    assert coordinates is not None
    np.testing.assert_allclose(coordinates[:, :2], places, rtol=1e-6)
    assert (coordinates[:, 2] == 0).all()


def test_a_session_without_coordinates_opens(copy_of_small_session: Path) -> None:
    (copy_of_small_session / "meta/neurons/cell_motor_coordinates.npy").unlink()
    assert open_session(copy_of_small_session).coordinates is None


def test_a_float64_trial_with_tiny_negative_responses_reads_as_not_negative(
    golden_session_folder: Path,
) -> None:
    stored = np.load(golden_session_folder / "data/responses/2.npy")
    trial = open_session(golden_session_folder).trial(2)
    assert stored.dtype == np.float64
    assert np.nanmin(stored) < 0
    assert trial.responses.min() == 0.0
    np.testing.assert_array_equal(trial.responses, np.maximum(stored[:, : trial.frames], 0).astype(np.float32))


def test_an_unlabelled_trial_is_cut_where_its_behaviour_ends(golden_session_folder: Path) -> None:
    trial = open_session(golden_session_folder).trial(7)
    assert not np.isnan(np.load(golden_session_folder / "data/responses/7.npy")).any()
    assert trial.frames == 60
    assert not trial.labelled


def test_the_inputs_of_the_reference_encoder_can_be_rebuilt(golden_session_folder: Path, golden: dict) -> None:
    trial = open_session(golden_session_folder).trial(10)
    planes = 64 * 64 * (trial.behavior.sum(axis=0) + trial.pupil_center.sum(axis=0))
    sums = trial.video.sum(axis=(1, 2)) + planes
    np.testing.assert_allclose(sums, golden["trial0_inputs_sum_per_frame"], rtol=1e-6)


def test_a_clip_without_padding_keeps_its_length(copy_of_small_session: Path) -> None:
    for stream in STREAMS:
        change(copy_of_small_session, f"data/{stream}/0.npy", lambda array: array[..., :FRAMES])
    assert open_session(copy_of_small_session).trial(0).frames == FRAMES


@pytest.mark.parametrize("frames", [FRAMES, FRAMES + 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, ">f4"])
def test_videos_of_other_types_give_the_same_trial(copy_of_small_session: Path, dtype: str, frames: int) -> None:
    before = open_session(copy_of_small_session).trial(0).video
    is_float = np.dtype(dtype).kind == "f"
    change(
        copy_of_small_session,
        "data/videos/0.npy",
        lambda video: (video if is_float else np.nan_to_num(video))[..., :frames].astype(dtype),
    )
    after = open_session(copy_of_small_session).trial(0).video
    assert after.dtype == np.float32
    np.testing.assert_array_equal(after, before)


def test_responses_of_a_withheld_tier_are_refused_by_name(small_session_folder: Path) -> None:
    trial = open_session(small_session_folder).trial(3)
    assert not trial.labelled
    with pytest.raises(SessionError, match="live_test_main"):
        trial.require_responses()
    with pytest.raises(SessionError, match="withheld"):
        _ = trial.responses


@pytest.mark.parametrize("placeholder", ["missing", "nan"])
def test_withheld_responses_may_be_left_out_or_nan(copy_of_small_session: Path, placeholder: str) -> None:
    file = copy_of_small_session / "data/responses/3.npy"
    file.unlink()
    if placeholder == "nan":
        np.save(file, np.full((20, 66), np.nan, dtype=np.float32))
    session = open_session(copy_of_small_session)
    assert session.trial(3).frames == FRAMES
    assert session.labelled == (0, 1, 2)


def test_a_test_tier_with_real_responses_is_labelled(copy_of_small_session: Path) -> None:
    shutil.copy(copy_of_small_session / "data/responses/0.npy", copy_of_small_session / "data/responses/3.npy")
    session = open_session(copy_of_small_session)
    assert session.labelled == (0, 1, 2, 3)
    assert session.trial(3).responses.max() > 0
    assert 3 not in session.folds()


def test_trials_set_aside_are_never_labelled(copy_of_small_session: Path) -> None:
    change(
        copy_of_small_session,
        "meta/trials/tiers.npy",
        lambda tiers: np.where(tiers == "oracle", "none", tiers),
    )
    assert open_session(copy_of_small_session).labelled == (0, 2)


def test_a_simulation_says_so_in_session_and_trial(copy_of_small_session: Path) -> None:
    (copy_of_small_session / "simulation.json").write_text(json.dumps({"simulated": True, "seed": 3}))
    session = open_session(copy_of_small_session)
    assert session.simulated
    assert session.simulation == {"simulated": True, "seed": 3}
    assert session.trial(0).simulated


def test_a_part_of_a_trial_has_the_same_frames_of_everything(small_session_folder: Path) -> None:
    trial = open_session(small_session_folder).trial(0)
    part = trial.part(10, 45)
    assert part.frames == 35
    np.testing.assert_array_equal(part.video, trial.video[10:45])
    np.testing.assert_array_equal(part.responses, trial.responses[:, 10:45])
    with pytest.raises(SessionError, match=r"0\.\.60"):
        trial.part(30, 61)


def test_a_trial_of_arrays_that_do_not_fit_is_refused() -> None:
    video, row = np.zeros((40, 36, 64)), np.zeros((2, 40))
    with pytest.raises(SessionError, match=r"behavior of shape \(2, 40\)"):
        Trial(0, "train", video, row[:, :39], row)
    with pytest.raises(SessionError, match=r"responses \(N, 40\)"):
        Trial(0, "train", video, row, row, np.zeros((5, 41)))


def test_average_behaviour_is_the_largest_mean_over_frames(copy_of_small_session: Path) -> None:
    folder = copy_of_small_session / "meta/statistics"
    for stream, rows in (
        ("behavior", [[40.0, 50.0, np.nan], [0.2, 0.1, np.nan]]),
        ("pupil_center", [[150.0], [140.0]]),
    ):
        (folder / stream / "all").mkdir(parents=True)
        np.save(folder / stream / "all/mean.npy", np.array(rows))
    behavior, pupil_center = open_session(copy_of_small_session).average_behavior()
    np.testing.assert_allclose(behavior, [50.0, 0.2])
    np.testing.assert_allclose(pupil_center, [150.0, 140.0])


def test_average_behaviour_without_statistics_is_taken_from_the_trials(small_session_folder: Path) -> None:
    stored = [np.load(small_session_folder / f"data/behavior/{trial}.npy")[:, :FRAMES] for trial in range(4)]
    behavior, pupil_center = open_session(small_session_folder).average_behavior()
    np.testing.assert_allclose(behavior, np.mean(stored, axis=0).max(axis=1), rtol=1e-6)
    assert pupil_center.shape == (2,)


def test_statistics_are_read_where_present(copy_of_small_session: Path) -> None:
    folder = copy_of_small_session / "meta/statistics/responses/all"
    folder.mkdir(parents=True)
    np.save(folder / "std.npy", np.full((20, 66), 2.0))
    statistics = open_session(copy_of_small_session).statistics
    assert statistics.present == ["responses/all/std"]
    assert statistics.get("responses", "mean") is None
    std = statistics.get("responses", "std")
    assert std is not None
    assert std.shape == (20, 66)


def test_the_fingerprint_follows_the_content_not_the_place(copy_of_small_session: Path) -> None:
    before = open_session(copy_of_small_session).fingerprint()
    moved = copy_of_small_session.rename(copy_of_small_session.parent / "renamed")
    assert open_session(moved).fingerprint() == before
    change(moved, "meta/trials/tiers.npy", lambda tiers: tiers[::-1])
    retiered = open_session(moved).fingerprint()
    assert retiered != before
    change(moved, "data/videos/0.npy", lambda video: video[..., :63])
    assert open_session(moved).fingerprint() not in (before, retiered)


# Damaged sessions


def test_of_a_session_that_was_moved_the_folder_is_told_and_not_one_of_its_files(copy_of_small_session: Path) -> None:
    session = open_session(copy_of_small_session)
    copy_of_small_session.rename(copy_of_small_session.parent / "moved")
    for asked in (session.clip_frames, session.trial):
        with pytest.raises(SessionError, match=r"expected the folder of the open session.*moved, renamed or deleted"):
            asked(0)


@pytest.mark.parametrize("trial", [-1, 4, 10**30, "0", 1.5, None])
def test_an_unknown_trial_is_answered_with_the_valid_range(small_session_folder: Path, trial: object) -> None:
    with pytest.raises(SessionError, match="from 0 to 3"):
        open_session(small_session_folder).trial(trial)  # type: ignore[arg-type]


def test_paths_that_are_no_session_are_answered_with_what_to_do(small_session_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "session.zip"
    file.write_bytes(b"PK")
    for path, message in (
        (tmp_path / "absent", "found nothing there"),
        (file, "unpack it first"),
        (tmp_path, "neither data nor meta.*vidrecon import"),
        (small_session_folder.parent, f"did you mean.*{small_session_folder.name}"),
        (tmp_path / ("x" * 400), "expected a readable session folder"),
    ):
        with pytest.raises(SessionError, match=message):
            open_session(path)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_missing_folder_of_data_is_named(copy_of_small_session: Path, stream: str) -> None:
    shutil.rmtree(copy_of_small_session / "data" / stream)
    with pytest.raises(SessionError, match=f"no data/{stream}"):
        open_session(copy_of_small_session)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_missing_file_is_named(copy_of_small_session: Path, stream: str) -> None:
    file = copy_of_small_session / "data" / stream / "0.npy"
    file.unlink()
    message = error_of(copy_of_small_session)
    assert str(file) in message
    assert "found nothing there" in message


@pytest.mark.parametrize("stream", STREAMS)
def test_a_truncated_file_is_named_with_both_sizes(copy_of_small_session: Path, stream: str) -> None:
    file = copy_of_small_session / "data" / stream / "0.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    message = error_of(copy_of_small_session)
    assert str(file) in message
    assert str(len(whole)) in message
    assert str(len(whole) - 100) in message


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"hello", b"\x93NUMPY", b"\x93NUMPY\x09\x00"])
def test_files_that_hold_no_array_are_refused(copy_of_small_session: Path, content: bytes) -> None:
    file = copy_of_small_session / "data/videos/0.npy"
    file.write_bytes(content)
    assert str(file) in error_of(copy_of_small_session)


class Bomb:
    """Would leave a mark if anything unpickled it."""

    mark: Path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("file", ["data/responses/0.npy", "meta/trials/tiers.npy", "meta/neurons/unit_ids.npy"])
def test_pickled_objects_are_never_opened(copy_of_small_session: Path, tmp_path: Path, file: str) -> None:
    bomb = Bomb()
    bomb.mark = tmp_path / "exploded"
    np.save(copy_of_small_session / file, np.array([bomb], dtype=object), allow_pickle=True)
    assert "pickled objects" in error_of(copy_of_small_session)
    assert not bomb.mark.exists()


@pytest.mark.parametrize(
    ("stream", "how", "expected"),
    [
        ("videos", lambda array: np.moveaxis(array, -1, 0), "move it to the end"),
        ("videos", lambda array: array[:18], r"(36, 64, frames)"),
        ("videos", lambda array: np.nan_to_num(array).astype(np.int16), "int16"),
        ("videos", lambda array: np.nan_to_num(array) / 255 * 1000, "0 to 255"),
        ("responses", lambda array: array[:19], "20 neurons"),
        ("responses", lambda array: array.T, "move it to the end"),
        ("responses", lambda array: array[0], "(20, frames)"),
        ("responses", lambda array: array.astype(complex), "complex128"),
        ("responses", lambda array: array - 1.0, "at least 0"),
        ("behavior", lambda array: array[:1], "(2, frames)"),
        ("behavior", lambda array: array[:, :40], "40 frames"),
        ("pupil_center", lambda array: np.array(7.0), "shape ()"),
        ("responses", lambda array: array[:, :20], "at least 32 frames"),
        ("responses", with_value(np.nan, 0, 31), "found 31 frames"),
        ("responses", lambda array: np.full_like(array, np.nan), "found 0 frames"),
    ],
)
def test_a_wrong_array_is_refused_with_what_was_expected(
    copy_of_small_session: Path, stream: str, how: Change, expected: str
) -> None:
    file = f"data/{stream}/0.npy"
    change(copy_of_small_session, file, how)
    message = error_of(copy_of_small_session)
    assert str(copy_of_small_session / file) in message
    assert expected in message


@pytest.mark.parametrize(
    ("stream", "place", "value"),
    [
        *(("videos", (4, 5, 41), value) for value in (np.nan, np.inf, -np.inf)),
        *(("responses", (7, 41), value) for value in (np.nan, np.inf, -np.inf)),
        *(("behavior", (1, 41), value) for value in (np.inf, -np.inf)),
        *(("pupil_center", (0, 41), value) for value in (np.inf, -np.inf)),
    ],
)
def test_nan_and_infinity_within_a_clip_are_refused_with_their_frame(
    copy_of_small_session: Path, stream: str, place: tuple[int, ...], value: float
) -> None:
    change(copy_of_small_session, f"data/{stream}/0.npy", with_value(value, *place))
    message = error_of(copy_of_small_session)
    assert str(copy_of_small_session / f"data/{stream}/0.npy") in message
    assert "frame 41" in message


@pytest.mark.parametrize(
    ("file", "values", "expected"),
    [
        ("meta/trials/tiers.npy", np.arange(4), "tier name"),
        ("meta/trials/tiers.npy", np.array([], dtype="<U16"), "tier name"),
        ("meta/trials/tiers.npy", np.array([b"\xff\xfe"]), "no text"),
        ("meta/neurons/unit_ids.npy", np.zeros((20, 2), dtype=int), "one integer a neuron"),
        ("meta/neurons/unit_ids.npy", np.zeros(20), "one integer a neuron"),
        (
            "meta/neurons/unit_ids.npy",
            np.array(["roi"] * 20),
            "number the neurons, in the order",
        ),
        ("meta/neurons/cell_motor_coordinates.npy", np.zeros((19, 3)), "of 20 neurons"),
    ],
)
def test_wrong_notes_about_the_session_are_refused(
    copy_of_small_session: Path, file: str, values: np.ndarray, expected: str
) -> None:
    np.save(copy_of_small_session / file, values)
    with pytest.raises(SessionError, match=expected):
        open_session(copy_of_small_session)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\xff"])
def test_wrong_notes_of_a_simulation_are_refused(copy_of_small_session: Path, text: str) -> None:
    (copy_of_small_session / "simulation.json").write_text(text, encoding="latin-1")
    with pytest.raises(SessionError, match=r"simulation\.json: expected a JSON object"):
        open_session(copy_of_small_session)


def test_damaged_statistics_are_refused(copy_of_small_session: Path) -> None:
    folder = copy_of_small_session / "meta/statistics/behavior/all"
    folder.mkdir(parents=True)
    np.save(folder / "mean.npy", np.full((2, 5), np.nan))
    with pytest.raises(SessionError, match="only NaN"):
        open_session(copy_of_small_session).average_behavior()
    np.save(folder / "mean.npy", np.array(["a"]))
    with pytest.raises(SessionError, match="expected numbers"):
        open_session(copy_of_small_session).average_behavior()


@pytest.fixture(scope="module")
def damaged_folder(small_session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session for one random damage after the other; each leaves it whole again."""
    return Path(shutil.copytree(small_session_folder, tmp_path_factory.mktemp("damage") / "session"))


def read_or_refuse(folder: Path, file: Path, content: bytes) -> None:
    """Put other bytes in a file: the trial must come out sound, or be refused in one line."""
    whole = file.read_bytes()
    file.write_bytes(content)
    trial, message = None, ""
    try:
        trial = open_session(folder).trial(0)
    except SessionError as error:
        message = str(error)
    finally:
        file.write_bytes(whole)
    if trial is None:
        assert message
        assert "\n" not in message
        return
    assert np.isfinite(trial.video).all()
    assert trial.frames >= 32
    assert not trial.labelled or trial.responses.min() >= 0


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(STREAMS), share=st.floats(0, 1))
def test_a_file_cut_anywhere_is_read_or_refused_in_words(damaged_folder: Path, name: str, share: float) -> None:
    file = damaged_folder / "data" / name / "0.npy"
    whole = file.read_bytes()
    read_or_refuse(damaged_folder, file, whole[: int(share * (len(whole) - 1))])


@settings(max_examples=250, deadline=None)
@given(
    name=st.sampled_from(("data/responses/0.npy", "data/behavior/0.npy", "meta/trials/tiers.npy")),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_a_file_with_flipped_bytes_is_read_or_refused_in_words(
    damaged_folder: Path, name: str, flips: list[tuple[int, int]]
) -> None:
    file = damaged_folder / name
    content = bytearray(file.read_bytes())
    for place, bits in flips:
        content[place] ^= bits
    read_or_refuse(damaged_folder, file, bytes(content))


@settings(max_examples=150, deadline=None)
@given(
    shape=st.lists(st.integers(-2, 2**70), max_size=5),
    descr=st.sampled_from(["<f4", "<f8", "|O", "<U4", "<M8[s]", "|V0", "f4,f4", "<f2", "x", "(3,)<f4"]),
)
def test_a_header_that_lies_is_read_or_refused_in_words(damaged_folder: Path, shape: list[int], descr: str) -> None:
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    read_or_refuse(damaged_folder, damaged_folder / "data/responses/0.npy", content)


# Laziness


def empty_array(file: Path, shape: tuple[int, ...]) -> None:
    """An array file whose data is a hole: its size is real, its place on the disk is not."""
    np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape).flush()


@pytest.fixture(scope="module")
def large_session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """700 trials of 8,000 neurons, one of them with a clip in it."""
    folder = tmp_path_factory.mktemp("large") / "dynamic2-2-2-Video-large"
    neurons, frames = 8000, 324
    shapes = {
        "videos": (36, 64, frames),
        "responses": (neurons, frames),
        "behavior": (2, frames),
        "pupil_center": (2, frames),
    }
    for stream, shape in shapes.items():
        (folder / "data" / stream).mkdir(parents=True)
        empty_array(folder / "data" / stream / "0.npy", shape)
        for trial in range(1, 700):
            with (folder / "data" / stream / f"{trial}.npy").open("wb") as file:
                file.truncate(128 + 4 * int(np.prod(shape)))
    for name, values in {
        "trials/tiers.npy": np.array(["train"] * 700),
        "neurons/unit_ids.npy": np.arange(neurons),
        "neurons/cell_motor_coordinates.npy": np.zeros((neurons, 3), dtype=int),
    }.items():
        (folder / "meta" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / "meta" / name, values)
    return folder


def measured(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and megabytes at the peak."""
    start = time.perf_counter()
    action()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak / 1e6


@pytest.mark.timing
def test_a_large_session_opens_at_once_and_without_memory(large_session_folder: Path) -> None:
    seconds, megabytes = measured(lambda: open_session(large_session_folder))
    assert seconds < 0.3
    assert megabytes < 5


def test_a_large_trial_takes_little_more_memory_than_itself(large_session_folder: Path) -> None:
    session = open_session(large_session_folder)
    trial = session.trial(0)
    itself = sum(array.nbytes for array in (trial.video, trial.responses, trial.behavior, trial.pupil_center)) / 1e6
    _, megabytes = measured(lambda: session.trial(0))
    assert megabytes < itself + 100


def test_opening_reads_no_trial(copy_of_small_session: Path) -> None:
    for stream in STREAMS:
        for file in (copy_of_small_session / "data" / stream).iterdir():
            file.write_bytes(b"not an array")
    assert isinstance(open_session(copy_of_small_session), Session)


def test_behaviour_that_was_not_recorded_and_not_padded_makes_no_clip_longer(copy_of_small_session: Path) -> None:
    """Whoever writes a constant in place of behaviour pads it with nothing."""
    whole = {stream: copy_of_small_session / "data" / stream / "0.npy" for stream in ("responses", "behavior")}
    frames = open_session(copy_of_small_session).trial(0).frames
    padded = np.pad(np.load(whole["responses"]), ((0, 0), (0, 30)), constant_values=np.nan)
    np.save(whole["responses"], padded)
    np.save(whole["behavior"], np.zeros((2, padded.shape[1]), np.float32))
    session = open_session(copy_of_small_session)
    assert session.trial(0).frames == session.clip_frames(0) == frames


@pytest.mark.parametrize(("first", "last"), [(0, 5), (20, 50), (55, 60)])
def test_behaviour_missing_for_a_second_is_interpolated_and_told_once_a_session(
    copy_of_small_session: Path, caplog: pytest.LogCaptureFixture, first: int, last: int
) -> None:
    """As an eye that blinks leaves it, in sessions that were not written by `vidrecon import`."""
    file = copy_of_small_session / "data" / "behavior" / "0.npy"
    frames = open_session(copy_of_small_session).clip_frames(0)
    behavior = np.load(file)
    behavior[0, :frames] = np.arange(frames)
    behavior[0, first:last] = np.nan
    np.save(file, behavior)
    session = open_session(copy_of_small_session)
    assert session.clip_frames(0) == frames
    trial = session.trial(0)
    session.trial(0)
    assert trial.bridged_behavior == last - first
    expected = np.clip(np.arange(frames), last if first == 0 else 0, first - 1 if last == frames else frames)
    np.testing.assert_allclose(trial.behavior[0], expected)
    np.testing.assert_array_equal(trial.behavior[1], behavior[1, :frames])
    (told,) = [record.getMessage() for record in caplog.records if "interpolated" in record.getMessage()]
    assert f"behaviour of trial 0 is NaN in {last - first} values" in told
    assert session.trial(1).bridged_behavior == 0


def test_behaviour_missing_for_longer_is_refused(copy_of_small_session: Path) -> None:
    file = copy_of_small_session / "data" / "pupil_center" / "0.npy"
    pupil = np.load(file)
    pupil[0, 10:41] = np.nan
    np.save(file, pupil)
    with pytest.raises(SessionError, match="found 31 NaN values, the first in frame 10"):
        open_session(copy_of_small_session).trial(0)


def test_a_clip_without_responses_is_as_long_as_its_behaviour_whatever_is_missing_in_it(
    copy_of_small_session: Path,
) -> None:
    (unlabelled,) = np.flatnonzero(np.load(copy_of_small_session / "meta/trials/tiers.npy") == "live_test_main")
    frames = open_session(copy_of_small_session).clip_frames(unlabelled)
    file = copy_of_small_session / "data" / "behavior" / f"{unlabelled}.npy"
    behavior = np.load(file)
    behavior[0, 5:9] = np.nan
    np.save(file, behavior)
    session = open_session(copy_of_small_session)
    assert session.clip_frames(unlabelled) == session.trial(unlabelled).frames == frames


def test_neurons_that_are_nan_are_named_as_what_may_be_left_out(copy_of_small_session: Path) -> None:
    file = copy_of_small_session / "data" / "responses" / "1.npy"
    responses = np.load(file)
    responses[3, :40] = np.nan
    responses[7, 2] = np.nan
    np.save(file, responses)
    with pytest.raises(
        SessionError, match=r"first in frame 0, in 2 neurons of 20 \(row 3, 7\); .* take them out of all"
    ):
        open_session(copy_of_small_session).trial(1)


@pytest.mark.parametrize("rate_hz", [7.5, 12, 24, 29.97, 30, 59.94, 120])
def test_frames_of_any_clip_are_whole_steps_of_the_time_of_a_frame(rate_hz: float) -> None:
    for frames in (1, 2, 32, 60, 63, 512, 1024):
        seconds = seconds_a_frame(rate_hz, frames)
        assert int((frames - 1) * seconds / seconds) == frames - 1
        assert seconds == pytest.approx(1 / rate_hz, rel=1e-12)
