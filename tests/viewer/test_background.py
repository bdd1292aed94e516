"""The base of every controller that has work done in threads: what it takes in, how it ends, what it survives."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_vidrecon.errors import RunError
from napari_vidrecon.viewer.background import ANEW_AT_LOOKS, Background, Collector, Counted
from napari_vidrecon.viewer.panels.controls import JobBar
from napari_vidrecon.viewer.runs.jobs import Job

NAME = "vidrecon-test"


class Listener(Background):
    """Writes down what it is told."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(lambda text, is_error: self.said.append(text), parent)
        self.said: list[str] = []
        self.news: list[Any] = []
        self.ended: list[Job] = []

    def on_news(self, job: Job, news: Any) -> None:
        if news == "poison":
            raise RuntimeError("what it led to failed")
        self.news.append(news)

    def on_end(self, job: Job) -> None:
        self.ended.append(job)


BLOCKS, BLOCK_BYTES = 40, 1 << 20


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def until_cancelled(job: Job) -> None:
    assert job.cancelled.wait(30)
    job.tell("kept")


@pytest.fixture
def listener(qtbot: QtBot) -> Listener:
    made = Listener()
    yield made
    made.stop()
    assert made.wait(30)
    assert threads() == []


def test_news_come_in_order_and_before_the_end(qtbot: QtBot, listener: Listener) -> None:
    job = listener.begin(Job(lambda job: [job.tell(number) for number in range(3)], NAME))
    assert listener.busy
    assert listener.polling
    qtbot.waitUntil(lambda: not listener.busy)
    assert listener.news == [0, 1, 2]
    assert listener.ended == [job]
    assert not listener.polling
    assert listener.free


def test_a_job_that_fails_is_one_line_and_the_next_may_begin(listener: Listener) -> None:
    def refuse(job: Job) -> None:
        raise RunError("mask.npy: expected a mask, found none")

    listener.begin(Job(refuse, NAME))
    assert listener.wait()
    assert listener.said == ["mask.npy: expected a mask, found none"]
    listener.begin(Job(lambda job: job.tell("again"), NAME))
    assert listener.wait()
    assert listener.news == ["again"]


def test_a_job_that_raises_what_nobody_foresaw_leaves_a_log(
    listener: Listener, expected_faults: Callable[[], list[Path]]
) -> None:
    listener.begin(Job(lambda job: 1 / 0, NAME))
    assert listener.wait()
    (log,) = expected_faults()
    assert "ZeroDivisionError" in listener.said[0]
    assert log.name in listener.said[0]
    assert not listener.busy


def test_news_that_lead_to_an_error_keep_nothing_of_the_others_back(
    listener: Listener, expected_faults: Callable[[], list[Path]]
) -> None:
    job = listener.begin(Job(lambda job: [job.tell(each) for each in ("before", "poison", "after")], NAME))
    assert listener.wait()
    assert listener.news == ["before", "after"]
    assert listener.ended == [job]
    assert "what it led to failed" in listener.said[0]
    assert len(expected_faults()) == 1


def test_it_is_told_how_far_the_work_is_and_how_long_it_takes(listener: Listener) -> None:
    go_on, counted = threading.Event(), threading.Event()

    def count(job: Job) -> None:
        job.tell(Counted(1, 4, "first"))
        job.tell(Counted(2, 4))
        counted.set()
        go_on.wait(30)

    listener.begin(Job(count, NAME), Counted(0, 4))
    assert listener.counted == Counted(0, 4)
    assert not listener.seconds_left > 0
    assert counted.wait(30)
    listener.poll()
    assert listener.counted == Counted(2, 4, "first")
    assert 0 < listener.seconds_left < 30
    go_on.set()
    assert listener.wait()
    assert listener.counted is None


def test_stopping_keeps_what_the_job_still_tells(listener: Listener) -> None:
    listener.begin(Job(until_cancelled, NAME))
    assert not listener.stopping
    listener.stop()
    assert listener.stopping
    assert listener.wait()
    assert listener.news == ["kept"]
    assert not listener.stopping


def memory_mb() -> float:
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library of Linux")
def test_what_a_job_had_is_given_back_to_the_system_when_it_ends(listener: Listener) -> None:
    within: list[float] = []

    def work(_job: Job) -> None:
        blocks = [b"1" * BLOCK_BYTES for _ in range(BLOCKS)]
        within.append(memory_mb())
        del blocks

    # From here on glibc takes blocks of up to so much from a thread's own place, and keeps them.
    large = b"1" * (31 << 20)
    del large
    for _ in range(2):
        before = memory_mb()
        listener.begin(Job(work, NAME))
        assert listener.wait(30)
    assert within[-1] - before > 0.9 * BLOCKS * BLOCK_BYTES / 1e6
    assert memory_mb() - before < 0.2 * BLOCKS * BLOCK_BYTES / 1e6


ARENAS_OF_TEN_THREADS = """
import ctypes, sys, threading
from napari_vidrecon.viewer.runs.jobs import share_memory_among_threads

library = ctypes.CDLL(None)
library.fopen.restype, library.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]


def arenas():
    file = library.fopen(sys.argv[1].encode(), b"w")
    library.malloc_info(0, file)
    library.fclose(file)
    return open(sys.argv[1]).read().count("<heap nr=")


def more():
    before, met, leave = arenas(), threading.Barrier(11), threading.Event()

    def take():
        block = bytearray(100_000)
        met.wait()
        leave.wait()

    threads = [threading.Thread(target=take) for _ in range(10)]
    for thread in threads:
        thread.start()
    met.wait()
    found = arenas() - before
    leave.set()
    for thread in threads:
        thread.join()
    return found


if sys.argv[2] == "shared":
    share_memory_among_threads()
print(more())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library of Linux")
def test_threads_that_begin_later_share_the_places_that_memory_comes_from(tmp_path: Path) -> None:
    more = {}
    for how in ("apart", "shared"):
        command = [sys.executable, "-c", ARENAS_OF_TEN_THREADS, str(tmp_path / "arenas.xml"), how]
        more[how] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert more["apart"] > 0
    assert more["shared"] == 0


OWN_PAGES = """
import ctypes, threading
from napari_vidrecon.viewer.runs.jobs import Job

library = ctypes.CDLL(None)
names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
told = type("Told", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in names.split()]})
library.mallinfo2.restype = told
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.restype, library.free.argtypes = None, [ctypes.c_void_p]


def has_pages_of_its_own():
    before = library.mallinfo2().hblks
    movie = library.malloc(4 << 20)
    after = library.mallinfo2().hblks
    library.free(movie)
    return after > before


leave = threading.Event()
assert Job(lambda _job: None, "first").start().wait(30)
found = [has_pages_of_its_own()]
long, short = Job(lambda _job: leave.wait(30), "long").start(), Job(lambda _job: None, "short").start()
assert short.wait(30)
found.append(has_pages_of_its_own())
leave.set()
assert long.wait(30)
found.append(has_pages_of_its_own())
print(*found)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library of GNU, 2.33 or later"
)
def test_a_movie_made_at_rest_has_pages_of_its_own_and_one_made_while_a_job_works_has_not() -> None:
    command = [sys.executable, "-c", OWN_PAGES]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == [
        "True",
        "False",
        "True",
    ]


def test_giving_memory_back_is_nothing_that_the_next_job_has_to_wait_for(
    qtbot: QtBot, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = threading.Event()
    monkeypatch.setattr("napari_vidrecon.viewer.runs.jobs.give_memory_back", lambda: given_back.wait(30))
    job = Job(lambda _job: None, NAME)
    listener.begin(job)
    qtbot.waitUntil(lambda: not job.running, timeout=5000)
    assert not job.wait(0.05)
    given_back.set()
    assert job.wait(5)


FREED_IN_PLACES_OF_THEIR_OWN = """
import threading
from pathlib import Path
from napari_vidrecon.viewer.runs.jobs import give_memory_back, share_memory_among_threads

THREADS, BLOCKS, BLOCK_BYTES = 3, 400, 100_000


def memory_mb():
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * 4096 / 1e6


def take(met):
    blocks = [b"x" * BLOCK_BYTES for _ in range(BLOCKS)]
    met.wait()
    # The last one first, so that all are one free end and none is given back by itself.
    while blocks:
        blocks.pop()


def all_take():
    met = threading.Barrier(THREADS)
    threads = [threading.Thread(target=take, args=(met,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


all_take()
share_memory_among_threads()
before = memory_mb()
all_take()
kept = memory_mb() - before
give_memory_back()
print(before, kept, memory_mb())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library of Linux")
def test_what_threads_freed_in_places_of_their_own_is_given_back_by_any_other() -> None:
    command = [sys.executable, "-c", FREED_IN_PLACES_OF_THEIR_OWN]
    before, kept, left = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert left < 0.3 * (before + kept)


def test_waiting_gives_up_in_time(listener: Listener) -> None:
    listener.begin(Job(until_cancelled, NAME))
    assert not listener.wait(0.05)
    assert listener.busy


def test_jobs_end_with_their_owner(qtbot: QtBot) -> None:
    owner = QObject()
    listener = Listener(owner)
    jobs = listener.jobs
    listener.begin(Job(until_cancelled, NAME))
    owner.deleteLater()
    qtbot.waitUntil(lambda: threads() == [])
    assert jobs.closed


def test_nothing_begins_once_the_window_is_gone(listener: Listener) -> None:
    listener.jobs.close()
    assert not listener.free


def test_the_program_waits_for_what_a_job_keeps_when_it_quits(listener: Listener) -> None:
    listener.begin(Job(until_cancelled, NAME))
    listener.jobs.finish()
    assert threads() == []
    listener.poll()
    assert listener.news == ["kept"]


KEPT_BY_A_POOL_OF_THREADS = """
import pathlib, sys
from concurrent.futures import ThreadPoolExecutor
from napari_vidrecon.viewer.runs.jobs import Job

kept = pathlib.Path(sys.argv[1])


def work(job):
    job.cancelled.wait(30)
    with ThreadPoolExecutor() as pool:
        pool.submit(kept.write_text, "kept").result()


Job(work, "vidrecon-test").start()
"""


def test_a_program_that_ends_without_a_word_of_qt_waits_until_a_job_has_kept_what_it_made(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    subprocess.run([sys.executable, "-c", KEPT_BY_A_POOL_OF_THREADS, str(kept)], check=True, timeout=60)
    assert kept.read_text() == "kept"


def test_a_bar_shows_how_far_the_work_is_and_ends_it(qtbot: QtBot, listener: Listener) -> None:
    panel = QWidget()
    qtbot.addWidget(panel)
    bar = JobBar(listener, ("fit_progress", "stop_fit"), "Stop fit", "fitting: step", parent=panel)
    assert not bar.isVisibleTo(panel)
    listener.begin(Job(until_cancelled, NAME), Counted(0, 4))
    assert bar.isVisibleTo(panel)
    assert bar.bar.format() == "fitting: step 0 of 4"
    bar.stop_button.click()
    assert not bar.stop_button.isEnabled()
    assert listener.wait()
    assert not bar.isVisibleTo(panel)


def test_widgets_in_a_circle_are_freed_in_the_thread_of_the_window_alone(qtbot: QtBot) -> None:
    collector = Collector()
    try:
        widget = QWidget()
        widget.me, freed_in = widget, []
        weakref.finalize(widget, lambda: freed_in.append(threading.current_thread()))
        del widget

        def make_garbage() -> None:
            for _ in range(100_000):
                circle: list[Any] = []
                circle.append(circle)

        thread = threading.Thread(target=make_garbage)
        thread.start()
        thread.join()
        assert freed_in == []
        collector.collect()
        gc.collect()
        assert freed_in == [threading.main_thread()]
    finally:
        collector.close()
    assert gc.isenabled()


@pytest.mark.long
def test_what_libraries_are_made_of_is_not_gone_through_again_and_garbage_among_it_goes_when_much_is_let_go_of(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

    def frozen(node: Node) -> bool:
        return all(each is not node for each in gc.get_objects())

    there, gone = Node(), weakref.ref(Node())
    collector = Collector()
    assert frozen(there)
    try:
        later, gone_later = Node(), weakref.ref(Node())
        for number in range(100):
            monkeypatch.setitem(sys.modules, f"library.part{number}", sys)
        collector.collect()
        assert not frozen(later), "while modules still come"
        collector.collect()
        assert frozen(later)
        gc.collect()
        assert None not in (gone(), gone_later())
        first = Node()
        collector.begin_anew()
        collector.collect()
        assert frozen(first)
        assert None not in (gone(), gone_later()), "the first session takes nobody's place, and nobody waits for it"
        collector.begin_anew()
        collector.collect()
        assert (gone(), gone_later()) == (None, None)
        assert frozen(there)
        # Held by something else still, as what Qt deletes at its next turn.
        held = Node()
        gone_at_last = weakref.ref(held)
        collector.begin_anew()
        collector.collect()
        assert frozen(held)
        del held
        for _ in range(ANEW_AT_LOOKS[-1] - ANEW_AT_LOOKS[0]):
            assert gone_at_last() is not None
            collector.collect()
        assert gone_at_last() is None
    finally:
        collector.close()
    assert not frozen(there)


def test_what_a_job_of_a_closed_session_held_goes_once_the_job_has_ended(qtbot: QtBot) -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

    held, goes_on = [Node()], threading.Event()
    gone = weakref.ref(held[0])
    collector = Collector()
    try:
        job = Job(lambda _job: bool(goes_on.wait(30)), NAME).start()
        collector.begin_anew()
        # Another session in the place of the first.
        collector.begin_anew()
        for _ in range(2 * ANEW_AT_LOOKS[-1]):
            collector.collect()
        held.clear()
        gc.collect()
        assert gone() is not None, "out of account, since it was held at the last look"
        goes_on.set()
        qtbot.waitUntil(lambda: not job.running)
        for _ in range(1 + ANEW_AT_LOOKS[-1]):
            collector.collect()
        assert gone() is None
    finally:
        goes_on.set()
        collector.close()


def test_a_second_window_leaves_the_collector_to_the_first(qtbot: QtBot) -> None:
    first, second = Collector(), Collector()
    second.close()
    assert not gc.isenabled()
    first.close()
    assert gc.isenabled()


def test_what_the_library_warns_of_while_a_job_works_is_told_once_by_the_job_that_met_it(listener: Listener) -> None:
    library, others = logging.getLogger("napari_vidrecon.encoders.answers"), threading.Event()

    def waits(job: Job) -> None:
        assert others.wait(30)

    def warns(job: Job) -> None:
        library.warning("%s: was trained on other neurons", "mine")
        library.info("nothing that anybody has to know")
        others.set()

    for work in (waits, warns):
        listener.begin(Job(work, NAME))
    assert listener.wait()
    library.warning("after all")
    listener.poll()
    assert listener.said == ["mine: was trained on other neurons"]


def test_what_the_library_warns_of_reaches_the_terminal_once_however_many_jobs_listen(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As in a program that set up no log of its own; pytest has.
    monkeypatch.setattr(logging.root, "handlers", [])
    together = threading.Barrier(2)

    def warns(job: Job) -> None:
        together.wait(30)
        logging.getLogger("napari_vidrecon.encoders.checkpoints").warning("no GPU, %s", threading.get_ident())
        together.wait(30)

    for _ in range(2):
        listener.begin(Job(warns, NAME))
    assert listener.wait()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(set(lines)) == 2
    assert listener.said == []
