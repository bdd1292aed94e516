"""Whether a mask can be measured in: how large it is, in how many pieces, with how many holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask

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
    def of(cls, inside: np.ndarray) -> MaskShape:
        """Of (rows, columns) booleans."""
        labels, pieces = ndimage.label(inside, FOUR_NEIGHBOURS)
        sizes = np.bincount(labels.ravel())[1:]
        pixels = int(inside.sum())
        holes = int(ndimage.binary_fill_holes(inside).sum()) - pixels
        return cls(pixels, pieces, pixels - int(sizes.max(initial=0)), holes, pixels / inside.size)

    @property
    def faults(self) -> list[str]:
        """What makes it a poor place to measure in, in words; empty if nothing."""
        if not self.pixels:
            return ["no pixel at all"]
        found = []
        if self.pixels < FEWEST_PIXELS:
            found.append(f"{self.pixels} pixel{'s' if self.pixels > 1 else ''}, of which a correlation says little")
        if self.screen_share > LARGEST_SCREEN_SHARE:
            found.append(f"{100 * self.screen_share:.0f} % of the screen, which is no receptive field of a population")
        if self.apart > MOST_APART * self.pixels:
            found.append(f"{self.pieces} pieces")
        if self.hole_pixels > LARGEST_HOLES * self.pixels:
            found.append(f"holes of {self.hole_pixels} pixels")
        return found


def mask_faults(
    mask: AlphaMask,
    training_threshold: float = TRAINING_THRESHOLD,
    evaluation_threshold: float = EVALUATION_THRESHOLD,
) -> list[str]:
    """What is wrong with a mask at both its thresholds, one line each that says what to do; empty if nothing.

    Parameters
    ----------
    mask
        A mask; one of the whole screen has no faults, because somebody chose it.
    training_threshold, evaluation_threshold
        Alpha of the pixels that are reconstructed and measured.

    Returns
    -------
    list[str]
        E.g. "evaluation mask (alpha >= 1): 3 pixels, ...; lower the evaluation threshold ...".
    """
    if mask.screen.min() >= max(training_threshold, evaluation_threshold):
        return []
    training = MaskShape.of(mask.binary(training_threshold))
    evaluation = MaskShape.of(mask.binary(evaluation_threshold))
    told = []
    if training.faults:
        told.append(
            f"training mask (alpha >= {training_threshold:g}): {', '.join(training.faults)}; "
            "fit the mask anew with more steps, or with an encoder that predicts better"
        )
    small = evaluation.pixels and training.pixels and evaluation.pixels < SMALLEST_CORE * training.pixels
    faults = evaluation.faults or (["less than a tenth of the training mask"] if small else [])
    if faults:
        told.append(
            f"evaluation mask (alpha >= {evaluation_threshold:g}): {', '.join(faults)}; "
            "measure with a lower evaluation threshold, or fit the mask anew with more steps"
        )
    return told
