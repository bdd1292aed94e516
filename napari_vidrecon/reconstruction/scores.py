"""How good a movie is: inside a mask, first frames left out; command, window and tables all measure it here.

And how a notebook shows it.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.reconstruction.history import with_unit

SCORES = ("video_correlation", "mean_frame_correlation", "rmse", "ssim")
UNCHECKED = "no movie says what was shown, so nothing can be checked against one"
FRAMES_SHOWN = 8
ENLARGEMENT, GAP_PX = 2, 4
WHITE_LEVEL = 255


def measured_frames(frames: int, skip_frames: int) -> slice:
    """The frames that a movie is measured on: all but the first ones, where the clip is long enough.

    Parameters
    ----------
    frames
        Length of the clip.
    skip_frames
        First frames to leave out.

    Returns
    -------
    slice
        To the end of the movie.
    """
    return slice(skip_frames if skip_frames < frames - 1 else 0, None)


class Evaluation:
    """Measures movies against the true one, whose side is prepared once.

    Parameters
    ----------
    truth
        (T, 36, 64) the true movie, grey levels 0..255.
    pixels
        (36, 64) bool, the evaluation mask.
    skip_frames
        First frames that are left out.
    """

    def __init__(self, truth: np.ndarray, pixels: np.ndarray, skip_frames: int) -> None:
        self._frames, self._pixels = measured_frames(len(truth), skip_frames), pixels
        self._truth = truth[self._frames]
        self._correlation = metrics.VideoCorrelation(self._truth, pixels)

    def video_correlation(self, video: np.ndarray) -> float:
        """Pearson's r over all pixels and frames of a (T, 36, 64) movie, -1..1."""
        return self._correlation(video[self._frames])

    def mean_frame_correlation(self, video: np.ndarray) -> float:
        """Mean over frames of Pearson's r over the pixels of a frame, -1..1."""
        return metrics.mean_frame_correlation(self._truth, video[self._frames], self._pixels)

    def scores(self, video: np.ndarray) -> dict[str, float]:
        """video_correlation, mean_frame_correlation, rmse (grey levels) and ssim of a (T, 36, 64) movie."""
        shown = video[self._frames]
        return {
            "video_correlation": self.video_correlation(video),
            "mean_frame_correlation": self.mean_frame_correlation(video),
            "rmse": metrics.rmse(self._truth, shown, self._pixels),
            "ssim": metrics.ssim(self._truth, shown, self._pixels),
        }


def _strip(stimulus: np.ndarray, video: np.ndarray) -> np.ndarray:
    """(height, width) uint8: frames of the stimulus above those of the reconstruction, equally spaced in time."""
    rows = []
    for movie in (stimulus, video):
        indices = np.linspace(0, len(movie) - 1, min(FRAMES_SHOWN, len(movie))).round().astype(int)
        levels = np.clip(np.rint(movie[indices]), 0, WHITE_LEVEL).astype(np.uint8)
        large = levels.repeat(ENLARGEMENT, axis=1).repeat(ENLARGEMENT, axis=2)
        framed = np.pad(large, ((0, 0), (0, GAP_PX), (0, GAP_PX)), constant_values=WHITE_LEVEL)
        rows.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(rows)


def scored_page(heading: str, stimulus: np.ndarray, video: np.ndarray, scores: Mapping[str, float]) -> str:
    """HTML: a heading, the strip as a PNG inside the text, and a table of scores.

    Parameters
    ----------
    heading
        Any text; nothing of it runs.
    stimulus, video
        (T, H, W), grey levels 0..255.
    scores
        Name to value; those that are not finite are left out.

    Returns
    -------
    str
        One element, with nothing to fetch.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(_strip(stimulus, video)).save(file, format="PNG")
    picture = base64.b64encode(file.getvalue()).decode("ascii")
    named = {with_unit(name).replace("_", " "): value for name, value in scores.items() if math.isfinite(value)}
    names = "".join(f"<th>{html.escape(name)}</th>" for name in named)
    values = "".join(f"<td>{value:.3f}</td>" for value in named.values())
    return (
        f"<div><b>{html.escape(heading)}</b><br>"
        f'<img alt="stimulus above reconstruction" src="data:image/png;base64,{picture}">'
        f"<table><tr>{names}</tr><tr>{values}</tr></table></div>"
    )
