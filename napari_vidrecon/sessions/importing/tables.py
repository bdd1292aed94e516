"""Tables of positions: text or arrays, in any order of their columns, with a row a neuron or a row a region."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, one_line
from napari_vidrecon.sessions.importing.array_folder import recorded_file, recorded_numbers
from napari_vidrecon.sessions.importing.text_tables import TextTable
from napari_vidrecon.storage import read_text

LARGEST_TABLE_BYTES = 8_000_000
TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
COLUMN = re.compile(
    r"(?:pos(?:ition)?|coord(?:inate)?s?|cent(?:er|re|roid))?[ _.-]*([xyz])"
    r"(?:[ _.(\[-]*(um|µm|μm|microns?|micromet(?:er|re)s?|mm|px|pix(?:el)?s?)[)\]]*)?"
)
"""What columns of positions are called, and their unit."""


def recorded_text(folder: Path, name: str) -> str:
    """A text file of a recording, with any ends of lines.

    Returns
    -------
    str
        Lines that end in a line feed.

    Raises
    ------
    StorageError
        Missing, outside the folder, too large, or no text.
    """
    text = read_text(recorded_file(folder, name), most=LARGEST_TABLE_BYTES, expected="a table")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def positions_table(folder: Path, name: str) -> np.ndarray:
    """Positions as they are written down.

    Parameters
    ----------
    folder
        The folder of the recording.
    name
        An array file, or a table as text: columns named x, y and z in any order, or in this order without names.

    Returns
    -------
    np.ndarray
        (rows, columns), x first where columns are named.

    Raises
    ------
    SessionError
        No table of numbers.
    """
    file = folder / name
    if file.suffix.lower() not in TEXT_SUFFIXES:
        found = recorded_numbers(folder, name, "x, y and z of every neuron").astype(float)
        turned = found.ndim == 2 and found.shape[0] in (2, 3) and found.shape[1] not in (2, 3)
        return found.T if turned else found
    table = TextTable(recorded_file(folder, name))
    table.require_names()
    try:
        chosen = _columns(file, table.names) if table.names else _without_numbers(table.rows)
        return np.array([[float(row[place]) for place in chosen or range(len(row))] for row in table.rows])
    except (ValueError, IndexError) as error:
        raise SessionError(f"{file}: expected a table of numbers, x, y and z, found {one_line(error)}") from None


def _without_numbers(rows: Sequence[Sequence[str]]) -> list[int] | None:
    """Places of all columns but the first, where that only counts the rows; None for all."""
    first = [row[0] for row in rows]
    counts = any(first == [str(start + place) for place in range(len(rows))] for start in (0, 1))
    return list(range(1, len(rows[0]))) if counts and len(rows) > 2 and len(rows[0]) > 2 else None


def _columns(file: Path, header: list[str]) -> list[int] | None:
    """Places of x, y and, where it is there, z; None for three columns of other names."""
    found = {match[1]: (place, match[2] or "") for place, name in enumerate(header)
             if (match := COLUMN.fullmatch(name.lower()))}  # fmt: skip
    if any(unit == "mm" for _, unit in found.values()):
        raise SessionError(f"{file}: expected positions in µm, found columns in mm; say coordinate_scale_um = 1000 "
                           "and name the columns x, y, z")  # fmt: skip
    if {"x", "y"} <= found.keys():
        return [found[axis][0] for axis in "xyz" if axis in found]
    if found or len(header) not in (2, 3):
        raise SessionError(
            f"{file}: expected columns x, y and z, found {one_line(', '.join(header), 100)}; "
            "name them so in the first line"
        )
    return None


def fitting_rows(
    table: np.ndarray, neurons: int, chosen: np.ndarray | None, regions: int | None, file: Path
) -> np.ndarray:
    """Rows of the neurons, of a table with a row a neuron or a row a region.

    Parameters
    ----------
    table
        (rows, ...).
    neurons
        How many there are.
    chosen
        Places of the neurons among the regions; None where there are no others.
    regions
        How many regions there are.
    file
        For messages.

    Returns
    -------
    np.ndarray
        (neurons, ...).

    Raises
    ------
    SessionError
        Of another number of rows.
    """
    if len(table) == neurons:
        return table
    if chosen is not None and len(table) == regions:
        return table[chosen]
    wanted = f"each of {neurons} neurons" + ("" if chosen is None else f", or for each of {regions} regions")
    raise SessionError(
        f"{file}: expected a row for {wanted}, found {len(table)}; "
        "take the table of the same run, without a first line that is no position"
    )
