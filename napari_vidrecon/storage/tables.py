"""Tables as CSV that a spreadsheet can open without running anything in them."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_vidrecon.storage.writing import replacing_file

FORMULA_STARTS = ("=", "+", "-", "@")


def safe_cell(value: Any) -> Any:
    """A value as a cell that a spreadsheet shows and never runs.

    Parameters
    ----------
    value
        Numbers stay; a text that starts as a formula does gets an apostrophe before it, control characters go.
    """
    if not isinstance(value, str):
        return value
    shown = "".join(" " if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") else each for each in value)
    return "'" + shown if shown.lstrip().startswith(FORMULA_STARTS) else shown


def write_csv(path: Path | str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table under a temporary name, then move it into place.

    Parameters
    ----------
    path
        The `.csv` file.
    header
        Names of the columns.
    rows
        One sequence of values a row.
    """
    with replacing_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([safe_cell(name) for name in header])
        writer.writerows([safe_cell(value) for value in row] for row in rows)
