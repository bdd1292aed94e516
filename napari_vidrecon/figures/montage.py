"""One picture of one reconstruction: stimulus above reconstruction, and how alike they are over time.

Source: after Bauer et al. 2026, Fig. 1D, 2A and 6.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from napari_vidrecon import metrics
from napari_vidrecon.analysis.error_maps import overlay, symmetric_limit
from napari_vidrecon.analysis.postprocess import mask_outline, match_luminance_contrast
from napari_vidrecon.figures.frame import (
    FAINT_LINE,
    MUTED,
    OUTLINE_COLOUR,
    Window,
    draw_error_scale,
    draw_picture,
    figure_of,
    part_shown,
)

LineStyle = Literal["solid", "dashed"]

SCREEN_RATE_HZ = 30.0
FRAMES_SHOWN = 10
FIGURE_WIDTH_IN = 13.0
LABEL_LETTERS = 17
"""A line that fits beside the pictures."""
HEADING_POINTS, HEADING_LETTERS = 15.0, 95
CROP_MARGIN_PX = 4
TIME_COLOUR = "#0072B2"
STEP_COLOUR = "#D55E00"
Outlines = dict[LineStyle, list[np.ndarray]]
PicturesDrawn = tuple[str, np.ndarray, Window, Outlines]
"""A row of pictures: its label, and the part of each that is shown with the outlines there."""


def reconstruction_figure(
    truth: ArrayLike,
    reconstruction: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    training_mask: ArrayLike | None = None,
    error: ArrayLike | None = None,
    error_limit: float | None = None,
    optimisation: tuple[ArrayLike, ArrayLike] | None = None,
    match_contrast: bool = False,
    drawn_as: tuple[str, ArrayLike] | None = None,
    crop: bool = True,
    frame_rate_hz: float = SCREEN_RATE_HZ,
    start_s: float = 0.0,
    frames_shown: int = FRAMES_SHOWN,
    colours: Sequence[str] = (),
    title: str = "",
    simulated: bool = False,
    has_movie: bool = True,
) -> Figure:
    """Draw stimulus and reconstruction at equally spaced times, with their correlation below.

    Parameters
    ----------
    truth, reconstruction
        (T, H, W), grey levels 0..255.
    mask
        (H, W), evaluation mask, boolean or 0/1: correlations are taken inside it; drawn solid.
    training_mask
        (H, W), boolean or 0/1; drawn dashed.
    error
        (T, H, W), signed error in grey levels, tinted over the stimulus in a third row.
    error_limit
        Grey levels at which the tint is full; default: 99th percentile of |error| in the mask.
    optimisation
        Steps and the video correlation at each of them, both (n,).
    match_contrast
        Show the reconstruction with the truth's luminance and contrast; numbers stay unmatched.
    drawn_as
        Words and (T, H, W), drawn instead of the reconstruction; numbers stay those of the reconstruction.
    crop
        Show only the part of the screen around the masks, where there is something to compare.
    frame_rate_hz
        Frames per second, > 0.
    start_s
        Time of the first frame, in seconds of the clip.
    frames_shown
        Pictures in a row, at most T.
    colours
        Names of colours whose movies stand one below the other in H; each is drawn in rows of its own.
    title
        What was reconstructed, e.g. "trial 22".
    simulated
        Say in the title that the mouse is simulated.
    has_movie
        Something says what was shown; else the truth is grey, and is not drawn.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.

    Raises
    ------
    ValueError
        Shapes that do not fit together, or no frame.
    """
    stimulus, video = np.asarray(truth, dtype=np.float64), np.asarray(reconstruction, dtype=np.float64)
    correlation = metrics.frame_correlation(stimulus, video, mask)
    frame_count = len(stimulus)
    if not frame_count:
        raise ValueError("the movies hold no frame, so there is nothing to draw")
    heading = _heading(title, simulated, metrics.video_correlation(stimulus, video, mask))
    indices = np.unique(np.round(np.linspace(0, frame_count - 1, min(frames_shown, frame_count))).astype(int))
    times_s = start_s + np.arange(frame_count) / frame_rate_hz
    shown = match_luminance_contrast(video, stimulus, mask, outside=None) if match_contrast else video
    words = "contrast matched" if match_contrast else ""
    if drawn_as is not None:
        words, shown = drawn_as[0], np.asarray(drawn_as[1], dtype=np.float64)
    rows: list[tuple[str, np.ndarray]] = [
        *([("Stimulus", stimulus[indices])] if has_movie else []),
        ("Reconstruction" + (f",\n{words}" if words else ""), shown[indices]),
    ]
    limit = 0.0
    if error is not None:
        limit = error_limit or symmetric_limit(error, mask)
        rows.append(("Error over\nstimulus", overlay(stimulus[indices], np.asarray(error)[indices], limit)))

    parts = _parts_shown((training_mask, mask), stimulus.shape[1:], max(1, len(colours)), crop)
    height, width = (side.stop - side.start for side in parts[0][0])
    drawn = [
        (f"{label}\n{colour}" if colour else label, pictures, *part)
        for part, colour in zip(parts, colours or [""], strict=True)
        for label, pictures in rows
    ]
    layout = _Layout(len(drawn), len(indices), height / width)
    with figure_of((FIGURE_WIDTH_IN, layout.height_in), layout=None) as figure:
        look: dict[str, Any] = {"fontsize": _heading_size(heading), "fontweight": "bold", "parse_math": False}
        figure.text(layout.left, layout.title_y, heading, va="center", **look)
        _draw_pictures(figure, layout, drawn, times_s[indices])
        if error is not None:
            _draw_error_scale(figure, layout, limit)
        _draw_mask_legend(figure, layout, mask is not None, training_mask is not None)
        split = optimisation is not None
        _draw_correlation(figure.add_axes(layout.plot(0, split)), times_s, correlation, indices, has_movie=has_movie)
        if optimisation is not None:
            _draw_optimisation(figure.add_axes(layout.plot(1, split)), *optimisation)
    return figure


def _parts_shown(
    masks: tuple[ArrayLike | None, ArrayLike | None], size_px: tuple[int, ...], colours: int, crop: bool
) -> list[tuple[Window, Outlines]]:
    """The same part of the screen in each colour, and the outlines of training and evaluation mask there."""
    rows = size_px[0] // colours
    given = [None if each is None else np.asarray(each).reshape(colours, rows, -1) for each in masks]
    either = [None if each is None else (each == 1).any(axis=0) for each in given] if crop else []
    of_rows, of_columns = part_shown(either, (rows, size_px[1]), CROP_MARGIN_PX)
    styles: tuple[LineStyle, LineStyle] = ("dashed", "solid")
    return [
        (
            (slice(top + of_rows.start, top + of_rows.stop), of_columns),
            {
                style: [line + np.array((0, top)) for line in mask_outline(None if each is None else each[top // rows])]
                for style, each in zip(styles, given, strict=True)
            },
        )
        for top in range(0, colours * rows, rows)
    ]


def _draw_pictures(figure: Figure, layout: _Layout, rows: Sequence[PicturesDrawn], times_s: np.ndarray) -> None:
    for row, (label, pictures, window, outlines) in enumerate(rows):
        for column, (picture, time_s) in enumerate(zip(pictures, times_s, strict=True)):
            axes = figure.add_axes(layout.picture(row, column))
            _draw_outlined(axes, picture, window, outlines)
            if row == 0:
                axes.set_title(f"{time_s:.2f} s", pad=4)
            if column == 0:
                lines = "\n".join(textwrap.fill(line, LABEL_LETTERS) for line in label.splitlines())
                axes.set_ylabel(lines, rotation=0, ha="right", va="center", labelpad=8, fontsize=10.5)


def _draw_outlined(axes: Axes, picture: np.ndarray, window: Window, outlines: Outlines) -> None:
    draw_picture(axes, picture, window)
    for style, lines in outlines.items():
        for line in lines:
            axes.plot(*line.T, color="black", linewidth=2.2, alpha=0.45)
            axes.plot(*line.T, color=OUTLINE_COLOUR, linewidth=1.2, linestyle=style)


def _heading(title: str, simulated: bool, correlation: float) -> str:
    parts = ["Simulated mouse" if simulated else "", title]
    if np.isfinite(correlation):
        parts.append(f"video correlation r = {correlation:.2f}")
    return "  ·  ".join(part for part in parts if part)


def _heading_size(heading: str) -> float:
    return min(HEADING_POINTS, HEADING_POINTS * HEADING_LETTERS / max(len(heading), 1))


class _Layout:
    """Places of everything as fractions of the figure, from lengths in inches."""

    left_in, right_in, gap_in = 1.6, 0.25, 0.06
    title_in, times_in, legend_in, plot_in, below_in = 0.5, 0.3, 0.8, 1.75, 0.65
    split_gap_in, split_share = 0.9, 0.66

    def __init__(self, rows: int, columns: int, aspect: float) -> None:
        across = FIGURE_WIDTH_IN - self.left_in - self.right_in
        self.picture_width_in = min((across - (columns - 1) * self.gap_in) / columns, 2.2)
        self.picture_height_in = self.picture_width_in * aspect
        self.pictures_in = rows * self.picture_height_in + (rows - 1) * self.gap_in
        self.height_in = (
            self.title_in + self.times_in + self.pictures_in + self.legend_in + self.plot_in + self.below_in
        )
        self.left = self.left_in / FIGURE_WIDTH_IN
        self.right = 1 - self.right_in / FIGURE_WIDTH_IN
        self.title_y = 1 - 0.55 * self.title_in / self.height_in
        self.legend_y = (self.below_in + self.plot_in + 0.7 * self.legend_in) / self.height_in

    def picture(self, row: int, column: int) -> tuple[float, float, float, float]:
        top = self.title_in + self.times_in + row * (self.picture_height_in + self.gap_in)
        return (
            (self.left_in + column * (self.picture_width_in + self.gap_in)) / FIGURE_WIDTH_IN,
            1 - (top + self.picture_height_in) / self.height_in,
            self.picture_width_in / FIGURE_WIDTH_IN,
            self.picture_height_in / self.height_in,
        )

    def plot(self, index: int, split: bool) -> tuple[float, float, float, float]:
        across = FIGURE_WIDTH_IN - self.left_in - self.right_in
        first = (across - self.split_gap_in) * self.split_share if split else across
        start = self.left_in + (first + self.split_gap_in if index else 0.0)
        length = across - first - self.split_gap_in if index else first
        return (
            start / FIGURE_WIDTH_IN,
            self.below_in / self.height_in,
            length / FIGURE_WIDTH_IN,
            self.plot_in / self.height_in,
        )


def _draw_mask_legend(figure: Figure, layout: _Layout, evaluation: bool, training: bool) -> None:
    kinds: list[tuple[bool, LineStyle, str]] = [
        (evaluation, "solid", "evaluation mask"),
        (training, "dashed", "training mask"),
    ]
    handles = [
        Line2D([], [], color=OUTLINE_COLOUR, linewidth=2, linestyle=style, label=label)
        for drawn, style, label in kinds
        if drawn
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="center left",
            bbox_to_anchor=(layout.left, layout.legend_y),
            ncols=2,
            frameon=True,
            facecolor="#808080",
            edgecolor="none",
            labelcolor="white",
            fontsize=10,
            borderaxespad=0,
        )


def _draw_error_scale(figure: Figure, layout: _Layout, limit: float) -> None:
    length, thickness = 1.6 / FIGURE_WIDTH_IN, 0.14 / layout.height_in
    after = 1.05 / FIGURE_WIDTH_IN
    place = layout.right - after - length, layout.legend_y - thickness / 2, length, thickness
    words = f"error in grey levels:  darker −{limit:.0f}", f"+{limit:.0f} brighter"
    draw_error_scale(figure, place, limit, words, gap=0.05, points=10)


def _draw_correlation(
    axes: Axes, times_s: np.ndarray, correlation: np.ndarray, indices: np.ndarray, *, has_movie: bool
) -> None:
    mean = np.nanmean(correlation) if np.isfinite(correlation).any() else np.nan
    axes.axhline(0, color=FAINT_LINE, linewidth=0.8, zorder=0)
    axes.plot(times_s, correlation, color=TIME_COLOUR, linewidth=1.8)
    axes.plot(times_s[indices], correlation[indices], "o", color=TIME_COLOUR, markersize=5, clip_on=False)
    if np.isfinite(mean):
        axes.axhline(mean, color=MUTED, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        heading = f"correlation frame by frame (dots: frames above; dashed: mean {mean:.2f})"
    elif not has_movie:
        heading = "correlation frame by frame: none, for no movie says what was shown"
    else:
        heading = "correlation frame by frame: not defined, the frames of one movie are constant"
    axes.set_title(heading, loc="left")
    if len(times_s) > 1:
        axes.set_xlim(times_s[0], times_s[-1])
    lowest = np.nanmin(correlation) if np.isfinite(mean) else 0.0
    axes.set_ylim(min(0.0, lowest) - 0.05, 1.05)
    axes.set_xlabel("time in the clip (s)")
    axes.set_ylabel("correlation r")


def _draw_optimisation(axes: Axes, steps: ArrayLike, correlation: ArrayLike) -> None:
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(correlation, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"optimisation has steps {x.shape} and correlations {y.shape}; expected one of each")
    axes.plot(x, y, color=STEP_COLOUR, linewidth=1.8, marker="." if len(x) <= 30 else None)
    finite = y[np.isfinite(y)]
    axes.set_ylim(finite.min(initial=0.0) - 0.05, 1.05)
    axes.set_title("during the optimisation", loc="left")
    axes.set_xlabel("optimisation step")
    axes.set_ylabel("video correlation r")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
