"""Predicting whole clips from sliding windows, in chunks that fit the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import torch

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder

LARGEST_CHUNK = 32


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
        return max(1, min(LARGEST_CHUNK, int(0.5 * free / bytes_per_window)))
    fits = int(0.25 * psutil.virtual_memory().available / bytes_per_window)
    preferred = encoder.preferred_cpu_chunk
    return max(1, min(preferred, fits))


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
    total = torch.zeros(encoder.spec.neurons, frames, dtype=inputs.dtype, device=inputs.device)
    starts = windows.starts(frames)
    if len(starts) == 0:
        return total
    chunk = chunk or chunk_that_fits(encoder, gradient=False)
    indices = torch.as_tensor(windows.indices(starts), device=inputs.device)
    for first in range(0, len(starts), chunk):
        part = indices[first : first + chunk]
        activity = encoder.responses(inputs[:, part].transpose(0, 1))
        for window, response in zip(part, activity, strict=True):
            total[:, window] += response
    coverage = torch.as_tensor(windows.coverage(frames), device=inputs.device).clamp(min=1)
    return total / coverage
