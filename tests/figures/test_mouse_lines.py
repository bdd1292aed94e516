"""Lines over levels: mice dashed, their mean solid, gaps left out, names where they fit."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.frame import COLOURS, panels_figure
from napari_vidrecon.figures.mouse_lines import LinePanel, Lines

LEVELS = (1, 2, 4)


def legend_of(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_mice_are_dashed_and_the_mean_is_solid_and_leaves_gaps_out() -> None:
    mice = np.array([[0.1, 0.2, np.nan], [0.3, 0.4, 0.5]])
    axes = panels_figure([LinePanel([Lines(LEVELS, mice)], "x", "y")]).axes[0]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    (solid,) = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert len(dashed) == 2
    np.testing.assert_allclose(solid.get_ydata(), [0.2, 0.3, 0.5])
    assert legend_of(axes) == ["single mice", "mean"]


def test_with_one_mouse_there_is_no_word_of_single_mice_and_clips_are_named() -> None:
    lines = Lines(LEVELS, [[0.1, 0.2, 0.3]], "drop", clips=[[0.0, 0.1, 0.2], [0.2, 0.3, 0.4]])
    axes = panels_figure([LinePanel([lines], "x", "y")]).axes[0]
    assert legend_of(axes) == ["drop", "mean", "clips"]


def test_groups_have_their_own_colours_the_first_black() -> None:
    panel = LinePanel([Lines(LEVELS, [[0, 1, 2]], name) for name in ("a", "b")], "x", "y")
    axes = panels_figure([panel]).axes[0]
    assert [line.get_color() for line in axes.lines if line.get_linestyle() == "-"] == list(COLOURS[:2])


def test_named_levels_have_room_at_both_ends_and_a_logarithmic_axis_keeps_its_range() -> None:
    named = LinePanel([Lines((0, 1, 2), [[0, 1, 2]])], "x", "y", ticks=("first", "second", "third"), y_range=(0, 3))
    powers = LinePanel([Lines((12.5, 50, 100), [[0, 1, 2]])], "x", "y", ticks=("12.5", "50", "100"), log_x=True)
    first, second = panels_figure([named, powers]).axes
    assert first.get_xlim() == (-0.4, 2.4)
    assert first.get_ylim() == (0, 3)
    assert [label.get_text() for label in first.get_xticklabels()] == ["first", "second", "third"]
    assert second.get_xscale() == "log"
    assert second.get_xlim()[0] > 0


def test_what_lies_below_the_range_that_was_asked_for_is_seen() -> None:
    for clips, bottom in ([[-0.3, 0.2]], -0.352), ([[0.1, np.nan]], 0.0):
        panel = LinePanel([Lines([1, 2], [[0.1, 0.2]], clips=clips)], "x", "r", y_range=(0, 1))
        assert panels_figure([panel]).axes[0].get_ylim() == pytest.approx((bottom, 1.0))


def test_a_simulated_mouse_is_said_in_the_title() -> None:
    panel = LinePanel([Lines(LEVELS, [[0, 1, 2]])], "x", "y")
    assert panels_figure([panel], title="Ablation", simulated=True).get_suptitle() == "Ablation · simulated mouse"
    assert panels_figure([panel], title="Ablation").get_suptitle() == "Ablation"


def test_marks_are_drawn_across_with_their_name() -> None:
    axes = panels_figure([LinePanel([Lines(LEVELS, [[0, 1, 2]])], "x", "y", marks=[(0.5, "chance")])]).axes[0]
    assert "chance" in [text.get_text() for text in axes.texts]


def test_levels_that_do_not_fit_and_no_panel_are_refused() -> None:
    with pytest.raises(ValueError, match="3 levels and 2 values"):
        panels_figure([LinePanel([Lines(LEVELS, [[0, 1]])], "x", "y")])
    with pytest.raises(ValueError, match="no panel"):
        panels_figure([])
