"""What all figures share: their style, a sheet of paper with a heading, and the file they are written to."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from napari_vidrecon.analysis.error_maps import BRIGHTER_COLOUR, DARKER_COLOUR
from napari_vidrecon.analysis.postprocess import union_crop
from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import replacing_file, user_path

SUFFIXES = (".png", ".svg", ".pdf")
SIMULATED = "simulated mouse"
SMALLEST_HEADING_POINTS = 6.0
MUTED, FAINT_LINE = "#5A5A5A", "#BBBBBB"
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Black, then Okabe and Ito's colours, told apart by all common kinds of colour vision."""
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "black",
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-vidrecon",
}


@contextlib.contextmanager
def figure_of(
    size_in: tuple[float, float],
    title: str = "",
    simulated: bool = False,
    *,
    heading_points: float = 12.0,
    heading_in: float | None = None,
    layout: Literal["constrained"] | None = "constrained",
) -> Iterator[Figure]:
    """A figure that needs no screen, in the shared style while it is drawn; its heading is set at the end.

    Parameters
    ----------
    size_in
        Width and height, inches.
    title
        Above everything, in bold; empty for none.
    simulated
        Say beside the title that the mouse is simulated.
    heading_points
        Size of its letters.
    heading_in
        Height of the strip at the top that the heading stands in, inches, where every place is given.
    layout
        "constrained" makes room for labels; None where every place is given.

    Yields
    ------
    Figure
        Empty; it is complete once the block has ended.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size_in, layout=layout if heading_in is None else None)
        FigureCanvasAgg(figure)
        yield figure
        if heading := headed(title, simulated):
            place = {} if heading_in is None else {"y": 1 - 0.5 * heading_in / size_in[1], "va": "center"}
            written = figure.suptitle(heading, fontsize=heading_points, fontweight="bold", parse_math=False, **place)
            # Letters are set to whole pixels: a width says little of that of smaller ones.
            for points in np.arange(heading_points, SMALLEST_HEADING_POINTS, -0.5):
                written.set_fontsize(points)
                if written.get_window_extent().width < figure.bbox.width:
                    break


def headed(title: str, simulated: bool) -> str:
    """A title that says when the mouse is simulated."""
    return " · ".join(part for part in (title, SIMULATED if simulated else "") if part)


def box_in(axes: Axes) -> None:
    """Draw a faint line around."""
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT_LINE)


class Panel(ABC):
    """One pair of axes of a figure that is a grid of them.

    Attributes
    ----------
    size_in
        Width and height, inches.
    beside
        So many stand beside each other where nothing else is asked for; None: all of them.
    heading_in
        Height that a figure of such panels adds for its heading, inches.
    heading_points
        Size of the heading's letters.
    """

    size_in: ClassVar[tuple[float, float]]
    beside: ClassVar[int | None] = None
    heading_in: ClassVar[float] = 0.0
    heading_points: ClassVar[float] = 11.0

    @abstractmethod
    def draw(self, axes: Axes) -> None:
        """Draw it into given axes."""


def panels_figure(
    panels: Sequence[Panel], *, columns: int | None = None, title: str = "", simulated: bool = False
) -> Figure:
    """Draw panels of one kind in a grid, row by row.

    Parameters
    ----------
    panels
        At least one.
    columns
        Panels beside each other; None: as they are made for.
    title, simulated
        As for `figure_of`.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No panel.
    """
    if not panels:
        raise ValueError("there is no panel to draw")
    kind = panels[0]
    across = min(columns or kind.beside or len(panels), len(panels))
    down = -(-len(panels) // across)
    size_in = kind.size_in[0] * across, kind.size_in[1] * down + kind.heading_in
    with figure_of(size_in, title, simulated, heading_points=kind.heading_points) as figure:
        for index, panel in enumerate(panels):
            panel.draw(figure.add_subplot(down, across, index + 1))
    return figure


def save_figure(figure: Figure, path: Path | str, dpi: float = 150.0) -> Path:
    """Write a figure as PNG, or as SVG or PDF whose text stays text; complete or not at all.

    Parameters
    ----------
    figure
        What to write.
    path
        A file name ending in .png, .svg or .pdf.
    dpi
        Pixels per inch of a PNG and of the pictures inside the others.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    """
    path = user_path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise StorageError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    with matplotlib.rc_context(STYLE), replacing_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=dpi, metadata=metadata)
    return path


GREY_RANGE = (0.0, 255.0)
OUTLINE_COLOUR = "#F0E442"  # Okabe and Ito's yellow
MIDDLE_GREY = (0.5, 0.5, 0.5)

Window = tuple[slice, slice]
"""Rows and columns of the screen."""


def draw_picture(
    axes: Axes, picture: ArrayLike, window: Window | None = None, aspect: Literal["equal", "auto"] = "equal"
) -> None:
    """Draw one frame, or a part of it, without ticks and frame.

    Parameters
    ----------
    axes
        To draw into.
    picture
        (H, W) grey levels 0..255, or (H, W, 3) 8-bit RGB.
    window
        What is shown; None shows all of it.
    aspect
        "equal" keeps pixels square, "auto" fills the axes.
    """
    low, high = GREY_RANGE
    axes.imshow(np.asarray(picture), cmap="gray", vmin=low, vmax=high, interpolation="nearest", aspect=aspect)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if window is not None:
        rows, columns = window
        axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
        axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)


def part_shown(masks: Sequence[ArrayLike | None], frame_shape: tuple[int, ...], margin: int) -> Window:
    """Rows and columns around the masks, or all of the screen where there is nothing in any.

    Parameters
    ----------
    masks
        (H, W) each, boolean or 0/1, or None.
    frame_shape
        (H, W).
    margin
        Pixels around them.

    Returns
    -------
    Window
        Slices of rows and of columns.
    """
    drawn = [np.asarray(mask) == 1 for mask in masks if mask is not None]
    if not any(mask.any() for mask in drawn):
        return slice(0, frame_shape[0]), slice(0, frame_shape[1])
    return union_crop(drawn, margin=margin)


def draw_error_scale(
    figure: Figure,
    place: tuple[float, float, float, float],
    limit: float,
    words: tuple[str, str],
    *,
    gap: float,
    points: float,
) -> None:
    """Draw the colours of an error as a horizontal bar between two words.

    Parameters
    ----------
    figure
        To draw into.
    place
        Left, bottom, width and height of the bar, as fractions of the figure.
    limit
        Grey levels at which the tint is opaque.
    words
        Left and right of the bar.
    gap
        Between bar and words, as a share of the bar.
    points
        Size of their letters.
    """
    ends = [tuple(level / GREY_RANGE[1] for level in colour) for colour in (DARKER_COLOUR, BRIGHTER_COLOUR)]
    colours = LinearSegmentedColormap.from_list("error", [ends[0], MIDDLE_GREY, ends[1]])
    axes = figure.add_axes(place)
    bar: Any = figure.colorbar(ScalarMappable(Normalize(-limit, limit), colours), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([])
    for x, align, text in ((-gap, "right", words[0]), (1 + gap, "left", words[1])):
        axes.text(x, 0.5, text, ha=align, va="center", transform=axes.transAxes, fontsize=points)
