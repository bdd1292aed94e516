"""Values as text that means just them: a Python literal, or one quoted word of a command line."""

from __future__ import annotations

import math
import shlex
import unicodedata
from pathlib import Path
from typing import Any

from napari_vidrecon.errors import RunError, one_line

UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Kinds of characters that a terminal obeys instead of showing them."""
PLAIN_IN_WINDOWS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/\\=+-")
OBEYED_IN_WINDOWS = frozenset('%$`!^"')
"""Characters that a terminal of Windows obeys between quotes, too."""
LONGEST_SHOWN = 60


def literal(value: Any) -> str:
    """A plain value as Python text that means just this value.

    Parameters
    ----------
    value
        None, a truth value, a finite number, a text, a path, or a list or tuple of them.

    Returns
    -------
    str
        Nothing that runs.

    Raises
    ------
    RunError
        Any other value: its `repr` might be code.
    """
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, (list, tuple)):
        parts = ", ".join(map(literal, value))
        return f"[{parts}]" if isinstance(value, list) else f"({parts}{',' * (len(value) == 1)})"
    plain = value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
    if not plain:
        raise RunError(f"script: expected a plain value, found {one_line(repr(value), LONGEST_SHOWN)}")
    return repr(value)


def shell_word(word: str) -> str:
    """One word for bash and zsh; what a terminal would obey when it is pasted is written as numbers."""
    if not any(unicodedata.category(each) in UNSHOWN for each in word):
        return shlex.quote(word)
    shown = range(ord(" "), ord("~") + 1)
    escaped = (
        chr(code) if code in shown and chr(code) not in "'\\" else f"\\x{code:02x}"
        for code in word.encode("utf-8", "surrogateescape")
    )
    return "$'" + "".join(escaped) + "'"


def windows_word(word: str) -> str:
    """One word for the terminals of Windows.

    Returns
    -------
    str
        Quoted where it must be.

    Raises
    ------
    RunError
        It holds a character that means something between quotes, too.
    """
    if OBEYED_IN_WINDOWS.intersection(word) or any(unicodedata.category(each) in UNSHOWN for each in word):
        raise RunError(
            f"copy as command: expected names that a terminal takes as they are, found "
            f"{one_line(repr(word), LONGEST_SHOWN)}; copy it as Python"
        )
    if word and PLAIN_IN_WINDOWS.issuperset(word):
        return word
    backslashes = len(word) - len(word.rstrip("\\"))
    return f'"{word}{chr(92) * backslashes}"'
