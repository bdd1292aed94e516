"""Gaussian fits find the Gaussian a map was made of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_vidrecon.analysis.gaussian_fits import GaussianFits, fit_gaussians


def made_of(row: float, column: float, long: float, short: float, angle: float, height: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[:36, :64].astype(float)
    along = np.cos(angle) * (x - column) + np.sin(angle) * (y - row)
    across = -np.sin(angle) * (x - column) + np.cos(angle) * (y - row)
    return height * np.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2))


@pytest.mark.parametrize(
    "true", [(18.3, 30.7, 4.0, 2.5, 0.6, 3.0), (5.0, 60.2, 3.0, 2.0, -1.2, 0.01), (1.0, 2.0, 5.0, 3.0, 0.0, 100.0)]
)
def test_a_gaussian_is_found_again_even_at_the_edge_of_the_screen(true: tuple[float, ...]) -> None:
    fits = fit_gaussians(made_of(*true)[None])
    found = [getattr(fits, name)[0] for name in ("row", "column", "sigma_long", "sigma_short", "angle", "height")]
    np.testing.assert_allclose(found, true, rtol=1e-3, atol=1e-3)
    assert fits.r_squared[0] > 0.9999


def test_noise_moves_the_centre_by_less_than_half_a_pixel() -> None:
    random = np.random.default_rng(0)
    places = random.uniform([8, 8], [28, 56], (40, 2))
    maps = np.stack([made_of(row, column, 3.5, 2.5, 0.3) for row, column in places])
    noisy = np.maximum(gaussian_filter(maps + random.normal(0, 0.3, maps.shape), (0, 2, 2)), 0)
    fits = fit_gaussians(noisy)
    assert np.median(np.hypot(fits.row - places[:, 0], fits.column - places[:, 1])) < 0.5


def test_maps_with_nothing_to_fit_are_nan_and_do_not_disturb_others() -> None:
    good = made_of(18, 30, 3, 3, 0)
    ramp = np.broadcast_to(np.arange(64.0), (36, 64))
    fits = fit_gaussians(np.stack([np.zeros((36, 64)), good, np.full((36, 64), np.nan), ramp]))
    assert np.isnan(fits.row[[0, 2]]).all()
    assert (fits.row[1], fits.column[1]) == pytest.approx((18, 30))
    assert len(fits) == 4


def test_a_blur_can_be_taken_off_the_width() -> None:
    sharp = made_of(18, 30, 3.0, 2.5, 0.4)
    fits = fit_gaussians(gaussian_filter(sharp, 2.0, truncate=8)[None]).without_blur(2.0)
    assert (fits.sigma_long[0], fits.sigma_short[0]) == pytest.approx((3.0, 2.5), rel=0.02)
    assert fits.without_blur(50.0).sigma[0] == 0


def test_the_outline_lies_at_half_height() -> None:
    true = (18.0, 30.0, 5.0, 3.0, 0.5)
    ellipse = fit_gaussians(made_of(*true)[None]).outline(0)
    y, x = ellipse.T
    along = np.cos(0.5) * (x - 30) + np.sin(0.5) * (y - 18)
    across = -np.sin(0.5) * (x - 30) + np.cos(0.5) * (y - 18)
    np.testing.assert_allclose(np.exp(-0.5 * ((along / 5) ** 2 + (across / 3) ** 2)), 0.5, atol=1e-3)
    np.testing.assert_allclose(ellipse[0], ellipse[-1])


def test_neurons_at_a_place_are_those_whose_ellipse_holds_it():
    # The second is long in the direction of the columns; the last was not fitted.
    fits = GaussianFits(*(np.array(each) for each in (
        [10.0, 10.0, 30.0, np.nan], [20.0, 20.0, 20.0, np.nan], [2.0, 9.0, 2.0, np.nan], [2.0, 2.0, 2.0, np.nan],
        [0.0, 0.0, 0.0, np.nan], [1.0] * 4, [1.0] * 4,
    )))  # fmt: skip
    assert fits.at(10, 20).tolist() == [0, 1]
    assert fits.at(10, 28).tolist() == [1]
    assert fits.at(18, 20).tolist() == []
    for neuron in range(3):
        middle = np.array([fits.row[neuron], fits.column[neuron]])
        for corner in fits.outline(neuron)[::9]:
            assert neuron in fits.at(*(middle + 0.99 * (corner - middle)))
            assert neuron not in fits.at(*(middle + 1.01 * (corner - middle)))
