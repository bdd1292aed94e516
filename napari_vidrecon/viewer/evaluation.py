"""How good the movie on the board is inside the evaluation mask, at once when the mask moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_vidrecon.reconstruction.scores import Evaluation

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
        self._evaluation: Evaluation | None = None

    @property
    def skip_frames(self) -> int:
        """First frames that are left out: as in the run on the board, else as in the next one."""
        made_with = self._model.recipe_of_board
        return (self._model.config if made_with is None else made_with.config).track_skip_frames

    def board(self) -> Scores:
        """The movie on the board."""
        video, evaluation = self._model.video, self._prepared()
        if video is None or evaluation is None:
            return Scores()
        return Scores(evaluation.video_correlation(video), evaluation.mean_frame_correlation(video))

    def video_correlation(self, record: RunRecord) -> float:
        """A kept run inside the present evaluation mask, so that runs can be compared; NaN for another clip."""
        evaluation = self._prepared() if record in self._model.runs_here else None
        return record.correlation if evaluation is None else evaluation.video_correlation(record.result.video)

    def _prepared(self) -> Evaluation | None:
        model, place = self._model, (self._model.evaluation_threshold, self.skip_frames)
        if model.trial is None:
            return None
        if self._trial is not model.trial or self._alpha is not model.mask or self._place != place:
            pixels = model.mask.binary(model.evaluation_threshold)
            self._evaluation = Evaluation(model.trial.video, pixels, self.skip_frames)
            self._trial, self._alpha, self._place = model.trial, model.mask, place
        return self._evaluation
