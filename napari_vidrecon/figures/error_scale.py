"""The colour scale of an error map: blue where darker than expected, orange where brighter.

Source: after Bauer et al. 2026, Fig. 6 D and E, with colours that all common kinds of colour vision tell apart.
"""

from __future__ import annotations

from typing import Any

from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from napari_vidrecon.analysis.error_maps import BRIGHTER_COLOUR, DARKER_COLOUR

LENGTH_IN, THICKNESS_IN = 2.2, 0.14
MIDDLE_GREY = (0.5, 0.5, 0.5)
LARGEST_LEVEL = 255


def draw_error_scale(figure: Figure, left: float, bottom: float, limit: float) -> None:
    """Draw a horizontal scale.

    Parameters
    ----------
    figure : to draw into.
    left, bottom : of the scale with its words, as fractions of the figure.
    limit : grey levels at which the tint is opaque.
    """
    width_in, height_in = figure.get_size_inches()
    ends = [tuple(level / LARGEST_LEVEL for level in colour) for colour in (DARKER_COLOUR, BRIGHTER_COLOUR)]
    colormap = LinearSegmentedColormap.from_list("error", [ends[0], MIDDLE_GREY, ends[1]])
    before = f"darker than expected, −{limit:.0f} grey levels"
    start = left + 2.75 / width_in
    axes = figure.add_axes((start, bottom, LENGTH_IN / width_in, THICKNESS_IN / height_in))
    bar: Any = figure.colorbar(ScalarMappable(Normalize(-limit, limit), colormap), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([])
    for x, align, text in ((-0.03, "right", before), (1.03, "left", f"+{limit:.0f}, brighter")):
        axes.text(x, 0.5, text, ha=align, va="center", transform=axes.transAxes, fontsize=9)
