"""Gradients of a step: per sub-batch, normalised, averaged over overlaps, then transformed in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.answers import check_size, check_windows
from napari_vidrecon.encoders.chunks import Stateful, chunk_by_chunk, chunk_that_fits, gradient_through, with_state
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.composition import Momentum, Spectral
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.neuron_weights import never_changes
from napari_vidrecon.reconstruction.schedule import SubBatches


@dataclass(frozen=True, eq=False)
class SubBatchGradients:
    """What the sub-batches of a step give.

    Parameters
    ----------
    losses, norms
        (K,) Poisson loss and norm of its gradient.
    video
        (K, 32, rows, columns) gradient of the movie, divided by the norm.
    activity
        (K, 32, neurons in the loss) predicted on the way.
    """

    losses: torch.Tensor
    norms: torch.Tensor
    video: torch.Tensor
    activity: torch.Tensor

    def split(self, counts: Sequence[int]) -> list[SubBatchGradients]:
        """The first so many sub-batches, the next, and so on."""
        fields = (self.losses, self.norms, self.video, self.activity)
        return [SubBatchGradients(*parts) for parts in zip(*(each.split(list(counts)) for each in fields), strict=True)]


def sub_batch_gradients(
    encoder: Encoder,
    inputs: torch.Tensor,
    target: torch.Tensor,
    neurons: torch.Tensor | None,
    starts: np.ndarray,
    config: ReconstructionConfig,
    chunk: int | None = None,
    weights: torch.Tensor | None = None,
) -> SubBatchGradients:
    """Gradient of the Poisson loss of every sub-batch (docs/method.md 3, 4).

    A sub-batch of 32 frames is two windows of 16, its even and its odd frames; each frame is predicted once.
    Windows do not influence each other, so they go through in chunks, whatever sub-batch they belong to. An encoder
    with a state runs through the clip instead, unless `memory` is "windows".

    Parameters
    ----------
    encoder
        Frozen.
    inputs
        (5, T, rows, columns) model input; not changed.
    target
        (neurons in the loss, T) activity to match.
    neurons
        Indices of the neurons in the loss; None for all.
    starts
        (K,) first frames of the sub-batches.
    config
        Norm and loss settings.
    chunk
        Windows at once; None chooses by device and memory.
    weights
        (neurons in the loss, T) what each counts in each frame; None: all the same.

    Returns
    -------
    SubBatchGradients
        Normed as the configuration says.
    """
    stateful = through_clip(encoder, config)
    if stateful is not None:
        return _through_clip_gradients(stateful, inputs, target, neurons, starts, config, weights)
    windows = encoder.spec.windows
    frames_per_sub_batch = windows.sub_batch_frames
    window_starts = (starts[:, None] + np.arange(windows.step)[None, :]).ravel()
    indices = torch.as_tensor(windows.indices(window_starts), device=inputs.device)
    elements = target.shape[0] * frames_per_sub_batch
    chunk = chunk or chunk_that_fits(encoder, gradient=True)
    losses, norms, videos, activities = [], [], [], []
    pending: list[torch.Tensor] = []
    rule = config.update

    def compute(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        leaf = inputs[:, part].transpose(0, 1).detach().requires_grad_(True)
        activity = encoder.responses(leaf, neurons)
        check_windows(encoder, activity, len(part), target.shape[0], gradient=True)
        misfit = negative_log_likelihood(activity, target[:, part].transpose(0, 1), config)
        if weights is not None:
            misfit = misfit * weights[:, part].transpose(0, 1)
        loss = misfit.sum(dim=(1, 2)) / elements
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return loss.detach(), activity.detach(), gradient

    # Nothing in this loop waits for the device.
    for _, (loss, activity, gradient) in chunk_by_chunk(encoder, indices, chunk, compute):
        losses.append(loss)
        activities.append(activity)
        pending += gradient.unbind(0)
        while len(pending) >= windows.step:
            whole = torch.stack(pending[: windows.step])
            del pending[: windows.step]
            normed = whole if rule.gradient_norm == "all_channels" else whole[:, :1]
            # In float32 this norm is a few 1e-5 below the exact one, and so is the published code's.
            norms.append(torch.linalg.vector_norm(normed))
            # (step, size, ...) -> frames in order: frame = size index * step + parity.
            videos.append(whole[:, 0].transpose(0, 1).flatten(0, 1))
    norm, video = torch.stack(norms), torch.stack(videos)
    if isinstance(rule, Momentum) and rule.gradient_norm != "none":
        video = video / (norm + rule.norm_epsilon)[:, None, None, None]
    per_sub_batch = (len(starts), windows.step)
    loss = torch.cat(losses).view(per_sub_batch).sum(dim=1)
    # (K, step, N, size) -> (K, size, step, N) -> frames in order.
    activity = torch.cat(activities).unflatten(0, per_sub_batch).permute(0, 3, 1, 2).flatten(1, 2)
    return SubBatchGradients(loss, norm, video, activity)


def through_clip(encoder: Encoder, config: ReconstructionConfig) -> Stateful | None:
    """The encoder, if it runs through a clip with its state; None where it is asked for windows."""
    return with_state(encoder) if config.memory == "clip" else None


def _through_clip_gradients(
    encoder: Stateful,
    inputs: torch.Tensor,
    target: torch.Tensor,
    neurons: torch.Tensor | None,
    starts: np.ndarray,
    config: ReconstructionConfig,
    weights: torch.Tensor | None,
) -> SubBatchGradients:
    """Cuts of one gradient, that of the loss of every frame that a sub-batch covers."""
    length = encoder.spec.windows.sub_batch_frames
    cuts = torch.as_tensor(starts[:, None] + np.arange(length), device=inputs.device)
    counted = torch.zeros(inputs.shape[1], dtype=target.dtype, device=target.device)
    counted[cuts.flatten()] = 1.0 / (target.shape[0] * length)
    costs = counted if weights is None else counted * weights

    def misfit(activity: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        check_size(encoder, activity, (target.shape[0], len(frames)), "neurons x frames")
        return (negative_log_likelihood(activity, target[:, frames], config) * costs[..., frames]).sum()

    activity, gradient = gradient_through(encoder, inputs, misfit, neurons, config.gradient_frames)
    losses = (negative_log_likelihood(activity, target, config) * costs).sum(dim=0)[cuts].sum(dim=1)
    rule, video = config.update, gradient[0][cuts]
    normed = gradient if rule.gradient_norm == "all_channels" else gradient[:1]
    norms = torch.linalg.vector_norm(normed[:, cuts].transpose(0, 1).flatten(1), dim=1)
    if isinstance(rule, Momentum) and rule.gradient_norm != "none":
        video = video / (norms + rule.norm_epsilon)[:, None, None, None]
    return SubBatchGradients(losses, norms, video, activity.T[cuts])


def summed(
    parts: Sequence[SubBatchGradients], shares: Sequence[float], config: ReconstructionConfig
) -> SubBatchGradients:
    """Gradients of the sum of the likelihoods of several presentations of one movie.

    Where gradients are normed, the norm is that of the sum: what each presentation adds besides its movie, the
    gradient of its own behaviour, is its own.

    Parameters
    ----------
    parts
        What the same sub-batches give for each presentation.
    shares
        What each counts beside the first; only where gradients are not normed.
    config
        Norm settings.

    Returns
    -------
    SubBatchGradients
        Losses are means over the presentations; the activity is that of the first.
    """
    rule, first = config.update, parts[0]
    losses = torch.stack([each.losses.to(first.losses) for each in parts]).mean(dim=0)
    if not (isinstance(rule, Momentum) and rule.gradient_norm != "none"):
        pairs = list(zip(shares, parts, strict=True))
        video = sum((share * each.video.to(first.video) for share, each in pairs), torch.zeros_like(first.video))
        norms = sum((share * each.norms.to(first.norms) for share, each in pairs), torch.zeros_like(first.norms))
        return SubBatchGradients(losses, norms, video, first.activity)
    whole, beside = torch.zeros_like(first.video), torch.zeros_like(first.norms)
    for each in parts:
        norms, video = each.norms.to(first.norms), each.video.to(first.video)
        own = video * (norms + rule.norm_epsilon)[:, None, None, None]
        whole = whole + own
        beside = beside + (norms**2 - own.square().sum(dim=(1, 2, 3))).clamp(min=0.0)
    norms = (whole.square().sum(dim=(1, 2, 3)) + beside).sqrt()
    return SubBatchGradients(losses, norms, whole / (norms + rule.norm_epsilon)[:, None, None, None], first.activity)


def negative_log_likelihood(activity: torch.Tensor, wanted: torch.Tensor, config: ReconstructionConfig) -> torch.Tensor:
    """What the predicted activity costs, element by element, up to a constant.

    The Poisson loss is the published one. With other powers of the variance it is a quasi-likelihood of the Tweedie
    family: Gaussian at 0, gamma at 2, and between 1 and 2 that of gamma-sized events in Poisson number, with zeros.

    Source: science.md 5.3; Jorgensen 1987 for other powers.

    Parameters
    ----------
    activity
        (..., N, frames) >= 0, predicted.
    wanted
        Of the same shape, >= 0, the target.
    config
        Power of the variance, and what is added inside the logarithm.

    Returns
    -------
    torch.Tensor
        Of the same shape.

    References
    ----------
    docs/method.md 3; Jorgensen 1987 for other powers.
    """
    power, above_zero = config.variance_power, activity + config.poisson_epsilon
    if power == 1:
        return activity - wanted * torch.log(above_zero)
    if power == 2:
        return torch.log(above_zero) + wanted / above_zero
    return above_zero ** (2 - power) / (2 - power) - wanted * above_zero ** (1 - power) / (1 - power)


def average_over_overlaps(gradients: torch.Tensor, sub_batches: SubBatches, frames: int) -> torch.Tensor:
    """Mean over the sub-batches that cover each frame.

    Parameters
    ----------
    gradients
        (K, frames of a sub-batch, ...).
    sub_batches
        Where each starts, and how often it counts.
    frames
        Length of the clip, T.

    Returns
    -------
    torch.Tensor
        (T, ...); 0 where no sub-batch lies.
    """
    length = gradients.shape[1]
    total = gradients.new_zeros(frames, *gradients.shape[2:])
    count = gradients.new_zeros(frames)
    for start, weight, gradient in zip(sub_batches.starts, sub_batches.weights, gradients, strict=True):
        total[start : start + length] += float(weight) * gradient
        count[start : start + length] += float(weight)
    return total / count.clamp(min=1.0).view(-1, *(1,) * (total.ndim - 1))


class GradientTransform(Protocol):
    """Changes the averaged gradient (T, rows, columns) of a video of the same shape before the update."""

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor: ...


class Blur:
    """Gaussian blur in space and time, rescaled to the norm the gradient had.

    Natural movies are smooth and single-trial noise is not: blurring the gradient keeps the noise out of the
    reconstruction. Not part of the published method.

    Parameters
    ----------
    sigma_px, sigma_frames
        SD at the first step.
    end_share
        What of it is left at the last one.
    steps
        Of the run.
    """

    def __init__(self, sigma_px: float, sigma_frames: float, end_share: float = 1.0, steps: int = 1) -> None:
        self.sigma_px, self.sigma_frames = sigma_px, sigma_frames
        self.end_share, self.steps = end_share, steps

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor:
        share = 1.0 + (self.end_share - 1.0) * step / max(self.steps - 1, 1)
        sigma_px = share * self.sigma_px
        blurred = gaussian_blur(gradient, (share * self.sigma_frames, sigma_px, sigma_px))
        return blurred * (gradient.norm() / (blurred.norm() + torch.finfo(blurred.dtype).tiny))


class InEachColour:
    """A transform of its own for every colour of a movie whose colours stand one below the other.

    Parameters
    ----------
    transform
        Of one colour.
    rows
        Of each colour.
    """

    def __init__(self, transform: GradientTransform, rows: Sequence[int]) -> None:
        self.transform, self.rows = transform, list(rows)

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor:
        parts = zip(gradient.split(self.rows, dim=1), video.split(self.rows, dim=1), strict=True)
        return torch.cat([self.transform(*part, step) for part in parts], dim=1)


class MaskOut:
    """Zero outside the training mask."""

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor:
        return gradient * self.mask


class TotalVariation:
    """Adds the slope of the movie's total variation: a pull towards few edges, in space and in time.

    Parameters
    ----------
    weight
        What it counts, in units of the gradient.

    References
    ----------
    Rudin, Osher & Fatemi 1992; not part of the published method.
    """

    softness = 1.0
    """Grey levels; smaller differences between neighbours are not told from none."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor:
        movie = video.detach().requires_grad_(True)
        squares = torch.full_like(movie, self.softness**2)
        for axis in range(3):
            squares = squares + F.pad(movie.diff(dim=axis), (0, 0) * (2 - axis) + (0, 1)) ** 2
        (slope,) = torch.autograd.grad(squares.sqrt().sum(), movie)
        return gradient + self.weight * slope


class Clip:
    """Limits every element; never active with normalised gradients (Q19)."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor:
        return gradient.clamp(-self.limit, self.limit)


class Scale:
    """Multiplies every element."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, gradient: torch.Tensor, video: torch.Tensor, step: int) -> torch.Tensor:
        return gradient * self.factor


def likelihood_scale(config: ReconstructionConfig, matched: np.ndarray, sub_batch_frames: int) -> float:
    """What turns the gradient of the mean loss of a sub-batch into one of a negative log likelihood.

    The Poisson loss is a log likelihood of counts; activity is in arbitrary units, and noisier than counts. The
    ratio of its variance to its mean says by how much (quasi-likelihood, McCullagh & Nelder 1989), so the scale
    follows the session's units and noise.

    Parameters
    ----------
    config
        Its likelihood weight is 1 if the encoder were perfect and frames independent; less as they are not.
    matched
        (neurons in the loss, T) activity to match.
    sub_batch_frames
        Frames whose loss is averaged.

    Returns
    -------
    float
        > 0.
    """
    rule = config.update
    if not isinstance(rule, Spectral):
        return 1.0
    means, variances = matched.mean(axis=1), matched.var(axis=1)
    if never_changes(means, variances):
        # All are silent or constant, so nothing tells how noisy they are: as sparse activity is, by its own mean.
        means = np.full(len(means), float(means.mean()) or 1.0)
        variances = means**2
    expected = float((means**config.variance_power).sum())
    dispersion = variances.sum() / max(expected, np.finfo(np.float32).tiny)
    elements = matched.shape[0] * sub_batch_frames
    return float(rule.likelihood_weight * elements / max(float(dispersion), np.finfo(np.float32).tiny))


def build_transforms(
    config: ReconstructionConfig, mask: torch.Tensor, scale: float, rows: Sequence[int] = ()
) -> list[GradientTransform]:
    """The transforms a configuration names, in order.

    Blur, scale of the likelihood or clip, total variation, mask.

    Parameters
    ----------
    config
        Names blur, clip and total variation.
    mask
        (rows, columns) bool, the pixels that are changed.
    scale
        What the gradient of the likelihood is multiplied by (spectral update).
    rows
        Of each colour of the movie, one below the other, which are smoothed each for itself; empty for one.

    Returns
    -------
    list[GradientTransform]
        To apply one after the other.
    """
    transforms: list[GradientTransform] = []
    if config.gradient_blur_px or config.gradient_blur_frames:
        sigmas = config.gradient_blur_px, config.gradient_blur_frames
        transforms.append(Blur(*sigmas, config.gradient_blur_end, config.steps))
    rule = config.update
    transforms.append(Clip(rule.gradient_clip) if isinstance(rule, Momentum) else Scale(scale))
    if config.total_variation:
        transforms.append(TotalVariation(config.total_variation))
    if len(rows) > 1:
        transforms = [InEachColour(each, rows) for each in transforms]
    return [*transforms, MaskOut(mask)]


GAUSSIAN_TRUNCATE_SD = 4.0


def gaussian_blur(volume: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Separable Gaussian blur of a 3-D tensor with one SD an axis; edges are replicated."""
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            radius = max(1, math.ceil(GAUSSIAN_TRUNCATE_SD * sigma))
            offsets = torch.arange(-radius, radius + 1, device=volume.device, dtype=volume.dtype)
            kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
            kernel = kernel / kernel.sum()
            lines = volume.movedim(axis, -1)
            flat = lines.reshape(-1, 1, lines.shape[-1])
            flat = F.conv1d(F.pad(flat, (radius, radius), mode="replicate"), kernel[None, None])
            volume = flat.view(lines.shape).movedim(-1, axis)
    return volume
