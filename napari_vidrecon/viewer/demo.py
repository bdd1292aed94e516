"""The demonstration: napari opens on the simulated mouse and reconstructs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import napari
from qtpy.QtCore import QTimer

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import Runner
from napari_vidrecon.sessions.sample import Sample
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.folders import kept_runs
from napari_vidrecon.viewer.main_window import main_window_of
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import load_mask, try_to
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.runs.run_job import RunRequest

TITLE = "napari-vidrecon: simulated mouse"
PART_OF_SCREEN = 0.9
SETTLE_MILLISECONDS = 200
"""The window is laid out before anything is shown in it, or the view would not fit."""


def show_demo(
    sample: Sample, trial_id: int, frames: int, config: ReconstructionConfig, out: Path
) -> Reconstruction | None:
    """Open napari with the sample on the board, start, and wait until the window is closed.

    Parameters
    ----------
    sample
        Where session, encoders and mask lie; all its encoders are used.
    trial_id
        The clip.
    frames
        How much of it, from the first frame.
    config
        Every setting.
    out
        Its folder `runs` keeps what is run in the window.

    Returns
    -------
    Reconstruction | None
        The finished run of the window that was shown last, else the demonstration's own, finished without a window.
        None if even that cannot be done.
    """
    demonstration = Demonstration(napari.Viewer(title=TITLE), out.absolute() / "runs")
    QTimer.singleShot(SETTLE_MILLISECONDS, lambda: demonstration.begin(sample, trial_id, frames, config))
    with closed_by_signals(demonstration.close):
        napari.run()
    return demonstration.result()


@contextlib.contextmanager
def closed_by_signals(close_window: Callable[[], None]) -> Iterator[None]:
    """Whoever ends the process closes the window first, and then what the process does at its end happens.

    An exception that is raised while Qt calls Python would reach napari, which tells of it as of a fault of its own.

    Parameters
    ----------
    close_window
        Closes it, when Qt has the time.
    """
    caught: list[tuple[int, FrameType | None]] = []

    def close(number: int, frame: FrameType | None) -> None:
        caught.append((number, frame))
        QTimer.singleShot(0, close_window)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers if callable(signal.getsignal(number))}
    for number in before:
        signal.signal(number, close)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        number, frame = caught[0]
        handler = before[number]
        assert callable(handler)
        handler(number, frame)


class Demonstration:
    """A run of the sample that a person may watch, change, or close.

    Parameters
    ----------
    viewer
        Of the window.
    runs_folder
        Keeps what is run in it.
    """

    def __init__(self, viewer: napari.viewer.Viewer, runs_folder: Path) -> None:
        workspace = workspace_of(viewer)
        workspace.controller.runs_folder = runs_folder
        # What outlives the window.
        self.model, self._jobs, self._stop = workspace.model, workspace.controller.jobs, workspace.controller.stop
        self.viewer, self._runs_folder = viewer, runs_folder

    def begin(self, sample: Sample, trial_id: int, frames: int, config: ReconstructionConfig) -> None:
        """Open the dock and the sample, and start.

        Parameters
        ----------
        sample
            The simulated mouse.
        trial_id
            One of its trials.
        frames
            How much of the clip to take.
        config
            Every setting of the run.
        """
        from napari_vidrecon.viewer.contributions.commands import show_board

        use_most_of_the_screen(self.viewer)
        show_board(self.viewer)
        if try_to(self.model, prepare, self.model, sample, trial_id, frames, config):
            workspace_of(self.viewer).controller.start()

    def close(self) -> None:
        """End what goes on, and close the window."""
        self._stop()
        self.viewer.close()

    def result(self) -> Reconstruction | None:
        """After the window was closed: what was made in it, or else is made now."""
        self._jobs.wait()
        for record in (self.model.shown, *reversed(self.model.runs)):
            if record is not None and record.result.finished:
                return record.result
        return finish_headless(self.model, self._runs_folder)


def use_most_of_the_screen(viewer: napari.viewer.Viewer) -> None:
    """Make the window large, whatever the size it had last, and put it in the middle of the screen."""
    window = main_window_of(viewer)
    screen = window.screen().availableGeometry()
    width, height = round(PART_OF_SCREEN * screen.width()), round(PART_OF_SCREEN * screen.height())
    viewer.window.resize(width, height)
    window.move(screen.x() + (screen.width() - width) // 2, screen.y() + (screen.height() - height) // 2)


def prepare(
    model: ReconstructionModel, sample: Sample, trial_id: int, frames: int, config: ReconstructionConfig
) -> None:
    """Open the sample with one clip, and set everything.

    Parameters
    ----------
    model
        The state of the window.
    sample
        The simulated mouse.
    trial_id
        One of its trials.
    frames
        How much of the clip to take.
    config
        Every setting of the run.

    Raises
    ------
    SessionError
        The sample or its trial cannot be read.
    MaskError
        The mask cannot be read.
    """
    model.set_session(open_session(sample.session))
    model.offer_encoders(list(sample.encoders))
    model.set_encoders(list(sample.encoders))
    load_mask(model, sample.mask)
    model.set_settings(config=config)
    model.begin_edits()
    model.set_trial(trial_id, 0, frames)


def finish_headless(model: ReconstructionModel, runs_folder: Path) -> Reconstruction | None:
    """Do the steps that were left when the window was closed, from where they were kept.

    Returns
    -------
    Reconstruction | None
        None if no clip was chosen yet.
    """
    from napari_vidrecon.encoders.checkpoints import load_encoder

    session = model.session
    if session is None or model.trial is None:
        return None
    request = RunRequest.from_model(model)
    encoders = [
        load_encoder(file, model.mouse, model.device, neurons=session.n_neurons) for file in model.encoder_paths
    ]
    kept = [run.path for run in kept_runs(runs_folder, session.name)]
    for save_to in [*kept[:1], None]:
        try:
            return Runner(request.planned(encoders), save_to=save_to).resume_or_start()
        except RunError:
            # The kept run is one with other settings; then it is done from the beginning.
            continue
    return None
