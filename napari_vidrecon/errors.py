"""Errors a person can act on: one line that says which file, what was expected, what was found, what to do."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import unicodedata
from types import ModuleType
from typing import ClassVar

INDEX, TROUBLESHOOTING = "docs/index.md", "docs/how_to/troubleshooting.md"
LONGEST_DETAIL = 300
MOST_CHARACTERS_READ = 16
SYSTEM_REASONS = {
    errno.ENOSPC: "the disk is full; make room or choose another",
    errno.EDQUOT: "the disk quota is used up; make room or choose another",
    errno.ENAMETOOLONG: "the name is longer than the system takes; choose a shorter one",
    errno.EMFILE: "too many files are open; close other programs, or raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open; close other programs",
    errno.EFBIG: "the disk, or a limit of this account, does not take a file of this size",
}
"""What the system refused, where that is the fault of no program; what to do is said with it."""


class VidreconError(Exception):
    """Base of every error that is the input's fault, not the program's; the command line exits with 2.

    Attributes
    ----------
    section
        Of docs/how_to/troubleshooting.md, where more about its kind stands.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> try:
    ...     vr.open_session("nowhere")
    ... except vr.VidreconError as error:
    ...     print(type(error).__name__)
    SessionError
    """

    section: ClassVar[str] = ""


class SessionError(VidreconError):
    """A session folder, or one of its trials, is not what the format says."""

    section = "a-session"


class EncoderError(VidreconError):
    """An encoder file cannot be read, or does not fit the session it is used with."""

    section = "an-encoder"


class MaskError(VidreconError):
    """A transparency mask cannot be read, has the wrong size, or selects no pixel."""

    section = "a-mask"


class ConfigError(VidreconError):
    """A setting has a value that cannot be used."""

    section = "a-setting"


class RunError(VidreconError):
    """A saved reconstruction cannot be read, written or resumed."""

    section = "a-file-or-a-run"


class StorageError(VidreconError):
    """A file cannot be read or written: missing, damaged, unsafe, or no room on the disk."""

    section = "a-file-or-a-run"


def one_line(text: object, longest: int = LONGEST_DETAIL) -> str:
    """A text from outside as one line that a terminal only shows: no line breaks, no control characters.

    Parameters
    ----------
    text
        What to show; an exception without words shows its type.
    longest
        Characters kept; what is cut shows as "...".

    Returns
    -------
    str
        At most `longest` characters.
    """
    # A text of many megabytes is cut before it is looked at, sign by sign.
    words = str(text)[: MOST_CHARACTERS_READ * longest] or type(text).__name__
    shown = "".join(" " if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") else each for each in words)
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


def number_of(count: int, noun: str, plural: str = "") -> str:
    """A number of things in words: "1 clip", "3 clips".

    Parameters
    ----------
    count
        How many.
    noun
        One of them.
    plural
        Several of them, where that is not the noun with an s.

    Returns
    -------
    str
        Number and noun.
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def page(name: str) -> str:
    """Where a page of the documentation can be read from here: its address, if a release has put it into the package.

    Parameters
    ----------
    name
        In a checkout, e.g. "docs/index.md".

    Returns
    -------
    str
        An address, or the name as it is.
    """
    try:
        known = importlib.metadata.metadata("napari-vidrecon").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        known = []
    label = "Documentation, "
    index = next((each.removeprefix(label) for each in known if each.startswith(label)), INDEX)
    return index.removesuffix(INDEX) + name


def optional_module(name: str, extra: str, purpose: str, error: type[VidreconError] = ConfigError) -> ModuleType:
    """A library that only some need, imported.

    Parameters
    ----------
    name
        To import.
    extra
        Of this package that installs it.
    purpose
        What needs it.
    error
        The kind of error to raise.

    Returns
    -------
    ModuleType
        The library.

    Raises
    ------
    VidreconError
        Of the kind asked for: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise error(f"{purpose}: expected {package}, found none; pip install 'napari-vidrecon[{extra}]'") from None
