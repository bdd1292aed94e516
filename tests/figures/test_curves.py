"""Curves in a grid of panels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.curves import Curve, CurvePanel, curves_figure

X = np.arange(5.0)


def test_every_panel_has_its_curves_labels_and_band() -> None:
    panel = CurvePanel(
        [Curve(X, X**2, strong=False), Curve(X, X, "mean", band=(X - 1, X + 1))], "step", "loss", "A", y_range=(0, 9)
    )
    figure = curves_figure([panel, panel, panel], title="course", simulated=True)
    assert figure.get_suptitle() == "course · simulated mouse"
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("step", "loss", "A")
    assert len(axes.lines) == 2
    assert axes.get_ylim() == (0, 9)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mean"]
    assert len(axes.collections) == 1


def test_lines_at_zero_are_drawn_where_asked() -> None:
    figure = curves_figure([CurvePanel([Curve(X - 2, X)], "lag", "r", zero=zero) for zero in ("none", "x", "both")])
    assert [len(axes.lines) for axes in figure.axes] == [1, 2, 3]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no panel"):
        curves_figure([])
