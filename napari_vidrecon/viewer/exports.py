"""Exports of the window: what the board shows, as plain arrays that no longer change, and writing in the background."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_vidrecon.analysis.error_maps import error_map, lost_map, stimulus_difference
from napari_vidrecon.errors import RunError
from napari_vidrecon.figures.export import STIMULUS_ERROR_NAME, Progress, ShownMovie
from napari_vidrecon.reconstruction.history import measured_frames
from napari_vidrecon.reconstruction.script_texts import command_text, command_words, python_text
from napari_vidrecon.reconstruction.scripts import Script, script_of_run
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.evaluation import Evaluator, TimeCourses
from napari_vidrecon.viewer.model import ErrorMode, Layout, ReconstructionModel
from napari_vidrecon.viewer.record import RunRecord
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from napari_vidrecon.figures.movie import MovieRaster


ERROR_NAMES = {
    ErrorMode.STIMULUS: STIMULUS_ERROR_NAME,
    ErrorMode.PREDICTED: "From recorded − from predicted activity",
    ErrorMode.COMPARISON: "Shown run − compared run",
    ErrorMode.LOST: "Lost against the run with more neurons, rise of RMS error",
    ErrorMode.UNCERTAINTY: "Uncertainty, 1 SD",
    ErrorMode.ADDED: "What the brain adds, beyond noise and faults of the encoder",
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
    mask = model.common_mask.binary(model.evaluation_threshold)
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
        training_mask=model.common_mask.binary(model.training_threshold),
        frame_rate_hz=trial.frame_rate_hz,
        start_s=model.clip[0] / trial.frame_rate_hz,
        measured=measured_frames(trial.frames, evaluator.skip_frames),
        correlation=evaluator.board().video_correlation,
        title=trial.name,
        simulated=trial.simulated,
        colours=trial.colours,
        has_movie=trial.has_movie,
        history=history,
        predicted_from=(model.recipe_of_board or model.recipe()).config.predicted_from,
        presentation=model.presented,
        columns={curve.column: curve.values for curve in TimeCourses(model).all()},
        rasters=_rasters(model, video) if model.layout == Layout.EXPLAIN else (),
    )


def _rasters(model: ReconstructionModel, video: np.ndarray) -> tuple[MovieRaster, ...]:
    """The activity below the movies of this layout, of the run whose movie it is."""
    from napari_vidrecon.figures.activity import activity_rasters

    assert model.trial is not None
    source = model.snapshot if model.snapshot is not None and video is model.snapshot.video else None
    predicted, matched, keep = None, model.trial.responses, None if model.neurons is None else model.neurons.keep
    if source is not None:
        predicted = source.predicted_activity
    elif model.shown is not None:
        result = model.shown.result
        predicted, matched, keep = result.predicted_activity, result.target, result.keep
    return activity_rasters(matched, predicted, keep)


def _error(model: ReconstructionModel, video: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The error the board shows, with the sign it has in the paper whichever of the pair is shown."""
    assert model.trial is not None
    if model.error_mode == ErrorMode.STIMULUS and not model.trial.has_movie:
        return None
    if model.error_mode == ErrorMode.STIMULUS:
        return stimulus_difference(video, model.trial.video, mask)
    if model.error_mode == ErrorMode.UNCERTAINTY:
        spread = model.shown.uncertainty if model.shown is not None else None
        return None if spread is None or spread.shape != video.shape else spread * mask
    if model.error_mode == ErrorMode.ADDED:
        added = None if model.shown is None or model.shown.added is None else model.shown.added.shown
        return None if added is None or added.shape != video.shape else added * mask
    if model.error_mode == ErrorMode.LOST:
        before = None if model.fuller is None else model.fuller.result.video
        if before is None or before.shape != video.shape or not model.trial.has_movie:
            return None
        return np.broadcast_to(lost_map(model.trial.video, before, video) * mask, video.shape)
    other = None
    if model.error_mode == ErrorMode.COMPARISON:
        other = model.compared
    elif model.error_mode == ErrorMode.PREDICTED:
        other = model.expected
    if other is None or other.result.video.shape != video.shape or not model.shows_same_movie(other):
        return None
    swapped = model.error_mode == ErrorMode.PREDICTED and other.recipe.target != "predicted"
    return error_map(other.result.video, video, mask) if swapped else error_map(video, other.result.video, mask)


class Exporter(Background):
    """Writes one thing at a time in the background, and tells the window.

    Signals: `finished(path)`, `failed(message)`, `stopped()`.
    """

    finished = Signal(str)
    failed = Signal(str)
    stopped = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(lambda text, _is_error: self.failed.emit(text), parent)
        self._told: Callable[[], object] = self.stopped.emit

    def write(self, work: Callable[[Progress], Any], path: Path) -> None:
        """Start writing; a call while something else is being written is refused with `failed`.

        Parameters
        ----------
        work
            Does it; is given a function to report progress with, which also ends it when it was cancelled.
        path
            What is being written, for the message at the end.
        """
        if self.busy:
            self.failed.emit("Another export is still going on; wait for it or cancel it.")
            return

        def run(job: Job) -> None:
            work(job.count)
            job.tell(path)

        self._told = self.stopped.emit
        self.begin(Job(run, "vidrecon export"), Counted(0, 0))

    def on_news(self, job: Job, news: Path) -> None:
        """The file is there."""
        self._told = lambda: self.finished.emit(str(news))

    def on_failure(self, job: Job, message: str) -> None:
        """It cannot be written."""
        self._told = lambda: self.failed.emit(message)

    def on_end(self, job: Job) -> None:
        """Say how it ended, now that the next may begin."""
        self._told()


def _recipe_of_run(record: RunRecord, beside: Path) -> Script:
    warnings.warn(
        "viewer.exports.scripts: use napari_vidrecon.reconstruction.scripts.script_of_run",
        DeprecationWarning,
        stacklevel=2,
    )
    return script_of_run(record.result, record.recipe, record.name, beside)


scripts = SimpleNamespace(
    command_text=command_text, command_words=command_words, python_text=python_text, recipe_of_run=_recipe_of_run
)
"""Where the window's copied texts were made before; `napari_vidrecon.reconstruction.scripts` makes them now."""
