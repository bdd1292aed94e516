"""Pictures in pairs, one above the other, those that stand out framed red: the last supplementary figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import figure_of, headed
from napari_vidrecon.figures.montage import GREY_RANGE

TILE_IN, GAP_IN, PAIR_GAP_IN = 1.7, 0.18, 0.12
HEAD_IN, LABEL_IN, SIDE_IN, NARROWEST_IN = 0.45, 0.34, 0.15, 5.5
FRAME_COLOUR, FRAME_POINTS = "#D00000", 3.5
FRAMED_WORD = "excluded"
"""Said beside the frame, so that nobody has to tell red from grey."""


@dataclass(frozen=True)
class ClipPair:
    """Two pictures of (36, 64) grey levels, what is written above each, and whether the pair is framed."""

    first: ArrayLike
    second: ArrayLike
    first_label: str
    second_label: str
    framed: bool = False


def clip_pairs_figure(
    pairs: Sequence[ClipPair], *, title: str = "", columns: int = 5, simulated: bool = False
) -> Figure:
    """Draw pairs from left to right, then down.

    Parameters
    ----------
    pairs
        At least one.
    title
        Above all of them.
    columns
        Pairs beside each other, at most.
    simulated
        Say in the title that the mouse is simulated.

    Raises
    ------
    ValueError
        No pair.
    """
    if not pairs:
        raise ValueError("there is no pair to draw")
    across = min(columns, len(pairs))
    down = -(-len(pairs) // across)
    aspect = np.shape(pairs[0].first)[0] / np.shape(pairs[0].first)[1]
    tile_height = TILE_IN * aspect
    pair_height = 2 * (LABEL_IN + tile_height) + PAIR_GAP_IN
    pairs_width = across * (TILE_IN + GAP_IN) - GAP_IN
    width = max(2 * SIDE_IN + pairs_width, NARROWEST_IN)
    height = HEAD_IN + down * (pair_height + GAP_IN)
    with figure_of((width, height), layout=None) as figure:
        figure.text(0.5, 1 - HEAD_IN / 2 / height, headed(title, simulated), ha="center", va="center", weight="bold")
        for index, pair in enumerate(pairs):
            row, column = divmod(index, across)
            left = (width - pairs_width) / 2 + column * (TILE_IN + GAP_IN)
            top = HEAD_IN + row * (pair_height + GAP_IN)
            first_label = f"{pair.first_label} ({FRAMED_WORD})" if pair.framed else pair.first_label
            pictures = ((pair.first, first_label), (pair.second, pair.second_label))
            for below, (picture, label) in enumerate(pictures):
                place_top = top + LABEL_IN + below * (tile_height + LABEL_IN + PAIR_GAP_IN / 2)
                bottom = 1 - (place_top + tile_height) / height
                axes = figure.add_axes((left / width, bottom, TILE_IN / width, tile_height / height))
                _draw_picture(axes, picture, label, pair.framed)
    return figure


def _draw_picture(axes: Axes, picture: ArrayLike, label: str, framed: bool) -> None:
    axes.imshow(np.asarray(picture), cmap="gray", vmin=GREY_RANGE[0], vmax=GREY_RANGE[1], interpolation="nearest")
    axes.set_title(label, fontsize=8, loc="left", pad=3, color=FRAME_COLOUR if framed else "black")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(framed)
        spine.set_color(FRAME_COLOUR)
        spine.set_linewidth(FRAME_POINTS)
