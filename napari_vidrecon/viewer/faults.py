"""What nobody foresaw, as one line in the window; the rest goes into a log that the line names."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from psygnal import EmitLoopError

from napari_vidrecon.errors import SYSTEM_REASONS, VidreconError, one_line
from napari_vidrecon.storage.fault_log import write_fault_log

PACKAGE = "napari_vidrecon"
LONGEST_LINE = 1000
MOST_REMEMBERED = 50
OUT_OF_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""Torch has several errors for it, some of them plain RuntimeErrors."""
OUT_OF_MEMORY = (
    "Out of memory. Choose fewer frames or fewer encoders under What, another device under How, Advanced, "
    "or close other programs; then press Start again."
)

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def in_one_line(error: BaseException) -> str:
    """What a person is told of an error; an error that is not the input's fault goes into a log as well.

    Parameters
    ----------
    error
        Of any kind. One raised while a signal was told is told as what lies behind it.

    Returns
    -------
    str
        Where the log lies is a part of it.
    """
    behind = _behind(error)
    if isinstance(behind, VidreconError):
        return one_line(behind, LONGEST_LINE)
    if isinstance(behind, MemoryError) or any(sign in str(behind).lower() for sign in OUT_OF_MEMORY_SIGNS):
        return OUT_OF_MEMORY
    if isinstance(behind, OSError) and behind.errno in SYSTEM_REASONS:
        return f"{one_line(behind.filename or 'A file')}: {SYSTEM_REASONS[behind.errno]}"
    log = write_fault_log(error)
    return one_line(_explained(behind) + (f" Details: {log}" if log is not None else ""), LONGEST_LINE)


def _explained(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'}: could not be read or written: {error.strerror or error}."
    kind, words = type(error).__name__, one_line(error)
    return f"Something unforeseen went wrong ({kind}: {words}). The window can still be used; please report it."


def _behind(error: BaseException) -> BaseException:
    while isinstance(error, EmitLoopError) and error.__cause__ is not None:
        error = error.__cause__
    return error


class Faults:
    """A guard: `with faults:` lets no error out, and tells it.

    What goes wrong again and again, such as something that a timer does, is told once more, but not logged again.

    Parameters
    ----------
    tell
        Called with one line and whether it is an error, as `ReconstructionModel.message` is.
    """

    def __init__(self, tell: Callable[[str, bool], object]) -> None:
        self._tell = tell
        self._told: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.take(error)
        return True

    def take(self, error: Exception) -> None:
        """Tell an error that was caught elsewhere; never raises."""
        known = _signature(error)
        if len(self._told) > MOST_REMEMBERED:
            self._told.clear()
        if known not in self._told:
            self._told[known] = in_one_line(error)
        try:
            self._tell(self._told[known], True)
        except Exception as again:  # noqa: BLE001  # who tells it may be what is broken
            write_fault_log(again)


def _signature(error: Exception) -> tuple[str, ...]:
    """Kind, words and place of an error."""
    behind = _behind(error)
    frames = traceback.extract_tb(behind.__traceback__)
    place = (frames[-1].filename, str(frames[-1].lineno)) if frames else ()
    return (type(behind).__name__, one_line(behind), *place)


class Guarded(Protocol):
    """Has a guard."""

    @property
    def faults(self) -> Faults:
        """The guard."""
        ...


Owner = TypeVar("Owner", bound=Guarded)


def guarded(
    method: Callable[Concatenate[Owner, Arguments], None],
) -> Callable[Concatenate[Owner, Arguments], None]:
    """A method that never raises: for timers, which nobody waits for, and which would raise again and again."""

    @functools.wraps(method)
    def safe(self: Owner, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        with self.faults:
            method(self, *arguments, **named)

    return safe


class FaultHook:
    """The one place where an error arrives that was raised in a slot or in an event of the window.

    Qt hands such errors to `sys.excepthook`, which napari makes a dialog with a traceback of. Errors that come from
    this package are told as one line instead; all others go on to whoever was there before.

    Parameters
    ----------
    faults
        Takes them.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults: Faults | None = faults
        self._before: Hook | None = None

    def install(self) -> None:
        """Come first; to be called again once the event loop runs, as napari puts its own hook there."""
        if self._faults is not None and not self._is_first:
            self._before = sys.excepthook
            sys.excepthook = self.on_error

    def close(self) -> None:
        """Give the place back; where someone else stands there by now, only pass on what comes."""
        self._faults = None
        if self._is_first and self._before is not None:
            sys.excepthook = self._before

    @property
    def _is_first(self) -> bool:
        return getattr(sys.excepthook, "__self__", None) is self

    def on_error(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Take an error, or pass it on.

        Parameters
        ----------
        kind
            Its class.
        error
            What was raised.
        trace
            Where.
        """
        if self._faults is not None and isinstance(error, Exception) and _comes_from_here(error):
            self._faults.take(error)
            return
        (self._before or sys.__excepthook__)(kind, error, trace)


def _comes_from_here(error: BaseException) -> bool:
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        for frame, _ in traceback.walk_tb(found.__traceback__):
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] == PACKAGE:
                return True
        found = found.__cause__
    return False
