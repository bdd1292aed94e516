"""What a command answers: a small table for people, or one JSON object for machines."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.cli.streams import tell
from napari_vidrecon.errors import one_line

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session

MOST_NAMED = 20
UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Kinds of characters that a terminal obeys instead of showing them."""


def print_table(title: str, rows: Iterable[tuple[str, object]]) -> None:
    """Print a title and rows of a name and a value; lines are never wrapped, so that paths can be copied."""
    from rich.console import Console
    from rich.text import Text

    listed = [(_shown(name), _shown(value)) for name, value in rows]
    width = max((len(name) for name, _ in listed), default=0)
    console = Console(file=sys.stdout, highlight=False)
    console.print(Text(_shown(title), style="bold"), soft_wrap=True)
    for name, value in listed:
        console.print(Text.assemble("  ", (f"{name:<{width}}", "cyan"), "  ", value), soft_wrap=True)


def answer(json: bool, values: Mapping[str, Any], title: str, rows: Iterable[tuple[str, object]]) -> None:
    """Print the values as one JSON object for machines, or else a table with a title for people.

    Parameters
    ----------
    json
        For machines.
    values
        What they get.
    title
        Of the table.
    rows
        Name and value of each line.
    """
    if json:
        print_json(values)
    else:
        print_table(title, rows)


def in_words(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Rows of plain values, their names with spaces."""
    return ((name.replace("_", " "), value) for name, value in values.items())


def mouse_name(session: Session) -> str:
    """A session's name that says when its mouse is a simulation."""
    return f"simulated mouse {session.name}" if session.simulated else session.name


def tell_left(names: list[str], folder: str = "") -> None:
    """Say on stderr what of a folder that was replaced is a person's, and lies where it lay."""
    if names:
        named = [one_line(name) for name in names[:MOST_NAMED]]
        more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
        where = f" in {folder}" if folder else ""
        tell(f"vidrecon: left as they were{where}: {', '.join(named + more)}")


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object in ASCII, whatever the terminal's encoding; NaN becomes null, paths become text."""
    print(json.dumps(plain(values)))


def _shown(value: object) -> str:
    """Names from files come up here: nothing in them moves the cursor of a terminal, or starts a line of its own."""
    text = str(value)
    return "".join(" " if unicodedata.category(each) in UNSHOWN else each for each in text)


def plain(value: Any) -> Any:
    """The same as values JSON knows."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: float, digits: int = 3) -> str:
    """A number for people; "not defined" for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "not defined"
