"""Tables as text, as a source of any array: columns by their names, numbers, words, and dates as seconds."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.storage import read_text

LARGEST_TABLE_BYTES = 400_000_000
LONGEST_LIST = 300
NAMED = re.compile(r"(.+\.(?:csv|tsv|txt))(?::([^/]+))?", re.IGNORECASE)
TRACKING_ROWS = ("scorer", "individuals", "bodyparts", "coords")
"""What the rows of names begin with that DeepLabCut writes."""
UNLIKELY = 0.6
"""DeepLabCut's own limit: a point that is less likely is not taken for one."""
NOTHING = {"", "nan", "none", "na", "n/a", "null", "nat", "--", "."}
"""How tables say that there is no value; "." is EyeLink's word."""
DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?")


def split_table(name: str) -> tuple[str, str] | None:
    """File and columns of "file.csv:column"; these are empty where none is named, None for another file."""
    found = NAMED.fullmatch(name)
    return None if found is None else (found[1], found[2] or "")


class TextTable:
    """A table in a text file, with or without a line of names; DeepLabCut's lines of names are put together.

    Parameters
    ----------
    path
        The file: columns separated by commas, semicolons or tabs.

    Attributes
    ----------
    names
        Of the columns; empty where the file has none.
    rows
        The cells, without the names and without empty lines.

    Raises
    ------
    StorageError
        Missing, too large, or no text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = read_text(path, most=LARGEST_TABLE_BYTES, expected="a table")
        lines = (line for line in io.StringIO(text, newline=None) if line.strip())
        first = next(lines, "")
        mark = next((each for each in (";", "\t", ",") if each in first), ",")
        decimal_comma = mark != ","
        try:
            every = list(csv.reader([first, *lines], delimiter=mark))
        except csv.Error as error:
            raise StorageError(f"{path}: expected a table, found text that is none ({one_line(error)})") from None
        self.rows = [
            [cell.strip().replace(",", ".") if decimal_comma else cell.strip() for cell in row] for row in every
        ]
        self.names: list[str] = []
        if self.rows and self.rows[0][0] in TRACKING_ROWS:
            head = [self.rows.pop(0) for _ in range(len(TRACKING_ROWS)) if self.rows[0][0] in TRACKING_ROWS]
            self.names = [".".join(parts) for parts in zip(*head, strict=False)]
            self.names[0] = ""
        elif self.rows and not any(_is_number(cell) or DATE.fullmatch(cell) for cell in self.rows[0]):
            self.names = self.rows.pop(0)

    def array(self, columns: str = "") -> np.ndarray:
        """Some columns, or all that hold anything.

        Parameters
        ----------
        columns
            Names, separated by commas; the end of a name after a point is enough.

        Returns
        -------
        np.ndarray
            (rows,) of one column, else (rows, columns); numbers, dates as seconds since 1970 in UTC, or words. What
            is missing, and what DeepLabCut holds for unlikely, is NaN.

        Raises
        ------
        SessionError
            No such column, no rows, or rows of different lengths.
        """
        if not self.rows:
            raise SessionError(f"{self.path}: expected a table, found no rows")
        if columns:
            places = [self._place(columns)] if self._found(columns) else list(map(self._place, columns.split(",")))
        else:
            places = [place for place in range(len(self.rows[0])) if not self._is_index(place)]
            if self.names and len(places) > 1 and not all(map(self._is_numeric, places)):
                raise self._unknown("the name of a column")
        found = [self._column(place) for place in places]
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def _found(self, name: str) -> list[int]:
        name = name.strip()
        exact = [place for place, each in enumerate(self.names) if each == name]
        return exact or [place for place, each in enumerate(self.names) if each.endswith(f".{name}")]

    def _place(self, name: str) -> int:
        found = self._found(name)
        if len(found) != 1:
            raise self._unknown(f"one column {one_line(name.strip(), 100)}")
        return found[0]

    def _unknown(self, wanted: str) -> SessionError:
        known = one_line(", ".join(filter(None, self.names)) or "no line of names", LONGEST_LIST)
        return SessionError(
            f'{self.path}: expected {wanted}, found {known}; name it as "{self.path.name}:COLUMN" in recording.toml'
        )

    def _is_index(self, place: int) -> bool:
        """Whether a column without a name only counts the rows, as pandas and DeepLabCut write it."""
        if not self.names or self.names[place]:
            return False
        cells = [row[place] for row in self.rows if place < len(row)]
        return not any(cells) or cells == [str(number) for number in range(len(cells))]

    def _is_numeric(self, place: int) -> bool:
        return all(_is_number(row[place]) or row[place].lower() in NOTHING for row in self.rows if place < len(row))

    def _column(self, place: int) -> np.ndarray:
        lengths = {len(row) for row in self.rows if len(row) <= place}
        if lengths:
            raise SessionError(
                f"{self.path}: expected {place + 1} columns in every row, found a row of {min(lengths)}; is it cut off?"
            )
        cells = [row[place] for row in self.rows]
        said = [cell for cell in cells if cell.lower() not in NOTHING]
        if all(map(_is_number, said)):
            values = np.array([float(cell) if cell.lower() not in NOTHING else np.nan for cell in cells])
            return self._likely(place, values)
        if said and all(map(DATE.fullmatch, said)):
            return self._seconds(cells)
        return np.array(cells)

    def _seconds(self, cells: list[str]) -> np.ndarray:
        dates = [None if cell.lower() in NOTHING else datetime.fromisoformat(cell.replace(",", ".")) for cell in cells]
        if any(date is not None and date.tzinfo is None for date in dates):
            raise SessionError(
                f"{self.path}: expected dates with their time zone, such as 2026-11-29T10:00:00.000+01:00, found "
                f"{next(cell for cell in cells if cell.lower() not in NOTHING)}; add it, or give seconds"
            )
        return np.array([np.nan if date is None else date.timestamp() for date in dates])

    def _likely(self, place: int, values: np.ndarray) -> np.ndarray:
        """Places of a point that was tracked, NaN where the table says that it may be elsewhere."""
        if self.names and self.names[place].endswith((".x", ".y")):
            beside = f"{self.names[place][:-2]}.likelihood"
            if beside in self.names:
                values[~(self._column(self.names.index(beside)) >= UNLIKELY)] = np.nan
        return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
