"""A run of this window, as the list of runs shows it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.results import Reconstruction

LONGEST_SECONDS = 1e9


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
    created
        When, seconds since 1970.
    watched
        Correlation of activity at the steps that were watched, by step; the run itself measured it at others.
    """

    name: str
    result: Reconstruction
    recipe: Recipe
    changed_from_before: str = ""
    path: Path | None = None
    created: float = field(default_factory=time.time)
    watched: dict[int, float] = field(default_factory=dict)

    @property
    def history(self) -> History:
        """Of the run, with what was seen of it on the way."""
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

    @cached_property
    def uncertainty(self) -> np.ndarray | None:
        """(T, rows, columns) spread of its movies, grey levels; None for a run that made one movie only."""
        return uncertainty_map(self.result.videos) if len(self.result.videos) > 1 else None


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
