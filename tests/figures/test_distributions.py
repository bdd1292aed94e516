"""One number a clip, with its mean and interval; and how p values are written."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.figures.curves import p_text
from napari_vidrecon.figures.mouse_lines import Distribution, DistributionPanel, distributions_figure


def test_every_clip_is_a_dot_and_the_mean_has_its_interval() -> None:
    values = np.linspace(0.3, 0.7, 9)
    shown = Distribution("shown", values, (0.5, 0.4, 0.6), ["a"] * 4 + ["b"] * 5)
    random = Distribution("random", -values, (-0.5, np.nan, np.nan), control=True)
    figure = distributions_figure([DistributionPanel([shown, random], "r", note="p = 0.01")], simulated=True)
    axes = figure.axes[0]
    dots = [each for each in axes.collections if len(each.get_offsets()) == 9]
    assert len(dots) == 2
    assert len({tuple(colour) for colour in dots[0].get_facecolors()}) == 2
    np.testing.assert_allclose(np.sort(dots[0].get_offsets()[:, 1]), values)
    intervals = [line for line in axes.lines if np.array_equal(line.get_ydata(), [0.4, 0.6])]
    assert len(intervals) == 1
    assert {"0.50", "−0.50", "p = 0.01"} <= {text.get_text() for text in axes.texts}
    assert axes.get_ylim()[0] < -0.7
    assert figure.get_suptitle() == "simulated mouse"


def test_few_clips_have_no_shape_and_nothing_is_refused() -> None:
    few = DistributionPanel([Distribution("shown", [0.5, 0.6], (0.55, np.nan, np.nan))], "r")
    assert len(distributions_figure([few]).axes[0].collections) == 1
    with pytest.raises(ValueError, match="no panel"):
        distributions_figure([])


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0234, "p = 0.023"), (3.6e-8, "p = 4 × 10⁻⁸"), (6.69e-49, "p = 7 × 10⁻⁴⁹"), (float("nan"), "p not defined")],
)
def test_small_p_values_are_written_with_their_power(p: float, text: str) -> None:
    assert p_text(p) == text
