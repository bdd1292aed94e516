"""Tables as text, as a source of any array: columns by their names, numbers, words, and dates as seconds."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError, one_line
from napari_vidrecon.storage import read_text

LARGEST_TABLE_BYTES = 400_000_000
LARGEST_ROOM_BYTES, ROW_BYTES, CELL_BYTES = 900_000_000, 96, 64
"""What the cells of a table may take in memory, and what each row and each cell takes beside its letters."""
LARGEST_WORDS = 50_000_000
"""Letters of a column of words, each of which takes as much room as the longest."""
LONGEST_LIST = 300
NAMED = re.compile(r"(.+?\.(?:csv|tsv|txt))(?::(.+))?", re.IGNORECASE)
"""Names of columns may hold what names of files may not, as "speed (cm/s)"."""
WINDOWS_LETTERS = "cp1252"
"""How programs in western Europe and America write text that is not UTF-8."""
TRACKING_ROWS = ("scorer", "individuals", "bodyparts", "coords")
"""What the rows of names begin with that DeepLabCut writes."""
UNLIKELY = 0.6
"""DeepLabCut's own limit: a point that is less likely is not taken for one."""
LINE = re.compile(r"[^\r\n]+(?:\r\n|\r|\n|$)")
NOTHING = {"", "nan", "none", "na", "n/a", "null", "nat", "--", "."}
"""How tables say that there is no value; "." is EyeLink's word."""
COMMENT_MARKS = "#%"
BLANKS = " "
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
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
        text = read_text(path, most=LARGEST_TABLE_BYTES, expected="a table", otherwise=WINDOWS_LETTERS)
        lines = _lines(text)
        first, told = _after_comments(lines)
        top = [first, *itertools.islice(lines, 1)]
        mark = _mark_between(top)
        lines = itertools.chain(top, lines)
        ends = text.count("\n") + text.count("\r") + 1
        spaces = text.count(" ") if mark == BLANKS else 0
        needed = len(text) + ROW_BYTES * ends + CELL_BYTES * (ends + text.count(mark) + spaces)
        if needed > LARGEST_ROOM_BYTES:
            raise StorageError(
                f"{path}: expected a table that takes at most {LARGEST_ROOM_BYTES:,} bytes of memory, found one of "
                f"{needed:,}; save its columns as .npy"
            )
        decimal_comma = mark != ","
        if mark == BLANKS:
            lines, mark = ("\t".join(line.split()) for line in lines), "\t"
        try:
            self.rows = [
                # Lists in their millions would keep the collector of garbage busy.
                tuple([cell.strip().replace(",", ".") if decimal_comma else cell.strip() for cell in row])
                for row in csv.reader(lines, delimiter=mark)
                if row
            ]
        except csv.Error as error:
            raise StorageError(f"{path}: expected a table, found text that is none ({one_line(error)})") from None
        if len(self.rows) > 1 and len(self.rows[0]) == 1:
            self.rows = _with_decimal_commas(self.rows)
        self.names: list[str] = []
        if self.rows and self.rows[0][0] in TRACKING_ROWS:
            count = next((place for place, row in enumerate(self.rows) if row[0] not in TRACKING_ROWS), len(self.rows))
            count = min(count, len(TRACKING_ROWS))
            head, self.rows = self.rows[:count], self.rows[count:]
            self.names = [".".join(parts) for parts in zip(*head, strict=False)]
            self.names[0] = ""
        elif self.rows and not any(_is_number(cell) or DATE.fullmatch(cell) for cell in self.rows[0]):
            self.names = list(self.rows.pop(0))
        elif self.rows and told:
            # numpy writes names as a comment.
            names = next(csv.reader([told], delimiter=mark)) if mark in told else told.split()
            whole = len(self.rows[0]) == 1
            if whole or len(names) == len(self.rows[0]):
                self.names = [told] if whole else [name.strip() for name in names]

    @property
    def columns(self) -> str:
        """Its columns for people: their names, or how many there are."""
        named = [name for name in self.names if name]
        return (
            f"columns {', '.join(named)}" if named else f"{max(map(len, self.rows), default=0)} columns without names"
        )

    def array(self, columns: str = "") -> np.ndarray:
        """Some columns, or all that hold anything.

        Parameters
        ----------
        columns
            Names, separated by commas; the end of a name after a point is enough. Numbers from 1 where the file has
            no line of names.

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
            self.require_names()
            places = [self._place(columns)] if self._found(columns) else list(map(self._place, columns.split(",")))
            if len(set(places)) < len(places):
                raise self._unknown("each column once")
        else:
            places = [place for place in range(len(self.rows[0])) if not self._is_index(place)]
            if len(places) > 1 and not all(map(self._is_numeric, places)):
                raise self._unknown("the name of a column" if self.names else "the number of a column")
        found = [self._column(place) for place in places]
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def require_names(self) -> None:
        """Refuse rows of more cells than there are names: which cell is whose cannot be told; raises `SessionError`."""
        if self.names and self.rows and all(any(row[len(self.names) :]) for row in self.rows):
            raise SessionError(
                f"{self.path}: expected a name for each column, found {len(self.names)} names above rows of "
                f"{len(self.rows[0])} cells; if its numbers have decimal commas, part the columns by ; or save it with "
                "points, and if the first cells count the rows, name them, too"
            )

    def _found(self, name: str) -> list[int]:
        name = name.strip().lstrip(COMMENT_MARKS).strip()
        if not self.names and self.rows and name.isdecimal():
            return [int(name) - 1] if 1 <= int(name) <= len(self.rows[0]) else []
        exact = [place for place, each in enumerate(self.names) if each == name]
        return exact or [place for place, each in enumerate(self.names) if each.endswith(f".{name}")]

    def _place(self, name: str) -> int:
        found = self._found(name)
        if len(found) != 1:
            raise self._unknown(f"one column {one_line(name.strip(), 100)}")
        return found[0]

    def _unknown(self, wanted: str) -> SessionError:
        count = max(map(len, self.rows), default=0)
        known = one_line(", ".join(filter(None, self.names)) or f"{count} columns without names", LONGEST_LIST)
        column, how = ("COLUMN", "") if self.names else (str(count), ", by its number from 1,")
        return SessionError(
            f'{self.path}: expected {wanted}, found {known}; name it{how} as "{self.path.name}:{column}" '
            "in recording.toml"
        )

    def _is_index(self, place: int) -> bool:
        """Whether a column without a name only counts the rows, as pandas and DeepLabCut write it."""
        if place >= len(self.names) or self.names[place]:
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
            return seconds_of_dates(cells, str(self.path))
        if max(map(len, cells)) * len(cells) > LARGEST_WORDS:
            raise SessionError(f"{self.path}: expected numbers or short words, found long texts in column {place + 1}")
        return np.array(cells)

    def _likely(self, place: int, values: np.ndarray) -> np.ndarray:
        """Places of a point that was tracked, NaN where the table says that it may be elsewhere."""
        if place < len(self.names) and self.names[place].endswith((".x", ".y")):
            beside = f"{self.names[place][:-2]}.likelihood"
            if beside in self.names:
                likely = self._column(self.names.index(beside))
                if likely.dtype.kind != "f":
                    raise SessionError(f"{self.path}: expected numbers in {one_line(beside, 100)}, found words")
                values[~(likely >= UNLIKELY)] = np.nan
        return values


def seconds_of_dates(cells: Sequence[str], source: str) -> np.ndarray:
    """Dates with their time zone as seconds since 1970 in UTC; NaN where there is none.

    Parameters
    ----------
    cells
        As `DATE` says, or one of `NOTHING`.
    source
        Where they stand, for messages.

    Returns
    -------
    np.ndarray
        (cells,) s.

    Raises
    ------
    SessionError
        A date that is none, or without a time zone.
    """
    dates = [None if cell.lower() in NOTHING else _date(cell, source) for cell in cells]
    if any(date is not None and date.tzinfo is None for date in dates):
        raise SessionError(
            f"{source}: expected dates with their time zone, such as 2026-11-29T10:00:00.000+01:00, found "
            f"{next(cell for cell in cells if cell.lower() not in NOTHING)}; add it, or give seconds"
        )
    return np.array([np.nan if date is None else date.timestamp() for date in dates])


def _date(cell: str, source: str) -> datetime:
    try:
        day, clock = cell[:10], "".join(cell[11:].split())
        return datetime.fromisoformat(f"{day}T{clock}".replace(",", "."))
    except ValueError:
        raise SessionError(
            f"{source}: expected dates such as 2026-11-29T10:00:00.000+01:00, found {one_line(cell, 60)}"
        ) from None


def _after_comments(lines: Iterator[str]) -> tuple[str, str]:
    """The first line that is no comment, and the last comment before it."""
    told = ""
    for line in lines:
        bare = line.strip().lstrip(COMMENT_MARKS)
        if bare == line.strip():
            return line, told
        told = bare.strip() or told
    return "", told


def _mark_between(top: Sequence[str]) -> str:
    """What separates the cells of a table, told by its first two lines."""
    first, second = (line.strip() for line in (*top, "")[:2])
    mark = next((each for each in (";", "\t", ",") if each in first), None)
    if mark is not None:
        return mark
    cells = first.split()
    numbers = second.replace(",", ".").split() if second else cells
    if len(cells) == len(numbers) > 1 and any(map(_is_number, numbers)):
        return BLANKS
    return ","


def _with_decimal_commas(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows below one name, or one whole number, as 12,5: a single column, not a second one without a name."""
    if all(len(row) == 1 or DECIMAL_COMMA.fullmatch(",".join(row)) for row in rows[1:]):
        return [(".".join(row),) for row in rows]
    return rows


def _lines(text: str) -> Iterator[str]:
    """Lines that hold anything, whatever ends them; one by one, because all at once take many times the room."""
    for match in LINE.finditer(text):
        if not match[0].isspace():
            yield match[0]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
