"""Matrices of numbers: their cells, their order, their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.figures.frame import save_figure
from napari_vidrecon.figures.matrix_figure import DIVERGING, MatrixPanel, matrix_figure

VALUES = np.array([[0.1, 0.98], [-0.25, np.nan]])


def panel(**changes) -> MatrixPanel:
    fields = {
        "values": VALUES,
        "row_labels": ("0", "4"),
        "column_labels": ("1", "2"),
        "row_title": "length (px)",
        "column_title": "time (s)",
    }
    return MatrixPanel(**{**fields, **changes})


def cell_texts(axes) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axes.texts}


def test_every_cell_says_its_number_and_one_without_stays_empty() -> None:
    axes = matrix_figure([[panel()]]).axes[0]
    assert cell_texts(axes) == {(0, 0): ".10", (1, 0): ".98", (0, 1): "−.25"}


def test_the_first_row_is_at_the_bottom_and_the_axes_say_their_units() -> None:
    axes = matrix_figure([[panel()]]).axes[0]
    low, high = axes.get_ylim()
    assert low < high
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "length (px)")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "4"]


def test_lettering_stands_out_from_its_cell() -> None:
    axes = matrix_figure([[panel(values=np.array([[0.0, 1.0]]), row_labels=("0",))]]).axes[0]
    assert [text.get_color() for text in axes.texts] == ["white", "black"]


def test_a_number_that_rounds_to_nothing_has_no_sign() -> None:
    axes = matrix_figure([[panel(values=np.array([[-0.001, -12.34]]), row_labels=("0",), decimals=1)]]).axes[0]
    assert [text.get_text() for text in axes.texts] == [".0", "−12.3"]


def test_numbers_outside_the_colours_are_marked_on_the_bar() -> None:
    inside, outside = (
        matrix_figure([[panel(limits=limits, colours=DIVERGING)]]).axes[1] for limits in ((-1.0, 1.0), (0.0, 0.5))
    )
    assert len(outside.patches) > len(inside.patches)


def test_a_simulated_mouse_is_named_and_text_stays_text_in_an_svg(tmp_path: Path) -> None:
    figure = matrix_figure([[panel(), panel(title="second")], [panel()]], title="Noise", simulated=True)
    assert figure.get_suptitle() == "Noise · simulated mouse"
    saved = save_figure(figure, tmp_path / "matrix.svg").read_text()
    for word in ("simulated mouse", "second", "length (px)", "−.25"):
        assert word in saved


@pytest.mark.parametrize("panels", [[], [[]], [[panel(row_labels=("0",))]]])
def test_no_panel_or_labels_that_do_not_fit_are_refused(panels) -> None:
    with pytest.raises(ValueError, match=r"no panel|as many as labels"):
        matrix_figure(panels)
