"""What the program itself did wrong, kept in a file, so that a person sees one line and a report can hold the rest."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import IO

import platformdirs

FOLDER_VARIABLE = "VIDRECON_LOGS"
FIRST_LINE = "napari-vidrecon fault 1"
CRASH_PATTERN = re.compile(r"crash-\d+-\d{8}-\d{6}\.txt")
NAME_PATTERN = re.compile(r"fault-\d{8}-\d{6}-\d{3}-\d+(-\d+)?\.txt")
MOST_KEPT = 20
MOST_TRIES = 100
LONGEST_BYTES = 1 << 20


def write_fault_log(error: BaseException) -> Path | None:
    """Write the traceback of an error to a new file; the newest twenty are kept.

    Parameters
    ----------
    error
        What went wrong; with its causes and notes.

    Returns
    -------
    Path | None
        The file, in the folder that $VIDRECON_LOGS names, else in the user's log folder, else in the
        folder for temporary files; None where nothing can be written. Never raises.
    """
    try:
        content = _told(error).encode("utf-8", "backslashreplace")[:LONGEST_BYTES]
    except Exception:  # noqa: BLE001  # an error whose own words cannot be had must not hide the first one
        content = f"{FIRST_LINE}\n{type(error).__name__}, which cannot be told\n".encode()
    for folder in _folders():
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            file = _write(folder, content)
            _forget_old(folder)
            return file
    return None


def _folders() -> list[Path]:
    """Where to write, the first that can be written; each is asked for with care, for a process without a home."""
    folders = []
    with contextlib.suppress(OSError, ValueError, RuntimeError, KeyError):
        chosen = os.environ.get(FOLDER_VARIABLE)
        folders.append(Path(chosen).expanduser() if chosen else platformdirs.user_log_path("napari-vidrecon"))
    with contextlib.suppress(OSError, ValueError, RuntimeError, KeyError):
        folders.append(Path(tempfile.gettempdir()) / "napari-vidrecon-logs")
    return folders


def _told(error: BaseException) -> str:
    try:
        version = metadata.version("napari-vidrecon")
    except metadata.PackageNotFoundError:
        version = "unknown"
    lines = [
        FIRST_LINE,
        f"time: {time.strftime('%Y-%m-%d %H:%M:%S')}",
        f"napari-vidrecon: {version}; Python: {platform.python_version()}; {platform.platform()}",
        f"command: {sys.argv!r}",
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def _write(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    when = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(1000 * (now % 1)):03d}"
    for again in range(MOST_TRIES):
        file = folder / f"fault-{when}-{os.getpid()}{f'-{again}' if again else ''}.txt"
        # A new file or none: in a folder that all may write, a link of this name may stand already.
        with contextlib.suppress(FileExistsError), file.open("xb") as opened:
            opened.write(content)
            return file
    raise FileExistsError(folder)


def _forget_old(folder: Path) -> None:
    """Only what this program wrote: by its name and its first line."""
    kept = sorted((file for file in folder.iterdir() if NAME_PATTERN.fullmatch(file.name)), reverse=True)
    for file in kept[MOST_KEPT:]:
        with contextlib.suppress(OSError):
            if file.is_symlink() or not file.is_file():
                continue
            with file.open("rb") as opened:
                ours = opened.read(len(FIRST_LINE)) == FIRST_LINE.encode()
            if ours:
                file.unlink()


class CrashLog:
    """Where the interpreter writes what every thread was doing, should the program die (a segmentation fault).

    A file that is still empty at the end is removed again. Where somebody has asked the interpreter for that already,
    it is left to them.
    """

    def __init__(self) -> None:
        self.file: Path | None = None
        self._opened: IO[bytes] | None = None
        if faulthandler.is_enabled():
            return
        for folder in _folders():
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                folder.mkdir(parents=True, exist_ok=True)
                file = folder / f"crash-{os.getpid()}-{time.strftime('%Y%m%d-%H%M%S')}.txt"
                self._opened, self.file = file.open("xb"), file
                faulthandler.enable(self._opened)
                return

    def close(self) -> None:
        """The program goes on, or ends, without one; never raises."""
        if self._opened is None or self.file is None:
            return
        faulthandler.disable()
        self._opened.close()
        self._opened = None
        with contextlib.suppress(OSError):
            if self.file.stat().st_size == 0:
                self.file.unlink()


def crashes() -> list[Path]:
    """Logs of programs that have died since this was asked last, oldest first; each is given once."""
    found: list[Path] = []
    for folder in _folders():
        with contextlib.suppress(OSError):
            logs = [file for file in sorted(folder.iterdir()) if CRASH_PATTERN.fullmatch(file.name)]
            found += [told for file in logs if (told := _taken(file)) is not None]
    return found


def _taken(log: Path) -> Path | None:
    """The log under its name of those that were given; None where nothing is told, or the program is still there."""
    with contextlib.suppress(OSError):
        if not _is_alive(int(log.name.split("-")[1])):
            if log.stat().st_size > 0:
                return log.rename(log.with_name(f"told-{log.name}"))
            log.unlink()
    return None


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        # There a signal is never a mere question; but what another program has open cannot be renamed.
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
