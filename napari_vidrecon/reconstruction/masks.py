"""The transparency (alpha) mask: where on the screen the population can say something, and what makes one poor."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.errors import MaskError, StorageError, number_of
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.sessions.screen import LARGEST_SIDE_PX, MOST_COLOURS, USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.settings import brief, finite_number
from napari_vidrecon.storage import read_array, user_path, write_array

TRAINING_THRESHOLD = 0.5
EVALUATION_THRESHOLD = 1.0
FULL_SCREEN = "full screen"
"""Source of a mask that leaves nothing out."""
LARGEST_ALPHA = 10.0
"""Of a mask's file, either sign; fits end at 1.4 or so. Pictures (0..255), movies and activity go further."""
OFF_SCREEN = -np.inf
"""Alpha of canvas pixels a mask says nothing of: below every threshold."""


PUBLISHED = Canvas()
"""Masks of 64 x 64 pixels are taken as published: the screen of 36 x 64 lies in rows 14 to 49."""
YES = 255
"""What programs for pictures save for yes."""


def _shares(alpha: np.ndarray) -> np.ndarray:
    """The same, where a mask of yes and no was saved as 0 and 255; of a mask's size only, others are not read."""
    if alpha.dtype.kind not in "iu" or not _is_screen(alpha.shape):
        return alpha
    return (alpha > 0).astype(np.float32) if np.isin(alpha, (0, YES)).all() else alpha


def _is_screen(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and all(1 <= side <= LARGEST_SIDE_PX for side in shape)


def _in_words(size_px: tuple[int, ...]) -> str:
    return "x".join(map(str, size_px))


@dataclass(frozen=True, eq=False)
class AlphaMask:
    """A transparency mask (Bauer et al. 2026, Fig. 1-S3 D).

    Parameters
    ----------
    alpha
        (rows, columns) of the screen, or of a larger canvas in whose middle the screen lies; about -0.1 .. 1.4.
    source
        File or rule it came from.
    screen_px
        Rows and columns of the screen; None: as many as alpha has, except that 64 x 64 is taken as published, with a
        screen of 36 x 64 in rows 14 to 49.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> mask = vr.AlphaMask(np.full((36, 64), 0.7))
    >>> int(mask.binary(0.5).sum()), int(mask.binary(1.0).sum())
    (2304, 0)
    """

    alpha: np.ndarray
    source: str = ""
    screen_px: tuple[int, int] | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        if isinstance(self.source, PathLike):
            object.__setattr__(self, "source", str(self.source))
        name = self._name
        try:
            alpha = np.asarray(self.alpha)
        except (ValueError, TypeError):
            raise MaskError(f"{name}: expected an array of numbers, found rows of different lengths") from None
        if alpha.dtype.kind not in "fiub":
            raise MaskError(f"{name}: expected numbers, found {alpha.dtype}")
        if not _is_screen(alpha.shape):
            raise MaskError(
                f"{name}: expected rows x columns of the screen, of up to {LARGEST_SIDE_PX} pixels, "
                f"found {_in_words(alpha.shape) or 'a single number'}"
            )
        screen_px = self.screen_px
        if screen_px is None:
            published = alpha.shape == (PUBLISHED.rows, PUBLISHED.columns)
            screen_px = (PUBLISHED.screen_rows, PUBLISHED.screen_columns) if published else alpha.shape
        if any(side > whole for side, whole in zip(screen_px, alpha.shape, strict=True)):
            raise MaskError(f"{name}: expected {_in_words(screen_px)} pixels, found {_in_words(alpha.shape)}")
        if not np.isfinite(alpha).all():
            raise MaskError(f"{name}: expected finite values, found NaN or Inf")
        with np.errstate(over="ignore"):
            # Not np.array, which keeps the spelling of a type ("<f4"), and a run's fingerprint holds it.
            alpha = np.asarray(alpha.astype(np.float32))
        if not np.isfinite(alpha).all():
            raise MaskError(f"{name}: expected values of a mask, about -0.1 to 1.4, found some that are far too large")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "screen_px", screen_px)

    @property
    def _name(self) -> str:
        return self.source or "mask"

    def for_screen(self, rows: int, columns: int) -> AlphaMask:
        """The same mask on a screen of so many pixels, which tells what of it is the screen.

        Parameters
        ----------
        rows, columns
            Of the movies.

        Returns
        -------
        AlphaMask
            With this screen.

        Raises
        ------
        MaskError
            It is of another size: neither of the screen, nor of a square canvas around it.
        """
        if self.screen_px == (rows, columns):
            return self
        side = max(rows, columns)
        if self.alpha.shape not in ((rows, columns), (side, side)):
            allowed = sorted({(rows, columns), (side, side)})
            expected = " or ".join(map(_in_words, allowed))
            raise MaskError(f"{self._name}: expected {expected} pixels, found {_in_words(self.alpha.shape)}")
        return AlphaMask(self.alpha, self.source, (rows, columns))

    @classmethod
    def load(cls, path: Path | str) -> AlphaMask:
        """Read a mask, e.g. the published `mask_m0.npy`.

        Parameters
        ----------
        path
            A `.npy` file of as many numbers as the screen has pixels, or (64, 64) as published.

        Returns
        -------
        AlphaMask
            Its `source` is the whole path: a run says where its mask lies, wherever it is asked.

        Raises
        ------
        MaskError
            Missing, not an array, of a size that no screen has, not finite, of values that are no alpha.
        """
        path = user_path(path)
        try:
            # Mapped: a file of another size is refused before any of it is read.
            opened = cls(_shares(read_array(path, memory_map=True)), str(path))
        except StorageError as error:
            raise MaskError(str(error)) from None
        lowest, highest = float(opened.alpha.min()), float(opened.alpha.max())
        if max(-lowest, highest) > LARGEST_ALPHA:
            raise MaskError(
                f"{path}: expected alpha of about -0.1 to 1.4, 1 where a pixel is fully seen, found values from "
                f"{lowest:.4g} to {highest:.4g}; choose a mask, or scale this one so that 1 is the least to measure in"
            )
        return dataclasses.replace(opened, source=str(path.absolute()))

    @classmethod
    def full(cls, canvas: Canvas | None = None) -> AlphaMask:
        """Alpha 1 on the whole screen: no mask.

        Parameters
        ----------
        canvas
            Whose screen is covered; None: 36 x 64 pixels.

        Returns
        -------
        AlphaMask
            Every pixel is reconstructed and measured.
        """
        canvas = canvas or Canvas()
        size_px = canvas.screen_rows, canvas.screen_columns
        return cls(np.ones(size_px, np.float32), FULL_SCREEN, size_px)

    def save(self, path: Path | str) -> None:
        """Write the alpha values as `.npy`.

        Parameters
        ----------
        path
            The `.npy` file; one that stands there is replaced.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        write_array(path, self.alpha)

    @property
    def screen(self) -> np.ndarray:
        """Alpha on the screen, (rows, columns)."""
        assert self.screen_px is not None
        rows, columns = self.alpha.shape
        return self.alpha[Canvas(rows, columns, *self.screen_px).screen]

    def binary(self, threshold: float = EVALUATION_THRESHOLD) -> np.ndarray:
        """The pixels of the screen that reach a threshold.

        Parameters
        ----------
        threshold
            Least alpha; 0.5 for reconstructing, 1.0 for measuring.

        Returns
        -------
        np.ndarray
            (rows, columns) bool.

        Raises
        ------
        ConfigError
            The threshold is no finite number.
        """
        return self.screen >= finite_number(threshold, "threshold of alpha")

    def on(self, canvas: Canvas, threshold: float) -> np.ndarray:
        """The pixels of an encoder's canvas that reach a threshold.

        Parameters
        ----------
        canvas
            Of the encoder.
        threshold
            Least alpha.

        Returns
        -------
        np.ndarray
            (rows, columns) of the canvas, bool; a mask of the screen alone says no to what is around it.

        Raises
        ------
        MaskError
            No pixel of the screen reaches the threshold, or the mask is of another screen.
        """
        if not self.binary(threshold).any():
            raise MaskError(
                f"{self._name}: no pixel reaches alpha {threshold:g}; "
                f"the largest is {self.screen.max():.3g}: choose a lower threshold or another mask"
            )
        screen = self.for_screen(canvas.screen_rows, canvas.screen_columns).screen
        if (canvas.rows, canvas.columns) == self.alpha.shape:
            return self.alpha >= threshold
        return canvas.embed(screen, OFF_SCREEN) >= threshold

    def _shown_on(self, screen: ScreenGeometry | None) -> ScreenGeometry:
        rows, columns = self.screen.shape
        return screen or dataclasses.replace(USUAL_SCREEN, rows=rows, cols=columns)

    def diameter_deg(self, threshold: float, screen: ScreenGeometry | None = None) -> float:
        """Diameter of a disc of the same visual area (Bauer et al. 2026, Fig. 1-S2 C).

        Parameters
        ----------
        threshold
            Least alpha of the pixels that belong to it.
        screen
            Its size and distance; None: as in the public recordings, whatever its pixels.

        Returns
        -------
        float
            Degrees.
        """
        return self._shown_on(screen).mask_diameter_deg(self.binary(threshold))

    def extent_deg(self, threshold: float, screen: ScreenGeometry | None = None) -> tuple[float, float]:
        """Height and width, first to last pixel, as if it were centred (Bauer et al. 2026, Fig. 1-S3 E).

        Parameters
        ----------
        threshold
            Least alpha of the pixels that belong to it.
        screen
            Its size and distance; None: as in the public recordings, whatever its pixels.

        Returns
        -------
        tuple[float, float]
            Degrees.
        """
        return self._shown_on(screen).extent_deg(self.binary(threshold))

    def eccentricity_deg(self, threshold: float, screen: ScreenGeometry | None = None) -> float:
        """How far from straight ahead it reaches; the rings of Bauer et al. 2026, Fig. 1-S3, are drawn by this angle.

        Parameters
        ----------
        threshold
            Least alpha of the pixels that belong to it.
        screen
            Its size and distance; None: as in the public recordings, whatever its pixels.

        Returns
        -------
        float
            Degrees.
        """
        return self._shown_on(screen).mask_eccentricity_deg(self.binary(threshold))

    def transparent(self, video: np.ndarray, threshold: float, outside: float | np.ndarray = GREY_LEVEL) -> np.ndarray:
        """A movie with one grey level where alpha is below the threshold.

        Parameters
        ----------
        video
            (T, rows, columns), grey levels 0..255.
        threshold
            Least alpha of the pixels that are kept.
        outside
            Grey level of the others, 0..255; one, or (rows, 1).

        Returns
        -------
        np.ndarray
            (T, rows, columns) float32.
        """
        return np.where(self.binary(threshold), video, np.asarray(outside, np.float32)).astype(np.float32)


FEWEST_PIXELS = 25
"""A correlation over fewer says little: pixels of natural movies hardly differ from their neighbours."""
LARGEST_SCREEN_SHARE = 0.9
MOST_APART = 0.1
"""Share of the pixels that may lie outside the largest piece."""
LARGEST_HOLES = 0.05
SMALLEST_CORE = 0.1
"""Of the training mask, that the evaluation mask should cover."""
FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True)
class MaskShape:
    """What the pixels of a mask that reach a threshold look like.

    Parameters
    ----------
    pixels
        How many there are.
    pieces
        Connected parts, by edges.
    apart
        Pixels outside the largest piece.
    hole_pixels
        Pixels below the threshold that are enclosed.
    screen_share
        0..1, of the screen's pixels.
    """

    pixels: int
    pieces: int
    apart: int
    hole_pixels: int
    screen_share: float

    @classmethod
    def of(cls, inside: np.ndarray, colours: int = 1) -> MaskShape:
        """Of (rows, columns) booleans; where colours stand one below the other, each may have one piece."""
        pieces, largest, filled = 1, 0, 0
        for part in np.split(inside, colours):
            labels, found = ndimage.label(part, FOUR_NEIGHBOURS)
            pieces += max(found - 1, 0)
            largest += int(np.bincount(labels.ravel())[1:].max(initial=0))
            filled += int(ndimage.binary_fill_holes(part).sum())
        pixels = int(inside.sum())
        return cls(pixels, pieces if pixels else 0, pixels - largest, filled - pixels, pixels / inside.size)

    @property
    def faults(self) -> list[str]:
        """What makes it a poor place to measure in, in words; empty if nothing."""
        return [fault for fault, _ in self._faults]

    @property
    def faults_in_short(self) -> list[str]:
        """The same in a word or two each."""
        return [short for _, short in self._faults]

    @property
    def _faults(self) -> list[tuple[str, str]]:
        if not self.pixels:
            return [("no pixel at all", "no pixel")]
        found = []
        if self.pixels < FEWEST_PIXELS:
            number = number_of(self.pixels, "pixel")
            found.append((f"{number}, of which a correlation says little", number))
        if self.screen_share > LARGEST_SCREEN_SHARE:
            share = f"{100 * self.screen_share:.0f} % of the screen"
            found.append((f"{share}, which is no receptive field of a population", share))
        if self.apart > MOST_APART * self.pixels:
            found.append((f"{self.pieces} pieces",) * 2)
        if self.hole_pixels > LARGEST_HOLES * self.pixels:
            found.append((f"holes of {self.hole_pixels} pixels", "holes"))
        return found


def file_faults(path: Path | str) -> list[str]:
    """What is wrong with the pixels that the mask in a file lets through to be reconstructed.

    Returns
    -------
    list[str]
        A file does not say in how many colours it is: what is wrong in any number of them. Empty if nothing.

    Raises
    ------
    MaskError
        It is no mask.
    """
    mask = AlphaMask.load(path)
    inside = mask.binary(TRAINING_THRESHOLD)
    if not inside.any():
        return [f"no pixel reaches alpha {TRAINING_THRESHOLD:g}, the largest is {mask.screen.max():.3g}; fit it anew"]
    if inside.all():
        return []
    planes = (planes for planes in range(1, MOST_COLOURS + 1) if len(inside) % planes == 0)
    found = min((MaskShape.of(inside, each).faults for each in planes), key=len)
    told = f"alpha >= {TRAINING_THRESHOLD:g}: {', '.join(found)}; choose a mask, or fit this one anew"
    return [told] if found else []


def mask_faults(
    mask: AlphaMask,
    training_threshold: float = TRAINING_THRESHOLD,
    evaluation_threshold: float = EVALUATION_THRESHOLD,
    colours: int = 1,
    *,
    short: bool = False,
) -> list[str]:
    """What is wrong with a mask at both its thresholds, one line each that says what to do; empty if nothing.

    Parameters
    ----------
    mask
        A mask; one of the whole screen has no faults, because somebody chose it.
    training_threshold, evaluation_threshold
        Alpha of the pixels that are reconstructed and measured.
    colours
        How many stand one below the other; each may have a piece of its own.
    short
        Only what is wrong, in as few words as can be.

    Returns
    -------
    list[str]
        E.g. "evaluation mask (alpha >= 1): 3 pixels, ...; lower the evaluation threshold ...".
    """
    if mask.screen.min() >= max(training_threshold, evaluation_threshold):
        return []
    training = MaskShape.of(mask.binary(training_threshold), colours)
    evaluation = MaskShape.of(mask.binary(evaluation_threshold), colours)
    small = evaluation.pixels and training.pixels and evaluation.pixels < SMALLEST_CORE * training.pixels
    if short:
        words = evaluation.faults_in_short or (["less than a tenth of that"] if small else [])
        both = (("training", training.faults_in_short), ("evaluation", words))
        return [f"{name}: {', '.join(found)}" for name, found in both if found]
    told = []
    if training.faults:
        told.append(
            f"training mask (alpha >= {training_threshold:g}): {', '.join(training.faults)}; "
            "fit the mask anew with more steps, or with an encoder that predicts better"
        )
    faults = evaluation.faults or (["less than a tenth of the training mask"] if small else [])
    if faults:
        told.append(
            f"evaluation mask (alpha >= {evaluation_threshold:g}): {', '.join(faults)}; "
            "measure with a lower evaluation threshold, or fit the mask anew with more steps"
        )
    return told
