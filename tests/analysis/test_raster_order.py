"""Orders of neurons for rasters."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from napari_vidrecon.analysis import raster_order


@pytest.fixture
def two_groups() -> np.ndarray:
    """20 neurons: even ones follow a sine, odd ones its negative, all with a little noise and an own offset."""
    random = np.random.default_rng(3)
    course = np.sin(np.arange(120) / 7)
    sign = np.where(np.arange(20) % 2 == 0, 1.0, -1.0)
    return sign[:, np.newaxis] * course + 0.1 * random.normal(size=(20, 120)) + random.uniform(1, 9, (20, 1))


def test_neurons_that_go_together_come_together(two_groups: np.ndarray) -> None:
    order = raster_order.by_first_component(two_groups)
    assert len(set(order[:10] % 2)) == 1
    assert len(set(order[10:] % 2)) == 1
    assert sorted(order) == list(range(20))


def test_the_order_by_similarity_does_not_depend_on_gain_or_baseline(two_groups: np.ndarray) -> None:
    gain = np.random.default_rng(0).uniform(0.5, 100, (20, 1))
    np.testing.assert_array_equal(
        raster_order.by_first_component(two_groups), raster_order.by_first_component(two_groups * gain + 7)
    )


def test_silent_and_unknown_neurons_come_last_in_every_order(two_groups: np.ndarray) -> None:
    activity = two_groups.copy()
    activity[4] = 3.3
    activity[9] = np.nan
    assert set(raster_order.by_first_component(activity)[-2:]) == {4, 9}
    assert set(raster_order.by_prediction(activity, two_groups)[-2:]) == {4, 9}
    assert set(raster_order.by_prediction(two_groups, activity)[-2:]) == {4, 9}


def test_activity_without_any_change_stays_as_recorded() -> None:
    np.testing.assert_array_equal(raster_order.by_similarity(np.ones((5, 40))), np.arange(5))


def test_well_predicted_neurons_come_first() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=(6, 200))
    noise = np.array([3.0, 0.1, 1.0, 0.03, 0.3, 8.0])
    predicted = truth + noise[:, np.newaxis] * random.normal(size=truth.shape)
    np.testing.assert_array_equal(raster_order.by_prediction(truth, predicted), np.argsort(noise))


def test_populations_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(6, 9\).*\(5, 9\)"):
        raster_order.by_prediction(np.ones((6, 9)), np.ones((5, 9)))


def test_neurons_are_ordered_along_the_widest_axis_of_the_tissue() -> None:
    random = np.random.default_rng(2)
    along = random.permutation(50) * 20.0
    positions = np.stack([random.normal(0, 3, 50), along, random.normal(200, 3, 50)], axis=1)
    np.testing.assert_array_equal(raster_order.by_position(positions), np.argsort(along))


def test_neurons_without_a_position_come_last() -> None:
    positions = np.array([[30.0, 0, 0], [np.nan, 0, 0], [10.0, 0, 0], [20.0, 0, 0]])
    np.testing.assert_array_equal(raster_order.by_position(positions), [2, 3, 0, 1])


def test_rastermap_is_used_where_it_is_installed_and_the_clip_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    class Backwards:
        def __init__(self, **_: object) -> None:
            self.isort = np.empty(0)

        def fit(self, activity: np.ndarray) -> Backwards:
            self.isort = np.arange(len(activity))[::-1]
            return self

    fake = ModuleType("rastermap")
    fake.Rastermap = Backwards  # type: ignore[attr-defined]
    fake.__spec__ = object()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "rastermap", fake)
    activity = np.random.default_rng(0).normal(size=(300, 80))
    activity[7] = 0.0
    order = raster_order.by_similarity(activity)
    assert order[0] == 299
    assert order[-1] == 7
    assert sorted(order) == list(range(300))
    few = activity[:50]
    np.testing.assert_array_equal(raster_order.by_similarity(few), raster_order.by_first_component(few))
