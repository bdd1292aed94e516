"""The three streams of the process, whatever they were given as: closed, full, of another encoding, read by nobody."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import IO, Any

from napari_vidrecon.errors import one_line

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
