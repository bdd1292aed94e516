"""Which neurons take part in a reconstruction, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from napari_vidrecon.errors import ConfigError, one_line
from napari_vidrecon.settings import finite_number, whole_number

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
        if finite_number(ablated_fraction, "ablated fraction") < 0 or ablated_fraction >= 1:
            raise ConfigError(f"ablated fraction: expected 0 to below 1, found {ablated_fraction:g}")
        draw = np.random.default_rng(whole_number(seed, "ablation seed")).random(_count(neurons))
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
