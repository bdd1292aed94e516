"""How good a movie is: inside a mask, first frames left out; command, window and tables all measure it here."""

from __future__ import annotations

import numpy as np

from napari_vidrecon import metrics

SCORES = ("video_correlation", "mean_frame_correlation", "rmse", "ssim")
UNCHECKED = "no movie says what was shown, so nothing can be checked against one"


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
