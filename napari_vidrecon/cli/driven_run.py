"""Runs driven to their end from the command line: with progress, a copy on disk, and on from where they were."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.cli.report import Progress, StopRequest, duration_text, number, tell
from napari_vidrecon.errors import RunError, VidreconError, number_of, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.reconstruction.run import Run


@dataclass(frozen=True)
class DrivenRun:
    """What became of one run.

    Parameters
    ----------
    path
        Its folder.
    state
        "reconstructed", "continued" or "already there".
    steps
        Done in all.
    seconds
        Time taken.
    scores
        By name.
    simulated
        The mouse is a simulation.
    has_movie
        Whether anything tells what was shown.
    mice
        Scores inside the mask of each mouse, by its name, if there are several.
    colours
        Scores in each colour, by its name, if there are several.
    inferred
        What else was inferred, in words, by name.
    """

    path: Path
    state: str
    steps: int
    seconds: float
    scores: dict[str, float]
    simulated: bool
    has_movie: bool = True
    mice: dict[str, dict[str, float]] = field(default_factory=dict)
    colours: dict[str, dict[str, float]] = field(default_factory=dict)
    inferred: dict[str, str] = field(default_factory=dict)

    @classmethod
    def there(cls, path: Path, run: Run, saved: Reconstruction) -> DrivenRun:
        """One of which nothing is left to do.

        Parameters
        ----------
        path, run
            The planned one, and its folder.
        saved
            What is there.

        Returns
        -------
        DrivenRun
            As `of` gives it.
        """
        seconds = float(saved.provenance.get("wall_seconds", float("nan")))
        return cls.of(path, "already there", len(saved.history), seconds, run, saved)

    @classmethod
    def of(cls, path: Path, state: str, steps: int, seconds: float, run: Run, result: Reconstruction) -> DrivenRun:
        """What became of a run, with the scores of its result.

        Parameters
        ----------
        path, state, steps, seconds
            As the class has them.
        run
            The planned one.
        result
            What it made.

        Returns
        -------
        DrivenRun
            With scores inside the mask of each mouse, if there are several.
        """
        scores, mice = result.scores(), result.scores_by_mouse()
        told = run.trial.simulated, run.trial.has_movie, mice, result.scores_by_colour(), result.inferred()
        return cls(path, state, steps, seconds, scores, *told)

    def summary(self) -> dict[str, Any]:
        """Plain values."""
        by_mouse = {"mice": self.mice} if self.mice else {}
        by_colour = {"colours": self.colours} if self.colours else {}
        told = {"run": self.path, "state": self.state, "steps": self.steps, "seconds": self.seconds}
        return {**told, **self.scores, **by_mouse, **by_colour, **self.inferred}

    def line(self, clip: str) -> str:
        """One line for people; one more for each of several mice or colours."""
        from napari_vidrecon.reconstruction.history import UNCHECKED

        mouse = " of the simulated mouse" if self.simulated else ""
        unchecked = f"activity correlation {number(self.scores['response_correlation'])}; {UNCHECKED}"
        quality = (
            f"video correlation {number(self.scores['video_correlation'])}, "
            f"mean frame correlation {number(self.scores['mean_frame_correlation'])}"
        )
        quality = quality if self.has_movie else unchecked
        effort = "already there" if self.state == "already there" else number_of(self.steps, "step")
        place = str(self.path).replace("\n", " ")
        whole = f"{one_line(clip)}{mouse}: {quality} ({effort}, {duration_text(self.seconds)}) -> {place}"
        inferred = [f"{name} {told}" for name, told in self.inferred.items()]
        lines = [*inferred, *self._lines_of_mice(), *self._lines_of_colours()]
        return "\n".join([whole, *(f"  {line}" for line in lines)])

    def _lines_of_colours(self) -> list[str]:
        return [
            f"in {name} ({scores['pixels']:.0f} px of the mask): "
            f"video correlation {number(scores['video_correlation'])}"
            for name, scores in self.colours.items()
        ]

    def _lines_of_mice(self) -> list[str]:
        return [
            f"inside the mask of {name} ({scores['pixels']:.0f} px): "
            f"video correlation {number(scores['video_correlation'])}, "
            f"its activity explained {number(scores['response_correlation'])}"
            for name, scores in self.mice.items()
        ]


def drive_run(
    run: Run, path: Path, *, overwrite: bool, save_every: float, label: str, stop_after: int | None = None
) -> DrivenRun:
    """Drive a run to its end with progress on stderr, on from what is saved at `path`.

    Parameters
    ----------
    run
        A planned run.
    path
        Its folder.
    overwrite
        Start anew where another run has that name; otherwise that is an error.
    save_every
        Seconds between two copies of the unfinished run on disk.
    label
        What to call it in the progress.
    stop_after
        End after so many of its steps; default: all.

    Returns
    -------
    DrivenRun
        What became of it.

    Raises
    ------
    RunError
        Another run, or something else, is at `path`.
    InUseError
        Another process is at work on this run.
    Stopped
        It was stopped; what is done is saved.
    """
    from napari_vidrecon.reconstruction.run_folder import at_work_on

    with at_work_on(path):
        return _drive(run, path, overwrite=overwrite, save_every=save_every, label=label, stop_after=stop_after)


def _drive(
    run: Run, path: Path, *, overwrite: bool, save_every: float, label: str, stop_after: int | None
) -> DrivenRun:
    from napari_vidrecon.reconstruction.reconstructor import StepInfo
    from napari_vidrecon.reconstruction.runner import Runner

    saved = saved_run(run, path, overwrite)
    steps = run.config.steps if stop_after is None else min(stop_after, run.config.steps)
    if saved is not None and (saved.finished or len(saved.history) >= steps):
        return DrivenRun.there(path, run, saved)
    if saved is not None:
        run.resume(saved)
        tell(f"{label}: going on from step {run.steppable.step_index} of {path}")
    with Progress(label, steps, done=run.steppable.step_index) as progress, StopRequest() as stop:

        def on_step(info: StepInfo) -> bool:
            correlation = run.history.last("video_correlation")
            progress.update(info.step, "" if math.isnan(correlation) else f"video correlation {correlation:.3f}")
            if info.step < steps:
                stop.check()
            return info.step < steps

        runner = Runner(run, on_step=on_step, save_to=path, save_every_seconds=save_every)
        try:
            result = runner.drive()
        except KeyboardInterrupt:
            raise stop.stopped(_kept(run, path)) from None
        except VidreconError as error:
            if not path.exists():
                raise
            raise RunError(f"{error}; {path} holds what was saved of it before") from error
        state = "reconstructed" if saved is None else "continued"
        driven = DrivenRun.of(path, state, steps, run.seconds, run, result)
        if stop.asked:
            raise stop.stopped(f"stopped after the run at {path} was complete")
    return driven


def _kept(run: Run, path: Path) -> str:
    done = run.steppable.step_index
    if not path.exists():
        return "stopped before the first step was done; nothing was written"
    return (
        f"stopped after step {done} of {run.config.steps}; what is done is kept in {path}, "
        "and the same command goes on from there"
    )


def saved_run(run: Run, path: Path, overwrite: bool) -> Reconstruction | None:
    """What is saved of this very run, or None to start anew.

    Parameters
    ----------
    run
        As it is planned now.
    path
        Its folder.
    overwrite
        Replace another run that has the name.

    Returns
    -------
    Reconstruction or None
        Finished or partial.

    Raises
    ------
    RunError
        Something else has the name, and is not to be replaced.
    """
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.reconstruction.run_folder import check_replaceable, not_of_the_run, shown

    if not os.path.lexists(path):
        return None
    if overwrite:
        check_replaceable(path)
        kept = not_of_the_run(path)
        if kept:
            tell(f"{path}: {shown(kept)} is no part of a run and stays where it is")
        try:
            saved = Reconstruction.load(path)
        except RunError:
            return None
        return saved if not differences(run, saved) and not saved.finished else None
    saved = Reconstruction.load(path)
    other = differences(run, saved)
    if other:
        raise RunError(
            f"{path}: expected this run or nothing, found one that differs in {', '.join(other)}; "
            "give --overwrite to replace it, or another --out"
        )
    return saved


def differences(run: Run, saved: Reconstruction) -> list[str]:
    """In what a saved run differs from one that is planned, in words; empty if it is the same run."""
    if saved.provenance.get("changes"):
        return ["settings that were changed while it went on"]
    if saved.provenance.get("fingerprint") == run.fingerprint:
        return []
    fields = [f"{name} ({there} there)" for name, (_, there) in run.config.differences(saved.config).items()]
    known = (
        *("trial", "session", "clip", "encoders", "target", "neurons", "ablation", "mask"),
        *("mask_threshold", "evaluation_threshold", "ensemble", "decoder"),
    )
    return fields + [name for name in known if saved.provenance.get(name) != run.provenance.get(name)]


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
        return _drive_all(runs, overwrite=overwrite, save_every=save_every, label=label)


def _drive_all(runs: Mapping[Path, Run], *, overwrite: bool, save_every: float, label: str) -> list[DrivenRun]:
    from napari_vidrecon.reconstruction.together import drive_together as step_all

    driven: dict[Path, DrivenRun] = {}
    left: dict[Path, Run] = {}
    states: dict[Path, str] = {}
    for path, run in runs.items():
        saved = saved_run(run, path, overwrite)
        if saved is not None and saved.finished:
            driven[path] = DrivenRun.there(path, run, saved)
            continue
        if saved is not None:
            run.resume(saved)
            tell(f"{path}: going on from step {run.steppable.step_index}")
        left[path], states[path] = run, "reconstructed" if saved is None else "continued"

    def steps_done() -> int:
        return sum(run.steppable.step_index for run in left.values())

    total = sum(run.config.steps for run in left.values())
    kept = "stopped; what is done is kept, and the same command goes on from there"
    with Progress(label, total, done=steps_done()) as progress, StopRequest(kept=kept) as stop:

        def on_step() -> None:
            progress.update(steps_done())
            stop.check()

        results = step_all(left, on_step, save_every)
    for (path, run), result in zip(left.items(), results, strict=True):
        driven[path] = DrivenRun.of(path, states[path], run.config.steps, run.seconds, run, result)
    return [driven[path] for path in runs]
