"""One picture of a population's receptive fields, after Bauer et al. 2026, Fig. 1-S3 A-D."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_vidrecon.analysis.gaussian_fits import Retinotopy
from napari_vidrecon.analysis.postprocess import mask_outline
from napari_vidrecon.analysis.receptive_fields import POLARITIES, ReceptiveFieldMaps
from napari_vidrecon.figures.frame import MUTED, OUTLINE_COLOUR, box_in, figure_of

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.screen import ScreenGeometry

EXAMPLES = 4
LEAST_R_SQUARED = 0.9
COLUMNS = 4
WIDTH_IN, ROW_IN, HEAD_IN = 13.0, 2.15, 0.75
RING_STEP_DEG, LARGEST_RING_DEG = 10.0, 60.0
TRAINING_THRESHOLD = 0.5
NARROW_LETTERS = 16
FIT_COLOUR = "#000000"


def receptive_field_figure(
    maps: ReceptiveFieldMaps, mask: AlphaMask | None = None, neurons: Sequence[int] | None = None
) -> Figure:
    """Draw the population's maps, the places of the centres, and a few neurons.

    Parameters
    ----------
    maps
        What was mapped.
    mask
        Drawn beside the centres, and as an outline (alpha >= 0.5) over the population's map.
    neurons
        Examples; default: a few usual ones, from the middle of the screen outwards.

    Returns
    -------
    Figure
        The finished figure; close it once it is saved.
    """
    examples = list(neurons) if neurons is not None else example_neurons(maps)
    ordered = [] if maps.retinotopy is None else [maps.retinotopy]
    rows = 2 + len(ordered) + len(examples)
    with figure_of((WIDTH_IN, HEAD_IN + rows * ROW_IN)) as figure:
        kind = "Simulated mouse  ·  " if maps.simulated else ""
        session = maps.provenance.get("session", "")
        figure.suptitle(
            f"{kind}{session}  ·  receptive fields of {int(maps.responsive.sum())} of {len(maps)} neurons",
            fontweight="bold",
        )
        axes = figure.subplots(rows, COLUMNS, squeeze=False)
        _draw_population(figure, axes[0], maps, mask)
        _draw_centres(figure, axes[1], maps, mask)
        for row, found in zip(axes[2:], ordered, strict=False):
            _draw_cortex(figure, row, maps, found)
        for row, neuron in zip(axes[2 + len(ordered) :], examples, strict=True):
            _draw_neuron(figure, row, maps, neuron)
    return figure


def example_neurons(maps: ReceptiveFieldMaps, count: int = EXAMPLES) -> list[int]:
    """Usual neurons from the middle of the screen outwards.

    In each quarter by eccentricity, the one whose size is nearest to the median of all that are fitted well.

    Parameters
    ----------
    maps
        Of all neurons, with their fits.
    count
        How many at most.

    Returns
    -------
    list[int]
        Their indices; empty where no neuron is fitted well.
    """
    known = np.flatnonzero(maps.responsive & (np.nan_to_num(maps.fits.r_squared, nan=-1.0) >= LEAST_R_SQUARED))
    if not len(known):
        return []
    unusual = np.abs(maps.diameter_px - np.median(maps.diameter_px[known]))
    parts = np.array_split(known[np.argsort(maps.eccentricity_px[known], kind="stable")], count)
    return [int(part[unusual[part].argmin()]) for part in parts if len(part)]


def _draw_population(figure: Figure, axes: np.ndarray, maps: ReceptiveFieldMaps, mask: AlphaMask | None) -> None:
    on, off = maps.population("on"), maps.population("off")
    difference = on - off
    difference = difference / (np.abs(difference).max() or 1.0)
    pictures = (
        ("on, mean of all neurons", on, "viridis", None),
        ("off, mean of all neurons", off, "viridis", None),
        ("on − off", difference, "RdBu_r", (-1.0, 1.0)),
        ("on + off; line: alpha ≥ 0.5" if mask is not None else "on + off", maps.population_sum, "viridis", (0.0, 1.0)),
    )
    for axis, (title, picture, colours, limits) in zip(axes, pictures, strict=True):
        highest = float(max(on.max(), off.max()))
        _draw_map(figure, axis, maps.screen, picture, title, cmap=colours, limits=limits or (0.0, highest))
    if mask is not None:
        for line in mask_outline(mask.binary(TRAINING_THRESHOLD)):
            axes[3].plot(*line.T, color=OUTLINE_COLOUR, linewidth=1.4)


def _draw_centres(figure: Figure, axes: np.ndarray, maps: ReceptiveFieldMaps, mask: AlphaMask | None) -> None:
    for axis, polarity in zip(axes[:2], POLARITIES, strict=True):
        counts = maps.centre_counts(polarity)
        shown = np.where(counts > 0, counts, np.nan).astype(float)
        limits = (0.0, counts.max() or 1)
        _draw_map(figure, axis, maps.screen, shown, f"{polarity}: centres a pixel", cmap="viridis", limits=limits)
        _draw_rings(axis, maps)
    if mask is None:
        axes[2].set_axis_off()
    else:
        limits = (0.0, max(1.0, float(mask.screen.max())))
        title = "mask, alpha; rings every 10°"
        _draw_map(figure, axes[2], maps.screen, mask.screen, title, cmap="viridis", limits=limits)
        _draw_rings(axes[2], maps)
    diameters = maps.diameter_deg[maps.responsive & np.isfinite(maps.diameter_deg)]
    if len(diameters):
        # A few fits that run away would leave the others a single bar.
        axes[3].hist(diameters, bins=30, range=(0.0, float(np.percentile(diameters, 99))), color=MUTED)
        axes[3].set_title(f"size, median {np.median(diameters):.0f}°", loc="left")
    axes[3].set_xlabel("width at half height (degrees)")
    axes[3].set_ylabel("neurons")


def _draw_cortex(figure: Figure, axes: np.ndarray, maps: ReceptiveFieldMaps, found: Retinotopy) -> None:
    """Where the neurons of each place in cortex look: by their own fits, and with their neighbours."""
    assert maps.places is not None
    top = maps.screen.rows_a_colour * maps.screen.colour_at(found.row)
    fitted = maps.responsive & np.isfinite(maps.fits.row)
    x, y = np.asarray(maps.places, np.float64)[:, :2].T
    for number, (axis_name, shift) in enumerate((("row", top), ("column", 0))):
        alone, together = getattr(maps.fits, axis_name) - shift, getattr(found, axis_name) - shift
        limits = tuple(float(each) for each in np.nanpercentile(together, [1, 99]))
        for axis, (title, values, shown) in zip(
            axes[2 * number : 2 * number + 2],
            ((f"cortex: {axis_name}", alone, fitted), ("with neighbours", together, np.isfinite(together))),
            strict=True,
        ):
            size = min(14.0, 4000.0 / len(maps))
            axis.scatter(x[shown], y[shown], s=size, c=values[shown], cmap="viridis", vmin=limits[0], vmax=limits[1])
            axis.set(aspect="equal", xticks=[], yticks=[])
            axis.set_title(title, loc="left")
            box_in(axis)
            _colour_bar(figure, axis, limits, "viridis", "px")
    width = float(np.ptp(x)) or 1.0
    axes[0].set_xlabel(f"{width:.0f} µm", loc="left")


def _draw_neuron(figure: Figure, axes: np.ndarray, maps: ReceptiveFieldMaps, neuron: int) -> None:
    only = np.array([neuron])
    pictures: tuple[tuple[str, np.ndarray, str, tuple[float, float]], ...] = (
        (f"neuron {neuron}: on", np.nan_to_num(maps.normalised("on", only)[0]), "Reds", (0.0, 1.0)),
        ("off", np.nan_to_num(maps.normalised("off", only)[0]), "Blues", (0.0, 1.0)),
        ("on − off", maps.difference(only)[0], "RdBu_r", (-1.0, 1.0)),
    )
    for axis, (title, picture, colours, limits) in zip(axes, pictures, strict=False):
        _draw_map(figure, axis, maps.screen, picture, title, cmap=colours, limits=limits)
    rows, columns = maps.fits.outline(neuron).T
    axes[2].plot(columns, rows, color=FIT_COLOUR, linewidth=1.2)
    axes[3].set_axis_off()
    screen, row = maps.screen, maps.fits.row[neuron]
    colour = int(screen.colour_at(row))
    seen = f"{screen.colours[colour]}: " if screen.colours else ""
    told = (
        f"{seen}centre row {row - colour * screen.rows_a_colour:.1f}, column {maps.fits.column[neuron]:.1f}",
        f"{maps.eccentricity_deg[neuron]:.0f}° from the middle of the screen",
        f"{maps.diameter_px[neuron]:.1f} px or {maps.diameter_deg[neuron]:.0f}° wide at half height",
        f"fit explains {100 * maps.fits.r_squared[neuron]:.0f} %",
    )
    axes[3].text(0.0, 0.5, "\n".join(told), va="center", transform=axes[3].transAxes, linespacing=1.6)
    axes[3].legend(
        handles=[Line2D([], [], color=FIT_COLOUR, label="fit at half height, smoothing taken off")],
        loc="lower left",
        frameon=False,
    )


def _draw_map(
    figure: Figure,
    axes: Axes,
    screen: ScreenGeometry,
    picture: np.ndarray,
    title: str,
    *,
    cmap: str,
    limits: tuple[float, float],
) -> None:
    axes.imshow(picture, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    # Beside a narrow picture stands the next one.
    axes.set_title(textwrap.fill(title, NARROW_LETTERS) if screen.cols < screen.rows else title, loc="left")
    axes.set_xticks([])
    tops = screen.rows_a_colour * np.arange(len(screen.colours)) - 0.5
    axes.set_yticks(tops + screen.rows_a_colour / 2, labels=screen.colours)
    axes.tick_params(axis="y", length=0)
    for top in tops[1:]:
        axes.axhline(top, color=MUTED, linewidth=0.8)
    box_in(axes)
    _colour_bar(figure, axes, limits, cmap)


def _colour_bar(figure: Figure, axes: Axes, limits: tuple[float, ...], cmap: str, unit: str = "") -> None:
    low, high = limits
    bar: Any = figure.colorbar(ScalarMappable(Normalize(low, high), cmap), ax=axes, shrink=0.75, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_ticks([low, high], labels=[f"{limit:.2g} {unit}".rstrip() for limit in (low, high)])


def _draw_rings(axes: Axes, maps: ReceptiveFieldMaps) -> None:
    row, column = maps.screen.centre
    turn = np.linspace(0.0, 2.0 * np.pi, 181)
    for degrees in np.arange(RING_STEP_DEG, LARGEST_RING_DEG + 1, RING_STEP_DEG):
        radius = maps.screen.eccentricity_radius_px(float(degrees))
        for top in range(0, maps.screen.rows, maps.screen.rows_a_colour):
            y = top + row + radius / maps.screen.pixel_height_over_width * np.sin(turn)
            y = np.where((y > top - 0.5) & (y < top + maps.screen.rows_a_colour - 0.5), y, np.nan)
            axes.plot(column + radius * np.cos(turn), y, "--", color="black", alpha=0.5, linewidth=0.8)
    axes.set_xlim(-0.5, maps.screen.cols - 0.5)
    axes.set_ylim(maps.screen.rows - 0.5, -0.5)
