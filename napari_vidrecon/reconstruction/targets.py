"""The activity that a movie has to explain: of which neurons (`NeuronSet`), and what they did (`Target`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import fspath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.errors import ConfigError, one_line
from napari_vidrecon.settings import brief, finite_number, shown, whole_number

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Trial


Ablation = Literal["drop", "silence"]
"""drop: ablated neurons leave the loss. silence: they stay in it with a target of 0, as in the published code."""


MOST_NEURONS = 1 << 24


@dataclass(frozen=True, eq=False)
class NeuronSet:
    """A choice of neurons.

    Parameters
    ----------
    keep
        (N,) bool, True where a neuron takes part.
    reason
        For people: "all", "50 % ablated at random, seed 7", ...
    details
        Plain values that repeat the choice.
    weights
        (N,) >= 0, what each counts in the loss; None: all the same.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> vr.NeuronSet(np.array([True, False, True])).count
    2
    """

    keep: np.ndarray
    reason: str = "all neurons"
    details: dict[str, Any] = field(default_factory=dict)
    weights: np.ndarray | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        keep = _array(self.keep, "neurons")
        if keep.ndim != 1 or keep.dtype != np.bool_:
            raise ConfigError(f"neurons: expected a boolean for each neuron, found {keep.dtype} {keep.shape}")
        if not keep.any():
            raise ConfigError("neurons: none would be left; keep at least one")
        if self.weights is not None:
            weights = _array(self.weights, "neuron weights")
            numbers = weights.dtype.kind in "fiub" and weights.shape == keep.shape
            weights = weights.astype(np.float64) if numbers else weights
            if not numbers or not np.isfinite(weights).all() or (weights < 0).any():
                raise ConfigError(f"neuron weights: expected {len(keep)} finite numbers >= 0, found others")
            if not weights[keep].any():
                raise ConfigError("neuron weights: no neuron that takes part would count; give one a weight above 0")
            object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "keep", keep)
        object.__setattr__(self, "details", _plain_details(self.details))
        if not isinstance(self.reason, str):
            raise ConfigError(f"neurons: expected a reason in words, found {shown(self.reason)}")

    @property
    def count(self) -> int:
        """Neurons that take part."""
        return int(self.keep.sum())

    @classmethod
    def all(cls, neurons: int) -> NeuronSet:
        """Every neuron.

        Parameters
        ----------
        neurons
            How many there are, N.

        Returns
        -------
        NeuronSet
            All N take part.
        """
        return cls(np.ones(_count(neurons), dtype=bool))

    @classmethod
    def random(cls, neurons: int, ablated_fraction: float, seed: int = 0) -> NeuronSet:
        """Ablate a random fraction; with one seed the sets of larger fractions lie within those of smaller ones.

        Drawn on the CPU, so it is the same on every machine.

        Parameters
        ----------
        neurons
            How many there are, N.
        ablated_fraction
            Share left out, 0 to below 1.
        seed
            Of the choice, >= 0.

        Returns
        -------
        NeuronSet
            Its details repeat the choice.

        Raises
        ------
        ConfigError
            A number out of range, or no neuron would be left.

        References
        ----------
        Bauer et al. 2026, Fig. 5.

        Examples
        --------
        >>> import napari_vidrecon as vr
        >>> half = vr.NeuronSet.random(1000, 0.5, seed=1)
        >>> half.reason
        '50 % ablated at random, seed 1'
        """
        ablated_fraction, seed = (
            finite_number(ablated_fraction, "ablated fraction"),
            whole_number(seed, "ablation seed"),
        )
        if not 0 <= ablated_fraction < 1:
            raise ConfigError(f"ablated fraction: expected 0 to below 1, found {ablated_fraction:g}")
        draw = np.random.default_rng(seed).random(_count(neurons))
        keep = draw >= ablated_fraction
        reason = f"{100 * ablated_fraction:g} % ablated at random, seed {seed}" if ablated_fraction else "all neurons"
        return cls(keep, reason, {"kind": "random", "ablated_fraction": ablated_fraction, "seed": seed})

    @classmethod
    def without(cls, neurons: int, ablated: np.ndarray, reason: str = "selection ablated") -> NeuronSet:
        """Ablate the neurons at the given indices.

        Parameters
        ----------
        neurons
            How many there are, N.
        ablated
            Indices of those left out, -N..N-1.
        reason
            For people.

        Returns
        -------
        NeuronSet
            The others.

        Raises
        ------
        ConfigError
            They are no indices of so many neurons, or none would be left.

        Examples
        --------
        >>> import napari_vidrecon as vr
        >>> vr.NeuronSet.without(4, [0, 3]).keep
        array([False,  True,  True, False])
        """
        keep, indices = np.ones(_count(neurons), dtype=bool), _array(ablated, "ablated neurons")
        if indices.size and (
            indices.dtype.kind not in "iu" or indices.min() < -len(keep) or indices.max() >= len(keep)
        ):
            raise ConfigError(f"ablated neurons: expected indices below {len(keep)}, found {_shown(indices)}")
        keep[indices.astype(np.int64)] = False
        return cls(keep, reason, {"kind": "list"})


def _plain_details(details: Any) -> dict[str, Any]:
    """As a run's folder holds them."""
    try:
        return {str(name): json.loads(json.dumps(value, default=_plain)) for name, value in details.items()}
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise ConfigError(f"neurons: expected details as names with plain values, found {shown(details)}") from None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else fspath(value)


def _array(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError):
        raise ConfigError(f"{what}: expected a list of values, found rows of different lengths") from None


def _shown(indices: np.ndarray) -> str:
    return one_line(
        f"{indices.dtype} from {indices.min()} to {indices.max()}" if indices.dtype.kind in "iuf" else indices.dtype
    )


def _count(neurons: int) -> int:
    return whole_number(neurons, "neurons", 0, MOST_NEURONS)


AVERAGED = "averaged"
"""The target that is the plain mean of recorded activity over presentations."""
SMALLEST_ACTIVITY, LARGEST_ACTIVITY = 1e-15, 1e15
"""Of the largest value of a clip; beyond, gradients vanish or overflow, and the movie would stay grey."""


@dataclass(frozen=True, eq=False)
class Target:
    """Activity to match, with the neurons that count.

    Parameters
    ----------
    kind
        "recorded", "predicted", "permuted", "averaged" or "given".
    activity
        (N, T) float32, >= 0, of all neurons.
    neurons
        Who takes part.
    ablation
        What becomes of the others.
    """

    kind: str
    activity: np.ndarray
    neurons: NeuronSet
    ablation: Ablation = "drop"

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.activity.ndim != 2 or len(self.neurons.keep) != self.activity.shape[0]:
            raise ConfigError(
                f"target: expected activity of {len(self.neurons.keep)} neurons x frames, found {self.activity.shape}"
            )
        good = np.isfinite(self.activity) & (self.activity >= 0)
        if not good.all():
            neuron, frame = np.argwhere(~good)[0]
            raise ConfigError(
                f"target ({self.kind}): expected finite activity >= 0, found {good.size - np.count_nonzero(good)} of "
                f"{good.size} values that are NaN, infinite or negative, the first of neuron {neuron} in frame "
                f"{frame} ({self.activity[neuron, frame]:g}); mend them, or leave the clip out"
            )
        largest = float(self.activity.max(initial=0.0))
        if largest and not SMALLEST_ACTIVITY <= largest <= LARGEST_ACTIVITY:
            raise ConfigError(
                f"target ({self.kind}): expected activity whose largest value is from {SMALLEST_ACTIVITY:g} to "
                f"{LARGEST_ACTIVITY:g}, found {largest:.3g}, which single precision cannot square; rescale it"
            )
        if not isinstance(self.ablation, str) or self.ablation not in ("drop", "silence"):
            raise ConfigError(f"ablation: expected drop or silence, found {shown(self.ablation)}")

    @property
    def in_loss(self) -> np.ndarray:
        """(N,) bool: the neurons whose prediction enters the loss."""
        return np.ones_like(self.neurons.keep) if self.ablation == "silence" else self.neurons.keep

    @property
    def matched(self) -> np.ndarray:
        """(neurons in the loss, T) activity to match; silenced neurons are 0."""
        return self.quieted(self.activity)[self.in_loss]

    def quieted(self, activity: np.ndarray) -> np.ndarray:
        """(N, T) activity with ablated neurons at 0."""
        return activity * self.neurons.keep[:, None].astype(activity.dtype)

    def measured(self, activity: np.ndarray) -> np.ndarray:
        """The part of (N, T) activity that is measured: the kept rows, or all with ablated ones at 0."""
        return self.quieted(activity) if self.ablation == "silence" else activity[self.neurons.keep]


def predicted_activity(encoders: Sequence[Encoder], trial: Trial) -> np.ndarray:
    """Mean over encoders of the activity predicted from the true movie (docs/method.md 8).

    Returns
    -------
    np.ndarray
        (N, T) >= 0.

    Raises
    ------
    EncoderError
        An encoder answers NaN or infinity.
    """
    inputs = trial.video, trial.behavior, trial.pupil_center
    return np.mean([predicted(encoder, *inputs, clip=trial.name) for encoder in encoders], axis=0)


def permuted_activity(activity: np.ndarray, seed: int) -> np.ndarray:
    """The same rows under other neurons: a control that keeps all statistics but the labels."""
    return activity[np.random.default_rng(seed).permutation(activity.shape[0])]


def _numbers(given: Any) -> np.ndarray:
    try:
        found = np.asarray(given)
    except (ValueError, TypeError):
        raise ConfigError("target: expected an array (N, T) of numbers, found rows of different lengths") from None
    if found.dtype.kind not in "fiu":
        raise ConfigError(f"target: expected an array (N, T) of numbers, found {one_line(found.dtype, 40)}")
    with np.errstate(over="ignore"):
        return found.astype(np.float32)


def build_target(
    target: str | np.ndarray,
    trial: Trial,
    encoders: Sequence[Encoder],
    neurons: NeuronSet | np.ndarray | None,
    ablation: Ablation,
    seed: int,
) -> Target:
    """The target a caller names.

    Parameters
    ----------
    target
        "recorded", "predicted", "permuted", "averaged", or activity (N, T) >= 0.
    trial
        The clip; with "averaged" the mean of several presentations.
    encoders
        Who predict a predicted target.
    neurons
        Who takes part: a NeuronSet, or boolean (N,); None: all.
    ablation
        "drop" leaves the others out; "silence" gives them a target of 0.
    seed
        Of a permutation, >= 0.

    Returns
    -------
    Target
        Activity (N, T), and who counts in it.

    Raises
    ------
    ConfigError
        An unknown name, or an array that does not fit.
    SessionError
        Recorded activity of a trial that has none.
    """
    if isinstance(target, str):
        kind = target
        if target in ("recorded", AVERAGED):
            activity = trial.responses
        elif target == "predicted" and not trial.has_movie:
            raise ConfigError(
                f"{trial.name}: expected a movie to predict activity from, found a trial without one; "
                "choose recorded or permuted activity"
            )
        elif target == "predicted":
            activity = predicted_activity(encoders, trial)
        elif target == "permuted":
            activity = permuted_activity(trial.responses, seed)
        else:
            raise ConfigError(
                f"target {one_line(repr(target), 60)}: expected recorded, predicted, permuted, averaged or "
                "an array (N, T)"
            )
    else:
        kind, activity = "given", _numbers(target)
    count, frames = encoders[0].spec.neurons, trial.video.shape[0]
    if activity.shape != (count, frames):
        raise ConfigError(
            f"target: expected activity of {count} neurons x {frames} frames, as the encoder and the clip have, "
            f"found {' x '.join(map(str, activity.shape))}"
        )
    if neurons is None:
        neurons = NeuronSet.all(activity.shape[0])
    elif not isinstance(neurons, NeuronSet):
        neurons = NeuronSet(neurons, "given list")
    if len(neurons.keep) != count:
        raise ConfigError(f"neurons: expected a boolean for each of {count} neurons, found {len(neurons.keep)}")
    try:
        return Target(kind, np.ascontiguousarray(activity, dtype=np.float32), neurons, ablation)
    except ConfigError as refused:
        raise ConfigError(f"{trial.name}: {refused}") from None
