"""What the board shows, as plain arrays that no longer change: the source of every export of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.analysis.error_maps import error_map, stimulus_difference
from napari_vidrecon.errors import RunError
from napari_vidrecon.figures.export import STIMULUS_ERROR_NAME, ShownMovie
from napari_vidrecon.reconstruction.scores import measured_frames
from napari_vidrecon.viewer.evaluation import Evaluator
from napari_vidrecon.viewer.model import ErrorMode
from napari_vidrecon.viewer.time_courses import TimeCourses

if TYPE_CHECKING:
    from napari_vidrecon.viewer.model import ReconstructionModel

ERROR_NAMES = {
    ErrorMode.STIMULUS: STIMULUS_ERROR_NAME,
    ErrorMode.PREDICTED: "From recorded − from predicted activity",
    ErrorMode.COMPARISON: "Shown run − compared run",
    ErrorMode.UNCERTAINTY: "Uncertainty, 1 SD",
}


def shown_movie(model: ReconstructionModel) -> ShownMovie:
    """Take what the board shows now.

    Returns
    -------
    ShownMovie
        Of the present clip.

    Raises
    ------
    RunError
        There is no reconstruction yet.
    """
    trial, video = model.trial, model.video
    if trial is None or video is None:
        raise RunError("export: expected a reconstruction on the board, found none; press Start first")
    mask = model.mask.binary(model.evaluation_threshold)
    evaluator = Evaluator(model)
    history = model.shown.result.history if model.shown is not None else None
    if model.snapshot is not None and video is model.snapshot.video:
        history = model.snapshot.history
    return ShownMovie(
        stimulus=trial.video,
        video=np.array(video),
        error=_error(model, video, mask),
        error_name=ERROR_NAMES.get(model.error_mode, ""),
        mask=mask,
        training_mask=model.mask.binary(model.training_threshold),
        frame_rate_hz=trial.frame_rate_hz,
        start_s=model.clip[0] / trial.frame_rate_hz,
        measured=measured_frames(trial.frames, evaluator.skip_frames),
        correlation=evaluator.board().video_correlation,
        title=trial.name,
        simulated=trial.simulated,
        history=history,
        columns={curve.column: curve.values for curve in TimeCourses(model).all()},
    )


def _error(model: ReconstructionModel, video: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The error the board shows, with the sign it has in the paper whichever of the pair is shown."""
    assert model.trial is not None
    if model.error_mode == ErrorMode.STIMULUS:
        return stimulus_difference(video, model.trial.video, mask)
    if model.error_mode == ErrorMode.UNCERTAINTY:
        spread = model.shown.uncertainty if model.shown is not None else None
        return None if spread is None or spread.shape != video.shape else spread * mask
    other = None
    if model.error_mode == ErrorMode.COMPARISON:
        other = model.compared
    elif model.error_mode == ErrorMode.PREDICTED:
        other = model.expected
    if other is None or other.result.video.shape != video.shape:
        return None
    swapped = model.error_mode == ErrorMode.PREDICTED and other.recipe.target != "predicted"
    return error_map(other.result.video, video, mask) if swapped else error_map(video, other.result.video, mask)
