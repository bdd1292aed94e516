"""The published loop, as published: the measuring stick for speed (Bauer et al. 2026, its public code).

Window by window, batch 1, plain convolutions, gradients of all weights computed, accumulated and never used, the
last sub-batch computed twice where the stride fits the clip, every window of the clip evaluated one by one. Nothing
here is shared with the loop it is compared with, except how a clip is packed. Pictures and TIFF files, which the
published code also writes every ten steps, are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon import metrics
from napari_vidrecon.encoders.architectures.dwiseneuro import PositionalEncoding

if TYPE_CHECKING:
    from napari_vidrecon.encoders.window_encoder import WindowEncoder
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.trial import Trial

GREY_LEVEL = 127.5
SUB_BATCH_FRAMES, STRIDE = 32, 8
WINDOW_SPAN, WINDOW_STEP = 31, 2
LEARNING_RATE, WARMUP_STEPS = 1000.0, 10
BETA_1, BETA_2 = 0.9, 0.999
NORM_EPSILON, POISSON_EPSILON = 1e-6, 1e-8
TRACK_EVERY, TRACK_SKIP_FRAMES = 10, 32
TRAINING_THRESHOLD, EVALUATION_THRESHOLD = 0.5, 1.0


class CachedEncoding(nn.Module):
    """A positional encoding whose table is computed once and kept, as in the published module."""

    def __init__(self, encoding: PositionalEncoding) -> None:
        super().__init__()
        self.encoding = encoding
        self.cache: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.cache is None or self.cache.shape[1:] != x.shape[2:]:
            self.cache = self.encoding.table(*x.shape[2:]).to(x.dtype).contiguous()
        return x + self.cache


def published_form(module: nn.Module) -> nn.Module:
    """A new module with the same weights, made of plain `nn.Conv3d`, whose weights want gradients.

    Parameters
    ----------
    module
        A DwiseNeuro, or a compact encoder, which has no published form and is only built anew.
    """
    state = module.state_dict()
    first = next(iter(module.parameters()))
    plain: nn.Module = type(module)(module.config)
    plain.load_state_dict(state)
    plain = plain.to(first.device, first.dtype).eval().requires_grad_(True)
    for parent in list(plain.modules()):
        for name, child in parent.named_children():
            if isinstance(child, PositionalEncoding):
                setattr(parent, name, CachedEncoding(child))
            elif isinstance(child, nn.Conv3d):
                setattr(parent, name, _plain_convolution(child))
    return plain


def _plain_convolution(convolution: nn.Conv3d) -> nn.Conv3d:
    plain = nn.Conv3d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    plain.weight, plain.bias = convolution.weight, convolution.bias
    return plain


def sub_batch_starts(frames: int) -> list[int]:
    """First frames of the sub-batches of a clip; the last may stand there twice (docs/method.md 4, Q21)."""
    count = 2 + (frames - SUB_BATCH_FRAMES) // STRIDE
    return [*range(0, STRIDE * (count - 1), STRIDE), frames - SUB_BATCH_FRAMES]


@dataclass
class NaiveLoop:
    """Reconstructs a clip as published (docs/method.md 4, 5).

    Parameters
    ----------
    trial
        The clip; its recorded activity is the target.
    encoder
        Whose weights, canvas and floating-point type are taken.
    mask
        Transparency mask.

    Attributes
    ----------
    windows
        Windows put through forward and backward so far.
    evaluations
        Windows put through forward only.
    video
        (T, rows, columns) on the encoder's canvas.
    history
        What was tracked.
    """

    trial: Trial
    encoder: WindowEncoder
    mask: AlphaMask
    windows: int = 0
    evaluations: int = 0
    steps_done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        trial, encoder = self.trial, self.encoder
        canvas = encoder.spec.canvas
        self.module = published_form(encoder.module)
        grey = np.full((trial.frames, canvas.screen_rows, canvas.screen_columns), GREY_LEVEL, np.float32)
        packed = encoder.pack(grey, trial.behavior, trial.pupil_center, padding=GREY_LEVEL)
        self.video, self.behavior = packed[0].clone(), packed[1:]
        self.target = torch.as_tensor(trial.responses).to(packed)
        self.update_mask = torch.as_tensor(self.mask.on(canvas, TRAINING_THRESHOLD)).to(packed)
        self.momentum = torch.zeros_like(self.video)

    def sub_batch(self, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient (1, 5, 32, rows, columns) of a sub-batch's loss, and the loss."""
        frames = slice(start, start + SUB_BATCH_FRAMES)
        leaf = torch.cat([self.video[None], self.behavior])[None, :, frames].detach().requires_grad_(True)
        even, odd = self.module(leaf[:, :, 0::WINDOW_STEP]), self.module(leaf[:, :, 1::WINDOW_STEP])
        self.windows += WINDOW_STEP
        predicted = torch.stack([even, odd], dim=-1).flatten(-2)[0]
        loss = F.poisson_nll_loss(predicted, self.target[:, frames], log_input=False, full=False, eps=POISSON_EPSILON)
        loss.backward()
        assert leaf.grad is not None
        return leaf.grad, loss.detach()

    def gradient(self) -> torch.Tensor:
        """Mean over sub-batches of their unit gradients, (T, rows, columns), before the mask."""
        starts = sub_batch_starts(self.trial.frames)
        stacked = self.video.new_full((len(starts), *self.video.shape), math.nan)
        for row, start in zip(stacked, starts, strict=True):
            gradient, _ = self.sub_batch(start)
            gradient = gradient / (torch.linalg.vector_norm(gradient) + NORM_EPSILON)
            row[start : start + SUB_BATCH_FRAMES] = gradient[0, 0]
        return stacked.nanmean(dim=0)

    def step(self) -> None:
        """One step, with tracking where it is due."""
        index = self.steps_done
        gradient = (self.gradient() * self.update_mask).clamp(-1.0, 1.0)
        if index > 0:
            t = index + 1
            rate = LEARNING_RATE * min(1.0, index / WARMUP_STEPS)
            rate *= math.sqrt(1.0 - BETA_2**t) / (1.0 - BETA_1**t)
            self.momentum = BETA_1 * self.momentum + (1.0 - BETA_1) * gradient
            self.video = self.video - rate * self.momentum / (1.0 - BETA_1**t)
        self.video = self.video.clamp(0.0, 255.0)
        self.steps_done += 1

    def run(self, steps: int) -> None:
        """A whole reconstruction: `steps` steps, measured every tenth and at the last."""
        for index in range(steps):
            self.step()
            if index % TRACK_EVERY == 0 or index == steps - 1:
                self.track()

    @torch.no_grad()
    def predict(self, video: np.ndarray) -> np.ndarray:
        """(N, T) activity of a movie (T, 36, 64): every window by itself, summed on the host."""
        trial = self.trial
        inputs = self.encoder.pack(video, trial.behavior, trial.pupil_center)
        total = np.zeros((self.encoder.spec.neurons, trial.frames), np.float32)
        count = np.zeros(trial.frames, np.float32)
        for start in range(trial.frames - WINDOW_SPAN + 1):
            frames = slice(start, start + WINDOW_SPAN, WINDOW_STEP)
            total[:, frames] += self.module(inputs[None, :, frames])[0].cpu().numpy()
            count[frames] += 1
            self.evaluations += 1
        return total / np.maximum(count, 1)

    def track(self) -> None:
        """Measure the movie and the activity predicted from it."""
        trial, pixels = self.trial, self.mask.binary(EVALUATION_THRESHOLD)
        video = self.video[(slice(None), *self.encoder.spec.canvas.screen)].float().cpu().numpy()
        predicted = self.predict(np.where(pixels, video, np.float32(GREY_LEVEL)))
        skipped = slice(TRACK_SKIP_FRAMES, None)
        self.history.append(
            {
                "video_correlation": metrics.video_correlation(trial.video[skipped], video[skipped], pixels),
                "rmse": metrics.rmse(trial.video[skipped], video[skipped], pixels),
                "response_loss": metrics.poisson_loss(predicted[:, skipped], trial.responses[:, skipped]),
                "response_correlation": metrics.response_correlation(trial.responses, predicted),
            }
        )
