"""The update rules: the published momentum, the most probable movie under a prior, and the chance in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from napari_vidrecon.reconstruction.composition import Momentum, NaturalPrior, Spectral
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.priors import CorrectedPrior, MoviePrior, build_prior
from napari_vidrecon.reconstruction.spectral_prior import EachColour, NaturalSpectrum, SpectralPrior
from napari_vidrecon.settings import of_kind

WEIGHTS, CENTRE = 0, 1
"""Streams of chance."""
SMALLEST = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Draw:
    """One of several movies that activity and prior leave open.

    The weighted likelihood bootstrap (Newton & Raftery 1994): every neuron counts by an exponential weight, as if
    others had been recorded, and the prior lies around a movie drawn from it. Where neurons say much, all draws agree;
    where they say nothing, each shows its own drawn movie. No model of the noise is needed. Draws come in pairs of
    opposite chance, so that chance all but cancels in the mean of a pair.

    Parameters
    ----------
    seed
        Of the run.
    index
        Of the draw, 0, 1, ...
    """

    seed: int
    index: int

    def weights(self, neurons: int) -> torch.Tensor:
        """(neurons,) what each counts; 1 on average."""
        chance = self._chance(WEIGHTS).random(neurons)
        # The logarithm of a uniform number makes an exponential one, and so does that of its opposite.
        return torch.as_tensor(-np.log(np.maximum(chance if self._opposite else 1.0 - chance, SMALLEST)))

    def coefficients(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """Whitened coefficients of a movie from the prior, of a shape (frames, rows, columns)."""
        drawn = self._chance(CENTRE).standard_normal(shape)
        return torch.as_tensor(-drawn if self._opposite else drawn)

    @property
    def _opposite(self) -> bool:
        return self.index % 2 == 1

    def _chance(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.index // 2, stream])


SHIFT_STREAM, NOISE_STREAM = 2, 3
"""Of chance, apart from those of sub-batches and draws."""


@dataclass(frozen=True)
class Disturbance:
    """Shifts the movie and adds noise, otherwise at every step; gradients are shifted back.

    The running mean of an update averages over the steps. Not part of the published method.

    Parameters
    ----------
    jitter_px
        Largest shift along rows and columns; what leaves on one side of the canvas comes in on the other.
    noise
        SD, grey levels.
    seed
        Of the run.
    member
        Of an ensemble of movies; each has its own chance, so that it cancels in their mean.
    rows
        Of each colour, which stand one below the other and are shifted each in itself; empty for grey levels.
    """

    jitter_px: int
    noise: float
    seed: int
    member: int = 0
    rows: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: ReconstructionConfig, member: int = 0, rows: Sequence[int] = ()) -> Disturbance | None:
        """The one a configuration names, if any.

        Parameters
        ----------
        config
            Its jitter and noise.
        member
            Of an ensemble of movies.
        rows
            Of each colour.

        Returns
        -------
        Disturbance | None
            None where nothing is disturbed.
        """
        if not config.input_jitter_px and not config.input_noise:
            return None
        return cls(config.input_jitter_px, config.input_noise, config.seed, member, tuple(rows))

    def applied(self, video: torch.Tensor, step: int) -> torch.Tensor:
        """(T, rows, columns) as the encoder sees it at a step."""
        return self.noisy(self.shifted(video, step), step)

    def shifted(self, video: torch.Tensor, step: int) -> torch.Tensor:
        """(T, rows, columns) as it is shown at a step."""
        return self._rolled(video, *self._shift(step))

    def noisy(self, video: torch.Tensor, step: int) -> torch.Tensor:
        """(T, rows, columns) with the noise of a step."""
        if not self.noise:
            return video
        # Drawn on the CPU, so that it is the same on every machine.
        chance = self._chance(step, NOISE_STREAM).standard_normal(video.shape, dtype=np.float32)
        return video + self.noise * torch.as_tensor(chance).to(video)

    def undone(self, gradient: torch.Tensor, step: int) -> torch.Tensor:
        """The gradient of what was seen, in the movie's own place."""
        rows, columns = self._shift(step)
        return self._rolled(gradient, -rows, -columns)

    def _rolled(self, video: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        parts = video.split(self.rows, dim=1) if len(self.rows) > 1 else (video,)
        return torch.cat([part.roll((rows, columns), dims=(1, 2)) for part in parts], dim=1)

    def _shift(self, step: int) -> tuple[int, int]:
        rows, columns = self._chance(step, SHIFT_STREAM).integers(-self.jitter_px, self.jitter_px + 1, size=2)
        return int(rows), int(columns)

    def _chance(self, step: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step, stream, self.member])


class Update(Protocol):
    """Changes the movie by its gradient; never writes into the tensors it is given or has given away."""

    state: dict[str, torch.Tensor]
    """What a later process needs to go on to the same bits."""

    def __call__(self, video: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        """The video (T, rows, columns) after step `step` (0, 1, ...)."""

    def restrict_to(self, video: torch.Tensor, mask: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        """Change only a part of the pixels from now on.

        Parameters
        ----------
        video
            (T, rows, columns), the present movie.
        mask
            (rows, columns) bool, the pixels that are changed.
        blank
            (T, rows, columns), what the others show.

        Returns
        -------
        torch.Tensor
            (T, rows, columns).
        """

    def start_from(self, video: torch.Tensor, movie: torch.Tensor, step: int) -> torch.Tensor:
        """Take in what a decoder sees.

        Parameters
        ----------
        video
            (T, rows, columns), the present movie.
        movie
            (T, screen rows, screen columns), the decoder's.
        step
            Steps done.

        Returns
        -------
        torch.Tensor
            (T, rows, columns), the movie to go on from.
        """


def learning_rate(config: ReconstructionConfig, step: int) -> float:
    """Warm-up, then constant or a cosine down to 0."""
    rule = config.update
    rate = rule.learning_rate
    if step < rule.warmup_steps:
        rate *= min(1.0, step / rule.warmup_steps)
    if rule.learning_rate_decay == "cosine":
        rate *= 0.5 * (1.0 + math.cos(math.pi * step / config.steps))
    return rate


class MomentumUpdate:
    """Adam without a second moment, as published (docs/method.md 5).

    The step size of step i (0, 1, ...) is lr_i sqrt(1 - ramp^t) / (1 - momentum^t) with t = i + 1; the momentum
    itself is divided by (1 - momentum^t) once more. Both are quirks of the reference (Q1) and options here.

    Parameters
    ----------
    config
        Its update is `Momentum`.
    screen
        Where the screen lies in the encoder's canvas.
    """

    def __init__(
        self,
        config: ReconstructionConfig,
        screen: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> None:
        self.config, self._screen = config, (slice(None), *screen)
        self._rule = of_kind(config.update, Momentum, "update")
        self.state: dict[str, torch.Tensor] = {}

    def multiplier(self, step: int) -> float:
        """What the momentum is multiplied with at a step, all corrections together."""
        rule, t = self._rule, step + 1
        correction = (1.0 - rule.momentum**t) ** rule.bias_corrections if rule.momentum else 1.0
        ramp = math.sqrt(1.0 - rule.ramp**t) if rule.ramp else 1.0
        return learning_rate(self.config, step) * ramp / correction

    def __call__(self, video: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        rule = self._rule
        if step == 0 and rule.skip_first_update:
            return video
        momentum = self.state.get("momentum", torch.zeros_like(video))
        momentum = rule.momentum * momentum + (1.0 - rule.momentum) * gradient
        self.state = {"momentum": momentum}
        return (video - self.multiplier(step) * momentum).clamp(0.0, 255.0)

    def restrict_to(self, video: torch.Tensor, mask: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        self.state = {name: moment * mask for name, moment in self.state.items()}
        return torch.where(mask, video, blank)

    def start_from(self, video: torch.Tensor, movie: torch.Tensor, step: int) -> torch.Tensor:
        if step:
            return video
        started = video.clone()
        started[self._screen] = movie.clamp(0.0, 255.0)
        return started


class SpectralUpdate:
    """Goes to the most probable movie, given the activity and how natural movies vary.

    Minimises the scaled negative log likelihood of the activity plus half the squared norm of the movie's whitened
    coefficients, by Adam on these. Where the neurons say little the prior keeps the movie smooth and grey, so
    more steps do not fit more noise. Not part of the published method; docs/quality.md says what it gives.

    Parameters
    ----------
    config
        Level; its update is `Spectral`, with step size and moments.
    prior
        Of the movie on the screen.
    screen
        Where the screen lies in the encoder's canvas.
    drawn
        Whitened coefficients of a movie from the prior that it lies around; None: grey, or a decoder's movie.
    """

    def __init__(
        self,
        config: ReconstructionConfig,
        prior: MoviePrior,
        screen: tuple[slice, slice],
        drawn: torch.Tensor | None = None,
    ) -> None:
        self.config, self.prior, self._drawn = config, prior, drawn
        self._rule = of_kind(config.update, Spectral, "update")
        self._centre = drawn
        self._corrected = prior if isinstance(prior, CorrectedPrior) else None
        self._screen = (slice(None), *screen)
        self._mask: torch.Tensor | None = None
        self._level: float | torch.Tensor = config.initial_level
        if config.colour_levels:
            self._level = torch.as_tensor(config.blank(prior.deviations.shape[1])).to(prior.deviations)
        nothing = torch.zeros_like(prior.deviations)
        self.state = {"coefficients": nothing, "momentum": nothing, "second_moment": nothing}

    def __call__(self, video: torch.Tensor, gradient: torch.Tensor, step: int) -> torch.Tensor:
        rule, t = self._rule, step + 1
        coefficients, momentum, second = (self.state[name] for name in ("coefficients", "momentum", "second_moment"))
        pull, free = gradient[self._screen], self._free_movie(coefficients)
        # A pixel that is black already is not pulled further down, nor a white one up.
        pull = torch.where(((free <= 0.0) & (pull > 0.0)) | ((free >= 255.0) & (pull < 0.0)), 0.0, pull)
        slope = self.prior.adjoint(pull) + coefficients
        if self._centre is not None:
            slope = slope - self._centre
        if self._corrected is not None:
            done = step / max(self.config.steps - 1, 1)
            more = self._corrected.correction(coefficients, self.config.initial_level, done, self.config.seed)
            slope = slope if more is None else slope + more
        momentum = rule.momentum * momentum + (1.0 - rule.momentum) * slope
        second = rule.second_momentum * second + (1.0 - rule.second_momentum) * slope**2
        size = (second / (1.0 - rule.second_momentum**t)).sqrt() + (rule.damping or torch.finfo(second.dtype).eps)
        rate = learning_rate(self.config, step) / (1.0 - rule.momentum**t)
        coefficients = coefficients - rate * momentum / size
        self.state = {"coefficients": coefficients, "momentum": momentum, "second_moment": second}
        return self._on_canvas(video, coefficients, last=t == self.config.steps)

    def restrict_to(self, video: torch.Tensor, mask: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        self._mask = mask[self._screen[1:]]
        return self._on_canvas(blank, self.state["coefficients"])

    def start_from(self, video: torch.Tensor, movie: torch.Tensor, step: int) -> torch.Tensor:
        decoded = self.prior.analysis(movie - self._level)
        self._centre = decoded if self._drawn is None else decoded + self._drawn
        if not step:
            self.state = {**self.state, "coefficients": decoded}
        return self._on_canvas(video, self.state["coefficients"])

    def _free_movie(self, coefficients: torch.Tensor) -> torch.Tensor:
        return self._level + self.prior.synthesis(coefficients)

    def _on_canvas(self, video: torch.Tensor, coefficients: torch.Tensor, *, last: bool = False) -> torch.Tensor:
        movie = self._free_movie(coefficients)
        if last and self._corrected is not None and self._drawn is None:
            movie = self._corrected.finished(movie, self.config.initial_level)
        movie = movie.clamp(0.0, 255.0)
        if self._mask is not None:
            movie = torch.where(self._mask, movie, video[self._screen])
        changed = video.clone()
        changed[self._screen] = movie
        return changed


def build_update(
    config: ReconstructionConfig,
    video: torch.Tensor,
    screen: tuple[slice, slice],
    frame_rate_hz: float,
    draw: Draw | None = None,
    *,
    decoded: bool = False,
    colours: int = 1,
) -> Update:
    """The update rule a configuration names.

    Parameters
    ----------
    config
        The rule and its settings.
    video
        (T, rows, columns) on an encoder's canvas.
    screen
        Where the screen lies in it.
    frame_rate_hz
        Of the video.
    draw
        The chance of this movie, or None.
    decoded
        The natural prior is about what a decoder's movie lacks, not about the whole movie.
    colours
        Parts of the screen, one below the other, of which each has the prior for itself.

    Returns
    -------
    Update
        With the state of a beginning.
    """
    rule = config.update
    if isinstance(rule, Momentum):
        return MomentumUpdate(config, screen)
    frames, rows, columns = video[(slice(None), *screen)].shape
    prior: MoviePrior
    size = frames, rows // colours, columns
    drawn = None if draw is None else draw.coefficients((frames, rows, columns)).to(video)
    if isinstance(rule.prior, NaturalPrior):
        spectrum = NaturalSpectrum.about_decoded(rule.prior) if decoded else NaturalSpectrum.of(rule.prior)
        prior = SpectralPrior(spectrum, size, frame_rate_hz, like=video)
        if drawn is not None and spectrum.power_ratios:
            # What the activity leaves open varies as movies do; how far movies are followed beyond it is another thing.
            as_movies = torch.as_tensor(spectrum.deviations(*size, frame_rate_hz, trust=1.0)).to(video)
            drawn = drawn * (as_movies / prior.deviations).repeat(1, colours, 1)
    else:
        prior = build_prior(rule.prior.kind, rule.prior.settings, size, frame_rate_hz, video)
    if colours > 1:
        prior = EachColour(prior, colours, config.colour_levels)
    return SpectralUpdate(config, prior, screen, drawn)
