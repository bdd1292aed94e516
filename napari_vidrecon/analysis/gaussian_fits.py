"""Two-dimensional Gaussians fitted to many maps at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from napari_vidrecon.settings import brief

ITERATIONS = 30
LOWEST_SHARE = 0.05
"""Pixels below this share of a map's peak do not shape the first fit: their logarithm is mostly noise."""
RIDGE = 1e-9
FWHM_IN_SIGMAS = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))


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
