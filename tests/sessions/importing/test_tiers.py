"""Held-out clips never share a movie with those to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_recordings import RawMouse
from scipy.ndimage import gaussian_filter

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording import ImportReport
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.tiers import ClipLook, chosen_tiers, movie_groups, require_no_leak
from napari_vidrecon.sessions.session import open_session


def blobs(seed: int) -> np.ndarray:
    """A clip of slowly changing blots, (40, 36, 64)."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(40, 36, 64)), (8, 4, 4), mode="wrap")
    return np.clip(127.5 + 50 * noise / noise.std(), 0, 250)


def tiers_of(groups: list[int], test: float = 0.1, validation: float = 0.1) -> list[str]:
    hashes = [group * 7919 % 101 for group in groups]
    return chosen_tiers(np.array(groups), hashes, test, validation, ImportReport())


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.integers(0, 30), min_size=12, max_size=80).filter(lambda found: len(set(found)) > 4))
def test_a_movie_has_one_tier_and_every_tier_has_movies(groups: list[int]) -> None:
    tiers = tiers_of(groups)
    for group in set(groups):
        assert len({tier for tier, its in zip(tiers, groups, strict=True) if its == group}) == 1
    assert set(tiers) == {"train", "oracle", "live_test_main"}


def test_the_shares_are_kept_where_every_movie_is_shown_once() -> None:
    tiers = tiers_of(list(range(100)), 0.2, 0.1)
    assert [tiers.count(tier) for tier in ("train", "oracle", "live_test_main")] == [70, 10, 20]


def test_movies_that_were_shown_several_times_are_held_out_first() -> None:
    tiers = tiers_of([*range(40), 40, 40, 40, 40, 41, 41, 41, 41, 41])
    assert "train" not in tiers[40:]


def test_one_movie_only_cannot_be_split() -> None:
    with pytest.raises(SessionError, match=r"different movies.*--within-movie"):
        tiers_of([0] * 20)


def test_equal_sources_equal_hashes_and_near_equal_pictures_are_one_movie() -> None:
    clip = blobs(0)
    shifted = np.roll(clip, 1, axis=2) + 2
    looks = [ClipLook.of(video) for video in (clip, blobs(1), shifted, blobs(2), blobs(3), clip)]
    assert movie_groups(looks, ["a", "b", "c", "b", "d", "e"]).tolist() == [0, 1, 0, 1, 2, 0]


def test_tiers_that_leak_are_refused() -> None:
    require_no_leak(["train", "oracle", "oracle"], np.array([0, 1, 1]), "tiers.npy")
    with pytest.raises(SessionError, match=r"trial 1 \(oracle\) also in trial 0 \(train\)"):
        require_no_leak(["train", "oracle"], np.array([0, 0]), "tiers.npy")


def test_tiers_are_chosen_where_none_are_given_and_are_the_same_again(
    raw_mouse: RawMouse, tmp_path: Path, out: Path
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "raw")
    (folder / "tiers.npy").unlink()
    # The last movie is shown twice: both showings belong to one tier.
    order = np.append(np.arange(11), 10)
    np.save(folder / "stimulus_order.npy", order)
    np.save(folder / "stimulus.npy", raw_mouse.movies[:11])
    for place in (out, out.with_name("again")):
        import_recording(ArrayFolder(folder).recording(), place)
    session = open_session(out)
    assert session.tiers == open_session(out.with_name("again")).tiers
    assert session.tiers[10] == session.tiers[11]
    assert set(session.tiers.values()) == {"train", "oracle", "live_test_main"}


def test_pieces_of_one_long_movie_are_not_split_unless_asked(raw_mouse: RawMouse, tmp_path: Path, out: Path) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "raw")
    (folder / "tiers.npy").unlink()
    frames = raw_mouse.movies.reshape(-1, 36, 64)
    np.save(folder / "stimulus.npy", frames)
    np.save(folder / "stimulus_times.npy", 1 + np.arange(len(frames)) / 30)
    with pytest.raises(SessionError, match="--within-movie"):
        import_recording(ArrayFolder(folder).recording(), out, ImportSettings(trial_frames=75))
    report = import_recording(ArrayFolder(folder).recording(), out, ImportSettings(trial_frames=75, within_movie=True))
    assert report.totals["trials"] == 12
    assert any("--within-movie" in note.text for note in report.of_kind("warning"))
