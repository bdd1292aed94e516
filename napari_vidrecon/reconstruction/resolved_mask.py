"""A mask of what a population resolves: how small a change of each pixel its activity tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_vidrecon.encoders.answers import check_finite, check_windows
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import MaskError
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Trial

LEAST_ACTIVITY = 1e-2
"""Predicted activity below this counts as this, so that a silent neuron does not seem to know everything."""
SPECTRUM_FRAMES = 64
SMOOTHING_PX = 2.0
"""On the screen of the public recordings."""
REFERENCE = NaturalSpectrum(58.0, 0.035, 2.0, 0.65, 2.0)
"""The movies of which shares are told: contrast of the public mice, power falling with the square of the frequency."""
MIDDLE = 0.5
"""Pixels with so much of the largest sensitivity are the middle of the field; alpha is scaled by their median."""
TRAINING_SENSITIVITY, EVALUATION_SENSITIVITY = 0.75, 0.92
"""Of that in the middle: where alpha is 0.5 and 1. Over simulated mice of three kinds these overlapped well with the
discs and ellipses that receptive-field centres were drawn in (docs/quality.md). Shares themselves would not do: they
saturate, so that the same field would grow with the number of neurons."""
LEAST_SHARE = 0.05
"""Where less is resolved there is little to reconstruct."""
LOWEST_ALPHA, HIGHEST_ALPHA = 0.0, 1.4
JUST_BELOW = 0.01
FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)


class InformationFitter:
    """Gathers the Fisher information that activity carries about every pixel, from held-out trials.

    Information about pixel x is the sum over neurons and frames of (dr/dx)^2 / variance, r the predicted activity. It
    is estimated by probes: the squared gradient of a sum of all r, each with a random sign and divided by its standard
    deviation. The variance of a neuron is its predicted activity times a factor measured on the same trials.

    Parameters
    ----------
    encoder
        Best one that has not been trained on the trials.
    frame_rate_hz
        Of the movies, frames a second.
    seed
        Of the pieces and the signs.
    skip_frames
        First frames of a clip that are not used where there are others.
    smoothing_px
        Standard deviation of the blur of what is gathered, pixels.
    """

    def __init__(
        self,
        encoder: Encoder,
        frame_rate_hz: float,
        *,
        seed: int = 0,
        skip_frames: int = 0,
        smoothing_px: float = SMOOTHING_PX,
    ) -> None:
        self.encoder, self.skip_frames, self.smoothing_px = encoder, skip_frames, smoothing_px
        windows = encoder.spec.windows
        self.frames = windows.sub_batch_frames
        self.generator = np.random.default_rng(seed)
        self._indices = torch.as_tensor(windows.indices(np.arange(windows.step)), device=encoder.device)
        canvas = encoder.spec.canvas
        self._colours = len(canvas.parts)
        self._power, self._probes = np.zeros((canvas.screen_rows, canvas.screen_columns)), 0
        # On the CPU: Apple's GPUs have no double precision.
        self._residual = self._predicted = torch.zeros(encoder.spec.neurons, dtype=torch.float64)
        one_colour = canvas.screen_rows // self._colours, canvas.screen_columns
        self._shares = Shares(REFERENCE, one_colour, frame_rate_hz)

    def drawn(self, trials: list[Trial], step: int) -> tuple[Trial]:
        """The trial of a step: all in turn."""
        return (trials[step % len(trials)],)

    def step(self, trial: Trial) -> float:
        """One probe with a random piece of a trial; returns the mean squared error of the prediction.

        Returns
        -------
        float
            Of this piece.

        Raises
        ------
        MaskError
            The trial is too short, or the gradient is not finite.
        EncoderError
            The encoder answers NaN or infinity, or activity of another size.
        """
        first = self._first_frame(trial)
        piece = trial.part(first, first + self.frames)
        leaf = self.encoder.pack(piece.video, piece.behavior, piece.pupil_center).clone().requires_grad_(True)
        activity = self.encoder.responses(leaf[:, self._indices].transpose(0, 1))
        check_windows(self.encoder, activity, len(self._indices), self.encoder.spec.neurons, gradient=True)
        check_finite(self.encoder, activity, trial.name)
        recorded = torch.as_tensor(piece.responses, dtype=leaf.dtype, device=leaf.device)[:, self._indices]
        residual = (activity.detach() - recorded.transpose(0, 1)).square()
        deviation = (self._noise(residual, activity.detach()) * activity.detach().clamp(min=LEAST_ACTIVITY)).sqrt()
        signs = torch.as_tensor(
            self.generator.choice([-1.0, 1.0], size=tuple(activity.shape)), dtype=leaf.dtype, device=leaf.device
        )
        (gradient,) = torch.autograd.grad((signs * activity / deviation).sum(), leaf)
        if not gradient.isfinite().all():
            raise MaskError(
                f"mask of {trial.name}: expected a finite gradient; that of {self.encoder.spec.name} is NaN or "
                "infinite; take another encoder"
            )
        # The ends of a piece are seen by fewer frames of activity than those of a clip.
        middle = slice(self.frames // 4, self.frames - self.frames // 4)
        power = gradient[0][(middle, *self.encoder.spec.canvas.screen)].square().mean(dim=0)
        self._power, self._probes = self._power + power.cpu().double().numpy(), self._probes + 1
        return float(residual.mean())

    def _first_frame(self, trial: Trial) -> int:
        spare = trial.frames - self.frames
        if spare < 0:
            raise MaskError(
                f"trial {trial.id}: expected at least {self.frames} frames for the mask fit, found {trial.frames}"
            )
        return int(self.generator.integers(min(self.skip_frames, spare), spare + 1))

    def _noise(self, residual: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        """(neurons, 1) variance over predicted activity, drawn towards that of all by as much as one neuron's."""
        self._residual = self._residual + residual.mean(dim=(0, 2)).cpu().double()
        self._predicted = self._predicted + predicted.mean(dim=(0, 2)).cpu().double()
        factor = (self._residual + self._residual.mean()) / (self._predicted + self._predicted.mean() + LEAST_ACTIVITY)
        # An encoder that predicts without any error is not one that knows everything.
        return factor.clamp(min=LEAST_ACTIVITY).to(predicted)[:, None]

    @property
    def information(self) -> np.ndarray:
        """(36, 64) per squared grey level, about a pixel of a frame; smooth over a few pixels."""
        found = np.split(self._power / max(self._probes, 1), self._colours)
        return np.concatenate([ndimage.gaussian_filter(each, self.smoothing_px, mode="nearest") for each in found])

    @property
    def share(self) -> np.ndarray:
        """(36, 64) of 0..1: the share of a pixel's variance that is resolved."""
        return self._shares.of(self.information)

    @property
    def alpha(self) -> np.ndarray:
        """(36, 64) alpha on the screen, one solid piece in each colour."""
        return np.concatenate([solid_alpha(each) for each in np.split(np.sqrt(self.information), self._colours)])

    screen_alpha = alpha

    @property
    def said(self) -> str:
        """How much of a pixel's variance is resolved at most."""
        most = self.share.max()
        few = (
            f": next to nothing, as of few neurons ({self.encoder.spec.neurons} here), or an encoder that does not "
            "predict held-out activity"
        )
        advice = few if most < LEAST_SHARE else ""
        return f", up to {100 * most:.0f} % of a pixel's variance resolved{advice}"


class Shares:
    """What information about a pixel makes known of it, where movies have a spectrum.

    Wherever information changes little over a few pixels the movie that is most probable is a Wiener filter's: of a
    coefficient with variance S the share S f / (1 + S f) is resolved with information f, and of a pixel's variance
    the mean of that over the spectrum, weighted by S.

    Parameters
    ----------
    spectrum
        Of the movies.
    screen
        (rows, columns).
    frame_rate_hz
        Frames a second.
    """

    def __init__(self, spectrum: NaturalSpectrum, screen: tuple[int, int], frame_rate_hz: float) -> None:
        variances = np.sort(spectrum.deviations(SPECTRUM_FRAMES, *screen, frame_rate_hz).ravel() ** 2)
        # Neighbours in order are all but alike; a few hundred stand for all.
        groups = np.array_split(variances[::-1], 512)
        power, weight = (np.array([reduced(group) for group in groups]) for reduced in (np.mean, np.sum))
        self._information = np.logspace(-6, 3, 256) / power.max()
        product = self._information[:, None] * power
        self._share = (weight * product / (1 + product)).sum(axis=1) / weight.sum()

    def of(self, information: np.ndarray) -> np.ndarray:
        """Shares (0..1) of information about a pixel of a frame, per squared grey level."""
        return np.interp(np.log(information + 1e-300), np.log(self._information), self._share, left=0.0)


def solid_alpha(sensitivity: np.ndarray) -> np.ndarray:
    """Alpha of a map: 0.5 and 1 where it reaches fixed parts of its middle, each in one piece, no holes.

    Parameters
    ----------
    sensitivity
        (rows, columns), >= 0: the root of the information, one over the smallest change that could be told.

    Returns
    -------
    np.ndarray
        (rows, columns) of 0..1.4.
    """
    top = sensitivity.max()
    if not top > 0:
        return np.zeros_like(sensitivity)
    middle = np.median(sensitivity[sensitivity >= MIDDLE * top])
    slope = (EVALUATION_THRESHOLD - TRAINING_THRESHOLD) / (EVALUATION_SENSITIVITY - TRAINING_SENSITIVITY)
    alpha = TRAINING_THRESHOLD + slope * (sensitivity / middle - TRAINING_SENSITIVITY)
    for threshold in (TRAINING_THRESHOLD, EVALUATION_THRESHOLD):
        alpha = _in_one_piece(alpha, threshold)
    return np.clip(alpha, LOWEST_ALPHA, HIGHEST_ALPHA)


def _in_one_piece(alpha: np.ndarray, threshold: float) -> np.ndarray:
    """The largest piece that reaches a threshold keeps it, holes filled; others come to lie just below."""
    labels, pieces = ndimage.label(alpha >= threshold, FOUR_NEIGHBOURS)
    if not pieces:
        return alpha
    largest = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    filled = ndimage.binary_fill_holes(largest)
    return np.where(filled, np.maximum(alpha, threshold), np.minimum(alpha, threshold - JUST_BELOW))
