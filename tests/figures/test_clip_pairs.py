"""Pairs of pictures: their order, their frames, their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from napari_vidrecon.figures.clip_pairs import FRAME_COLOUR, ClipPair, clip_pairs_figure
from napari_vidrecon.figures.frame import save_figure


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


def test_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="no pair"):
        clip_pairs_figure([])
