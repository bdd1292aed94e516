"""A run of this window, as the list of runs shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.analysis.excess import Added
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import Snapshot

LONGEST_SECONDS = 1e9
MOST_BYTES = 64 << 20
WHITE = 255


@dataclass(frozen=True, eq=False)
class Stage:
    """A run as it was at a step.

    Parameters
    ----------
    step
        Steps done.
    movie
        (T, rows, columns) uint8.
    activity
        (N, T) float16 predicted from it, or None.
    """

    step: int
    movie: np.ndarray
    activity: np.ndarray | None

    def as_floats(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Movie and activity as those of a run are."""
        return self.movie.astype(np.float32), None if self.activity is None else self.activity.astype(np.float32)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.movie.nbytes + (0 if self.activity is None else self.activity.nbytes)


class Course:
    """How a run came: some of its stages, in as much memory as is allowed; of too many, every second is forgotten.

    Parameters
    ----------
    most_bytes
        That all stages may take.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes, self._every = most_bytes, 1
        self.stages: list[Stage] = []

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, where it is time for one."""
        step = snapshot.info.step
        if self.stages and step < self.stages[-1].step + self._every:
            return
        levels = np.rint(np.clip(snapshot.video, 0, WHITE)).astype(np.uint8)
        activity = snapshot.predicted_activity
        self.stages.append(Stage(step, levels, None if activity is None else activity.astype(np.float16)))
        while len(self.stages) > 2 and sum(stage.size for stage in self.stages) > self._most_bytes:
            self._every *= 2
            self.stages = [*self.stages[:-1:2], self.stages[-1]] if len(self.stages) % 2 == 0 else self.stages[::2]

    def at(self, step: float) -> Stage | None:
        """The stage nearest to a step; None of no stages."""
        return min(self.stages, key=lambda stage: abs(stage.step - step), default=None)


@dataclass(eq=False)
class RunRecord:
    """One run of this window; equal only to itself.

    Parameters
    ----------
    name
        For people; may be changed.
    result
        What it made.
    recipe
        What went in.
    changed_from_before
        What differs from the run before, in words.
    path
        Its folder on disk, where it is kept.
    watched
        Correlation of activity at the steps that were watched, by step; the run itself measured it at others.
    seen_activity
        (N, T) predicted from it when it was stopped; a run that was not finished holds none itself.
    course
        How it came; None for a run that was not made in this window.
    added
        What the brain adds to its clip; None until somebody asked for it.
    """

    name: str
    result: Reconstruction
    recipe: Recipe
    changed_from_before: str = ""
    path: Path | None = None
    watched: dict[int, float] = field(default_factory=dict)
    seen_activity: np.ndarray | None = None
    course: Course | None = None
    added: Added | None = None
    _told_by_colour: tuple[Reconstruction, str] | None = field(default=None, init=False, repr=False)

    @property
    def activity(self) -> np.ndarray | None:
        """(N, T) predicted from it, where known."""
        held = self.result.predicted_activity
        return self.seen_activity if held is None else held

    @property
    def history(self) -> History:
        """Of the run, with what was seen of it on the way."""
        if not self.watched:
            return self.result.history
        return self.result.history.filled("response_correlation", self.watched)

    @property
    def correlation(self) -> float:
        """Video correlation at the end (inside the evaluation mask of the run)."""
        return self.result.history.last("video_correlation")

    @property
    def seconds(self) -> float:
        """How long it took; NaN where that is not told."""
        told = self.result.provenance.get("wall_seconds")
        return float(told) if isinstance(told, (int, float)) and 0 <= told < LONGEST_SECONDS else float("nan")

    @property
    def by_colour(self) -> str:
        """Video correlation of each colour, in words; empty for grey levels, and where there is none."""
        if self._told_by_colour is None or self._told_by_colour[0] is not self.result:
            by_colour = self.result.correlation_by_colour().items()
            told = [f"{name} {found:.2f}" for name, found in by_colour if np.isfinite(found)]
            self._told_by_colour = self.result, ", ".join(told)
        return self._told_by_colour[1]

    @cached_property
    def uncertainty(self) -> np.ndarray | None:
        """(T, rows, columns) spread of its movies, grey levels; None for a run that made one movie only."""
        if len(self.result.videos) < 2:
            return None
        return uncertainty_map(self.result.videos, self.result.config.uncertainty_scale, self.result.planes)


def counterpart_of(recipe: Recipe, records: Sequence[RunRecord]) -> RunRecord | None:
    """The newest run like this one in all but its target: predicted where that is recorded.

    Of such a pair the error map takes the difference (Bauer et al. 2026, Fig. 6); None if there is none yet.

    Returns
    -------
    RunRecord | None
        Of the same window.
    """
    wanted = recipe.for_counterpart()
    return next((record for record in reversed(records) if not record.recipe.changed_in(wanted)), None)


def with_more_neurons(record: RunRecord, records: Sequence[RunRecord]) -> RunRecord | None:
    """The newest other run that all of a run's neurons took part in, and more.

    Returns
    -------
    RunRecord | None
        None if there is none.
    """
    keep = record.result.keep
    fuller = (run for run in reversed(records) if run.result.keep.sum() > keep.sum())
    return next((run for run in fuller if not (keep & ~run.result.keep).any()), None)
