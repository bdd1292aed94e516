"""Whether another way to compute an encoder keeps its gradient in the movie; only then is it used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch

LEAST_COSINE = 0.999
"""Between the gradients in bfloat16 and in float32, for an encoder to compute in bfloat16."""
MOST_ERROR = 1e-3
"""Of the gradient by fused kernels with TF32 products, beside its norm in float32."""
Form = Callable[[torch.Tensor], torch.Tensor]
logger = logging.getLogger(__name__)


def movie_gradients(forms: Sequence[Form], windows: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of a Poisson loss in the movie, of several forms of an encoder.

    Parameters
    ----------
    forms
        Map windows to activity; the first one's activity, times noise, is what all are to match.
    windows
        (B, 5, size, rows, columns).

    Returns
    -------
    list[torch.Tensor]
        Of each form one vector, float64 on the CPU.
    """
    generator = torch.Generator().manual_seed(0)
    target: torch.Tensor | None = None
    gradients = []
    for each in forms:
        leaf = windows.detach().clone().requires_grad_(True)
        activity = each(leaf)
        if target is None:
            drawn = torch.rand(activity.shape, generator=generator).to(activity)
            target = 2.0 * activity.detach().mean() * drawn
        loss = (activity - target * torch.log(activity + torch.finfo(activity.dtype).eps)).sum()
        gradients.append(torch.autograd.grad(loss, leaf)[0][:, 0].cpu().double().flatten())
    return gradients


def gradient_cosine(form: Form, reference: Form, windows: torch.Tensor) -> float:
    """Cosine between the movie gradients of two forms of an encoder.

    Parameters
    ----------
    form, reference
        Map windows to activity.
    windows
        (B, 5, size, rows, columns).

    Returns
    -------
    float
        -1..1.
    """
    expected, found = movie_gradients([reference, form], windows)
    return float(torch.nn.functional.cosine_similarity(expected, found, dim=0))


def why_another_gradient(form: Form, reference: Form, windows: torch.Tensor) -> str | None:
    """Whether an encoder's form by kernels fails, or gives another gradient.

    Parameters
    ----------
    form
        By kernels, which are compiled when they are first called.
    reference
        The same without.
    windows
        (B, 5, size, rows, columns), what both are asked for.

    Returns
    -------
    str | None
        What is wrong with it; None if nothing.
    """
    try:
        expected, found = movie_gradients([reference, form], windows)
    except Exception as reason:  # noqa: BLE001 - whatever a compiler or driver says, the encoder has another form
        return f"the kernels failed ({type(reason).__name__}: {str(reason).strip().partition(chr(10))[0]})"
    error = float((found - expected).norm() / expected.norm())
    if not error <= MOST_ERROR:
        return f"its gradient by the kernels differs by {error:.1e} of its norm (expected at most {MOST_ERROR:g})"
    return None


def keeps_direction(form: Form, reference: Form, windows: torch.Tensor, name: str) -> bool:
    """Whether the gradient of an encoder's form in bfloat16 keeps its direction.

    A line of the log says so where it does not.

    Parameters
    ----------
    form
        In bfloat16.
    reference
        The same in float32.
    windows
        (B, 5, size, rows, columns), what both are asked for.
    name
        Of the encoder, for the line.

    Returns
    -------
    bool
        The cosine of both gradients is large enough.
    """
    cosine = gradient_cosine(form, reference, windows)
    if cosine >= LEAST_COSINE:
        return True
    logger.warning(
        "%s: in bfloat16 its gradient differs (cosine %.5f, expected at least %s); it stays in its own precision",
        name,
        cosine,
        LEAST_COSINE,
    )
    return False
