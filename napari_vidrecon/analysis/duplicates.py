"""Held-out clips that an encoder has seen in training after all, nearly the same under another number.

Folds keep equal clips together by their perceptual hash; a repeat that was encoded again, or shifted a little, has
another hash and may land in another fold. Source: Bauer et al. 2026, last supplementary figure; the search itself is
not published, so first frames are compared first and whole clips confirm, both with a written threshold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import LABELLED_TIERS, Session
from napari_vidrecon.sessions.trial import hash_distance
from napari_vidrecon.sessions.trial_files import open_array

TRAINING_TIER = LABELLED_TIERS[0]
FIRST_FRAME_CORRELATION = 0.95
CLIP_CORRELATION = 0.95

Clip = tuple[str, int]
"""Name of a session and id of a trial in it."""


@dataclass(frozen=True)
class NearestClip:
    """The training clip most like a held-out clip.

    Parameters
    ----------
    trial
        Id of the held-out trial.
    match
        Session and trial of the training clip whose first frame correlates most with its own.
    first_frame_correlation
        That correlation, -1..1, over all pixels.
    clip_correlation
        The highest correlation of whole clips, over their common length, among the training clips whose first frames
        reach the threshold; where none does, that with `match`.
    confirmed_by
        Session and trial of that clip.
    hash_distance
        Bits, 0..64, to the training clip with the nearest perceptual hash.
    nearest_hash
        Session and trial of that clip.
    duplicate
        First frame and whole clip both reach their thresholds.
    """

    trial: int
    match: Clip
    first_frame_correlation: float
    clip_correlation: float
    confirmed_by: Clip
    hash_distance: int
    nearest_hash: Clip
    duplicate: bool


@dataclass(frozen=True)
class DuplicateReport:
    """What a search for near-duplicates found.

    Parameters
    ----------
    nearest
        One entry a held-out trial, ascending.
    training_clips
        Number of clips searched.
    first_frame_threshold, clip_threshold
        The correlations from which on a clip counts as the same.
    """

    nearest: tuple[NearestClip, ...]
    training_clips: int
    first_frame_threshold: float = FIRST_FRAME_CORRELATION
    clip_threshold: float = CLIP_CORRELATION

    @property
    def clean(self) -> list[int]:
        """Ids of the held-out trials that are no duplicates, ascending."""
        return [each.trial for each in self.nearest if not each.duplicate]

    @property
    def duplicates(self) -> list[int]:
        """Ids of the held-out trials that the encoder has seen in training, ascending."""
        return [each.trial for each in self.nearest if each.duplicate]

    def as_values(self) -> dict[str, object]:
        """The same as plain values, ready for JSON."""
        return {"clean": self.clean, "duplicates": self.duplicates, **dataclasses.asdict(self)}


def split_by_fold(session: Session, fold: int = 0) -> tuple[list[int], list[int]]:
    """Held-out and training trials as the paper splits them: one fold against all others."""
    folds = session.folds()
    return (
        [trial for trial, its_fold in folds.items() if its_fold == fold],
        [trial for trial, its_fold in folds.items() if its_fold != fold],
    )


def split_by_tier(session: Session) -> tuple[list[int], list[int]]:
    """Held-out and training trials by tier: all that have responses against those of the tier train."""
    training = session.trials_in_tier(TRAINING_TIER)
    return [trial for trial in session.labelled if trial not in set(training)], training


def find_duplicates(
    session: Session,
    held_out: Sequence[int],
    training: Mapping[Session, Sequence[int]],
    *,
    first_frame_threshold: float = FIRST_FRAME_CORRELATION,
    clip_threshold: float = CLIP_CORRELATION,
    on_progress: Callable[[int, int], None] | None = None,
) -> DuplicateReport:
    """Compare every held-out clip with every clip that an encoder learned from.

    Parameters
    ----------
    session
        Whose clips are held out.
    held_out
        Their trials.
    training
        The trials to train on, by session; the encoder's core is shared, so all its mice count.
    first_frame_threshold, clip_threshold
        Correlations, -1..1, from which on a clip counts as the same.
    on_progress
        Called with the clips read so far and the clips in all.

    Returns
    -------
    DuplicateReport
        The report.

    Raises
    ------
    SessionError
        No clips to compare, or a video cannot be read.

    References
    ----------
    Bauer et al. 2026, duplicate clips (figure only).
    """
    places = [(its, trial) for its, trials in training.items() for trial in trials]
    if not held_out or not places:
        raise SessionError(
            f"{session.path}: expected held-out and training clips to compare, "
            f"found {len(held_out)} and {len(places)}; choose another split"
        )
    total = len(places) + len(held_out)
    known = []
    for place in places:
        known.append(Look.of(*place))
        if on_progress is not None:
            on_progress(len(known), total)
    frames = np.stack([look.first_frame for look in known])
    nearest = []
    for trial in sorted(held_out):
        look = Look.of(session, trial)
        correlations = frames @ look.first_frame
        best = int(correlations.argmax())
        suspects = np.flatnonzero(correlations >= first_frame_threshold)
        confirmed = {
            int(index): _clip_correlation((session, trial), places[index])
            for index in (suspects if suspects.size else [best])
        }
        likest = max(confirmed, key=lambda index: confirmed[index])
        distances = [hash_distance(look.hash, other.hash) for other in known]
        near = int(np.argmin(distances))
        nearest.append(
            NearestClip(
                trial=trial,
                match=_name(places[best]),
                first_frame_correlation=float(correlations[best]),
                clip_correlation=confirmed[likest],
                confirmed_by=_name(places[likest]),
                hash_distance=distances[near],
                nearest_hash=_name(places[near]),
                duplicate=bool(suspects.size) and confirmed[likest] >= clip_threshold,
            )
        )
        if on_progress is not None:
            on_progress(len(places) + len(nearest), total)
    return DuplicateReport(tuple(nearest), len(places), first_frame_threshold, clip_threshold)


@dataclass(frozen=True)
class Look:
    """What is compared of every clip.

    Parameters
    ----------
    first_frame
        (pixels,) float32, mean 0 and length 1; all alike for frames of one grey.
    hash
        Perceptual hash of the clip.
    """

    first_frame: np.ndarray
    hash: int

    @classmethod
    def of(cls, session: Session, trial: int) -> Look:
        """The look of one trial; raises `SessionError` if its video cannot be read."""
        clip_hash = session.clip_hash(trial)
        frame = np.array(open_array(session.file("videos", trial))[..., 0], dtype=np.float64).ravel()
        return cls(_unit(frame).astype(np.float32), clip_hash)


def _unit(values: np.ndarray) -> np.ndarray:
    """Mean 0, length 1. Correlations with one grey are not defined; here it is like itself and like nothing else."""
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    if length > 0:
        return values / length
    # All frames of pixels that add up to 0 are at right angles to this one.
    return np.full(values.size, values.size**-0.5)


def _clip_correlation(first: tuple[Session, int], second: tuple[Session, int]) -> float:
    """Correlation of two whole clips over the frames that both have."""
    frames = min(session.clip_frames(trial) for session, trial in (first, second))
    clips = [
        _unit(np.array(open_array(session.file("videos", trial))[..., :frames], dtype=np.float64).ravel())
        for session, trial in (first, second)
    ]
    return float(clips[0] @ clips[1])


def _name(place: tuple[Session, int]) -> Clip:
    return place[0].name, place[1]
