"""Whether the gradients are those of the published loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.speed.naive import NORM_EPSILON, NaiveLoop, sub_batch_starts
from benchmarks.speed.stand_ins import describe, random_clip, random_encoder
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroConfig
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import sub_batch_gradients
from napari_vidrecon.reconstruction.masks import AlphaMask


def check_gradients(encoder: WindowEncoder, frames: int) -> dict[str, Any]:
    """Ours beside the naive loop's, on one clip of noise, in the encoder's own floating-point type.

    Returns
    -------
    dict[str, Any]
        `gradient_error`: largest difference of a sub-batch's movie gradient (before the norm divides it), over the
        largest gradient; `norm_error`: largest relative difference of a norm over all five channels; `loss_error`.
    """
    trial = random_clip(frames, encoder.spec.neurons)
    naive = NaiveLoop(trial, encoder, AlphaMask.full())
    starts = np.unique(sub_batch_starts(frames))
    inputs = torch.cat([naive.video[None], naive.behavior])
    # A grey movie has no contrast: a noisy one asks more of the comparison.
    inputs[0] += torch.as_tensor(np.random.default_rng(1).normal(0, 30, tuple(inputs.shape[1:]))).to(inputs)
    naive.video = inputs[0].clone()
    ours = sub_batch_gradients(
        encoder, inputs, naive.target, None, starts, ReconstructionConfig.preset("paper", norm_epsilon=NORM_EPSILON)
    )
    theirs = [naive.sub_batch(int(start)) for start in starts]
    gradients = torch.stack([gradient[0, 0] for gradient, _ in theirs])
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient, _ in theirs])
    losses = torch.stack([loss for _, loss in theirs])
    raw = ours.video * (ours.norms + NORM_EPSILON)[:, None, None, None]
    return {
        "size": f"{describe(encoder)}, {frames} frames",
        "precision": str(encoder.dtype).removeprefix("torch."),
        "gradient_error": float((raw - gradients).abs().max() / gradients.abs().max()),
        "norm_error": float((ours.norms / norms - 1).abs().max()),
        "loss_error": float((ours.losses / losses - 1).abs().max()),
    }


def check_both_precisions(config: DwiseNeuroConfig, frames: int) -> list[dict[str, Any]]:
    """The check in float64, where only rounding is left, and in float32, which runs use."""
    return [check_gradients(random_encoder(config, dtype=dtype), frames) for dtype in (torch.float64, torch.float32)]
