"""Where neurons look: a Gaussian fitted to the map of each, and what their neighbours in cortex add to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import expit

from napari_vidrecon.settings import brief

ITERATIONS = 30
LOWEST_SHARE = 0.05
"""Pixels below this share of a map's peak do not shape the first fit: their logarithm is mostly noise."""
RIDGE = 1e-9
FWHM_IN_SIGMAS = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))
NEIGHBOURHOODS = (30, 100, 300)
"""Neurons that a plane is laid through; how many is chosen by how well it tells of those left out of it."""
LEAST_NEURONS = 60
TAIL = 4.0
"""Degrees of freedom of Student's t: a Gaussian fitted to noise lies anywhere on the screen."""
ROUNDS = 8
LEAST_EXPONENT, MOST_EXPONENT = 1.0, 2.0
"""The variance of a centre falls with the height of its map, or with its square where the noise of maps is alike."""
SUREST = (2.0, 98.0)
"""Percentiles of height."""
VARIANCES = (-8.0, 12.0)
"""Natural logarithms of the least and most of scatter and noise, px²: a map is blurred, and its centre never exact."""
TOLD_BY = 3.0
"""Log likelihood that noise which falls with height adds to scatter alone; chance adds as much once in twenty times."""
FLATTENING = 1e-6
"""Of a plane whose slope its neurons do not tell, as of those in a row."""


@dataclass(frozen=True)
class GaussianFits:
    """One Gaussian a map; every array has shape (N,), NaN where there was nothing to fit.

    Attributes
    ----------
    row, column
        Centre, px.
    sigma_long, sigma_short
        Standard deviations along the axes of the ellipse, px.
    angle
        Of the long axis, rad, from the columns' direction towards growing rows, -pi/2 .. pi/2.
    height
        Of the peak, in the unit of the maps.
    r_squared
        Share of the map's variance that the Gaussian explains.
    """

    row: NDArray[np.float64]
    column: NDArray[np.float64]
    sigma_long: NDArray[np.float64]
    sigma_short: NDArray[np.float64]
    angle: NDArray[np.float64]
    height: NDArray[np.float64]
    r_squared: NDArray[np.float64]

    __repr__ = brief

    def __len__(self) -> int:
        return len(self.row)

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Geometric mean of both standard deviations, px."""
        return np.sqrt(self.sigma_long * self.sigma_short)

    def without_blur(self, sigma_px: float) -> GaussianFits:
        """The Gaussians before the maps were blurred by `sigma_px`; no axis becomes shorter than 0."""
        long, short = (
            np.sqrt(np.maximum(sigma**2 - sigma_px**2, 0.0)) for sigma in (self.sigma_long, self.sigma_short)
        )
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return GaussianFits(**{**kept, "sigma_long": long, "sigma_short": short})

    def outline(self, neuron: int, sigmas: float = FWHM_IN_SIGMAS / 2, points: int = 73) -> NDArray[np.float64]:
        """Closed ellipse around the centre of a neuron's Gaussian.

        Parameters
        ----------
        neuron
            Its index.
        sigmas
            Standard deviations from the centre; usually where it has half its height.
        points
            Of the line.

        Returns
        -------
        NDArray[np.float64]
            (points, 2) row and column, px.
        """
        turn = np.linspace(0.0, 2.0 * np.pi, points)
        along = sigmas * self.sigma_long[neuron] * np.cos(turn)
        across = sigmas * self.sigma_short[neuron] * np.sin(turn)
        cosine, sine = np.cos(self.angle[neuron]), np.sin(self.angle[neuron])
        columns = self.column[neuron] + cosine * along - sine * across
        rows = self.row[neuron] + sine * along + cosine * across
        return np.stack([rows, columns], axis=1)

    def at(self, row: float, column: float, sigmas: float = FWHM_IN_SIGMAS / 2) -> NDArray[np.intp]:
        """Neurons whose ellipse holds a place.

        Parameters
        ----------
        row, column
            The place, px.
        sigmas
            Standard deviations from the centre to the ellipse; usually where it has half its height.

        Returns
        -------
        NDArray[np.intp]
            Indices, ascending.
        """
        down, right = row - self.row, column - self.column
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along, across = cosine * right + sine * down, cosine * down - sine * right
        with np.errstate(divide="ignore", invalid="ignore"):
            away = (along / self.sigma_long) ** 2 + (across / self.sigma_short) ** 2
        return np.flatnonzero(away <= sigmas**2)


def fit_gaussians(maps: NDArray[np.floating]) -> GaussianFits:
    """Fit a tilted Gaussian without offset to every map, by iterated weighted least squares on the logarithm.

    Parameters
    ----------
    maps
        (N, rows, columns), >= 0; maps that are all 0 or hold NaN give NaN.

    Returns
    -------
    GaussianFits
        One Gaussian a map; NaN where there was nothing to fit.

    References
    ----------
    Guo 2011, "A simple algorithm for fitting a Gaussian function", in two dimensions.
    """
    count, rows, columns = maps.shape
    values = np.asarray(maps, np.float64).reshape(count, -1)
    peak = values.max(axis=1, initial=0.0)
    usable = np.isfinite(values).all(axis=1) & (peak > 0)
    values = np.where(usable[:, None], values / np.where(peak > 0, peak, 1.0)[:, None], 0.0)
    middle = np.array([(rows - 1) / 2, (columns - 1) / 2])
    y, x = (axis.ravel() for axis in np.mgrid[:rows, :columns])
    y, x = y - middle[0], x - middle[1]
    design = np.stack([np.ones_like(y), y, x, y**2, y * x, x**2], axis=1)
    products = (design[:, :, None] * design[:, None, :]).reshape(len(y), -1)
    logarithm = np.log(np.maximum(values, 1e-12))
    weights = np.where(values >= LOWEST_SHARE, values**2, 0.0)
    terms = np.zeros((count, 6))
    good = usable.copy()
    for _ in range(ITERATIONS):
        normal = (weights @ products).reshape(count, 6, 6)
        scale = np.sqrt(np.maximum(np.einsum("nii->ni", normal), RIDGE))
        scaled = normal / (scale[:, :, None] * scale[:, None, :]) + RIDGE * np.eye(6)
        right = ((weights * logarithm) @ design) / scale
        terms = np.linalg.solve(scaled, right[..., None])[..., 0] / scale
        model = np.exp(np.minimum(terms @ design.T, 1.0))
        good &= np.isfinite(model).all(axis=1)
        # A model that grew where the map is empty would be pulled up there by its own weight.
        weights = np.where(good[:, None] & (values > 1e-6), np.minimum(model, 1.5 * values + 0.02) ** 2, 0.0)
    return _parameters(terms, values, design, np.where(usable, peak, np.nan), middle)


def _parameters(
    terms: NDArray[np.float64],
    values: NDArray[np.float64],
    design: NDArray[np.float64],
    peak: NDArray[np.float64],
    middle: NDArray[np.float64],
) -> GaussianFits:
    """From the logarithm's polynomial to centre, axes and angle."""
    _, by_y, by_x, by_yy, by_yx, by_xx = terms.T
    precision = np.stack([np.stack([-2 * by_xx, -by_yx], -1), np.stack([-by_yx, -2 * by_yy], -1)], -2)
    smallest = np.linalg.eigvalsh(np.where(np.isfinite(precision), precision, 0.0))[:, 0]
    found = np.isfinite(peak) & (smallest > 1e-6)
    precision = np.where(found[:, None, None], precision, np.eye(2))
    covariance = np.linalg.inv(precision)
    centre = np.einsum("nij,nj->ni", covariance, np.stack([by_x, by_y], -1))
    variances, axes = np.linalg.eigh(covariance)
    long_axis = axes[:, :, 1]
    angle = np.arctan2(long_axis[:, 1], long_axis[:, 0])
    angle = np.where(angle > np.pi / 2, angle - np.pi, np.where(angle < -np.pi / 2, angle + np.pi, angle))
    model = np.exp(np.minimum(terms @ design.T, 5.0))
    residual = ((values - model) ** 2).sum(axis=1)
    spread = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    x, y = centre.T
    height = np.exp(np.minimum(terms[:, 0] + 0.5 * (by_x * x + by_y * y), 5.0)) * peak
    parts = {
        "row": y + middle[0],
        "column": x + middle[1],
        "sigma_long": np.sqrt(variances[:, 1]),
        "sigma_short": np.sqrt(variances[:, 0]),
        "angle": angle,
        "height": height,
        "r_squared": 1.0 - residual / np.where(spread > 0, spread, 1.0),
    }
    return GaussianFits(**{name: np.where(found, part, np.nan) for name, part in parts.items()})


@dataclass(frozen=True, eq=False)
class Retinotopy:
    """Where neurons look, each by its own fits and by its neighbours in cortex.

    Attributes
    ----------
    row, column
        (N,) centres, px: between what a neuron's own fits say and what its neighbours say, by how sure each is; NaN
        for neurons without a place.
    expected
        (N, 2) row and column that its neighbours alone tell, px.
    weight
        (N,) what its own fits count, 0..1; 0 for neurons without one.
    scatter_px
        Standard deviation of neurons about their neighbours, each coordinate.
    noise_px
        The same of a single fit of the first kind about the truth, median of those that were fitted; NaN where it
        cannot be told from scatter, because weak maps lie about their neighbours no further than strong ones.
    explained
        Share of the variance of those fitted centres that the neighbours tell; below 0 where they tell nothing.
    neighbours
        How many are asked.
    """

    row: NDArray[np.float64]
    column: NDArray[np.float64]
    expected: NDArray[np.float64]
    weight: NDArray[np.float64]
    scatter_px: float
    noise_px: float
    explained: float
    neighbours: int

    __repr__ = brief


def retinotopy(kinds: Sequence[GaussianFits], places: NDArray[np.floating]) -> Retinotopy | None:
    """Centres of receptive fields, made surer by the order in which cortex has the screen.

    A plane through the centres of a neuron's neighbours tells where it should look. How far neurons lie about such
    planes, the scatter of cortex, and how far a fit misses, the more the weaker its map is, are told apart by their
    likelihood; a centre then is the mean of both, each by its certainty. Where cortex has no order, fits stay as they
    are but for the weakest, which go to the middle.

    Parameters
    ----------
    kinds
        Fits of all neurons to maps of one kind or several, the first the one to tell of; NaN for those that are not to
        be trusted.
    places
        (N, 2 or 3) places in cortex, in one unit; the third, depth, is not used.

    Returns
    -------
    Retinotopy | None
        None for fewer than 60 fitted neurons, or where all lie at one place.

    References
    ----------
    Order and scatter of mouse V1: Smith and Haeusser 2010, Nature Neuroscience 13:1144; shrinkage by certainty: Efron
    and Morris 1973, Journal of the American Statistical Association 68:117.
    """
    where = np.asarray(places, np.float64)[:, :2]
    told = [found for fits in kinds if (found := _told(fits, where)) is not None]
    if not told:
        return None
    scatter = min(each.scatter for each in told)
    certainty = np.stack([each.certainty for each in told])
    sure = np.array([1 / each.noise for each in told])
    expected = np.average([each.expected for each in told], axis=0, weights=sure)
    weight = certainty.sum(axis=0) / (1 / scatter + certainty.sum(axis=0))
    own = sum(each.certainty[:, None] * (each.fitted - expected) for each in told) * scatter
    row, column = (expected + own * (1 - weight)[:, None]).T
    first = told[0]
    return Retinotopy(
        row=row,
        column=column,
        expected=expected,
        weight=weight,
        scatter_px=math.sqrt(scatter),
        noise_px=math.sqrt(first.noise) if first.noise_told else math.nan,
        explained=first.explained,
        neighbours=first.neighbours,
    )


@dataclass(frozen=True, eq=False)
class _Told:
    """What one kind of fits tells: variances of each coordinate, and certainty (1 / variance) of every fit."""

    fitted: NDArray[np.float64]
    expected: NDArray[np.float64]
    certainty: NDArray[np.float64]
    scatter: float
    noise: float
    noise_told: bool
    explained: float
    neighbours: int


def _told(fits: GaussianFits, where: NDArray[np.float64]) -> _Told | None:
    """The best of several sizes of neighbourhoods; None for too few neurons, or all at one place."""
    fitted = np.stack([fits.row, fits.column], axis=1)
    placed = np.isfinite(where).all(axis=1)
    known = np.flatnonzero(placed & np.isfinite(fitted).all(axis=1) & (np.nan_to_num(fits.height) > 0))
    if len(known) < LEAST_NEURONS or not np.ptp(where[known], axis=0).any():
        return None
    centres = fitted[known]
    height = fits.height[known]
    # None is surer than the surest of many, however high its map.
    strength = np.log(np.clip(height, *np.percentile(height, SUREST)) / np.median(height))
    tried = [_Neighbours(where[known], each) for each in NEIGHBOURHOODS if each < len(known)]
    best = min((_told_apart(each, centres, strength) for each in tried), key=lambda found: found.cost)
    expected, certainty = np.full_like(fitted, np.nan), np.zeros(len(fitted))
    others = np.setdiff1d(np.flatnonzero(placed), known)
    expected[known] = best.expected
    expected[others] = best.neighbours.planes(centres, best.weights, where[others])
    certainty[known] = 1 / best.noise
    left = best.weights @ ((centres - best.expected) ** 2).sum(axis=1)
    spread = best.weights @ ((centres - np.average(centres, axis=0, weights=best.weights)) ** 2).sum(axis=1)
    return _Told(
        fitted=np.where(certainty[:, None] > 0, fitted, 0.0),
        expected=expected,
        certainty=certainty,
        scatter=best.scatter,
        noise=float(np.median(best.noise)),
        noise_told=best.noise_told,
        explained=float(1 - left / spread) if spread > 0 else 0.0,
        neighbours=best.neighbours.count,
    )


class _Neighbours:
    """Planes through what the nearest neurons tell, none of them through the neuron itself.

    Parameters
    ----------
    places : (n, 2) of the neurons that tell.
    count : how many a plane is laid through.
    """

    def __init__(self, places: NDArray[np.float64], count: int) -> None:
        self.count, self._tree = count, cKDTree(places)
        self._own = self._around(places, np.arange(len(places)))

    def _around(self, at: NDArray[np.float64], own: NDArray[np.intp]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        distances, near = self._tree.query(at, k=self.count + 1)
        reach = np.maximum(distances[:, -1:], 1e-12)
        share = np.where(near == own[:, None], 0.0, (1 - np.minimum(distances / reach, 1.0) ** 3) ** 3 + 1e-9)
        away = (self._tree.data[near] - at[:, None]) / reach[..., None]
        return near, share, np.concatenate([np.ones_like(share)[..., None], away], axis=2)

    def planes(
        self, told: NDArray[np.float64], weights: NDArray[np.float64], at: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """(m, 2) what planes say at some places; without them at every neuron's own, which does not count there."""
        around = self._own if at is None else self._around(at, np.full(len(at), -1))
        near, share, terms = around
        weighed = (share * weights[near])[..., None] * terms
        normal = weighed.transpose(0, 2, 1) @ terms
        normal += FLATTENING * normal[:, :1, :1] * np.diag([0.0, 1.0, 1.0])
        return np.linalg.solve(normal, weighed.transpose(0, 2, 1) @ told[near])[:, 0]


@dataclass(frozen=True, eq=False)
class _ToldApart:
    neighbours: _Neighbours
    expected: NDArray[np.float64]
    weights: NDArray[np.float64]
    scatter: float
    noise: NDArray[np.float64]
    noise_told: bool
    cost: float


def _told_apart(neighbours: _Neighbours, centres: NDArray[np.float64], strength: NDArray[np.float64]) -> _ToldApart:
    """Scatter and noise (variances of each coordinate), and the planes weighed by both, by turns."""
    weights, parameters = np.ones(len(centres)), np.zeros(3)

    def variances(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        exponent = LEAST_EXPONENT + (MOST_EXPONENT - LEAST_EXPONENT) * expit(given[2])
        scatter, noise = np.exp(np.clip(given[:2], *VARIANCES))
        return float(scatter), noise * np.exp(-exponent * strength)

    for _ in range(ROUNDS):
        expected = neighbours.planes(centres, weights)
        missed = ((centres - expected) ** 2).sum(axis=1)

        def cost(given: NDArray[np.float64], missed: NDArray[np.float64] = missed) -> float:
            scatter, noise = variances(given)
            tails = np.log1p(missed / (TAIL * (scatter + noise)))
            return float(np.sum(np.log(scatter + noise) + (TAIL + 2) / 2 * tails))

        parameters = minimize(cost, parameters, method="Nelder-Mead").x
        scatter, noise = variances(parameters)
        weights = (TAIL + 2) / (TAIL + missed / (scatter + noise)) / (scatter + noise)
    without = minimize(
        lambda given: cost(np.array([given[0], VARIANCES[0], 0.0])), [np.log(scatter + np.median(noise))]
    )
    told = bool(without.fun - cost(parameters) > TOLD_BY)
    return _ToldApart(neighbours, expected, weights, scatter, noise, told, cost(parameters))
