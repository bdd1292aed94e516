"""Presentations of one clip: each has its own behaviour and activity, and all are fitted by one movie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_vidrecon.encoders.encoder import Canvas, Encoder
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gaze import Drift
from napari_vidrecon.reconstruction.gradients import SubBatchGradients, likelihood_scale, sub_batch_gradients
from napari_vidrecon.reconstruction.neuron_weights import noise_weights
from napari_vidrecon.reconstruction.outcome import held_out_neurons
from napari_vidrecon.reconstruction.schedule import SubBatches
from napari_vidrecon.reconstruction.several_mice import AnotherMouse, CommonScreen
from napari_vidrecon.reconstruction.targets import Target
from napari_vidrecon.reconstruction.update import Draw
from napari_vidrecon.sessions.trial import Trial


class Presentation:
    """What one presentation of a clip says about its movie.

    Parameters
    ----------
    trial
        Its behaviour goes into the encoders.
    encoders
        Of the mouse that saw it.
    target
        The activity to match.
    config
        Every setting.
    draw
        The chance of the movie that is fitted; None: the most probable one.
    screens
        How the movie is shown to each encoder, where it is one of another canvas or screen; None: as it is.

    Attributes
    ----------
    drift
        Shift and gain that are inferred with the movie; None: none.
    """

    def __init__(
        self,
        trial: Trial,
        encoders: Sequence[Encoder],
        target: Target,
        config: ReconstructionConfig,
        draw: Draw | None = None,
        screens: Sequence[CommonScreen | None] | None = None,
    ) -> None:
        self.trial, self.encoders, self.config, self.draw = trial, encoders, config, draw
        self.drift: Drift | None = None
        self.inputs = [self.packed(encoder) for encoder in encoders]
        self._screens = [None] * len(encoders) if screens is None else list(screens)
        self._blanks = [
            None if screen is None else inputs[0].clone()
            for screen, inputs in zip(self._screens, self.inputs, strict=True)
        ]
        self.set_target(target)

    def packed(self, encoder: Encoder) -> torch.Tensor:
        """(5, T, rows, columns) input of an encoder with a movie of the level that the run starts from."""
        canvas = encoder.spec.canvas
        blank = np.full((self.trial.frames, canvas.screen_rows, canvas.screen_columns), 0.0, np.float32)
        blank += self.config.blank(canvas.screen_rows)
        return encoder.pack(blank, self.trial.behavior, self.trial.pupil_center, padding=self.config.padding_level)

    def same_mouse(self, other: Presentation) -> bool:
        """Whether the same encoders answer for it."""
        return len(self.encoders) == len(other.encoders) and all(
            mine is theirs for mine, theirs in zip(self.encoders, other.encoders, strict=True)
        )

    def set_target(self, target: Target) -> None:
        """Match other activity, or other neurons."""
        self.target = target
        matched, in_loss = torch.as_tensor(target.matched), torch.as_tensor(target.in_loss)
        self.matched = [matched.to(e.device, e.dtype) for e in self.encoders]
        chosen = None if bool(in_loss.all()) else in_loss.nonzero()[:, 0]
        self.chosen = [None if chosen is None else chosen.to(e.device) for e in self.encoders]
        counting = target.in_loss if target.neurons.weights is None else target.in_loss & (target.neurons.weights > 0)
        held_out = held_out_neurons(self.config, counting)[target.in_loss]
        self._fitted = ~held_out
        self.held_out = torch.as_tensor(np.flatnonzero(held_out)) if held_out.any() else None
        self.weigh(target.matched)

    def weigh(self, told: np.ndarray) -> None:
        """Let neurons count by how noisy this activity (neurons in the loss, T) says that each is."""
        weights = self._weights(self.target, told)
        self.weights = [
            # One a frame, without memory of its own: clips laid end to end differ in them.
            None if weights is None else weights.to(e.device, e.dtype)[:, None].expand(-1, self.trial.frames)
            for e in self.encoders
        ]

    def _weights(self, target: Target, told: np.ndarray) -> torch.Tensor | None:
        """(neurons in the loss,) what each counts; None: all the same."""
        weights = np.ones(len(target.matched))
        if target.neurons.weights is not None:
            weights = target.neurons.weights[target.in_loss]
        elif (own := noise_weights(self.config, told[self._fitted])) is not None:
            weights[self._fitted] = own
        if self.draw is not None:
            # Drawn for all neurons, so that one keeps its weight when others are ablated.
            weights = weights * self.draw.weights(len(target.in_loss)).numpy()[target.in_loss]
        weights = weights * self._fitted
        return None if (weights == 1.0).all() else torch.as_tensor(weights)

    @property
    def scale(self) -> float:
        """What turns a gradient of the mean loss of a sub-batch into one of a negative log likelihood."""
        return self.scale_of(self.target.matched)

    def scale_of(self, activity: np.ndarray) -> float:
        """The same for other activity (neurons in the loss, T) of these neurons."""
        sub_batch_frames = self.encoders[0].spec.windows.sub_batch_frames
        return likelihood_scale(self.config, activity[self._fitted], sub_batch_frames)

    def showing(self, index: int, movie: torch.Tensor) -> torch.Tensor:
        """(5, T, rows, columns) input of an encoder, by its place, with a movie on the first mouse's canvas."""
        screen, blank = self._screens[index], self._blanks[index]
        self.inputs[index][0] = movie if screen is None or blank is None else screen.show(movie, blank)
        return self.inputs[index]

    def gradients(
        self,
        index: int,
        movie: torch.Tensor,
        seen: torch.Tensor,
        sub_batches: SubBatches,
        chunk: int | None,
    ) -> SubBatchGradients:
        """What the sub-batches of one encoder give.

        Parameters
        ----------
        index
            Place of the encoder.
        movie
            (T, rows, columns) on the first mouse's canvas.
        seen
            (T, rows, columns) of it, moved by this presentation's gaze, and disturbed.
        sub_batches
            Where they start.
        chunk
            Windows at once; None chooses.

        Returns
        -------
        SubBatchGradients
            Normed as the configuration says, of the first mouse's canvas.
        """
        inputs, screen = self.showing(index, seen), self._screens[index]
        matched, weights = wanted = self.matched[index], self.weights[index]
        if self.drift is not None:
            matched, weights = self.drift.asked(*wanted)
        given = matched, self.chosen[index], sub_batches.starts, self.config, chunk, weights
        found = sub_batch_gradients(self.encoders[index], inputs, *given)
        found = found if screen is None else replace(found, video=screen.back(found.video))
        return found if self.drift is None else self.drift.settled(found, movie, sub_batches, *wanted)


def presentation_to(
    mouse: AnotherMouse,
    places: Sequence[int],
    target: Target,
    config: ReconstructionConfig,
    draw: Draw | None,
    canvas: Canvas,
) -> Presentation:
    """The presentation of a clip to another mouse.

    Parameters
    ----------
    mouse
        Who saw it.
    places
        Of the first mouse's encoders, which its own go with.
    target
        Its activity to match.
    config
        Every setting.
    draw
        The chance of the movie that is fitted; None: the most probable one.
    canvas
        Of the first mouse's encoders.

    Returns
    -------
    Presentation
        With as many encoders as places.
    """
    encoders = mouse.partners(places)
    screens = [CommonScreen.of(canvas, encoder.spec.canvas, mouse) for encoder in encoders]
    return Presentation(mouse.trial, encoders, target, config, draw, screens)


def _mice(presentations: Sequence[Presentation]) -> list[list[int]]:
    """Places of the presentations of each mouse."""
    groups: list[list[int]] = []
    for place, each in enumerate(presentations):
        known = next((group for group in groups if each.same_mouse(presentations[group[0]])), None)
        if known is None:
            groups.append([place])
        else:
            known.append(place)
    return groups


def _mean_activity(presentations: Sequence[Presentation]) -> np.ndarray:
    return np.asarray(np.mean([each.target.matched for each in presentations], axis=0))


def weigh_together(presentations: Sequence[Presentation]) -> None:
    """Let the neurons of a mouse count alike in all its presentations: by what these have in common."""
    for places in _mice(presentations):
        mine = [presentations[place] for place in places]
        if len(mine) > 1:
            told = _mean_activity(mine)
            for each in mine:
                each.weigh(told)


def scales_of(presentations: Sequence[Presentation]) -> list[float]:
    """What turns the gradients of presentations into those of their negative log likelihoods.

    The variance of a clip's activity, which says how noisy it is, holds the signal too, and the encoder's faults are
    the same in every presentation. Neither grows less by showing a clip again, but in the mean over presentations the
    noise does. So those of one mouse count together as much as their mean would, which is more than one and less than
    all of them: ten equal ones say no more than one.

    Parameters
    ----------
    presentations
        Of one clip, in one or several mice.

    Returns
    -------
    list[float]
        One a presentation, > 0.
    """
    scales = [each.scale for each in presentations]
    for places in _mice(presentations):
        if len(places) > 1:
            mine = [presentations[place] for place in places]
            share = mine[0].scale_of(_mean_activity(mine)) / sum(scales[place] for place in places)
            for place in places:
                scales[place] *= share
    return scales
