"""The protocol of every stimulus, movies that are given or lie in a file, and the trial that shows one to a mouse."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from napari_vidrecon.errors import ConfigError, SessionError, StorageError
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.stimuli.films import (
    PICTURE_MAGICS,
    TIFF_MAGICS,
    film_frames,
    picture_frames,
    require_picture,
    tiff_frames,
)
from napari_vidrecon.sessions.trial import ClipSource, Trial
from napari_vidrecon.sessions.trial_files import LONGEST_CLIP_FRAMES
from napari_vidrecon.settings import brief
from napari_vidrecon.storage import file_hash, open_regular, read_array, reading
from napari_vidrecon.storage.impostors import HEAD_BYTES, recognised

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session


STIMULUS_TRIAL = -1
"""Number of a trial that shows a stimulus: no recorded trial has it."""
STIMULUS_TIER = "stimulus"


class Stimulus(Protocol):
    """A movie that is made, not recorded: a frozen dataclass whose fields decide every pixel."""

    @property
    def name(self) -> str:
        """What to call it in titles and file names."""

    def video(self) -> np.ndarray:
        """The movie: (T, rows, columns) float32, grey levels 0..255; the same at every call."""


def shown_on(session: Session, stimulus: Stimulus) -> Stimulus:
    """The same stimulus for the screen and rate of a session, where it can be made for any; in one colour."""
    if not dataclasses.is_dataclass(stimulus):
        return stimulus
    screen = session.screen
    if screen.colours:
        screen = dataclasses.replace(screen, rows=screen.rows_a_colour, colours=())
    told = {"screen": screen, "frame_rate_hz": session.frame_rate_hz}
    usual = {each.name: each.default for each in dataclasses.fields(stimulus) if each.name in told}
    changed = {name: told[name] for name, value in usual.items() if getattr(stimulus, name) == value != told[name]}
    return dataclasses.replace(stimulus, **changed) if changed else stimulus


def stimulus_video(stimulus: Stimulus, session: Session) -> np.ndarray:
    """What a stimulus shows on the screen of a session; in every colour, where that has several.

    Parameters
    ----------
    stimulus
        What is shown.
    session
        Whose screen and frame rate are meant.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, 0..255.

    Raises
    ------
    SessionError
        It is of another size.
    """
    video, size_px = shown_on(session, stimulus).video(), session.screen.size_px
    if session.screen.colours and video.ndim == 3 and video.shape[1] == session.screen.rows_a_colour:
        video = np.tile(video, (1, session.screen.planes, 1))
    if video.ndim != 3 or video.shape[1:] != size_px:
        raise SessionError(
            f"{stimulus.name}: expected a movie of (frames, {size_px[0]}, {size_px[1]}), as the screen of "
            f"{session.name} has, found shape {video.shape}"
        )
    return video


def stimulus_trial(stimulus: Stimulus, session: Session) -> Trial:
    """Show a stimulus to a mouse that behaves the same all the time; in every colour, where the screen has several.

    Parameters
    ----------
    stimulus
        What is shown.
    session
        Whose average behaviour is repeated in every frame.

    Returns
    -------
    Trial
        A trial without recorded responses: only predicted activity can be its target.

    Raises
    ------
    SessionError
        The session's statistics cannot be read, or the movie is of another size than its screen.

    References
    ----------
    Bauer et al. 2026, Fig. 4 (in-silico stimuli with constant behaviour).

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> import numpy as np
    >>> shown = vr.stimulus_trial(vr.GivenMovie("grey", np.full((40, 36, 64), 127.5)), session)
    >>> shown.frames, shown.labelled
    (40, False)
    """
    video = stimulus_video(stimulus, session)
    behavior, pupil_center = session.average_behavior()
    return Trial(
        id=STIMULUS_TRIAL,
        tier=STIMULUS_TIER,
        video=video,
        behavior=np.repeat(behavior[:, np.newaxis], len(video), axis=1),
        pupil_center=np.repeat(pupil_center[:, np.newaxis], len(video), axis=1),
        frame_rate_hz=session.frame_rate_hz,
        name=f"{session.name}, {stimulus.name}",
        simulated=session.simulated,
        source=ClipSource(str(session.path), stimulus=stimulus.name),
        colours=session.screen.colours,
    )


@dataclass(frozen=True, eq=False)
class GivenMovie:
    """A movie as it is.

    Parameters
    ----------
    name
        For titles and file names.
    pixels
        (T, rows, columns) float32, grey levels 0..255.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> vr.GivenMovie("grey", np.full((40, 36, 64), 127.5)).video().dtype
    dtype('float32')
    """

    name: str
    pixels: np.ndarray

    __repr__ = brief

    def video(self) -> np.ndarray:
        """(T, rows, columns) float32, 0..255."""
        return np.asarray(self.pixels, dtype=np.float32)


WHITE_LEVEL = 255.0
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey level (ITU-R BT.601)."""
COLOURS, GREYS = (3, 4), (1, 2)
"""How many values a pixel has; the last of an even number is opacity, which a screen does not show."""
Frames = Generator[np.ndarray, None, None]
NPY_MAGIC = b"\x93NUMPY"
UNPACKED_RATIO, STACK_SURPLUS_BYTES, FILM_SURPLUS_BYTES = 2000, 256 << 20, 768 << 20
"""Pixels of a compressed movie may take this many times as much as its file, and this much more."""


@dataclass(frozen=True)
class MovieFile:
    """A movie read from a file, shown frame by frame at the screen's rate, whatever its own.

    Parameters
    ----------
    path
        `.npy` of (T, height, width) grey levels 0..255, TIFF, GIF, or any film that ffmpeg reads.
    frames
        How many of its first frames; None for all.
    screen
        What it is shown on.
    """

    path: Path
    frames: int | None = None
    screen: ScreenGeometry = USUAL_SCREEN

    @property
    def name(self) -> str:
        """For titles and file names."""
        return self.path.name

    @property
    def content(self) -> str:
        """SHA-256 of the file, as hexadecimal.

        Raises
        ------
        StorageError
            It cannot be read.
        """
        return file_hash(self.path, "a movie file")

    def video(self) -> np.ndarray:
        """The movie; frames of another size are resized, colours become grey.

        Returns
        -------
        np.ndarray
            (T, rows, columns) float32, 0..255; as many frames as are asked for and there.

        Raises
        ------
        StorageError
            Missing, damaged, or not a movie.
        ConfigError
            No frames are asked for.
        """
        if self.frames is not None and not 0 < self.frames <= LONGEST_CLIP_FRAMES:
            raise ConfigError(f"{self.path}: expected 1 to {LONGEST_CLIP_FRAMES} frames to show, found {self.frames}")
        shown: list[np.ndarray] = []
        brightest = WHITE_LEVEL
        # Closed, not only left: a traceback that somebody keeps would keep ffmpeg waiting.
        with reading(self.path, expected="a movie"), contextlib.closing(self._frames()) as frames:
            for frame in itertools.islice(frames, self.frames):
                if len(shown) == LONGEST_CLIP_FRAMES:
                    raise self._too_long()
                grey = self._grey(frame)
                if frame.dtype.kind == "f":
                    brightest = max(float(grey.max()), brightest if shown else 0.0)
                shown.append(_resized(grey, self.screen))
        if not shown:
            raise StorageError(f"{self.path}: expected a movie (frames, height, width), found no frame")
        if 0 < brightest <= 1:
            raise StorageError(
                f"{self.path}: expected grey levels from 0 to 255, found none above 1; multiply it by 255"
            )
        return np.stack(shown)

    @property
    def size_px(self) -> tuple[int, int]:
        """Rows and columns of its first frame, in the file; raises as `video`."""
        with reading(self.path, expected="a movie"), contextlib.closing(self._frames()) as frames:
            rows, columns = np.shape(next(frames, np.empty((0, 0))))[:2]
        return rows, columns

    def _too_long(self) -> StorageError:
        return StorageError(f"{self.path}: expected at most {LONGEST_CLIP_FRAMES} frames, found more; cut the movie")

    def _frames(self) -> Frames:
        with open_regular(self.path, "a movie file") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
        if head.startswith(NPY_MAGIC) or self.path.suffix.lower() == ".npy":
            return self._stored_frames()
        found = recognised(head)
        if found:
            raise StorageError(f"{self.path}: expected a movie, found {found}")
        if head.startswith(PICTURE_MAGICS):
            return self._within_reason(picture_frames(self.path), size, STACK_SURPLUS_BYTES)
        if head.startswith(TIFF_MAGICS):
            return self._within_reason(tiff_frames(self.path), size, STACK_SURPLUS_BYTES)
        # A film has far more frames than fit into memory, so only those asked for are read.
        frames = film_frames(self.path, self.frames or LONGEST_CLIP_FRAMES + 1)
        return self._within_reason(frames, size, FILM_SURPLUS_BYTES)

    def _stored_frames(self) -> Frames:
        frames = read_array(self.path, memory_map=True)
        if frames.ndim not in (3, 4) or frames.dtype.kind not in "fiub":
            raise StorageError(
                f"{self.path}: expected a movie (frames, height, width), found {frames.dtype} of shape {frames.shape}"
            )
        if self.frames is None and len(frames) > LONGEST_CLIP_FRAMES:
            raise self._too_long()
        yield from frames

    def _within_reason(self, frames: Frames, size: int, surplus: int) -> Frames:
        unpacked = 0
        with contextlib.closing(frames):
            for frame in frames:
                unpacked += frame.nbytes
                if unpacked > UNPACKED_RATIO * size + surplus:
                    raise StorageError(
                        f"{self.path}: expected a movie of its size, found {unpacked:,} bytes of pixels in a file of "
                        f"{size:,}; save it smaller, or as .npy"
                    )
                yield frame

    def _grey(self, frame: np.ndarray) -> np.ndarray:
        channels = frame.shape[2] if frame.ndim == 3 else 1
        if frame.ndim not in (2, 3) or channels not in COLOURS + GREYS or frame.dtype.kind not in "fiub":
            raise StorageError(f"{self.path}: expected pictures, found {frame.dtype} of shape {frame.shape}")
        require_picture(self.path, frame.shape[1], frame.shape[0])
        if frame.ndim == 3:
            frame = _luma(frame) if channels in COLOURS else frame[..., 0]
        if frame.dtype != np.uint8 and (not np.isfinite(frame).all() or frame.min() < 0 or frame.max() > WHITE_LEVEL):
            raise StorageError(f"{self.path}: expected grey levels from 0 to 255, found others, or NaN; rescale it")
        return frame.astype(np.float32)


def movie_files(folder: Path) -> list[Path]:
    """The files of a folder of films in the order of their names, without those that systems hide in it."""
    return sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))


def _luma(frame: np.ndarray) -> np.ndarray:
    # Colour by colour: a product with the weights would first copy all of a large frame as double precision.
    with np.errstate(over="ignore", invalid="ignore"):
        red, green, blue = (frame[..., colour].astype(np.float32) * np.float32(LUMA[colour]) for colour in range(3))
        return np.asarray(red + green + blue)


def _resized(frame: np.ndarray, screen: ScreenGeometry) -> np.ndarray:
    if frame.shape == (screen.rows, screen.cols):
        return frame
    image = Image.fromarray(frame).resize((screen.cols, screen.rows), Image.Resampling.BOX)
    return np.clip(np.asarray(image), 0.0, WHITE_LEVEL)
