"""Windows in chunks that fit the memory, and whole clips predicted from sliding ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import psutil
import torch

from napari_vidrecon.errors import EncoderError

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder

LARGEST_CHUNK = 32
Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)


def chunk_that_fits(encoder: Encoder, *, gradient: bool) -> int:
    """How many windows to put through an encoder at once.

    On a CPU, large encoders run fastest one or two windows at a time and small ones in tens (cache sizes);
    on a GPU the free memory decides.
    """
    canvas = encoder.spec.canvas
    pixels = canvas.rows * canvas.columns * encoder.spec.windows.size
    bytes_per_window = pixels * encoder.floats_per_pixel * 4
    bytes_per_window *= 4 if gradient else 1
    if encoder.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(encoder.device)
        # What torch holds and does not use is free, too; so the chunk is the same at every step.
        free += torch.cuda.memory_reserved(encoder.device) - torch.cuda.memory_allocated(encoder.device)
        return max(1, min(LARGEST_CHUNK, int(0.5 * free / bytes_per_window)))
    if encoder.device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return max(1, min(LARGEST_CHUNK, int(0.5 * free / bytes_per_window)))
    fits = int(0.25 * psutil.virtual_memory().available / bytes_per_window)
    preferred = encoder.preferred_cpu_chunk
    return max(1, min(preferred, fits))


def chunk_by_chunk(
    encoder: Encoder, indices: torch.Tensor, chunk: int, compute: Callable[[torch.Tensor], Answer]
) -> Iterator[tuple[torch.Tensor, Answer]]:
    """Windows in order, `chunk` at a time; where the memory runs out, half as many from there on.

    Parameters
    ----------
    encoder : for the message.
    indices : (W, size) frames of the windows.
    chunk : windows at once.
    compute : what to do with the frames of some windows, (up to `chunk`, size).

    Yields
    ------
    The frames of some windows, and the answer for them.

    Raises
    ------
    EncoderError : not even one window fits.
    """
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


@torch.no_grad()
def predict_clip(encoder: Encoder, inputs: torch.Tensor, chunk: int | None = None) -> torch.Tensor:
    """Mean over all sliding windows of a clip.

    Parameters
    ----------
    encoder : whose windows slide.
    inputs : (5, T, rows, columns) model input.
    chunk : windows at once; None chooses.

    Returns
    -------
    (N, T) tensor; zeros where no window fits (T < 31).
    """
    windows = encoder.spec.windows
    frames = inputs.shape[1]
    total = torch.zeros(frames, encoder.spec.neurons, dtype=inputs.dtype, device=inputs.device)
    starts = windows.starts(frames)
    if len(starts) == 0:
        return total.T.contiguous()
    chunk = chunk or chunk_that_fits(encoder, gradient=False)
    indices = torch.as_tensor(windows.indices(starts), device=inputs.device)
    first = 0
    for part, activity in chunk_by_chunk(
        encoder, indices, chunk, lambda part: encoder.responses(inputs[:, part].transpose(0, 1))
    ):
        # Windows start one frame apart, so their k-th frames are a slice: sums in a fixed order on every device.
        for k, frame in enumerate(activity.permute(2, 0, 1)):
            begin = first + k * windows.step
            total[begin : begin + len(part)] += frame
        first += len(part)
    coverage = torch.as_tensor(windows.coverage(frames), device=inputs.device).clamp(min=1)
    return (total / coverage[:, None]).T.contiguous()
