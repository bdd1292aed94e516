"""Trials that show the same clip, found by what was on the screen, in one session or in another mouse's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import Trial

SAME_GREY_LEVELS = 1.0
"""Values this close are the same: movies are stored as whole numbers or as fractions."""
LEAST_SHARE_SAME = 0.85
"""Of the values of two presentations of one clip; a third-party analysis of the public sessions takes the same."""
LEAST_SHARE_OF_LENGTH = 0.9
"""Of the longer presentation; some end a few frames early."""
PROBED_ROWS, PROBED_COLUMNS = 4, 6
"""Pixels whose course over time is looked at before whole movies are."""
LEAST_CHANGE = 1.0
"""Grey levels (SD); a movie that varies less than this, a grey screen, is like every other one and tells nothing."""


def same_clip(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two movies show the same.

    Parameters
    ----------
    first, second
        (..., T) grey levels, time on the last axis; of one another's start, not of one another's length.

    Returns
    -------
    bool
        At least 85 % of the values of the frames that both have differ by no more than a grey level.
    """
    if first.shape[:-1] != second.shape[:-1]:
        return False
    shorter, longer = sorted((first.shape[-1], second.shape[-1]))
    if shorter < LEAST_SHARE_OF_LENGTH * longer:
        return False
    one, other = (np.asarray(movie[..., :shorter], np.float32) for movie in (first, second))
    return bool((np.abs(one - other) <= SAME_GREY_LEVELS).mean() >= LEAST_SHARE_SAME)


def trials_showing(session: Session, clip: int | Trial) -> list[int]:
    """Trials with recorded activity that show a clip, found by its content.

    Parameters
    ----------
    session
        Whose trials are looked through.
    clip
        A trial of it, by its number; or any trial, of another mouse too.

    Returns
    -------
    list[int]
        Their ids, ascending; the one that is asked about is among them if it is labelled. Of a clip without a movie,
        or of a grey screen, nothing but itself.

    Raises
    ------
    SessionError
        No such trial, or a video cannot be read.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> session = vr.open_session(vr.find_sample().session)
    >>> vr.trials_showing(session, 0)
    [0]
    """
    if isinstance(clip, Trial):
        own, movie = -1, np.moveaxis(clip.video, 0, -1)
    else:
        if clip in session.tiers and not session.has_movie(clip):
            return [clip] if clip in session.labelled else []
        own, movie = clip, session.stored_video(clip)
    if np.std(movie, dtype=np.float64) < LEAST_CHANGE:
        return [own] if own in session.labelled else []
    probes = _probed(movie)

    def shows_it(trial_id: int) -> bool:
        if not session.has_movie(trial_id):
            return False
        stored = session.stored_video(trial_id)
        return same_clip(probes, _probed(stored)) and same_clip(movie, stored)

    return [trial_id for trial_id in session.labelled if trial_id == own or shows_it(trial_id)]


def _probed(movie: np.ndarray) -> np.ndarray:
    rows, columns = (
        np.linspace(0, length - 1, count + 2).astype(int)[1:-1]
        for length, count in zip(movie.shape[:2], (PROBED_ROWS, PROBED_COLUMNS), strict=True)
    )
    return np.stack([movie[row, column] for row in rows for column in columns])


def repeats_of(session: Session, trial: Trial, ids: Sequence[int] | None = None) -> list[Trial]:
    """The other presentations of a trial's clip, cut as the trial is.

    Parameters
    ----------
    session
        Where they are.
    trial
        A trial of the session, or a part of one.
    ids
        Which of them; None: all that show the same clip, by content, and are long enough.

    Returns
    -------
    list[Trial]
        In the order of `ids`, the trial itself left out.

    Raises
    ------
    SessionError
        One of `ids` shows another clip, has no recorded activity, or is too short.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> session = vr.open_session(vr.find_sample().session)
    >>> vr.repeats_of(session, session.trial(0).part(0, 64))
    []
    """
    frames = None if trial.source is None else trial.source.frames
    start, stop = frames if frames is not None else (0, trial.frames)
    known = trials_showing(session, trial.id if trial.id in session.tiers else trial)
    for each in ids or []:
        if each not in known:
            others = ", ".join(map(str, known))
            raise SessionError(
                f"{session.name}: expected a recorded presentation of the clip of trial {trial.id}, "
                f"found trial {each}; those are {others}"
            )
    found = []
    for each in dict.fromkeys(known if ids is None else ids):
        if each == trial.id:
            continue
        whole = session.trial(each)
        if whole.frames >= stop:
            found.append(whole.part(start, stop) if (start, stop) != (0, whole.frames) else whole)
        elif ids is not None:
            raise SessionError(
                f"{whole.name}: expected {stop} frames, as those of trial {trial.id}, found {whole.frames}; "
                f"choose frames up to {whole.frames}"
            )
    return found


def averaged(trials: Sequence[Trial]) -> Trial:
    """The plain mean of activity, behaviour and eye position over presentations of one clip.

    Parameters
    ----------
    trials
        All of one length, with recorded activity; the movie is that of the first.

    Returns
    -------
    Trial
        Under the number of the first.

    Raises
    ------
    SessionError
        The activity of one of them is withheld.
    """
    first = trials[0]
    return replace(
        first,
        behavior=np.mean([each.behavior for each in trials], axis=0),
        pupil_center=np.mean([each.pupil_center for each in trials], axis=0),
        recorded_responses=np.mean([each.responses for each in trials], axis=0),
        name=f"{first.name}, mean of {len(trials)} presentations",
    )
