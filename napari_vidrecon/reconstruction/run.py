"""A run: a reconstruction with its history, what went into it, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.inputs import Ensemble, RunInputs, choices_of, takes_inputs
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.planning import RunPlan
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.reconstructor import StepInfo, Steppable
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.several_mice import AnotherMouse, union_mask
from napari_vidrecon.reconstruction.targets import Ablation, NeuronSet, Target
from napari_vidrecon.reconstruction.tracking import Tracker
from napari_vidrecon.reconstruction.video_ensemble import VideoEnsemble
from napari_vidrecon.sessions.session import Trial
from napari_vidrecon.settings import brief, finite_number


@dataclass(eq=False)
class Run:
    """One reconstruction on its way; build it with `plan_run`, drive it with a `Runner` or step by step.

    Parameters
    ----------
    trial, encoders, mask, config
        What goes in.
    target
        Activity to match.
    steppable
        The reconstruction, or several in step.
    tracker
        Measures it.
    provenance
        Plain values that identify the run.
    history
        What happened so far.
    seconds
        Time taken so far.
    own_mask
        Of the first of several mice; `mask` is the union of all.
    mice
        The others, each with what it is measured by.
    """

    trial: Trial
    encoders: Sequence[Encoder]
    mask: AlphaMask
    config: ReconstructionConfig
    target: Target
    steppable: Steppable
    tracker: Tracker
    provenance: dict[str, Any]
    history: History = field(default_factory=History)
    seconds: float = 0.0
    own_mask: AlphaMask | None = None
    mice: Sequence[tuple[AnotherMouse, Target]] = ()

    __repr__ = brief

    @classmethod
    def plan(cls, inputs: RunInputs) -> Run:
        """Check everything and build a run; raises as `plan_run`."""
        plan = RunPlan.of(inputs)
        tracker = plan.tracker()
        run = cls(
            plan.trial,
            plan.encoders,
            plan.mask,
            plan.config,
            plan.goal,
            plan.steppable(tracker),
            tracker,
            plan.provenance(),
        )
        if plan.mice:
            run.own_mask, run.mice = plan.own_mask, plan.mice
        return run

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.steppable.finished

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides the result; equal fingerprints give equal results."""
        return self.provenance["fingerprint"]

    def step(self) -> StepInfo:
        """One optimisation step, recorded in the history."""
        return self.record(self.steppable.step())

    def record(self, info: StepInfo) -> StepInfo:
        """Note a step that was done."""
        self.history.append(info)
        self.seconds += info.seconds
        return info

    def set_training_threshold(self, threshold: float) -> None:
        """Reconstruct the pixels with alpha at least `threshold` from the next step on.

        Raises
        ------
        MaskError
            No pixel would be left.
        """
        threshold = finite_number(threshold, "mask_threshold")
        self.steppable.set_training_threshold(threshold)
        self._note_change("mask_threshold", threshold)

    def set_mask(self, mask: AlphaMask, threshold: float) -> None:
        """Take another mask from the next step on, with this training threshold; of the first mouse, if of several.

        Raises
        ------
        MaskError
            No pixel would be left to reconstruct or to measure.
        """
        if self.mice:
            self.own_mask, mask = mask, union_mask(mask, self._alphas()[1:])
        mask.on(self.encoders[0].spec.canvas, self.tracker.evaluation_threshold)
        self.mask = mask
        self.tracker.set_mask(mask)
        self.steppable.set_mask(mask, threshold)
        self._note_change("mask", mask.source)

    def set_neurons(self, neurons: NeuronSet, ablation: Ablation) -> None:
        """Match the activity of other neurons from the next step on."""
        self.target = replace(self.target, neurons=neurons, ablation=ablation)
        self.tracker.set_target(self.target)
        self.steppable.set_target(self.target)
        self._note_change("neurons", {"reason": neurons.reason, "kept": neurons.count, "ablation": ablation})

    def _note_change(self, what: str, value: Any) -> None:
        self.provenance.setdefault("changes", []).append(
            {"after_step": self.steppable.step_index, "what": what, "value": value}
        )

    def resume(self, saved: Reconstruction) -> None:
        """Go on where a saved partial run stopped.

        Raises
        ------
        RunError
            It was made from other inputs or settings, or cannot be continued.
        """
        theirs = saved.provenance.get("fingerprint")
        if theirs != self.fingerprint:
            raise RunError(
                "the saved run was made from other inputs or settings; choose another output folder or remove it"
            )
        if saved.provenance.get("changes"):
            raise RunError("the saved run was changed while it went on and cannot be continued; start it anew")
        if saved.state is None:
            raise RunError("the saved run holds no state to continue from")
        self.steppable.load_state(saved.state)
        self.history = saved.history.cut(self.steppable.step_index)
        self.seconds = float(saved.provenance.get("wall_seconds", 0.0))

    def go_on_from(self, folder: Path) -> Reconstruction | None:
        """Go on with what a folder holds of this very run; returns what it holds if nothing is left to do.

        Returns
        -------
        Reconstruction | None
            None where there is something left to do.

        Raises
        ------
        RunError
            It holds another run, one that cannot be continued, or no run.
        """
        if not folder.exists():
            return None
        saved = Reconstruction.load(folder)
        if saved.finished and saved.provenance.get("fingerprint") == self.fingerprint:
            return saved
        self.resume(saved)
        return None

    def save_partial(self, folder: Path) -> None:
        """Keep what is done so far; nothing before the first step."""
        # Between a step and its entry in the history an interrupt leaves one without the other: not to be saved.
        if 0 < self.steppable.step_index == len(self.history):
            # After its last step a run counts as finished, so it is saved with all that a finished one has.
            self.result(with_activity=self.finished).save(folder)

    def result(self, *, with_activity: bool | None = None) -> Reconstruction:
        """What the run has made so far.

        Parameters
        ----------
        with_activity
            Predict activity from the reconstruction; default: once finished.

        Returns
        -------
        Reconstruction
            It can be saved and gone on from.
        """
        video = self.steppable.video
        wanted = self.finished if with_activity is None else with_activity
        predicted = self.tracker.explained(self.steppable).astype(np.float32) if wanted else None
        levels, inferred = self.tracker.levels() if wanted else {}, self.steppable.inferred
        videos = self.steppable.videos if isinstance(self.steppable, VideoEnsemble) else []
        explained = {"response_correlations": self._explained(predicted)} if wanted and self.mice else {}
        return Reconstruction(
            video=video,
            history=self.history.cut(self.steppable.step_index),
            config=self.config,
            provenance={**self.provenance, **explained, "wall_seconds": self.seconds},
            stimulus=self.trial.video,
            target=self.target.activity,
            keep=self.target.neurons.keep,
            alpha=self.mask.alpha,
            videos=videos,
            predicted_activity=predicted,
            levels=levels,
            state=None if self.finished else self.steppable.state,
            mice=self._alphas(),
            gaze_px=np.stack([each.gaze_px for each in inferred]) if self.config.gaze == "inferred" else None,
            gain=np.stack([each.gain for each in inferred]) if self.config.gain == "inferred" else None,
        )

    def _alphas(self) -> list[np.ndarray]:
        """Of each of several mice, on the common screen."""
        if self.own_mask is None:
            return []
        rows, columns = self.own_mask.screen.shape
        return [self.own_mask.alpha, *(mouse.alpha_on(rows, columns) for mouse, _ in self.mice)]

    def _explained(self, predicted: np.ndarray | None) -> list[float | None]:
        """Correlation of each mouse's activity with what its encoders predict from the movie."""
        assert predicted is not None
        told = [self.tracker.activity(predicted)["response_correlation"]]
        movie = self.tracker.seen(self.steppable)
        told += [mouse.explained(movie, goal, self.encoders[0].spec.canvas) for mouse, goal in self.mice]
        return [each if np.isfinite(each) else None for each in told]


@takes_inputs
def plan_run(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    **others: Any,
) -> Run:
    """Check everything and build a run.

    Parameters
    ----------
    trial, encoders, mask, config
        As in `RunInputs`.
    others
        Everything else of `RunInputs`, by name.

    Returns
    -------
    Run
        Nothing is optimised yet.

    Raises
    ------
    ConfigError
        A setting, target, choice of neurons or decoder that cannot be used, or a clip that is too short.
    MaskError
        No pixel reaches a threshold.
    EncoderError
        An encoder does not fit the clip or another encoder.
    SessionError
        The clip holds values that are not finite, or its recorded activity is withheld.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> clip = session.trial(0).part(0, 64)
    >>> run = vr.plan_run(clip, [encoder], vr.AlphaMask.full(), vr.ReconstructionConfig.preset("fast", steps=2))
    >>> run.step().step, run.finished
    (1, False)
    """
    return Run.plan(RunInputs(trial, encoders, mask, config, **others))


def plan_recipe(
    recipe: Recipe,
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    *,
    neurons: NeuronSet,
    decoder: Decoder | None = None,
    repeats: Sequence[Trial] = (),
    with_mice: Sequence[AnotherMouse] = (),
) -> Run:
    """A run that has every setting of a recipe; raises as `plan_run`.

    Parameters
    ----------
    recipe
        Its settings.
    trial, encoders, mask, neurons, decoder, repeats, with_mice
        What the recipe names, opened.

    Returns
    -------
    Run
        Nothing is optimised yet.
    """
    together: Ensemble = "gradients" if recipe.ensemble == "gradients" else "videos"
    decided = {**choices_of(recipe), "ensemble": together, "target": recipe.target}
    opened: dict[str, Any] = {"neurons": neurons, "decoder": decoder, "repeats": repeats, "with_mice": with_mice}
    return Run.plan(RunInputs(trial, encoders, mask, recipe.config, **opened, **decided))
