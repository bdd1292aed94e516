"""Several clips of one mouse reconstructed at once: their windows go through the encoder together.

A short clip, or the preset `fast`, has too few windows a step to keep a GPU busy, or every core of a CPU. Windows do
not influence each other, so clips laid end to end in time are one long clip to the gradients, as long as no sub-batch
crosses from one to the next. What comes out is what each clip alone gives, but for rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_vidrecon.encoders.answers import UnusableAnswer
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.gradients import sub_batch_gradients, through_clip
from napari_vidrecon.reconstruction.outcome import NotFinite
from napari_vidrecon.reconstruction.reconstructor import Reconstructor, StepInfo, Steppable, undone_on_failure
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run import Run
from napari_vidrecon.reconstruction.video_ensemble import VideoEnsemble

Launched = list[tuple[torch.Tensor, torch.Tensor]]
"""Gradient and loss of each clip, not waited for."""


def step_together(runs: Sequence[Run]) -> list[StepInfo]:
    """One step of every run, recorded in its history; each counts its share of the time.

    Parameters
    ----------
    runs
        Of one mouse, with the same encoder objects, settings and neurons; none of them finished.

    Returns
    -------
    list[StepInfo]
        One a run, in the order of `runs`.

    Raises
    ------
    ConfigError
        The runs do not go together, or a gradient is not finite; all are left as they were.
    """
    began = time.perf_counter()
    columns = _columns([run.steppable for run in runs])
    with undone_on_failure([member for column in columns for member in column]):
        launched = [_gradients(column) for column in columns]
        rows = [
            [member.advance(*each, began) for member, each in zip(column, gradients, strict=True)]
            for column, gradients in zip(columns, launched, strict=True)
        ]
        infos = [
            run.steppable.summarised(mine, began) if isinstance(run.steppable, VideoEnsemble) else mine[0]
            for run, mine in zip(runs, zip(*rows, strict=True), strict=True)
        ]
    share = (time.perf_counter() - began) / len(runs)
    return [run.record(replace(info, seconds=share)) for run, info in zip(runs, infos, strict=True)]


def drive_together(
    runs: Mapping[Path, Run], on_step: Callable[[], None] | None = None, save_every_seconds: float = 30.0
) -> list[Reconstruction]:
    """Step planned runs until all are finished; each is kept in its folder, as by a `Runner`.

    Parameters
    ----------
    runs
        By their folders, which this process holds; of one mouse, with the same encoder objects, settings and neurons.
    on_step
        Called after every step of all; what it raises ends them.
    save_every_seconds
        At most this much work is lost when the process is killed.

    Returns
    -------
    list[Reconstruction]
        One a run, in their order.

    Raises
    ------
    ConfigError
        The runs do not go together, or a step is not finite; what was kept before stays.
    """
    saved = time.monotonic()
    try:
        while going := [run for run in runs.values() if not run.finished]:
            step_together(going)
            if time.monotonic() - saved >= save_every_seconds:
                _save_partial(runs)
                saved = time.monotonic()
            if on_step is not None:
                on_step()
        results = [run.result() for run in runs.values()]
        for folder, result in zip(runs, results, strict=True):
            result.save(folder)
    except (NotFinite, UnusableAnswer):
        # It would end the same way every time: nothing to go on from.
        raise
    except BaseException:
        _save_partial(runs)
        raise
    return results


def _save_partial(runs: Mapping[Path, Run]) -> None:
    for folder, run in runs.items():
        run.save_partial(folder)


def _columns(steppables: Sequence[Steppable]) -> list[list[Reconstructor]]:
    """The reconstructors of all clips, one list for each that a clip has: several in an ensemble of movies."""
    members = [each.members if isinstance(each, VideoEnsemble) else [each] for each in steppables]
    columns = [list(column) for column in zip(*members, strict=True)]
    for first, *others in columns:
        for other in others:
            _require_same(first, other)
    return columns


def _require_same(first: Reconstructor, other: Reconstructor) -> None:
    same = (
        ("encoders", all(a is b for a, b in zip(first.encoders, other.encoders, strict=True))),
        ("settings", first.config == other.config),
        ("neurons", np.array_equal(first.target.in_loss, other.target.in_loss)),
        ("draw", first.draw == other.draw),
    )
    for what, fits in same:
        if not fits:
            raise ConfigError(f"clips at once: expected the same {what} for all, found different ones")


def _weights(members: Sequence[Reconstructor], index: int) -> torch.Tensor | None:
    """(neurons, frames of all clips) what neurons count for one encoder; None: all the same in all clips."""
    weights = [member.weights[index] for member in members]
    if all(each is None for each in weights):
        return None
    pairs = zip(members, weights, strict=True)
    return torch.cat([torch.ones_like(member.matched[index]) if each is None else each for member, each in pairs], 1)


def _gradients(members: Sequence[Reconstructor]) -> Launched:
    """What `Reconstructor.gradient` gives for each."""
    first = members[0]
    with_state = any(through_clip(encoder, first.config) for encoder in first.encoders)
    if with_state or any(member.others or member.drifts for member in members):
        # Their presentations are work enough; a state must not go on from one clip to the next.
        return [member.gradient() for member in members]
    starts = [member.sub_batches().starts for member in members]
    lengths = [member.inputs(0).shape[1] for member in members]
    offsets = np.cumsum([0, *lengths[:-1]])
    shifted = np.concatenate([each + offset for each, offset in zip(starts, offsets, strict=True)])
    parts = []
    for index, encoder in enumerate(first.encoders):
        whole = sub_batch_gradients(
            encoder,
            torch.cat([member.inputs(index) for member in members], dim=1),
            torch.cat([member.matched[index] for member in members], dim=1),
            first.chosen[index],
            shifted,
            first.config,
            first.chunk,
            _weights(members, index),
        )
        parts.append(whole.split([len(each) for each in starts]))
    return [member.combined(mine) for member, mine in zip(members, zip(*parts, strict=True), strict=True)]
