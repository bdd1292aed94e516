"""Several runs driven at once from the command line, with progress and a copy of each on disk."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_vidrecon.cli.driven_run import DrivenRun, saved_run

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.run import Run


def drive_together(runs: Mapping[Path, Run], *, overwrite: bool, save_every: float, label: str) -> list[DrivenRun]:
    """Drive runs of one mouse to their end, on from what is saved at their folders.

    Parameters
    ----------
    runs
        Planned runs by their folder, with the same encoders, settings and neurons.
    overwrite
        Start anew where another run has that name; otherwise that is an error.
    save_every
        Seconds between two copies of the unfinished runs on disk.
    label
        What to call them in the progress.

    Returns
    -------
    list[DrivenRun]
        One a run, in their order.

    Raises
    ------
    RunError
        Another run, or something else, is at one of the folders.
    InUseError
        Another process is at work on one of the runs.
    Stopped
        It was stopped; what is done is saved.
    """
    from napari_vidrecon.reconstruction.run_folder import at_work_on

    with contextlib.ExitStack() as claims:
        # In one order, so that two processes with the same runs do not each hold a part of them.
        for path in sorted(runs):
            claims.enter_context(at_work_on(path))
        return _drive(runs, overwrite=overwrite, save_every=save_every, label=label)


def _drive(runs: Mapping[Path, Run], *, overwrite: bool, save_every: float, label: str) -> list[DrivenRun]:
    from napari_vidrecon.cli.progress import Progress
    from napari_vidrecon.cli.stopping import StopRequest
    from napari_vidrecon.encoders.answers import UnusableAnswer
    from napari_vidrecon.reconstruction.not_finite import NotFinite
    from napari_vidrecon.reconstruction.together import step_together

    driven: dict[Path, DrivenRun] = {}
    left: dict[Path, Run] = {}
    states: dict[Path, str] = {}
    for path, run in runs.items():
        saved = saved_run(run, path, overwrite)
        if saved is not None and saved.finished:
            seconds, done = float(saved.provenance.get("wall_seconds", float("nan"))), len(saved.history)
            driven[path] = DrivenRun(path, "already there", done, seconds, saved.scores(), run.trial.simulated)
            continue
        if saved is not None:
            run.resume(saved)
            print(f"{path}: going on from step {run.steppable.step_index}", file=sys.stderr)
        left[path], states[path] = run, "reconstructed" if saved is None else "continued"

    def steps_done() -> int:
        return sum(run.steppable.step_index for run in left.values())

    total, saved_at = sum(run.config.steps for run in left.values()), time.monotonic()
    with Progress(label, total, done=steps_done()) as progress, StopRequest() as stop:
        try:
            while going := [run for run in left.values() if not run.finished]:
                step_together(going)
                progress.update(steps_done())
                if time.monotonic() - saved_at >= save_every:
                    _save_partial(left)
                    saved_at = time.monotonic()
                stop.check()
        except KeyboardInterrupt:
            _save_partial(left)
            raise stop.stopped("stopped; what is done is kept, and the same command goes on from there") from None
        except (NotFinite, UnusableAnswer):
            # It would end the same way every time: nothing to go on from.
            raise
        except BaseException:
            _save_partial(left)
            raise
    for path, run in left.items():
        result = run.result()
        result.save(path)
        simulated = run.trial.simulated
        driven[path] = DrivenRun(path, states[path], run.config.steps, run.seconds, result.scores(), simulated)
    return [driven[path] for path in runs]


def _save_partial(runs: Mapping[Path, Run]) -> None:
    for path, run in runs.items():
        run.save_partial(path)
