"""Tiers of imported trials: held-out clips never share a movie with those to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_vidrecon.errors import SessionError, number_of
from napari_vidrecon.sessions.importing.recording import ImportReport
from napari_vidrecon.sessions.importing.resampling import ScreenResampler
from napari_vidrecon.sessions.trial import fold_of, hashed_frames, perceptual_hash
from napari_vidrecon.sessions.validation import KNOWN_TIERS

TEST_TIER, VALIDATION_TIER, TRAINING_TIER = "live_test_main", "oracle", "train"
THUMBNAIL_PX = (18, 32)
NEARLY_EQUAL = 0.95
"""Two clips whose thumbnails correlate at least this much show the same movie."""


@dataclass(frozen=True)
class ClipLook:
    """What a clip looks like, small enough to compare every clip with every other.

    Parameters
    ----------
    hash
        Perceptual hash of the clip.
    thumbnail
        Five small frames, one row, mean 0 and length 1; zeros for a clip of one grey.
    """

    hash: int
    thumbnail: np.ndarray

    @classmethod
    def of(cls, video: np.ndarray) -> ClipLook:
        """The look of a clip (T, H, W), grey levels 0..255."""
        rows, columns = THUMBNAIL_PX
        frames = video[hashed_frames(len(video))]
        _, height, width = frames.shape
        if height % rows or width % columns:
            small = ScreenResampler((height, width), THUMBNAIL_PX, "stretch")(frames)
        else:
            blocks = frames.reshape(len(frames), rows, height // rows, columns, width // columns)
            small = blocks.mean(axis=(2, 4))
        flat = small.ravel().astype(np.float64)
        flat -= flat.mean()
        return cls(perceptual_hash(video), (flat / max(float(np.linalg.norm(flat)), 1e-9)).astype(np.float32))


def movie_groups(looks: Sequence[ClipLook], sources: Sequence[object]) -> np.ndarray:
    """Number of the group of each trial: trials of one group may not be split between training and test.

    Grouped together are trials of the same source, of the same perceptual hash, and whose thumbnails correlate at
    least 0.95.

    Parameters
    ----------
    looks
        One a trial.
    sources
        One a trial; equal for trials cut from the same movie.

    Returns
    -------
    np.ndarray
        (trials,) integers from 0, by first appearance.
    """
    parent = list(range(len(looks)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[object, int] = {}
    for index, (look, source) in enumerate(zip(looks, sources, strict=True)):
        for name in (("hash", look.hash), ("source", source)):
            other = first.setdefault(name, index)
            parent[root(index)] = root(other)
    pictures = np.stack([look.thumbnail for look in looks])
    for index in range(len(looks)):
        for other in np.flatnonzero(pictures[index + 1 :] @ pictures[index] >= NEARLY_EQUAL).tolist():
            parent[root(index + 1 + other)] = root(index)
    roots = [root(index) for index in range(len(looks))]
    numbers = {value: number for number, value in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[value] for value in roots])


def movies_in_several_folds(groups: np.ndarray, hashes: Sequence[int]) -> int:
    """Number of movies whose showings differ enough in their hashes to land in different folds."""
    folds: dict[int, set[int]] = {}
    for group, clip_hash in zip(groups.tolist(), hashes, strict=True):
        folds.setdefault(group, set()).add(fold_of(clip_hash))
    return sum(len(its) > 1 for its in folds.values())


FEWEST_TO_VALIDATE = 2
"""Trials that fitting a mask takes."""
FEW_MOVIES = 3
"""With fewer different movies than this an encoder learns those and nothing of others."""


def chosen_tiers(
    groups: np.ndarray,
    hashes: Sequence[int],
    test_share: float,
    validation_share: float,
    report: ImportReport,
    *,
    within_movie: bool = False,
) -> list[str]:
    """A tier for each trial, by whole groups; movies shown most often are held out first.

    Parameters
    ----------
    groups, hashes
        One a trial.
    test_share, validation_share
        Share of the trials to hold out.
    report
        Takes notes.
    within_movie
        Parts of one movie are groups of their own.

    Returns
    -------
    list[str]
        One a trial.

    Raises
    ------
    SessionError
        Too few different movies to hold any out.
    """
    sizes = Counter(groups.tolist())
    tiers_wanted = 2 if test_share == 0 else 3
    if len(sizes) < tiers_wanted:
        parts = "hold out parts of the same movie (--within-movie)"
        if within_movie:
            parts = "cut it into more parts (--trial-frames); an encoder learns from many different pictures"
        raise SessionError(
            f"trials: expected at least {tiers_wanted} different movies, so that some can be held out, "
            f"found {len(sizes)}; if one stack holds several, store it as (clips, frames, rows, columns); or {parts}"
        )
    # By hash, not by time: neither the order of showing nor chance decides, and an import can be repeated.
    by_hash = {group: min(hash_ for hash_, its in zip(hashes, groups, strict=True) if its == group) for group in sizes}
    often = {group: 0 if sizes[group] > 1 else 1 for group in sizes}
    order = sorted(sizes, key=lambda group: (often[group], by_hash[group]))
    shares = {TEST_TIER: test_share, VALIDATION_TIER: validation_share}
    tier_of = dict.fromkeys(sizes, TRAINING_TIER)
    waiting = list(order)
    for left, (tier, share) in enumerate(shares.items()):
        fewest = FEWEST_TO_VALIDATE if tier == VALIDATION_TIER else 1
        taken, wanted = 0, max(fewest, round(share * len(groups))) if share else 0
        # The tiers that are still to be filled, training among them, need a movie each.
        while taken < wanted and len(waiting) > len(shares) - left:
            group = next((each for each in waiting if sizes[each] <= wanted - taken), None)
            if group is None:
                if taken:
                    break
                group = min(waiting, key=lambda each: (sizes[each], by_hash[each]))
            waiting.remove(group)
            tier_of[group] = tier
            taken += sizes[group]
    report.add(
        "assumed",
        "trials",
        f"{len(sizes)} different movies by perceptual hash and likeness; whole movies held out: "
        + ", ".join(f"{number_of(count, 'trial')} of tier {tier}" for tier, count in _counts(groups, tier_of).items()),
    )
    left_to_train = sum(tier == TRAINING_TIER for tier in tier_of.values())
    if left_to_train < FEW_MOVIES:
        text = (
            f"{left_to_train} different movies are left to train on; an encoder needs many, or parts (--within-movie)"
        )
        report.add("warning", "trials", text)
    return [tier_of[group] for group in groups.tolist()]


def _counts(groups: np.ndarray, tier_of: dict[int, str]) -> dict[str, int]:
    return dict(Counter(tier_of[group] for group in groups.tolist()).most_common())


def require_known(tiers: Sequence[str], source: str) -> None:
    """Refuse given tiers that no other part of the program knows; raises `SessionError`."""
    for trial, tier in enumerate(tiers):
        if tier not in KNOWN_TIERS:
            raise SessionError(
                f"{source}: expected tiers out of {', '.join(KNOWN_TIERS)}, found {tier!r} for trial {trial}; "
                "rename it, or leave the tiers out to have them chosen"
            )


def require_no_leak(tiers: Sequence[str], groups: np.ndarray, source: str) -> None:
    """Refuse given tiers under which a movie to train on is also held out.

    Parameters
    ----------
    tiers
        One a trial.
    groups
        One a trial: equal for trials that show the same movie.
    source
        What the tiers were read from, for the message.

    Raises
    ------
    SessionError
        Such a movie, with the first two trials that show it.
    """
    trained = {int(group): trial for trial, group in enumerate(groups) if tiers[trial] == TRAINING_TIER}
    for trial, group in enumerate(groups.tolist()):
        if tiers[trial] != TRAINING_TIER and group in trained:
            raise SessionError(
                f"{source}: expected tiers that share no movie, found the movie of trial {trial} ({tiers[trial]}) "
                f"also in trial {trained[group]} ({TRAINING_TIER}); give both the same tier, "
                "or leave the tiers out to have them chosen"
            )
