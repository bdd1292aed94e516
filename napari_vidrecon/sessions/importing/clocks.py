"""Clocks: times from a rate, from a file, or from the pulses that two machines saw together."""

from __future__ import annotations

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.recording import require_ascending
from napari_vidrecon.sessions.importing.report import ImportReport

FEWEST_PULSES = 3


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
        No clock, or of another length and not to be trimmed.
    """
    require_ascending(times, source)
    if times.size == samples:
        return times, samples
    if not trim:
        raise SessionError(
            f"{source}: expected a time for each of the {samples} samples of the {about}, found {times.size}; "
            "give the times of this recording, or cut the longer one at its end (--trim)"
        )
    kept = min(times.size, samples)
    longer = "times" if times.size > samples else "samples"
    report.add("repaired", about, f"{abs(times.size - samples)} {longer} too many cut off at the end")
    return times[:kept], kept


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
            raise SessionError(
                f"{source}: expected the same pulses on both clocks, at least {FEWEST_PULSES}, "
                f"found {theirs.size} and {ours.size}; a pulse was missed: leave out those that only one clock has"
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
