"""Why a step of a reconstruction came to no number: which input, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_vidrecon.encoders.answers import check_finite
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import Momentum, Spectral
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import SubBatchGradients


class NotFinite(ConfigError):
    """A calculation left the numbers that can be counted; it would end the same way every time."""


def why_not_finite(
    name: str,
    movie: str,
    config: ReconstructionConfig,
    parts: Iterable[tuple[Encoder, SubBatchGradients]],
    loss: float,
    gradient_is_finite: bool,
) -> str:
    """What is wrong where a step has a loss, a gradient or a movie that is not finite.

    Parameters
    ----------
    name, movie
        Of the clip, and of its movie before the step.
    config
        Every setting.
    parts
        Each encoder, and what its sub-batches give at that movie; only those needed are taken, as each costs time.
    loss
        Of the step.
    gradient_is_finite
        Whether its gradient was, and the gradient's length; if so, and the loss too, the new movie is not.

    Returns
    -------
    str
        One line, with what to do.

    Raises
    ------
    UnusableAnswer
        An encoder answers NaN or infinity.
    """
    rule = config.update
    if np.isfinite(loss) and gradient_is_finite:
        prior = " or the settings of the prior" if isinstance(rule, Spectral) else ""
        return (
            f"{name}: the movie is not finite: the learning rate {rule.learning_rate:g} is too large; "
            f"lower learning_rate{prior}"
        )
    for encoder, part in parts:
        check_finite(encoder, part.activity.flatten(0, 1).T, movie)
        lowest = float(part.activity.min())
        if lowest < 0:
            return (
                f"{name}: the loss is not finite (loss {loss}): {encoder.spec.name} answers {lowest:.3g}, "
                "and activity is at least 0; take another encoder"
            )
        normed = isinstance(rule, Momentum) and rule.gradient_norm != "none" and not rule.norm_epsilon
        if normed and (part.norms == 0).any():
            return f"{name}: a gradient is 0 and cannot be brought to length 1; raise norm_epsilon above 0"
        if not bool(part.norms.isfinite().all()):
            return f"{name}: the gradient of {encoder.spec.name} is not finite; take another encoder"
    weight = f"likelihood_weight {rule.likelihood_weight:g}" if isinstance(rule, Spectral) else ""
    clip = f"gradient_clip {rule.gradient_clip:g}" if isinstance(rule, Momentum) else ""
    shared = (f"poisson_epsilon {config.poisson_epsilon:g}", f"total_variation {config.total_variation:g}")
    told = ", ".join(each for each in (weight or clip, *shared, f"learning_rate {rule.learning_rate:g}"))
    return f"{name}: the loss or its gradient is not finite (loss {loss}); one of these is too large or small: {told}"
