"""The demonstration: napari opens on the simulated mouse and reconstructs."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QTimer

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.sessions.sample import Sample
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import open_session_folder, try_to
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.runs.folders import kept_runs

TITLE = "napari-vidrecon: simulated mouse"
SETTLE_MILLISECONDS = 200
"""The window is laid out before anything is shown in it, or the view would not fit."""


def show_demo(
    sample: Sample, trial_id: int, frames: int, config: ReconstructionConfig, out: Path
) -> Reconstruction | None:
    """Open napari with the sample on the board, start, and wait until the window is closed.

    Parameters
    ----------
    sample : where session, encoders and mask lie; all its encoders are used.
    trial_id : the clip.
    frames : how much of it, from the first frame.
    config : every setting.
    out : its folder `runs` keeps what is run in the window.

    Returns
    -------
    The finished run of the window that was shown last, else the demonstration's own, finished without a window.
    None if even that cannot be done.
    """
    import napari

    from napari_vidrecon.viewer.contributions.commands import show_board

    runs_folder = out.absolute() / "runs"
    viewer = napari.Viewer(title=TITLE)
    workspace = workspace_of(viewer)
    workspace.controller.runs_folder = runs_folder
    model, jobs = workspace.model, workspace.controller.jobs

    def begin() -> None:
        show_board(viewer)
        if try_to(model, prepare, model, sample, trial_id, frames, config):
            workspace.controller.start()

    QTimer.singleShot(SETTLE_MILLISECONDS, begin)
    napari.run()
    jobs.wait()
    finished = [record.result for record in (model.shown, *reversed(model.runs)) if record is not None]
    for result in finished:
        if result.finished:
            return result
    return finish_headless(model, sample, runs_folder)


def prepare(
    model: ReconstructionModel, sample: Sample, trial_id: int, frames: int, config: ReconstructionConfig
) -> None:
    """Open the sample with one clip, and set everything."""
    open_session_folder(model, sample.session)
    model.offer_encoders(list(sample.encoders))
    model.set_encoders(list(sample.encoders))
    model.set_settings(config=config)
    model.set_trial(trial_id, 0, frames)


def finish_headless(model: ReconstructionModel, sample: Sample, runs_folder: Path) -> Reconstruction | None:
    """Do the steps that were left when the window was closed, from where they were kept."""
    from napari_vidrecon.encoders.checkpoints import load_encoder
    from napari_vidrecon.reconstruction.reconstruct import reconstruct

    if model.session is None or model.trial is None:
        return None
    neurons = model.session.n_neurons
    encoders = [load_encoder(file, device=model.device, neurons=neurons) for file in model.encoder_paths]
    kept = [run.path for run in kept_runs(runs_folder, model.session.name)]
    for save_to in [*kept[:1], None]:
        try:
            return reconstruct(
                model.trial,
                encoders,
                model.mask,
                model.config,
                target=model.target,
                neurons=model.neurons,
                ablation=model.ablation,
                mask_threshold=model.training_threshold,
                evaluation_threshold=model.evaluation_threshold,
                ensemble=model.ensemble,
                save_to=save_to,
            )
        except RunError:
            # The kept run is one with other settings; then it is done from the beginning.
            continue
    return None
