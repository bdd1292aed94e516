"""Any movie file as a stimulus: grey, at the size of the screen."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.storage import read_array

WHITE_LEVEL = 255.0
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey level (ITU-R BT.601)."""


@dataclass(frozen=True)
class MovieFile:
    """A movie read from a file, shown frame by frame at the screen's rate, whatever its own.

    Parameters
    ----------
    path : `.npy` of (T, height, width) grey levels 0..255, or any movie or GIF that ffmpeg or pillow reads.
    frames : how many of its first frames; None for all.
    """

    path: Path
    frames: int | None = None

    @property
    def name(self) -> str:
        """For titles and file names."""
        return self.path.name

    @property
    def content(self) -> str:
        """SHA-256 of the file, as hexadecimal.

        Raises
        ------
        StorageError : it cannot be read.
        """
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise StorageError(f"{self.path}: expected a movie file, found: {error.strerror}") from None

    def video(self) -> np.ndarray:
        """(T, 36, 64) float32, 0..255; frames of another size are resized, colours become grey.

        Raises
        ------
        StorageError : missing, damaged, or not a movie.
        """
        frames = self._read()
        if frames.ndim == 4:
            frames = frames[..., :3] @ LUMA
        if frames.ndim != 3 or not len(frames):
            raise StorageError(f"{self.path}: expected a movie (frames, height, width), found shape {frames.shape}")
        if not np.isfinite(frames).all() or frames.min() < 0 or frames.max() > WHITE_LEVEL:
            raise StorageError(f"{self.path}: expected grey levels from 0 to 255, found others, or NaN; rescale it")
        return np.stack([_resized(frame) for frame in frames.astype(np.float32)])

    def _read(self) -> np.ndarray:
        if self.path.suffix == ".npy":
            return read_array(self.path, memory_map=True)[: self.frames]
        import imageio.v3 as imageio

        try:
            # A film has far more frames than fit into memory, so only those asked for are read.
            return np.stack(list(itertools.islice(imageio.imiter(self.path), self.frames)))
        except FileNotFoundError:
            raise StorageError(f"{self.path}: expected a movie file, found nothing there") from None
        except Exception as error:
            # Every reader behind imageio fails in its own way.
            raise StorageError(f"{self.path}: expected a movie, found a file that cannot be read as one") from error


def _resized(frame: np.ndarray) -> np.ndarray:
    from PIL import Image

    screen = ScreenGeometry()
    if frame.shape == (screen.rows, screen.cols):
        return frame
    image = Image.fromarray(frame).resize((screen.cols, screen.rows), Image.Resampling.BOX)
    return np.clip(np.asarray(image), 0.0, WHITE_LEVEL)
