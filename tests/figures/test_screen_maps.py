"""Maps of the screen: limits, rings, and what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.figures.frame import save_figure
from napari_vidrecon.figures.matrix_figure import SPOKES, ScreenMap, draw_eccentricity, screen_maps_figure
from napari_vidrecon.sessions.screen import ScreenGeometry


def screen_map(**changes) -> ScreenMap:
    return ScreenMap(np.linspace(0, 1, 36 * 64).reshape(36, 64), "alpha", bar_label="transparency", **changes)


def test_the_limits_of_every_map_are_the_screen() -> None:
    axes = screen_maps_figure([[screen_map()]], ["mouse 1"]).axes[0]
    assert axes.get_xlim() == (-0.5, 63.5)
    assert axes.get_ylim() == (35.5, -0.5)


def test_rings_lie_ten_degrees_apart_around_the_middle_and_eight_spokes_run_outwards() -> None:
    from matplotlib.figure import Figure

    axes, screen = Figure().add_subplot(), ScreenGeometry()
    draw_eccentricity(axes, screen)
    rings = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(axes.lines) - len(rings) == SPOKES
    row, column = screen.centre
    for index, ring in enumerate(rings, start=1):
        radius_px = np.hypot(ring.get_xdata() - column, ring.get_ydata() - row)
        away_deg = np.degrees(np.arctan(radius_px * screen.pixel_pitch_cm / screen.distance_cm))
        np.testing.assert_allclose(away_deg, 10.0 * index)
    assert len(rings) == 7
    assert [text.get_text() for text in axes.texts] == ["20°", "40°", "60°"]


def test_rings_can_be_left_out_and_outlines_drawn() -> None:
    mask = np.zeros((36, 64), dtype=bool)
    mask[10:20, 20:40] = True
    plain = screen_maps_figure([[screen_map()]], ["mouse"], rings=False).axes[0]
    outlined = screen_maps_figure([[screen_map(outlines=(mask,))]], ["mouse"], rings=False).axes[0]
    assert not plain.lines
    assert len(outlined.lines) == 2  # a dark line and a bright one over it


def test_each_colour_of_a_screen_is_a_map_of_its_own_with_its_name_and_its_part_of_the_outlines() -> None:
    screen = ScreenGeometry(rows=36, cols=16, colours=("green", "uv"))
    values, mask = np.arange(36.0 * 16).reshape(36, 16), np.zeros((36, 16), bool)
    mask[20:30, 4:12] = True
    figure = screen_maps_figure(
        [[ScreenMap(values, "alpha", limits=(0, 576), outlines=(mask,))]], ["mouse"], rings=False, screen=screen
    )
    green, uv = figure.axes
    np.testing.assert_array_equal(green.images[0].get_array(), values[:18])
    np.testing.assert_array_equal(uv.images[0].get_array(), values[18:])
    assert [axes.get_ylabel().splitlines() for axes in figure.axes] == [
        ["green", "mouse", "row (px)"],
        ["uv", "mouse", "row (px)"],
    ]
    assert (len(green.lines), len(uv.lines)) == (0, 2)
    assert (green.get_ylim(), green.get_xticks().tolist()) == ((17.5, -0.5), [0, 8, 15])


def test_values_beyond_the_colours_are_marked_on_the_bar() -> None:
    bars = [
        screen_maps_figure([[screen_map(limits=limits)]], ["mouse"]).axes[0].child_axes[0]
        for limits in ((0.0, 1.0), (0.2, 1.0))
    ]
    assert len(bars[1].patches) > len(bars[0].patches)


def test_rows_maps_units_and_a_simulated_mouse_are_named(tmp_path: Path) -> None:
    figure = screen_maps_figure([[screen_map()] * 2, [screen_map()]], ["one", "two"], title="Masks", simulated=True)
    saved = save_figure(figure, tmp_path / "maps.svg").read_text()
    for word in ("Masks · simulated mouse", "one", "two", "column (px)", "row (px)", "transparency", "alpha"):
        assert word in saved


@pytest.mark.parametrize(("rows", "labels"), [([], []), ([[screen_map()]], ["one", "two"])])
def test_rows_without_a_label_of_their_own_are_refused(rows, labels) -> None:
    with pytest.raises(ValueError, match="as many"):
        screen_maps_figure(rows, labels)
