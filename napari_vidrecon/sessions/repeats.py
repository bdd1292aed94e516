"""Trials that show the same clip, found by what was on the screen, in one session or in another mouse's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_vidrecon.errors import SessionError, one_line
from napari_vidrecon.sessions.screen import ScreenGeometry
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
LEAST_CORRELATION = 0.8
"""Between one clip as two screens of other pixels show it; those of other clips are near 0."""
LEAST_COVERED = 0.5
"""Sum of the weights of a pixel that a screen reaches."""
SAME_RATE = 0.01
"""Share by which frame rates may differ."""
LONGEST_NAME = 60


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


def clips_shown(session: Session, least: int = 2) -> list[list[int]]:
    """Trials with recorded activity by the clip that they show, found by its content.

    Parameters
    ----------
    session
        Whose trials are looked through.
    least
        Presentations a clip; clips that were shown less often are left out.

    Returns
    -------
    list[list[int]]
        Ids, ascending, a list a clip; grey screens and trials without a movie are none.

    Raises
    ------
    SessionError
        A video cannot be read.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> session = vr.open_session(vr.find_sample().session)
    >>> vr.clips_shown(session), vr.clips_shown(session, least=1)[:2]
    ([], [[0], [1]])
    """
    found: list[tuple[np.ndarray, list[int]]] = []
    for trial_id in session.labelled:
        if not session.has_movie(trial_id):
            continue
        movie = session.stored_video(trial_id)
        probes = _probed(movie)
        if np.std(probes, dtype=np.float64) < LEAST_CHANGE and np.std(movie, dtype=np.float64) < LEAST_CHANGE:
            continue
        for known, ids in found:
            if same_clip(known, probes) and same_clip(session.stored_video(ids[0]), movie):
                ids.append(trial_id)
                break
        else:
            found.append((probes, [trial_id]))
    return [ids for _, ids in found if len(ids) >= least]


def shown_in_both(session: Session, learned: Sequence[int], held_out: Sequence[int]) -> list[int]:
    """Held-out trials that show a clip which trials to learn from show, too, found by its content.

    Parameters
    ----------
    session
        Whose trials they are.
    learned, held_out
        Their ids.

    Returns
    -------
    list[int]
        Of `held_out`, ascending.

    Raises
    ------
    SessionError
        A video cannot be read.
    """
    clips = [set(ids) for ids in clips_shown(session)]
    return sorted(each for ids in clips if ids & set(learned) for each in ids & set(held_out))


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


def clip_in(
    session: Session, clip: Trial, screen: ScreenGeometry | None = None, trial_id: int | None = None
) -> tuple[int, int]:
    """Where another mouse saw a clip: found by what was on the screen, wherever in a trial it began.

    Parameters
    ----------
    session
        Of the other mouse.
    clip
        Of any mouse; a part of a trial is enough.
    screen
        That it was shown on; None: as that of the session, pixel by pixel.
    trial_id
        The only trial to look at; None: all with recorded activity.

    Returns
    -------
    tuple[int, int]
        Number of the first such trial, and the frame in it that the clip begins at.

    Raises
    ------
    SessionError
        No trial shows it, or sizes or rates differ so that they cannot be compared; one line says what.
    """
    own, shown_on = session.screen, screen or session.screen
    name, whose = one_line(clip.name, LONGEST_NAME), one_line(session.name, LONGEST_NAME)
    if own.colours != shown_on.colours:
        expected, found = (" and ".join(each.colours) or "grey levels" for each in (shown_on, own))
        raise SessionError(
            f"{whose}: expected movies in {expected}, as {name} has, found {found}; leave this mouse out"
        )
    if clip.video.shape[1:] != shown_on.size_px:
        rows, columns = clip.video.shape[1:]
        raise SessionError(
            f"{whose}: expected movies of {rows}x{columns} pixels, as {name} has, found {own.rows}x{own.cols}; "
            "say which screen the clip was shown on, as screen=session.screen"
        )
    if not clip.has_movie or np.std(clip.video, dtype=np.float64) < LEAST_CHANGE:
        raise SessionError(
            f"{name}: expected a movie by which to find the clip in {whose}, found "
            f"{'a grey screen' if clip.has_movie else 'a trial without one'}"
        )
    trials = session.labelled if trial_id is None else [trial_id]
    looked_at = [each for each in trials if each in session.labelled and session.has_movie(each)]
    if looked_at:
        rate = session.trial(looked_at[0]).frame_rate_hz
        if abs(rate - clip.frame_rate_hz) > SAME_RATE * clip.frame_rate_hz:
            raise SessionError(
                f"{whose}: expected {clip.frame_rate_hz:g} frames a second, as {name} has, found {rate:g}; "
                "import its recording once more, at that rate"
            )
    # Compared on the coarser of the two screens: what the finer one shows besides, the other cannot.
    compared_on = own if own.degrees_per_pixel >= shown_on.degrees_per_pixel else shown_on
    movie = _on_screen(np.moveaxis(clip.video, 0, -1), shown_on, compared_on)
    usual = 0 if clip.source is None or clip.source.frames is None else clip.source.frames[0]
    for each in looked_at:
        first = _first_frame(session.stored_video(each), movie, own, compared_on, shown_on, usual)
        if first is not None:
            return each, first
    if shown_on != own and shown_on.size_px == own.size_px:
        at = next((each for each in looked_at if _equal_at(session.stored_video(each), clip.video) is not None), None)
        if at is not None:
            raise SessionError(
                f"{whose}: expected the clip of {name} at the same visual angle, found it in trial {at} on a screen of "
                f"{own.degrees_per_pixel:.3g} instead of {shown_on.degrees_per_pixel:.3g} degrees a pixel"
            )
    of = "a trial" if trial_id is None else f"trial {trial_id}"
    raise SessionError(
        f"{whose}: expected {of} with recorded activity that shows the {clip.frames} frames of {name}, found "
        f"{'none' if trial_id is None else 'another movie, or no activity'}; both mice must have seen the same clip"
    )


def _on_screen(movie: np.ndarray, screen: ScreenGeometry, wanted: ScreenGeometry) -> np.ndarray:
    """(rows, columns, T) as another screen shows it; the same where it is the same."""
    if screen == wanted:
        return movie
    rows, columns = screen.directions_onto(wanted)
    return np.einsum("ij,jkt,lk->ilt", rows, movie, columns, optimize=True)


def _first_frame(
    stored: np.ndarray,
    movie: np.ndarray,
    own: ScreenGeometry,
    compared_on: ScreenGeometry,
    shown_on: ScreenGeometry,
    usual: int,
) -> int | None:
    if own == shown_on:
        return _equal_at(stored, np.moveaxis(movie, -1, 0), usual)
    frames = movie.shape[-1]
    starts = range(stored.shape[-1] - frames + 1)
    if not starts:
        return None
    both = np.outer(*(each.sum(axis=1) for each in shown_on.directions_onto(compared_on))) > LEAST_COVERED
    both &= np.outer(*(each.sum(axis=1) for each in own.directions_onto(compared_on))) > LEAST_COVERED
    if not both.any():
        return None
    wanted, there = movie[both], _on_screen(stored, own, compared_on)[both]
    told = [float(np.corrcoef(wanted.ravel(), there[:, at : at + frames].ravel())[0, 1]) for at in starts]
    best = int(np.nanargmax(told)) if np.isfinite(told).any() else 0
    return best if told[best] >= LEAST_CORRELATION else None


def _equal_at(stored: np.ndarray, video: np.ndarray, usual: int = 0) -> int | None:
    """The frame of a stored movie (rows, columns, T) from which it shows a clip (T, rows, columns); None: nowhere."""
    movie, frames = np.moveaxis(video, 0, -1), len(video)
    if stored.shape[-1] < frames or stored.shape[:-1] != movie.shape[:-1]:
        return None
    wanted, there = _probed(movie), _probed(stored).astype(np.float32)
    courses = np.lib.stride_tricks.sliding_window_view(there, frames, axis=-1)
    alike = (np.abs(courses - wanted[:, None]) <= SAME_GREY_LEVELS).mean(axis=(0, 2))
    starts = sorted(np.flatnonzero(alike >= LEAST_SHARE_SAME).tolist(), key=lambda at: (at != usual, -alike[at], at))
    return next((at for at in starts if same_clip(movie, stored[..., at : at + frames])), None)


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
