"""How many windows go through an encoder at once, and what happens where the memory does not hold them."""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psutil
import torch

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
