"""What all figures share: their style, a sheet of paper with a heading, and the file they are written to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import replacing_file

SUFFIXES = (".png", ".svg", ".pdf")
SIMULATED = "simulated mouse"
MUTED = "#5A5A5A"
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
    heading: str = "",
    *,
    heading_points: float = 12.0,
    layout: Literal["constrained"] | None = "constrained",
) -> Iterator[Figure]:
    """A figure that needs no screen, in the shared style while it is drawn; its heading is set at the end.

    Parameters
    ----------
    size_in
        Width and height, inches.
    heading
        Above everything, in bold; empty for none.
    heading_points
        Size of its letters.
    layout
        "constrained" makes room for labels; None where every place is given.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size_in, layout=layout)
        FigureCanvasAgg(figure)
        yield figure
        if heading:
            figure.suptitle(heading, fontsize=heading_points, fontweight="bold", parse_math=False)


def headed(title: str, simulated: bool) -> str:
    """A title that says when the mouse is simulated."""
    return " · ".join(part for part in (title, SIMULATED if simulated else "") if part)


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

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise StorageError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    with matplotlib.rc_context(STYLE), replacing_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=dpi, metadata=metadata)
    return path
