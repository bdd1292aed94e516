"""A live session: frames of activity come in, a picture goes out for each, whatever comes late, twice or not at all.

Memory does not grow: the last seconds lie in a ring, all that was seen is written behind (`LiveRecord`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_vidrecon.errors import ConfigError, VidreconError, one_line
from napari_vidrecon.reconstruction.decoder import Decoder, rooted
from napari_vidrecon.reconstruction.live_record import LATE, LOST, SEEN, Block, LiveRecord
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.sessions.trial_files import MINIMUM_FRAMES
from napari_vidrecon.settings import brief

if TYPE_CHECKING:
    from napari_vidrecon.sessions.activity_stream import ActivityFrame

RING_FRAMES = 450
"""Fifteen seconds at 30 Hz: as far back as a late frame may still come, and an optimisation may reach."""
MOST_TIMES_LONGER = 4.0
LONGEST_GAP_FRAMES = 150
"""So many missing frames are filled in; after more of them what comes is a part of its own."""
CLOCK_DRIFT = 1e-4
"""How fast two clocks may run apart, seconds a second: a hundred times what quartz does."""
MOST_AT_ONCE = 64
"""Frames whose pictures are made together, where many wait."""
MOST_WINDOWS_BEHIND = 2
WHITE_LEVEL = 255.0
LATENCY_BINS, LATENCY_BIN_S = 8000, 0.25e-3
"""Latencies are counted up to two seconds."""


def times_longer(frame_rate_hz: float) -> float:
    """How many times as many frames are held as of movies of 30 Hz, so that they last as long; never fewer."""
    return min(max(1.0, frame_rate_hz / FRAME_RATE_HZ), MOST_TIMES_LONGER)


@dataclass
class LiveCounts:
    """What came so far.

    Parameters
    ----------
    frames
        In all, those that were filled in too.
    late
        That came after a later one; their pictures were made anew.
    twice
        That were there already, or came too late to be of use.
    lost
        That did not come; their activity lies between their neighbours'.
    parts
        Begun: by a sender that was started anew, or after a long gap.
    refined
        Frames whose picture the optimisation has refined.
    refused
        Messages that were no frame.
    """

    frames: int = 0
    late: int = 0
    twice: int = 0
    lost: int = 0
    parts: int = 0
    refined: int = 0
    refused: int = 0

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> LiveCounts:
        """As a run tells them, to go on counting; what is no count is left out."""
        known = {each.name: told.get(each.name) for each in fields(cls)}
        return cls(**{name: value for name, value in known.items() if type(value) is int and value >= 0})


class Latencies:
    """How long after their frames pictures are there; takes as much memory for a day as for a second."""

    def __init__(self) -> None:
        self._counts = np.zeros(LATENCY_BINS, np.int64)

    def add(self, seconds: np.ndarray) -> None:
        """Count some."""
        bins = np.clip((seconds / LATENCY_BIN_S).astype(np.int64), 0, LATENCY_BINS - 1)
        np.add.at(self._counts, bins, 1)

    def quantile(self, share: float) -> float:
        """Seconds that so large a share does not exceed; NaN before the first."""
        total = int(self._counts.sum())
        if not total:
            return float("nan")
        return float((np.searchsorted(np.cumsum(self._counts), share * total) + 1) * LATENCY_BIN_S)


@dataclass(frozen=True, eq=False)
class LivePicture:
    """The newest picture.

    Parameters
    ----------
    index
        Of its frame, in the run.
    number
        Of its frame, as the sender counts.
    picture
        (rows, columns) float32, 0..255.
    truth
        (rows, columns) what was shown, or None where that is not known.
    latency_s
        After its frame, seconds.
    """

    index: int
    number: int
    picture: np.ndarray
    truth: np.ndarray | None
    latency_s: float

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Stretch:
    """Frames of a session as they are now; copies.

    Parameters
    ----------
    start
        Index of the first.
    activity
        (N, T).
    behavior, pupil_center
        (2, T).
    pictures
        (T, rows, columns), 0..255.
    truth
        (T, rows, columns) what was shown; of one grey level where that is not known.
    """

    start: int
    activity: np.ndarray
    behavior: np.ndarray
    pupil_center: np.ndarray
    pictures: np.ndarray
    truth: np.ndarray


class Refiner(Protocol):
    """Makes pictures better that were shown already, in a thread of its own."""

    @property
    def window_frames(self) -> int:
        """How many it takes at once."""

    @property
    def margin_frames(self) -> int:
        """So many at either end are less certain, and left to the next window."""

    @property
    def idle(self) -> bool:
        """Whether it would take another window now."""

    def refine(self, stretch: Stretch) -> None:
        """Begin with a window."""

    def take(self) -> tuple[int, np.ndarray] | None:
        """Start and movie of the window that it is done with, once."""

    def wait(self, seconds: float) -> None:
        """Until it is done with what it has begun."""


class LiveSession:
    """Turns frames into pictures as they come.

    Parameters
    ----------
    decoder
        Of this mouse; one that is not causal shows each picture `delay_frames` later.
    behavior
        (2,) pupil dilation and running speed where a frame tells none.
    pupil_center
        (2,) eye position, likewise.
    frame_rate_hz
        Of the frames.
    record
        Where what was seen is written; None: nowhere.
    refiner
        Makes pictures better afterwards; None: nobody.
    clock
        Seconds, as frames tell of their arrival.

    Raises
    ------
    ConfigError
        The decoder looks further back than a live session does.
    """

    def __init__(
        self,
        decoder: Decoder,
        behavior: np.ndarray,
        pupil_center: np.ndarray,
        *,
        frame_rate_hz: float = 30.0,
        record: LiveRecord | None = None,
        refiner: Refiner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if decoder.delay_frames - min(decoder.lags_frames) > LONGEST_GAP_FRAMES:
            raise ConfigError(
                f"decoder: expected lags within {LONGEST_GAP_FRAMES} frames for a live session, found "
                f"{min(decoder.lags_frames)} to {max(decoder.lags_frames)}; fit one with: vidrecon decoder --causal"
            )
        self.decoder, self.record, self.refiner = decoder, record, refiner
        before = {} if record is None else record.told_before
        self.counts, self.latencies = LiveCounts.of(before), Latencies()
        self.fault = ""
        """Why pictures are not refined any more; empty while they are."""
        self._clock, self._frame_s = clock, 1 / frame_rate_hz
        self._usual = np.concatenate([behavior, pupil_center]).astype(np.float32)
        self._ring = count = round(RING_FRAMES * times_longer(frame_rate_hz))
        self._activity, self._root = (np.zeros((count, decoder.neurons), np.float32) for _ in range(2))
        self._pictures, self._truth = (np.tile(decoder.blank, (count, 1, 1)) for _ in range(2))
        self._state = np.tile(self._usual, (count, 1))
        self._number, self._kind = np.zeros(count, np.int64), np.full(count, LOST, np.uint8)
        self._time_s, self._due_s = np.zeros(count), np.full(count, np.nan)
        self.truth_known = before.get("truth_known") is not False
        """Whether what was shown is known of every frame that came."""
        self._first = self._next = 0 if record is None else record.first
        # Everything before is of another part, or of an earlier session.
        self._part = self._decoded = self._refined = self._written = self._next
        self._begun, self._stream, self._next_number = False, "", 0
        self._offset_s = self._offset_at_s = float("inf")
        self._amended: set[int] = set()
        self._prepared: tuple[int, int, np.ndarray] | None = None

    @property
    def frames(self) -> int:
        """In the run, with those of an earlier session that it goes on with."""
        return self._next

    def take(self, frames: Sequence[ActivityFrame]) -> LivePicture | None:
        """Take in what came, and show it.

        Parameters
        ----------
        frames
            In any order.

        Returns
        -------
        LivePicture | None
            The newest picture; None where there is no newer one.
        """
        newest = None
        # Each recording in the order in which it was made, the recordings as they came.
        for stream in dict.fromkeys(each.stream for each in frames):
            for frame in sorted((each for each in frames if each.stream == stream), key=lambda each: each.number):
                self._place(frame)
                if self._next - self._decoded >= MOST_AT_ONCE:
                    newest = self._show() or newest
        if frames:
            newest = self._show() or newest
        if self.refiner is not None:
            self._refine(self.refiner)
        return newest

    def prepare(self) -> None:
        """Do what can be done for the next picture before its frame is there; to be called when nothing else waits.

        What its past says is most of the work: with three lags, a third is left for the moment at which it comes.
        """
        index, lags = self._next, self.decoder.lags_frames
        if self.decoder.causal and 0 in lags and index > self._part:
            past = [(lag, each) for lag, each in zip(lags, self.decoder.weights, strict=True) if lag]
            looked_at = [max(index + lag, self._part) % self._ring for lag, _ in past]
            told = [self._root[place] @ each for place, (_, each) in zip(looked_at, past, strict=True)]
            nothing: np.ndarray = np.zeros(len(self.decoder.frequencies), np.float32)
            self._prepared = index, self._part, np.sum([nothing, *told], axis=0)

    def finish(self, wait_s: float = 30.0) -> None:
        """Show what waits for frames that will not come, and let the last window be refined.

        Parameters
        ----------
        wait_s
            How long to wait for it, seconds.
        """
        self._show(at_end=True)
        for _ in range(2):
            if self.refiner is not None:
                self.refiner.wait(wait_s)
                self._refine(self.refiner, at_end=True)

    def recent(self, frames: int) -> Stretch:
        """The last pictures as they are now, at most so many."""
        return self._stretch(max(self._first, self._decoded - min(frames, self._ring)), self._decoded)

    def earlier(self, frames: int) -> tuple[np.ndarray, bool] | None:
        """The picture of so many frames before the newest, as it is now, and whether it was refined; None if gone."""
        index = self._decoded - 1 - frames
        if index < max(self._first, self._next - self._ring):
            return None
        return self._pictures[index % self._ring].copy(), index < self._refined

    def _stretch(self, start: int, stop: int) -> Stretch:
        places = np.arange(start, stop) % self._ring
        state = self._state[places].T
        activity = np.ascontiguousarray(self._activity[places].T)
        return Stretch(start, activity, state[:2].copy(), state[2:].copy(), self._pictures[places], self._truth[places])

    def told(self) -> dict[str, Any]:
        """Counts and latencies, as plain values."""
        median, slowest = (self.latencies.quantile(share) for share in (0.5, 0.99))
        known = {} if np.isnan(median) else {"latency_p50_s": median, "latency_p99_s": slowest}
        about = {"delay_frames": self.decoder.delay_frames, "truth_known": self.truth_known}
        fault = {"fault": self.fault} if self.fault else {}
        return {**asdict(self.counts), **known, **about, **fault}

    # Frames in their places

    def _place(self, frame: ActivityFrame) -> None:
        ahead = frame.number - self._next_number
        same = self._begun and frame.stream == self._stream
        if same and frame.stream and ahead < -LONGEST_GAP_FRAMES:
            # A recording that has a name does not begin anew under it: this one is too late.
            self.counts.twice += 1
            return
        if not same or abs(ahead) > LONGEST_GAP_FRAMES:
            self._show(at_end=True)
            self.counts.lost += max(ahead, 0) if same else 0
            self.counts.parts, self._begun = self.counts.parts + 1, True
            self._part = self._next
            self._stream, self._offset_s = frame.stream, float("inf")
        elif ahead < 0:
            self._take_late(frame, self._next + ahead)
            return
        elif ahead > 0:
            self._fill(frame, ahead)
        self._put(self._next, frame, SEEN)
        self._next, self._next_number = self._next + 1, frame.number + 1
        self.counts.frames += 1

    def _take_late(self, frame: ActivityFrame, index: int) -> None:
        if index < self._part or self._kind[index % self._ring] != LOST:
            self.counts.twice += 1
            return
        self.counts.late, self.counts.lost = self.counts.late + 1, self.counts.lost - 1
        self._put(index, frame, LATE)
        self._amended.add(index)

    def _fill(self, frame: ActivityFrame, count: int) -> None:
        """Between the last frame and this one, on a straight line."""
        last = (self._next - 1) % self._ring
        before = self._activity[last].copy()
        for step in range(1, count + 1):
            share, place = step / (count + 1), self._next % self._ring
            self._activity[place] = (1 - share) * before + share * frame.activity
            self._root[place] = rooted(self._activity[place]) - self.decoder.mean
            self._state[place], self._truth[place] = self._state[last], self._truth[last]
            self._number[place], self._kind[place] = self._next_number, LOST
            self._time_s[place] = frame.time_s - (count + 1 - step) * self._frame_s
            self._due_s[place] = np.nan
            self._next, self._next_number = self._next + 1, self._next_number + 1
        self.counts.lost += count
        self.counts.frames += count

    def _put(self, index: int, frame: ActivityFrame, kind: int) -> None:
        place = index % self._ring
        self._activity[place] = frame.activity
        self._root[place] = rooted(frame.activity) - self.decoder.mean
        self._state[place, :2] = self._usual[:2] if frame.behavior is None else frame.behavior
        self._state[place, 2:] = self._usual[2:] if frame.pupil_center is None else frame.pupil_center
        self._truth[place] = self.decoder.blank if frame.picture is None else frame.picture
        self.truth_known = self.truth_known and frame.picture is not None
        self._number[place], self._kind[place], self._time_s[place] = frame.number, kind, frame.time_s
        self._due_s[place] = self._due(frame) if kind == SEEN else np.nan

    def _due(self, frame: ActivityFrame) -> float:
        """When the frame was made, by this machine's clock, as the quickest of late tell."""
        # Clocks of two machines are not the same: what always lies between sending and coming is taken for none.
        since = frame.arrived_s - self._offset_at_s if np.isfinite(self._offset_s) else 0.0
        self._offset_s = min(self._offset_s + CLOCK_DRIFT * max(since, 0.0), frame.arrived_s - frame.time_s)
        self._offset_at_s = frame.arrived_s
        return frame.time_s + self._offset_s

    # Pictures

    def _show(self, *, at_end: bool = False) -> LivePicture | None:
        """Make the pictures that can be made, new ones and those that a late frame changes."""
        lags = np.array(self.decoder.lags_frames)
        first = self._decoded
        last = self._next if at_end else max(self._next - self.decoder.delay_frames, first)
        oldest = max(self._part, self._next - self._ring + LONGEST_GAP_FRAMES)
        again = {late - lag for late in self._amended for lag in self.decoder.lags_frames}
        indices = np.array([*sorted(each for each in again if oldest <= each < first), *range(first, last)], np.int64)
        movie: np.ndarray = np.zeros((0, *self.decoder.size_px), np.float32)
        if len(indices):
            looked_at = np.clip(lags[:, None] + indices, self._part, self._next - 1) % self._ring
            expected, self._prepared = self._prepared, None
            as_expected = expected is not None and list(indices) == [expected[0]] and self._part == expected[1]
            prepared = expected[2] if expected is not None and as_expected else None
            movie = np.clip(self._decode(looked_at, prepared), 0.0, WHITE_LEVEL)
            # What the optimisation has made of a frame stays.
            plain = indices >= self._refined
            self._pictures[indices[plain] % self._ring] = movie[plain]
        ready_s, self._decoded = self._clock(), last
        new = np.arange(first, last)
        latency_s = ready_s - self._due_s[new % self._ring]
        self.latencies.add(latency_s[np.isfinite(latency_s)])
        if self.record is not None:
            blocks = self._blocks_of_frames()
            made = len(indices) - len(new)
            if len(new):
                blocks += [Block(name, first, movie[made:]) for name in ("video", "decoded")]
                blocks.append(Block("live/latency_s", first, latency_s.astype(np.float32)))
            for index, picture in zip(indices[:made], movie[:made], strict=True):
                names = ("decoded",) if index < self._refined else ("video", "decoded")
                blocks += [Block(name, int(index), picture[None]) for name in names]
            self.record.write(blocks, self.told())
        self._amended.clear()
        if not len(new):
            return None
        place = (last - 1) % self._ring
        truth = self._truth[place].copy() if self.truth_known else None
        return LivePicture(
            last - 1, int(self._number[place]), self._pictures[place].copy(), truth, float(latency_s[-1])
        )

    def _decode(self, looked_at: np.ndarray, prepared: np.ndarray | None) -> np.ndarray:
        """(T, rows, columns) pictures from the places of (lags, T) frames; as `Decoder.movie`."""
        decoder = self.decoder
        if prepared is None:
            pairs = zip(looked_at, decoder.weights, strict=True)
            coefficients = sum(self._root[places] @ weights for places, weights in pairs)
        else:
            now = decoder.lags_frames.index(0)
            coefficients = prepared + self._root[looked_at[now]] @ decoder.weights[now]
        return decoder.pictures(coefficients)

    def _blocks_of_frames(self) -> list[Block]:
        """Activity and what goes with it, of frames that are new and of those that came late."""
        stretches = [(each, each + 1) for each in sorted(self._amended) if each < self._written]
        stretches.append((self._written, self._next))
        self._written = self._next
        blocks = []
        for start, stop in stretches:
            places = np.arange(start, stop) % self._ring
            values: dict[str, np.ndarray] = {
                "target": self._activity[places],
                "stimulus": self._truth[places],
                "live/number": self._number[places],
                "live/time_s": self._time_s[places],
                "live/kind": self._kind[places],
            }
            blocks += [Block(name, start, each) for name, each in values.items() if stop > start]
        return blocks

    # What is made better afterwards

    def _refine(self, refiner: Refiner, *, at_end: bool = False) -> None:
        try:
            done = refiner.take()
        except VidreconError as error:
            # Pictures go on coming; they are only not made better any more.
            self.refiner, self.fault = None, one_line(error)
            return
        if done is not None:
            start, movie = done
            last = at_end and start + len(movie) >= self._decoded
            self._keep_refined(start, movie, margin=0 if last else refiner.margin_frames)
        if not refiner.idle:
            return
        window, oldest = refiner.window_frames, max(self._part, self._next - self._ring)
        start = max(self._refined - refiner.margin_frames, oldest)
        if self._decoded - start > MOST_WINDOWS_BEHIND * window or at_end:
            # It does not keep up: those between keep the decoder's picture.
            start = max(self._decoded - window, oldest)
        if self._decoded - start >= (MINIMUM_FRAMES if at_end else window) and self._refined < self._decoded:
            refiner.refine(self._stretch(start, min(start + window, self._decoded)))

    def _keep_refined(self, start: int, movie: np.ndarray, margin: int) -> None:
        first = max(start if start <= self._refined else start + margin, self._refined, self._next - self._ring)
        last = start + len(movie) - margin
        if first >= last:
            return
        kept = movie[first - start : last - start]
        self._pictures[np.arange(first, last) % self._ring] = kept
        self._refined = last
        self.counts.refined += last - first
        if self.record is not None:
            self.record.write([Block("video", first, kept)], self.told())
