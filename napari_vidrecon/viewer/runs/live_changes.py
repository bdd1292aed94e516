"""Changes of mask and neurons for a run that goes on; a `Runner` applies them between two steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.neurons import Ablation, NeuronSet
from napari_vidrecon.reconstruction.reconstructor import Reconstructor
from napari_vidrecon.reconstruction.run import Run
from napari_vidrecon.reconstruction.video_ensemble import VideoEnsemble

Change = Callable[[Run], None]


def training_threshold(threshold: float) -> Change:
    """Reconstruct the pixels with alpha at least `threshold` from the next step on."""

    def change(run: Run) -> None:
        run.steppable.set_training_threshold(threshold)
        run.note_change("mask_threshold", threshold)

    return change


def mask(alpha: AlphaMask, threshold: float) -> Change:
    """Take another mask from the next step on."""

    def change(run: Run) -> None:
        alpha.on(run.encoders[0].spec.canvas, run.tracker.evaluation_threshold)
        run.mask = run.tracker.mask = alpha
        run.tracker.evaluation_threshold = run.tracker.evaluation_threshold
        for reconstructor in _reconstructors(run):
            reconstructor.mask = alpha
        run.steppable.set_training_threshold(threshold)
        run.note_change("mask", alpha.source)

    return change


def neurons(chosen: NeuronSet, ablation: Ablation) -> Change:
    """Match the activity of other neurons from the next step on."""

    def change(run: Run) -> None:
        target = replace(run.target, neurons=chosen, ablation=ablation)
        run.target = run.tracker.target = target
        activity = run.trial.responses if run.trial.labelled else target.activity
        run.tracker.measured_activity = target.measured(activity)
        run.steppable.set_target(target)
        run.note_change("neurons", {"reason": chosen.reason, "kept": chosen.count, "ablation": ablation})

    return change


def _reconstructors(run: Run) -> list[Reconstructor]:
    if isinstance(run.steppable, VideoEnsemble):
        return run.steppable.members
    return [run.steppable] if isinstance(run.steppable, Reconstructor) else []
