"""Behaviour of an imported mouse: gaps filled, missing streams neutral, both said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.recording import LONGEST_BRIDGED_S, Recording, Signal
from napari_vidrecon.sessions.importing.resampling import on_video_clock
from napari_vidrecon.sessions.importing.trials import TrialCut

NEUTRAL = {"running": (0.0,), "pupil_size": (50.0,), "pupil_center": (150.0, 145.0)}
"""Constant values for streams that were not recorded: at rest, and about the means of the public mice."""
TITLES = {"running": "running", "pupil_size": "pupil size", "pupil_center": "pupil centre"}
MOST_UNCOVERED = 0.1
"""A stream that misses more than this share of the trials' time belongs to another recording."""


def prepared_behavior(recording: Recording, cuts: Sequence[TrialCut]) -> Recording:
    """The same recording with every stream of behaviour there and without NaN.

    Parameters
    ----------
    recording
        Its report takes notes of what was filled.
    cuts
        The trials.

    Returns
    -------
    Recording
        What was filled in is in its report.

    Raises
    ------
    SessionError
        A stream ends long before the trials do, or holds no number.
    """
    return replace(
        recording,
        running=_prepared(recording, "running", recording.running, cuts),
        pupil_size=_prepared(recording, "pupil_size", recording.pupil_size, cuts),
        pupil_center=_prepared(recording, "pupil_center", recording.pupil_center, cuts),
    )


def behavior_of(recording: Recording, cut: TrialCut) -> tuple[np.ndarray, np.ndarray]:
    """Behaviour (2, T), pupil size and running speed, and pupil centre (2, T) of a trial; both float32."""
    if recording.pupil_size is None or recording.running is None or recording.pupil_center is None:
        raise ValueError("expected a recording with prepared behaviour")
    size, running = (on_video_clock(signal, cut.edges_s) for signal in (recording.pupil_size, recording.running))
    return np.concatenate([size, running]), on_video_clock(recording.pupil_center, cut.edges_s)


def _prepared(recording: Recording, stream: str, signal: Signal | None, cuts: Sequence[TrialCut]) -> Signal:
    title, report = TITLES[stream], recording.report
    neutral = NEUTRAL[stream]
    if signal is None:
        text = f"not recorded; the neutral {' and '.join(f'{value:g}' for value in neutral)} is in every frame"
        report.add("filled", title, text)
        times = recording.activity.times[[0, -1]].astype(float)
        return Signal(np.repeat(np.array(neutral)[:, None], 2, axis=1), times, "neutral values")
    if len(signal.values) != len(neutral):
        raise SessionError(
            f"{signal.source}: expected {len(neutral)} channels of {title}, found {len(signal.values)}; time is the "
            "longer axis"
        )
    finite = np.isfinite(signal.values).all(axis=0)
    if not finite.any():
        raise SessionError(f"{signal.source}: expected numbers, found only NaN; leave {title} out to have it neutral")
    medians = np.median(signal.values[:, finite], axis=1)
    missing = sum(
        any(first < cut.edges_s[-1] and last > cut.edges_s[0] for cut in cuts) for first, last in signal.gaps_s()
    )
    if missing:
        text = f"{missing} gaps of up to {LONGEST_BRIDGED_S:g} s in its clock during trials: interpolated"
        report.add("filled", title, text)
    mended = _without_gaps(signal, finite, medians, title, recording)
    mended = _covering(mended, medians, title, recording, cuts)
    if np.ptp(mended.values, axis=1).max() == 0:
        report.add("warning", title, "it never changes")
    how = "averaged over each frame" if signal.rate_hz > 1.5 * _frame_rate(cuts) else "interpolated"
    report.add("resampled", title, f"{signal.rate_hz:.4g} Hz to the video clock, {how}")
    return mended


def _frame_rate(cuts: Sequence[TrialCut]) -> float:
    return 1.0 / float(np.median(np.diff(cuts[0].edges_s)))


def _without_gaps(signal: Signal, finite: np.ndarray, medians: np.ndarray, title: str, recording: Recording) -> Signal:
    if finite.all():
        return signal
    good = np.flatnonzero(finite)
    values = np.stack(
        [np.interp(signal.times, signal.times[good], np.asarray(row, float)[good]) for row in signal.values]
    )
    # The last good sample before and the first one after each place tell how long its gap is.
    after = np.searchsorted(good, np.arange(finite.size))
    before_s = np.where(after > 0, signal.times[good[np.maximum(after - 1, 0)]], -np.inf)
    after_s = np.where(after < good.size, signal.times[good[np.minimum(after, good.size - 1)]], np.inf)
    long = ~finite & (after_s - before_s > LONGEST_BRIDGED_S)
    values[:, long] = medians[:, None]
    for which, how in ((~finite & ~long, "interpolated"), (long, f"in gaps over {LONGEST_BRIDGED_S:g} s, the median")):
        if which.any():
            recording.report.add("filled", title, f"{which.mean():.2%} of the samples were NaN: {how}")
    return Signal(values, signal.times, signal.source)


def _covering(
    signal: Signal, medians: np.ndarray, title: str, recording: Recording, cuts: Sequence[TrialCut]
) -> Signal:
    """The signal with its median before its begin and after its end, where trials reach beyond it."""
    first, last, period = float(signal.times[0]), float(signal.times[-1]), signal.period_s
    missing = sum(
        max(0.0, min(first, cut.edges_s[-1]) - cut.edges_s[0]) + max(0.0, cut.edges_s[-1] - max(last, cut.edges_s[0]))
        for cut in cuts
    )
    share = missing / sum(float(cut.edges_s[-1] - cut.edges_s[0]) for cut in cuts)
    if share > MOST_UNCOVERED:
        raise SessionError(
            f"{signal.source}: expected {title} during the trials, {cuts[0].edges_s[0]:.3f} to "
            f"{cuts[-1].edges_s[-1]:.3f} s, found it from {first:.3f} to {last:.3f} s, {share:.0%} missing; "
            "mend the times, or leave the stream out to have it neutral"
        )
    start = min(float(cut.edges_s[0]) for cut in cuts)
    end = max(float(cut.edges_s[-1]) for cut in cuts)
    times, values = [signal.times], [signal.values]
    for side, beyond in ((-1, start < first - 2 * period), (1, end > last + 2 * period)):
        if beyond:
            edge, far = (first - period, min(start, first - 2 * period)) if side < 0 else (last + period, end + period)
            times.insert(0 if side < 0 else len(times), np.array(sorted((edge, far))))
            values.insert(0 if side < 0 else len(values), np.repeat(medians[:, None], 2, axis=1))
    if len(times) == 1:
        return signal
    recording.report.add("filled", title, f"{share:.2%} of the trials' time lies outside of it: the median")
    return Signal(np.concatenate(values, axis=1), np.concatenate(times), signal.source)
