"""Batches: windows of one or more mice on an encoder's canvas, a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from napari_vidrecon.encoders.encoder import INPUT_CHANNELS, Canvas
from napari_vidrecon.encoders.training.cutmix import draw_boxes, mix_inputs, mix_targets
from napari_vidrecon.encoders.training.mixing import mixing_of
from napari_vidrecon.encoders.training.recipe import Recipe
from napari_vidrecon.encoders.training.samples import Batch, SessionSamples

BOXES, PARTNERS = 1, 2
"""Streams of chance within a step; the windows themselves are stream 0."""


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

    def __init__(self, samples: list[SessionSamples], recipe: Recipe, canvas: Canvas, device: torch.device) -> None:
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

    def _on_canvas(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        video = torch.as_tensor(batch.video, device=self.device)
        behavior = torch.as_tensor(batch.behavior, device=self.device)
        canvas = self.canvas
        inputs = video.new_zeros(len(video), INPUT_CHANNELS, video.shape[1], canvas.rows, canvas.columns)
        inputs[(slice(None), 0, slice(None), *canvas.screen)] = video
        inputs[:, 1:] = behavior[..., None, None]
        return inputs, torch.as_tensor(batch.responses, device=self.device)
