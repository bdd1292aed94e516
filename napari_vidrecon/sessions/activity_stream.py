"""Activity that comes in frame by frame: what a frame is, a recording replayed as it was made, a ZeroMQ stream.

A source never blocks: it hands out what has come, in whatever order that was. What is missing, late or there twice is
found by the numbers of the frames, by who takes them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_vidrecon.errors import ConfigError, one_line, optional_module
from napari_vidrecon.settings import brief, finite_number

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session, Trial

PROTOCOL_NUMBER = 1
"""What a message's header says under "vidrecon"."""
LONGEST_HEADER_BYTES = 4096
LONGEST_NAME = 64
LARGEST_NUMBER = 2**53
"""Whole numbers up to here are the same in every language that writes JSON."""
MOST_WAITING = 300
"""Frames that wait to be taken; more than ten seconds of them would show the past."""
POLL_MILLISECONDS = 50
FRAMES_TO_JUDGE, RATE_TOLERANCE = 60, 0.1
"""A sender's clock is held against the rate of the movies over so many frames, up to such a share."""
LARGEST_PORT = 65_535


@dataclass(frozen=True, eq=False)
class ActivityFrame:
    """One frame of activity on its way.

    Parameters
    ----------
    number
        Of the frame, as the sender counts; consecutive frames have consecutive numbers.
    activity
        (N,) float32, >= 0.
    time_s
        When it was recorded, seconds by the sender's clock, which may begin anywhere.
    arrived_s
        When it came here, seconds by `time.monotonic`.
    behavior
        (2,) pupil dilation and running speed, or None where they are not known.
    pupil_center
        (2,) eye position, or None.
    picture
        (rows, columns) what was shown, where that is known: in a replay.
    stream
        Name of the recording; another name, and numbers begin anew.
    """

    number: int
    activity: np.ndarray
    time_s: float
    arrived_s: float
    behavior: np.ndarray | None = None
    pupil_center: np.ndarray | None = None
    picture: np.ndarray | None = None
    stream: str = ""

    __repr__ = brief


class ActivitySource(Protocol):
    """Where frames come from."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def refused(self) -> int:
        """Messages that were no frame of this mouse."""

    @property
    def fault(self) -> str:
        """What was wrong with the last of them; empty without one."""

    @property
    def doubt(self) -> str:
        """Why what comes may not be what it is taken for; empty where nothing says so."""

    @property
    def ended(self) -> bool:
        """Whether no more will come."""

    def take(self, timeout_s: float) -> list[ActivityFrame]:
        """What came since the last call; waits for it at most so long, seconds."""

    def close(self) -> None:
        """Take no more."""


class Replay:
    """Trials of a session one after another, each frame at its time.

    Parameters
    ----------
    session
        The mouse.
    trial_ids
        Labelled trials, in the order in which they are replayed.
    speed
        1: as recorded; 2: twice as fast.
    clock
        Seconds, ever growing.

    Raises
    ------
    ConfigError
        No trial, or a speed that is none.
    """

    refused, fault, doubt = 0, "", ""

    def __init__(
        self,
        session: Session,
        trial_ids: Sequence[int],
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not trial_ids:
            raise ConfigError(f"{session.path}: expected a trial to replay, found none")
        if finite_number(speed, "speed") <= 0:
            raise ConfigError(f"speed: expected a number above 0, found {speed:g}")
        self.name = f"replay of {session.name}"
        self._session, self._waiting = session, deque(trial_ids)
        self._frame_s, self._clock = 1 / (session.frame_rate_hz * speed), clock
        # Read while the one before is played.
        self._reader = ThreadPoolExecutor(1, "replay")
        self._next: Future[Trial] | None = None
        self._trial = session.trial(self._waiting.popleft())
        self._trial.require_responses()
        self._read_ahead()
        self._began: float | None = None
        self._number = self._frame = 0
        self._closed = False

    @property
    def ended(self) -> bool:
        """Whether all was played."""
        return self._closed

    def take(self, timeout_s: float) -> list[ActivityFrame]:
        """What is due."""
        if self._began is None:
            self._began = self._clock()
        now = self._clock()
        due_s = self._began + self._number * self._frame_s
        if not self._closed and now < due_s:
            time.sleep(min(due_s - now, max(timeout_s, 0.0)))
            now = self._clock()
        taken: list[ActivityFrame] = []
        while not self._closed and self._began + self._number * self._frame_s <= now and len(taken) < MOST_WAITING:
            taken.append(self._played(self._began + self._number * self._frame_s))
        return taken

    def _played(self, due_s: float) -> ActivityFrame:
        trial, frame = self._trial, self._frame
        played = ActivityFrame(
            number=self._number,
            activity=trial.responses[:, frame],
            time_s=due_s,
            arrived_s=due_s,
            behavior=trial.behavior[:, frame],
            pupil_center=trial.pupil_center[:, frame],
            picture=trial.video[frame],
            stream=self._session.name,
        )
        self._number, self._frame = self._number + 1, frame + 1
        if self._frame == trial.frames:
            self._frame = 0
            if self._next is None:
                self.close()
            else:
                self._trial = self._next.result()
                self._read_ahead()
        return played

    def _read_ahead(self) -> None:
        self._next = self._reader.submit(self._read, self._waiting.popleft()) if self._waiting else None

    def _read(self, trial_id: int) -> Trial:
        trial = self._session.trial(trial_id)
        trial.require_responses()
        return trial

    def close(self) -> None:
        """Play no more."""
        self._closed = True
        self._reader.shutdown(wait=False, cancel_futures=True)


class ZeroMQStream:
    """Frames that somebody publishes over ZeroMQ; `docs/live.md` says what a message is.

    A thread takes messages as they come, so that the time of arrival is right. Nothing that comes in is ever run, and
    a message that is no frame of this mouse is counted and left out.

    Parameters
    ----------
    address
        "tcp://HOST:PORT" of the sender; "tcp://*:PORT" to wait for one that connects.
    neurons
        Of the mouse.
    frame_rate_hz
        Of its movies: frames of another rate are taken, and `doubt` says so.

    Raises
    ------
    ConfigError
        pyzmq is not installed, or the address cannot be used.
    """

    def __init__(self, address: str, neurons: int, frame_rate_hz: float = 30.0) -> None:
        zmq = optional_module("zmq", "live", "a stream over ZeroMQ")
        self.name, self._neurons = one_line(address), neurons
        self.refused, self.fault, self.doubt = 0, "", ""
        self._frame_rate_hz = frame_rate_hz
        self._first: ActivityFrame | None = None
        # ZeroMQ takes any number, and waits for ever.
        host, _, port = address.rpartition(":")
        if host.startswith("tcp://") and port.isdecimal() and not 1 <= int(port[:9]) <= LARGEST_PORT:
            raise ConfigError(
                f"{one_line(address)}: expected a port from 1 to {LARGEST_PORT}, as in tcp://127.0.0.1:5555, found "
                f"{one_line(port)}"
            )
        self._waiting: deque[ActivityFrame] = deque(maxlen=MOST_WAITING)
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._ended = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, MOST_WAITING)
        self._socket.setsockopt(zmq.MAXMSGSIZE, max(4 * neurons, LONGEST_HEADER_BYTES))
        self._socket.setsockopt(zmq.RCVTIMEO, POLL_MILLISECONDS)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            (self._socket.bind if "*" in address else self._socket.connect)(address)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise ConfigError(
                f"{one_line(address)}: expected an address such as tcp://127.0.0.1:5555 or tcp://*:5555, "
                f"found one that cannot be used ({one_line(error)})"
            ) from None
        self._zmq = zmq
        self._thread = threading.Thread(target=self._receive, name="activity stream", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the sender said so, and all was taken."""
        return self._ended and not self._waiting

    def take(self, timeout_s: float) -> list[ActivityFrame]:
        """What came."""
        with self._news:
            if not self._waiting and not self._ended:
                self._news.wait(max(timeout_s, 0.0))
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def close(self) -> None:
        """Listen no more."""
        self._stopping.set()
        self._thread.join()

    def _receive(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    parts = self._socket.recv_multipart()
                except self._zmq.Again:
                    continue
                self._heard(parts, time.monotonic())
        finally:
            self._context.destroy(linger=0)

    def _heard(self, parts: list[bytes], arrived_s: float) -> None:
        try:
            frame = read_message(parts, self._neurons, arrived_s)
        except ValueError as refused:
            self.refused, self.fault = self.refused + 1, one_line(refused)
            return
        with self._news:
            if frame is None:
                self._ended = True
            else:
                # A sender that was started again is no end.
                self._ended = False
                self._waiting.append(frame)
            self._news.notify_all()
        if frame is not None:
            self._compare_rate(frame)

    def _compare_rate(self, frame: ActivityFrame) -> None:
        first = self._first
        if first is None or frame.stream != first.stream or frame.number < first.number:
            self._first = first = frame
        frames, seconds = frame.number - first.number, frame.time_s - first.time_s
        if frames < FRAMES_TO_JUDGE:
            return
        rate_hz, self._first = frames / seconds if seconds > 0 else 0.0, frame
        fits = abs(rate_hz / self._frame_rate_hz - 1) <= RATE_TOLERANCE
        self.doubt = (
            ""
            if fits
            else f"expected {self._frame_rate_hz:g} frames a second, as of the movies it was fitted on, found "
            f"{rate_hz:.3g} by the sender's clock; send one frame of activity for each of the movie, and time_s in "
            "seconds"
        )


def frame_message(frame: ActivityFrame) -> list[bytes]:
    """The parts of the message that carries a frame.

    Parameters
    ----------
    frame
        Its picture is not sent: it is not known while a mouse looks at it.

    Returns
    -------
    list[bytes]
        A header in JSON, and the activity as little-endian float32.
    """
    header: dict[str, Any] = {"vidrecon": PROTOCOL_NUMBER, "number": frame.number, "time_s": frame.time_s}
    if frame.stream:
        header["stream"] = frame.stream
    for name in ("behavior", "pupil_center"):
        value = getattr(frame, name)
        if value is not None:
            header[name] = [float(each) for each in value]
    return [json.dumps(header).encode(), np.ascontiguousarray(frame.activity, "<f4").tobytes()]


def end_message() -> list[bytes]:
    """The message that says that no more frames come."""
    return [json.dumps({"vidrecon": PROTOCOL_NUMBER, "end": True}).encode()]


def read_message(parts: Sequence[bytes], neurons: int, arrived_s: float) -> ActivityFrame | None:
    """The frame in a message from outside.

    Parameters
    ----------
    parts
        Of the message.
    neurons
        Of the mouse.
    arrived_s
        When it came, seconds.

    Returns
    -------
    ActivityFrame | None
        None where the sender says that it was the last.

    Raises
    ------
    ValueError
        It is none; one line.
    """
    if not parts or len(parts[0]) > LONGEST_HEADER_BYTES:
        raise ValueError(f"expected a header of at most {LONGEST_HEADER_BYTES} bytes, found another message")
    try:
        header = json.loads(parts[0])
    except (ValueError, RecursionError):
        raise ValueError("expected a header in JSON, found other bytes") from None
    if not isinstance(header, dict) or header.get("vidrecon") != PROTOCOL_NUMBER:
        raise ValueError(f'expected a header with "vidrecon": {PROTOCOL_NUMBER}, found another')
    if header.get("end") is True:
        return None
    number, time_s, stream = header.get("number"), header.get("time_s"), header.get("stream", "")
    if type(number) is not int or not 0 <= number < LARGEST_NUMBER:
        raise ValueError("expected a whole number as number, found none")
    if not isinstance(time_s, (int, float)) or isinstance(time_s, bool) or not abs(time_s) < LARGEST_NUMBER:
        raise ValueError("expected seconds as time_s, found none")
    if not isinstance(stream, str) or len(stream) > LONGEST_NAME:
        raise ValueError(f"expected a text of at most {LONGEST_NAME} letters as stream, found another")
    if len(parts) != 2 or len(parts[1]) != 4 * neurons:
        found = len(parts[1]) if len(parts) > 1 else 0
        raise ValueError(f"expected {neurons} numbers of 4 bytes, found {found} bytes in {len(parts)} parts")
    activity = np.frombuffer(parts[1], "<f4").astype(np.float32)
    if not np.isfinite(activity).all():
        raise ValueError(f"expected finite activity, found NaN or infinity in frame {number}")
    return ActivityFrame(
        number=number,
        activity=np.maximum(activity, 0.0),
        time_s=float(time_s),
        arrived_s=arrived_s,
        behavior=_pair(header, "behavior"),
        pupil_center=_pair(header, "pupil_center"),
        stream=stream,
    )


def _pair(header: dict[str, Any], name: str) -> np.ndarray | None:
    value = header.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or any(type(each) not in (int, float) for each in value):
        raise ValueError(f"expected two numbers as {name}, found something else")
    # NaN is no less than anything; a whole number may have more digits than any other kind takes.
    if not all(abs(each) < LARGEST_NUMBER for each in value):
        raise ValueError(f"expected two finite numbers as {name}, found others")
    return np.array(value, np.float32)
