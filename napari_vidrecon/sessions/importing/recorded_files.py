"""Files of a recording that somebody handed on: inside their folder, regular, and no larger than their bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.storage import check_inside, read_array

LONGEST_NAME = 1000


def recorded_file(folder: Path, name: str) -> Path:
    """The place of a file that a description names.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name, or its path in the folder.

    Returns
    -------
    Path
        Inside the folder.

    Raises
    ------
    StorageError
        It lies outside the folder, or the name is none.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or Path(name).is_absolute():
        raise StorageError(f"{folder}: expected the name of a file in it, found {one_line(repr(name), 100)}")
    place = folder / name
    check_inside(folder, place)
    return place


def recorded_array(folder: Path, name: str) -> np.ndarray:
    """An array file of a recording: numbers or text.

    Returns
    -------
    np.ndarray
        In memory.

    Raises
    ------
    StorageError
        Missing, outside the folder, damaged or unsafe.
    """
    return read_array(recorded_file(folder, name))


def recorded_numbers(folder: Path, name: str, expected: str = "numbers") -> np.ndarray:
    """An array file of real numbers.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        Its name.
    expected
        What they should be, for the message.

    Returns
    -------
    np.ndarray
        Of integers or floats.

    Raises
    ------
    StorageError
        Missing, outside the folder, damaged or unsafe.
    SessionError
        Not numbers.
    """
    values = recorded_array(folder, name)
    if values.dtype.kind not in "fiu":
        raise SessionError(f"{folder / name}: expected {expected}, found {values.dtype} of shape {values.shape}")
    return values
