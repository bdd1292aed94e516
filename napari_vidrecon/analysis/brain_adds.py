"""What the brain adds: clips of a mouse, reconstructed as expected and as experienced, and tested against chance.

Source of expected and experienced: Bauer et al. 2026, Fig. 6. The test is `napari_vidrecon.analysis.excess`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_vidrecon.analysis.excess import (
    FEWEST_NULLS,
    USUAL_Q,
    Added,
    Against,
    Presented,
    Procedure,
    beyond_chance,
    require_test,
    smoothing_on,
)
from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, SessionError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.sessions.repeats import clips_shown, same_clip
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import Trial

USUAL_SURROGATES = 6
MOST_OTHERS = 7
"""Clips that one is held against, where only that one is asked about; eight in all were measured."""
MOST_SKIPPED = 0.25
"""Of a clip; a short one has no frames to leave out."""


def presented(
    trials: Sequence[Trial],
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig,
    *,
    expected: np.ndarray | None = None,
    on_movie: Callable[[], None] | None = None,
    **others: Any,
) -> Presented:
    """Reconstruct presentations of one clip from predicted and from recorded activity, each with its own behaviour.

    Parameters
    ----------
    trials
        Presentations of one clip.
    encoders
        One or more, bound to this mouse.
    mask
        Transparency mask of this mouse.
    config
        Every setting.
    expected
        (presentations, T, H, W) if they are known.
    on_movie
        Called after every reconstruction.
    others
        Everything else of `RunInputs`, by name.

    Returns
    -------
    Presented
        Grey levels 0..255.
    """

    def movies(target: str) -> np.ndarray:
        found = []
        for trial in trials:
            found.append(reconstruct(trial, encoders, mask, config, target=target, **others).video)
            if on_movie is not None:
                on_movie()
        return np.clip(np.stack(found), 0.0, 255.0).astype(np.float32)

    known = movies("predicted") if expected is None else expected
    return Presented(known, movies("recorded"), trials[0].name, tuple(trial.id for trial in trials))


def surrogate(trials: Sequence[Trial], encoders: Sequence[Encoder], shift: int) -> list[Trial]:
    """Presentations in which nothing is added: what the encoders expect, and their residuals from another time.

    Parameters
    ----------
    trials
        Presentations of one clip.
    encoders
        One or more, bound to this mouse.
    shift
        Frames that the residuals of all neurons are shifted by, around the end of the clip; so they stay as large, as
        heavy-tailed and as alike between neurons as they are, and have nothing to do with the movie.

    Returns
    -------
    list[Trial]
        With other activity, else the same.
    """
    made = []
    for trial in trials:
        streams = trial.video, trial.behavior, trial.pupil_center
        expected = np.mean([predicted(encoder, *streams, clip=trial.name) for encoder in encoders], axis=0)
        noise = np.roll(trial.require_responses() - expected, shift, axis=1)
        activity = np.maximum(expected + noise, 0.0).astype(np.float32)
        made.append(replace(trial, recorded_responses=activity, name=f"{trial.name}, residuals shifted by {shift}"))
    return made


def clips_to_compare(session: Session, trial_ids: Sequence[int], end: int | None = None) -> list[list[int]]:
    """One clip, and others of its session that it can be held against.

    Parameters
    ----------
    session
        Of one mouse.
    trial_ids
        Presentations of the clip.
    end
        Frame that every clip has to reach; None: that the clip's presentations reach.

    Returns
    -------
    list[list[int]]
        The clip first, then up to 7 others that were shown several times, each with at most as many presentations.

    Raises
    ------
    SessionError
        A video cannot be read.
    """
    least = min(map(session.clip_frames, trial_ids)) if end is None else end
    long_enough = [[each for each in ids if session.clip_frames(each) >= least] for ids in clips_shown(session)]
    others = [ids[: len(trial_ids)] for ids in long_enough if len(ids) > 1 and not set(ids) & set(trial_ids)]
    return [list(trial_ids), *others[:MOST_OTHERS]]


def _chosen_clips(session: Session, clips: Sequence[Sequence[int]] | None, against: Against) -> list[list[int]]:
    chosen = clips_shown(session) if clips is None else [list(ids) for ids in clips]
    if not chosen or not all(chosen):
        raise ConfigError(
            f"{session.name}: expected clips that were shown at least twice, found none; name trials with clips="
        )
    if against == "noise" and (once := [ids[0] for ids in chosen if len(ids) < 2]):
        raise ConfigError(f"{session.name}, trial {once[0]}: expected 2 presentations to tell noise from, found 1")
    for ids in chosen if clips is not None else []:
        _require_one_clip(session, ids)
    return chosen


def _require_one_clip(session: Session, ids: Sequence[int]) -> None:
    """Trials that somebody named as one clip: apart from it they would differ by their movies, not by the brain."""
    first = session.trial(ids[0])
    for place, each in enumerate(ids):
        if each in ids[:place]:
            raise ConfigError(f"{session.name}: expected each presentation of a clip once, found trial {each} twice")
        if not session.has_movie(each):
            raise SessionError(f"{session.name}, trial {each}: expected a movie to predict activity from, found none")
        other = session.trial(each)
        frames = min(first.frames, other.frames)
        if not same_clip(*(np.moveaxis(trial.video[:frames], 0, -1) for trial in (first, other))):
            raise SessionError(
                f"{session.name}: expected trials of one clip, found that trial {each} shows another movie than trial "
                f"{ids[0]}; clips_shown finds those that belong together"
            )


def what_the_brain_adds(
    session: Session,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    clips: Sequence[Sequence[int]] | None = None,
    frames: tuple[int, int] | None = None,
    q: float = USUAL_Q,
    procedure: Procedure = "bh",
    against: Against = "encoder",
    sigma: tuple[float, float, float] | None = None,
    surrogates: int | None = None,
    on_clip: Callable[[Presented], None] | None = None,
    on_movie: Callable[[int, int], None] | None = None,
    **others: Any,
) -> list[Added]:
    """Where what a mouse experienced differs from what was expected, by more than chance, in every clip.

    Parameters
    ----------
    session
        Of one mouse.
    encoders
        One or more, bound to this mouse, fitted without these clips.
    mask
        Transparency mask of this mouse; alpha >= 1 is tested.
    config
        Every setting; None: the "fast" preset.
    clips
        Trials of each clip; None: all that were shown at least twice (`clips_shown`). One trial a clip is enough, and
        gives no interval.
    frames
        First and end frame of each clip; None: as many as its shortest presentation has.
    q
        False discovery rate over all clips together, 0..1.
    procedure
        "bh" (Benjamini-Hochberg) or "by" (Benjamini-Yekutieli: any dependence, finds less).
    against
        "encoder": beyond noise and faults of the encoder, as other clips show them; "noise": beyond noise alone.
    sigma
        Smoothing (frames, pixels, pixels) before the test; None: 3 frames and 1.5 px of 36 x 64 pixels at 30 Hz, and as
        long in seconds and as wide in degrees on other screens.
    surrogates
        Reconstructions a clip from expected activity with residuals of other times, to hold against besides other
        clips; None: 6 where there are too few other clips, else 0.
    on_clip
        Called with the reconstructions of every clip.
    on_movie
        Called with (reconstructions done, reconstructions in all).
    others
        Everything else of `RunInputs`, by name.

    Returns
    -------
    list[Added]
        One a clip, in order.

    Raises
    ------
    VidreconError
        As `reconstruct`; no clip was shown twice, or too few clips or presentations to tell chance from.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> mask, config = vr.AlphaMask.load(sample.mask), vr.ReconstructionConfig.preset("fast", steps=1)
    >>> shown = [[0], [1], [2], [3], [4], [5]]
    >>> added = vr.what_the_brain_adds(session, [encoder], mask, config, clips=shown, frames=(0, 32))
    >>> len(added), added[0].exceeds.shape
    (6, (32, 36, 64))
    """
    if "target" in others:
        raise ConfigError("target: expected none, as recorded and predicted activity are both taken; leave it out")
    config = ReconstructionConfig.preset("fast") if config is None else config
    config = config.changed(track_every=max(config.steps, 1), track_responses=False)
    require_test(q, procedure, against)
    chosen = _chosen_clips(session, clips, against)
    needed = against == "encoder" and len(chosen) <= FEWEST_NULLS
    count = surrogates if surrogates is not None else USUAL_SURROGATES * needed
    found, nulls = [], []
    done, total = 0, (2 + count) * sum(map(len, chosen))

    def counted() -> None:
        nonlocal done
        done += 1
        if on_movie is not None:
            on_movie(done, total)

    others["on_movie"] = counted
    for ids in chosen:
        trials = _alike([session.trial(trial_id) for trial_id in ids], frames)
        clip = presented(trials, encoders, mask, config, **others)
        found.append(clip)
        for at in range(count):
            shift = (at + 1) * trials[0].frames // (count + 1)
            made = surrogate(trials, encoders, shift)
            nulls.append(presented(made, encoders, mask, config, expected=clip.expected, **others))
        if on_clip is not None:
            on_clip(clip)
    length = found[0].expected.shape[1]
    return beyond_chance(
        found,
        mask.binary(EVALUATION_THRESHOLD),
        q=q,
        procedure=procedure,
        against=against,
        sigma=smoothing_on(session.screen, session.frame_rate_hz) if sigma is None else sigma,
        skip_frames=min(config.track_skip_frames, int(MOST_SKIPPED * length)),
        nulls=nulls,
        colours=session.screen.planes,
    )


def _alike(trials: Sequence[Trial], frames: tuple[int, int] | None) -> list[Trial]:
    """Cut to the same frames."""
    first, end = frames or (0, min(trial.frames for trial in trials))
    return [trial.part(first, end) for trial in trials]
