"""`Trial`: one clip with everything recorded during it; and the hash and fold by which equal clips are found."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from os import PathLike, fspath
from typing import Any

import numpy as np
from PIL import Image
from scipy.fft import dct

from napari_vidrecon.errors import ConfigError, SessionError, one_line
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.settings import brief, finite_number, shown, whole_number

FRAME_RATE_HZ = 30.0
HIGHEST_FRAME_RATE_HZ = 10_000.0
LARGEST_ID = 2**31 - 1
LONGEST_NAME = 4000
"""Of a trial; what a run's folder can hold, with room for what is added to it."""
SPONTANEOUS_TIER = "spontaneous"
"""Trials of this tier may have no movie: activity in the dark, or of a recording whose stimulus is not there."""
NO_MOVIE_LEVEL = 127.5
"""Grey level that stands where a movie would be."""
LONGEST_SHOWN = 60


@dataclass(frozen=True)
class ClipSource:
    """Where a clip came from, so that it can be opened again.

    Parameters
    ----------
    session
        Folder of the session.
    frames
        First frame, and the frame after the last one; None for the whole trial.
    stimulus
        Name of the stimulus that was shown instead of a trial; empty for a trial.
    """

    session: str
    frames: tuple[int, int] | None = None
    stimulus: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.session, PathLike):
            object.__setattr__(self, "session", fspath(self.session))

    def part(self, start: int, stop: int) -> ClipSource:
        """Of the frames `start` to `stop` of this clip."""
        first = 0 if self.frames is None else self.frames[0]
        return replace(self, frames=(first + start, first + stop))


@dataclass(frozen=True, eq=False)
class Trial:
    """One clip with everything recorded during it, cut at the first NaN.

    Parameters
    ----------
    id
        Number of the trial in its session.
    tier
        "train", "oracle", "live_test_main" and so on.
    video
        (T, H, W) float32, grey levels 0..255.
    behavior
        (2, T) float32: pupil dilation (camera pixels) and running speed.
    pupil_center
        (2, T) float32: horizontal and vertical eye position, camera pixels.
    recorded_responses
        (N, T) float32, >= 0, or None where responses are withheld; read it as `responses`.
    frame_rate_hz
        Frames a second.
    name
        What to call the trial in titles and messages.
    simulated
        The mouse is a simulation.
    source
        Where it came from; None for arrays of one's own.
    colours
        Names of the colours, whose movies stand one below the other in `video`; empty for grey levels.
    recorded_behavior
        Names of the behaviour that was recorded, such as running, pupil size and gaze; of the others `behavior` and
        `pupil_center` hold constants. None where nothing tells.
    bridged_behavior
        Values of the trial's behaviour that were missing, for a second at most, and are interpolated.
    has_movie
        Whether anything tells what was shown; if not, `video` is grey and nothing is measured against it.
    movies
        Tells what the training movies of its session are like; None: nothing does.

    Raises
    ------
    SessionError
        The arrays do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> frames = 40
    >>> trial = vr.Trial(
    ...     id=0,
    ...     tier="train",
    ...     video=np.zeros((frames, 36, 64), np.float32),
    ...     behavior=np.zeros((2, frames), np.float32),
    ...     pupil_center=np.zeros((2, frames), np.float32),
    ... )
    >>> trial.frames, trial.labelled
    (40, False)
    """

    id: int
    tier: str
    video: np.ndarray
    behavior: np.ndarray
    pupil_center: np.ndarray
    recorded_responses: np.ndarray | None = None
    frame_rate_hz: float = FRAME_RATE_HZ
    name: str = "trial"
    simulated: bool = False
    source: ClipSource | None = None
    movies: Callable[[], MovieStatistics | None] | None = None
    has_movie: bool = True
    colours: tuple[str, ...] = ()
    recorded_behavior: tuple[str, ...] | None = None
    bridged_behavior: int = 0

    __repr__ = brief

    def __post_init__(self) -> None:
        # Of plain values: they go into the run's folder, from where not every kind of number comes back.
        for name, value in self._plain_values().items():
            object.__setattr__(self, name, value)
        for stream in ("video", "behavior", "pupil_center", "recorded_responses"):
            value = getattr(self, stream)
            if stream == "recorded_responses" and value is None:
                continue
            if not hasattr(value, "shape"):
                raise SessionError(f"{self.name}: expected {stream} as an array, found {type(value).__name__}")
            object.__setattr__(self, stream, _plain_array(value, f"{self.name}: expected {stream}"))
        if self.video.dtype.kind in "iu":
            object.__setattr__(self, "video", self.video.astype(np.float32))
        if self.video.ndim != 3:
            raise SessionError(f"{self.name}: expected a video (T, H, W), found shape {self.video.shape}")
        if self.colours and self.video.shape[1] % len(self.colours):
            raise SessionError(
                f"{self.name}: expected rows for {len(self.colours)} colours, found a video of {self.video.shape}"
            )
        for stream in ("behavior", "pupil_center"):
            if getattr(self, stream).shape != (2, self.frames):
                found = getattr(self, stream).shape
                raise SessionError(f"{self.name}: expected {stream} of shape {(2, self.frames)}, found {found}")
        recorded = self.recorded_responses
        if recorded is not None and (recorded.ndim != 2 or recorded.shape[1] != self.frames):
            raise SessionError(f"{self.name}: expected responses (N, {self.frames}), found shape {recorded.shape}")

    def _plain_values(self) -> dict[str, Any]:
        name = str(self.name) if isinstance(self.name, str) else None
        if name is None or "\0" in name or len(name) > LONGEST_NAME:
            raise SessionError(
                f"name: expected a text of at most {LONGEST_NAME:,} characters without null bytes, "
                f"found {shown(self.name)}"
            )
        if not isinstance(self.source, ClipSource | None):
            raise SessionError(f"{name}: expected source as a ClipSource or None, found {shown(self.source)}")
        try:
            number = whole_number(self.id, "id", -1, LARGEST_ID)
            rate_hz = finite_number(self.frame_rate_hz, "frame_rate_hz", 0.0, HIGHEST_FRAME_RATE_HZ)
        except ConfigError as refused:
            raise SessionError(f"{name}: {refused}") from None
        if not rate_hz:
            raise SessionError(f"{name}: frame_rate_hz: expected a number above 0, found {shown(self.frame_rate_hz)}")
        yes_or_no = {"simulated": bool(self.simulated), "has_movie": bool(self.has_movie)}
        return {"id": number, "frame_rate_hz": rate_hz, "name": name, **yes_or_no, "colours": tuple(self.colours)}

    @property
    def frames(self) -> int:
        """Length T of the clip in frames."""
        return int(self.video.shape[0])

    @property
    def planes(self) -> int:
        """Colours, or 1 for movies of grey levels."""
        return max(1, len(self.colours))

    @property
    def labelled(self) -> bool:
        """Whether the responses to this clip are known."""
        return self.recorded_responses is not None

    @property
    def responses(self) -> np.ndarray:
        """Recorded activity, (N, T) float32, >= 0; raises `SessionError` where it is withheld."""
        return self.require_responses()

    def require_responses(self) -> np.ndarray:
        """Recorded activity, or an error that says where to find some.

        Returns
        -------
        np.ndarray
            (N, T) float32, >= 0.

        Raises
        ------
        SessionError
            The responses of this trial's tier are withheld.
        """
        if self.recorded_responses is None:
            raise SessionError(
                f"{self.name}: expected recorded responses, found none: "
                f"those of tier '{one_line(self.tier, LONGEST_SHOWN)}' are withheld; "
                "choose a trial of tier train or oracle, or a predicted target"
            )
        return self.recorded_responses

    def part(self, start: int, stop: int) -> Trial:
        """The same trial from frame `start` up to, but without, frame `stop`.

        Parameters
        ----------
        start, stop
            First frame, and the frame after the last one; 0 <= start < stop <= frames.

        Returns
        -------
        Trial
            Views of the same arrays.

        Raises
        ------
        SessionError
            The frames are not within the clip.
        """
        whole = all(isinstance(each, Integral) and not isinstance(each, bool) for each in (start, stop))
        if not whole or not 0 <= start < stop <= self.frames:
            found = f"{shown(start)}..{shown(stop)}"
            raise SessionError(f"{self.name}: expected frames within 0..{self.frames}, found {found}")
        recorded = self.recorded_responses
        return replace(
            self,
            video=self.video[start:stop],
            behavior=self.behavior[:, start:stop],
            pupil_center=self.pupil_center[:, start:stop],
            recorded_responses=None if recorded is None else recorded[:, start:stop],
            source=None if self.source is None else self.source.part(int(start), int(stop)),
        )


def _plain_array(given: Any, expected: str) -> np.ndarray:
    """The same array, where an encoder can take it as it is; else a copy of it in this machine's own order."""
    if isinstance(given, np.ma.MaskedArray) and given.mask.any():
        # What was masked is no number: the frame is named as one of NaN.
        given = np.ma.filled(np.ma.asarray(given, np.float32), np.nan)
    try:
        found = np.asarray(given)
    except (TypeError, ValueError, RuntimeError):
        raise SessionError(f"{expected} as an array in memory, found {type(given).__name__}") from None
    kind, size = found.dtype.kind, found.dtype.itemsize
    backwards = any(stride < 0 for stride in found.strides)
    if kind in "fiu" and (backwards or size > DOUBLE_BYTES or not found.dtype.isnative):
        return np.ascontiguousarray(found).astype(np.dtype(f"{kind}{min(size, DOUBLE_BYTES)}"))
    return found


DOUBLE_BYTES = 8
FOLDS = 7
HASHED_FRAMES = 5
HASH_IMAGE_PX = 32
HASH_BLOCK = 8


def seconds_a_frame(rate_hz: float, frames: int) -> float:
    """Time of a frame by which a clip's frames can be counted in whole numbers, as napari's slider does.

    Napari divides the length of the time axis by this distance and drops what is left. In floating point 59 frames of
    1/24 s are a little less than 59 such steps, and the last of 60 frames could not be reached.

    Parameters
    ----------
    rate_hz
        Frames a second, above 0.
    frames
        Of the clip, at least 1.

    Returns
    -------
    float
        1 / rate_hz, or the next smaller number that is sound.
    """
    seconds, last = 1 / rate_hz, frames - 1
    while int(last * seconds / seconds) < last:
        seconds = math.nextafter(seconds, 0.0)
    return seconds


def frame_hash(frame: np.ndarray) -> int:
    """64-bit perceptual hash of one picture.

    Parameters
    ----------
    frame
        (H, W), grey levels 0..255; fractions are cut off.

    Returns
    -------
    int
        64 bits.

    References
    ----------
    The DCT hash of the ImageHash package, as used by Baikulov 2023.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        picture = Image.fromarray(np.ascontiguousarray(frame).astype(np.uint8))
    small = picture.resize((HASH_IMAGE_PX, HASH_IMAGE_PX), Image.Resampling.LANCZOS)
    spectrum = dct(dct(np.asarray(small, dtype=np.float64), axis=0), axis=1)
    low_frequencies = spectrum[:HASH_BLOCK, :HASH_BLOCK]
    bits = low_frequencies > np.median(low_frequencies)
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


def hashed_frames(frames: int) -> list[int]:
    """Indices of the five frames, spread over the clip, that stand for the whole of it.

    Returns
    -------
    list[int]
        Five, ascending.

    Raises
    ------
    ValueError
        Fewer than five frames.
    """
    if frames < HASHED_FRAMES:
        raise ValueError(f"expected a clip of at least {HASHED_FRAMES} frames, found {frames}")
    step = frames // HASHED_FRAMES
    return list(range(step // 2, frames, step))[:HASHED_FRAMES]


def perceptual_hash(video: np.ndarray) -> int:
    """64-bit perceptual hash of a clip: the hashes of five of its frames, combined by exclusive or.

    Parameters
    ----------
    video
        (T, H, W), grey levels 0..255, without padding, T >= 5.

    Returns
    -------
    int
        64 bits.

    Raises
    ------
    ValueError
        Not three axes, or fewer than five frames.

    References
    ----------
    Baikulov 2023.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> movie = np.random.default_rng(0).uniform(0, 255, (10, 36, 64))
    >>> vr.perceptual_hash(movie) == vr.perceptual_hash(movie)
    True
    """
    video = np.asarray(video)
    if video.ndim != 3:
        raise ValueError(f"expected a video (T, H, W), found an array of shape {video.shape}")
    return functools.reduce(operator.xor, (frame_hash(video[frame]) for frame in hashed_frames(len(video))))


def hash_distance(first: int, second: int) -> int:
    """Number of bits, 0..64, in which two hashes differ; near-equal clips differ in a few."""
    return (first ^ second).bit_count()


def fold_of(clip_hash: int, folds: int = FOLDS) -> int:
    """Fold, 0..folds-1, of a clip with this hash."""
    if folds < 1:
        raise ValueError(f"expected at least one fold, found {folds}")
    return clip_hash % folds
