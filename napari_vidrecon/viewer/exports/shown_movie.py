"""What the board shows, as plain arrays: the source of every export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.analysis.error_maps import error_map, stimulus_difference
from napari_vidrecon.errors import RunError
from napari_vidrecon.viewer.evaluation import Evaluator
from napari_vidrecon.viewer.model import ErrorMode
from napari_vidrecon.viewer.time_courses import TimeCourses

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.history import History
    from napari_vidrecon.viewer.model import ReconstructionModel

ERROR_NAMES = {
    ErrorMode.STIMULUS: "Error: orange too bright, blue too dark",
    ErrorMode.PREDICTED: "From recorded − from predicted activity",
    ErrorMode.COMPARISON: "Shown run − compared run",
    ErrorMode.UNCERTAINTY: "Uncertainty, 1 SD",
}


@dataclass(frozen=True)
class ShownMovie:
    """A reconstruction as the board shows it; nothing in it changes when the window goes on.

    Parameters
    ----------
    stimulus, video
        (T, 36, 64), grey levels 0..255.
    error
        (T, 36, 64) signed grey levels, or None where the board shows no error.
    error_name
        What the error is.
    mask, training_mask
        (36, 64) bool.
    frame_rate_hz
        Frames a second.
    start_s
        Time of the first frame in the trial, seconds.
    skip_frames
        First frames that are left out of what is measured.
    correlation
        Video correlation inside the evaluation mask, as the window says it.
    name
        What it is, e.g. "trial 22".
    simulated
        The mouse is a simulation.
    history
        Of the run, where there is one.
    times_s
        (T,) time of every frame, seconds.
    columns
        Name to (T,) values: what the Traces widget draws.
    """

    stimulus: np.ndarray
    video: np.ndarray
    error: np.ndarray | None
    error_name: str
    mask: np.ndarray
    training_mask: np.ndarray
    frame_rate_hz: float
    start_s: float
    skip_frames: int
    correlation: float
    name: str
    simulated: bool
    history: History | None
    times_s: np.ndarray
    columns: dict[str, np.ndarray]

    @property
    def caption(self) -> str:
        """Trial and video correlation, e.g. "trial 22, r = 0.61"."""
        return f"{self.name}, r = {self.correlation:.2f}" if np.isfinite(self.correlation) else self.name


def shown_movie(model: ReconstructionModel) -> ShownMovie:
    """Take what the board shows now.

    Raises
    ------
    RunError
        There is no reconstruction yet.
    """
    trial, video = model.trial, model.video
    if trial is None or video is None:
        raise RunError("export: expected a reconstruction on the board, found none; press Start first")
    mask = model.mask.binary(model.evaluation_threshold)
    courses, evaluator = TimeCourses(model), Evaluator(model)
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
        skip_frames=evaluator.skip_frames,
        correlation=evaluator.board().video_correlation,
        name=model.clip_name,
        simulated=trial.simulated,
        history=history,
        times_s=courses.times_s(),
        columns={curve.column: curve.values for curve in courses.all()},
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
    swapped = model.error_mode == ErrorMode.PREDICTED and other.settings.get("target") != "predicted"
    return error_map(other.result.video, video, mask) if swapped else error_map(video, other.result.video, mask)
