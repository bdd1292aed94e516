"""A readout's first weights for a core that is trained already: the ridge regression of the activity on its features.

From chance a readout needs thousands of steps to find where each neuron looks. On a frozen core it is linear but for
its last nonlinearity, so where it looks follows from the covariances of features and activity, which one pass over
the training trials gives; a few steps then do the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture, ReadoutFit
from napari_vidrecon.encoders.training.batches import Batches

PENALTIES = (3.0, 10.0, 30.0, 100.0)
"""Of the ridge regression, in units of the features' mean variance; each neuron has the one that predicts it best."""
JUDGING_SHARE = 5
"""One trial in so many is left out to judge them on."""
LEAST_TRIALS = 5
MOST_FRAMES = 20_000
"""More of them say little more of where a neuron looks, and each costs as much."""
FEATURES_AT_ONCE = 512
NEURONS_AT_ONCE = 512
"""Of a regression that takes a minute on one core no piece does more than a second: between two it can be stopped."""
POWER_STEPS = 30
MOST_GAIN = 3.0
"""A penalty makes maps small; no more than so many times larger are they made again."""
SMALLEST = 1e-9


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

    def centred(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(P, P) covariance of the features, and (P, N) their covariance with activity in standard deviations."""
        mean = self.feature_mean
        covariance = self.covariance / self.frames - mean[:, None] * mean
        shared = self.shared / self.frames - mean[:, None] * self.response_mean
        return covariance, shared / self.response_sd


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
    most = max(LEAST_TRIALS, MOST_FRAMES // samples.arrays(samples.trial_ids[0]).video.shape[0])
    trials = samples.trial_ids[:: math.ceil(len(samples.trial_ids) / most)]
    was_training = module.training
    module.eval()
    judged = trials[::JUDGING_SHARE]
    try:
        learned = _moments(module, batches, mouse, [trial for trial in trials if trial not in judged], between)
        judging = _moments(module, batches, mouse, judged, between)
    finally:
        module.train(was_training)
    places, channels = size
    covariance, shared = learned.centred()
    held, answers = judging.centred()
    if not (covariance.isfinite().all() and covariance.diagonal().mean() > 0):
        return None
    found = [_rank_one(_ridge(covariance, shared, penalty, between), places) for penalty in PENALTIES]
    best = torch.stack([_correlation(*maps, held, answers, between) for maps in found]).argmax(dim=0)
    learned.add(judging)
    covariance, shared = learned.centred()
    weights = torch.empty_like(shared)
    for index, penalty in enumerate(PENALTIES):
        chosen = best == index
        if chosen.any():
            weights[:, chosen] = _ridge(covariance, shared[:, chosen], penalty, between)
    space, features = _rank_one(weights, places)
    agreement, power = _agreement(space, features, covariance, shared, between)
    # To the size of the activity; nothing where the sign would be the wrong one.
    features = features * (agreement / power).clamp(0.0, MOST_GAIN)[:, None]
    mean = learned.feature_mean.view(places, channels)
    return ReadoutFit(space, features, mean, learned.response_mean, learned.response_sd)


def _moments(
    module: Architecture, batches: Batches, mouse: int, trials: Sequence[int], between: Callable[[], None]
) -> Moments:
    """Of windows that lie beside each other, over so many trials."""
    found: Moments | None = None
    for trial in trials:
        between()
        inputs, targets = batches.whole_trial(mouse, trial)
        features = module.shared(inputs)[0]
        mine = Moments.of(features.flatten(2).flatten(0, 1).float(), targets.transpose(1, 2).flatten(0, 1).float())
        if found is None:
            found = mine
        else:
            found.add(mine)
    assert found is not None
    return found


def _ridge(covariance: torch.Tensor, shared: torch.Tensor, penalty: float, between: Callable[[], None]) -> torch.Tensor:
    """(P, N) weights."""
    penalised = covariance.clone()
    penalised.diagonal().add_(penalty * covariance.diagonal().mean())
    factor = _factored(penalised, between)
    weights = torch.empty_like(shared)
    for some in _pieces(shared.shape[1], NEURONS_AT_ONCE):
        between()
        weights[:, some] = torch.cholesky_solve(shared[:, some], factor)
    return weights


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
    space: torch.Tensor,
    features: torch.Tensor,
    covariance: torch.Tensor,
    shared: torch.Tensor,
    between: Callable[[], None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) covariance of prediction and activity, and variance of the prediction."""
    agreement, power = shared.new_empty(len(space)), shared.new_empty(len(space))
    for some in _pieces(len(space), NEURONS_AT_ONCE):
        between()
        weights = (space[some, :, None] * features[some, None, :]).flatten(1)
        power[some] = ((weights @ covariance) * weights).sum(1).clamp(min=SMALLEST)
        agreement[some] = (weights * shared[:, some].T).sum(1)
    return agreement, power


def _correlation(
    space: torch.Tensor,
    features: torch.Tensor,
    covariance: torch.Tensor,
    shared: torch.Tensor,
    between: Callable[[], None],
) -> torch.Tensor:
    """(N,) of prediction and activity."""
    agreement, power = _agreement(space, features, covariance, shared, between)
    return agreement / power.sqrt()
