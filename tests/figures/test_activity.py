"""Rasters, alone and between courses over time."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from napari_vidrecon.figures.activity import activity_figure, activity_limit, draw_raster, ethogram_figure, raster_rows
from napari_vidrecon.figures.curves import Curve, CurvePanel


def test_few_neurons_are_drawn_one_by_one_in_the_order_given() -> None:
    activity = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(raster_rows(activity, [2, 0, 3, 1]), activity[[2, 0, 3, 1]])


def test_neighbours_of_a_large_population_are_averaged_and_none_is_lost() -> None:
    activity = np.random.default_rng(0).gamma(1.0, size=(950, 5))
    rows = raster_rows(activity, np.arange(950))
    assert len(rows) == 200
    sizes = np.diff([*np.unique(np.linspace(0, 950, 200, endpoint=False).astype(int)), 950])
    np.testing.assert_allclose(sizes @ rows, activity.sum(axis=0))


def test_a_raster_spans_its_time_and_names_its_neurons() -> None:
    activity, axes = np.ones((30, 4)), Figure().add_subplot()
    picture = draw_raster(axes, activity, [1.0, 1.5, 2.0, 2.5], 2.0, np.arange(30))
    assert picture.get_extent() == [0.75, 2.75, 30, 0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "30"]
    assert picture.get_clim() == (0, 2)


def test_silent_neurons_still_have_a_scale() -> None:
    assert activity_limit([(np.zeros((3, 4)), np.arange(3))]) > 0


def test_courses_stand_above_and_below_the_rasters_with_one_scale_of_activity() -> None:
    times, random = np.arange(6) / 30, np.random.default_rng(1)
    panel = CurvePanel([Curve(times, times)], "time (s)", "r")
    rasters = [(name, random.gamma(1.0, size=(10, 6))) for name in ("recorded", "predicted")]
    figure = activity_figure(panel, rasters, panel, times, np.arange(10), title="trial 1", simulated=True)
    limits = {axes.images[0].get_clim() for axes in figure.axes[2:4]}
    assert len(limits) == 1
    assert figure.get_suptitle() == "trial 1 · simulated mouse"
    with pytest.raises(ValueError, match="no activity"):
        activity_figure(panel, [], panel, times, np.arange(10))


def test_an_ethogram_without_a_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="no clip"):
        ethogram_figure([])
