"""What a person chooses to see, and what is changed by hand, which can be undone: mask, neurons and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.targets import NeuronSet


class RunState(StrEnum):
    """Where the optimisation is."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


class Layout(StrEnum):
    """What the canvas is for."""

    WATCH = "watch"
    EXPLAIN = "explain"
    COMPARE = "compare"
    PAPER = "paper"


class ErrorMode(StrEnum):
    """What the error layer shows."""

    STIMULUS = "reconstruction - stimulus"
    PREDICTED = "from recorded - from predicted activity"
    COMPARISON = "shown run - compared run"
    LOST = "what is lost, and where, against the compared run"
    UNCERTAINTY = "uncertainty: how far draws or encoders differ"
    NONE = "none"


class ActivityMode(StrEnum):
    """What the predicted-activity tile shows."""

    FROM_STIMULUS = "predicted from the stimulus"
    FROM_RECONSTRUCTION = "predicted from the reconstruction"
    DIFFERENCE = "difference"


class RasterOrder(StrEnum):
    """How the neurons of the rasters are sorted."""

    RECORDED = "as recorded"
    SIMILARITY = "by similarity"
    PREDICTION = "by prediction correlation"
    EXPLAINED = "by how well explained"
    FIELD = "by receptive field"
    POSITION = "by position"
    DEPTH = "by depth"


@dataclass(frozen=True, eq=False)
class Edit:
    """What can be undone.

    Parameters
    ----------
    mask
        Transparency mask.
    training_threshold
        Least alpha of pixels that are reconstructed.
    evaluation_threshold
        Least alpha of pixels that are measured.
    neurons
        Who takes part.
    settings
        Those of the model that can be undone, by name; "config" is the configuration.
    """

    mask: AlphaMask
    training_threshold: float
    evaluation_threshold: float
    neurons: NeuronSet
    settings: Mapping[str, Any] = field(default_factory=dict)

    def same_as(self, other: Edit) -> bool:
        """Whether nothing differs."""
        return not self.changes_to(other)

    def changes_to(self, other: Edit) -> list[str]:
        """What another one has changed, in words, the most telling first."""
        told = []
        for name in ("training", "evaluation"):
            here, there = (getattr(each, f"{name}_threshold") for each in (self, other))
            if here != there:
                told.append(f"{name} threshold {here:.2f} → {there:.2f}")
        if not np.array_equal(self.neurons.keep, other.neurons.keep):
            told.append(other.neurons.reason if other.neurons.count < len(other.neurons.keep) else "all neurons")
        if not np.array_equal(self.mask.alpha, other.mask.alpha):
            told.append(f"mask {Path(other.mask.source).name or 'unnamed'}")
        for name in self.settings.keys() | other.settings.keys():
            here, there = self.settings.get(name), other.settings.get(name)
            if here != there:
                told.append(_changed_setting(name, here, there))
        return told


def _changed_setting(name: str, here: Any, there: Any) -> str:
    if name != "config" or here is None or there is None:
        return name if not isinstance(there, str) else f"{name} {there}"
    if here.preset_name != there.preset_name:
        return f"preset {there.preset_name}"
    changed = here.differences(there)
    first, (before, after) = next(iter(changed.items()), ("settings", ("", "")))
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{first.replace('_', ' ')} {before} → {after}{more}"


MOST_NAMED = 2


class EditStack:
    """A line of edits with a place in it."""

    def __init__(self, first: Edit, most: int = 100) -> None:
        self._edits, self._place, self._most = [first], 0, most

    @property
    def present(self) -> Edit:
        """The edit in force."""
        return self._edits[self._place]

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit before."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Whether an edit was undone."""
        return self._place < len(self._edits) - 1

    @property
    def undo_name(self) -> str:
        """What undo would take back; empty if nothing."""
        return self._name(self._place - 1, self._place)

    @property
    def redo_name(self) -> str:
        """What redo would do again; empty if nothing."""
        return self._name(self._place, self._place + 1)

    def _name(self, before: int, after: int) -> str:
        if before < 0 or after >= len(self._edits):
            return ""
        return ", ".join(self._edits[before].changes_to(self._edits[after])[:MOST_NAMED])

    def push(self, edit: Edit) -> None:
        """Put a new edit in force; what was undone is forgotten."""
        if edit.same_as(self.present):
            return
        self._edits = [*self._edits[: self._place + 1], edit][-self._most :]
        self._place = len(self._edits) - 1

    def undo(self) -> Edit:
        """Go one edit back."""
        self._place = max(self._place - 1, 0)
        return self.present

    def redo(self) -> Edit:
        """Go one edit forward."""
        self._place = min(self._place + 1, len(self._edits) - 1)
        return self.present
