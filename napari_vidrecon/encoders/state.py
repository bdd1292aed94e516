"""Encoders with a state: run through a whole clip, segment by segment, and their gradient back through time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, cast

import torch

from napari_vidrecon.encoders.encoder import Encoder, Traits

if TYPE_CHECKING:
    from torch import Tensor

SEGMENT_FRAMES = 8
"""Frames whose intermediate values are alive at once; of the others the state is kept, and the rest computed anew."""
State = tuple["Tensor", ...]


class Stateful(Encoder, Protocol):
    """An encoder that goes on from what it has seen; `warm_up` tells it from the others (docs/own_encoder.md)."""

    warm_up: int

    def continued(
        self, inputs: Tensor, state: State | None = None, neurons: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Activity of the frames that follow, and the state after them; differentiable in both.

        Parameters
        ----------
        inputs
            (B, 5, F, rows, columns), any number of frames.
        state
            As it was given for the frames before; None: a clip begins, with its first frame held for `warm_up` frames.
        neurons
            Indices of those wanted; None for all.

        Returns
        -------
        tuple[Tensor, State]
            (B, N, F) >= 0, and the state.
        """


def with_state(encoder: Encoder) -> Stateful | None:
    """The encoder, if it has a state; None if its windows know nothing of each other."""
    return None if Traits.of(encoder).warm_up is None else cast(Stateful, encoder)


@torch.no_grad()
def activity_through(encoder: Stateful, inputs: Tensor) -> Tensor:
    """Activity (N, T) of a whole clip (5, T, rows, columns)."""
    activity = torch.zeros(encoder.spec.neurons, inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
    for frames in _paces(encoder, inputs):
        state: State | None = None
        for part in frames.split(SEGMENT_FRAMES):
            answer, state = encoder.continued(inputs[:, part][None], state)
            activity[:, part] = answer[0].to(activity)
    return activity


def gradient_through(
    encoder: Stateful,
    inputs: Tensor,
    misfit: Callable[[Tensor, Tensor], Tensor],
    neurons: Tensor | None = None,
    cut: int = 0,
) -> tuple[Tensor, Tensor]:
    """Activity of a clip, and the gradient of a sum over its frames.

    Parameters
    ----------
    encoder
        Frozen.
    inputs
        (5, T, rows, columns) model input; not changed.
    misfit
        Of the activity (N, F) of some frames and their numbers (F,), the number whose sum is differentiated.
    neurons
        Indices of those wanted; None for all.
    cut
        0: exact, back through the whole clip, at the price of a second forward pass. Otherwise the gradient ends every
        `cut` frames (truncated back-propagation through time), and the state alone goes on.

    Returns
    -------
    tuple[Tensor, Tensor]
        (N, T) activity and (5, T, rows, columns) gradient.
    """
    answers, gradient = [], torch.zeros_like(inputs)
    order = []
    for frames in _paces(encoder, inputs):
        parts = frames.split(cut or SEGMENT_FRAMES)
        if cut:
            answers += _truncated(encoder, inputs, misfit, neurons, parts, gradient)
        else:
            answers += _exact(encoder, inputs, misfit, neurons, parts, gradient)
        order.append(frames)
    return torch.cat(answers, dim=1)[:, torch.cat(order).argsort()], gradient


def _paces(encoder: Encoder, inputs: Tensor) -> Iterator[Tensor]:
    """Frames that an encoder sees one after the other: every `step`-th, from each of the first ones on."""
    step = encoder.spec.windows.step
    for first in range(min(step, inputs.shape[1])):
        yield torch.arange(first, inputs.shape[1], step, device=inputs.device)


def _truncated(
    encoder: Stateful,
    inputs: Tensor,
    misfit: Callable[[Tensor, Tensor], Tensor],
    neurons: Tensor | None,
    parts: tuple[Tensor, ...],
    gradient: Tensor,
) -> list[Tensor]:
    answers, state = [], None
    for part in parts:
        leaf = inputs[:, part].detach().requires_grad_(True)
        answer, after = encoder.continued(leaf[None], state, neurons)
        (gradient[:, part],) = torch.autograd.grad(misfit(answer[0], part), leaf)
        state = tuple(each.detach() for each in after)
        answers.append(answer[0].detach())
    return answers


def _exact(
    encoder: Stateful,
    inputs: Tensor,
    misfit: Callable[[Tensor, Tensor], Tensor],
    neurons: Tensor | None,
    parts: tuple[Tensor, ...],
    gradient: Tensor,
) -> list[Tensor]:
    before: list[State | None] = [None]
    with torch.no_grad():
        for part in parts[:-1]:
            before.append(encoder.continued(inputs[:, part][None], before[-1], neurons)[1])
    answers: list[Tensor] = []
    pulls: list[Tensor | None] = []
    for part, begun in zip(reversed(parts), reversed(before), strict=True):
        leaf = inputs[:, part].detach().requires_grad_(True)
        entering = None if begun is None else tuple(_leaf(each) for each in begun)
        answer, after = encoder.continued(leaf[None], entering, neurons)
        ends, onto = [misfit(answer[0], part)], [torch.ones_like(answer[0, 0, 0])]
        for each, pull in zip(after, pulls, strict=False):
            if pull is not None and each.requires_grad:
                ends.append(each)
                onto.append(pull)
        wanted = [each for each in entering or () if each.requires_grad]
        (gradient[:, part], *found) = torch.autograd.grad(ends, [leaf, *wanted], onto, allow_unused=True)
        given = iter(found)
        pulls = [next(given) if each.requires_grad else None for each in entering or ()]
        answers.insert(0, answer[0].detach())
    return answers


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_(value.is_floating_point())
