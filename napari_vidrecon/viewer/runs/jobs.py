"""Work that must not hold up the window: one daemon thread a job, whose news wait until they are fetched."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  # what it does at the end of a program has to come after ours
import contextlib
import ctypes
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from napari_vidrecon.viewer.faults import in_one_line

EXIT_GRACE_SECONDS = 5.0
"""How long a closing program waits for a run to stop after its present step and save itself."""


TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Settings of glibc, as `malloc.h` numbers them."""
LARGEST_MMAP_THRESHOLD = 32 << 20
"""Where glibc's own two thresholds end up once a program has freed a block so large; the other one is twice that."""
RESTING_MMAP_THRESHOLD = 1 << 20
"""While nothing is at work: a movie that the window makes for a moment has pages of its own, which go with it. Where
one lay among what is small, small things that stay fill its place, here and there, and hold all of it."""


MOST_PLACES = 16
"""From which threads take their memory: glibc makes no more on two processors, and few before the window begins."""

LIBRARY, OF_THE_MACHINE = "napari_vidrecon", "napari_vidrecon.encoders.checkpoints"
"""Whose warnings a job tells; and whose not, as they are of the machine and the same for every run."""


@dataclass(frozen=True)
class Warned:
    """News of something that may be wrong, and ends nothing.

    Parameters
    ----------
    message
        One line.
    """

    message: str


@dataclass(frozen=True)
class Failed:
    """News of an error.

    Parameters
    ----------
    message
        One line that says what to do.
    """

    message: str


class Cancelled(Exception):
    """Raised inside a job to leave it once nobody waits for it."""


@dataclass(frozen=True)
class Counted:
    """News of any job.

    Parameters
    ----------
    done
        How much.
    total
        Of how much; 0 where that is not known.
    text
        What that is, in words.
    """

    done: int
    total: int
    text: str = ""


class Job:
    """A function in a daemon thread.

    Qt is not involved: the window empties `news` when it has time, and a window that is gone disturbs nothing.
    A program that exits stops its jobs and waits for them, but not for ever.

    Parameters
    ----------
    work
        Called with the job; puts its news with `tell`, and looks at `cancelled` often.
    name
        Of the thread.
    """

    def __init__(self, work: Callable[[Job], None], name: str) -> None:
        self._work = work
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.cancelled, self._done = threading.Event(), threading.Event()

    def start(self) -> Job:
        """Begin."""
        with _COMING_OR_GOING:
            _AT_WORK.add(self)
            _take_large_blocks_from(LARGEST_MMAP_THRESHOLD)
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether it still works; giving memory back after that is nothing that another has to wait for."""
        return self._thread.is_alive() and not self._done.is_set()

    def tell(self, news: Any) -> None:
        """Called by the work: put something into the line of news."""
        self._news.put(news)

    def fetch(self) -> list[Any]:
        """All news since the last call, oldest first; never waits."""
        news = []
        while True:
            try:
                news.append(self._news.get_nowait())
            except queue.Empty:
                return news

    def cancel(self) -> None:
        """Ask the work to end; returns at once."""
        self.cancelled.set()

    def leave_if_cancelled(self) -> None:
        """Called by the work where it can be left."""
        if self.cancelled.is_set():
            raise Cancelled

    def count(self, done: int, total: int, text: str = "") -> None:
        """Called by the work where it can be left, to tell how far it is.

        Parameters
        ----------
        done
            How much.
        total
            Of how much; 0 where that is not known.
        text
            What that is, in words.
        """
        self.leave_if_cancelled()
        self.tell(Counted(done, total, text))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; returns whether it came in time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        work, self._work = self._work, _nothing
        library, listener = logging.getLogger(LIBRARY), _Listener(self)
        library.addHandler(listener)
        try:
            work(self)
        except Cancelled:
            pass
        except Exception as error:  # noqa: BLE001 - the last place that can turn it into a message
            self.tell(Failed(in_one_line(error)))
        finally:
            library.removeHandler(listener)
            with _COMING_OR_GOING:
                _AT_WORK.discard(self)
            del work
            self._done.set()
            give_memory_back()
            with _COMING_OR_GOING:
                if not _AT_WORK:
                    _take_large_blocks_from(RESTING_MMAP_THRESHOLD)


_AT_WORK: set[Job] = set()
_COMING_OR_GOING = threading.Lock()


def any_at_work() -> bool:
    """Whether a job of any window is at work."""
    return bool(_AT_WORK)


def _finish_at_exit() -> None:
    """Where no event loop of Qt's says that the program ends, as at the end of a script or of IPython."""
    jobs = OpenJobs(list(_AT_WORK))
    jobs.finish()


# Python's pools of threads end before `atexit` does anything, and without them no run can be written any more.
getattr(threading, "_register_atexit", atexit.register)(_finish_at_exit)


class _Listener(logging.Handler):
    """Makes news of what the library warns of in the thread that it is made in.

    Parameters
    ----------
    job
        Tells them.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(logging.WARNING)
        self._job, self._thread = job, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, if it was said by this job; what reached the terminal without jobs still does, once."""
        if record.thread == self._thread and record.name != OF_THE_MACHINE:
            self._job.tell(Warned(record.getMessage()))
        # Python writes to the terminal what no handler takes, and takes this one for such.
        last_resort = logging.lastResort
        if last_resort is not None and not logging.root.handlers and logging.getLogger(LIBRARY).handlers[:1] == [self]:
            last_resort.handle(record)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is that of GNU."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "malloc_trim") else None


def _take_large_blocks_from(threshold: int) -> None:
    library = _glibc()
    if library is not None:
        library.mallopt(MMAP_THRESHOLD, threshold)


def share_memory_among_threads() -> None:
    """Have threads that begin from now on take memory from where others do.

    With glibc each would have a place of its own. A window has a thread for every job, and in each place a little stays
    in use here and there and holds the pages around it. While a job works, blocks of up to 32 MB come from that place,
    and 64 MB at its end stay with the program until a job ends: given back at once, a step of a run takes a fourth
    longer.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(ARENA_MAX, 1)
        library.mallopt(MMAP_THRESHOLD, RESTING_MMAP_THRESHOLD)
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)


def give_memory_back() -> None:
    """Give the system what threads have freed and the C library keeps.

    At the end of a place that threads take their memory from, glibc keeps up to 64 MB for the next allocation, which
    is what makes a run fast; `malloc_trim` leaves that end alone. Places that were made before threads shared one go on
    being used, by whichever thread comes first: as many threads as there may be places look at the end of one each.
    """
    library = _glibc()
    if library is None:
        return
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.restype, library.free.argtypes = None, [ctypes.c_void_p]
    library.mallopt(TRIM_THRESHOLD, 1)
    library.mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    all_hold_one = threading.Barrier(MOST_PLACES, timeout=1.0)

    def look_at_the_end() -> None:
        # To free a block of more than 64 KiB is what has the end looked at, whichever thread does.
        block = library.malloc(1 << 17)
        with contextlib.suppress(threading.BrokenBarrierError):
            all_hold_one.wait()
        library.free(block)

    others = [threading.Thread(target=look_at_the_end, daemon=True) for _ in range(MOST_PLACES - 1)]
    try:
        for each in others:
            each.start()
    except RuntimeError:
        # No thread more is to be had; those that there are need not wait.
        all_hold_one.abort()
    look_at_the_end()
    for each in others:
        if each.ident is not None:
            each.join()
    library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)
    library.malloc_trim(0)


def _nothing(_job: Job) -> None:
    """What is left of a job's work once it has begun, so that an ended job holds nothing of its inputs."""


@dataclass
class OpenJobs:
    """The jobs that must end with the window; no Qt, because it is needed when Qt's part is gone.

    Parameters
    ----------
    jobs
        Those that may still work.
    closed
        The window is gone; nothing may be started any more.
    """

    jobs: list[Job] = field(default_factory=list)
    closed: bool = False

    def start(self, job: Job) -> None:
        """Begin a job, and forget those that ended."""
        self.jobs = [other for other in self.jobs if other.running]
        self.jobs.append(job.start())

    def wait(self, seconds: float = EXIT_GRACE_SECONDS) -> None:
        """Wait for the end of all, but no longer than that."""
        until = time.monotonic() + seconds
        for job in self.jobs:
            job.wait(max(until - time.monotonic(), 0.0))

    def finish(self) -> None:
        """Ask all of them to end, and wait until they have kept what they made, but not for ever.

        For a program that ends: once the interpreter shuts down, nothing can be written any more.
        """
        self.close()
        self.wait()

    def close(self) -> None:
        """Ask all of them to end."""
        self.closed = True
        for job in self.jobs:
            job.cancel()
