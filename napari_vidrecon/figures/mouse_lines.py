"""Numbers of mice and clips: lines over levels, every mouse dashed and their mean solid; every clip as a dot.

Source: Bauer et al. 2026, Fig. 2B, 3, 5 and 1-S2 C, D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from napari_vidrecon.figures.frame import COLOURS, FAINT_LINE, MUTED, Panel, figure_of

CATEGORY_MARGIN = 0.4
ROOM_BELOW = 0.04
"""Of the range of values, where some lie below what was asked for."""


@dataclass(frozen=True, eq=False)
class Lines:
    """One group of mice over the levels.

    Parameters
    ----------
    x
        (levels,) positions.
    mice
        (mice, levels); NaN where there is nothing.
    label
        For the legend; empty for none.
    clips
        (clips, levels), drawn as faint dots and lines.
    """

    x: ArrayLike
    mice: ArrayLike
    label: str = ""
    clips: ArrayLike | None = None

    @property
    def drawn(self) -> list[np.ndarray]:
        """All values that are seen."""
        return [np.asarray(each, dtype=float) for each in (self.mice, self.clips) if each is not None]


@dataclass(frozen=True, eq=False)
class LinePanel(Panel):
    """One pair of axes.

    Parameters
    ----------
    lines
        Groups, each in its own colour.
    x_label, y_label
        With units.
    title
        What is shown.
    ticks
        Names of the levels; None keeps numbers.
    y_range
        Limits, the lower of which gives way to what lies below it; None chooses.
    log_x
        Logarithmic axis to base 2.
    marks
        Places on the x axis, each with its text.
    """

    size_in = 4.4, 3.6

    lines: Sequence[Lines]
    x_label: str
    y_label: str
    title: str = ""
    ticks: Sequence[str] | None = None
    y_range: tuple[float, float] | None = None
    log_x: bool = False
    marks: Sequence[tuple[float, str]] = field(default=())

    def draw(self, axes: Axes) -> None:
        """Draw it into given axes."""
        for colour, lines in zip(COLOURS * (1 + len(self.lines) // len(COLOURS)), self.lines, strict=False):
            _draw_lines(axes, lines, colour)
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.y_label)
        axes.set_title(self.title, loc="left")
        if self.log_x:
            axes.set_xscale("log", base=2)
        if self.ticks is not None:
            places = np.asarray(self.lines[0].x, dtype=float)
            axes.set_xticks(places, self.ticks)
            axes.minorticks_off()
            if not self.log_x and len(places) > 1:
                # Room for the names at both ends.
                axes.set_xlim(places.min() - CATEGORY_MARGIN, places.max() + CATEGORY_MARGIN)
        if self.y_range is not None:
            bottom, top = self.y_range
            values = np.concatenate([np.ravel(each) for lines in self.lines for each in lines.drawn])
            lowest = values[np.isfinite(values)].min(initial=bottom)
            axes.set_ylim(lowest - ROOM_BELOW * (top - lowest) if lowest < bottom else bottom, top)
        for position, text in self.marks:
            axes.axhline(position, color=MUTED, linewidth=0.8, linestyle=":")
            axes.annotate(
                text, (0.02, position), xycoords=("axes fraction", "data"), fontsize=8, color=MUTED, va="bottom"
            )
        labelled = [lines for lines in self.lines if lines.label]
        handles = [Line2D([], [], color=COLOURS[index % len(COLOURS)], linewidth=2) for index in range(len(labelled))]
        names = [lines.label for lines in labelled]
        if any(len(np.atleast_2d(lines.mice)) > 1 for lines in self.lines):
            handles.append(Line2D([], [], color=MUTED, linewidth=1, linestyle="--"))
            names.append("single mice")
        handles.append(Line2D([], [], color=MUTED, linewidth=2))
        names.append("mean")
        if any(lines.clips is not None for lines in self.lines):
            handles.append(Line2D([], [], color=MUTED, linewidth=0.7, marker=".", alpha=0.6))
            names.append("clips")
        axes.legend(handles, names, fontsize=8, frameon=False, loc="best")


def _draw_lines(axes: Axes, lines: Lines, colour: str) -> None:
    x, mice = np.asarray(lines.x, dtype=float), np.atleast_2d(np.asarray(lines.mice, dtype=float))
    if mice.shape[1] != len(x):
        raise ValueError(f"{len(x)} levels and {mice.shape[1]} values a mouse; expected as many")
    if lines.clips is not None:
        for clip in np.asarray(lines.clips, dtype=float):
            axes.plot(x, clip, ".", color=colour, alpha=0.3, markersize=5)
            axes.plot(x, clip, color=colour, alpha=0.15, linewidth=0.7)
    axes.plot(x, mice.T, color=colour, linewidth=1, linestyle="--", alpha=0.6)
    counts = np.isfinite(mice).sum(axis=0)
    mean = np.divide(np.nansum(mice, axis=0), counts, out=np.full(len(x), np.nan), where=counts > 0)
    axes.plot(x, mean, color=colour, linewidth=2.2, marker="o" if len(x) < 12 else None, markersize=4)


DOTS_WIDTH_IN, DOTS_HEIGHT_IN = 3.6, 3.8
DISTRIBUTION_WIDTH_IN = 1.35
"""What one distribution needs, with its label and the number beside its mean."""
FEWEST_FOR_A_SHAPE = 8
SPREAD, VIOLIN_WIDTH = 0.26, 0.8
MEAN_SHIFT = 0.4


@dataclass(frozen=True, eq=False)
class Distribution:
    """Values of one kind.

    Parameters
    ----------
    label
        Below them.
    values
        (n,).
    interval
        Mean, and lower and upper end of its 95 % interval; NaN ends are not drawn.
    groups
        (n,) which mouse each belongs to; each has its own colour.
    control
        Drawn grey.
    """

    label: str
    values: ArrayLike
    interval: tuple[float, float, float]
    groups: Sequence[str] = ()
    control: bool = False


@dataclass(frozen=True, eq=False)
class DistributionPanel:
    """One pair of axes: distributions beside each other, and a line of text above.

    Parameters
    ----------
    distributions
        From left to right.
    y_label
        With its unit.
    title
        What is shown.
    note
        Smaller, below the title.
    """

    distributions: Sequence[Distribution]
    y_label: str
    title: str = ""
    note: str = ""


def distributions_figure(panels: Sequence[DistributionPanel], *, title: str = "", simulated: bool = False) -> Figure:
    """Draw panels beside each other, with one range of values for all.

    Parameters
    ----------
    panels
        At least one.
    title
        Above all of them.
    simulated
        Say in the title that the mouse is simulated.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        No panel.
    """
    every = [each for panel in panels for each in panel.distributions]
    values = np.array([value for each in every for value in (*np.asarray(each.values, float), *each.interval)])
    lowest = min(0.0, values[np.isfinite(values)].min(initial=0.0) - 0.1)
    names = sorted({name for each in every for name in each.groups})
    most = max((len(panel.distributions) for panel in panels), default=0)

    if not panels:
        raise ValueError("there is no panel to draw")
    size_in = max(DOTS_WIDTH_IN, DISTRIBUTION_WIDTH_IN * most) * len(panels), DOTS_HEIGHT_IN
    with figure_of(size_in, title, simulated, heading_points=Panel.heading_points) as figure:
        for place, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), place)
            _draw(axes, panel, names)
            axes.set_ylim(lowest, 1.0)
    return figure


def _draw(axes: Axes, panel: DistributionPanel, names: Sequence[str]) -> None:
    axes.axhline(0, color=FAINT_LINE, linewidth=0.8, zorder=0)
    for place, each in enumerate(panel.distributions):
        values = np.asarray(each.values, dtype=float)
        known = np.isfinite(values)
        if known.sum() >= FEWEST_FOR_A_SHAPE and np.ptp(values[known]) > 0:
            parts = axes.violinplot(values[known], [place], widths=VIOLIN_WIDTH, showextrema=False)
            for body in parts["bodies"]:  # type: ignore[attr-defined]
                body.set_facecolor(MUTED)
                body.set_alpha(0.15)
        # Neighbours in rank stand apart, so that dots of like height do not cover each other.
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        x = place + SPREAD * (np.array([0.0, 0.5, -0.5, 0.25, -0.25])[ranks % 5])
        colours = [MUTED] * len(values)
        if each.groups and not each.control:
            colours = [COLOURS[1 + names.index(name) % (len(COLOURS) - 1)] for name in each.groups]
        axes.scatter(x, values, s=18, c=colours, alpha=0.75, linewidths=0, zorder=2)
        mean, low, high = each.interval
        if np.isfinite([low, high]).all():
            axes.plot([place + MEAN_SHIFT] * 2, [low, high], color="black", linewidth=2, zorder=3)
        axes.plot([place + MEAN_SHIFT], [mean], "o", color="black", markersize=6, zorder=3)
        axes.annotate(
            f"{round(mean, 2) + 0.0:.2f}".replace("-", "−"),
            # Above the interval: beside it lies the next distribution.
            (place + MEAN_SHIFT, high if np.isfinite(high) else mean),
            (0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
        )
    axes.set_xticks(range(len(panel.distributions)), [each.label for each in panel.distributions])
    axes.set_xlim(-0.6, len(panel.distributions))
    axes.set_ylabel(panel.y_label)
    axes.set_title(panel.title, loc="left")
    if panel.note:
        axes.text(0.98, 0.02, panel.note, transform=axes.transAxes, fontsize=8, color=MUTED, ha="right")
