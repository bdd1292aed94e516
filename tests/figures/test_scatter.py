"""One measure over another, with its line."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.curves import Curve, CurvePanel
from napari_vidrecon.figures.scatter import ScatterPanel, scatter_and_curves_figure, scatter_figure

PANEL = ScatterPanel([1, 2, 4], [2, 4, 8], "contrast", "r", ["a", "b", "b"], (2.0, 0.0), "r = 1.00")


def test_the_line_runs_from_the_first_to_the_last_clip_and_mice_have_their_colours() -> None:
    axes = scatter_figure([PANEL], simulated=True).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 2], [4, 8]])
    assert [len(dots.get_offsets()) for dots in axes.collections] == [1, 2]
    assert axes.get_title(loc="left") == "r = 1.00"


def test_without_a_fit_there_is_no_line() -> None:
    panel = ScatterPanel([1, 1], [2, 4], "contrast", "r", ["a", "a"])
    assert len(scatter_figure([panel]).axes[0].lines) == 0


def test_a_scatter_plot_can_stand_beside_curves() -> None:
    figure = scatter_and_curves_figure(PANEL, CurvePanel([Curve([0, 1], [0, 1])], "lag (s)", "r"), title="both")
    assert [axes.get_xlabel() for axes in figure.axes] == ["contrast", "lag (s)"]
    with pytest.raises(ValueError, match="no panel"):
        scatter_figure([])
