"""Writing sessions in the public format: padding, statistics, tiers, and all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.writer import write_session

NEURONS = 6
COORDINATES = np.arange(NEURONS * 3).reshape(NEURONS, 3)


def make_trial(seed: int, frames: int = 40, tier: str = "train", *, labelled: bool = True) -> Trial:
    rng = np.random.default_rng(seed)
    return Trial(
        id=seed,
        tier=tier,
        video=np.floor(rng.uniform(0, 256, (frames, 36, 64))).astype(np.float32),
        behavior=rng.uniform(0, 50, (2, frames)).astype(np.float32),
        pupil_center=rng.normal(150, 5, (2, frames)).astype(np.float32),
        recorded_responses=rng.gamma(1, 3, (NEURONS, frames)).astype(np.float32) if labelled else None,
    )


def statistic(folder: Path, stream: str, name: str) -> np.ndarray:
    return np.load(folder / f"meta/statistics/{stream}/all/{name}.npy")


@pytest.mark.parametrize("video_dtype", ["uint8", "float32"])
def test_what_is_written_is_read_back_unchanged(tmp_path: Path, video_dtype: str) -> None:
    trials = [make_trial(0), make_trial(1, frames=50, tier="oracle"), make_trial(2, tier="live_test_main")]
    folder = write_session(tmp_path / "s", trials, coordinates=COORDINATES, video_dtype=video_dtype)
    session = open_session(folder)
    assert list(session.tiers.values()) == ["train", "oracle", "live_test_main"]
    np.testing.assert_array_equal(session.coordinates, COORDINATES)
    np.testing.assert_array_equal(session.neuron_ids, np.arange(1, NEURONS + 1))
    for written, trial_id in zip(trials, session.trial_ids, strict=True):
        read = session.trial(trial_id)
        np.testing.assert_array_equal(read.video, written.video)
        np.testing.assert_array_equal(read.responses, written.responses)
        np.testing.assert_array_equal(read.behavior, written.behavior)
        np.testing.assert_array_equal(read.pupil_center, written.pupil_center)


def test_float_arrays_are_padded_with_nan_to_324_columns(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "s", [make_trial(0)], coordinates=COORDINATES, video_dtype="float32")
    shapes = {"videos": (36, 64, 324), "responses": (NEURONS, 324), "behavior": (2, 324), "pupil_center": (2, 324)}
    for stream, shape in shapes.items():
        array = np.load(folder / "data" / stream / "0.npy")
        assert array.shape == shape
        assert np.isfinite(array[..., :40]).all()
        assert np.isnan(array[..., 40:]).all()


def test_whole_grey_levels_are_stored_in_one_byte_each_without_padding(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "s", [make_trial(0)], coordinates=COORDINATES)
    video = np.load(folder / "data/videos/0.npy")
    assert video.dtype == np.uint8
    assert video.shape == (36, 64, 40)


def test_statistics_are_per_frame_over_all_trials(tmp_path: Path) -> None:
    trials = [make_trial(seed) for seed in range(4)]
    folder = write_session(tmp_path / "s", trials, coordinates=COORDINATES)
    stacked = np.stack([trial.responses for trial in trials])
    expected = {
        "mean": stacked.mean(axis=0),
        "std": stacked.std(axis=0),
        "min": stacked.min(axis=0),
        "max": stacked.max(axis=0),
        "median": np.median(stacked, axis=0),
    }
    for name, values in expected.items():
        found = statistic(folder, "responses", name)
        assert found.shape == (NEURONS, 324)
        np.testing.assert_allclose(found[:, :40], values, rtol=1e-5, atol=1e-5)
        assert np.isnan(found[:, 40:]).all()
    assert statistic(folder, "videos", "mean").shape == (36, 64, 324)


def test_frames_that_only_some_clips_reach_count_only_those_clips(tmp_path: Path) -> None:
    short, long = make_trial(0, frames=40), make_trial(1, frames=60)
    folder = write_session(tmp_path / "s", [short, long], coordinates=COORDINATES)
    mean = statistic(folder, "behavior", "mean")
    np.testing.assert_allclose(mean[:, :40], (short.behavior + long.behavior[:, :40]) / 2, rtol=1e-5)
    np.testing.assert_allclose(mean[:, 40:60], long.behavior[:, 40:], rtol=1e-5)
    np.testing.assert_array_equal(statistic(folder, "behavior", "std")[:, 40:60], 0)


def test_the_median_of_many_trials_is_close_to_the_exact_one(tmp_path: Path) -> None:
    trials = [make_trial(seed, frames=32) for seed in range(40)]
    folder = write_session(tmp_path / "s", trials, coordinates=COORDINATES)
    exact = np.median(np.stack([trial.behavior for trial in trials]), axis=0)
    assert np.abs(statistic(folder, "behavior", "median")[:, :32] - exact).mean() < 8


def test_trials_are_taken_from_a_generator_one_by_one(tmp_path: Path) -> None:
    events: list[str] = []

    def trials() -> Iterator[Trial]:
        for seed in range(3):
            events.append(f"drawn {seed + 1}")
            yield make_trial(seed)

    def on_trial(done: int) -> None:
        events.append(f"written {done}")

    write_session(tmp_path / "s", trials(), coordinates=COORDINATES, on_trial=on_trial)
    assert events == ["drawn 1", "written 1", "drawn 2", "written 2", "drawn 3", "written 3"]


def test_withheld_responses_have_no_file(tmp_path: Path) -> None:
    trials = [make_trial(0), make_trial(1, tier="final_test_main", labelled=False)]
    folder = write_session(tmp_path / "s", trials, coordinates=COORDINATES)
    assert (folder / "data/responses/0.npy").exists()
    assert not (folder / "data/responses/1.npy").exists()
    assert not open_session(folder).trial(1).labelled


def test_extra_files_land_in_the_session_and_nowhere_else(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "s", [make_trial(0)], coordinates=COORDINATES, extra_files={"a/b.txt": "hi"})
    assert (folder / "a/b.txt").read_text() == "hi"
    with pytest.raises(SessionError, match="inside the session folder"):
        write_session(tmp_path / "t", [make_trial(0)], coordinates=COORDINATES, extra_files={"../out.txt": "no"})
    assert not (tmp_path / "out.txt").exists()
    assert not (tmp_path / "t").exists()


def test_an_interrupted_write_leaves_the_old_session_and_no_scraps(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "s", [make_trial(0)], coordinates=COORDINATES)

    def trials() -> Iterator[Trial]:
        yield make_trial(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_session(folder, trials(), coordinates=COORDINATES)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    np.testing.assert_array_equal(open_session(folder).trial(0).video, make_trial(0).video)


@pytest.mark.parametrize(
    ("trials", "complaint"),
    [
        ([], "at least one trial"),
        ([make_trial(0, frames=325)], "1 to 324 frames, found 325"),
        ([make_trial(0, tier="a tier with a long name")], "16 characters"),
        ([make_trial(0), Trial(1, "train", np.zeros((40, 36, 60)), np.zeros((2, 40)), np.zeros((2, 40)))], "60"),
        (
            [Trial(0, "train", np.zeros((40, 36, 64)), np.zeros((2, 40)), np.zeros((2, 40)), np.zeros((5, 40)))],
            "6 neurons",
        ),
    ],
)
def test_a_trial_that_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, trials: list[Trial], complaint: str
) -> None:
    with pytest.raises(SessionError, match=complaint):
        write_session(tmp_path / "s", trials, coordinates=COORDINATES)
    assert list(tmp_path.iterdir()) == []


def test_coordinates_must_be_three_numbers_a_neuron(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="coordinates of shape"):
        write_session(tmp_path / "s", [make_trial(0)], coordinates=np.zeros((6, 2)))
    with pytest.raises(SessionError, match="6 unit ids"):
        write_session(tmp_path / "s", [make_trial(0)], coordinates=COORDINATES, unit_ids=np.arange(5))
