"""Near-duplicates between held-out and training clips: found, confirmed, and told from mere likeness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.analysis.duplicates import find_duplicates, split_by_fold, split_by_tier
from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.writer import write_session

WHOLE_GOLDEN_TRIALS = (0, 1, 2, 3)
"""Training trials of the golden session whose videos are kept whole."""


@pytest.fixture(scope="module")
def golden_session(golden_session_folder: Path) -> Session:
    return open_session(golden_session_folder)


def test_fold_0_of_the_reference_is_clean_and_its_hash_distances_are_the_reference_s(
    golden_session: Session, golden: Mapping[str, np.ndarray]
) -> None:
    held_out, training = split_by_fold(golden_session)
    assert held_out == golden["fold0_trial_ids"].tolist()
    report = find_duplicates(golden_session, held_out, {golden_session: training})
    assert (report.clean, report.duplicates) == (held_out, [])
    hashes = [int(each) for each in golden["phashes"]]
    for each in report.nearest:
        distances = {trial: (hashes[each.trial] ^ hashes[trial]).bit_count() for trial in training}
        assert each.hash_distance == min(distances.values())
        assert distances[each.nearest_hash[1]] == each.hash_distance


def test_correlations_are_those_of_numpy(golden_session: Session) -> None:
    report = find_duplicates(golden_session, [10, 22], {golden_session: WHOLE_GOLDEN_TRIALS})
    for each in report.nearest:
        clip = golden_session.trial(each.trial).video
        others = {trial: golden_session.trial(trial).video for trial in WHOLE_GOLDEN_TRIALS}
        first = {trial: np.corrcoef(clip[0].ravel(), video[0].ravel())[0, 1] for trial, video in others.items()}
        assert each.match == (golden_session.name, max(first, key=lambda trial: first[trial]))
        assert each.first_frame_correlation == pytest.approx(max(first.values()), abs=1e-6)
        like = others[each.match[1]]
        frames = min(len(clip), len(like))
        expected = np.corrcoef(clip[:frames].ravel(), like[:frames].ravel())[0, 1]
        assert each.clip_correlation == pytest.approx(expected, abs=1e-6)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(30, 220, (40, 36, 64)).astype(np.float32)


def session_of(folder: Path, videos: list[np.ndarray], tiers: list[str]) -> Session:
    random = np.random.default_rng(0)
    trials = [
        Trial(
            id=number,
            tier=tier,
            video=video,
            behavior=np.ones((2, len(video)), np.float32),
            pupil_center=np.ones((2, len(video)), np.float32),
            recorded_responses=random.gamma(1, 3, (3, len(video))).astype(np.float32),
        )
        for number, (video, tier) in enumerate(zip(videos, tiers, strict=True))
    ]
    return open_session(write_session(folder, trials, coordinates=np.zeros((3, 3)), padded_frames=60))


def test_a_repeat_that_was_encoded_again_is_found_and_a_shared_first_frame_is_not_enough(tmp_path: Path) -> None:
    again = noise(0) * 0.9 + 10 + np.random.default_rng(9).normal(0, 4, (40, 36, 64)).astype(np.float32)
    same_start = np.concatenate([noise(1)[:1], noise(5)[1:]])
    videos = [noise(0), noise(1), noise(2), noise(3), same_start, again[:36], noise(4)]
    session = session_of(tmp_path / "mouse", videos, ["oracle"] * 3 + ["train"] * 4)
    held_out, training = split_by_tier(session)
    report = find_duplicates(session, held_out, {session: training})
    assert report.duplicates == [0]
    assert report.clean == [1, 2]
    repeat, start, _ = report.nearest
    assert repeat.confirmed_by == ("mouse", 5)
    assert start.match == ("mouse", 4)
    assert start.first_frame_correlation > 0.999
    assert start.clip_correlation < 0.2


def test_other_mice_that_the_encoder_was_trained_on_count_too(tmp_path: Path) -> None:
    session = session_of(tmp_path / "mouse", [noise(0), noise(1)], ["oracle", "train"])
    other = session_of(tmp_path / "other", [noise(2), noise(0)], ["train", "train"])
    assert find_duplicates(session, [0], {session: [1]}).clean == [0]
    report = find_duplicates(session, [0], {session: [1], other: [0, 1]})
    assert (report.duplicates, report.nearest[0].confirmed_by, report.training_clips) == ([0], ("other", 1), 3)


def test_clips_that_begin_with_one_grey_are_told_apart_by_what_follows(tmp_path: Path) -> None:
    videos = [noise(seed) for seed in (0, 1, 0, 2)]
    for video in videos[:3]:
        video[0] = 100
    session = session_of(tmp_path / "mouse", videos, ["oracle", "oracle", "train", "train"])
    report = find_duplicates(session, [0, 1], {session: [2, 3]})
    assert (report.duplicates, report.clean) == ([0], [1])


def test_nothing_to_compare_is_said(small_session_folder: Path) -> None:
    session = open_session(small_session_folder)
    with pytest.raises(SessionError, match="found 0 and 1"):
        find_duplicates(session, [], {session: [0]})


def test_progress_counts_every_clip(small_session_folder: Path) -> None:
    session = open_session(small_session_folder)
    told: list[tuple[int, int]] = []
    find_duplicates(session, [1], {session: [0, 2]}, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
