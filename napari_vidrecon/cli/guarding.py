"""The outermost door of the command: whatever comes out of a verb becomes an exit code and at most one line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from napari_vidrecon.cli.report import Stopped, nobody_reads_stdout, open_closed_streams, settle_streams, tell
from napari_vidrecon.errors import SYSTEM_REASONS, TROUBLESHOOTING, VidreconError, one_line, page

NOBODY_READS = 1
INPUT_AT_FAULT = 2
FAULT_OF_THE_PROGRAM = 70
"""EX_SOFTWARE of sysexits.h: nothing that the person who called it could have done better."""
SIGNAL_EXIT_CODE = 128
LONGEST_COMMAND = 200
SHOW_TRACEBACK = "VIDRECON_TRACEBACK"
QUIET_LIBRARIES = r"(zarr|torch|numpy|imageio|tifffile)\b"
OUT_OF_MEMORY_WORDS = (
    *("can't allocate memory", "not enough memory", "can't start new thread", "failed to map segment"),
    # What oneDNN, the library behind convolutions on a CPU, says then.
    *("could not create a primitive", "could not create a memory"),
)
OUT_OF_MEMORY = (
    "expected more memory than this machine or device has left; close other programs, "
    "or take a shorter clip (--frames), fewer encoders, or --device cpu"
)
READING, KEPT = "while reading ", "what is done is kept in "
"""How notes of errors begin that say something to a person; see `storage.reading` and `reconstruction.runner`."""
STDOUT = "standard output"
GONE = "the folder that the command was started in is gone; change to another"


def guarded(run: Callable[[list[str]], int], words: list[str], *, whole_process: bool) -> int:
    """Run a command behind the door.

    Parameters
    ----------
    run
        Takes the words; returns the exit code.
    words
        What was typed after `vidrecon`.
    whole_process
        Nothing comes after it in this process, so what it set up may stay until the end.

    Returns
    -------
    int
        Exit code; see `napari_vidrecon.cli.main`.
    """
    signals = Signals()
    with contextlib.ExitStack() as stack:
        try:
            open_closed_streams()
            stack.enter_context(signals.orderly())
            undo = _quieten()
            if not whole_process:
                # Else what is cleared up at the end of the process is told as little as what is cleared up before.
                stack.callback(undo)
            if any("\0" in word for word in words):
                return _say("expected words without null characters, found one; see --help", INPUT_AT_FAULT)
            if _folder_is_gone():
                # Libraries that are loaded later end the whole process there.
                return _say(GONE, INPUT_AT_FAULT)
            code = run(words)
            failed = settle_streams()
            if failed is not None:
                failed.filename = STDOUT
                raise failed
        except BaseException as error:  # noqa: BLE001  # this is the door
            try:
                code = _ending(error, words, signals)
            except KeyboardInterrupt:
                code = SIGNAL_EXIT_CODE + signal.SIGINT
            settle_streams()
        return code


class Interrupted(KeyboardInterrupt):
    """A signal came.

    Not the class itself: Python remembers that one where it was raised inside of `exec`, as it is while modules are
    loaded, and then ends the process as if by Ctrl-C, whatever the exit code.
    """


class Signals:
    """Ctrl-C, and what the system or a scheduler sends: the command ends in order, with drafts cleared up.

    Attributes
    ----------
    caught
        Number of the signal that came.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._process = os.getpid()

    @contextlib.contextmanager
    def orderly(self) -> Iterator[None]:
        """Until the end of the block signals raise `KeyboardInterrupt`; those that are ignored stay so (nohup)."""
        before: dict[int, Any] = {}
        # Python lets only the main thread choose what a signal does.
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                usual = (signal.SIG_DFL, signal.default_int_handler)
                if number is not None and signal.getsignal(number) in usual:
                    before[number] = signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A process forked from here ends as any other.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.caught = number
        raise Interrupted


def _quieten() -> Callable[[], None]:
    """Keep warnings of libraries, and errors where nobody can catch them, from the terminal: the latter go to a log.

    Returns
    -------
    Callable[[], None]
        Undoes it.
    """
    import logging

    undo = contextlib.ExitStack()
    # What libraries warn of is for programmers; a person gets one line that says what to do.
    undo.enter_context(warnings.catch_warnings())
    warnings.filterwarnings("ignore", module=QUIET_LIBRARIES)
    warnings.showwarning = _show_nothing
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    undo.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
    undo.callback(setattr, threading, "excepthook", threading.excepthook)
    sys.unraisablehook = threading.excepthook = _log
    return undo.close


def _show_nothing(*_: object, **__: object) -> None:
    """In the place of `warnings.showwarning`."""


def _log(told: sys.UnraisableHookArgs | threading.ExceptHookArgs) -> None:
    error = told.exc_value
    if error is None or isinstance(error, (KeyboardInterrupt, SystemExit, BrokenPipeError)):
        return
    # At the very end of a process not even this can be imported.
    with contextlib.suppress(Exception):
        from napari_vidrecon.storage.fault_log import write_fault_log

        write_fault_log(error)


def _ending(error: BaseException, words: list[str], signals: Signals) -> int:
    """What an error means for whoever typed the command."""
    if isinstance(error, VidreconError):
        code = _say(f"{error}{_kept(error)}", INPUT_AT_FAULT)
        _name_the_page(error)
        return code
    if isinstance(error, Stopped):
        return _say(str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt) or signals.caught is not None:
        # Inside of a library that is being loaded, a signal comes out as any error.
        return _stopped(signals.caught or signal.SIGINT)
    if isinstance(error, SystemExit):
        return _exit(error)
    if isinstance(error, BrokenPipeError) and nobody_reads_stdout():
        return NOBODY_READS
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return _say(f"{OUT_OF_MEMORY}{_kept(error)}", INPUT_AT_FAULT)
    if isinstance(error, OSError) and error.errno is not None:
        return _say(_refused_by_system(error), INPUT_AT_FAULT)
    if isinstance(error, ImportError) and not (error.name or "").startswith("napari_vidrecon"):
        name = f"the library {error.name}" if error.name else "a library"
        return _say(f"{name} cannot be loaded ({one_line(error)}); `vidrecon doctor` says more", INPUT_AT_FAULT)
    return _fault(error, words)


def _say(message: str, code: int) -> int:
    tell(f"vidrecon: {message}")
    return code


def _name_the_page(error: VidreconError) -> None:
    """Where more about it stands, for a person; whatever reads the output of a command gets its one line alone."""
    with contextlib.suppress(AttributeError, ValueError):
        if error.section and sys.stderr.isatty():
            tell(f"more about it: {page(TROUBLESHOOTING)}#{error.section}")


def _stopped(number: int) -> int:
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    return _say(f"stopped{by}; nothing is half written", SIGNAL_EXIT_CODE + number)


def _exit(error: SystemExit) -> int:
    """A library ended the process."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    return _say(str(error.code), INPUT_AT_FAULT)


def _is_out_of_memory(error: BaseException) -> bool:
    # Named, not imported: importing torch to look at an error would take seconds.
    if not isinstance(error, (RuntimeError, ImportError)):
        return False
    return type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in OUT_OF_MEMORY_WORDS)


def _refused_by_system(error: OSError) -> str:
    if error.filename is None and isinstance(error, FileNotFoundError) and _folder_is_gone():
        return GONE
    what = error.filename if isinstance(error.filename, (str, bytes)) else None
    reason = SYSTEM_REASONS.get(error.errno or 0) or f"the system said: {one_line(error.strerror or error)}"
    shown = one_line(os.fsdecode(what)) if what is not None else "output"
    return f"{shown}: {reason}"


def _folder_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # pathlib would have to be imported
    except OSError:
        return True
    return False


def _fault(error: BaseException, words: list[str]) -> int:
    """Whatever is left: the program's own fault, or a file that fails where no reader expected it."""
    if os.environ.get(SHOW_TRACEBACK):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            traceback.print_exception(error, file=sys.stderr)
    try:
        from napari_vidrecon.storage.fault_log import write_fault_log

        log = write_fault_log(error)
    except Exception:  # noqa: BLE001  # where not even this can be loaded, the line still comes
        log = None
    kept = f"the details are in {log}; please report it with that file"
    if log is None:
        kept = f"no log could be written; {SHOW_TRACEBACK}=1 shows the details"
    kind = f"{type(error).__name__}: {one_line(error, LONGEST_COMMAND)}"
    line = f"{_at_work_on(error, words)}: a fault of the program itself ({kind}); {kept}{_kept(error)}"
    return _say(line, FAULT_OF_THE_PROGRAM)


def _kept(error: BaseException) -> str:
    """What the error left behind on purpose, to go on from; empty if nothing."""
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str) and note.startswith(KEPT)]
    return f"; {notes[0]}, and the same command goes on from there" if notes else ""


def _at_work_on(error: BaseException, words: list[str]) -> str:
    """The file that was being read, where that is known; else the command."""
    link: BaseException | None = error
    for _ in range(LONGEST_COMMAND):
        if link is None:
            break
        for note in getattr(link, "__notes__", ()):
            if isinstance(note, str) and note.startswith(READING):
                return one_line(note.removeprefix(READING))
        link = link.__cause__ or link.__context__
    return one_line(" ".join(["vidrecon", *words]), LONGEST_COMMAND)
