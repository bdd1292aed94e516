"""What is wrong with values from outside that a model refused, in one line instead of a list."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from napari_vidrecon.errors import one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
MISSING = ("missing", "missing_argument")
OUR_OWN = "value_error"
LONGEST_NAME = 80


def first_fault(error: ValidationError, what: str = "") -> str:
    """The first thing that a model found, e.g. "expected config.features to be at least 1, found -1".

    Parameters
    ----------
    error
        Of the model.
    what
        Name of what the values describe; it leads the name of each.

    Returns
    -------
    str
        One line.
    """
    first = error.errors(include_url=False)[0]
    name = one_line(".".join(str(part) for part in (what, *first["loc"]) if part != ""), LONGEST_NAME) or "description"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in UNKNOWN:
        return f"{name} is unknown to this version; was the file made by a newer one?"
    if first["type"] in MISSING:
        return f"expected {name}, found none of it"
    if first["type"] == OUR_OWN:
        return one_line(message if message.startswith("expected") else f"{name}: {message}")
    for before, after in (("Input should be ", "to be "), ("Input should ", "to "), ("", "to be fitting: ")):
        if message.startswith(before):
            message = after + message.removeprefix(before)
            break
    return one_line(f"expected {name} {message}, found {reprlib.repr(first['input'])}")
