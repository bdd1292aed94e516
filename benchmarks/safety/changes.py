"""Counts the changes that a process makes to the disk, and kills it before a given one."""

from __future__ import annotations

import os
import signal
from typing import Any

WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.truncate", "os.link", "os.symlink")


class Changes:
    """An audit hook.

    Parameters
    ----------
    last
        The process kills itself right before it makes this change (1, 2, ...); None for never.
    """

    def __init__(self, last: int | None = None) -> None:
        self.last, self.count = last, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python before every event."""
        if event == "open":
            path, mode, flags = arguments
            writes = bool((flags or 0) & WRITING_FLAGS) or (isinstance(mode, str) and bool(set(mode) & set("wax+")))
            if not writes or not isinstance(path, (str, os.PathLike)) or os.fspath(path).startswith("/dev/"):
                return
        elif event not in EVENTS:
            return
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
