"""What is measured while a reconstruction runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from napari_vidrecon import metrics
from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.config import GREY_LEVEL, ReconstructionConfig
from napari_vidrecon.reconstruction.gaze import Inferred
from napari_vidrecon.reconstruction.history import measured_frames
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.targets import Target, predicted_activity
from napari_vidrecon.sessions.session import Trial

LARGEST_LEVEL = 255.0
"""Grey level of white."""
LIVE_SHARE = 0.02
"""Of a run's time that may go into predicting activity for who watches it."""


class Grown(Protocol):
    """A reconstruction as far as it came."""

    @property
    def video(self) -> np.ndarray: ...
    @property
    def optimised_video(self) -> np.ndarray: ...
    @property
    def inferred(self) -> list[Inferred]: ...


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
    config
        `track_skip_frames` first frames are left out, where the clip is longer; `predicted_from` says of which movie
        activity is predicted.
    outside
        Level of what is shown outside the mask, grey levels 0..255; one, or (rows, 1).
    """

    def __init__(
        self,
        trial: Trial,
        mask: AlphaMask,
        evaluation_threshold: float,
        target: Target,
        encoders: Sequence[Encoder],
        config: ReconstructionConfig,
        outside: float | np.ndarray = GREY_LEVEL,
    ) -> None:
        self.trial, self.encoders = trial, encoders
        self.evaluation_threshold, self.skip_frames = evaluation_threshold, config.track_skip_frames
        self.predicted_from = config.predicted_from
        self.outside = GREY_LEVEL if config.predicted_from == "grey" else outside
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
        if not self.trial.has_movie:
            return dict.fromkeys(("video_correlation", "rmse"), float("nan"))
        part = measured_frames(len(video), self.skip_frames)
        truth, shown = self.trial.video[part], video[part]
        return {
            "video_correlation": metrics.video_correlation(truth, shown, self.pixels),
            "rmse": metrics.rmse(truth, shown, self.pixels),
        }

    def seen(self, run: Grown) -> np.ndarray:
        """(T, 36, 64) the movie that activity is predicted from, as the setting `predicted_from` defines it."""
        if self.predicted_from == "optimised":
            return np.clip(run.optimised_video, 0.0, LARGEST_LEVEL)
        return self.mask.transparent(np.clip(run.video, 0.0, LARGEST_LEVEL), self.evaluation_threshold, self.outside)

    def on_retina(self, run: Grown) -> tuple[np.ndarray, np.ndarray]:
        """The movie that activity is predicted from, as gaze moved it, and (T,) the gain of all neurons."""
        movie, inferred = self.seen(run), run.inferred
        return (inferred[0].moved(movie), inferred[0].gain) if inferred else (movie, np.ones(len(movie), np.float32))

    def explained(self, run: Grown) -> np.ndarray:
        """(N, T) activity predicted from a run's movie, with the gaze and the gain that it inferred, if any."""
        movie, gain = self.on_retina(run)
        return self.predicted(movie) * gain

    def predicted(self, movie: np.ndarray) -> np.ndarray:
        """(N, T) activity predicted from a movie such as `seen` gives, over all windows."""
        trial = self.trial
        clip, streams = f"the reconstruction of {trial.name}", (trial.behavior, trial.pupil_center)
        return np.mean([predicted(encoder, movie, *streams, clip=clip) for encoder in self.encoders], axis=0)

    def activity(self, predicted: np.ndarray) -> dict[str, float]:
        """Loss (first frames left out) and correlation (all frames) of predicted activity (N, T)."""
        shown = self.target.measured(predicted)
        part = measured_frames(shown.shape[1], self.skip_frames)
        return {
            "response_loss": metrics.poisson_loss(shown[:, part], self.measured_activity[:, part]),
            "response_correlation": metrics.response_correlation(self.measured_activity, shown),
        }

    def levels(self) -> dict[str, float]:
        """What the true movie reaches: its loss and correlation over all frames (Fig. 1C, dashed)."""
        if not self.trial.has_movie:
            return {}
        shown = self.target.measured(predicted_activity(self.encoders, self.trial))
        return {
            "response_loss": metrics.poisson_loss(shown, self.measured_activity),
            "response_correlation": metrics.response_correlation(self.measured_activity, shown),
        }


class LiveActivity:
    """Activity predicted from the movie of a run that goes on, kept up to date a stretch of frames at a time.

    Of the same movie as at the end (`Tracker.seen`), but from windows laid end to end instead of all windows, which
    would cost several steps. All stretches are predicted once, later as many as `share` of the run's time allows.

    Parameters
    ----------
    tracker
        Whose encoders predict, and what counts.
    share
        Of the run's time, 0..1.
    """

    def __init__(self, tracker: Tracker, share: float = LIVE_SHARE) -> None:
        self._tracker, self._share = tracker, share
        self._windows = tracker.encoders[0].spec.windows
        frames, length = len(tracker.trial.video), self._windows.sub_batch_frames
        last = max(frames - length, 0)
        self._starts = sorted({*range(0, last + 1, length), last}) if frames >= length else []
        self._next, self._credit_s, self._cost_s = 0, 0.0, 0.0
        self._correlation = float("nan")
        self.activity: np.ndarray | None = None
        """(N, T), another array each time; None before the first prediction, and for a clip too short for it."""

    def renew(self, run: Grown, seconds: float) -> float:
        """Predict anew what time allows.

        Parameters
        ----------
        run
            As far as it came.
        seconds
            What the run took since the last call.

        Returns
        -------
        float
            Correlation with the measured activity, -1..1; NaN where nothing could be predicted.
        """
        if not self._starts:
            return float("nan")
        if self.activity is None:
            count = len(self._starts)
            shape = self._tracker.target.activity.shape[0], len(self._tracker.trial.video)
            self.activity = np.zeros(shape, np.float32)
        else:
            most = len(self._starts)
            self._credit_s = min(self._credit_s + self._share * seconds, most * self._cost_s)
            # What the first prediction of all took is paid back before there is another one.
            count = min(int(self._credit_s / self._cost_s), most) if self._credit_s > 0 else 0
        if count > 0:
            began = time.perf_counter()
            self.activity = self.activity.copy()
            self._predict(*self._tracker.on_retina(run), count)
            self._correlation = self._tracker.activity(self.activity)["response_correlation"]
            took = time.perf_counter() - began
            self._cost_s, self._credit_s = took / count, self._credit_s - took
        return self._correlation

    @torch.no_grad()
    def _predict(self, movie: np.ndarray, gain: np.ndarray, count: int) -> None:
        assert self.activity is not None
        trial, length = self._tracker.trial, self._windows.sub_batch_frames
        offsets = torch.as_tensor(self._windows.indices(np.arange(self._windows.step)))
        for _ in range(count):
            part = slice(self._starts[self._next], self._starts[self._next] + length)
            self._next = (self._next + 1) % len(self._starts)
            answers = []
            for encoder in self._tracker.encoders:
                inputs = encoder.pack(movie[part], trial.behavior[:, part], trial.pupil_center[:, part])
                answer = encoder.responses(inputs[:, offsets.to(inputs.device)].transpose(0, 1))
                # Windows are interleaved: the k-th frame of the first comes before that of the second.
                answers.append(answer.permute(1, 2, 0).reshape(answer.shape[1], -1).float().cpu().numpy())
            self.activity[:, part] = np.mean(answers, axis=0) * gain[part]
