"""Pictures over two quantities: where each stands, and what is written around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.figures.frame import save_figure
from napari_vidrecon.figures.stimulus_grid import StimulusGrid, stimulus_grid_figure

ROWS, COLUMNS = ("0", "4"), ("0 s", "1 s", "2 s")


def levels() -> np.ndarray:
    """(2, 3, 5, 5) pictures, each of one grey level: 0, 40, ... 200."""
    return np.broadcast_to((40.0 * np.arange(6)).reshape(2, 3, 1, 1), (2, 3, 5, 5))


def drawn(**changes):
    grids = [StimulusGrid(levels(), "shown"), StimulusGrid(levels(), "reconstruction")]
    return stimulus_grid_figure(grids, ROWS, COLUMNS, "space (px)", "time (s)", **changes)


def test_rows_go_up_and_columns_to_the_right() -> None:
    axes = drawn().axes
    assert len(axes) == 12
    places = {float(each.images[0].get_array()[0, 0]): each.get_position() for each in axes[:6]}
    assert places[0.0].y0 < places[120.0].y0
    assert places[0.0].x0 < places[40.0].x0 < places[80.0].x0


def test_all_pictures_share_one_grey_scale() -> None:
    assert {each.images[0].get_clim() for each in drawn().axes} == {(0.0, 255.0)}


def test_rows_columns_grids_and_a_simulated_mouse_are_named(tmp_path: Path) -> None:
    saved = save_figure(drawn(title="Noise", simulated=True), tmp_path / "grid.svg").read_text()
    for word in ("Noise · simulated mouse", "shown", "reconstruction", "space (px)", "time (s)", "2 s"):
        assert word in saved


def test_nothing_lies_outside_the_figure() -> None:
    for axes in drawn().axes:
        place = axes.get_position()
        assert place.x0 >= 0
        assert place.y0 >= 0
        assert place.x1 <= 1
        assert place.y1 <= 1


@pytest.mark.parametrize(("rows", "pictures"), [(("0",), levels()), (ROWS, levels()[0])])
def test_labels_that_do_not_fit_are_refused(rows, pictures) -> None:
    with pytest.raises(ValueError, match="as labelled"):
        stimulus_grid_figure([StimulusGrid(pictures, "")], rows, COLUMNS, "", "")
