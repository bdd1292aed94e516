"""The Poisson loss over the readouts of several mice, and the teachers whose answers it may be taken against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.checkpoints import file_hash, read_encoder_file
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session


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


class Teacher:
    """A frozen encoder with a readout for every mouse.

    Parameters
    ----------
    path
        Encoder file.
    sessions
        The mice; a readout is found by its name, or where the file names none by its number of neurons.
    windows
        Of the encoder that learns.
    device
        Where it runs.

    Raises
    ------
    EncoderError
        It cannot be read, lacks a mouse, or sees other windows.
    """

    def __init__(
        self, path: Path | str, sessions: Sequence[Session], windows: FrameWindows, device: torch.device
    ) -> None:
        stored = read_encoder_file(path)
        if FrameWindows(**stored.windows) != windows:
            raise EncoderError(
                f"{path}: expected a teacher that sees {windows.size} frames, {windows.step} apart, "
                f"found {stored.windows['size']} frames, {stored.windows['step']} apart"
            )
        self.readouts = [
            stored.choose(session.name if session.name in stored.mice else None, session.n_neurons)
            for session in sessions
        ]
        for session, readout in zip(sessions, self.readouts, strict=True):
            if stored.neurons[readout] != session.n_neurons:
                raise EncoderError(
                    f"{path}: expected a teacher with a readout of {session.n_neurons} neurons for {session.name}, "
                    f"found {stored.neurons[readout]}"
                )
        self.module = stored.module().eval().requires_grad_(False).to(device)
        self.canvas = Canvas(**stored.canvas)
        self.sha256 = file_hash(Path(path))

    @torch.no_grad()
    def activity(self, inputs: torch.Tensor, canvas: Canvas, mouse: int) -> torch.Tensor:
        """Activity of one mouse for inputs on the canvas of the encoder that learns.

        Parameters
        ----------
        inputs
            (B, 5, size, rows, columns).
        canvas
            Of the inputs.
        mouse
            Its index among the mice that are learned from.

        Returns
        -------
        torch.Tensor
            (B, N, size) >= 0.
        """
        return self.module(on_another_canvas(inputs, canvas, self.canvas), self.readouts[mouse])


def on_another_canvas(inputs: torch.Tensor, before: Canvas, after: Canvas) -> torch.Tensor:
    """Model input moved to another canvas: 0 around the movie, behaviour continued.

    Parameters
    ----------
    inputs
        (B, 5, T, rows, columns) on the canvas before.
    before, after
        The two canvases.

    Returns
    -------
    torch.Tensor
        (B, 5, T, rows, columns) on the canvas after.
    """
    if before == after:
        return inputs
    screen = inputs[(..., *before.screen)]
    rows, columns = after.screen
    around = (columns.start, after.columns - columns.stop, rows.start, after.rows - rows.stop)
    behavior = screen[:, 1:]
    continued = F.pad(behavior.flatten(1, 2), around, mode="replicate").unflatten(1, behavior.shape[1:3])
    return torch.cat([F.pad(screen[:, :1], around), continued], dim=1)
