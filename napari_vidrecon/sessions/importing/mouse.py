"""An imported mouse: dead and broken neurons dropped or refused, gaps of its behaviour filled, and all of it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_vidrecon.errors import SessionError, number_of
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording, Signal
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.resampling import on_video_clock
from napari_vidrecon.sessions.importing.trials import TrialCut, samples_of
from napari_vidrecon.sessions.trial_files import LONGEST_BRIDGED_S, NEGATIVE_RESPONSE_TOLERANCE

PLAUSIBLE_MEAN = (0.01, 1000.0)
"""Mean activity, in the units of the recording, outside of which training is likely to fail; public mice: 2 to 5."""
FIFTHS, MOST_DRIFT, FEWEST_TO_DRIFT = 5, 2.0, 20
"""Activity of so many neurons that falls, or rises, with every fifth of so many trials and by more is said to drift."""
NAMED_NEURONS = 5
MANY_BELOW = 0.1
FASTEST_MOUSE, ONWARDS = 300.0, 0.8
"""A signal of a larger range, cm/s, that goes this share of its way in one direction is a place and no speed; one of a
smaller range is said to be."""
SLOWEST_RUN = 1.5
"""A mouse that is never faster, cm/s, did not run, or its speed is in other units."""
NEAR_SHUT = 0.1
"""A pupil that comes nearer to 0 than this share of its median may be 0 without a blink, as where it is scaled."""
FEWEST_TOLD, AT_ONE_END = 100, 0.1
"""It is said of so many samples at least whose median lies further than this share of their range from its ends."""


FEW_SPOILT, MANY_BROKEN = 0.25, 0.05
"""Where a larger share of the neurons is missing in no more of the trials, it is better to lose those trials."""


def usable_neurons(recording: Recording, cuts: list[TrialCut], settings: ImportSettings) -> Recording:
    """The same recording with only those neurons that are finite and change during the trials, and none below zero.

    Parameters
    ----------
    recording
        Its report takes notes.
    cuts
        The trials.
    settings
        What becomes of bad neurons and of negative activity.

    Returns
    -------
    Recording
        Of the neurons that are left.

    Raises
    ------
    SessionError
        Bad neurons or negative activity are to be refused, or no neuron is left.
    """
    neurons = len(recording.activity.values)
    broken = np.zeros(neurons, dtype=bool)
    lowest, highest = np.full(neurons, np.inf), np.full(neurons, -np.inf)
    total, count, spoilt = 0.0, 0, 0
    sums, lengths = np.zeros((FIFTHS, neurons)), np.zeros(FIFTHS)
    for number, cut in enumerate(cuts):
        samples = samples_of(recording, cut)
        fifth = number * FIFTHS // len(cuts)
        sums[fifth] += np.maximum(samples, 0).sum(axis=1)
        lengths[fifth] += samples.shape[1]
        missing = ~np.isfinite(samples).all(axis=1)
        broken, spoilt = broken | missing, spoilt + bool(missing.any())
        lowest = np.fmin(lowest, samples.min(axis=1))
        highest = np.fmax(highest, samples.max(axis=1))
        total, count = (
            total + float(np.nansum(np.maximum(samples[~broken], 0))),
            count + int((~broken).sum()) * samples.shape[1],
        )
    dead = ~broken & (lowest == highest)
    for kind, which in (("NaN or infinite in a trial", broken), ("the same in every sample", dead)):
        if which.any():
            _drop_or_refuse(recording, which, kind, settings)
    keep = ~(broken | dead)
    few = 0 < spoilt <= max(FEW_SPOILT * len(cuts), 1)
    leave = f"{spoilt} of {len(cuts)} trials; make those samples NaN in all neurons to leave out these trials instead"
    if not keep.any():
        raise SessionError(
            f"{recording.activity.source}: expected neurons whose activity is finite and changes, "
            f"found none among {neurons}; {f'it is missing in {leave}' if few else 'choose another array'}"
        )
    if few and broken.mean() > MANY_BROKEN:
        recording.report.add("warning", "activity", f"{broken.mean():.0%} of the neurons are NaN only in {leave}")
    values = _kept(recording, keep, lowest, float(highest[keep].max()), settings)
    if min(len(cuts), keep.sum()) >= FEWEST_TO_DRIFT:
        _note_drift(sums[:, keep] / lengths[:, None], recording.report)
    mean = max(total / max(count, 1), 0.0)
    if not PLAUSIBLE_MEAN[0] <= mean <= PLAUSIBLE_MEAN[1]:
        text = f"its mean is {mean:.3g}; the public mice have 2 to 5, and training may need a scale nearer to theirs"
        recording.report.add("warning", "activity", text)
    return replace(
        recording,
        activity=recording.activity.chosen(keep, values),
        coordinates=None if recording.coordinates is None else recording.coordinates[keep],
        neuron_ids=(np.arange(1, neurons + 1) if recording.neuron_ids is None else recording.neuron_ids)[keep],
    )


def _note_drift(means: np.ndarray, report: ImportReport) -> None:
    """Say where the activity of most neurons, (5, N) means of each fifth of the trials, is not what it was."""
    steps = np.diff(np.median(means / np.maximum(means.mean(axis=0), np.finfo(float).tiny), axis=1))
    active = means[0] > 0
    change = float(np.median(means[-1][active] / means[0][active])) if active.any() else 1.0
    if ((steps < 0).all() and change < 1 / MOST_DRIFT) or ((steps > 0).all() and change > MOST_DRIFT):
        text = (
            f"its mean in the last fifth of the trials is {change:.2g} times that in the first (median neuron): "
            "did the indicator bleach, or the focus drift? correct the baseline before, or leave those trials out"
        )
        report.add("warning", "activity", text)


def _drop_or_refuse(recording: Recording, which: np.ndarray, kind: str, settings: ImportSettings) -> None:
    places = np.flatnonzero(which)
    named = ", ".join(map(str, places[:NAMED_NEURONS])) + (" ..." if len(places) > NAMED_NEURONS else "")
    told = f"{number_of(len(places), 'neuron that is', 'neurons that are')} {kind} (rows {named})"
    if settings.bad_neurons == "refuse":
        raise SessionError(
            f"{recording.activity.source}: expected activity that is finite and changes, "
            f"found {told}; drop them (--bad-neurons drop) or mend them"
        )
    recording.report.add("dropped", "activity", told)


def _kept(
    recording: Recording, keep: np.ndarray, lowest_of_each: np.ndarray, highest: float, settings: ImportSettings
) -> np.ndarray:
    """Activity of the neurons that are kept, none below 0; copied once at most, as it may fill half of the memory."""
    values = recording.activity.values
    lowest = float(lowest_of_each[keep].min())
    if lowest >= 0:
        return values if keep.all() else values[keep]
    if lowest < -NEGATIVE_RESPONSE_TOLERANCE * max(highest, 1.0) and settings.negative == "refuse":
        raise SessionError(
            f"{recording.activity.source}: expected activity of at least 0, found values down to {lowest:.4g}; "
            "use deconvolved activity, set what is below 0 to 0 with --negative clip, or raise each neuron until its "
            "lowest value is 0 with --negative lift"
        )
    kept = np.empty((int(keep.sum()), values.shape[1]), values.dtype)
    below = 0
    lift = np.minimum(lowest_of_each, 0.0).astype(values.dtype) if settings.negative == "lift" else None
    for row, place in enumerate(np.flatnonzero(keep)):
        if lift is not None:
            # What is lower still lies outside of the trials.
            np.maximum(values[place] - lift[place], 0, out=kept[row])
            continue
        below += int((values[place] < 0).sum())
        np.maximum(values[place], 0, out=kept[row])
    if lift is not None:
        text = f"values down to {lowest:.4g}: each neuron is raised until the lowest value of its trials is 0"
        recording.report.add("repaired", "activity", text)
        return kept
    text = f"{below / kept.size:.2%} of the samples were below 0, down to {lowest:.4g}; they are set to 0"
    if below > MANY_BELOW * kept.size:
        more = f"{below / kept.size:.0%} of it lay below 0, as dF/F does, and is lost; --negative lift keeps it"
        recording.report.add("warning", "activity", more)
    recording.report.add("repaired", "activity", text)
    return kept


NEUTRAL = {"running": (0.0,), "pupil_size": (50.0,), "pupil_center": (150.0, 145.0)}
"""Constant values for streams that were not recorded: at rest, and about the means of the public mice."""
TITLES = {"running": "running", "pupil_size": "pupil size", "pupil_center": "pupil centre"}
BEHAVIOR_NAMES = {"running": "running", "pupil_size": "pupil size", "pupil_center": "gaze"}
"""As sessions and encoders call what was recorded."""
NOT_RECORDED = "neutral values"
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


def recorded_streams(recording: Recording) -> tuple[str, ...]:
    """Names of the behaviour of a prepared recording that was recorded, and not filled with neutral values."""
    streams = ((name, getattr(recording, stream)) for stream, name in BEHAVIOR_NAMES.items())
    return tuple(name for name, signal in streams if signal is not None and signal.source != NOT_RECORDED)


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
        return Signal(np.repeat(np.array(neutral)[:, None], 2, axis=1), times, NOT_RECORDED)
    if len(signal.values) != len(neutral):
        raise SessionError(
            f"{signal.source}: expected {len(neutral)} channels of {title}, found {len(signal.values)}; time is the "
            "longer axis"
        )
    finite = np.isfinite(signal.values).all(axis=0)
    if not finite.any():
        raise SessionError(f"{signal.source}: expected numbers, found only NaN; leave {title} out to have it neutral")
    if stream == "running":
        _require_speed(signal, finite, report)
    else:
        shut = _eye_shut(signal.values, finite)
        if shut.any():
            text = f"{shut.mean():.2%} of the samples are 0, as trackers write it while the eye is shut: as if missing"
            report.add("repaired", title, text)
            signal = replace(signal, values=np.where(shut, np.nan, signal.values))
            finite = finite & ~shut
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


def _eye_shut(values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """(S,) bool: samples of the pupil that are 0 in every channel, while no other is anywhere near."""
    sizes = np.linalg.norm(np.where(finite, values, np.nan), axis=0)
    shut, others = sizes == 0, sizes[sizes > 0]
    apart = others.size > finite.sum() / 2 and bool(others.min() > NEAR_SHUT * np.median(others))
    return shut if apart else np.zeros_like(shut)


def _require_speed(signal: Signal, finite: np.ndarray, report: ImportReport) -> None:
    """Refuse a place on the treadmill given as a speed: it goes on and on, and never comes back to rest.

    Parameters
    ----------
    signal
        The running.
    finite
        Which samples are numbers.
    report
        Takes a warning where the range is that of a speed.

    Raises
    ------
    SessionError
        A range that no mouse's speed has.
    """
    values = signal.values[0, finite].astype(float)
    fastest = float(np.percentile(np.abs(values), 99.9))
    for unit, cm_a_second, likely in (("m/s", 100, 0 < fastest < SLOWEST_RUN), ("mm/s", 0.1, fastest > FASTEST_MOUSE)):
        if likely:
            text = f"{fastest:.3g} at most, where cm/s are expected: in {unit}? times {cm_a_second:g} it would be"
            report.add("warning", "running", text)
    steps = np.diff(values)
    # A counter that runs over begins anew.
    steps = steps[np.abs(steps) <= np.ptp(values) / 2]
    if abs(float(steps.sum())) <= ONWARDS * float(np.abs(steps).sum()):
        return
    found = f"found values that only go on, from {values.min():g} to {values.max():g}"
    remedy = "give their slope, or cm_a_tick below [running] in recording.toml (1 where they are cm)"
    if np.ptp(values) > FASTEST_MOUSE:
        raise SessionError(f"{signal.source}: expected a running speed, {found}: an encoder's ticks? {remedy}")
    # A speed is near to rest most of the time; the way gone is not.
    middle = (float(np.median(values)) - float(values.min())) / max(float(np.ptp(values)), 1e-9)
    if values.size >= FEWEST_TOLD and AT_ONE_END < middle < 1 - AT_ONE_END:
        text = f"expected a speed, {found}: the way gone, or an encoder's ticks? {remedy}"
        report.add("warning", "running", text)


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
