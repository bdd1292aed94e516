"""A study asked for in the window, taken when it is asked; its job, in a process of its own; and how far it is."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_vidrecon.errors import ConfigError, MaskError
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.studies import process
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.runs.jobs import Cancelled, Job

if TYPE_CHECKING:
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
            raise ConfigError("the mouse on the board: open a session and choose its encoders first, under What")
        return cls(model.session.path, tuple(model.encoder_paths), model.mask, model.mouse)

    def as_files(self, folder: Path) -> dict[str, Any]:
        """The same by its files, as `process.Ask` names them; a mask in no file is written into a folder first."""
        return {
            "session": str(self.session.absolute()),
            "encoders": tuple(str(path.absolute()) for path in self.encoders),
            "mask": str(self._mask_file(folder).absolute()),
            "readout": None if self.readout is None else str(self.readout),
        }

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

    def ask(self, masks: Path, *, only_estimate: bool = False) -> process.Ask:
        """The same as plain values, for another process.

        Parameters
        ----------
        masks
            Folder for a mask that lies in no file yet.
        only_estimate
            Say what it would cost, and run nothing.

        Returns
        -------
        process.Ask
            Files are opened when they are needed.

        Raises
        ------
        StorageError
            A mask cannot be written.
        """
        board = self.mice if isinstance(self.mice, BoardMouse) else None
        return process.Ask(
            names=self.names,
            scale=self.scale,
            out=str(self.out.absolute()),
            mice=str(self.mice.absolute()) if isinstance(self.mice, Path) else "",
            **({} if board is None else board.as_files(masks)),
            workers=self.workers,
            device=self.device,
            only_estimate=only_estimate,
        )


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
    with tempfile.TemporaryDirectory() as masks:
        _work(request.ask(Path(masks), only_estimate=True), job)


def conduct(request: StudyRequest, job: Job) -> None:
    """Tell `Phase`, `Listed`, `Counted`, `StudyWritten`; a job that is left keeps the runs that are finished."""
    _work(request.ask(request.out), job)


def _work(ask: process.Ask, job: Job) -> None:
    """In a process of its own, so that a window outlives whatever happens there."""
    try:
        process.run_apart(ask, lambda news: job.tell(_in_words(news)), job.cancelled)
    except process.Left:
        raise Cancelled from None


def _in_words(told: dict[str, Any]) -> Any:
    """News of the process as news of the window."""
    ((kind, value),) = told.items()
    if kind == "phase":
        return Phase(value)
    if kind == "listed":
        study, runs = value
        return Listed(study, tuple(StudyRun(Path(folder), label) for folder, label in runs))
    if kind == "counted":
        return Counted(*value)
    return Estimated(**value) if kind == "estimated" else StudyWritten(value)


class StudyController(Background):
    """Estimate, start and stop studies.

    One call at a time. It ends with the window; finished runs stay, and the same request goes on from there.

    Attributes
    ----------
    request
        What goes on, or went on last.
    phase
        What is being done, in words; empty at rest.
    counted
        How many runs are done, and which was the last; None before the first worker is there.
    estimated
        The last estimate, or None.
    written
        How many studies were written by this window.
    fault
        Why it ended, one line; empty if nothing went wrong.
    stopped
        The last call was stopped.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self.request: StudyRequest | None = None
        self.phase = ""
        self.estimated: Estimated | None = None
        self.written = 0
        self.fault = ""
        self.stopped = False
        self._runs: dict[tuple[Path, str], tuple[StudyRun, ...]] = {}

    def runs_of(self, out: Path, study: str) -> tuple[StudyRun, ...]:
        """The runs of a study that was begun in this window, whether they are there yet or not."""
        return self._runs.get((out, study), ())

    def estimate(self, request: StudyRequest) -> None:
        """Find out how many runs are left and how long they take."""
        self._begin(request, estimate, "vidrecon-estimate")

    def start(self, request: StudyRequest) -> None:
        """Run what is missing, then measure and write."""
        self._begin(request, conduct, "vidrecon-study")

    def _begin(self, request: StudyRequest, work: Callable[[StudyRequest, Job], None], name: str) -> None:
        if not self.free:
            return
        self.request, self.phase, self.estimated = request, "Preparing", None
        self.fault, self.stopped = "", False
        self.begin(Job(partial(work, request), name))

    def on_news(self, job: Job, news: Any) -> None:
        """What is done now, what was found out, what was written."""
        assert self.request is not None
        if isinstance(news, Phase):
            self.phase, self.counted = news.text, None
        elif isinstance(news, Listed):
            self._runs[self.request.out, news.study] = news.runs
        elif isinstance(news, Estimated):
            self.estimated = news
        elif isinstance(news, StudyWritten):
            self.written += 1
            self.model.message.emit(f"The study “{news.study}” is written; see Studies.", False)

    def on_failure(self, job: Job, message: str) -> None:
        """It is told beside the buttons."""
        self.fault = message

    def on_end(self, job: Job) -> None:
        """Finished runs stay."""
        self.stopped, self.phase = job.cancelled.is_set(), ""
