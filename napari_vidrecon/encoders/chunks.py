"""An encoder's work in parts: as many windows at once as the memory holds, and a clip of an encoder with a state."""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, cast

import psutil
import torch
from torch import Tensor

from napari_vidrecon.encoders.encoder import Encoder, Traits
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.settings import whole_number

LARGEST_CHUNK = 32
BYTES_A_FLOAT = 4
GRADIENT_FACTOR = 4
"""Memory of a forward and backward pass, beside that of a forward pass."""
SHARE_OF_GPU, SHARE_OF_CPU = 0.5, 0.25
"""Parts of the free memory that a chunk may take where nothing else is asked for."""
MOST_WINDOW_THREADS = 4
"""More would wait for each other: a tenth to a fifth of the work on a window is Python's own."""
Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)


def check_chunk(chunk: int | None) -> None:
    """Refuse a number of windows at once that can be none.

    Raises
    ------
    ConfigError
        Not None, and not a whole number of at least 1.
    """
    if chunk is not None:
        whole_number(chunk, "chunk", 1)


def chunk_that_fits(encoder: Encoder, *, gradient: bool) -> int:
    """How many windows to put through an encoder at once.

    On a CPU, large encoders run fastest one or two windows at a time and small ones in tens (cache sizes); on a GPU
    the memory decides. An encoder's `memory_limit` (bytes), where it has one, bounds both.

    Returns
    -------
    int
        At least 1.
    """
    canvas = encoder.spec.canvas
    floats = canvas.rows * canvas.columns * encoder.spec.windows.size * encoder.floats_per_pixel
    bytes_per_window = floats * BYTES_A_FLOAT * (GRADIENT_FACTOR if gradient else 1)
    on_cpu = encoder.device.type == "cpu"
    room = free_bytes(encoder.device) * (SHARE_OF_CPU if on_cpu else SHARE_OF_GPU)
    limit = Traits.of(encoder).memory_limit
    if limit is not None:
        room = min(room, limit)
    fits = int(room / bytes_per_window / (window_threads(encoder)[0] if on_cpu else 1))
    return max(1, min(encoder.preferred_cpu_chunk if on_cpu else LARGEST_CHUNK, fits))


def free_bytes(device: torch.device) -> int:
    """Memory of a device that nobody uses; what torch holds and does not use counts as free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # So the chunk is the same at every step.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return psutil.virtual_memory().available


def window_threads(encoder: Encoder) -> tuple[int, int]:
    """Threads that work on windows of their own, and torch's threads in each.

    Windows do not influence each other, so on a CPU two cores do two of them in the time of one; two cores at one
    window are slower. Only encoders that say so (`answers_in_threads`) are asked from several threads.

    Returns
    -------
    tuple[int, int]
        1 and all of torch's threads where one thread works alone.
    """
    threads = torch.get_num_threads()
    if encoder.device.type != "cpu" or not Traits.of(encoder).answers_in_threads:
        return 1, threads
    workers = min(threads, MOST_WINDOW_THREADS)
    return workers, threads // workers


def chunk_by_chunk(
    encoder: Encoder, indices: torch.Tensor, chunk: int, compute: Callable[[torch.Tensor], Answer]
) -> Iterator[tuple[torch.Tensor, Answer]]:
    """Windows in order, at most `chunk` at a time; on a CPU several chunks at once, a thread each.

    Parameters
    ----------
    encoder
        For its device, and for the message.
    indices
        (W, size) frames of the windows.
    chunk
        Windows at once.
    compute
        What to do with the frames of some windows, (up to `chunk`, size).

    Yields
    ------
    Iterator[tuple[torch.Tensor, Answer]]
        The frames of some windows, and the answer for them.

    Raises
    ------
    EncoderError
        Not even one window fits into the memory.
    """
    workers, threads_each = window_threads(encoder)
    # Chunks of one size, so that a GPU sees the same shapes again at every step, and no thread gets a small rest.
    parts = workers * math.ceil(len(indices) / (chunk * workers))
    size = math.ceil(len(indices) / max(parts, 1))
    if workers == 1 or size == len(indices):
        yield from _in_turn(encoder, indices, size, compute)
    else:
        yield from _in_threads(indices.split(size), compute, workers, threads_each)


def _in_threads(
    parts: tuple[torch.Tensor, ...], compute: Callable[[torch.Tensor], Answer], workers: int, threads_each: int
) -> Iterator[tuple[torch.Tensor, Answer]]:
    threads, with_gradients = torch.get_num_threads(), torch.is_grad_enabled()

    def compute_here(part: torch.Tensor) -> Answer:
        # Whether gradients are wanted is a setting of each thread.
        with torch.set_grad_enabled(with_gradients):
            return compute(part)

    try:
        yield from zip(parts, _pool(os.getpid(), workers, threads_each).map(compute_here, parts), strict=True)
    finally:
        # The number of threads is a thread's own and the default of new ones, so it has to be set back.
        torch.set_num_threads(threads)


@functools.cache
def _pool(process: int, workers: int, threads_each: int) -> ThreadPoolExecutor:
    """The threads of this process that work on windows.

    They stay: what MKL and oneDNN prepare for a thread is lost with it. A process that was forked has none of its
    parent's threads, so it gets its own.

    Returns
    -------
    ThreadPoolExecutor
        Of this process.
    """
    return ThreadPoolExecutor(workers, "windows", initializer=torch.set_num_threads, initargs=(threads_each,))


def _in_turn(
    encoder: Encoder, indices: torch.Tensor, chunk: int, compute: Callable[[torch.Tensor], Answer]
) -> Iterator[tuple[torch.Tensor, Answer]]:
    """Chunk after chunk; where the memory runs out, half as many windows from there on."""
    first = 0
    while first < len(indices):
        part = indices[first : first + chunk]
        answer = _unless_out_of_memory(compute, part)
        if answer is not None:
            yield part, answer[0]
            first += len(part)
            continue
        if len(part) == 1:
            raise EncoderError(
                f"{encoder.spec.name}: expected memory for one window on {encoder.device}, found too little; "
                "close other programs, or use the CPU"
            )
        chunk = len(part) // 2
        logger.warning("%s: out of memory on %s; going on with %d windows", encoder.spec.name, encoder.device, chunk)
        if encoder.device.type == "cuda":
            torch.cuda.empty_cache()
        elif encoder.device.type == "mps":
            torch.mps.empty_cache()


def _unless_out_of_memory(compute: Callable[[torch.Tensor], Answer], part: torch.Tensor) -> tuple[Answer] | None:
    # Only once this function has returned does nothing hold on to the tensors of the attempt.
    try:
        return (compute(part),)
    except RuntimeError as error:
        # MPS has no class of its own for it.
        if not isinstance(error, torch.OutOfMemoryError) and "MPS backend out of memory" not in str(error):
            raise
        return None


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
