"""A click on a pixel: which neurons pull it brighter or darker, told, and drawn like a chosen row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_vidrecon.analysis.error_maps import pulls_on_pixel
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.viewer.background import Background
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf

if TYPE_CHECKING:
    from napari_vidrecon.viewer.board import Board
    from napari_vidrecon.viewer.model import ReconstructionModel

MOST_NEURONS = 4
"""That are named, of those that pull brighter, and of those that pull darker."""
NOT_WHILE_RUNNING = "Which neurons pull a pixel is told when no run goes on: it would be slowed down."


@dataclass(frozen=True, eq=False)
class Pulled:
    """News: which neurons pull a pixel.

    Parameters
    ----------
    pixel
        Row and column.
    frame
        Of the clip.
    brighter, darker
        Neurons, the strongest first; of those that take part.
    """

    pixel: tuple[int, int]
    frame: int
    brighter: np.ndarray
    darker: np.ndarray


class PixelPulls(Background):
    """Works out in the background which neurons pull the pixel that was clicked last.

    Parameters
    ----------
    model
        Of the same window.
    board
        Draws the activity of those neurons.
    parent
        Qt owner.

    Attributes
    ----------
    result
        Of the last click.
    """

    def __init__(self, model: ReconstructionModel, board: Board, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self._model, self._board = model, board
        self._shelf = EncoderShelf()
        self.result: Pulled | None = None
        self._next: tuple[int, int] | None = None
        self._seen: tuple[Trial | None, np.ndarray | None] = (None, None)

    def ask(self, row: int, column: int) -> None:
        """Work it out for a pixel of the frame on display; where there is nothing to pull, nothing happens."""
        model = self._model
        if model.video is None or model.trial is None or not model.encoder_paths or model.neurons is None:
            return
        if model.going_on:
            self._tell(NOT_WHILE_RUNNING, False)
            return
        if not model.trial.labelled:
            return
        if not self.free:
            # Only the last click is wanted.
            self._next = row, column
            return
        self._seen = self._on_board
        frame = min(self._board.layers.frame, model.trial.frames - 1)
        asked = Pulled((row, column), frame, np.empty(0, np.intp), np.empty(0, np.intp))
        chosen = (model.encoder_paths[0], model.mouse, model.device)
        work = partial(find, model.trial, np.array(model.video), model.neurons.keep, asked, chosen, self._shelf)
        self.begin(Job(work, "vidrecon-pulls"))

    @property
    def _on_board(self) -> tuple[Trial | None, np.ndarray | None]:
        return self._model.trial, self._board.activity.explained.chosen

    def on_end(self, job: Job) -> None:
        """Answer the last of the clicks that came in the meantime."""
        wanted, self._next = self._next, None
        if wanted is not None:
            self.ask(*wanted)

    def on_news(self, job: Job, news: Pulled) -> None:
        """Say it, and draw the activity of the neurons that pull; not where something else was clicked since."""
        (row, column), trial = news.pixel, self._model.trial
        asked_of, chosen = self._seen
        other = asked_of is not trial or chosen is not self._on_board[1]
        if trial is None or self._next is not None or other:
            return
        self.result = news
        time_s = (self._model.clip[0] + news.frame) / trial.frame_rate_hz
        told = [
            f"{way} by {', '.join(map(str, neurons))}"
            for way, neurons in (("brighter", news.brighter), ("darker", news.darker))
            if len(neurons)
        ]
        pulled = f"Pulled {'; '.join(told)}" if told else "No neuron that takes part sees it"
        self._tell(f"{pulled}: row {row}, column {column} at {time_s:.2f} s (first encoder).", False)
        pulling = np.concatenate([news.brighter, news.darker])
        if len(pulling) and not np.array_equal(pulling, self._board.activity.explained.chosen):
            self._board.activity.choose(pulling)


def find(
    trial: Trial,
    video: np.ndarray,
    keep: np.ndarray,
    asked: Pulled,
    chosen: tuple[Path, int | None, str],
    shelf: EncoderShelf,
    job: Job,
) -> None:
    """In the thread: tells `Pulled`.

    Parameters
    ----------
    trial
        On the board.
    video
        (T, rows, columns) the reconstruction.
    keep
        (N,) bool, which neurons take part.
    asked
        The pixel and its frame.
    chosen
        Encoder file, index of its readout or None, and device.
    shelf
        Holds the encoder between two clicks.
    job
        Takes the news.
    """
    path, mouse, device = chosen
    (encoder,) = shelf.get([path], mouse, device, len(keep))
    pulls = np.where(keep, pulls_on_pixel(encoder, trial, video, trial.responses, asked.frame, asked.pixel), 0.0)
    order = np.argsort(pulls, kind="stable")
    brighter = [neuron for neuron in order[::-1][:MOST_NEURONS] if pulls[neuron] > 0]
    darker = [neuron for neuron in order[:MOST_NEURONS] if pulls[neuron] < 0]
    job.tell(Pulled(asked.pixel, asked.frame, np.array(brighter, np.intp), np.array(darker, np.intp)))
