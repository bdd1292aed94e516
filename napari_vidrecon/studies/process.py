"""Studies in a process of their own: `python -m napari_vidrecon.studies.process` does what it is asked on its input.

A window that measured and drew in one of its threads could die with it, and workers that are started from somebody's
script would run that script again. Here neither can happen: whoever starts workers is this module.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_vidrecon.errors import RunError, VidreconError, one_line
from napari_vidrecon.storage.fault_log import write_fault_log

if TYPE_CHECKING:
    from napari_vidrecon.studies.conducting import Written
    from napari_vidrecon.studies.runs.run_spec import RunStore
    from napari_vidrecon.studies.runs.running import Progress
    from napari_vidrecon.studies.study import Drawing, Movie, Outcome, Plan, Study

MODULE = "napari_vidrecon.studies.process"
STOP = "stop\n"
STOP_SECONDS = 3.0
"""How long a process that was asked to stop may go on; what it has finished is on disk."""
POLL_SECONDS = 0.1
LAST_WORDS_BYTES = 20_000
Made = TypeVar("Made")
Tell = Callable[[dict[str, Any]], object]


class Left(Exception):
    """Raised inside a study that nobody waits for any more."""


@dataclass(frozen=True)
class Ask:
    """What is asked for: plain values only, as they travel to another process as JSON.

    Parameters
    ----------
    names
        Of the studies.
    scale
        "quick", "paper" ...
    out
        Folder of runs and results.
    mice
        A file that lists mice; empty for `session`, or where there is none either for the simulated mouse.
    session, encoders, mask, readout
        One mouse by its files.
    workers
        Processes; None for one a GPU or one a core.
    device
        "auto", "cpu" ...
    only_estimate
        Say what it would cost, and run nothing.
    """

    names: tuple[str, ...]
    scale: str
    out: str
    mice: str = ""
    session: str = ""
    encoders: tuple[str, ...] = ()
    mask: str = ""
    readout: str | None = None
    workers: int | None = None
    device: str = "auto"
    only_estimate: bool = False

    def studies(self) -> tuple[Study, ...]:
        """The studies, in the order of the catalogue."""
        from napari_vidrecon.studies import catalogue

        return tuple(study for study in catalogue.all_studies() if study.name in self.names)

    def plan(self) -> Plan:
        """Mice and scale.

        Returns
        -------
        Plan
            Files are opened when they are needed.

        Raises
        ------
        VidreconError
            The sample is missing, or a list cannot be read.
        """
        from napari_vidrecon.studies.mice import one_mouse, read_mice, sample_mouse
        from napari_vidrecon.studies.scale import scale_named
        from napari_vidrecon.studies.study import Plan

        if self.mice:
            mice = read_mice(Path(self.mice))
        elif self.session:
            mice = (one_mouse(Path(self.session), [*map(Path, self.encoders)], Path(self.mask), self.readout),)
        else:
            mice = (sample_mouse(),)
        return Plan.at_their_rate(mice, scale_named(self.scale))


def work(ask: Ask, tell: Tell, stopped: threading.Event) -> None:
    """Do what is asked, in this process.

    Parameters
    ----------
    ask
        What.
    tell
        Called with news of one key each: `phase` (words), `listed` (study, runs), `counted` (done, total, label),
        `estimated` (numbers), `written` (study).
    stopped
        Set by who waits no longer; finished runs stay.

    Raises
    ------
    Left
        It was stopped.
    VidreconError
        An input is at fault, a run failed, or nothing can be written.
    """
    (_estimate if ask.only_estimate else _conduct)(ask, tell, stopped)


def _leave_if(stopped: threading.Event) -> None:
    if stopped.is_set():
        raise Left


def _estimate(ask: Ask, tell: Tell, stopped: threading.Event) -> None:
    from napari_vidrecon.studies.conducting import cost, require_libraries
    from napari_vidrecon.studies.runs.running import usual_workers

    tell({"phase": "Timing a few steps"})
    require_libraries()
    needed = cost([_watched(study, tell, stopped) for study in ask.studies()], ask.plan(), Path(ask.out))
    workers = ask.workers or usual_workers()
    _leave_if(stopped)
    found = {"runs": needed.runs, "missing": needed.missing, "disk_bytes": needed.disk_bytes, "workers": workers}
    tell({"estimated": {**found, "seconds": needed.worker_seconds / workers}})


def _conduct(ask: Ask, tell: Tell, stopped: threading.Event) -> None:
    from napari_vidrecon.studies import conducting
    from napari_vidrecon.studies.runs.run_spec import RunStore

    def counted(progress: Progress) -> None:
        _leave_if(stopped)
        tell({"counted": [progress.done, progress.total, progress.label]})

    def written(each: Written) -> None:
        tell({"written": each.name})

    conducting.require_libraries()
    tell({"phase": "Looking which runs are there already"})
    plan, studies, out = ask.plan(), ask.studies(), Path(ask.out)
    store = RunStore(out)
    for study in studies:
        _leave_if(stopped)
        runs = conducting.grid([study], plan, store)
        tell({"listed": [study.name, [[str(folder), spec.label] for folder, spec in runs.items()]]})
    tell({"phase": "Starting worker processes"})
    watched = [_watched(study, tell, stopped) for study in studies]
    progress = {"on_progress": counted, "on_written": written}
    conducting.conduct(watched, plan, out, workers=ask.workers, device=ask.device, **progress)  # type: ignore[arg-type]


def _watched(study: Study, tell: Tell, stopped: threading.Event) -> Study:
    """The same study, which can be left between its parts and says what it does."""

    def told(text: str, make: Callable[..., Made]) -> Callable[..., Made]:
        def watched(*arguments: Any) -> Made:
            _leave_if(stopped)
            if text:
                tell({"phase": f"{study.title}: {text}"})
            return make(*arguments)

        return watched

    def movie(each: Movie) -> Movie:
        def frames() -> Iterator[np.ndarray]:
            for frame in told(f"movie {each.name}", each.frames)():
                _leave_if(stopped)
                yield frame

        return replace(each, frames=frames)

    def evaluate(plan: Plan, store: RunStore) -> Outcome:
        outcome = told("measuring", study.evaluate)(plan, store)
        pictures = [replace(each, draw=told(f"figure {each.name}", each.draw)) for each in _drawings(outcome)]
        return replace(outcome, drawings=pictures, movies=list(map(movie, outcome.movies)))

    return replace(study, runs=told("", study.runs), evaluate=evaluate)


def _drawings(outcome: Outcome) -> Sequence[Drawing]:
    return outcome.drawings


# From the side of who asks


def run_apart(ask: Ask, tell: Tell, stopped: threading.Event) -> None:
    """As `work`, in a process of its own, which ends with this one.

    Parameters
    ----------
    ask
        What.
    tell
        Called in this thread, see `work`.
    stopped
        Set by who waits no longer: the process is asked to stop, and after a few seconds made to.

    Raises
    ------
    Left
        It was stopped.
    RunError
        What was at fault, in one line; also where the process itself died, which leaves this one unharmed.
    """
    with tempfile.TemporaryFile() as last_words:
        process = _started(last_words)
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True, name="vidrecon-study-news").start()
        try:
            _write(process, json.dumps(asdict(ask)) + "\n")
            ended = _follow(process, lines, tell, stopped)
        finally:
            _end(process)
        if stopped.is_set():
            raise Left
        if not ended:
            raise RunError(_how_it_died(process.returncode, last_words))


def _started(last_words: IO[bytes]) -> subprocess.Popen[str]:
    # What is installed in a folder of one's own, too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    hidden: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW}
    program = os.fsdecode(get_executable() or sys.executable)
    return subprocess.Popen(
        [program, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=last_words,
        env=environment,
        encoding="utf-8",
        **hidden,
    )


def _read(stream: IO[str] | None, lines: queue.SimpleQueue[str | None]) -> None:
    # Closed by who reads: from another thread that would wait for the end of the reading.
    with contextlib.suppress(OSError, ValueError), stream or contextlib.nullcontext():
        for line in stream or ():
            lines.put(line)
    lines.put(None)


def _write(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    # Who is dead already will say so at the other end.
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(text)
        process.stdin.flush()


def _follow(
    process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None], tell: Tell, stopped: threading.Event
) -> bool:
    """Pass the news on until the process has ended or was stopped; whether it said that all is done."""
    until, ended = float("inf"), False
    while time.monotonic() < until:
        if stopped.is_set() and until == float("inf"):
            _write(process, STOP)
            until = time.monotonic() + STOP_SECONDS
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            break
        news = json.loads(line)
        if "failed" in news:
            raise RunError(news["failed"])
        ended = ended or "ended" in news
        if not ended:
            tell(news)
    return ended


def _end(process: subprocess.Popen[str]) -> None:
    """Leave nothing behind: neither the process, nor workers that it has started."""
    with contextlib.suppress(OSError, ValueError):
        if process.stdin is not None:
            process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _how_it_died(code: int | None, last_words: IO[bytes]) -> str:
    last_words.seek(0, os.SEEK_END)
    last_words.seek(max(last_words.tell() - LAST_WORDS_BYTES, 0))
    error = RunError(f"the process of a study ended with code {code}")
    error.add_note(last_words.read().decode("utf-8", "replace"))
    log = write_fault_log(error)
    return (
        f"The process that ran the study has died (code {code}); finished runs are kept, and Start goes on from there."
        + (f" Details: {log}" if log is not None else "")
    )


# From the side of who is asked


def main() -> None:
    """Read what is asked, do it, tell the news; one JSON object a line."""
    # What libraries print must not get between the news.
    news = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    faulthandler.enable()
    stopped, lock = threading.Event(), threading.Lock()

    def tell(each: dict[str, Any]) -> None:
        with lock, contextlib.suppress(OSError):
            news.write(json.dumps(each) + "\n")
            news.flush()

    told = json.loads(_line())
    ask = Ask(**{**told, "names": tuple(told["names"]), "encoders": tuple(told["encoders"])})
    threading.Thread(target=_listen, args=(stopped,), daemon=True, name="vidrecon-study-stop").start()
    try:
        work(ask, tell, stopped)
    except Left:
        pass
    except VidreconError as error:
        tell({"failed": one_line(error)})
    except Exception as error:  # noqa: BLE001  # the last place that can turn it into a message
        log = write_fault_log(error)
        kind = f"Something unforeseen went wrong ({type(error).__name__}: {one_line(error)}); please report it."
        tell({"failed": kind + (f" Details: {log}" if log is not None else "")})
    tell({"ended": True})


def _line() -> str:
    """The next line of the input; not buffered, as a reader that waits in a buffer cannot be left at the end."""
    read = bytearray()
    while not read.endswith(b"\n") and (byte := os.read(0, 1)):
        read += byte
    return read.decode("utf-8")


def _listen(stopped: threading.Event) -> None:
    """Wait for the word to stop, or for the end of who gives it; then there is not much time."""
    _line()
    stopped.set()
    time.sleep(STOP_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
