"""A study from beginning to end: run what is missing, measure, write."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from napari_vidrecon.errors import ConfigError, RunError, VidreconError, number_of, one_line
from napari_vidrecon.storage import claimed, disk_errors, recover_folder
from napari_vidrecon.studies.mice import require_one_screen
from napari_vidrecon.studies.page import PAGE, gallery_page, require_own_page, write_outcome, write_page
from napari_vidrecon.studies.runs.published_results import NOTE, open_published
from napari_vidrecon.studies.runs.run_spec import RUNS_FOLDER, RunSpec, RunStore, without_repeats
from napari_vidrecon.studies.runs.running import Progress, run_all
from napari_vidrecon.studies.study import Outcome, Plan, Study

MOST_DIGITS = 6
REQUIRED = ("pandas", "pyarrow", "pingouin", "statsmodels", "distributed")


@dataclass(frozen=True)
class Written:
    """A study that was written.

    Parameters
    ----------
    name
        Of the study.
    page
        Its HTML page.
    outcome
        What it found.
    computed
        Runs computed by this call.
    """

    name: str
    page: Path
    outcome: Outcome
    computed: int


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of the runs of some studies, for machines that share nothing but a folder.

    Parameters
    ----------
    number
        Which part, 1 to `of`.
    of
        Parts in all.
    """

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read "2/8".

        Parameters
        ----------
        text
            As it was given.

        Returns
        -------
        Self
            The part.

        Raises
        ------
        ConfigError
            No such part.
        """
        number, slash, of = text.partition("/")
        # As many digits as could ever be meant: int() takes a long time over millions of them.
        known = slash and all(each.isdecimal() and len(each) <= MOST_DIGITS for each in (number, of))
        if not known or not 1 <= int(number) <= int(of):
            raise ConfigError(f"--shard: expected a part and how many there are, such as 2/8, found {one_line(text)!r}")
        return cls(int(number), int(of))

    def of_runs(self, runs: Mapping[Path, RunSpec]) -> dict[Path, RunSpec]:
        """Its runs; each run belongs to exactly one part, the same on every machine."""
        # A folder's name is a hash of the run: in its order, no part gets all of the longest.
        return {folder: runs[folder] for folder in sorted(runs)[self.number - 1 :: self.of]}


@dataclass(frozen=True)
class Computed:
    """What a part of the runs came to.

    Parameters
    ----------
    computed
        Runs computed by this call.
    finished, total
        Runs of all parts that are there, and that there are to be.
    """

    computed: int
    finished: int
    total: int


def require_libraries() -> None:
    """Refuse to start a study whose libraries are missing.

    Raises
    ------
    ConfigError
        Names them, and says how to get them.
    """
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"studies: expected {', '.join(missing)}, found none; pip install 'napari-vidrecon[studies]'")


def grid(studies: Sequence[Study], plan: Plan, store: RunStore) -> dict[Path, RunSpec]:
    """Every run of some studies, each once, by folder.

    Parameters
    ----------
    studies
        Whose runs are wanted.
    plan
        Mice and scale.
    store
        Knows the folder of every run.

    Returns
    -------
    dict[Path, RunSpec]
        {folder: run}.
    """
    specs = [spec for study in studies for spec in study.runs(plan)]
    return {store.folder(key): spec for key, spec in without_repeats(specs, store.keys).items()}


def cost(studies: Sequence[Study], plan: Plan, out: Path) -> Cost:
    """What the studies would cost from now on.

    Parameters
    ----------
    studies
        To estimate.
    plan
        Mice and scale.
    out
        Folder of the studies, with the runs that are done.

    Returns
    -------
    Cost
        Runs, time and disk space that are missing.
    """
    store = RunStore(out)
    runs = grid(studies, plan, store)
    return estimate(runs, {folder: spec for folder, spec in runs.items() if not store.has(folder.stem)})


def conduct(
    studies: Sequence[Study],
    plan: Plan,
    out: Path,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    on_written: Callable[[Written], None] | None = None,
) -> list[Written]:
    """Run what is missing of some studies, then measure and write each.

    Other parameters as for `run_all`.

    Parameters
    ----------
    studies
        To write, in this order.
    plan
        Mice and scale.
    out
        Folder of the studies; runs lie in `out/runs`, each study in `out/<name>`.
    scheduler
        Address of a Dask scheduler, e.g. "tcp://node1:8786"; None: a cluster of this machine.
    workers
        Processes of the local cluster; None: one a GPU, or one a CPU core.
    device
        "auto", "cpu", "cuda", ...; with auto, local workers share the GPUs out among them.
    on_progress
        Called as runs finish.
    on_written
        Called after each study is written.

    Returns
    -------
    list[Written]
        In the order of `studies`.

    Raises
    ------
    VidreconError
        An input is at fault, a run failed, or nothing can be written. One study that cannot be measured keeps none of
        the others from being written.
    """
    store, runs = _prepared(studies, plan, out)
    with _working_on(studies, out):
        computed = run_all(runs, scheduler=scheduler, workers=workers, device=device, on_progress=on_progress)
        written: list[Written] = []
        failed: dict[str, Exception] = {}
        for study in studies:
            own = without_repeats(study.runs(plan), store.keys)
            try:
                written.append(_measure(study, plan, store, own, computed))
            except Exception as error:  # noqa: BLE001  # hours of runs are there, and other studies to be made of them
                failed[study.name] = error
                continue
            if on_written is not None:
                on_written(written[-1])
        if len(studies) > 1 and written:
            _write_gallery([study for study in studies if study.name not in failed], plan, written, out)
    _require_all_measured(failed, written, out)
    return written


def _require_all_measured(failed: Mapping[str, Exception], written: Sequence[Written], out: Path) -> None:
    """Tell what could not be measured; a fault of the program before any other."""
    errors = list(failed.values())
    unforeseen = [error for error in errors if not isinstance(error, VidreconError)]
    if unforeseen or (len(errors) == 1 and not written):
        raise (unforeseen or errors)[0]
    if errors:
        told = "; ".join(f"{name}: {error}" for name, error in failed.items())
        there = f"the other {len(written)} are written there" if written else "its runs are kept"
        raise RunError(f"{out}: {number_of(len(failed), 'study', 'studies')} could not be measured, {there}: {told}")


def _prepared(studies: Sequence[Study], plan: Plan, out: Path) -> tuple[RunStore, dict[Path, RunSpec]]:
    """Where the runs lie, and the runs that are needed, once everything that they need is known to be there."""
    require_libraries()
    require_one_screen(plan.mice)
    for mouse in plan.mice:
        mouse.require_readable()
    store = RunStore(out)
    return store, grid(studies, plan, store)


def compute_shard(
    studies: Sequence[Study],
    plan: Plan,
    out: Path,
    shard: Shard,
    *,
    workers: int | None = None,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
) -> Computed:
    """Run what is missing of one part of some studies, and measure nothing; other parts may run at the same time.

    Parameters
    ----------
    studies, plan, out, workers, device, on_progress
        As for `conduct`, which measures and writes once all parts are there.
    shard
        Which part.

    Returns
    -------
    Computed
        Runs done here, and how many of all are there.

    Raises
    ------
    VidreconError
        An input is at fault, or a run failed.
    """
    store, runs = _prepared(studies, plan, out)
    computed = run_all(shard.of_runs(runs), workers=workers, device=device, on_progress=on_progress)
    return Computed(computed, sum(store.has(folder.stem) for folder in runs), len(runs))


@contextlib.contextmanager
def _working_on(studies: Sequence[Study], out: Path) -> Iterator[None]:
    """Keep other processes from the same studies, and clear up after those that were killed there.

    Raises
    ------
    StorageError
        Another process is at work on one of them, or a page that this program did not write is there.
    """
    pages = [out / study.name / PAGE for study in studies]
    for page in [*pages, *([out / PAGE] if len(studies) > 1 else [])]:
        require_own_page(page)
    made = not out.exists()
    with contextlib.ExitStack() as stack:
        if made:
            # What was made for the locks alone goes with them.
            stack.callback(_remove_empty, out)
        recover_folder(out / RUNS_FOLDER / PAGE)
        for page in pages:
            with disk_errors(page.parent):
                recover_folder(page.parent)
                stack.enter_context(claimed(page.parent, "study"))
        yield


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def conduct_published(study: Study, places: Sequence[Path], out: Path) -> Written:
    """Measure and write a study of published results instead of runs of one's own.

    Parameters
    ----------
    study
        Of the standard method.
    places
        Files `reconstruction_summary_*.npy`, or folders that hold such files, of the standard method.
    out
        Folder of the studies.

    Returns
    -------
    Written
        Nothing was computed.

    Raises
    ------
    VidreconError
        A file is at fault, the study needs results that are not there, or nothing can be written.
    """
    require_libraries()
    plan, store = open_published(places, out)
    store.require(study.runs(plan))
    with _working_on([study], out):
        return _measure(study, plan, store, {}, 0, [NOTE])


def _measure(
    study: Study,
    plan: Plan,
    store: RunStore,
    runs: Mapping[str, RunSpec],
    computed: int,
    notes: Sequence[str] = (),
) -> Written:
    outcome = study.evaluate(plan, store)
    outcome.notes += notes
    return Written(study.name, write_outcome(study, plan, runs, outcome, store.out / study.name), outcome, computed)


def _write_gallery(studies: Sequence[Study], plan: Plan, written: Sequence[Written], out: Path) -> None:
    entries = [
        (
            f"{study.name}/{PAGE}",
            study.title,
            f"Bauer et al. 2026: {study.panels}",
            [f"{study.name}/figures/{drawing.name}.png" for drawing in each.outcome.drawings],
        )
        for study, each in zip(studies, written, strict=True)
    ]
    write_page(out / PAGE, gallery_page("Studies", entries, simulated=plan.simulated))


BYTES_A_FLOAT = 4
PREDICTIONS_AT_THE_END = 3
TIMED_STEPS = 2


@dataclass(frozen=True)
class Cost:
    """What is missing of some studies.

    Parameters
    ----------
    runs
        Runs in all.
    missing
        Runs still to do.
    worker_seconds
        Work of one worker.
    disk_bytes
        Results still to come.
    """

    runs: int
    missing: int
    worker_seconds: float
    disk_bytes: int


def estimate(runs: Mapping[Path, RunSpec], missing: Mapping[Path, RunSpec]) -> Cost:
    """Time the first steps of one run of each kind, and count.

    A kind is a mouse, a number of encoders and a configuration; the time of a step hardly depends on anything else.

    Parameters
    ----------
    runs
        All runs, by folder.
    missing
        Those not finished.

    Returns
    -------
    Cost
        Of one worker.
    """
    seconds, disk = 0.0, 0
    known: dict[tuple[object, ...], tuple[float, int]] = {}
    for spec in missing.values():
        stimulus = type(spec.stimulus).__name__ if spec.stimulus is not None else ""
        kind = (spec.mouse.name, len(spec.encoders), len(spec.target_encoders), spec.config, spec.frames, stimulus)
        if kind not in known:
            known[kind] = _timed(spec)
        seconds += known[kind][0]
        disk += known[kind][1]
    return Cost(len(runs), len(missing), seconds, disk)


def _timed(spec: RunSpec) -> tuple[float, int]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        began = time.perf_counter()
        run = spec.plan()
        setup = time.perf_counter() - began
        run.step()
        times = [run.step().seconds for _ in range(TIMED_STEPS)]
        began = time.perf_counter()
        for encoder in run.encoders:
            encoder.predict(run.trial.video, run.trial.behavior, run.trial.pupil_center)
        prediction = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    seconds = setup + min(times) * spec.config.steps + PREDICTIONS_AT_THE_END * prediction
    values = 2 * run.trial.video.size + 2 * run.target.activity.size
    return seconds, values * BYTES_A_FLOAT
