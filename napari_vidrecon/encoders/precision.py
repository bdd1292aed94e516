"""Whether an encoder may compute in bfloat16: its gradient must keep its direction."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

LEAST_COSINE = 0.999
CHECKED_WINDOWS = 2
LARGEST_GREY_LEVEL = 255.0
logger = logging.getLogger(__name__)
Form = Callable[[torch.Tensor], torch.Tensor]


def gradient_cosine(form: Form, reference: Form, windows: torch.Tensor) -> float:
    """Cosine between the movie gradients of two forms of an encoder.

    Parameters
    ----------
    form, reference
        Map windows to activity.
    windows
        (B, 5, size, rows, columns).
    """
    generator = torch.Generator().manual_seed(0)
    target: torch.Tensor | None = None
    gradients = []
    for each in (reference, form):
        leaf = windows.detach().clone().requires_grad_(True)
        activity = each(leaf)
        if target is None:
            drawn = torch.rand(activity.shape, generator=generator).to(activity)
            target = 2.0 * activity.detach().mean() * drawn
        loss = (activity - target * torch.log(activity + torch.finfo(activity.dtype).eps)).sum()
        gradients.append(torch.autograd.grad(loss, leaf)[0][:, 0].cpu().double().flatten())
    return float(torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0))


def checked_precision(module: Any, name: str, windows: torch.Tensor) -> torch.dtype | None:
    """bfloat16 if the gradient of `module.frozen(precision=...)` keeps its direction, else None, with a line why."""
    cosine = gradient_cosine(module.frozen(precision=torch.bfloat16), module.frozen(), windows)
    if cosine >= LEAST_COSINE:
        return torch.bfloat16
    logger.warning(
        "%s: in bfloat16 its gradient differs (cosine %.5f, expected at least %s); it stays in its own precision",
        name,
        cosine,
        LEAST_COSINE,
    )
    return None
