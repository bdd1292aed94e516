"""A study asked for in the window, taken when it is asked, and the job that runs it in a thread of its own."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_vidrecon.errors import ConfigError, MaskError
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.background import Counted
from napari_vidrecon.viewer.runs.jobs import Job

if TYPE_CHECKING:
    from napari_vidrecon.studies.conducting import Written
    from napari_vidrecon.studies.mice import Mouse
    from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
    from napari_vidrecon.studies.runs.running import Progress
    from napari_vidrecon.studies.study import Drawing, Movie, Outcome, Plan, Study
    from napari_vidrecon.viewer.model import ReconstructionModel


MASK_LETTERS = 12


@dataclass(frozen=True, eq=False)
class BoardMouse:
    """The mouse on the board.

    Parameters
    ----------
    session, encoders
        Where they lie.
    mask
        As it is now; it may have been painted.
    readout
        Of the encoders; None chooses by the number of neurons.
    """

    session: Path
    encoders: tuple[Path, ...]
    mask: AlphaMask
    readout: int | None = None

    @classmethod
    def of(cls, model: ReconstructionModel) -> BoardMouse:
        """Take it from the model.

        Returns
        -------
        BoardMouse
            Its files, mask and readout.

        Raises
        ------
        ConfigError
            No session is open, or no encoder is chosen.
        """
        if model.session is None or not model.encoder_paths:
            raise ConfigError("the mouse on the board: open a session and choose its encoders first, under Data")
        return cls(model.session.path, tuple(model.encoder_paths), model.mask, model.mouse)

    def as_mouse(self, folder: Path) -> Mouse:
        """The same by its files; a mask that is in no file is written into a folder first."""
        from napari_vidrecon.studies.mice import one_mouse

        readout = None if self.readout is None else str(self.readout)
        return one_mouse(self.session, self.encoders, self._mask_file(folder), readout)

    def _mask_file(self, folder: Path) -> Path:
        source = Path(self.mask.source)
        try:
            if self.mask.source and np.array_equal(AlphaMask.load(source).alpha, self.mask.alpha):
                return source
        except MaskError:
            pass  # painted, fitted, or changed since: its source says how it was made, not where it lies
        digest = hashlib.sha256(self.mask.alpha.tobytes()).hexdigest()[:MASK_LETTERS]
        file = folder / f"mask_{digest}.npy"
        self.mask.save(file)
        return file


@dataclass(frozen=True, eq=False)
class StudyRequest:
    """Studies to run, on whom, how large, and where to.

    Parameters
    ----------
    names
        Of the studies.
    mice
        The mouse on the board, a file that lists mice, or None for the simulated mouse of the package.
    scale
        "quick" or "paper".
    out
        Folder of runs and results.
    workers
        Processes; None for one a GPU or one a core.
    device
        "auto", "cpu" ...
    """

    names: tuple[str, ...]
    mice: BoardMouse | Path | None
    scale: str
    out: Path
    workers: int | None = None
    device: str = "auto"

    def studies(self) -> tuple[Study, ...]:
        """The studies, in the order of the catalogue."""
        from napari_vidrecon.studies import catalogue

        return tuple(study for study in catalogue.all_studies() if study.name in self.names)

    def plan(self, masks: Path) -> Plan:
        """Mice and scale, as the core wants them.

        Parameters
        ----------
        masks
            Folder for a mask that lies in no file yet.

        Returns
        -------
        Plan
            Files are opened when they are needed.

        Raises
        ------
        VidreconError
            The sample is missing, a list cannot be read, or a mask cannot be written.
        """
        from napari_vidrecon.studies.mice import read_mice, sample_mouse
        from napari_vidrecon.studies.scale import scale_named
        from napari_vidrecon.studies.study import Plan

        mice: tuple[Mouse, ...]
        if isinstance(self.mice, BoardMouse):
            mice = (self.mice.as_mouse(masks),)
        else:
            mice = (sample_mouse(),) if self.mice is None else read_mice(self.mice)
        return Plan(mice, scale_named(self.scale))


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
