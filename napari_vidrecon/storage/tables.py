"""Tables as CSV that a spreadsheet can open without running anything in them."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import one_line, optional_module
from napari_vidrecon.storage.writing import replacing_files

FORMULA_STARTS = ("=", "+", "-", "@")


def safe_cell(value: Any) -> Any:
    """A value as a cell that a spreadsheet shows and never runs.

    Parameters
    ----------
    value
        Numbers stay; a text that starts as a formula does gets an apostrophe before it, control characters go.

    Returns
    -------
    Any
        Text that begins like a formula gets a quote before it.
    """
    if not isinstance(value, str):
        return value
    shown = "".join(" " if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") else each for each in value)
    return "'" + shown if shown.lstrip().startswith(FORMULA_STARTS) else shown


def write_tables(tables: Mapping[Path, Mapping[str, np.ndarray]]) -> None:
    """Write tables of numbers as CSV or Parquet; all of them or none.

    Parameters
    ----------
    tables
        File, ending in .csv or .parquet, to its columns: name to values, all of one length. NaN is an empty cell.

    Raises
    ------
    StorageError
        One of them cannot be written.
    ConfigError
        A Parquet file, and pyarrow is not installed.
    """
    with replacing_files(*tables) as files:
        for file, columns in zip(files, tables.values(), strict=True):
            (_write_parquet if file.suffix.lower() == ".parquet" else _write_csv)(file, columns)


def _write_csv(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([safe_cell(name) for name in columns])
        # A float prints so that it reads back as the same; NaN is the number that is not itself.
        writer.writerows(
            ["" if value != value else value for value in row]
            for row in zip(*(values.tolist() for values in columns.values()), strict=True)
        )


def _write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    pyarrow = optional_module("pyarrow", "studies", f"{one_line(path.name)} (or choose .csv)")
    parquet = optional_module("pyarrow.parquet", "studies", one_line(path.name))
    parquet.write_table(pyarrow.table(dict(columns)), path)
