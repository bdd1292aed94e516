"""Gaussian fits find the Gaussian a map was made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_vidrecon.analysis.gaussian_fits import GaussianFits, fit_gaussians, retinotopy


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


def population(scatter_px: float, noise_px: float, order: float = 1.0) -> tuple[GaussianFits, np.ndarray, np.ndarray]:
    """400 neurons in a square of cortex; fits, places (µm), and where they look. Fits to higher maps are better."""
    random = np.random.default_rng(5)
    cortex = random.uniform(-300, 300, (400, 3))
    turn = np.array([[0.010, 0.004], [-0.006, 0.016]])
    true = np.array([18.0, 30.0]) + order * cortex[:, :2] @ turn + random.normal(0, scatter_px, (400, 2))
    height = np.exp(random.normal(0, 1.0, 400))
    found = true + random.normal(0, noise_px, (400, 2)) / height[:, None]
    # Some are fitted to something else altogether.
    found[::40] = random.uniform([0, 0], [36, 64], (10, 2))
    ones = np.ones(400)
    return GaussianFits(*found.T, 3 * ones, 2 * ones, 0 * ones, height, 0.9 * ones), cortex, true


def error(row: np.ndarray, column: np.ndarray, true: np.ndarray) -> float:
    return float(np.median(np.hypot(row - true[:, 0], column - true[:, 1])))


def test_neighbours_in_cortex_make_weak_fits_surer_and_leave_strong_ones() -> None:
    fits, cortex, true = population(scatter_px=0.8, noise_px=4.0)
    found = retinotopy([fits], cortex)
    weak, strong = fits.height < 1, fits.height > 4
    assert error(fits.row[weak], fits.column[weak], true[weak]) > 6
    assert error(found.row[weak], found.column[weak], true[weak]) < 1.5
    alone = error(fits.row[strong], fits.column[strong], true[strong])
    assert error(found.row[strong], found.column[strong], true[strong]) <= alone
    assert found.scatter_px == pytest.approx(0.8, abs=0.3)
    assert found.weight[strong].min() > 2 * found.weight[weak].max()
    # The lost do not tell their neighbours where to look.
    assert np.hypot(*(found.expected - true).T).max() < 5


def test_scatter_of_cortex_is_no_noise() -> None:
    fits, cortex, true = population(scatter_px=3.0, noise_px=0.3)
    found = retinotopy([fits], cortex)
    kept = np.arange(400) % 40 != 0
    assert error(found.row[kept], found.column[kept], true[kept]) < 0.4
    assert np.median(found.weight) > 0.9


def test_where_cortex_has_no_order_nothing_is_told_and_good_fits_stay() -> None:
    fits, cortex, true = population(scatter_px=4.0, noise_px=0.5, order=0.0)
    found = retinotopy([fits], cortex)
    assert found.explained < 0.1
    kept = np.arange(400) % 40 != 0
    alone = error(fits.row[kept], fits.column[kept], true[kept])
    assert error(found.row[kept], found.column[kept], true[kept]) <= alone


def test_the_error_of_a_fit_is_not_told_where_scatter_would_look_the_same() -> None:
    fits, cortex, _ = population(scatter_px=4.0, noise_px=2.0)
    assert retinotopy([fits], cortex).noise_px == pytest.approx(2.0, abs=0.7)
    # Heights that have nothing to do with how far a fit misses, as with an encoder that has learned nothing.
    found = retinotopy([replace(fits, height=np.random.default_rng(2).permutation(fits.height))], cortex)
    assert np.isnan(found.noise_px)
    assert np.isfinite(found.row).all()


def test_order_that_turns_round_at_the_border_of_an_area_is_followed() -> None:
    fits, cortex, _ = population(scatter_px=0.5, noise_px=2.0)
    folded = np.stack([np.full(400, 18.0), 30.0 + 0.03 * np.abs(cortex[:, 0])], axis=1)
    noisy = folded + np.random.default_rng(1).normal(0, 2.0, (400, 2)) / fits.height[:, None]
    found = retinotopy([GaussianFits(*noisy.T, *(fits.height,) * 5)], cortex)
    assert found.neighbours < 300
    assert error(found.row, found.column, folded) < 0.5 * error(*noisy.T, folded)


def test_neurons_without_a_fit_look_where_their_neighbours_do() -> None:
    fits, cortex, true = population(scatter_px=0.5, noise_px=1.0)
    row, cortex = fits.row.copy(), cortex.copy()
    row[:50] = np.nan
    cortex[60] = np.nan
    found = retinotopy([replace(fits, row=row)], cortex)
    assert error(found.row[:50], found.column[:50], true[:50]) < 1.0
    assert not found.weight[:50].any()
    assert np.isnan([found.row[60], found.column[60]]).all()
    assert np.isfinite(np.delete(found.row, 60)).all()


@pytest.mark.parametrize("where", ["few", "one place"])
def test_few_neurons_or_one_place_tell_no_order(where: str) -> None:
    fits, cortex, _ = population(scatter_px=0.5, noise_px=1.0)
    if where == "few":
        fits, cortex = GaussianFits(*(getattr(fits, n)[:40] for n in GaussianFits.__dataclass_fields__)), cortex[:40]
    else:
        cortex = np.ones_like(cortex)
    assert retinotopy([fits], cortex) is None


def test_neurons_in_a_row_and_at_the_same_places_are_told_of_as_well() -> None:
    fits, _, true = population(scatter_px=0.5, noise_px=3.0, order=0.0)
    row = np.stack([np.repeat(np.arange(100.0), 4), np.zeros(400)], axis=1)
    found = retinotopy([fits], row)
    assert np.isfinite(found.row).all()
    assert error(found.row, found.column, true) < error(fits.row, fits.column, true)


def test_maps_of_two_kinds_tell_more_than_one() -> None:
    fits, cortex, true = population(scatter_px=1.0, noise_px=2.0)
    again = true + np.random.default_rng(8).normal(0, 2.0, (400, 2)) / fits.height[:, None]
    other = replace(fits, row=again[:, 0], column=again[:, 1])
    found = [retinotopy(kinds, cortex) for kinds in ([fits], [other], [fits, other])]
    one, another, both = (error(each.row, each.column, true) for each in found)
    assert both < 0.95 * min(one, another)
    nothing = replace(other, row=np.full(400, np.nan))
    np.testing.assert_allclose(retinotopy([fits, nothing], cortex).row, found[0].row)
