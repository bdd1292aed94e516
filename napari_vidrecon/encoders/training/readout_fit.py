"""A readout's first weights for a core that is trained already: the ridge regression of the activity on its features.

From chance a readout needs thousands of steps to find where each neuron looks. On a frozen core it is linear but for
its last nonlinearity, so where it looks follows from the covariances of features and activity, which one pass over
the training trials gives; a few steps then do the rest. Of a core that has learned nothing yet the movie itself tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture, ReadoutFit
from napari_vidrecon.encoders.training.batches import Batches
from napari_vidrecon.encoders.training.samples import SessionSamples

PENALTIES = (3.0, 10.0, 30.0, 100.0)
"""Of the ridge regression, in units of the features' mean variance; each neuron has the one that predicts it best."""
JUDGING_SHARE = 5
"""One trial in so many is left out to judge them on."""
LEAST_TRIALS = 5
MOST_FRAMES = 20_000
"""More of them say little more of where a neuron looks, and each costs as much."""
MOST_FRAMES_A_TRIAL = 2_000
FEATURES_AT_ONCE = 512
NEURONS_AT_ONCE = 512
"""Of a regression that takes a minute on one core no piece does more than a second: between two it can be stopped."""
POWER_STEPS = 30
MOST_GAIN = 3.0
"""A penalty makes maps small; no more than so many times larger are they made again."""
SMALLEST = 1e-9
PLACES_ACROSS = 9
"""Parts of the screen's shorter side, in one of which each neuron is looked for."""
ANSWERED_S = (0.05, 0.25)
"""Activity follows what was shown so long before."""
PLACE_PENALTY = 1.0
"""Of the ridge regression on brightness, contrast and change, each of variance 1."""
CORRELATED_FRAMES = 5.0
"""So many say as much of a neuron's place as one that is by itself."""
PLACE_ROUNDS = 30
"""Of finding where the population looks, from where each neuron may, and the other way round."""


@dataclass
class Moments:
    """Sums over frames of a core's features and one mouse's activity.

    Parameters
    ----------
    frames
        How many there were.
    features, responses
        (P,) and (N,) sums.
    squares
        (N,) sums of squared activity.
    covariance
        (P, P) sums of products of features.
    shared
        (P, N) sums of products of features and activity.
    """

    frames: int
    features: torch.Tensor
    responses: torch.Tensor
    squares: torch.Tensor
    covariance: torch.Tensor
    shared: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, responses: torch.Tensor) -> Moments:
        """Of some frames: (F, P) features and (F, N) activity."""
        return cls(
            len(features),
            features.sum(0),
            responses.sum(0),
            responses.square().sum(0),
            features.T @ features,
            features.T @ responses,
        )

    def add(self, other: Moments) -> None:
        """Take in further frames."""
        self.frames += other.frames
        for name in ("features", "responses", "squares", "covariance", "shared"):
            getattr(self, name).add_(getattr(other, name))

    @property
    def response_mean(self) -> torch.Tensor:
        """(N,) mean activity."""
        return self.responses / self.frames

    @property
    def response_sd(self) -> torch.Tensor:
        """(N,) its standard deviation, above 0."""
        return (self.squares / self.frames - self.response_mean.square()).clamp(min=SMALLEST).sqrt()

    @property
    def feature_mean(self) -> torch.Tensor:
        """(P,) mean features."""
        return self.features / self.frames

    def centred(self) -> Covariances:
        """What is left about the means, activity in standard deviations."""
        mean = self.feature_mean
        covariance = self.covariance / self.frames - mean[:, None] * mean
        shared = self.shared / self.frames - mean[:, None] * self.response_mean
        return Covariances(covariance, shared / self.response_sd)


@dataclass
class Frames:
    """The features and the activity themselves: less than `Moments` where frames are fewer than features.

    Parameters
    ----------
    pieces
        (F, P) features and (F, N) activity of some frames each.
    """

    pieces: list[tuple[torch.Tensor, torch.Tensor]]

    @classmethod
    def of(cls, features: torch.Tensor, responses: torch.Tensor) -> Frames:
        """Of some frames: (F, P) features and (F, N) activity."""
        return cls([(features, responses)])

    def add(self, other: Frames) -> None:
        """Take in further frames."""
        self.pieces = [*self.pieces, *other.pieces]

    @property
    def responses(self) -> torch.Tensor:
        """(F, N) activity of all frames."""
        return torch.cat([responses for _, responses in self.pieces])

    @property
    def response_mean(self) -> torch.Tensor:
        """(N,) mean activity."""
        return self.responses.mean(0)

    @property
    def response_sd(self) -> torch.Tensor:
        """(N,) its standard deviation, above 0."""
        return self.responses.var(0, correction=0).clamp(min=SMALLEST).sqrt()

    @property
    def feature_mean(self) -> torch.Tensor:
        """(P,) mean features."""
        sums = torch.stack([features.sum(0) for features, _ in self.pieces])
        return sums.sum(0) / sum(len(features) for features, _ in self.pieces)

    def centred(self) -> CentredFrames:
        """What is left about the means, activity in standard deviations."""
        features = torch.cat([features for features, _ in self.pieces]).sub_(self.feature_mean)
        share = len(features) ** -0.5
        responses = (self.responses - self.response_mean) / self.response_sd
        return CentredFrames(features.mul_(share), responses * share)


@dataclass
class Covariances:
    """What a ridge regression needs, features by features.

    Parameters
    ----------
    features
        (P, P) covariance of the features.
    shared
        (P, N) their covariance with activity.
    """

    features: torch.Tensor
    shared: torch.Tensor

    @property
    def variance(self) -> float:
        """Mean variance of the features; not finite where any of them is not."""
        return float(self.features.diagonal().mean()) if self.features.isfinite().all() else math.nan

    def ridge(self, penalty: float, neurons: torch.Tensor | slice, between: Callable[[], None]) -> torch.Tensor:
        """Weights of some neurons.

        Parameters
        ----------
        penalty
            In units of the features' mean variance.
        neurons
            Which.
        between
            Called about once a second; may raise `KeyboardInterrupt`.

        Returns
        -------
        torch.Tensor
            (P, n).
        """
        penalised = self.features.clone()
        penalised.diagonal().add_(penalty * self.features.diagonal().mean())
        return _solved(penalised, self.shared[:, neurons], between)

    def agreement(self, weights: torch.Tensor, neurons: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) covariance of prediction and activity, and variance of the prediction; (n, P) weights of n neurons."""
        return (weights * self.shared[:, neurons].T).sum(1), ((weights @ self.features) * weights).sum(1)


@dataclass
class CentredFrames:
    """What a ridge regression needs, frames by features: its dual form has a matrix of frames by frames.

    Parameters
    ----------
    features, responses
        (F, P) and (F, N) about their means, over the root of F.
    """

    features: torch.Tensor
    responses: torch.Tensor

    @property
    def variance(self) -> float:
        """Mean variance of the features; not finite where any of them is not."""
        return float(self.features.square().sum() / self.features.shape[1])

    def ridge(self, penalty: float, neurons: torch.Tensor | slice, between: Callable[[], None]) -> torch.Tensor:
        """Weights of some neurons, by a matrix of frames by frames.

        Parameters
        ----------
        penalty, neurons, between
            As of `Covariances.ridge`.

        Returns
        -------
        torch.Tensor
            (P, n).
        """
        penalised = self.features.new_zeros(len(self.features), len(self.features))
        for some in _pieces(len(penalised), FEATURES_AT_ONCE):
            between()
            penalised[some, : some.stop] = self.features[some] @ self.features[: some.stop].T
        penalised.diagonal().add_(penalty * self.variance)
        solved = _solved(penalised, self.responses[:, neurons], between)
        weights = solved.new_empty(self.features.shape[1], solved.shape[1])
        for some in _pieces(len(weights), FEATURES_AT_ONCE):
            between()
            weights[some] = self.features[:, some].T @ solved
        return weights

    def agreement(self, weights: torch.Tensor, neurons: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) covariance of prediction and activity, and variance of the prediction; (n, P) weights of n neurons."""
        predicted = self.features @ weights.T
        return (predicted * self.responses[:, neurons]).sum(0), predicted.square().sum(0)


Sums = TypeVar("Sums", Moments, Frames)


def fit_readouts(
    module: nn.Module, batches: Batches, between: Callable[[], None] | None = None
) -> list[ReadoutFit | None]:
    """Regress every mouse's activity on the core, where a readout can begin from that; the module stays as it is.

    Parameters
    ----------
    module
        The encoder, with a core that has learned.
    batches
        Of the training.
    between
        Called about once a second; may raise `KeyboardInterrupt`.

    Returns
    -------
    list[ReadoutFit | None]
        For each mouse, what `fit_readout` found.
    """
    if not isinstance(module, Architecture):
        return []
    return [fit_readout(module, batches, mouse, between or _go_on) for mouse in range(len(batches.samples))]


def start_readouts(module: nn.Module, fits: Sequence[ReadoutFit | None]) -> bool:
    """Let every mouse's readout begin from a regression, where there is one.

    Parameters
    ----------
    module
        The encoder, with a core that has learned.
    fits
        As `fit_readouts` found them.

    Returns
    -------
    bool
        Whether any does.
    """
    for mouse, fit in enumerate(fits):
        if fit is not None:
            assert isinstance(module, Architecture)
            module.start_readout(mouse, fit)
    return any(fit is not None for fit in fits)


@torch.no_grad()
def fit_readout(module: Architecture, batches: Batches, mouse: int, between: Callable[[], None]) -> ReadoutFit | None:
    """Regress a mouse's activity on what a core makes of its training trials.

    Parameters
    ----------
    module
        Encoder with the trained core in it.
    batches
        Of the training.
    mouse
        Its index.
    between
        Called about once a second; may raise `KeyboardInterrupt`.

    Returns
    -------
    ReadoutFit | None
        None for an architecture whose readouts are of another kind, with too few trials to judge a fit on, and where
        the core's features are not finite or never vary.
    """
    samples, size = batches.samples[mouse], module.map_of_features(module.config)
    if size is None or len(samples.trial_ids) < LEAST_TRIALS:
        return None
    frames = samples.arrays(samples.trial_ids[0]).video.shape[0]
    trials = samples.trial_ids[:: math.ceil(len(samples.trial_ids) / max(LEAST_TRIALS, MOST_FRAMES // frames))]
    was_training = module.training
    module.eval()
    try:
        if len(trials) * frames < math.prod(size):
            return _regressed(Frames, module, batches, mouse, trials, between)
        return _regressed(Moments, module, batches, mouse, trials, between)
    finally:
        module.train(was_training)


def _regressed(
    kind: type[Sums],
    module: Architecture,
    batches: Batches,
    mouse: int,
    trials: Sequence[int],
    between: Callable[[], None],
) -> ReadoutFit | None:
    """What `fit_readout` finds on these trials, by one form of the regression or the other."""
    size = module.map_of_features(module.config)
    assert size is not None
    places, channels = size
    judged = trials[::JUDGING_SHARE]
    learned = _summed(kind, module, batches, mouse, [trial for trial in trials if trial not in judged], between)
    judging = _summed(kind, module, batches, mouse, judged, between)
    fitted, held = learned.centred(), judging.centred()
    if not (math.isfinite(fitted.variance) and fitted.variance > 0):
        return None
    found = [_rank_one(fitted.ridge(penalty, slice(None), between), places) for penalty in PENALTIES]
    best = torch.stack([_correlation(*maps, held, between) for maps in found]).argmax(dim=0)
    learned.add(judging)
    del fitted, held
    whole, weights = learned.centred(), best.new_empty((places * channels, len(best)), dtype=learned.response_sd.dtype)
    for index, penalty in enumerate(PENALTIES):
        chosen = best == index
        if chosen.any():
            weights[:, chosen] = whole.ridge(penalty, chosen, between)
    space, features = _rank_one(weights, places)
    agreement, power = _agreement(space, features, whole, between)
    # To the size of the activity; nothing where the sign would be the wrong one.
    features = features * (agreement / power).clamp(0.0, MOST_GAIN)[:, None]
    mean = learned.feature_mean.view(places, channels)
    return ReadoutFit(space, features, mean, learned.response_mean, learned.response_sd)


def _summed(
    kind: type[Sums],
    module: Architecture,
    batches: Batches,
    mouse: int,
    trials: Sequence[int],
    between: Callable[[], None],
) -> Sums:
    """Of windows that lie beside each other, over so many trials."""
    found: Sums | None = None
    for trial in trials:
        between()
        inputs, targets = batches.whole_trial(mouse, trial)
        features = module.shared(module.seen(inputs, mouse))[0]
        mine = kind.of(features.flatten(2).flatten(0, 1).float(), targets.transpose(1, 2).flatten(0, 1).float())
        if found is None:
            found = mine
        else:
            found.add(mine)
    assert found is not None
    return found


def _solved(matrix: torch.Tensor, answers: torch.Tensor, between: Callable[[], None]) -> torch.Tensor:
    """(M, N) of which a positive (M, M) matrix, of which the lower half will do, makes (M, N) answers; in its place."""
    factor = _factored(matrix, between)
    solved = torch.empty_like(answers)
    for some in _pieces(answers.shape[1], NEURONS_AT_ONCE):
        between()
        solved[:, some] = torch.cholesky_solve(answers[:, some], factor)
    return solved


def _factored(matrix: torch.Tensor, between: Callable[[], None]) -> torch.Tensor:
    """Its Cholesky factor, in its place: block after block, each less what those before it explain."""
    for some in _pieces(len(matrix), FEATURES_AT_ONCE):
        between()
        below, before = matrix[some.stop :], matrix[some, : some.start]
        matrix[some, some] = torch.linalg.cholesky(matrix[some, some] - before @ before.T)
        below[:, some] -= below[:, : some.start] @ before.T
        below[:, some] = torch.linalg.solve_triangular(matrix[some, some].mT, below[:, some], upper=True, left=False)
    return matrix.tril_()


def _go_on() -> None:
    """Nobody wants to stop."""


def _pieces(count: int, most: int) -> list[slice]:
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def _rank_one(weights: torch.Tensor, places: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest product of a map over space (N, places) and one over features (N, channels); (P, N) weights."""
    maps = weights.T.reshape(weights.shape[1], places, -1)
    features = torch.take_along_dim(maps, maps.square().sum(2).argmax(1)[:, None, None], dim=1)[:, 0]
    for _ in range(POWER_STEPS):
        space = torch.einsum("npc,nc->np", maps, features)
        space = space / space.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
        features = torch.einsum("npc,np->nc", maps, space)
    return space, features


def _agreement(
    space: torch.Tensor, features: torch.Tensor, sums: Covariances | CentredFrames, between: Callable[[], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) covariance of prediction and activity, and variance of the prediction."""
    agreement, power = space.new_empty(len(space)), space.new_empty(len(space))
    for some in _pieces(len(space), NEURONS_AT_ONCE):
        between()
        weights = (space[some, :, None] * features[some, None, :]).flatten(1)
        agreement[some], power[some] = sums.agreement(weights, some)
    return agreement, power.clamp(min=SMALLEST)


def _correlation(
    space: torch.Tensor, features: torch.Tensor, sums: Covariances | CentredFrames, between: Callable[[], None]
) -> torch.Tensor:
    """(N,) of prediction and activity."""
    agreement, power = _agreement(space, features, sums, between)
    return agreement / power.sqrt()


@torch.no_grad()
def first_places(samples: SessionSamples, between: Callable[[], None] | None = None) -> torch.Tensor:
    """Where each neuron looks, told by its activity and the movies alone.

    A ridge regression of the activity on what was shown in each part of the screen a moment before: brightness,
    contrast and change, to one of which neurons of any kind answer. What a part explains is how likely a neuron looks
    there; where all together look is found along with it (expectation and maximisation), so that a neuron which says
    little is put among the others.

    Parameters
    ----------
    samples
        Of a mouse; a part of its training trials is read.
    between
        Called about once a second; may raise `KeyboardInterrupt`.

    Returns
    -------
    torch.Tensor
        (N, 2) row and column, from -1 to 1 over the screen.
    """
    frames = min(MOST_FRAMES_A_TRIAL, max(1, samples.session.clip_frames(samples.trial_ids[0])))
    wanted = min(len(samples.trial_ids), max(LEAST_TRIALS, MOST_FRAMES // frames))
    spread = torch.linspace(0, len(samples.trial_ids) - 1, wanted).round().int().tolist()
    moments, sides = None, (1, 1)
    for index in spread:
        (between or _go_on)()
        arrays = samples.arrays(samples.trial_ids[index])
        video = torch.as_tensor(arrays.video[:MOST_FRAMES_A_TRIAL]).float()
        sides, seen = _shown_before(video, samples.session.frame_rate_hz)
        mine = Moments.of(seen.double(), torch.as_tensor(arrays.responses[:, :MOST_FRAMES_A_TRIAL]).double().T)
        if moments is None:
            moments = mine
        else:
            moments.add(mine)
    assert moments is not None
    found = moments.centred()
    if not found.variance > SMALLEST:
        # Movies that never change tell nothing.
        return torch.zeros(found.shared.shape[1], 2)
    sd = found.features.diagonal().clamp(min=SMALLEST).sqrt()
    alike = Covariances(found.features / sd / sd[:, None], found.shared / sd[:, None])
    weights = alike.ridge(PLACE_PENALTY, slice(None), between or _go_on)
    explained = _smooth((weights * alike.shared).unflatten(0, (-1, *sides)).sum(0).permute(2, 0, 1)).flatten(1)
    likely = moments.frames / CORRELATED_FRAMES / 2.0 * explained
    of_all = torch.full_like(likely[0], 1.0 / likely.shape[1])
    for _ in range(PLACE_ROUNDS):
        of_each = torch.softmax(of_all.log() + likely, dim=1)
        together = _smooth(of_each.mean(0).unflatten(0, sides)[None]).flatten()
        of_all = together / together.sum() + SMALLEST
    axes = torch.meshgrid(*(torch.linspace(-1, 1, side, dtype=likely.dtype) for side in sides), indexing="ij")
    return torch.stack([of_each @ axis.flatten() for axis in axes], 1).float()


def _smooth(maps: torch.Tensor) -> torch.Tensor:
    """Maps (M, rows, columns), each part with a share of its neighbours."""
    near = torch.tensor([0.25, 0.5, 0.25], dtype=maps.dtype)
    return F.conv2d(maps[:, None], near[None, None, :, None] * near, padding=1)[:, 0]


def _shown_before(video: torch.Tensor, frame_rate_hz: float) -> tuple[tuple[int, int], torch.Tensor]:
    """Rows and columns of a coarse screen, and (F, 3 * rows * columns) what was in each part a moment before."""
    scale = max(1.0, min(video.shape[1:]) / PLACES_ACROSS)
    sides = (max(1, round(video.shape[1] / scale)), max(1, round(video.shape[2] / scale)))
    change = torch.zeros_like(video)
    change[1:] = video.diff(dim=0).abs()
    mean, square, changed = (F.adaptive_avg_pool2d(each, sides) for each in (video, video.square(), change))
    contrast = (square - mean.square()).clamp(min=0).sqrt()
    shown = torch.stack([mean, contrast, changed], 1).flatten(1)
    first, last = (round(each * frame_rate_hz) for each in ANSWERED_S)
    held = torch.cat([shown[:1].expand(last, -1), shown])
    return sides, torch.stack([held[last - lag : len(held) - lag] for lag in range(first, last + 1)]).mean(0)
