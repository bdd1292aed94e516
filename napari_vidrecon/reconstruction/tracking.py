"""What is measured while a reconstruction runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.targets import Target, predicted_activity

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Trial


class Tracker:
    """Measures a growing reconstruction against the true movie and the recorded activity (docs/method.md 5).

    Parameters
    ----------
    trial
        The clip; its movie is the truth.
    mask
        The transparency mask.
    evaluation_threshold
        Alpha from which a pixel is measured.
    target
        Its neurons are the ones measured; the activity is the recorded one where there is any.
    encoders
        Whose mean prediction is measured.
    skip_frames
        First frames left out.
    """

    def __init__(
        self,
        trial: Trial,
        mask: AlphaMask,
        evaluation_threshold: float,
        target: Target,
        encoders: Sequence[Encoder],
        skip_frames: int,
    ) -> None:
        self.trial, self.encoders = trial, encoders
        self.evaluation_threshold, self.skip_frames = evaluation_threshold, skip_frames
        self.set_mask(mask)
        self.set_target(target)

    def set_mask(self, mask: AlphaMask) -> None:
        """Measure inside another mask from now on."""
        self.mask, self.pixels = mask, mask.binary(self.evaluation_threshold)

    def set_target(self, target: Target) -> None:
        """Measure the neurons of another target from now on."""
        activity = self.trial.responses if self.trial.labelled else target.activity
        self.target, self.measured_activity = target, target.measured(activity)

    def movie(self, video: np.ndarray) -> dict[str, float]:
        """Video correlation and RMSE of a (T, 36, 64) reconstruction; cheap."""
        truth, shown = self.trial.video[self.skip_frames :], video[self.skip_frames :]
        return {
            "video_correlation": metrics.video_correlation(truth, shown, self.pixels),
            "rmse": metrics.rmse(truth, shown, self.pixels),
        }

    def predicted(self, video: np.ndarray) -> np.ndarray:
        """(N, T) activity predicted from the reconstruction with grey outside the evaluation mask."""
        shown = self.mask.transparent(video, self.evaluation_threshold)
        trial = self.trial
        clip, streams = f"the reconstruction of {trial.name}", (trial.behavior, trial.pupil_center)
        return np.mean([predicted(encoder, shown, *streams, clip=clip) for encoder in self.encoders], axis=0)

    def activity(self, predicted: np.ndarray) -> dict[str, float]:
        """Loss (first frames left out) and correlation (all frames) of predicted activity (N, T)."""
        shown = self.target.measured(predicted)
        skipped = slice(self.skip_frames, None)
        return {
            "response_loss": metrics.poisson_loss(shown[:, skipped], self.measured_activity[:, skipped]),
            "response_correlation": metrics.response_correlation(self.measured_activity, shown),
        }

    def levels(self) -> dict[str, float]:
        """What the true movie reaches: its loss and correlation over all frames (Fig. 1C, dashed)."""
        shown = self.target.measured(predicted_activity(self.encoders, self.trial))
        return {
            "response_loss": metrics.poisson_loss(shown, self.measured_activity),
            "response_correlation": metrics.response_correlation(self.measured_activity, shown),
        }
