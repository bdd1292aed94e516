"""What a study does in its thread: estimate, or run, measure and write. The runs are worker processes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_vidrecon.viewer.background import Counted
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.studies.study_request import StudyRequest

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.studies.conducting import Written
    from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
    from napari_vidrecon.studies.runs.running import Progress
    from napari_vidrecon.studies.study import Drawing, Movie, Outcome, Plan, Study

Made = TypeVar("Made")


@dataclass(frozen=True)
class StudyRun:
    """A run of a study: its folder, and what it reconstructs."""

    path: Path
    label: str


@dataclass(frozen=True)
class Phase:
    """News: what is being done, in words."""

    text: str


@dataclass(frozen=True)
class Listed:
    """News: the runs of a study, whether they are there already or not."""

    study: str
    runs: tuple[StudyRun, ...]


@dataclass(frozen=True)
class Estimated:
    """News: what a study still costs.

    Parameters
    ----------
    runs
        Runs in all.
    missing
        Runs still to do.
    seconds
        It takes with so many workers.
    disk_bytes
        Results to come.
    workers
        How many.
    """

    runs: int
    missing: int
    seconds: float
    disk_bytes: int
    workers: int


@dataclass(frozen=True)
class StudyWritten:
    """News: a study's figures, tables and page are there."""

    study: str


def estimate(request: StudyRequest, job: Job) -> None:
    """Tell `Estimated`; a few steps of one run of each kind are timed, and nothing is kept."""
    from napari_vidrecon.studies.conducting import cost, require_libraries
    from napari_vidrecon.studies.runs.running import usual_workers

    job.tell(Phase("Timing a few steps"))
    require_libraries()
    with tempfile.TemporaryDirectory() as masks:
        plan = request.plan(Path(masks))
        studies = [_watched(study, job) for study in request.studies()]
        needed = cost(studies, plan, request.out)
    workers = request.workers or usual_workers()
    seconds = needed.worker_seconds / workers
    job.leave_if_cancelled()
    job.tell(Estimated(needed.runs, needed.missing, seconds, needed.disk_bytes, workers))


def conduct(request: StudyRequest, job: Job) -> None:
    """Tell `Phase`, `Listed`, `Counted`, `StudyWritten`; a job that is left keeps the runs that are finished."""
    from napari_vidrecon.studies import conducting

    def counted(progress: Progress) -> None:
        job.leave_if_cancelled()
        job.tell(Counted(progress.done, progress.total, progress.label))

    def written(each: Written) -> None:
        job.tell(StudyWritten(each.name))

    conducting.require_libraries()
    job.tell(Phase("Looking which runs are there already"))
    plan = request.plan(request.out)
    studies = request.studies()
    _list_runs(studies, plan, request.out, job)
    job.tell(Phase("Starting worker processes"))
    conducting.conduct(
        [_watched(study, job) for study in studies],
        plan,
        request.out,
        workers=request.workers,
        device=request.device,
        on_progress=counted,
        on_written=written,
    )


def _list_runs(studies: Sequence[Study], plan: Plan, out: Path, job: Job) -> None:
    from napari_vidrecon.studies.conducting import grid
    from napari_vidrecon.studies.runs.run_spec import RunStore

    store = RunStore(out)
    for study in studies:
        job.leave_if_cancelled()
        runs = grid([study], plan, store)
        job.tell(Listed(study.name, tuple(StudyRun(folder, spec.label) for folder, spec in runs.items())))


def _watched(study: Study, job: Job) -> Study:
    """The same study, which can be left between its parts and says what it does."""

    def told(text: str, make: Callable[..., Made]) -> Callable[..., Made]:
        def watched(*arguments: Any) -> Made:
            job.leave_if_cancelled()
            if text:
                job.tell(Phase(f"{study.title}: {text}"))
            return make(*arguments)

        return watched

    def movie(each: Movie) -> Movie:
        def frames() -> Iterator[np.ndarray]:
            for frame in told(f"movie {each.name}", each.frames)():
                job.leave_if_cancelled()
                yield frame

        return replace(each, frames=frames)

    def drawing(each: Drawing) -> Drawing:
        return replace(each, draw=told(f"figure {each.name}", each.draw))

    def evaluate(plan: Plan, store: RunStore) -> Outcome:
        outcome = told("measuring", study.evaluate)(plan, store)
        drawings, movies = list(map(drawing, outcome.drawings)), list(map(movie, outcome.movies))
        return replace(outcome, drawings=drawings, movies=movies)

    runs: Callable[[Plan], Sequence[RunSpec]] = told("", study.runs)
    return replace(study, runs=runs, evaluate=evaluate)
