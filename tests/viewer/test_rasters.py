"""Pictures of activity for the rasters."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.viewer.board.rasters import ABLATED_SHARE, RasterRows, TimeLine, neuron_spread, upper_limit


def rows_of(neurons: int, most_rows: int = 500, keep: np.ndarray | None = None) -> RasterRows:
    keep = np.ones(neurons, bool) if keep is None else keep
    return RasterRows(np.arange(neurons)[::-1], np.ones(neurons), keep, most_rows)


@pytest.fixture
def activity() -> np.ndarray:
    return np.random.default_rng(0).gamma(1.0, 1.0, (23, 9)).astype(np.float32)


def test_few_neurons_have_a_row_each_in_order(activity: np.ndarray) -> None:
    np.testing.assert_allclose(rows_of(23).picture(activity), activity[::-1], rtol=1e-6)


def test_many_neurons_share_rows_as_means_and_none_is_left_out(activity: np.ndarray) -> None:
    rows = rows_of(23, most_rows=5)
    members = [rows.neurons(row) for row in range(5)]
    assert sorted(np.concatenate(members)) == list(range(23))
    expected = np.stack([activity[chosen].mean(axis=0) for chosen in members])
    np.testing.assert_allclose(rows.picture(activity), expected, rtol=1e-5)


def test_activity_is_drawn_in_standard_deviations(activity: np.ndarray) -> None:
    picture = RasterRows(np.arange(23), neuron_spread(activity), np.ones(23, bool)).picture(activity)
    deviations = picture.std(axis=1)
    assert (deviations <= 1.0001).all()
    assert np.isclose(deviations, 1.0, rtol=1e-4).sum() > 15


def test_nearly_silent_neurons_do_not_outshine_the_others(activity: np.ndarray) -> None:
    activity[3], activity[4] = 0.0, 1e-6 * activity[4]
    spread = neuron_spread(activity)
    assert spread[[3, 4]].min() > 0.3 * np.median(spread)
    assert (neuron_spread(np.zeros((5, 9))) > 0).all()


def test_ablated_neurons_are_dim(activity: np.ndarray) -> None:
    keep = np.ones(23, bool)
    keep[[0, 5]] = False
    bright, dim = rows_of(23).picture(activity), rows_of(23, keep=keep).picture(activity)
    ablated_rows = [22, 17]
    np.testing.assert_allclose(dim[ablated_rows], ABLATED_SHARE * bright[ablated_rows], rtol=1e-5)
    np.testing.assert_allclose(np.delete(dim, ablated_rows, axis=0), np.delete(bright, ablated_rows, axis=0))


def test_unknown_neurons_leave_the_others_of_their_row_visible(activity: np.ndarray) -> None:
    rows = rows_of(23, most_rows=5)
    chosen = rows.neurons(2)
    activity[chosen[0]] = np.nan
    expected = activity[chosen[1:]].sum(axis=0) / len(chosen)
    np.testing.assert_allclose(rows.picture(activity)[2], expected, rtol=1e-5)


def test_rows_are_found_again_from_their_neurons() -> None:
    rows = rows_of(23, most_rows=5)
    np.testing.assert_array_equal(rows.rows_of(rows.neurons(np.array([1, 4]))), [1, 4])
    assert rows.neurons(np.empty(0, np.intp)).size == 0


@pytest.mark.parametrize(("apart", "fineness"), [(0, 1), (31, 1), (31, 5)])
def test_the_time_line_marks_every_frame_once_in_each_raster(apart: int, fineness: int) -> None:
    line = TimeLine(30, apart, fineness)
    for time in (0, 17, 29, 3):
        line.move(time)
        assert list(np.flatnonzero(line.picture[0]) // fineness) == sorted({time, time + apart})
    line.move(30)
    assert np.flatnonzero(line.picture[0])[0] // fineness == 29
    assert line.picture.max() == 1


def test_a_blank_picture_still_has_colours_to_show_it_in() -> None:
    assert upper_limit(np.zeros((4, 4))) > 0


def test_neurons_that_are_left_out_have_no_row_and_the_others_share_theirs(activity: np.ndarray) -> None:
    order = np.array([4, 2, 20])
    rows = RasterRows(order, np.ones(23), np.ones(23, bool))
    np.testing.assert_allclose(rows.picture(activity), activity[order], rtol=1e-6)
    assert rows.rows_of(np.array([7])).size == 0
    values = np.arange(23.0)
    values[2] = np.nan
    np.testing.assert_array_equal(rows.means(values), [4.0, np.nan, 20.0])
    assert RasterRows(np.empty(0, np.intp), np.ones(23), np.ones(23, bool)).picture(activity).shape == (1, 9)
