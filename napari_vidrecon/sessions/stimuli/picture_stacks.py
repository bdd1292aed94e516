"""Frames of files that hold pictures: GIF and still pictures by pillow, stacks in TIFF by tifffile."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.stimuli.films import LARGEST_PICTURE_PX
from napari_vidrecon.storage import check_regular, open_regular

TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_MAGICS = (b"GIF87a", b"GIF89a", b"\x89PNG", b"\xff\xd8\xff", b"BM")
PICTURES = ("GIF", "PNG", "JPEG", "BMP")
AS_THEY_ARE = ("L", "I", "F", "I;16", "I;16B", "I;16L")
"""Pillow's names for pictures without colour; of all others the colours are taken."""
MOST_COLOURS = 4


def require_picture(path: Path, width: int, height: int) -> None:
    """Refuse a picture that is larger than any screen.

    Parameters
    ----------
    path
        Its file, for the message.
    width, height
        Pixels.

    Raises
    ------
    StorageError
        It is, or it is empty.
    """
    if not 0 < width * height <= LARGEST_PICTURE_PX:
        raise StorageError(
            f"{path}: expected pictures of 1 to {LARGEST_PICTURE_PX:,} pixels, found {height} x {width}; "
            "make them smaller"
        )


def picture_frames(path: Path) -> Generator[np.ndarray, None, None]:
    """Frames of a GIF, or the one of a still picture: (height, width), or (height, width, 3) uint8."""
    from PIL import Image

    with open_regular(path, "a movie") as file, Image.open(file, formats=PICTURES) as image:
        number = 0
        while True:
            require_picture(path, *image.size)
            yield np.asarray(image if image.mode in AS_THEY_ARE else image.convert("RGB"))
            number += 1
            try:
                image.seek(number)
            except EOFError:
                return


def tiff_frames(path: Path) -> Generator[np.ndarray, None, None]:
    """Pages of a TIFF file: (height, width), or (height, width, colours)."""
    import tifffile

    check_regular(path, "a movie")
    with _quiet("tifffile"), tifffile.TiffFile(path) as opened:
        for page in opened.pages:
            shape = tuple(int(length) for length in page.shape)
            rows, columns = shape[1:3] if page.axes == "SYX" else (*shape, 0, 0)[:2]
            require_picture(path, columns, rows)
            if len(shape) > 3 or math.prod(shape) > MOST_COLOURS * LARGEST_PICTURE_PX:
                raise StorageError(f"{path}: expected pictures, found a page of shape {shape}")
            pixels = page.asarray()
            yield np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


@contextlib.contextmanager
def _quiet(library: str) -> Iterator[None]:
    """What it logs of a damaged file is for programmers; a person gets one line."""
    logger = logging.getLogger(library)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
