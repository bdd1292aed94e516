"""The Poisson loss over the readouts of several mice."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Answer:
    """What one mouse's readout says for some windows, and what it should.

    Parameters
    ----------
    prediction, target
        (B, N, T), >= 0.
    weight
        Of every window, relative to those of the other answers.
    """

    prediction: torch.Tensor
    target: torch.Tensor
    weight: float


def poisson_loss(answers: list[Answer], *, epsilon: float, summed: bool) -> torch.Tensor:
    """Weighted mean over windows of their Poisson loss.

    Parameters
    ----------
    answers
        Of every readout that takes part.
    epsilon
        Added inside the logarithm.
    summed
        Over a window's neurons and frames, as published; otherwise their mean.

    Returns
    -------
    torch.Tensor
        One number.

    References
    ----------
    Baikulov 2023, `MicePoissonLoss`.
    """
    total = sum(answer.weight * len(answer.target) for answer in answers)
    loss = answers[0].prediction.new_zeros(())
    for answer in answers:
        prediction = answer.prediction.float() if answer.prediction.dtype == torch.float16 else answer.prediction
        windows = (prediction - answer.target * torch.log(prediction + epsilon)).flatten(1)
        loss = loss + (answer.weight / total) * (windows.sum() if summed else windows.mean(dim=1).sum())
    return loss


def distilled_weight(ratio: float, windows: int, pairs: int) -> float:
    """Weight of one distilled pair of window and readout, where a recorded window has weight 1.

    All pairs together then have the share `ratio` of the loss (Baikulov 2023: 0.36).

    Parameters
    ----------
    ratio
        Share of the loss, 0 to below 1.
    windows
        Recorded windows of a batch.
    pairs
        Distilled pairs of window and readout.

    Returns
    -------
    float
        Of one pair.
    """
    return ratio / (1.0 - ratio) * windows / pairs
