"""Perceptual hashes and folds: equal to the reference's, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial import (
    fold_of,
    frame_hash,
    hash_distance,
    hashed_frames,
    perceptual_hash,
)

DC_BIT = 1 << 63


@pytest.fixture(scope="module")
def golden_session(golden_session_folder: Path) -> Session:
    return open_session(golden_session_folder)


def noise(frames: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (frames, 36, 64))


def test_hashes_equal_those_of_the_reference(golden_session: Session, golden: Mapping[str, np.ndarray]) -> None:
    hashed = [trial for trial, tier in golden_session.tiers.items() if tier != "none"]
    found = {trial: golden_session.clip_hash(trial) for trial in hashed}
    assert found == {trial: int(golden["phashes"][trial]) for trial in hashed}


def test_folds_equal_those_of_the_reference(golden_session: Session, golden: Mapping[str, np.ndarray]) -> None:
    named = {trial: tier for trial, tier in enumerate(golden["fold_tiers_m1"]) if tier.startswith("fold_")}
    assert golden_session.folds(7) == {trial: int(tier.removeprefix("fold_")) for trial, tier in named.items()}


def test_fold_0_lists_the_reference_s_trials_with_their_lengths(
    golden_session: Session, golden: Mapping[str, np.ndarray]
) -> None:
    trials = golden_session.trials_in_fold(0)
    assert trials == golden["fold0_trial_ids"].tolist()
    assert [golden_session.trial(trial).frames for trial in trials] == golden["fold0_lengths"].tolist()


def test_a_grey_picture_sets_the_bit_of_the_mean_only_and_a_black_one_none() -> None:
    for level in (1, 100, 128, 255):
        assert frame_hash(np.full((36, 64), level)) == DC_BIT
    assert frame_hash(np.zeros((36, 64))) == 0
    assert fold_of(DC_BIT, 7) == 1


def test_five_equal_frames_have_the_hash_of_one() -> None:
    frame = noise(1)[0]
    assert perceptual_hash(np.repeat(frame[None], 5, axis=0)) == frame_hash(frame)


def test_the_frames_hashed_are_those_of_the_reference() -> None:
    assert hashed_frames(300) == [30, 90, 150, 210, 270]
    assert hashed_frames(5) == [0, 1, 2, 3, 4]
    assert len(hashed_frames(63)) == 5


def test_fractions_of_a_grey_level_are_cut_off() -> None:
    video = np.floor(noise())
    assert perceptual_hash(video + 0.9) == perceptual_hash(video) == perceptual_hash(video.astype(np.uint8))


@pytest.mark.parametrize("shape", [(4, 36, 64), (36, 64)])
def test_videos_that_cannot_be_hashed_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        perceptual_hash(np.zeros(shape))


def test_a_fold_needs_at_least_one_fold() -> None:
    with pytest.raises(ValueError, match="at least one fold"):
        fold_of(3, 0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(5, 50), folds=st.integers(1, 9))
def test_a_hash_is_64_bits_and_its_fold_is_in_range(seed: int, frames: int, folds: int) -> None:
    clip_hash = perceptual_hash(noise(frames, seed))
    assert 0 <= clip_hash < 1 << 64
    assert 0 <= fold_of(clip_hash, folds) < folds
    assert hash_distance(clip_hash, clip_hash) == 0
    assert hash_distance(clip_hash, clip_hash ^ 0b101) == 2


def test_padding_does_not_change_the_fold(copy_of_small_session: Path) -> None:
    before = open_session(copy_of_small_session).clip_hash(0)
    file = copy_of_small_session / "data/videos/0.npy"
    video = np.load(file)
    np.save(file, np.concatenate([video, np.full_like(video, np.nan)], axis=-1))
    assert open_session(copy_of_small_session).clip_hash(0) == before


@pytest.mark.parametrize("frames", [60, 66])
def test_a_uint8_video_has_the_hash_of_the_float_one_padded_or_not(copy_of_small_session: Path, frames: int) -> None:
    before = open_session(copy_of_small_session).folds()
    for trial in range(4):
        file = copy_of_small_session / f"data/videos/{trial}.npy"
        np.save(file, np.nan_to_num(np.load(file)[..., :frames]).astype(np.uint8))
    assert open_session(copy_of_small_session).folds() == before


def test_only_train_and_oracle_trials_have_folds(small_session_folder: Path) -> None:
    assert list(open_session(small_session_folder).folds()) == [0, 1, 2]


def test_in_an_old_mouse_every_trial_but_those_set_aside_has_a_fold(copy_of_small_session: Path) -> None:
    folder = copy_of_small_session.rename(copy_of_small_session.parent / "dynamic29156-11-10-Video-8744")
    np.save(folder / "meta/trials/tiers.npy", np.array(["train", "none", "live_test_main", "final_test_bonus"]))
    assert list(open_session(folder).folds()) == [0, 2, 3]


def test_folds_are_remembered_and_tell_how_far_they_are(copy_of_small_session: Path) -> None:
    session = open_session(copy_of_small_session)
    told: list[tuple[int, int]] = []
    folds = session.folds(7, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    for file in (copy_of_small_session / "data/videos").iterdir():
        file.unlink()
    assert session.folds(7) == folds


def test_folds_fail_on_a_missing_video_rather_than_shift_positions(copy_of_small_session: Path) -> None:
    (copy_of_small_session / "data/videos/1.npy").unlink()
    with pytest.raises(SessionError, match=r"videos.1\.npy.*nothing there"):
        open_session(copy_of_small_session).folds()
