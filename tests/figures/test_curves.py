"""Curves in a grid of panels, and one measure over another, with its line."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.curves import Curve, CurvePanel, ScatterPanel, scatter_and_curves_figure
from napari_vidrecon.figures.frame import panels_figure

X = np.arange(5.0)
PANEL = ScatterPanel([1, 2, 4], [2, 4, 8], "contrast", "r", ["a", "b", "b"], (2.0, 0.0), "r = 1.00")


def test_every_panel_has_its_curves_labels_and_band() -> None:
    panel = CurvePanel(
        [Curve(X, X**2, strong=False), Curve(X, X, "mean", band=(X - 1, X + 1))], "step", "loss", "A", y_range=(0, 9)
    )
    figure = panels_figure([panel, panel, panel], title="course", simulated=True)
    assert figure.get_suptitle() == "course · simulated mouse"
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("step", "loss", "A")
    assert len(axes.lines) == 2
    assert axes.get_ylim() == (0, 9)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mean"]
    assert len(axes.collections) == 1


def test_lines_at_zero_are_drawn_where_asked() -> None:
    figure = panels_figure([CurvePanel([Curve(X - 2, X)], "lag", "r", zero=zero) for zero in ("none", "x", "both")])
    assert [len(axes.lines) for axes in figure.axes] == [1, 2, 3]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no panel"):
        panels_figure([])


def test_the_line_runs_from_the_first_to_the_last_clip_and_mice_have_their_colours() -> None:
    axes = panels_figure([PANEL], simulated=True).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 2], [4, 8]])
    assert [len(dots.get_offsets()) for dots in axes.collections] == [1, 2]
    assert axes.get_title(loc="left") == "r = 1.00"


def test_without_a_fit_there_is_no_line() -> None:
    panel = ScatterPanel([1, 1], [2, 4], "contrast", "r", ["a", "a"])
    assert len(panels_figure([panel]).axes[0].lines) == 0


def test_a_scatter_plot_can_stand_beside_curves() -> None:
    figure = scatter_and_curves_figure(PANEL, CurvePanel([Curve([0, 1], [0, 1])], "lag (s)", "r"), title="both")
    assert [axes.get_xlabel() for axes in figure.axes] == ["contrast", "lag (s)"]
    with pytest.raises(ValueError, match="no panel"):
        panels_figure([])
