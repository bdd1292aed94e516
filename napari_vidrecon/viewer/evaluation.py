"""How good the movie on the board is inside the evaluation mask, at once when the mask moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon import metrics

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.trial import Trial
    from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord


@dataclass(frozen=True)
class Scores:
    """Video correlation and mean frame correlation, -1..1; NaN where they are not defined."""

    video_correlation: float = float("nan")
    frame_correlation: float = float("nan")


class Evaluator:
    """Measures movies against the true one as a run does: in the evaluation mask, first frames left out.

    The truth's side of the correlation is prepared once for a trial and a mask.

    Parameters
    ----------
    model
        Whose trial, mask and evaluation threshold are used.
    """

    def __init__(self, model: ReconstructionModel) -> None:
        self._model = model
        self._trial: Trial | None = None
        self._alpha: AlphaMask | None = None
        self._place: tuple[float, int] | None = None
        self._prepared: metrics.VideoCorrelation | None = None

    @property
    def skip_frames(self) -> int:
        """First frames that are left out: as in the run on the board, else as in the next one."""
        made_with = self._model.settings_of_board or {}
        return int(made_with.get("config.track_skip_frames", self._model.config.track_skip_frames))

    def board(self) -> Scores:
        """The movie on the board."""
        video = self._model.video
        if video is None or not self._prepare():
            return Scores()
        assert self._model.trial is not None
        assert self._prepared is not None
        skip = self.skip_frames
        return Scores(
            self._prepared(video[skip:]),
            metrics.mean_frame_correlation(self._model.trial.video[skip:], video[skip:], self._mask()),
        )

    def video_correlation(self, record: RunRecord) -> float:
        """A kept run inside the present evaluation mask, so that runs can be compared; NaN for another clip."""
        trial = self._model.trial
        if trial is None or record not in self._model.runs_here or not self._prepare():
            return record.correlation
        assert self._prepared is not None
        return self._prepared(record.result.video[self.skip_frames :])

    def _mask(self) -> np.ndarray:
        return self._model.mask.binary(self._model.evaluation_threshold)

    def _prepare(self) -> bool:
        model, place = self._model, (self._model.evaluation_threshold, self.skip_frames)
        if model.trial is None or self.skip_frames >= model.trial.frames:
            return False
        if self._trial is not model.trial or self._alpha is not model.mask or self._place != place:
            self._prepared = metrics.VideoCorrelation(model.trial.video[self.skip_frames :], self._mask())
            self._trial, self._alpha, self._place = model.trial, model.mask, place
        return True
