"""What a person chooses to see, and what is changed by hand, which can be undone: the mask and the neurons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.neurons import NeuronSet


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
    """

    mask: AlphaMask
    training_threshold: float
    evaluation_threshold: float
    neurons: NeuronSet

    def same_as(self, other: Edit) -> bool:
        """Whether nothing differs."""
        return (
            np.array_equal(self.mask.alpha, other.mask.alpha)
            and self.training_threshold == other.training_threshold
            and self.evaluation_threshold == other.evaluation_threshold
            and np.array_equal(self.neurons.keep, other.neurons.keep)
        )


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
