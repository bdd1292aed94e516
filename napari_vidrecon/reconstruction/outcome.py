"""Which movie a run ends with, and when: rules that need no true movie, and why a step came to no number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from napari_vidrecon.encoders.answers import check_finite
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, one_line
from napari_vidrecon.reconstruction.composition import AverageLast, Momentum, Spectral, StopAtPlateau, StopByHeldOut
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import SubBatchGradients


class NotFinite(ConfigError):
    """A calculation left the numbers that can be counted; it would end the same way every time."""


def why_not_finite(
    name: str,
    movie: str,
    config: ReconstructionConfig,
    parts: Iterable[tuple[Encoder, SubBatchGradients]],
    loss: float,
    gradient_is_finite: bool,
) -> str:
    """What is wrong where a step has a loss, a gradient or a movie that is not finite.

    Parameters
    ----------
    name, movie
        Of the clip, and of its movie before the step.
    config
        Every setting.
    parts
        Each encoder, and what its sub-batches give at that movie; only those needed are taken, as each costs time.
    loss
        Of the step.
    gradient_is_finite
        Whether its gradient was, and the gradient's length; if so, and the loss too, the new movie is not.

    Returns
    -------
    str
        One line, with what to do.

    Raises
    ------
    UnusableAnswer
        An encoder answers NaN or infinity.
    """
    rule = config.update
    if np.isfinite(loss) and gradient_is_finite:
        prior = " or the settings of the prior" if isinstance(rule, Spectral) else ""
        return (
            f"{name}: the movie is not finite: the learning rate {rule.learning_rate:g} is too large; "
            f"lower learning_rate{prior}"
        )
    for encoder, part in parts:
        check_finite(encoder, part.activity.flatten(0, 1).T, movie)
        lowest = float(part.activity.min())
        if lowest < 0:
            return (
                f"{name}: the loss is not finite (loss {loss}): {encoder.spec.name} answers {lowest:.3g}, "
                "and activity is at least 0; take another encoder"
            )
        normed = isinstance(rule, Momentum) and rule.gradient_norm != "none" and not rule.norm_epsilon
        if normed and (part.norms == 0).any():
            return f"{name}: a gradient is 0 and cannot be brought to length 1; raise norm_epsilon above 0"
        if not bool(part.norms.isfinite().all()):
            return f"{name}: the gradient of {encoder.spec.name} is not finite; take another encoder"
    weight = f"likelihood_weight {rule.likelihood_weight:g}" if isinstance(rule, Spectral) else ""
    clip = f"gradient_clip {rule.gradient_clip:g}" if isinstance(rule, Momentum) else ""
    shared = (f"poisson_epsilon {config.poisson_epsilon:g}", f"total_variation {config.total_variation:g}")
    told = ", ".join(each for each in (weight or clip, *shared, f"learning_rate {rule.learning_rate:g}"))
    return f"{name}: the loss or its gradient is not finite (loss {loss}); one of these is too large or small: {told}"


HELD_OUT_STREAM = 4
"""Of chance, apart from those of a step and of a draw."""
LOSS_MEMORY = 0.8
"""Weight of the past in the running mean of a loss; with random windows one step's says little."""


class Outcome(Protocol):
    """Watches a run's movies; never writes into a tensor it was given or has given away."""

    state: dict[str, torch.Tensor]
    """What a later process needs to go on to the same result."""

    def watch(self, before: torch.Tensor, after: torch.Tensor, loss: float, step: int) -> None:
        """Take in a step.

        Parameters
        ----------
        before
            (T, rows, columns), the movie before it.
        after
            (T, rows, columns), the movie after it.
        loss
            Of the movie before it.
        step
            Its number, 0, 1, ...
        """

    def movie(self, present: torch.Tensor) -> torch.Tensor:
        """The movie to show, given the present one."""

    @property
    def stopped(self) -> bool:
        """Whether more steps would not change the movie."""


class LastMovie:
    """The present movie, until all steps are done; as published."""

    stopped = False

    def __init__(self) -> None:
        self.state: dict[str, torch.Tensor] = {}

    def watch(self, before: torch.Tensor, after: torch.Tensor, loss: float, step: int) -> None:
        """Nothing to remember."""

    def movie(self, present: torch.Tensor) -> torch.Tensor:
        return present


class MeanOfLast:
    """Mean of the movies of the last steps, which leaves out what still goes up and down.

    Parameters
    ----------
    steps
        Of the run.
    averaged
        Of these, how many.
    """

    stopped = False

    def __init__(self, steps: int, averaged: int) -> None:
        self._first = max(steps - averaged, 0)
        self.state: dict[str, torch.Tensor] = {}

    def watch(self, before: torch.Tensor, after: torch.Tensor, loss: float, step: int) -> None:
        if step >= self._first:
            count = step - self._first + 1
            mean = self.state.get("mean", after)
            self.state = {"mean": mean + (after - mean) / count}

    def movie(self, present: torch.Tensor) -> torch.Tensor:
        return self.state.get("mean", present)


class HeldOut:
    """The movie that predicted neurons best which it was not fitted to.

    Parameters
    ----------
    steps
        Of the run.
    patience
        Steps without a better one until it ends early.

    References
    ----------
    Early stopping by validation, Prechelt 1998; not part of the published method.
    """

    def __init__(self, steps: int, patience: int) -> None:
        self._steps, self._patience = steps, patience
        self.state: dict[str, torch.Tensor] = {}

    def watch(self, before: torch.Tensor, after: torch.Tensor, loss: float, step: int) -> None:
        if self.stopped:
            return
        smooth, lowest, when = self._numbers(loss)
        smooth = LOSS_MEMORY * smooth + (1 - LOSS_MEMORY) * loss
        best = self.state.get("best", before)
        if smooth < lowest or step == 0:
            lowest, when, best = smooth, float(step), before
        numbers = torch.tensor([smooth, lowest, when, float(step)], dtype=torch.float64)
        self.state = {"numbers": numbers, "best": best}

    def movie(self, present: torch.Tensor) -> torch.Tensor:
        return self.state["best"] if self.stopped else present

    @property
    def stopped(self) -> bool:
        if "numbers" not in self.state:
            return False
        _, _, when, step = self.state["numbers"].tolist()
        return step - when >= self._patience or step + 1 >= self._steps

    def _numbers(self, loss: float) -> tuple[float, float, float]:
        smooth, lowest, when, _ = self.state.get("numbers", torch.tensor([loss, np.inf, 0.0, 0.0])).tolist()
        return smooth, lowest, when


class Plateau:
    """The movie at which the loss stopped falling.

    Parameters
    ----------
    window
        Steps over which the fall is measured.
    share
        Of its fall since the first step; less than this over a window is none.
    """

    def __init__(self, window: int, share: float) -> None:
        self._window, self._share = window, share
        self.state: dict[str, torch.Tensor] = {}

    def watch(self, before: torch.Tensor, after: torch.Tensor, loss: float, step: int) -> None:
        if self.stopped:
            return
        losses = self.state.get("losses", torch.zeros(0, dtype=torch.float64))
        smooth = LOSS_MEMORY * float(losses[-1]) + (1 - LOSS_MEMORY) * loss if len(losses) else loss
        losses = torch.cat([losses, torch.tensor([smooth], dtype=torch.float64)])
        self.state = {"losses": losses, "best": after}

    def movie(self, present: torch.Tensor) -> torch.Tensor:
        return self.state.get("best", present)

    @property
    def stopped(self) -> bool:
        losses = self.state.get("losses", torch.zeros(0))
        if len(losses) <= self._window:
            return False
        fell, in_all = float(losses[-1 - self._window] - losses[-1]), float(losses[0] - losses[-1])
        return fell <= self._share * in_all


def build_outcome(config: ReconstructionConfig) -> Outcome:
    """The rule a configuration names."""
    rule = config.stopping
    if isinstance(rule, AverageLast):
        return MeanOfLast(config.steps, rule.steps)
    if isinstance(rule, StopByHeldOut):
        return HeldOut(config.steps, rule.steps)
    if isinstance(rule, StopAtPlateau):
        return Plateau(rule.steps, rule.loss_share)
    return LastMovie()


def held_out_neurons(config: ReconstructionConfig, counting: np.ndarray) -> np.ndarray:
    """The neurons that a run is only judged by, drawn anew for each seed; none unless the rule asks for them.

    Parameters
    ----------
    config
        The rule and its share.
    counting
        (N,) bool, the neurons that count; some are held out and some are not.

    Returns
    -------
    np.ndarray
        (N,) bool: some of those that count, never all of them.

    Raises
    ------
    ConfigError
        Fewer than two neurons count.
    """
    held_out = np.zeros(len(counting), dtype=bool)
    rule = config.stopping
    if not isinstance(rule, StopByHeldOut):
        return held_out
    among = np.flatnonzero(counting)
    if len(among) < 2:
        raise ConfigError(
            f"stopping held_out: expected at least 2 neurons, to fit to and to judge by, found {len(among)}"
        )
    count = min(max(round(rule.neuron_share * len(among)), 1), len(among) - 1)
    chance = np.random.default_rng([config.seed, HELD_OUT_STREAM])
    held_out[chance.permutation(among)[:count]] = True
    return held_out


OUTCOME_PREFIX, DEVIANCE = "outcome_", "deviance"
"""Names in a saved state."""
LONGEST_NAME = 40
SHORT_ROWS = (OUTCOME_PREFIX, DEVIANCE)
"""What may be a few numbers; everything else is as large as the movie."""


def check_state(
    state: Mapping[str, Any], movie: tuple[int, ...], update: Mapping[str, torch.Tensor], steps: int
) -> None:
    """Refuse a saved state that does not fit a run.

    Parameters
    ----------
    state
        As `Reconstructor.state` gives it, from a file.
    movie
        Shape of the movie on the canvas.
    update
        The state of an update rule that has not begun: what must be there, and how large.
    steps
        Of the run.

    Raises
    ------
    ConfigError
        A part is missing, of another size or kind, or not finite.
    """
    step = state.get("step")
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or not 0 <= step <= steps:
        raise ConfigError(f"state: expected a step from 0 to {steps}, found {one_line(repr(step), LONGEST_NAME)}")
    sizes = {"video": movie, **{name: tuple(each.shape) for name, each in update.items()}}
    for name in (*sizes, *state):
        if name == "step":
            continue
        what = "a movie" if name == "video" else one_line(name, LONGEST_NAME)
        if name not in state:
            raise ConfigError(f"state: expected {what}, found none")
        found = np.asarray(state[name])
        if found.dtype.kind not in "fiu":
            raise ConfigError(f"state: expected numbers in {what}, found {found.dtype}")
        wanted = sizes.get(name, movie)
        if found.shape != wanted and not (found.ndim <= 1 and name.startswith(SHORT_ROWS)):
            raise ConfigError(f"state: expected {what} of {wanted}, found {found.shape}")
        # A deviance may be none; then all members of an ensemble count the same.
        if name != DEVIANCE and not np.isfinite(found).all():
            raise ConfigError(f"state: expected finite numbers in {what}, found others")
