"""`Recording`: one mouse's raw data, each stream with its own clock, and the report of what an import did to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.stimuli import StimulusMovie

Kind = Literal["read", "resampled", "filled", "dropped", "repaired", "assumed", "warning"]


@dataclass(frozen=True)
class Note:
    """One thing that was done, or that the reader of the session should know.

    Parameters
    ----------
    kind
        What sort of thing.
    about
        The stream: "activity", "stimulus", "running", "pupil size", "pupil centre", "trials" ...
    text
        A sentence with numbers.
    """

    kind: Kind
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.text}"


@dataclass
class ImportReport:
    """Notes in the order in which things were done, and the totals at the end.

    Parameters
    ----------
    notes
        The notes.
    totals
        Numbers of the finished session, by name.
    """

    notes: list[Note] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: Kind, about: str, text: str) -> None:
        """Add a note; the same one is kept once.

        Parameters
        ----------
        kind
            What happened: "read", "resampled", "filled", "dropped", "repaired", "assumed" or "warning".
        about
            Which part of the recording.
        text
            One line for people.
        """
        note = Note(kind, about, text)
        if note not in self.notes:
            self.notes.append(note)

    def of_kind(self, kind: Kind) -> list[Note]:
        """The notes of one kind."""
        return [note for note in self.notes if note.kind == kind]

    def mentions(self, kind: Kind, about: str) -> bool:
        """Whether there is a note of this kind about a stream."""
        return any(note.about == about for note in self.of_kind(kind))

    def as_values(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return {"totals": self.totals, "notes": [asdict(note) for note in self.notes]}

    def as_text(self) -> str:
        """The same for people: one line a note."""
        totals = [f"{name.replace('_', ' ')}: {value}" for name, value in self.totals.items()]
        return "\n".join([*totals, "", *map(str, self.notes), ""])


SECONDS_A_DAY = 86_400
LONGEST_RECORDING_S = 30.0 * SECONDS_A_DAY
LATEST_S = 1e11
"""Clocks may count from 1970, in seconds."""
REGULAR = 1.5
"""A step of a clock longer than this many median steps is a gap: a sample is missing."""
FEWEST_OF_A_TRACE, TRACE_SHARE = 100, 0.25
"""Where more of the steps do not ascend, it is something that was recorded, and no list of times."""


@dataclass(frozen=True)
class Signal:
    """Channels sampled together.

    Parameters
    ----------
    values
        (C, S) numbers.
    times
        (S,) seconds, ascending: the middle of what each sample covers.
    source
        The file or the place in a file, for messages.
    delays_s
        (C,) how much later than `times` each channel was sampled, s, as planes of a volume are; None for not at all.

    Raises
    ------
    SessionError
        Values and times do not fit each other, or the times do not ascend.
    """

    values: np.ndarray
    times: np.ndarray
    source: str
    delays_s: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.delays_s is not None and self.delays_s.shape != self.values.shape[:1]:
            raise SessionError(f"{self.source}: expected a delay for each channel, found {self.delays_s.shape}")
        if self.values.ndim != 2 or self.times.shape != self.values.shape[1:]:
            raise SessionError(
                f"{self.source}: expected one time for each of {self.values.shape[-1]} samples, "
                f"found {self.times.size} times; the two must be equally long"
            )
        require_ascending(self.times, self.source)

    @property
    def period_s(self) -> float:
        """Median step between samples, s."""
        return float(np.median(np.diff(self.times)))

    @property
    def rate_hz(self) -> float:
        """Samples a second."""
        return 1.0 / self.period_s

    def chosen(self, channels: np.ndarray, values: np.ndarray | None = None) -> Signal:
        """Some of the channels.

        Parameters
        ----------
        channels
            (C,) bool.
        values
            Theirs, where they were changed; None for as they are.

        Returns
        -------
        Signal
            On the same clock.
        """
        delays = None if self.delays_s is None else self.delays_s[channels]
        values = self.values[channels] if values is None else values
        return replace(self, values=values, delays_s=delays)

    def in_frames(self, edges_s: np.ndarray) -> np.ndarray | None:
        """What belongs into each frame, where more than samples tells it.

        Parameters
        ----------
        edges_s
            (T + 1,) ends of the frames, s.

        Returns
        -------
        np.ndarray | None
            (C, T), or None: the samples tell it.
        """
        return None

    def between(self, start_s: float, stop_s: float) -> slice:
        """The samples that tell of a time: those within it, and one on either side; at least two.

        Parameters
        ----------
        start_s, stop_s
            Begin and end, s.

        Returns
        -------
        slice
            Along the samples.
        """
        first, last = np.searchsorted(self.times, [start_s, stop_s])
        start = max(min(int(first) - 1, self.times.size - 2), 0)
        return slice(start, min(max(int(last) + 1, start + 2), self.times.size))

    def gaps_s(self, longest_s: float = 0.0) -> np.ndarray:
        """Where samples are missing in its clock.

        Parameters
        ----------
        longest_s
            Gaps up to this long are none.

        Returns
        -------
        np.ndarray
            (G, 2) the last time before and the first one after each, s.
        """
        wide = np.flatnonzero(np.diff(self.times) > max(REGULAR * self.period_s, longest_s))
        return np.column_stack([self.times[wide], self.times[wide + 1]])


LONGEST_STALL_S = 0.5
"""A frame that stayed for longer, and for half as long again as usual, stood still."""
LONGEST_STILL_S = 10.0
"""Where a list of times says that a frame stayed for longer, times are missing; a film itself is believed."""
FRAME_BY_FRAME = 0.9
"""Where more of the frames shown are followed by their next, or by themselves, a movie was played."""


@dataclass(frozen=True)
class Presentation:
    """One showing of a movie, or of a part of one.

    Parameters
    ----------
    movie
        Index into the recording's movies.
    frames
        (F,) the movie's frames in the order in which they were shown.
    times
        (F,) seconds at which each of them appeared, on the clock of the activity.
    longest_still_s
        A frame that stays for up to this long stood still; after one that stays for longer times are missing. None
        does in a film's own times (infinity), and a table of trials may hold several clips with something between.
    """

    movie: int
    frames: np.ndarray
    times: np.ndarray
    longest_still_s: float = LONGEST_STILL_S

    @property
    def period_s(self) -> float:
        """Median time that a frame was shown, s."""
        return float(np.median(np.diff(self.times)))

    @property
    def rate_hz(self) -> float:
        """Frames shown a second while they followed each other: no median, as clocks that count milliseconds tell."""
        steps = np.diff(self.times)
        return 1.0 / float(steps[steps <= REGULAR * self.period_s].mean())

    @property
    def stays(self) -> np.ndarray:
        """(F - 1,) bool: frames that stood still for long, as of a slide show, until the next one appeared."""
        return self._long & ~self.gaps

    @property
    def gaps(self) -> np.ndarray:
        """(F - 1,) bool: frames after which times are missing, because none stays for so long or some were left out."""
        steps = np.diff(self.frames)
        goes_on = bool((np.isin(steps, (0, 1))).mean() > FRAME_BY_FRAME) if steps.size else False
        left_out = (steps > 1) & goes_on
        endless = np.diff(self.times) > max(self.longest_still_s, REGULAR * self.period_s)
        return self._long & (left_out | endless)

    @property
    def _long(self) -> np.ndarray:
        return np.asarray(np.diff(self.times) > max(LONGEST_STALL_S, REGULAR * self.period_s))

    @property
    def edges_s(self) -> np.ndarray:
        """(F + 1,) when each frame appeared, and when the last one went."""
        return np.append(self.times, self.times[-1] + self.period_s)


@dataclass(frozen=True)
class Recording:
    """Everything known about one mouse, each stream on its own clock; seconds count from a common zero.

    Parameters
    ----------
    name
        What to call the recording in messages.
    activity
        (N, S) activity of the neurons, >= 0 once imported.
    movies
        The movies that were shown.
    presentations
        When they were shown.
    running
        (1, S) speed, or None.
    pupil_size
        (1, S), or None.
    pupil_center
        (2, S) horizontal and vertical eye position, or None.
    coordinates
        (N, 3) position in cortex in µm, or None.
    neuron_ids
        (N,) integers, or None for 1..N.
    tiers
        A tier for each presentation, or None to have them chosen.
    simulated
        The mouse is a simulation.
    report
        What the reader did to get here.
    """

    name: str
    activity: Signal
    movies: tuple[StimulusMovie, ...]
    presentations: tuple[Presentation, ...]
    running: Signal | None = None
    pupil_size: Signal | None = None
    pupil_center: Signal | None = None
    coordinates: np.ndarray | None = None
    neuron_ids: np.ndarray | None = None
    tiers: tuple[str, ...] | None = None
    simulated: bool = False
    report: ImportReport = field(default_factory=ImportReport)

    def __post_init__(self) -> None:
        neurons = len(self.activity.values)
        if self.coordinates is not None and self.coordinates.shape != (neurons, 3):
            raise SessionError(
                f"{self.name}: expected x, y and z of {neurons} neurons, found coordinates of {self.coordinates.shape}"
            )
        if self.neuron_ids is not None and self.neuron_ids.shape != (neurons,):
            raise SessionError(
                f"{self.name}: expected {neurons} neuron ids, found {self.neuron_ids.shape}; one for each neuron"
            )
        if self.tiers is not None and len(self.tiers) != len(self.presentations):
            raise SessionError(
                f"{self.name}: expected a tier for each of {len(self.presentations)} presentations, "
                f"found {len(self.tiers)}"
            )


def single_precision(values: np.ndarray) -> np.ndarray:
    """The same as float32, as sessions store it; what is too large for it becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def require_ascending(times: np.ndarray, source: str) -> None:
    """Refuse a clock that stands still, runs back or holds anything but numbers.

    Parameters
    ----------
    times
        (S,) seconds.
    source
        Whose they are, for the message.

    Raises
    ------
    SessionError
        Fewer than two times, not finite, or not ascending.
    """
    if times.ndim != 1 or times.dtype.kind not in "fiu" or times.size < 2:
        raise SessionError(
            f"{source}: expected a list of at least two times in seconds, found {times.dtype} of shape {times.shape}"
        )
    times = times.astype(np.float64)
    if not np.isfinite(times).all():
        bad = int((~np.isfinite(times)).sum())
        raise SessionError(f"{source}: expected times in seconds, found {bad} that are NaN or infinite; mend the clock")
    if max(abs(times[0]), abs(times[-1])) > LATEST_S or times[-1] - times[0] > LONGEST_RECORDING_S:
        raise SessionError(
            f"{source}: expected times in seconds of at most {LONGEST_RECORDING_S / SECONDS_A_DAY:g} days, "
            f"found {times[0]:g} to {times[-1]:g}; give them in seconds"
        )
    steps = np.diff(times)
    if not (steps > 0).all():
        first = int((steps <= 0).argmax())
        raise SessionError(
            f"{source}: expected ascending times, found {times[first + 1]:.10g} s after {times[first]:.10g} s "
            f"(sample {first + 1}); {_why_back(steps, first)}"
        )


def _why_back(steps: np.ndarray, first: int) -> str:
    """What a clock that does not ascend may be, and what to do."""
    if steps.size >= FEWEST_OF_A_TRACE and (steps <= 0).mean() > TRACE_SHARE:
        return "values that go up and down are no times: of a trace, as a photodiode's, give the times of its flips"
    if (steps <= 0).sum() == 1 and -steps[first] > steps[:first].sum() / 2:
        return "if the clock began anew, add the time that had gone to all that follows"
    return "sort or mend the clock"
