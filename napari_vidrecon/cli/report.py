"""What a command answers, for people or machines, over streams that may be closed, full or read by nobody.

Of a long piece of work: how far it is, told on stderr, and stopping it between two steps.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Self

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


def say(text: str) -> None:
    """Print lines on stdout; in each, what a terminal would obey becomes a space."""
    for line in text.split("\n"):
        print(_shown(line), flush=True)


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


SECONDS_BETWEEN_LINES = 5.0
SECONDS_A_MINUTE, MINUTES_AN_HOUR = 60, 60


class Progress:
    """How far a long piece of work is.

    Parameters
    ----------
    label
        What is being done.
    total
        Steps in all.
    unit
        What a step is called, in the plural.
    done
        Steps done before, by an earlier process; they do not count for the rate.
    """

    def __init__(self, label: str, total: int, unit: str = "steps", done: int = 0) -> None:
        self.label, self.total, self.unit, self.first = label, total, unit, done
        self._began = self._told = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.first, rate="", note="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def follow(self, done: int, total: int) -> None:
        """Say that `done` of `total` steps are done, of work that finds out itself how many there are."""
        self.total = total
        self.update(done)

    def begin(self, done: int) -> None:
        """Count the rate from here on: what came before was work of another kind."""
        self.first, self._began = done, time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` steps are done; `note` is shown behind, e.g. "video correlation 0.61"."""
        now = time.monotonic()
        rate = (done - self.first) / max(now - self._began, 1e-9)
        left = duration_text((self.total - done) / rate) + " left" if rate > 0 else ""
        # Until the first is done nobody knows.
        pace = "" if rate <= 0 else f"{rate:.2g} {self.unit}/s" if rate < 10 else f"{rate:.0f} {self.unit}/s"
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, rate=", ".join(part for part in (pace, left) if part), note=note
            )
        elif now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            parts = [f"{self.label}: {done} of {self.total} {self.unit}", pace, left, note]
            tell(", ".join(part for part in parts if part))


def _bar() -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=30),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )


def duration_text(seconds: float) -> str:
    """A duration for people: "21 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    minutes, rest = divmod(whole, SECONDS_A_MINUTE)
    hours, minutes_left = divmod(minutes, MINUTES_AN_HOUR)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


SIGNAL_EXIT_CODE = 128


class Stopped(Exception):
    """A person, or the machine's scheduler, stopped the command.

    Parameters
    ----------
    message
        What was kept, and how to go on.
    signal_number
        The signal that asked for it.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = SIGNAL_EXIT_CODE + signal_number


class StopRequest:
    """While it is entered, Ctrl-C (SIGTERM, SIGHUP) waits for the next `check`; a second one does not wait.

    Parameters
    ----------
    waiting_for
        What is being finished first, for the message.
    kept
        What the command ends with if it was stopped while this was entered: what was kept, and how to go on.
    """

    def __init__(self, waiting_for: str = "this step", kept: str = "") -> None:
        self.waiting_for, self.kept = waiting_for, kept
        self.signal_number: int | None = None
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread choose what a signal does.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _waiting_signals()}
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.kept and isinstance(error, KeyboardInterrupt):
            raise self.stopped(self.kept) from None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # Worker processes inherit this handler and get the same Ctrl-C; their parent decides.
            return
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
        tell(f"vidrecon: finishing {self.waiting_for}; Ctrl-C again stops at once")

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self.signal_number is not None

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if somebody asked to stop; call it where nothing is half done."""
        if self.asked:
            raise KeyboardInterrupt

    def after_each(self, progress: Progress, kept: str) -> Callable[[int, int], None]:
        """What work calls after each of its parts: it is told, and ends there if somebody asked to stop.

        Parameters
        ----------
        progress
            Of the parts.
        kept
            What the command ends with then: what was kept, and how to go on.

        Returns
        -------
        Callable[[int, int], None]
            Takes how many are done, of how many.
        """

        def tell_of(done: int, total: int) -> None:
            progress.follow(done, total)
            if self.asked and done < total:
                raise self.stopped(f"stopped after {done} of {total} {progress.unit}; {kept}")

        return tell_of

    def stopped(self, message: str) -> Stopped:
        """The error that ends the command with this message."""
        return Stopped(message, self.signal_number or signal.SIGINT)


def _waiting_signals() -> list[int]:
    """Those that ask to stop; a process that was told to outlive its terminal does (nohup)."""
    hangup = getattr(signal, "SIGHUP", None)
    asked = [int(signal.SIGINT), int(signal.SIGTERM)]
    return asked if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN else [*asked, int(hangup)]
