"""Several reconstructions at once, beside the same ones in turn."""

from __future__ import annotations

from collections.abc import Sequence

from napari_vidrecon.reconstruction.run import Run
from napari_vidrecon.reconstruction.together import step_together


def run_in_turn(runs: Sequence[Run]) -> None:
    """Finish one run after the other."""
    for run in runs:
        finish(run)


def run_at_once(runs: Sequence[Run]) -> None:
    """Finish all runs in step, their windows computed together."""
    while going := [run for run in runs if not run.finished]:
        step_together(going)


def finish(run: Run) -> None:
    """Do all steps that are left."""
    while not run.finished:
        run.step()
