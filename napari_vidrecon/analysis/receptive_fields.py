"""Receptive fields of every neuron, as the encoders have them: maps, centres, sizes, and the population's field."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_vidrecon.analysis.gaussian_fits import FWHM_IN_SIGMAS, GaussianFits, Retinotopy, fit_gaussians, retinotopy
from napari_vidrecon.errors import StorageError, one_line
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.stimuli.synthetic import OnOffPatches
from napari_vidrecon.settings import brief
from napari_vidrecon.storage import check_regular, parse_json, read_archive, reading, replacing_file, user_path

Polarity = Literal["on", "off"]
POLARITIES: tuple[Polarity, Polarity] = ("on", "off")
LEAST_INCREASE = 0.1
"""Smallest relative increase of activity that counts as a response."""
SMOOTHING_PX = 2.0
FORMAT = "napari-vidrecon receptive fields 1"
LONGEST_PROVENANCE_BYTES = 4 << 20
LARGEST_SIZE = 10_000
"""Of a patch in pixels, of a part of a clip in frames."""
MAPS_AT_ONCE = 256
FIELD_SHARE = 0.5
"""The population's field is where its map reaches this share of its peak."""


@dataclass(frozen=True)
class ReceptiveFieldMaps:
    """How much more active every neuron is while a bright or a dark patch is shown.

    Parameters
    ----------
    on, off
        (N, rows, columns of patches); activity during the patch over activity before it, minus 1.
    patches
        The stimulus.
    provenance
        Session, encoders and settings they come from; plain JSON values.
    screen
        Of the session.
    places
        (N, 2 or 3) of the neurons in cortex, µm; None where they are not known.
    """

    on: NDArray[np.floating]
    off: NDArray[np.floating]
    patches: OnOffPatches
    provenance: dict[str, Any]
    screen: ScreenGeometry = field(default_factory=ScreenGeometry)
    places: NDArray[np.floating] | None = None

    __repr__ = brief

    def __len__(self) -> int:
        return len(self.on)

    @property
    def simulated(self) -> bool:
        """Whether the mouse is a simulation."""
        return self.provenance.get("simulated") is True

    @property
    def smoothing_px(self) -> float:
        """Standard deviation of the maps' blur, px: as wide an angle on every screen."""
        return SMOOTHING_PX * self.screen.px_per_usual_px

    def increase(self, polarity: Polarity, neurons: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float64]:
        """Increases of at least 10 % on the screen, smoothed: (n, rows, columns), >= 0; the others count as 0."""
        raw = np.asarray(self.on if polarity == "on" else self.off)[neurons].astype(np.float64)
        shown = self.patches.on_screen(np.where(raw >= LEAST_INCREASE, raw, 0.0))
        return self._smoothed(shown)

    def normalised(self, polarity: Polarity, neurons: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float64]:
        """The same divided by each neuron's largest value, 0..1; NaN for neurons that do not respond."""
        maps = self.increase(polarity, neurons)
        peak = maps.max(axis=(1, 2), keepdims=True)
        return np.divide(maps, peak, out=np.full_like(maps, np.nan), where=peak > 0)

    def difference(self, neurons: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float64]:
        """On minus off, each as it is, over the larger peak: (n, rows, columns), -1..1; 0 without a response."""
        on, off = self.increase("on", neurons), self.increase("off", neurons)
        peak = np.maximum(on, off).max(axis=(1, 2), keepdims=True)
        return (on - off) / np.where(peak > 0, peak, 1.0)

    @functools.cached_property
    def responsive(self) -> NDArray[np.bool_]:
        """(N,) neurons that a bright or dark patch makes at least 10 % more active."""
        return np.maximum(self.on.max(axis=(1, 2)), self.off.max(axis=(1, 2))) >= LEAST_INCREASE

    @functools.cached_property
    def fits(self) -> GaussianFits:
        """Gaussians fitted to the sum of on and off maps, with the smoothing of the maps taken off their width.

        Of several colours to the one that a neuron answers most to.
        """
        return self._fitted(lambda some: self.increase("on", some) + self.increase("off", some))

    @functools.cached_property
    def linear_fits(self) -> GaussianFits:
        """Gaussians fitted to the size of on minus off, suppression included: what a neuron's gradient sees.

        Of neurons whose answer has the same sign for bright and dark (complex cells) this is the smaller part.
        """
        return self._fitted(self._linear)

    @functools.cached_property
    def retinotopy(self) -> Retinotopy | None:
        """Centres of `fits` and `linear_fits`, made surer by the neighbours in cortex; None where these are too few.

        Rows are those of the colour that a neuron answers most to, as in `fits`.
        """
        if self.places is None:
            return None
        tops = self.screen.rows_a_colour * self.screen.colour_at(self.fits.row)
        found = retinotopy([self._trusted(self.fits), self._trusted(self.linear_fits)], self.places)
        if found is None:
            return None
        expected = found.expected + np.stack([tops, np.zeros_like(tops)], axis=1)
        return dataclasses.replace(found, row=found.row + tops, expected=expected)

    def _trusted(self, fits: GaussianFits) -> GaussianFits:
        """Of neurons that respond and whose centre is on the screen, rows counted from the top of their colour."""
        # Elsewhere a Gaussian is drawn out from its flank, and as high as it likes.
        screen, column = self.screen, fits.column
        row = fits.row - screen.rows_a_colour * screen.colour_at(fits.row)
        on_screen = (row > -0.5) & (row < screen.rows_a_colour - 0.5) & (column > -0.5) & (column < screen.cols - 0.5)
        kept = {name: getattr(fits, name) for name in GaussianFits.__dataclass_fields__} | {"row": row}
        trusted = self.responsive & on_screen
        return GaussianFits(**{name: np.where(trusted, values, np.nan) for name, values in kept.items()})

    @property
    def looks_at(self) -> NDArray[np.float64]:
        """(N, 2) row and column of each centre, px: with neighbours in cortex where they are known, else of the fit."""
        alone = np.stack([self.fits.row, self.fits.column], axis=1)
        if self.retinotopy is None:
            return alone
        # A neuron without a position in cortex has its fit alone.
        ordered = np.stack([self.retinotopy.row, self.retinotopy.column], axis=1)
        return np.where(np.isfinite(ordered), ordered, alone)

    def _linear(self, neurons: slice) -> NDArray[np.float64]:
        size = np.abs(np.asarray(self.on)[neurons].astype(np.float64) - np.asarray(self.off)[neurons])
        return self._smoothed(self.patches.on_screen(size))

    def _smoothed(self, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each colour by itself: where one ends another part of the screen begins."""
        sigmas = (0.0, 0.0, self.smoothing_px, self.smoothing_px)
        return gaussian_filter(self._in_colours(maps), sigmas, mode="constant").reshape(maps.shape)

    def _in_colours(self, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        return maps.reshape(len(maps), self.screen.planes, self.screen.rows_a_colour, self.screen.cols)

    def _in_best_colour(self, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same, 0 but for the colour of each map's peak: a neuron that sees a place in two has one field."""
        peaks = self._in_colours(maps).max(axis=(2, 3))
        best = np.arange(self.screen.planes) == peaks.argmax(axis=1)[:, None]
        return np.where(np.repeat(best, self.screen.rows_a_colour, axis=1)[:, :, None], maps, 0.0)

    def _fitted(self, maps: Callable[[slice], NDArray[np.float64]]) -> GaussianFits:
        firsts = range(0, len(self), MAPS_AT_ONCE)
        parts = [fit_gaussians(self._in_best_colour(maps(slice(first, first + MAPS_AT_ONCE)))) for first in firsts]
        names = list(GaussianFits.__dataclass_fields__)
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return GaussianFits(**joined).without_blur(self.smoothing_px)

    def centres(self, polarity: Polarity) -> NDArray[np.float64]:
        """(N, 2) row and column of the peak of the on or off map, px; NaN for neurons that do not respond."""
        found = np.full((len(self), 2), np.nan)
        for first in range(0, len(self), MAPS_AT_ONCE):
            maps = self.increase(polarity, slice(first, first + MAPS_AT_ONCE))
            flat = maps.reshape(len(maps), -1)
            places = np.stack(np.unravel_index(flat.argmax(axis=1), maps.shape[1:]), axis=1)
            found[first : first + len(maps)] = np.where(flat.max(axis=1)[:, None] > 0, places, np.nan)
        return found

    def centre_counts(self, polarity: Polarity) -> NDArray[np.intp]:
        """(rows, columns) number of neurons whose peak lies on each pixel (Fig. 1-S3 C)."""
        counts = np.zeros((self.screen.rows, self.screen.cols), np.intp)
        centres = self.centres(polarity)
        rows, columns = centres[np.isfinite(centres[:, 0])].astype(np.intp).T
        np.add.at(counts, (rows, columns), 1)
        return counts

    def population(self, polarity: Polarity) -> NDArray[np.float64]:
        """(rows, columns) mean of the normalised maps over the neurons that respond, 0..1 (Fig. 1-S3 B)."""
        total, count = np.zeros((self.screen.rows, self.screen.cols)), 0
        for first in range(0, len(self), MAPS_AT_ONCE):
            maps = self.normalised(polarity, slice(first, first + MAPS_AT_ONCE))
            responded = np.isfinite(maps[:, 0, 0])
            total += maps[responded].sum(axis=0)
            count += int(responded.sum())
        return total / max(count, 1)

    @functools.cached_property
    def population_sum(self) -> NDArray[np.float64]:
        """(rows, columns) on plus off population map over its peak, 0..1."""
        both = self.population("on") + self.population("off")
        return both / (both.max() or 1.0)

    @property
    def population_field(self) -> NDArray[np.bool_]:
        """(rows, columns) where the population's map reaches half of its peak; to be held against the mask."""
        return self.population_sum >= FIELD_SHARE if self.population_sum.any() else self.population_sum > 0

    @property
    def diameter_px(self) -> NDArray[np.float64]:
        """(N,) full width at half height of the fitted Gaussians, px; the geometric mean of both axes."""
        return FWHM_IN_SIGMAS * self.fits.sigma

    @property
    def diameter_deg(self) -> NDArray[np.float64]:
        """(N,) the same in degrees of visual angle, by the area of the pixel each centre lies on."""
        areas = self.screen.pixel_areas_deg2()
        rows, columns = self.fits.row, self.fits.column
        inside = np.isfinite(rows)
        row = np.clip(np.rint(np.where(inside, rows, 0)), 0, self.screen.rows - 1).astype(np.intp)
        column = np.clip(np.rint(np.where(inside, columns, 0)), 0, self.screen.cols - 1).astype(np.intp)
        return np.where(inside, self.diameter_px * np.sqrt(areas[row, column]), np.nan)

    @property
    def eccentricity_px(self) -> NDArray[np.float64]:
        """(N,) distance of the fitted centres from the middle of the screen, in their colour, in widths of a pixel."""
        below_px = self.screen.colour_at(self.fits.row) * self.screen.rows_a_colour
        return self.screen.away_px(self.fits.row - below_px, self.fits.column)

    @property
    def eccentricity_deg(self) -> NDArray[np.float64]:
        """(N,) the same as the angle from straight ahead, degrees."""
        distance_cm = self.eccentricity_px * self.screen.pixel_pitch_cm
        return np.degrees(np.arctan(distance_cm / self.screen.distance_cm))

    def save(self, path: Path | str) -> None:
        """Write maps, fits and provenance as one `.npz`, complete or not at all.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        patches = {name: value for name, value in vars(self.patches).items() if name != "screen"}
        described = {"format": FORMAT, "patches": patches, **self.provenance}
        if self.screen != USUAL_SCREEN:
            described["screen"] = dataclasses.asdict(self.screen)
        fits = {f"fit_{name}": getattr(self.fits, name) for name in GaussianFits.__dataclass_fields__}
        if self.places is not None:
            fits["places"] = np.asarray(self.places, np.float32)
        if self.retinotopy is not None:
            fits |= {f"retinotopic_{name}": getattr(self.retinotopy, name) for name in ("row", "column", "weight")}
        with replacing_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                on=self.on.astype(np.float16),
                off=self.off.astype(np.float16),
                responsive=self.responsive,
                diameter_deg=self.diameter_deg,
                eccentricity_deg=self.eccentricity_deg,
                population=self.population_sum,
                provenance=np.array(json.dumps(described)),
                **fits,
            )

    @classmethod
    def load(cls, path: Path | str, screen: ScreenGeometry | None = None) -> ReceptiveFieldMaps:
        """Read maps that `save` wrote; nothing is unpickled.

        Returns
        -------
        ReceptiveFieldMaps
            Of the screen that was given, or the one that the file tells.

        Raises
        ------
        StorageError
            Missing, damaged, or not such a file.
        """
        path = user_path(path)
        check_regular(path, "a file of receptive fields (.npz)")
        try:
            with reading(path):
                arrays = read_archive(path)
                patches, provenance, on, off = _stored(arrays, screen)
                places = _places(arrays, len(on))
        except StorageError as found:
            reason = one_line(str(found).removeprefix(f"{path}: "))
            raise StorageError(
                f"{path}: expected receptive fields as `vidrecon rf` writes them, found a damaged or another file "
                f"({reason})"
            ) from None
        expected = (len(on), patches.rows, patches.columns)
        if on.shape != expected or off.shape != expected or not (np.isfinite(on).all() and np.isfinite(off).all()):
            raise StorageError(
                f"{path}: expected finite on and off maps of shape {expected}, found {on.shape} and {off.shape}, or NaN"
            )
        return cls(on, off, patches, provenance, patches.screen, places)


def _stored(
    arrays: dict[str, np.ndarray], screen: ScreenGeometry | None
) -> tuple[OnOffPatches, dict[str, Any], np.ndarray, np.ndarray]:
    """Stimulus, provenance, and both maps of a file, as data from outside."""
    told = arrays["provenance"]
    if told.shape != () or told.dtype.kind != "U" or told.dtype.itemsize > LONGEST_PROVENANCE_BYTES:
        raise ValueError("without a provenance")
    provenance = parse_json(str(told[()]))
    if not isinstance(provenance, dict) or provenance.pop("format", None) != FORMAT:
        raise ValueError("of another format")
    told_screen = provenance.pop("screen", {})
    patches = _patches(provenance.pop("patches"), screen or ScreenGeometry(**told_screen))
    on, off = arrays["on"], arrays["off"]
    if on.dtype.kind != "f" or off.dtype.kind != "f" or on.ndim != 3:
        raise ValueError("maps of another kind")
    with np.errstate(over="ignore"):
        return patches, provenance, on.astype(np.float32), off.astype(np.float32)


def _places(arrays: dict[str, np.ndarray], neurons: int) -> np.ndarray | None:
    """Where the neurons lie in cortex, of files that say it."""
    found = arrays.get("places")
    if found is not None and (found.dtype.kind != "f" or found.shape not in ((neurons, 2), (neurons, 3))):
        raise ValueError("places of another kind")
    return found


def _patches(told: Any, screen: ScreenGeometry) -> OnOffPatches:
    """The stimulus that a file describes, each of its numbers within what a screen and a clip can be."""
    found = dict(told)
    if set(found) - set(OnOffPatches.__dataclass_fields__) or "screen" in found:
        raise ValueError("a stimulus unknown to this version")
    for name, value in found.items():
        least = 1 if name in ("patch_px", "shown") else 0
        if type(value) is not int or not least <= value <= LARGEST_SIZE:
            raise ValueError(f"a stimulus whose {name} cannot be")
    return OnOffPatches(**found, screen=screen)
