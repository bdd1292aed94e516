"""What a command answers, for people or machines, over streams that may be closed, full or read by nobody."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from napari_vidrecon.errors import one_line

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session


STANDARD = ("stdin", "stdout", "stderr")
LONGEST_LINE = 3000


def open_closed_streams() -> None:
    """Give closed streams to the null device, and let no character end a run.

    Where one is closed, the next file that is opened takes its number, and what somebody prints lands in it.
    """
    for number, name in enumerate(STANDARD):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                # The lowest free number is taken, which is this one; programs started from here inherit it.
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            _give_to_nobody(name)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a degree sign must not end a run.
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")


def settle_streams() -> OSError | None:
    """Write what is left; what cannot be written is thrown away, so that Python says nothing of it at its end.

    Returns
    -------
    OSError | None
        Why the answer on stdout could not be written.
    """
    _settle("stderr")
    return _settle("stdout")


def tell(line: str, longest: int = LONGEST_LINE) -> None:
    """Print one line on stderr, if there is anybody to read it.

    Parameters
    ----------
    line
        What to say; control characters in it become spaces.
    longest
        Characters kept.
    """
    try:
        print(one_line(line, longest), file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        _settle("stderr")


def nobody_reads_stdout() -> bool:
    """Whether the other end of stdout is gone, as after `| head`."""
    if not hasattr(select, "poll"):
        return True
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _settle(name: str) -> OSError | None:
    stream = getattr(sys, name)
    try:
        if stream is None:
            _give_to_nobody(name)
        else:
            stream.flush()
    except ValueError:
        _give_to_nobody(name)
    except OSError as error:
        _discard(name, stream)
        return error
    return None


def _discard(name: str, stream: IO[Any]) -> None:
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
    except (OSError, ValueError):
        _give_to_nobody(name)


def _give_to_nobody(name: str) -> None:
    with contextlib.suppress(OSError):
        stream = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115, PTH123
        setattr(sys, name, stream)


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
