"""What else a presentation may have been: a slow shift of the picture, a common gain; both inferred with the movie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.errors import SessionError
from napari_vidrecon.reconstruction.composition import InferredGain, InferredGaze
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import (
    SubBatchGradients,
    average_over_overlaps,
    likelihood_scale,
    negative_log_likelihood,
    sub_batch_gradients,
)
from napari_vidrecon.reconstruction.neuron_weights import noise_weights
from napari_vidrecon.reconstruction.schedule import SubBatches
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.settings import listed

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Session

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
    def of(cls, config: ReconstructionConfig, trial: Trial, canvas: Canvas, like: torch.Tensor) -> Drift | None:
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
            start = shift_of_pupil(gaze, trial.pupil_center)
            curves |= dict.fromkeys((COLUMNS, ROWS), gaze.sd_px * slow_curves(frames, rate, gaze.seconds))
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
            pulls = found.video.flatten(0, 1)
            back, slope = torch.autograd.grad(moved(leaf, shift, self._colours), (leaf, shift), pulls[self._screen])
            video = pulls.clone()
            video[self._screen] = back
            found = replace(found, video=video.view_as(found.video))
            along = average_over_overlaps(slope.T.reshape(*index.shape, 2), sub_batches, frames)
            slopes |= {COLUMNS: along[:, 0] @ self._curves[COLUMNS], ROWS: along[:, 1] @ self._curves[ROWS]}
        if (gain := self.gain) is not None:
            activity = found.activity * gain.to(found.activity)[index][..., None]
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
        first, second = rule.momentum, getattr(rule, "second_momentum", 0.0)
        for name in self._curves:
            told = torch.stack([each[name] for each in self._slopes]).mean(dim=0)
            slope = scale * told + state[f"{name}_weights"]
            momentum = first * state[f"{name}_momentum"] + (1.0 - first) * slope
            square = second * state[f"{name}_second_moment"] + (1.0 - second) * slope**2
            size = (square / (1.0 - second**t)).sqrt() + torch.finfo(square.dtype).eps
            weights = state[f"{name}_weights"] - rate / (1.0 - first**t) * momentum / size
            state |= {f"{name}_weights": weights, f"{name}_momentum": momentum, f"{name}_second_moment": square}
        self.state, self._slopes = state, []


PUPIL_TRIALS, CHECKED_TRIALS, PUPIL_FRAMES = 24, 6, 150
PUPIL_STEPS, PUPIL_RATE = 72, 0.2
PUPIL_SD_PX = 2.0
"""Of the shift that one deviation of the pupil is expected to tell; weak beside dozens of trials."""


@dataclass(frozen=True)
class PupilGaze:
    """How the recorded pupil moves the picture beyond what the encoder makes of it.

    Parameters
    ----------
    gaze
        What a reconstruction takes.
    shift_px
        SD of that shift, along columns and rows, on the trials it was found on.
    losses
        Mean loss of the activity of each trial that was left out, without and with the shift.
    trials
        How many it was found on.
    """

    gaze: InferredGaze
    shift_px: tuple[float, float]
    losses: tuple[tuple[float, float], ...]
    trials: int

    @property
    def better(self) -> int:
        """Of the trials left out, how many are explained better with the shift."""
        return sum(after < before for before, after in self.losses)

    @property
    def helps(self) -> bool:
        """Whether the trials left out are explained better, most of them and all together."""
        return 2 * self.better > len(self.losses) and sum(after - before for before, after in self.losses) < 0

    @property
    def settings(self) -> dict[str, Any]:
        """For `ReconstructionConfig.preset` and --set; nothing where the shift does not help."""
        if not self.helps:
            return {}
        told = self.gaze.model_dump(exclude_defaults=True)
        return {"gaze": "inferred", **{f"gaze.{name}": each for name, each in told.items()}}


def fit_gaze(
    session: Session,
    encoder: Encoder,
    trial_ids: Sequence[int] | None = None,
    check_ids: Sequence[int] | None = None,
    on_progress: Callable[[int, int], bool | None] | None = None,
) -> PupilGaze:
    """Find by how many pixels the picture shifts with the recorded pupil, on clips whose movie is known.

    The pupil's deviation from its mean, times a matrix, moves the movie before the encoder sees it; the matrix is the
    most probable one, given the activity. Nothing is taken from the clips to be reconstructed.

    Parameters
    ----------
    session
        Of the mouse.
    encoder
        Bound to it.
    trial_ids
        Trials to find it on; None: 24 of the tier train.
    check_ids
        Trials to check it on; None: the first 6 of the tier oracle, or, without any, every fourth of the others.
    on_progress
        Called with (steps done, steps in all); return False to stop with what is found.

    Returns
    -------
    PupilGaze
        Its `settings` are empty where the trials to check are not explained better.

    Raises
    ------
    SessionError
        Too few trials whose movie and activity are known.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> vr.fit_gaze(session, encoder, [2, 3], [4], on_progress=lambda done, steps: done < 2).trials
    2
    """
    known = session.trials_in_tier("train") if trial_ids is None else listed(trial_ids, "trial_ids")
    checked = session.trials_in_tier("oracle")[:CHECKED_TRIALS] if check_ids is None else listed(check_ids, "check_ids")
    if trial_ids is None:
        known = known[:: max(1, len(known) // PUPIL_TRIALS)][:PUPIL_TRIALS]
    if not checked:
        checked, known = known[::4], [each for place, each in enumerate(known) if place % 4]
    least = encoder.spec.windows.sub_batch_frames
    clips = {each: session.trial(each) for each in {*known, *checked} if session.has_movie(each)}
    usable = {
        each: clip.part(0, min(clip.frames, PUPIL_FRAMES)) for each, clip in clips.items() if clip.frames >= least
    }
    known, checked = ([each for each in ids if each in usable] for ids in (known, checked))
    if not known or not checked:
        raise SessionError(
            f"{session.path}: expected trials of {least} frames or more whose movie is known, to find the pupil's "
            f"shift on and to check it, found {len(known)} and {len(checked)}; name others (--trials)"
        )
    pupils = np.concatenate([usable[each].pupil_center for each in known], axis=1, dtype=np.float64)
    rest, sd = pupils.mean(axis=1), pupils.std(axis=1)
    per_unit = np.divide(PUPIL_SD_PX, sd, out=np.zeros(2), where=sd > 0)
    config = ReconstructionConfig.preset("fast", gaze="inferred", steps=PUPIL_STEPS)
    weights: Curves = {}
    for step in range(PUPIL_STEPS):
        drift = _answered(usable[known[step % len(known)]], encoder, config, rest, per_unit, weights)[1]
        rate = PUPIL_RATE * 0.5 * (1.0 + np.cos(np.pi * step / PUPIL_STEPS))
        drift.advance(drift.scale * len(known), rate, step)
        weights = drift.state
        if on_progress is not None and on_progress(step + 1, PUPIL_STEPS) is False:
            break
    nothing = {name: torch.zeros_like(each) for name, each in weights.items()}
    told = encoder, config, rest, per_unit
    losses = [
        (_answered(usable[each], *told, nothing)[0], _answered(usable[each], *told, weights)[0]) for each in checked
    ]
    matrix = np.stack([weights[f"{name}_weights"].cpu().numpy() for name in (COLUMNS, ROWS)]) * per_unit
    matrix, rest = np.round(matrix, 5), np.round(rest, 3)
    (columns_per_x, columns_per_y), (rows_per_x, rows_per_y) = matrix.tolist()
    gaze = InferredGaze(
        sd_px=0.0,
        columns_per_x=columns_per_x,
        rows_per_x=rows_per_x,
        columns_per_y=columns_per_y,
        rows_per_y=rows_per_y,
        rest_x=float(rest[0]),
        rest_y=float(rest[1]),
    )
    spread = shift_of_pupil(gaze, pupils).std(axis=1)
    return PupilGaze(gaze, (float(spread[0]), float(spread[1])), tuple(losses), len(known))


class _PupilDrift(Drift):
    """A shift by the pupil, with what its gradients are scaled by."""

    scale = 1.0


def _answered(
    trial: Trial, encoder: Encoder, config: ReconstructionConfig, rest: np.ndarray, per_unit: np.ndarray, state: Curves
) -> tuple[float, _PupilDrift]:
    """Mean loss of a trial's activity with the movie known, and the shift with its gradient there.

    Parameters
    ----------
    trial
        Its movie is known.
    encoder
        Of the mouse.
    config
        Of the loss, and of steps.
    rest, per_unit
        (2,) of the pupil: what shifts nothing, and what it is multiplied by.
    state
        Of the shift; empty: of a beginning.

    Returns
    -------
    tuple[float, _PupilDrift]
        The loss in units of activity.
    """
    windows, canvas = encoder.spec.windows, encoder.spec.canvas
    inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
    movie = inputs[0].clone()
    curves = torch.as_tensor(((trial.pupil_center - rest[:, None]) * per_unit[:, None]).T).to(movie)
    drift = _PupilDrift(config, canvas, torch.zeros(2, trial.frames).to(movie), {COLUMNS: curves, ROWS: curves})
    drift.state = state or drift.state
    starts = np.arange(0, trial.frames - windows.sub_batch_frames + 1, windows.sub_batch_frames)
    told = trial.responses
    counts = noise_weights(config, told)
    wanted = torch.as_tensor(told).to(movie)
    weights = None if counts is None else torch.as_tensor(counts).to(movie)[:, None].expand_as(wanted)
    inputs[0] = drift.seen(movie)
    found = sub_batch_gradients(encoder, inputs, wanted, None, starts, config, weights=weights)
    drift.settled(found, movie, SubBatches(starts, np.ones(len(starts))), wanted, weights)
    drift.scale = likelihood_scale(config, told, windows.sub_batch_frames)
    return float(found.losses.mean()), drift
