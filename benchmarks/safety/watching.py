"""Runs one call in a process of its own, forked from a warm one, and tells whether it ended well."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 1 << 30
PATIENCE_S = 10.0
"""Of a processor's time: on a machine that others work on, the clock says little."""
IDLE_PATIENCE_S = 90.0
"""By the clock, for what waits."""
SURPLUS_BYTES = GIB
ADDRESS_SPACE_BYTES = 24 * GIB
WELL_ENDED = (0, 1, 2)
WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CODE_EVENTS = ("os.system", "os.exec", "os.posix_spawn", "pty.spawn", "os.fork", "socket.connect")
HARMLESS_PROGRAMS = ("ffmpeg", "ffprobe", "nvidia-smi", "ldconfig", "gcc", "uname")


@dataclass(frozen=True)
class Ending:
    """How one call ended.

    Parameters
    ----------
    fault
        What was wrong, one line; empty if it ended well.
    said
        The last line that it printed.
    seconds
        How long it took.
    memory_bytes
        What it took at most above what the warm process had.
    """

    fault: str
    said: str
    seconds: float
    memory_bytes: int


class Watch:
    """Listens to what a process opens and starts; writing outside its folders and running code are faults."""

    def __init__(self, allowed: list[Path]) -> None:
        self.allowed = [os.path.realpath(each) for each in allowed]
        self.faults: list[str] = []
        self.on = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & WRITING_FLAGS) or (isinstance(mode, str) and any(each in mode for each in "wax+"))
            if writes and isinstance(path, (str, bytes, os.PathLike)):
                self._written(os.fspath(path))
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate"):
            # Of a link only the place where it is made counts, of a move both.
            for path in arguments[:2] if event == "os.rename" else arguments[1:2] if "link" in event else arguments[:1]:
                if isinstance(path, (str, bytes, os.PathLike)) and (
                    arguments[-1] in (-1, None) or event != "os.remove"
                ):
                    self._written(os.fspath(path))
        elif event in CODE_EVENTS:
            self.faults.append(f"{event} {str(arguments)[:80]}")
        elif event == "subprocess.Popen":
            program = Path(str(arguments[0])).name
            if not program.startswith(HARMLESS_PROGRAMS):
                self.faults.append(f"started {program}")

    def _written(self, path: str | bytes) -> None:
        name = os.fsdecode(path)
        place = str(Path(name).parent.resolve() / Path(name).name)
        if not any(place == each or place.startswith(each + os.sep) for each in self.allowed) and place != os.devnull:
            self.faults.append(f"wrote {name[:120]}")


def watched(call: Callable[[], int], *, folder: Path, allowed: list[Path], size_bytes: int) -> Ending:
    """Run a call in a forked process, in `folder`, and tell how it ended.

    Parameters
    ----------
    call
        Returns an exit code; anything that it raises is a fault.
    folder
        Its working folder.
    allowed
        Folders where it may write.
    size_bytes
        Size of what it opens; memory may grow by that and 1 GiB.
    """
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _inside(call, folder, allowed, writing)
    os.close(writing)
    os.set_blocking(reading, False)
    told = b""
    while True:
        time.sleep(0.002)
        with contextlib.suppress(BlockingIOError):
            told += os.read(reading, 65536)
        ended, status, _ = os.wait4(child, os.WNOHANG)
        if ended:
            break
        waited = time.monotonic() - start
        if waited > IDLE_PATIENCE_S or (waited > PATIENCE_S and _processor_seconds(child) > PATIENCE_S):
            os.kill(child, signal.SIGKILL)
            os.wait4(child, 0)
            os.close(reading)
            return Ending(f"hangs: longer than {PATIENCE_S:g} s", "", waited, 0)
    with contextlib.suppress(BlockingIOError):
        while more := os.read(reading, 65536):
            told += more
    os.close(reading)
    seconds = time.monotonic() - start
    fields = told.decode("utf-8", "replace").split("\x1f")
    memory, fault, said = (int(fields[0]), fields[1], fields[2]) if len(fields) == 3 else (0, "", "")
    if os.WIFSIGNALED(status):
        fault = fault or f"died of {signal.Signals(os.WTERMSIG(status)).name}"
    elif len(fields) != 3:
        fault = "ended without a word"
    if not fault and memory > size_bytes + SURPLUS_BYTES:
        fault = f"took {memory / GIB:.1f} GiB"
    return Ending(fault, said, seconds, memory)


def _processor_seconds(process: int) -> float:
    """What a process and its ended children took of the processors."""
    # The name of the program comes first, in brackets, and may hold anything.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _inside(call: Callable[[], int], folder: Path, allowed: list[Path], writing: int) -> None:
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    words = io.StringIO()
    sys.stdout = sys.stderr = words
    # A module that is imported for the first time here is nothing that the call writes.
    sys.dont_write_bytecode = True
    watch = Watch(allowed)
    sys.addaudithook(watch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fault = ""
    try:
        code = call()
        if code not in WELL_ENDED:
            fault = f"exit code {code}"
    except BaseException as error:  # noqa: BLE001  # this is what it looks for
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__}: {str(error)[:160]} ({Path(place.filename).name}:{place.lineno})"
    watch.on = False
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    text = words.getvalue()
    if "Traceback (most recent" in text:
        fault = fault or "printed a traceback"
    if "fault of the program" in text or "fault in vidrecon" in text:
        fault = fault or "unexpected: " + text.strip().splitlines()[-1][:200]
    fault = fault or "; ".join(watch.faults[:3])
    said = (text.strip().splitlines() or [""])[-1]
    os.write(writing, "\x1f".join((str(memory), fault, said[:300])).encode("utf-8", "replace"))
    os._exit(0)
