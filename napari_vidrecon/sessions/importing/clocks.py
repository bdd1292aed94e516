"""Clocks: times from a rate, from a file, or from the pulses that two machines saw together."""

from __future__ import annotations

import numpy as np

from napari_vidrecon.errors import SessionError, number_of
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording, Signal, require_ascending

FEWEST_PULSES = 3
MOST_TRIMMED = 10
"""Two arrays of one recording may differ by this many samples; more is another recording, or another clock."""
LOWEST_RATE_HZ = 0.05
"""Activity sampled more seldom says nothing of single frames, and would become thousands of them."""
LONGEST_FRAME_S, SHORTEST_FRAME_S = 5.0, 1 / 1500
"""A movie whose frames stay longer is none; no screen shows them faster."""
UNITS = {1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds", 1 / 60: "minutes", 1 / 86_400: "days"}
"""What a clock counts in, by how many of it make a second."""
OTHER_UNIT_RATIO = 20.0
"""Streams of one recording never last so many times as long as its activity, unless they count in other units."""
FEWEST_ONSETS = 5
SHARE_OF_A_SAMPLE = 0.1
"""Clocks that are nearer than this tell the same samples."""
COARSE_S, TOO_COARSE_S = 2e-3, 0.1
"""Times that tell no less than this bend movies that are shown by them, or say nothing of samples."""
HIGHEST_MULTIPLE, WHOLE = 16, 0.02
"""A clock at n times the rate, as of n planes: so many at most, and so near to a whole number."""


def regular_times(samples: int, rate_hz: float, start_s: float) -> np.ndarray:
    """Times of a clock that never wavers.

    Parameters
    ----------
    samples
        How many.
    rate_hz
        Samples a second.
    start_s
        Of the first, s.

    Returns
    -------
    np.ndarray
        (samples,) s.
    """
    return start_s + np.arange(samples) / rate_hz


def rate_of(times: np.ndarray) -> float | None:
    """Samples a second of a list of times; None if they are no clock."""
    with np.errstate(all="ignore"):
        steps = np.diff(times.astype(float).ravel()) if times.dtype.kind in "fiu" else np.empty(0)
        step = float(np.median(steps)) if steps.size else 0.0
    return 1.0 / step if np.isfinite(step) and step > 0 and np.isfinite(1.0 / step) else None


def rate_of_a_plane(times: np.ndarray, samples: int, planes: int) -> float | None:
    """Samples a second of one of several planes recorded in turn, also where the times are those of all of them.

    Parameters
    ----------
    times
        Of the samples of one plane, or of all.
    samples
        How many a plane has.
    planes
        How many there are.

    Returns
    -------
    float | None
        None if the times are no clock.
    """
    rate = rate_of(times)
    together = planes > 1 and abs(times.size - planes * samples) <= planes * MOST_TRIMMED < times.size - samples
    return rate / planes if rate is not None and together else rate


def note_coarse(times: np.ndarray, ticks_hz: float, report: ImportReport, about: str, source: str) -> None:
    """Warn of times in floats of so few bits that they only tell every few milliseconds, and refuse worse ones.

    Parameters
    ----------
    times
        As they are stored.
    ticks_hz
        How many of what they count make a second.
    report
        Takes the warning.
    about
        The stream.
    source
        The file of the times, for messages.

    Raises
    ------
    SessionError
        They tell nothing of single samples.
    """
    if times.dtype.kind != "f" or times.dtype.itemsize >= np.dtype(np.float64).itemsize or not times.size:
        return
    with np.errstate(all="ignore"):
        step_s = float(np.spacing(np.nanmax(np.abs(times)))) / ticks_hz
    if not COARSE_S < step_s < np.inf:
        return
    text = f"floats of {8 * times.dtype.itemsize} bits, which tell only every {1e3 * step_s:.3g} ms so late"
    if step_s > TOO_COARSE_S:
        raise SessionError(f"{source}: expected times in seconds, found {text}; save them as float64 (not single)")
    report.add("warning", about, f"its times are {text}; save them as float64 where they come from")


def fitting_times(
    times: np.ndarray, samples: int, source: str, *, trim: bool, report: ImportReport, about: str
) -> tuple[np.ndarray, int]:
    """Times and number of samples once both are equally long.

    Parameters
    ----------
    times
        (S,) seconds, as read.
    samples
        Number of samples they should be of.
    source
        The file of the times, for messages.
    trim
        Cut the longer of the two at its end.
    report
        Takes a note if something is cut.
    about
        The stream.

    Returns
    -------
    tuple[np.ndarray, int]
        The times, and the number of samples to keep.

    Raises
    ------
    SessionError
        No clock, or of another length and not to be trimmed, or of a length that is far from it.
    """
    if about != "activity":
        times = _spread(times, report, about)
    require_ascending(times, source)
    if times.size == samples:
        return times, samples
    if not trim or abs(times.size - samples) > MOST_TRIMMED:
        multiple = times_as_many(times.size, samples)
        if multiple:
            remedy = f"that is {multiple}: with one time a plane or a line, give those of one plane"
        elif trim:
            remedy = f"--trim cuts at most {MOST_TRIMMED}: give the times of this recording"
        else:
            remedy = "give the times of this recording, or cut the longer one at its end (--trim)"
        raise SessionError(
            f"{source}: expected a time for each of the {samples} samples of the {about}, found {times.size}; {remedy}"
        )
    kept = min(times.size, samples)
    longer = "times" if times.size > samples else "samples"
    report.add("repaired", about, f"{abs(times.size - samples)} {longer} too many cut off at the end")
    return times[:kept], kept


def _spread(times: np.ndarray, report: ImportReport, about: str) -> np.ndarray:
    """Times of behaviour, of which several are the same where a computer took a batch of samples at once."""
    if times.ndim != 1 or times.dtype.kind not in "fiu" or times.size < 2:
        return times
    last = np.flatnonzero(np.append(times[1:] != times[:-1], True))
    if last.size in (times.size, 1):
        return times
    same = number_of(times.size - last.size, "sample")
    report.add("repaired", about, f"{same} at the time of the one before: spread over the time since another")
    own, every = times[last].astype(float), np.arange(times.size)
    # Before the first batch there is no other: its samples came at the usual rate.
    step = (own[-1] - own[0]) / (last[-1] - last[0])
    return np.interp(every, last, own) - step * np.maximum(last[0] - every, 0)


def times_as_many(one: int, other: int) -> str:
    """Such as "3 times as many" or "1/3 as many", where one number is a whole multiple of the other, else empty."""
    if min(one, other) < 1:
        return ""
    ratio = max(one, other) / min(one, other)
    whole = round(ratio)
    # A few samples are lost at the end of either.
    if not 2 <= whole <= HIGHEST_MULTIPLE or abs(ratio / whole - 1.0) > WHOLE:
        return ""
    return f"{ratio:.4g} times as many" if one > other else f"1/{ratio:.4g} as many"


def require_one_unit(recording: Recording) -> None:
    """Refuse clocks that count in other units than seconds, or run at a multiple of each other's rate.

    Parameters
    ----------
    recording
        Its report takes a note of what may be right and may be wrong.

    Raises
    ------
    SessionError
        With the ratio, and what it may be.
    """
    activity = recording.activity
    if activity.period_s * LOWEST_RATE_HZ > 1.0:
        raise SessionError(
            f"{activity.source}: expected at least {LOWEST_RATE_HZ:g} samples a second, "
            f"found one in {activity.period_s:.4g} s{_guess(activity.period_s, 1.0, 1 / 500)}; "
            "give times in seconds, or the right rate_hz"
        )
    for number, shown in enumerate(recording.presentations):
        if not SHORTEST_FRAME_S <= shown.period_s <= LONGEST_FRAME_S:
            raise SessionError(
                f"{recording.name}: expected movies of frames that stay {SHORTEST_FRAME_S:.2g} to "
                f"{LONGEST_FRAME_S:g} s, found {shown.period_s:.4g} s in presentation {number}"
                f"{_guess(shown.period_s, 0.2, 1 / 500)}; give their times in seconds, or the right rate_hz"
            )
    if recording.presentations:
        _require_no_samples(recording)
        first = min(float(shown.times[0]) for shown in recording.presentations)
        last = max(float(shown.edges_s[-1]) for shown in recording.presentations)
        _require_like(recording, "the movies", f"{recording.name}: stimulus", last - first)
    for title in ("running", "pupil_size", "pupil_center"):
        signal: Signal | None = getattr(recording, title)
        if signal is not None:
            about = title.replace("_", " ").replace("center", "centre")
            _require_like(recording, f"the {about}", signal.source, float(np.ptp(signal.times)))


def _require_no_samples(recording: Recording) -> None:
    """Refuse onsets that count the samples of the activity: few trials would be left, of the wrong time."""
    times, onsets = recording.activity.times, np.array([shown.times[0] for shown in recording.presentations])
    whole_numbers = len(onsets) >= FEWEST_ONSETS and bool((onsets == np.rint(onsets)).all())
    # Spikes have no samples of their own.
    sampled = type(recording.activity) is Signal
    if (
        whole_numbers
        and sampled
        and onsets.min() >= 0
        and max(2 * times[-1], len(times) / 2) < onsets.max() <= len(times)
    ):
        raise SessionError(
            f"{recording.name}: expected movies that began while the activity was recorded, {times[0]:.4g} to "
            f"{times[-1]:.4g} s, found that they began at whole numbers up to {onsets.max():g}: numbers of its "
            f"{len(times)} samples? give the times of these samples{_samples_as_ticks(times)}"
        )


def _samples_as_ticks(times: np.ndarray) -> str:
    """How numbers of samples become seconds, where these samples were taken steadily from 0 on; else empty."""
    rate_hz = (times.size - 1) / float(times[-1] - times[0])
    # Its times are the middles of samples.
    begins = min(abs(float(times[0])), abs(float(times[0]) - 0.5 / rate_hz))
    apart = float(np.abs(times - times[0] - np.arange(times.size) / rate_hz).max())
    if max(begins, apart) * rate_hz > SHARE_OF_A_SAMPLE:
        return ", as activity_times[numbers]"
    return f", or say ticks_hz = {rate_hz:.6g} below [stimulus]"


def _require_like(recording: Recording, about: str, source: str, span_s: float) -> None:
    ours = float(np.ptp(recording.activity.times)) + recording.activity.period_s
    ratio = span_s / ours
    if ratio >= OTHER_UNIT_RATIO or ratio * OTHER_UNIT_RATIO**2 <= 1.0:
        longer, other = max(ratio, 1 / ratio), ratio > 1
        near = min(UNITS, key=lambda unit: abs(np.log(longer / (unit if unit > 1 else 1 / unit))))
        size = near if near > 1 else 1 / near
        # The unit that counts faster is the one of the longer clock, minutes that of the shorter.
        whose = about if other == (near > 1) else "the activity"
        guess = f": {whose} in {UNITS[near]}?" if 0.5 < longer / size < 2 else ""
        if other or guess:
            raise SessionError(
                f"{source}: expected {about} to last about as long as the activity, {ours:.4g} s, "
                f"found {span_s:.4g} s, {ratio:.4g} times as long{guess}; {turned(recording)}give all times in seconds"
            )
    whole = round(ratio)
    shown_until = max((float(shown.edges_s[-1]) for shown in recording.presentations), default=-np.inf)
    cut_short = shown_until > recording.activity.times[-1] + LONGEST_FRAME_S
    if cut_short and 2 <= whole <= HIGHEST_MULTIPLE and abs(ratio / whole - 1.0) < WHOLE:
        raise SessionError(
            f"{source}: expected {about} while the activity was recorded, {ours:.4g} s, found {span_s:.4g} s of "
            f"them, {ratio:.4g} times as long: is the rate of the activity that of {whole} planes together? give that "
            "of one plane; or leave out what was shown after the activity ended"
        )
    if (
        about == "the movies"
        and 2 <= round(1 / ratio) <= HIGHEST_MULTIPLE
        and (abs(ratio * round(1 / ratio) - 1.0) < WHOLE / 2)
    ):
        text = (
            f"the activity lasts {1 / ratio:.4g} times as long as {about}; "
            "right if it went on without them, else one of the two clocks runs at a multiple of its rate"
        )
        recording.report.add("warning", "clock", text)


def turned(recording: Recording) -> str:
    """A remedy where the activity has more neurons than samples, which a recording of minutes never has."""
    neurons, samples = recording.activity.values.shape
    if neurons <= samples:
        return ""
    return f'if it is {neurons} samples of {samples} neurons, say axes = "time,neurons" below [activity]; '


def _guess(found_s: float, slowest_s: float, fastest_s: float) -> str:
    """Which unit would make a step a likely one."""
    for unit, name in UNITS.items():
        if fastest_s <= found_s / unit <= slowest_s:
            return f" ({name}? that would be {unit / found_s:.4g} Hz)"
    return ""


def require_rate(times: np.ndarray, rate_hz: float, tolerance_s: float, source: str) -> None:
    """Refuse times that run apart from the rate that was said.

    Parameters
    ----------
    times
        (S,) seconds.
    rate_hz
        The rate as the description says.
    tolerance_s
        How far they may be apart at the end.
    source
        What the times were read from, for the message.

    Raises
    ------
    SessionError
        They are further apart.
    """
    steps = np.diff(times)
    # Pauses belong to the experiment, not to the clock.
    running = steps[steps < 1.5 * float(np.median(steps))]
    apart = float(running.sum()) - running.size / rate_hz
    if abs(apart) > tolerance_s:
        raise SessionError(
            f"{source}: expected times at {rate_hz:g} Hz, found {running.size / float(running.sum()):.6g} Hz: "
            f"the clocks are {abs(apart):.3g} s apart after {float(running.sum()):.4g} s, {tolerance_s:g} s allowed; "
            "correct rate_hz, or leave it out to trust the times"
        )


def require_pulses_in_seconds(theirs: np.ndarray, ours: np.ndarray, source: str) -> None:
    """Refuse pulses on the clock of the activity that last many times as long as on the other one.

    Parameters
    ----------
    theirs, ours
        (P,) the same pulses on the clock of the stimulus and on that of the activity.
    source
        Of the pulses, for the message.

    Raises
    ------
    SessionError
        With the ratio, and what to say.
    """
    spans = [float(np.ptp(pulses)) if pulses.size else 0.0 for pulses in (theirs, ours)]
    if spans[0] > 0 and spans[1] > OTHER_UNIT_RATIO * spans[0]:
        raise SessionError(
            f"{source}: expected pulses in seconds on both clocks, found {spans[1]:.6g} on that of the activity, "
            f"{spans[1] / spans[0]:.6g} times as long as on that of the stimulus: samples or milliseconds? say "
            "activity_ticks_hz = how many make a second, below [clock] in recording.toml"
        )


class ClockMap:
    """Seconds of one machine's clock as seconds of another's, from pulses that both saw.

    Parameters
    ----------
    theirs, ours
        (P,) the same pulses on the two clocks, s.
    tolerance_s
        How far a pulse may lie from a straight line.
    source
        Of the pulses, for messages.

    Raises
    ------
    SessionError
        Not the same number of pulses, too few, or clocks that wander against each other.
    """

    def __init__(self, theirs: np.ndarray, ours: np.ndarray, tolerance_s: float, source: str) -> None:
        for pulses in (theirs, ours):
            require_ascending(pulses, source)
        if theirs.size != ours.size or theirs.size < FEWEST_PULSES:
            both = sorted((theirs.size, ours.size))
            why = "a pulse was missed: leave out those that only one clock has"
            if 0 < 2 * both[0] == both[1]:
                why = "that is twice as many: both edges of each pulse? give the rising ones alone"
            raise SessionError(
                f"{source}: expected the same pulses on both clocks, at least {FEWEST_PULSES}, "
                f"found {theirs.size} and {ours.size}; {why}"
            )
        self._middle = float(theirs.mean())
        self.slope, self._offset = (float(value) for value in np.polyfit(theirs - self._middle, ours, 1))
        residual = np.abs(self(theirs) - ours)
        self.worst_s = float(residual.max())
        self.drift_s = (self.slope - 1.0) * float(theirs[-1] - theirs[0])
        if self.worst_s > tolerance_s:
            raise SessionError(
                f"{source}: expected two clocks whose pulses lie on a straight line within {tolerance_s:g} s, "
                f"found pulse {int(residual.argmax())} {self.worst_s:.3g} s away from it; "
                "the clocks wander or pulses are mismatched: check the pulses, or allow more (--clock-tolerance)"
            )

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """The same times on our clock."""
        return self._offset + self.slope * (times - self._middle)

    def note(self, report: ImportReport) -> None:
        """Say how far the clocks ran apart, and that it was corrected."""
        text = (
            f"clocks ran {abs(self.drift_s):.3g} s apart ({abs(self.slope - 1) * 1e6:.3g} parts in a million); "
            f"set right by the pulses, which lie within {self.worst_s:.2g} s of a straight line"
        )
        report.add("repaired", "clock", text)
