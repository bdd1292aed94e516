"""Grids of pictures: where each stands, which are framed, and what is written around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from napari_vidrecon.figures.frame import save_figure
from napari_vidrecon.figures.picture_grids import (
    FRAME_COLOUR,
    ClipPair,
    StimulusGrid,
    clip_pairs_figure,
    stimulus_grid_figure,
)

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


def pair(level: float, framed: bool = False) -> ClipPair:
    picture = np.full((36, 64), level)
    return ClipPair(picture, picture + 1, f"trial {level:g}", "r = 0.99", framed)


def framed(axes) -> bool:
    return all(spine.get_visible() and to_hex(spine.get_edgecolor()) == "#d00000" for spine in axes.spines.values())


def test_pairs_run_to_the_right_and_then_down_one_picture_above_the_other() -> None:
    axes = clip_pairs_figure([pair(level) for level in (0, 10, 20)], columns=2).axes
    places = [each.get_position() for each in axes]
    assert places[0].x0 == places[1].x0
    assert places[0].y0 > places[1].y0
    assert places[2].x0 > places[0].x0
    assert places[4].y0 < places[1].y0
    assert [float(each.images[0].get_array()[0, 0]) for each in axes] == [0, 1, 10, 11, 20, 21]


def test_only_pairs_that_stand_out_have_a_red_frame_around_both_pictures() -> None:
    axes = clip_pairs_figure([pair(0), pair(10, framed=True)]).axes
    assert [framed(each) for each in axes] == [False, False, True, True]
    assert axes[2].get_title(loc="left") == "trial 10 (excluded)"
    assert FRAME_COLOUR == "#D00000"


def test_labels_and_a_simulated_mouse_are_text_in_an_svg(tmp_path: Path) -> None:
    saved = save_figure(clip_pairs_figure([pair(0)], title="Clips", simulated=True), tmp_path / "a.svg").read_text()
    for word in ("Clips · simulated mouse", "trial 0", "r = 0.99"):
        assert word in saved


def test_a_heading_wider_than_its_sheet_is_written_smaller() -> None:
    few = clip_pairs_figure([pair(0)], title="Held-out clips and the training clips most like them", simulated=True)
    (heading,) = few.texts
    extent = heading.get_window_extent()
    assert 0 < extent.x0 < extent.x1 < few.bbox.width


def test_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="no pair"):
        clip_pairs_figure([])
