"""Batches: windows of one or more mice on an encoder's canvas, a pure function of seed and step; and their loss."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from napari_vidrecon.encoders.encoder import INPUT_CHANNELS, Canvas
from napari_vidrecon.encoders.training.samples import Batch, SessionSamples
from napari_vidrecon.encoders.training_recipe import TrainingRecipe

BOXES, PARTNERS = 1, 2
"""Streams of chance within a step; the windows themselves are stream 0."""
SHUFFLING = 1_000_003
"""Keeps the shuffling of an epoch apart from the draws of a step, which share the seed."""


class Mixing(Protocol):
    """How many windows of each mouse a step draws; a pure function of the step."""

    def windows_of(self, step: int) -> dict[int, int]:
        """{index of a mouse: windows}, ascending, for a step counted from 0."""


class InTurn:
    """Every batch is of one mouse; they take turns."""

    def __init__(self, recipe: TrainingRecipe, mice: int) -> None:
        self.recipe, self.mice = recipe, mice

    def windows_of(self, step: int) -> dict[int, int]:
        """All windows are of one mouse."""
        return {step % self.mice: self.recipe.batch_size}


class WithinBatch:
    """An epoch holds as many windows of every mouse, shuffled and cut into batches (Baikulov 2023)."""

    def __init__(self, recipe: TrainingRecipe, mice: int) -> None:
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


def mixing_of(recipe: TrainingRecipe, mice: int) -> Mixing:
    """The mixing a recipe asks for."""
    return InTurn(recipe, mice) if recipe.mixing == "in_turn" else WithinBatch(recipe, mice)


@dataclass(frozen=True)
class Boxes:
    """One box a window, or an empty one.

    Parameters
    ----------
    edges
        (B, 4) integers: first row, end row, first column, end column.
    rows, columns
        Size of the canvas, pixels.
    """

    edges: np.ndarray
    rows: int
    columns: int

    @property
    def areas(self) -> np.ndarray:
        """Share of the canvas each box covers, (B,) 0..1."""
        sides = self.edges[:, 1::2] - self.edges[:, ::2]
        return sides.prod(axis=1) / (self.rows * self.columns)


def draw_boxes(
    generator: np.random.Generator, windows: int, rows: int, columns: int, *, alpha: float, probability: float
) -> Boxes:
    """Boxes for a batch.

    Parameters
    ----------
    generator
        Where chance comes from.
    windows
        In the batch.
    rows, columns
        Of the canvas.
    alpha
        Areas follow Beta(alpha, alpha), before they are cut at the canvas's edge.
    probability
        Of a window to be mixed at all.

    Returns
    -------
    Boxes
        One a window; empty where nothing is mixed.

    References
    ----------
    Baikulov 2023.
    """
    used = generator.random(windows) < probability
    side = np.sqrt(generator.beta(alpha, alpha, windows))
    edges = []
    for length in (rows, columns):
        half = (length * side).astype(np.int64) // 2
        centre = generator.integers(0, length, windows)
        edges += [(centre - half).clip(0, length), (centre + half).clip(0, length)]
    return Boxes(np.stack(edges, axis=1) * used[:, None], rows, columns)


def mix_inputs(inputs: torch.Tensor, others: torch.Tensor, boxes: Boxes) -> torch.Tensor:
    """Windows (B, C, T, rows, columns) with the boxes of `others` pasted in.

    Parameters
    ----------
    inputs
        (B, C, T, rows, columns).
    others
        Of the same shape, what is pasted in.
    boxes
        Where.

    Returns
    -------
    torch.Tensor
        (B, C, T, rows, columns).
    """
    mixed = inputs.clone()
    for window, (top, bottom, left, right) in enumerate(boxes.edges.tolist()):
        mixed[window, ..., top:bottom, left:right] = others[window, ..., top:bottom, left:right]
    return mixed


def mix_targets(targets: torch.Tensor, others: torch.Tensor, boxes: Boxes) -> torch.Tensor:
    """Activity of mixed windows: a mean by the areas of the boxes.

    Parameters
    ----------
    targets
        (B, N, T), of the windows.
    others
        (B, N, T), of what was pasted in.
    boxes
        Where it was.

    Returns
    -------
    torch.Tensor
        (B, N, T).
    """
    weight = torch.as_tensor(boxes.areas, dtype=targets.dtype, device=targets.device)[:, None, None]
    return (1 - weight) * targets + weight * others


@dataclass(frozen=True)
class MixedBatch:
    """Windows of several mice.

    Parameters
    ----------
    inputs
        (B, 5, size, rows, columns) model input.
    rows
        {mouse: which windows of `inputs` are its own}.
    targets
        {mouse: (b, N, size) recorded activity of those windows}.
    """

    inputs: torch.Tensor
    rows: dict[int, torch.Tensor]
    targets: dict[int, torch.Tensor]

    def cut(self, parts: int) -> Iterator[MixedBatch]:
        """Smaller batches, each with its share of every mouse; empty ones are left out."""
        if parts == 1:
            yield self
            return
        for part in range(parts):
            mine = {mouse: rows[part::parts] for mouse, rows in self.rows.items() if len(rows[part::parts])}
            if not mine:
                continue
            first = np.cumsum([0, *(len(rows) for rows in mine.values())])
            yield MixedBatch(
                self.inputs[torch.cat(list(mine.values()))],
                {mouse: torch.arange(a, b) for mouse, a, b in zip(mine, first[:-1], first[1:], strict=True)},
                {mouse: self.targets[mouse][part::parts] for mouse in mine},
            )


class Batches:
    """Draws the batch of any step.

    Parameters
    ----------
    samples
        Windows of each mouse.
    recipe
        Batch size, mixing of mice, CutMix and seed.
    canvas
        Where the movies stand in the model's input.
    device
        Where the batches go.
    """

    def __init__(
        self, samples: list[SessionSamples], recipe: TrainingRecipe, canvas: Canvas, device: torch.device
    ) -> None:
        self.samples, self.recipe, self.canvas, self.device = samples, recipe, canvas, device
        self.mixing = mixing_of(recipe, len(samples))

    def draw(self, step: int) -> MixedBatch:
        """The batch of a step, counted from 0."""
        inputs, rows, targets = [], {}, {}
        drawn = 0
        for mouse, windows in self.mixing.windows_of(step).items():
            # Mice drawn for the same step must not share their chance; in turn, the step alone keeps them apart.
            stream = () if self.recipe.mixing == "in_turn" else (mouse,)
            mine, target = self._windows(mouse, windows, step, stream)
            inputs.append(mine)
            targets[mouse] = target
            rows[mouse] = torch.arange(drawn, drawn + windows)
            drawn += windows
        return MixedBatch(torch.cat(inputs) if len(inputs) > 1 else inputs[0], rows, targets)

    def _windows(
        self, mouse: int, windows: int, step: int, stream: tuple[int, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        recipe, samples = self.recipe, self.samples[mouse]
        inputs, target = self._on_canvas(samples.draw(windows, recipe.seed, step, *stream))
        if recipe.cutmix_probability == 0.0:
            return inputs, target
        generator = np.random.default_rng([recipe.seed, step, mouse, BOXES])
        boxes = draw_boxes(
            generator,
            windows,
            self.canvas.rows,
            self.canvas.columns,
            alpha=recipe.cutmix_alpha,
            probability=recipe.cutmix_probability,
        )
        if not boxes.areas.any():
            return inputs, target
        others, other_target = self._on_canvas(samples.draw(windows, recipe.seed, step, mouse, PARTNERS))
        return mix_inputs(inputs, others, boxes), mix_targets(target, other_target, boxes)

    def whole_trial(self, mouse: int, trial_id: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A trial of a mouse cut into windows that lie beside each other, as the encoder sees them.

        Parameters
        ----------
        mouse
            Its index.
        trial_id
            The trial.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            (B, 5, size, rows, columns) inputs and (B, N, size) recorded activity.
        """
        return self._on_canvas(self.samples[mouse].whole_trial(trial_id))

    def _on_canvas(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        video = torch.as_tensor(batch.video, device=self.device)
        behavior = torch.as_tensor(batch.behavior, device=self.device)
        canvas = self.canvas
        inputs = video.new_zeros(len(video), INPUT_CHANNELS, video.shape[1], canvas.rows, canvas.columns)
        inputs[(slice(None), 0, slice(None), *canvas.screen)] = video
        inputs[:, 1:] = behavior[..., None, None]
        return inputs, torch.as_tensor(batch.responses, device=self.device)


class DrawingAhead:
    """Draws batches on a thread of its own, one step ahead; they are those of `batches`, bit by bit.

    Parameters
    ----------
    batches
        What draws them; nobody else may use it at the same time.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        # One thread, because what is drawn shares the trials kept in memory and the shuffled epoch.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._coming: tuple[int, Future[MixedBatch]] | None = None

    def draw(self, step: int) -> MixedBatch:
        """The batch of a step, counted from 0; the next one is begun."""
        if self._coming is not None and self._coming[0] == step:
            batch = self._coming[1].result()
        else:
            batch = self._thread.submit(self.batches.draw, step).result()
        self._coming = (step + 1, self._thread.submit(self.batches.draw, step + 1))
        return batch


@dataclass(frozen=True)
class Answer:
    """What one mouse's readout says for some windows, and what it should.

    Parameters
    ----------
    prediction, target
        (B, N, T), >= 0.
    weight
        Of every window, relative to those of the other answers.
    """

    prediction: torch.Tensor
    target: torch.Tensor
    weight: float


def poisson_loss(answers: list[Answer], *, epsilon: float, summed: bool) -> torch.Tensor:
    """Weighted mean over windows of their Poisson loss.

    Parameters
    ----------
    answers
        Of every readout that takes part.
    epsilon
        Added inside the logarithm.
    summed
        Over a window's neurons and frames, as published; otherwise their mean.

    Returns
    -------
    torch.Tensor
        One number.

    References
    ----------
    Baikulov 2023, `MicePoissonLoss`.
    """
    total = sum(answer.weight * len(answer.target) for answer in answers)
    loss = answers[0].prediction.new_zeros(())
    for answer in answers:
        prediction = answer.prediction.float() if answer.prediction.dtype == torch.float16 else answer.prediction
        windows = (prediction - answer.target * torch.log(prediction + epsilon)).flatten(1)
        loss = loss + (answer.weight / total) * (windows.sum() if summed else windows.mean(dim=1).sum())
    return loss


def distilled_weight(ratio: float, windows: int, pairs: int) -> float:
    """Weight of one distilled pair of window and readout, where a recorded window has weight 1.

    All pairs together then have the share `ratio` of the loss (Baikulov 2023: 0.36).

    Parameters
    ----------
    ratio
        Share of the loss, 0 to below 1.
    windows
        Recorded windows of a batch.
    pairs
        Distilled pairs of window and readout.

    Returns
    -------
    float
        Of one pair.
    """
    return ratio / (1.0 - ratio) * windows / pairs
