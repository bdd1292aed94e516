"""Which mice a batch is drawn from."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_vidrecon.encoders.training.recipe import Recipe

SHUFFLING = 1_000_003
"""Keeps the shuffling of an epoch apart from the draws of a step, which share the seed."""


class Mixing(Protocol):
    """How many windows of each mouse a step draws; a pure function of the step."""

    def windows_of(self, step: int) -> dict[int, int]:
        """{index of a mouse: windows}, ascending, for a step counted from 0."""


class InTurn:
    """Every batch is of one mouse; they take turns."""

    def __init__(self, recipe: Recipe, mice: int) -> None:
        self.recipe, self.mice = recipe, mice

    def windows_of(self, step: int) -> dict[int, int]:
        """All windows are of one mouse."""
        return {step % self.mice: self.recipe.batch_size}


class WithinBatch:
    """An epoch holds as many windows of every mouse, shuffled and cut into batches (Baikulov 2023)."""

    def __init__(self, recipe: Recipe, mice: int) -> None:
        self.recipe, self.mice = recipe, mice
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def windows_of(self, step: int) -> dict[int, int]:
        """Windows of each mouse that the shuffled epoch puts into this batch."""
        recipe = self.recipe
        batches = max(recipe.samples_per_mouse * self.mice // recipe.batch_size, 1)
        epoch, batch = divmod(step, batches)
        if epoch != self._epoch:
            owners = np.repeat(np.arange(self.mice), recipe.samples_per_mouse)
            self._order = np.random.default_rng([recipe.seed, epoch, SHUFFLING]).permutation(owners)
            self._epoch = epoch
        mine = self._order[batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
        mice, counts = np.unique(mine, return_counts=True)
        return dict(zip(mice.tolist(), counts.tolist(), strict=True))


def mixing_of(recipe: Recipe, mice: int) -> Mixing:
    """The mixing a recipe asks for."""
    return InTurn(recipe, mice) if recipe.mixing == "in_turn" else WithinBatch(recipe, mice)
