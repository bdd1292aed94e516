"""Undo and redo for what a person changes by hand: the mask and the neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.neurons import NeuronSet


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
