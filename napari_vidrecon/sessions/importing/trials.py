"""Trials: where presentations are cut, on the video clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_vidrecon.errors import SessionError, number_of
from napari_vidrecon.sessions.importing.clocks import require_one_unit, turned
from napari_vidrecon.sessions.importing.recording import (
    LONGEST_STALL_S,
    LONGEST_STILL_S,
    REGULAR,
    ImportReport,
    Presentation,
    Recording,
)
from napari_vidrecon.sessions.importing.resampling import ScreenFit, shown_clip
from napari_vidrecon.sessions.importing.stimuli import GreyAfter, StimulusMovie, colour_planes
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.sessions.trial_files import LONGEST_BRIDGED_S, MINIMUM_FRAMES

MOST_TRIALS = 50_000
LONGEST_PRESENTATION_S = 12.0 * 3600
SAME_RATE = 0.01
"""Movies within this share of the video clock's rate, or of a whole multiple of it, are taken frame by frame."""
MASK_FRAMES = 82
"""Fitting a mask takes clips of this length at 30 Hz; shorter ones are left out where there are enough longer ones."""
LONGEST_PROPOSED, WORTH_SAYING, SHARE_OF_A_FRAME = 2, 0.02, 0.1
"""Other lengths of trials are proposed up to so many times the one asked for, if they keep so much more."""
MINIMUM_TRIALS = 8
"""Fewer cannot be split into clips to train on, to validate with and to test with."""
VARYING_SHARE = 0.05
"""More frames of one showing that stay for longer, or so much time that is not the frames' own, make its rate vary."""
STILL_TOLERANCE = 0.1
"""Of its time a still may stay longer or shorter by this share."""
MANY = 0.1
"""A larger share of trials outside the activity needs an explanation."""
EARLY_OR_LATE_PERIODS = 1.0
"""A trial may begin before the first sample of the activity, or end after the last one, by this many samples."""


@dataclass(frozen=True)
class TrialCut:
    """A piece of a presentation that becomes a trial.

    Parameters
    ----------
    presentation
        Index into the recording's presentations.
    edges
        (T + 1,) ends of the frames of the video clock, counted in frames shown.
    edges_s
        (T + 1,) the same in seconds.
    tier
        As the recording says, or empty.
    stays_s
        (F,) how long each frame of the presentation stayed, where that varies: s; None for all alike.
    """

    presentation: int
    edges: np.ndarray
    edges_s: np.ndarray
    tier: str = ""
    stays_s: np.ndarray | None = None

    @property
    def frames(self) -> int:
        """Length T on the video clock."""
        return len(self.edges) - 1

    def clip_key(self, recording: Recording) -> tuple[int, bytes, bytes, bytes]:
        """Equal for trials that show exactly the same frames of the same movie, each for as long."""
        shown = recording.presentations[self.presentation]
        first, last = int(self.edges[0]), int(np.ceil(self.edges[-1]))
        stays = b"" if self.stays_s is None else self.stays_s[first:last].tobytes()
        return shown.movie, shown.frames[first:last].tobytes(), (self.edges - self.edges[0]).tobytes(), stays

    def video(self, recording: Recording, fit: ScreenFit, screen: ScreenGeometry) -> np.ndarray:
        """What the screen showed: (T, rows, columns) float32, grey levels 0..255; colours one below the other.

        Parameters
        ----------
        recording
            Whose movies are shown.
        fit
            How movies of other proportions meet the screen.
        screen
            Its pixels and colours.

        Returns
        -------
        np.ndarray
            Averaged over area and time.
        """
        shown = recording.presentations[self.presentation]
        size_px = screen.rows_a_colour, screen.cols
        planes = [
            shown_clip(plane, shown.frames, self.edges, size_px, fit, self.stays_s)
            for plane in colour_planes(recording.movies[shown.movie], screen.colours)
        ]
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=1)


def presentations_from_stream(
    frames: np.ndarray, times: np.ndarray, movie: int, report: ImportReport, longest_step_s: float = 0.5
) -> list[Presentation]:
    """Cut one long stream of frames where the screen showed nothing new for a while.

    Parameters
    ----------
    frames, times
        (F,) frames of the movie and when they appeared.
    movie
        Index of the movie.
    report
        Takes notes.
    longest_step_s
        A longer time between two frames ends a presentation.

    Returns
    -------
    list[Presentation]
        In order.
    """
    steps = np.diff(times)
    ends = np.flatnonzero(steps > max(longest_step_s, REGULAR * float(np.median(steps)))) + 1
    if ends.size:
        report.add("assumed", "stimulus", f"a pause of more than {longest_step_s:g} s ends a presentation")
    parts = zip(np.split(frames, ends), np.split(times, ends), strict=True)
    kept = [Presentation(movie, some, when) for some, when in parts if len(some) > 1]
    if len(kept) <= ends.size:
        report.add("dropped", "stimulus", f"{number_of(ends.size + 1 - len(kept), 'presentation')} of a single frame")
    return kept


def showings_of_stills(
    movie: StimulusMovie,
    order: np.ndarray,
    times: np.ndarray,
    stills_s: float,
    longest_s: float,
    source: str,
    report: ImportReport,
) -> tuple[list[StimulusMovie], list[Presentation]]:
    """Pictures in the order in which they were shown, grey between them: a film of its own, cut at long pauses.

    Parameters
    ----------
    movie
        The pictures.
    order, times
        (S,) which picture was shown, and from when on, s.
    stills_s
        How long each stayed, s.
    longest_s
        Longest clip, s.
    source
        Of the times, for messages.
    report
        Takes notes.

    Returns
    -------
    tuple[list[StimulusMovie], list[Presentation]]
        One of each a clip.

    Raises
    ------
    SessionError
        Stills that are shown at once.
    """
    pauses_s = np.append(np.diff(times), np.inf) - stills_s
    shortest = int(pauses_s.argmin())
    if pauses_s[shortest] < -STILL_TOLERANCE * stills_s:
        raise SessionError(
            f"{source}: expected stills of {stills_s:g} s one after another, found number {shortest + 1} to begin "
            f"{pauses_s[shortest] + stills_s:.3g} s after the one before it; say how long they stayed, or, in an "
            "NWB file with movies beside them, which series they are (--stimulus)"
        )
    text = f"{order.size} showings of {len(movie)} stills, each for {stills_s:g} s; grey of level 127.5 between"
    report.add("assumed", "stimulus", f"{text}; as many in a clip as a trial holds")
    report.add("warning", "stimulus", "orders of stills are held out: a picture may be learned from, too")
    shown = StimulusMovie(movie.name, GreyAfter(movie.pixels, float(np.mean(movie.levels))), movie.levels)
    grey = pauses_s > STILL_TOLERANCE * stills_s
    presentations: list[Presentation] = []
    for some in _clips_of_stills(times, stills_s, longest_s):
        places = np.repeat(some, 1 + grey[some])
        is_grey = np.append(False, places[1:] == places[:-1])
        frames = np.where(is_grey, len(movie), order[places])
        if len(frames) > 1:
            presentations.append(Presentation(len(presentations), frames, times[places] + stills_s * is_grey))
    return [shown] * len(presentations), presentations


def _clips_of_stills(times: np.ndarray, stills_s: float, longest_s: float) -> list[np.ndarray]:
    """Which showings make a clip: as many as a trial holds, none across a long pause."""
    clips = [[0]]
    for place in range(1, times.size):
        began, before = times[clips[-1][0]], times[clips[-1][-1]]
        if times[place] + stills_s - began > longest_s or times[place] - before - stills_s > LONGEST_STILL_S:
            clips.append([])
        clips[-1].append(place)
    return [np.array(clip) for clip in clips]


def cut_trials(recording: Recording, trial_frames: int, rate_hz: float = FRAME_RATE_HZ) -> list[TrialCut]:
    """Cut the presentations into trials of the video clock, and leave out what cannot be used.

    Parameters
    ----------
    recording
        Its report takes notes of what is resampled and dropped.
    trial_frames
        Longest trial, frames.
    rate_hz
        Frames a second of the video clock.

    Returns
    -------
    list[TrialCut]
        In the order of time; the report says what was left out.

    Raises
    ------
    SessionError
        No presentation lies within the activity, or too few trials are left.
    """
    report = recording.report
    require_one_unit(recording)
    stays = _varying_stays(recording, rate_hz)
    rates_hz = _steady_rates(recording, rate_hz, stays)
    cuts = [
        cut
        for index in range(len(recording.presentations))
        for cut in _cut(recording, index, trial_frames, rate_hz, stays.get(index), rates_hz.get(index, 0.0))
    ]
    if len(cuts) > MOST_TRIALS:
        raise SessionError(
            f"{recording.name}: expected at most {MOST_TRIALS} trials, found {len(cuts)}; check the times of the "
            "stimulus, or take longer trials (--trial-frames)"
        )
    steady = [shown for index, shown in enumerate(recording.presentations) if index not in stays]
    _note_irregular(steady, report)
    inside = _without_gaps(recording, _within_activity(recording, cuts))
    usable = [cut for cut in inside if not _without_activity(recording, cut)]
    if len(usable) < len(inside):
        report.add("dropped", "trials", f"{len(inside) - len(usable)} in which all neurons are NaN at once")
    require_enough(recording, len(usable), rate_hz)
    return _long_enough(recording, usable, round(MASK_FRAMES * rate_hz / FRAME_RATE_HZ), trial_frames, rate_hz)


def _better_length(recording: Recording, mask_frames: int, trial_frames: int, rate_hz: float) -> str:
    """A length of trials that leaves less over at the ends of presentations, with what it keeps; empty for none."""
    spans = [float(shown.edges_s[-1] - shown.edges_s[0]) for shown in recording.presentations]
    totals = np.array([int(span * rate_hz + SHARE_OF_A_FRAME) for span in spans])

    def kept(frames: int) -> float:
        over = totals % frames
        return float((totals - np.where(over < mask_frames, over, 0)).sum() / totals.sum())

    lengths = range(mask_frames, LONGEST_PROPOSED * trial_frames + 1)
    best = max(lengths, key=lambda frames: (round(kept(frames), 3), -abs(np.log(frames / trial_frames))))
    if kept(best) < kept(trial_frames) + WORTH_SAYING:
        return ""
    return f"; --trial-frames {best} would keep {kept(best):.0%} of what was shown, not {kept(trial_frames):.0%}"


def _long_enough(
    recording: Recording, cuts: list[TrialCut], mask_frames: int, trial_frames: int, rate_hz: float
) -> list[TrialCut]:
    """Those that every later step can use, where there are enough of them."""
    long = [cut for cut in cuts if cut.frames >= mask_frames]
    short = len(cuts) - len(long)
    if not short:
        return cuts
    if len(long) < MINIMUM_TRIALS or len(long) < len(cuts) / 2:
        text = f"{short} are shorter than the {mask_frames} frames that fitting a mask takes"
        recording.report.add("warning", "trials", text)
        return cuts
    text = f"{short} of {len(cuts)} that are shorter than {mask_frames} frames, which fitting a mask takes"
    better = _better_length(recording, mask_frames, trial_frames, rate_hz)
    recording.report.add("dropped", "trials", text + better)
    return long


def require_enough(recording: Recording, trials: int, rate_hz: float = FRAME_RATE_HZ) -> None:
    """Refuse a recording of too few trials.

    Parameters
    ----------
    recording
        Its report says what was dropped.
    trials
        How many are left.
    rate_hz
        Frames a second of the video clock.

    Raises
    ------
    SessionError
        With what to do.
    """
    if trials < MINIMUM_TRIALS:
        raise SessionError(
            f"{recording.name}: expected at least {MINIMUM_TRIALS} trials to train and to test with, "
            f"found {trials} of at least {MINIMUM_FRAMES} frames{_why_fewer(recording)}; {turned(recording)}"
            f"{_more_trials(recording, rate_hz)}"
        )


def _more_trials(recording: Recording, rate_hz: float) -> str:
    """A remedy for too few trials: clips that are too short are not cut shorter."""
    spans_s = [float(shown.edges_s[-1] - shown.times[0]) for shown in recording.presentations]
    if not spans_s or np.median(spans_s) * rate_hz >= MINIMUM_FRAMES:
        return "record more, or cut shorter trials (--trial-frames)"
    enough = MINIMUM_FRAMES / float(np.median(spans_s))
    text = "where clips followed each other without a pause, give them as one movie with the times of all its frames"
    return f"clips of {np.median(spans_s):.3g} s are that long at {np.ceil(enough - 1e-6):g} Hz (--rate); {text}"


def _why_fewer(recording: Recording) -> str:
    dropped = recording.report.of_kind("dropped")
    gone = [note.text for note in dropped if note.about in ("trials", "stimulus")]
    return f" (dropped: {'; '.join(gone)})" if gone else ""


def _varying_stays(recording: Recording, clock_hz: float) -> dict[int, np.ndarray]:
    """{presentation: how long each of its frames stayed, s} of showings whose frames stayed for different times."""
    found: dict[int, np.ndarray] = {}
    first: dict[tuple[int, bytes], np.ndarray] = {}
    for index, shown in enumerate(recording.presentations):
        if not _varies(shown):
            continue
        edges_s = shown.edges_s - shown.times[0]
        # Showings of one film differ by what the clock jitters; that makes no other clip of it.
        known = first.setdefault((shown.movie, shown.frames.tobytes()), edges_s)
        found[index] = np.diff(known if np.abs(edges_s - known).max() < 0.5 / clock_hz else edges_s)
    if found:
        text = (
            f"{len(found)} of {len(recording.presentations)} showings, whose frames stayed for different times, onto "
            f"the true clock at {clock_hz:g} Hz: each frame for as long as it stayed, activity and behaviour alike"
        )
        recording.report.add("resampled", "stimulus", text)
    still_s = [step for shown in recording.presentations for step in np.diff(shown.times)[shown.stays]]
    if still_s:
        longer = f"over {LONGEST_STALL_S:g} s, up to {max(still_s):.3g} s"
        text = f"{len(still_s)} frames that stayed for {longer}, are held for as long, as a still is"
        recording.report.add("assumed", "stimulus", text)
    return found


def _varies(shown: Presentation) -> bool:
    """Whether frames stayed for different times, so that to take them one by one would bend time."""
    if shown.stays.any():
        return True
    # A gap is no such thing: it ends what can be told of a trial.
    steps, period_s = np.diff(shown.times)[~shown.gaps], shown.period_s
    other = max(int((steps > REGULAR * period_s).sum()), int((steps < period_s / REGULAR).sum()))
    bent_s = abs(float(steps.sum()) - steps.size * period_s)
    return other > VARYING_SHARE * steps.size or bent_s > VARYING_SHARE * steps.size * period_s


def _steady_rates(recording: Recording, clock_hz: float, stays: dict[int, np.ndarray]) -> dict[int, float]:
    """{presentation: frames shown a second} where these followed each other steadily; showings of a movie agree.

    Parameters
    ----------
    recording
        Its report takes a note for each rate that is not that of the video clock.
    clock_hz
        Frames a second of the video clock.
    stays
        Presentations whose frames stayed for different times.

    Returns
    -------
    dict[int, float]
        Those near a whole multiple, or fraction, of the video clock's rate are at it.
    """
    found: dict[int, float] = {}
    first: dict[tuple[int, int], float] = {}
    for index, shown in enumerate(recording.presentations):
        if index in stays:
            continue
        own_hz = shown.rate_hz
        whole = max(round(max(own_hz, clock_hz) / min(own_hz, clock_hz)), 1)
        near_hz = clock_hz * whole if own_hz > clock_hz else clock_hz / whole
        if abs(own_hz / near_hz - 1.0) < SAME_RATE:
            found[index] = near_hz
        else:
            # Showings of one film differ by what the clock jitters; that makes no other clip of it.
            known_hz = first.setdefault((shown.movie, len(shown.frames)), own_hz)
            found[index] = known_hz if abs(own_hz / known_hz - 1.0) < SAME_RATE else own_hz
    for above, how in ((True, "averaged over time"), (False, "each frame held as long as it was shown")):
        others = [each for each in found.values() if each != clock_hz and (each > clock_hz) == above]
        if others:
            low, high = (f"{each:.4g}" for each in (min(others), max(others)))
            text = f"movies at {low if low == high else f'{low} to {high}'} Hz to {clock_hz:g} Hz, {how}"
            recording.report.add("resampled", "stimulus", text)
    return found


def _cut(
    recording: Recording,
    index: int,
    trial_frames: int,
    clock_hz: float,
    stays_s: np.ndarray | None,
    rate_hz: float,
) -> list[TrialCut]:
    shown, report = recording.presentations[index], recording.report
    count, per_frame = len(shown.frames), rate_hz / clock_hz
    gone_s = None if stays_s is None else np.append(0.0, np.cumsum(stays_s))
    total = int((count / per_frame if gone_s is None else gone_s[-1] * clock_hz) + 1e-6)
    if total > LONGEST_PRESENTATION_S * clock_hz:
        raise SessionError(
            f"{recording.name}: expected presentations of at most {LONGEST_PRESENTATION_S / 3600:g} h, found one of "
            f"{count} frames at {rate_hz:.4g} Hz; give times in seconds, or the right rate_hz"
        )
    tier = "" if recording.tiers is None else recording.tiers[index]
    cuts = []
    for start in range(0, total, trial_frames):
        stop = min(start + trial_frames, total)
        if stop - start < MINIMUM_FRAMES:
            end = "end" if start else "whole"
            text = f"the {end} of presentations, as it is shorter than {MINIMUM_FRAMES} frames at {clock_hz:g} Hz"
            report.add("dropped", "trials", text)
            break
        ticks = np.arange(start, stop + 1)
        if gone_s is None:
            edges = ticks * per_frame
            edges_s = np.interp(edges, np.arange(count + 1), shown.edges_s)
        else:
            edges = np.interp(ticks / clock_hz, gone_s, np.arange(count + 1))
            edges_s = shown.times[0] + ticks / clock_hz
        cuts.append(TrialCut(index, edges, edges_s, tier, stays_s))
    return cuts


def _note_irregular(presentations: Sequence[Presentation], report: ImportReport) -> None:
    late = sum(int((np.diff(shown.times) > REGULAR * shown.period_s).sum()) for shown in presentations)
    if late:
        report.add("repaired", "stimulus", f"{late} frames stayed on the screen for longer; the activity follows them")


def _within_activity(recording: Recording, cuts: list[TrialCut]) -> list[TrialCut]:
    activity = recording.activity
    slack = (EARLY_OR_LATE_PERIODS + 0.5) * activity.period_s
    first, last = float(activity.times[0]) - slack, float(activity.times[-1]) + slack
    inside = [cut for cut in cuts if first <= cut.edges_s[0] and cut.edges_s[-1] <= last]
    if cuts and not inside:
        raise SessionError(
            f"{recording.name}: expected movies shown while the activity was recorded, "
            f"{activity.times[0]:.3f} to {activity.times[-1]:.3f} s, "
            f"found them at {cuts[0].edges_s[0]:.3f} to {cuts[-1].edges_s[-1]:.3f} s; "
            f"{turned(recording)}both clocks must count seconds from the same zero"
        )
    if len(inside) < len(cuts):
        gone = len(cuts) - len(inside)
        text = f"{gone} of {len(cuts)} shown while no activity was recorded"
        if gone > MANY * len(cuts):
            shown, known = cuts[-1].edges_s[-1] - cuts[0].edges_s[0], activity.times[-1] - activity.times[0]
            text += f"; the movies last {shown / known:.3g} times as long as the activity: is its rate right?"
        recording.report.add("dropped", "trials", text)
    return inside


def _without_gaps(recording: Recording, cuts: list[TrialCut]) -> list[TrialCut]:
    """Those during which no clock misses a sample: what was not recorded is not drawn as a straight line."""
    streams = [("activity", recording.activity.source, recording.activity.gaps_s())]
    for name in ("running", "pupil_size", "pupil_center"):
        signal = getattr(recording, name)
        if signal is not None:
            streams.append((name.replace("_", " ").replace("center", "centre"), signal.source,
                            signal.gaps_s(LONGEST_BRIDGED_S)))  # fmt: skip
    missing = [
        (shown.times[each], shown.times[each + 1])
        for shown in recording.presentations
        for each in np.flatnonzero(shown.gaps)
    ]
    streams.append(("stimulus", f"{recording.name}: stimulus", np.array(missing).reshape(-1, 2)))
    for about, source, gaps in streams:
        whole = [cut for cut in cuts if not _touches(cut, gaps)]
        gone = len(cuts) - len(whole)
        if not gone:
            continue
        longest = float(np.diff(gaps, axis=1).max())
        text = f"{gone} of {len(cuts)} trials touch gaps in the clock of the {about}, of up to {longest:.3g} s"
        if len(whole) < MINIMUM_TRIALS or (about not in ("activity", "stimulus") and gone > len(cuts) / 2):
            other = "" if about in ("activity", "stimulus") else ", or leave the stream out to have it neutral"
            raise SessionError(
                f"{source}: expected a clock without gaps during most trials, found that {text}; mend the times{other}"
            )
        recording.report.add("dropped", "trials", f"{text}: samples are missing there")
        cuts = whole
    return cuts


def _touches(cut: TrialCut, gaps: np.ndarray) -> bool:
    return bool(((gaps[:, 0] < cut.edges_s[-1]) & (gaps[:, 1] > cut.edges_s[0])).any())


def _without_activity(recording: Recording, cut: TrialCut) -> bool:
    samples = samples_of(recording, cut)
    return samples.size > 0 and bool((~np.isfinite(samples)).all(axis=0).any())


def samples_of(recording: Recording, cut: TrialCut) -> np.ndarray:
    """The stored activity (N, samples) from which a trial is made."""
    activity = recording.activity
    # Of planes that were sampled later, earlier samples are needed.
    delays_s = np.zeros(1) if activity.delays_s is None else activity.delays_s
    start_s, stop_s = float(cut.edges_s[0] - delays_s.max()), float(cut.edges_s[-1] - delays_s.min())
    return activity.values[:, activity.between(start_s, stop_s)]
