"""Stopping between two steps, so that what is done stays usable."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from napari_vidrecon.cli.streams import tell

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
    """

    def __init__(self, waiting_for: str = "this step") -> None:
        self.waiting_for = waiting_for
        self.signal_number: int | None = None
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread choose what a signal does.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _waiting_signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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

    def stopped(self, message: str) -> Stopped:
        """The error that ends the command with this message."""
        return Stopped(message, self.signal_number or signal.SIGINT)


def _waiting_signals() -> list[int]:
    """Those that ask to stop; a process that was told to outlive its terminal does (nohup)."""
    hangup = getattr(signal, "SIGHUP", None)
    asked = [int(signal.SIGINT), int(signal.SIGTERM)]
    return asked if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN else [*asked, int(hangup)]
