"""A run of this window while it goes on, and how its result is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from napari_vidrecon.reconstruction.recipe import Recipe, most_telling
from napari_vidrecon.reconstruction.runner import Mailbox, Runner, Snapshot
from napari_vidrecon.viewer.folders import new_run_folder
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import Finished, RunRequest


@dataclass(eq=False)
class Plan:
    """What is to be run.

    Parameters
    ----------
    request
        Everything that goes in.
    predicts_only
        Only predict activity from the true movie.
    continues
        The kept run that is to go on.
    counterpart
        The other half of an error map; it is not left on the board.
    """

    request: RunRequest
    predicts_only: bool = False
    continues: RunRecord | None = None
    counterpart: bool = False

    def placed(self, model: ReconstructionModel, runs_folder: Path) -> Plan:
        """The same with a folder to keep the run in, and with what the model knows by now."""
        request = self.request
        if not self.predicts_only:
            assert model.session is not None
            folder = request.save_to or new_run_folder(runs_folder, model.session.name, request.trial.id)
            request = replace(request, save_to=folder, prediction=model.stimulus_prediction)
        return replace(self, request=request)

    def fits(self, model: ReconstructionModel) -> bool:
        """Whether it still belongs to what is open; another choice of encoders leaves a run alone."""
        if self.request.trial is not model.trial:
            return False
        return not self.predicts_only or self.has_encoders_of(model)

    def has_encoders_of(self, model: ReconstructionModel) -> bool:
        """Whether the model still chooses the same encoders."""
        recipe = self.request.recipe
        return list(map(Path, recipe.encoders)) == model.encoder_paths and recipe.mouse == model.mouse


def watched(snapshot: Snapshot | None) -> dict[int, float]:
    """Correlation of activity at each step at which it is known by a snapshot."""
    steps, values = ((), ()) if snapshot is None else snapshot.history.tracked("response_correlation")
    return {int(step): float(value) for step, value in zip(steps, values, strict=True)}


@dataclass(eq=False)
class Active:
    """A plan that is carried out.

    Parameters
    ----------
    plan
        What.
    job
        Its thread.
    mailbox
        Its newest snapshot.
    recipe
        What is in force; it follows changes that are applied while it goes on.
    runner
        Drives the run, once it has begun.
    failed
        An error ended it.
    """

    plan: Plan
    job: Job
    mailbox: Mailbox
    recipe: Recipe
    runner: Runner | None = None
    failed: bool = False

    def keep(self, finished: Finished, model: ReconstructionModel, *, show: bool) -> None:
        """Put the result among the model's runs; a run without a single step is forgotten.

        Parameters
        ----------
        finished
            What the run made.
        model
            The state of the window.
        show
            Put it on the board.
        """
        result, continues = finished.result, self.plan.continues
        last = model.snapshot if show else None
        if continues is not None and continues in (*model.runs, *model.elsewhere):
            continues.watched |= watched(last)
            continues.seen_activity = None if last is None else last.predicted_activity
            continues.path = finished.path
            model.replace_result(continues, result)
            _tell_unsaved(continues, finished, model)
            return
        if len(result.history) == 0:
            return
        elsewhere = model.session is None or self.recipe.session != str(model.session.path)
        before = model.runs[-1] if model.runs and not elsewhere else None
        record = RunRecord(
            name=f"Run {len(model.runs_of(self.recipe.session)) + 1}",
            result=result,
            recipe=self.recipe,
            changed_from_before="" if before is None else most_telling(before.recipe.differences(self.recipe)),
            path=finished.path,
            watched=watched(last),
            seen_activity=None if last is None else last.predicted_activity,
            course=model.course if show else None,
        )
        if elsewhere:
            model.add_elsewhere(record)
        else:
            model.add_run(record, show=show)
        _tell_unsaved(record, finished, model)
        if not show:
            # A new run may be the other half of the error map on the board.
            model.shown_changed.emit()


def _tell_unsaved(record: RunRecord, finished: Finished, model: ReconstructionModel) -> None:
    if finished.unsaved:
        of_session = f" of {Path(record.recipe.session).name}" if record in model.elsewhere else ""
        text = f"{record.name}{of_session} is not on disk: press Save… under Results, or it ends with the window."
        model.message.emit(f"{text} {finished.unsaved}", True)
