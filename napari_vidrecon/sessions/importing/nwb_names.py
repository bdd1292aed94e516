"""Telling the series of an NWB file apart: by their names, or by what the person says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_vidrecon.errors import SessionError

DECONVOLVED = r"deconv|spike|event"
RUNNING = r"run|speed|velocity|treadmill|wheel"
SIZE = r"pupil.*(size|area|diam|dilat|radius)|(size|area|diam|dilat|radius).*pupil"
CENTRE = r"(pupil|eye).*(cent|pos|loc|gaze)|gaze"


def path_of(series: Any) -> str:
    """Names of a series and of everything that holds it, below the file, separated by slashes."""
    names, each = [], series
    while each.parent is not None:
        names.append(each.name)
        each = each.parent
    return "/".join(reversed(names))


def matches(pattern: str, series: Any) -> bool:
    """Whether a series, or what holds it, is called like this."""
    return re.search(pattern, path_of(series), re.IGNORECASE) is not None


def named(found: Sequence[Any], name: str) -> list[Any]:
    """Those of this name, or whose path ends so."""
    return [each for each in found if each.name == name or f"/{path_of(each)}".endswith(f"/{name}")]


def the_one(file: Path, about: str, likely: Sequence[Any], name: str, possible: Sequence[Any]) -> Any:
    """The series for a use: the one that is asked for, or the only likely one; None if none is.

    Parameters
    ----------
    file
        For messages.
    about
        The use.
    likely
        Series whose names fit.
    name
        What the person asks for, or empty.
    possible
        Series that could be asked for.

    Returns
    -------
    Any
        Of the open file.

    Raises
    ------
    SessionError
        Nothing of that name, or several are as likely.
    """
    chosen = named(possible, name) if name else list(likely)
    if len(chosen) == 1 or (not chosen and not name):
        return chosen[0] if chosen else None
    option = f"--{about.replace(' ', '-').replace('centre', 'center')}"
    listed = ", ".join(path_of(each) for each in (chosen or possible)) or "no series that could be it"
    wanted = f"one series {name!r}" if name else "one series"
    raise SessionError(f"{file}: expected {wanted} for {about}, found {listed}; name one with {option}")
