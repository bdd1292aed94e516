"""What else a presentation may have been: a slow shift of the picture, a common gain; both inferred with the movie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.reconstruction.composition import InferredGain, InferredGaze
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import SubBatchGradients, average_over_overlaps, negative_log_likelihood
from napari_vidrecon.reconstruction.schedule import SubBatches
from napari_vidrecon.sessions.trial import Trial

COLUMNS, ROWS, GAIN = "columns", "rows", "gain"
KNOTS_PER_TIME = 2
"""Of a slow curve, in the time over which it stays much the same; more say nothing new."""
RIDGE = 1e-6
Curves = dict[str, torch.Tensor]


def slow_curves(frames: int, frame_rate_hz: float, seconds: float) -> np.ndarray:
    """Curves that vary slowly: a Gaussian process of SD 1, as whitened weights of a few curves.

    Parameters
    ----------
    frames
        Length, >= 1.
    frame_rate_hz
        Frames a second.
    seconds
        SD of the Gaussian that a curve's correlation falls by.

    Returns
    -------
    np.ndarray
        (frames, curves); with independent weights of SD 1 their sum is such a curve.
    """
    times_s = np.arange(frames) / frame_rate_hz
    knots_s = np.linspace(0.0, times_s[-1], 1 + int(np.ceil(times_s[-1] / seconds * KNOTS_PER_TIME)))

    def alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-0.5 * ((a[:, None] - b[None, :]) / seconds) ** 2))

    root = np.linalg.cholesky(alike(knots_s, knots_s) + RIDGE * np.eye(len(knots_s)))
    return np.asarray(np.linalg.solve(root, alike(knots_s, times_s)).T)


def shift_of_pupil(gaze: InferredGaze, pupil_center: np.ndarray) -> np.ndarray:
    """(2, T) columns and rows, pixels: what the recorded pupil (2, T) says of the shift."""
    x, y = np.asarray(pupil_center, np.float64) - np.array([[gaze.rest_x], [gaze.rest_y]])
    return np.stack([gaze.columns_per_x * x + gaze.columns_per_y * y, gaze.rows_per_x * x + gaze.rows_per_y * y])


def moved(movie: torch.Tensor, shift_px: torch.Tensor, colours: int = 1) -> torch.Tensor:
    """A movie as it falls on the retina when all receptive fields move; differentiable in both.

    Parameters
    ----------
    movie
        (T, rows, columns) on the screen.
    shift_px
        (2, T) columns and rows that receptive fields move by, pixels.
    colours
        Parts of the screen, one below the other, of which each is moved for itself.

    Returns
    -------
    torch.Tensor
        (T, rows, columns); the screen's border is repeated outwards.
    """
    rows, columns = movie.shape[1] // colours, movie.shape[2]
    down, right = torch.arange(rows).to(movie), torch.arange(columns).to(movie)
    x = (right + shift_px[0, :, None]) * 2 / max(columns - 1, 1) - 1
    y = (down + shift_px[1, :, None]) * 2 / max(rows - 1, 1) - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    # About 0, so that nothing but the picture is interpolated; cubic, as a linear one would blur between pixels.
    parts = movie.view(-1, colours, rows, columns)
    return F.grid_sample(parts, grid, mode="bicubic", padding_mode="border", align_corners=True).flatten(1, 2)


def moved_array(movie: np.ndarray, shift_px: np.ndarray, colours: int = 1) -> np.ndarray:
    """The same of arrays.

    Parameters
    ----------
    movie, shift_px, colours
        As for `moved`.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32.
    """
    given, shift = (torch.as_tensor(np.ascontiguousarray(each, np.float32)) for each in (movie, shift_px))
    return np.asarray(moved(given, shift, colours).numpy())


@dataclass(frozen=True)
class Inferred:
    """What was inferred of one presentation besides the movie.

    Parameters
    ----------
    gaze_px
        (2, T) columns and rows that the receptive fields moved by, pixels; 0 where it is not inferred.
    gain
        (T,) factor of all neurons; 1 where it is not inferred.
    colours
        Parts of the screen, one below the other.
    """

    gaze_px: np.ndarray
    gain: np.ndarray
    colours: int = 1

    def moved(self, movie: np.ndarray) -> np.ndarray:
        """(T, rows, columns) a movie on the screen as it fell on the retina, grey levels 0..255."""
        return np.clip(moved_array(movie, self.gaze_px, self.colours), 0.0, 255.0) if self.gaze_px.any() else movie

    @classmethod
    def mean(cls, each: Sequence[Inferred]) -> Inferred:
        """Over the members of an ensemble; of gains the geometric mean."""
        shift = np.mean([one.gaze_px for one in each], axis=0)
        return cls(shift, np.exp(np.mean([np.log(one.gain) for one in each], axis=0)), each[0].colours)


class Drift:
    """Slow shift and gain of one presentation, whitened under their priors, and their steps.

    Minimises, with the movie, the scaled negative log likelihood plus half the squared norm of the weights, by Adam at
    the movie's own rate and moments.

    Parameters
    ----------
    config
        What is inferred, and how it steps.
    canvas
        Of the movie.
    start_px
        (2, T) columns and rows that the shift lies around.
    curves
        By what they make up, columns, rows and gain (of which the logarithm): (T, curves) with weights of SD 1.
    """

    def __init__(
        self, config: ReconstructionConfig, canvas: Canvas, start_px: torch.Tensor, curves: dict[str, torch.Tensor]
    ) -> None:
        self.config, self._screen, self._colours = config, (slice(None), *canvas.screen), len(canvas.parts)
        self._start, self._curves = start_px, curves
        self.state: Curves = {
            f"{name}_{what}": torch.zeros(each.shape[1]).to(each)
            for name, each in curves.items()
            for what in ("weights", "momentum", "second_moment")
        }
        self._slopes: list[Curves] = []

    @classmethod
    def of(
        cls,
        config: ReconstructionConfig,
        trial: Trial,
        canvas: Canvas,
        like: torch.Tensor,
        *,
        by_pupil: bool,
        alone: bool,
    ) -> Drift | None:
        """The one a configuration asks for; None: none.

        Parameters
        ----------
        config
            What is inferred, and the priors.
        trial
            Its recorded pupil is where the shift starts from.
        canvas
            Of the movie.
        like
            Device and precision.
        by_pupil
            Whether the pupil is that of the mouse that the configuration speaks of.
        alone
            Whether no other presentation tells of the movie.

        Returns
        -------
        Drift | None
            With the state of a beginning.
        """
        gaze, gain = config.gaze, config.gain
        frames, rate = trial.frames, trial.frame_rate_hz
        start = np.zeros((2, frames))
        curves: dict[str, np.ndarray] = {}
        if isinstance(gaze, InferredGaze):
            start = shift_of_pupil(gaze, trial.pupil_center) if by_pupil else start
            sd_px = 0.0 if alone and not gaze.alone else gaze.sd_px
            curves |= dict.fromkeys((COLUMNS, ROWS), sd_px * slow_curves(frames, rate, gaze.seconds))
        if isinstance(gain, InferredGain):
            curves |= {GAIN: gain.log_sd * slow_curves(frames, rate, gain.seconds)}
        told = {name: torch.as_tensor(each).to(like) for name, each in curves.items()}
        return cls(config, canvas, torch.as_tensor(start).to(like), told) if told else None

    def _curve(self, name: str) -> torch.Tensor:
        return self._curves[name] @ self.state[f"{name}_weights"]

    @property
    def shift_px(self) -> torch.Tensor:
        """(2, T) columns and rows."""
        if COLUMNS not in self._curves:
            return self._start
        return self._start + torch.stack([self._curve(COLUMNS), self._curve(ROWS)])

    @property
    def gain(self) -> torch.Tensor | None:
        """(T,) factor of all neurons; None: not inferred."""
        return self._curve(GAIN).exp() if GAIN in self._curves else None

    @property
    def inferred(self) -> Inferred:
        """As far as it is known."""
        shift, gain = self.shift_px, self.gain
        known = torch.ones_like(shift[0]) if gain is None else gain
        return Inferred(shift.float().cpu().numpy(), known.float().cpu().numpy(), self._colours)

    def seen(self, movie: torch.Tensor) -> torch.Tensor:
        """(T, rows, columns) a movie on the canvas as it fell on the retina."""
        if COLUMNS not in self._curves:
            return movie
        shown = movie.clone()
        shown[self._screen] = moved(movie[self._screen], self.shift_px, self._colours)
        return shown

    def asked(self, wanted: torch.Tensor, weights: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Activity and weights (neurons, T) that ask of the encoder what those given ask of the encoder times the gain.

        Up to what does not depend on the movie, the quasi-likelihood of g a at w is g^(2 - power) times that of a at
        w / g.

        Parameters
        ----------
        wanted
            Activity to match.
        weights
            What each neuron counts; None: all the same.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor | None]
            Both as given where no gain is inferred.
        """
        gain = self.gain
        if gain is None:
            return wanted, weights
        gain = gain.to(wanted)
        counts = gain ** (2.0 - self.config.variance_power)
        return wanted / gain, counts.expand_as(wanted) if weights is None else weights * counts

    def settled(
        self,
        found: SubBatchGradients,
        movie: torch.Tensor,
        sub_batches: SubBatches,
        wanted: torch.Tensor,
        weights: torch.Tensor | None,
    ) -> SubBatchGradients:
        """Gradients in the movie's own place; those of shift and gain are kept for `advance`.

        Parameters
        ----------
        found
            What sub-batches give for the movie as it fell on the retina, and for activity as `asked`.
        movie
            (T, rows, columns) before it was shifted.
        sub_batches
            Where they start.
        wanted, weights
            Activity (neurons in the loss, T) to match, and what each counts.

        Returns
        -------
        SubBatchGradients
            With the gain in its activity.
        """
        frames, length = len(movie), found.video.shape[1]
        index = torch.as_tensor(np.asarray(sub_batches.starts)[:, None] + np.arange(length)).to(movie.device)
        slopes: Curves = {}
        if COLUMNS in self._curves:
            flat = index.flatten()
            leaf = movie[self._screen][flat].detach().requires_grad_(True)
            shift = self.shift_px[:, flat].detach().requires_grad_(True)
            pulls = found.video.flatten(0, 1).to(movie)
            back, slope = torch.autograd.grad(moved(leaf, shift, self._colours), (leaf, shift), pulls[self._screen])
            video = pulls.clone()
            video[self._screen] = back
            found = replace(found, video=video.view_as(found.video))
            along = average_over_overlaps(slope.T.reshape(*index.shape, 2), sub_batches, frames)
            slopes |= {COLUMNS: along[:, 0] @ self._curves[COLUMNS], ROWS: along[:, 1] @ self._curves[ROWS]}
        if (gain := self.gain) is not None:
            # Encoders of a team may lie on several devices.
            activity, index = found.activity, index.to(found.activity.device)
            activity = activity * gain.to(activity)[index][..., None]
            factor = torch.zeros_like(activity[..., 0]).requires_grad_(True)
            misfit = negative_log_likelihood(activity * factor.exp()[..., None], wanted.T[index], self.config)
            if weights is not None:
                misfit = misfit * weights.T[index]
            elements = wanted.shape[0] * length
            (slope,) = torch.autograd.grad(misfit.sum() / elements, factor)
            slopes[GAIN] = average_over_overlaps(slope, sub_batches, frames).to(movie) @ self._curves[GAIN]
            found = replace(found, activity=activity)
        self._slopes.append(slopes)
        return found

    def slopes(self) -> list[torch.Tensor]:
        """Gradients that the next step is made of, to look at."""
        return [each for slopes in self._slopes for each in slopes.values()]

    def forget(self) -> None:
        """No gradient is kept any more."""
        self._slopes = []

    def advance(self, scale: float, rate: float, step: int) -> None:
        """One step of Adam by the gradients that were kept, one an encoder.

        Parameters
        ----------
        scale
            What makes them gradients of a negative log likelihood.
        rate
            Prior deviations a step.
        step
            0, 1, ...
        """
        rule, t, state = self.config.update, step + 1, dict(self.state)
        first, second, damping = rule.momentum, getattr(rule, "second_momentum", 0.0), getattr(rule, "damping", 0.0)
        for name in self._curves:
            told = torch.stack([each[name] for each in self._slopes]).mean(dim=0)
            slope = scale * told + state[f"{name}_weights"]
            momentum = first * state[f"{name}_momentum"] + (1.0 - first) * slope
            square = second * state[f"{name}_second_moment"] + (1.0 - second) * slope**2
            size = (square / (1.0 - second**t)).sqrt() + (damping or torch.finfo(square.dtype).eps)
            weights = state[f"{name}_weights"] - rate / (1.0 - first**t) * momentum / size
            state |= {f"{name}_weights": weights, f"{name}_momentum": momentum, f"{name}_second_moment": square}
        self.state, self._slopes = state, []
