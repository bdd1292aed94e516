"""The four arrays that make up one trial on disk: what each must be, and what is wrong with one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, number_of, one_line
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.storage import check_inside, read_array

STREAMS = ("videos", "responses", "behavior", "pupil_center")
MINIMUM_FRAMES = 32
"""Shortest clip that can be reconstructed: one sub-batch."""
LONGEST_CLIP_FRAMES = 36_000
"""Twenty minutes; a file that says more is none of a clip, and would not fit into memory."""
VALUES_AT_ONCE = 1 << 16
LONGEST_LINE = 2000
USUAL_REMEDY = "copy or download the file again"
LEAVE_OUT = "leave this trial out (write none for its tier in meta/trials/tiers.npy)"
BEHAVIOR_STREAMS = STREAMS[2:]
NOT_RECORDED_REMEDY = (
    "fetch what is missing of the session; where it was not recorded, save zeros of shape (2, frames) for each trial, "
    'and name what was recorded in config.json, "behavior": [] if nothing'
)
BRIGHTEST_GREY_LEVEL = 255.0
GREY_LEVEL_SLACK = 0.5
NEGATIVE_RESPONSE_TOLERANCE = 1e-3
"""Negative responses up to this share of the clip's largest one come from resampling and are set to zero."""
MOST_NAMED = 5
"""Neurons that one line names."""
LONGEST_BRIDGED_S = 1.0
"""Gaps of behaviour up to this long, as of a blink, are interpolated."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a session, said so that a person can mend it.

    Parameters
    ----------
    file
        The file or folder at fault.
    expected, found
        What should be there, and what is.
    remedy
        What to do about it; may be empty.
    """

    file: Path
    expected: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.file}: expected {self.expected}, found {self.found}"
        return one_line(f"{line}; {self.remedy}" if self.remedy else line, LONGEST_LINE)

    def error(self) -> SessionError:
        """The same as an error to raise."""
        return SessionError(str(self))

    @classmethod
    def of_unreadable(cls, file: Path, error: SessionError) -> Fault:
        """The fault behind a file that could not be opened."""
        message = str(error).removeprefix(f"{file}: ")
        expected, separator, found = message.removeprefix("expected ").partition(", found ")
        if not separator:
            return cls(file, "a readable .npy array", message, USUAL_REMEDY)
        found, _, remedy = found.partition("; ")
        return cls(file, expected, found, remedy or USUAL_REMEDY)


def open_array(file: Path, session: Path | None = None) -> np.ndarray:
    """Map one array of a session; only its header is read.

    Parameters
    ----------
    file
        The `.npy` file.
    session
        The session's folder, which no link may leave.

    Returns
    -------
    np.ndarray
        Read-only.

    Raises
    ------
    SessionError
        Missing, truncated, pickled, not an array file, or outside of the session.
    """
    if session is not None:
        check_inside(session, file, SessionError)
    try:
        # A damaged header can announce more elements than an integer counts; the file is then too short.
        with np.errstate(over="ignore"):
            return read_array(file, memory_map=True)
    except StorageError as error:
        raise SessionError(str(error)) from None


def holds_responses(file: Path, session: Path | None = None) -> bool:
    """Whether a response file holds activity; withheld responses are left out, or stored as zeros or NaN.

    True for a file that cannot be read, so that opening its trial says what is wrong with it.

    Parameters
    ----------
    file
        The `.npy` file.
    session
        The session's folder, which no link may leave.

    Returns
    -------
    bool
        False where nothing but zeros or NaN is in it.
    """
    if not os.path.lexists(file):
        return False
    try:
        stored = open_array(file, session)
    except SessionError:
        return True
    if stored.dtype.kind != "f" or stored.ndim == 0:
        return True
    # The first few neurons tell nearly always, and reading all of them is slow.
    row = stored.ravel(order="K")
    return any(np.nan_to_num(row[start : start + VALUES_AT_ONCE]).any() for start in range(0, row.size, VALUES_AT_ONCE))


def clip_length(row: np.ndarray) -> int:
    """Frames before the first NaN of one padded row; the whole row when there is none."""
    missing = np.isnan(row)
    return int(missing.argmax()) if missing.any() else row.size


def padded_length(row: np.ndarray) -> int:
    """Frames before the NaN that a row ends with; NaN between are missing values, and no end."""
    known = np.flatnonzero(~np.isnan(row))
    return int(known[-1]) + 1 if known.size else 0


def bridged(clip: np.ndarray, frame_rate_hz: float) -> tuple[np.ndarray, int]:
    """Behaviour whose short gaps are closed, as an eye that blinked leaves them.

    Parameters
    ----------
    clip
        (2, T), cut to the clip; NaN where nothing is known.
    frame_rate_hz
        Frames a second.

    Returns
    -------
    clip, missing
        With each gap of at most a second interpolated, at an end held; a row with a longer one is as it was. And how
        many values that are.
    """
    absent = np.isnan(clip)
    if not absent.any():
        return clip, 0
    filled, frames = clip.copy(), np.arange(clip.shape[-1])
    for row, gaps in zip(filled, absent, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], gaps, [False]]).astype(np.int8)))
        longest = int(np.max(edges[1::2] - edges[::2], initial=0))
        if longest <= LONGEST_BRIDGED_S * frame_rate_hz and not gaps.all():
            row[gaps] = np.interp(frames[gaps], frames[~gaps], row[~gaps])
    return filled, int((absent & ~np.isnan(filled)).sum())


def layout_fault(array: np.ndarray, file: Path, stream: str, neurons: int, screen: ScreenGeometry) -> Fault | None:
    """What is wrong with the shape or the kind of numbers of one array, judged from its header alone.

    Parameters
    ----------
    array
        The mapped array: videos (H, W, T), responses (N, T), behavior and pupil_center (2, T).
    file
        Where it lies, for the message.
    stream
        One of `STREAMS`.
    neurons
        N of the session.
    screen
        Rows and columns of the movies.

    Returns
    -------
    Fault or None
        None where it is sound.
    """
    kinds = "float, or uint8 grey levels" if stream == "videos" else "float numbers"
    if array.dtype.kind != "f" and not (stream == "videos" and array.dtype == np.uint8):
        return Fault(file, kinds, str(array.dtype), "store the array as float32")
    leading = {"videos": (screen.rows, screen.cols), "responses": (neurons,)}.get(stream, (2,))
    if array.shape[:-1] == leading and array.ndim == len(leading) + 1:
        if array.shape[-1] <= LONGEST_CLIP_FRAMES:
            return None
        return Fault(
            file, f"a clip of at most {LONGEST_CLIP_FRAMES} frames", f"{array.shape[-1]}", "cut it into trials"
        )
    axes = ", ".join(str(size) for size in leading)
    remedy = "time is the last axis"
    if array.ndim == len(leading) + 1 and array.shape[1:] == leading:
        remedy = "time is the first axis here; move it to the end"
    elif stream == "videos" and array.ndim == 3:
        rows, columns = array.shape[:2]
        told = f'"screen": {{"rows": {rows}, "cols": {columns}}}'
        remedy = f"time is the last axis; a screen of this size is told in config.json: {told}"
    elif stream == "responses" and array.ndim == 2:
        remedy = f"meta/neurons says {neurons} neurons; the file belongs to another session or is cut"
    return Fault(file, f"an array of shape ({axes}, frames)", f"shape {array.shape}", remedy)


def length_faults(arrays: dict[str, np.ndarray], files: dict[str, Path], frames: int) -> Iterator[Fault]:
    """What is wrong with the length of a trial: too short to reconstruct, or one array ends early.

    Parameters
    ----------
    arrays
        {stream: array}, time on the last axis.
    files
        {stream: where it lies}, for the message.
    frames
        Of the clip, before its first NaN.

    Yields
    ------
    Fault
        One a stream at most.
    """
    if frames < MINIMUM_FRAMES:
        decisive = "responses" if "responses" in arrays else "behavior"
        yield Fault(
            files[decisive],
            f"a clip of at least {MINIMUM_FRAMES} frames before the first NaN",
            f"{frames} frames",
            LEAVE_OUT,
        )
    for stream, array in arrays.items():
        if array.shape[-1] < frames:
            yield Fault(
                files[stream],
                f"the {frames} frames of the clip",
                f"{array.shape[-1]} frames",
                "the arrays of one trial must be equally long",
            )


def value_faults(clip: np.ndarray, file: Path, stream: str) -> Iterator[Fault]:
    """What is wrong with the numbers of one array.

    Parameters
    ----------
    clip
        Cut to the clip; time on the last axis.
    file
        Where it lies, for the message.
    stream
        One of `STREAMS`.

    Yields
    ------
    Fault
        Values that are not finite, or out of range.
    """
    if clip.dtype.kind != "f" or clip.size == 0:
        return
    with np.errstate(invalid="ignore"):
        lowest, highest = clip.min(), clip.max()
    if np.isfinite(lowest) and np.isfinite(highest):
        yield from _range_faults(float(lowest), float(highest), file, stream)
        return
    for name, bad in (("NaN", np.isnan(clip)), ("infinite", np.isinf(clip))):
        if bad.any():
            first = int(bad.reshape(-1, clip.shape[-1]).any(axis=0).argmax())
            found, remedy = f"{int(bad.sum())} {name} values, the first in frame {first}", ""
            if stream == "responses" and clip.ndim == 2 and len(spoilt := np.flatnonzero(bad.any(axis=1))) < len(clip):
                # Of some neurons the trial is not to be left out: they may be missing from all.
                named = ", ".join(map(str, spoilt[:MOST_NAMED])) + ", ..." * (len(spoilt) > MOST_NAMED)
                found = f"{found}, in {number_of(len(spoilt), 'neuron')} of {len(clip)} (row {named})"
                remedy = ", or, where these neurons are so in every trial, take them out of all (and of meta/neurons)"
            yield Fault(
                file,
                f"finite numbers in all {clip.shape[-1]} frames of the clip",
                found,
                f"interpolate them, or {LEAVE_OUT}{remedy}",
            )


def _range_faults(lowest: float, highest: float, file: Path, stream: str) -> Iterator[Fault]:
    if stream == "videos" and (lowest < -GREY_LEVEL_SLACK or highest > BRIGHTEST_GREY_LEVEL + GREY_LEVEL_SLACK):
        remedy = "rescale the video to grey levels"
        yield Fault(file, "grey levels from 0 to 255", f"values from {lowest:g} to {highest:g}", remedy)
    if stream == "responses" and lowest < -NEGATIVE_RESPONSE_TOLERANCE * max(highest, 1.0):
        remedy = "use deconvolved activity, not dF/F or z-scores"
        yield Fault(file, "responses of at least 0", f"values down to {lowest:g}", remedy)
