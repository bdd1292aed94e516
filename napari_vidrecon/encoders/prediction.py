"""Whole clips predicted from sliding windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_vidrecon.encoders.answers import check_finite
from napari_vidrecon.encoders.chunks import check_chunk, chunk_by_chunk, chunk_that_fits

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder


@torch.no_grad()
def predict_clip(encoder: Encoder, inputs: torch.Tensor, chunk: int | None = None) -> torch.Tensor:
    """Mean over all sliding windows of a clip.

    Parameters
    ----------
    encoder
        Whose windows slide.
    inputs
        (5, T, rows, columns) model input.
    chunk
        Windows at once; None chooses.

    Returns
    -------
    torch.Tensor
        (N, T) tensor; zeros where no window fits (T < 31).

    Raises
    ------
    EncoderError
        It answers NaN or infinity; or no number of windows that can be.
    """
    check_chunk(chunk)
    windows = encoder.spec.windows
    frames = inputs.shape[1]
    total = torch.zeros(frames, encoder.spec.neurons, dtype=inputs.dtype, device=inputs.device)
    starts = windows.starts(frames)
    if len(starts) == 0:
        return total.T.contiguous()
    chunk = chunk or chunk_that_fits(encoder, gradient=False)
    indices = torch.as_tensor(windows.indices(starts), device=inputs.device)
    first = 0
    for part, answer in chunk_by_chunk(
        encoder, indices, chunk, lambda part: encoder.responses(inputs[:, part].transpose(0, 1))
    ):
        # Windows start one frame apart, so their k-th frames are a slice: sums in a fixed order on every device.
        for k, frame in enumerate(answer.permute(2, 0, 1)):
            begin = first + k * windows.step
            total[begin : begin + len(part)] += frame
        first += len(part)
    coverage = torch.as_tensor(windows.coverage(frames), device=inputs.device).clamp(min=1)
    activity = (total / coverage[:, None]).T.contiguous()
    check_finite(encoder, activity)
    return activity
