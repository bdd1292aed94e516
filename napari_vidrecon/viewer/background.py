"""What controllers of the window share: jobs in threads, a timer that fetches their news, and who listens how long."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.runs.jobs import Counted, Failed, Job, OpenJobs, Warned, any_at_work

KEPT = "_vidrecon_subscriptions"


class Emitter(Protocol):
    """A signal of the model, or one of napari's events; both keep methods weakly."""

    def connect(self, slot: Callable[..., Any], /) -> Any: ...
    def disconnect(self, slot: Callable[..., Any], /) -> Any: ...


def subscribe(owner: QObject, emitter: Emitter, slot: Callable[..., Any]) -> None:
    """Connect a signal or an event to a method of a Qt object, until that object is destroyed.

    The model and the viewer may outlive a widget by far, and would otherwise call a widget whose Qt half is gone.

    Parameters
    ----------
    owner
        The Qt object the method belongs to.
    emitter
        Of the model or of napari.
    slot
        A bound method of `owner`.
    """
    emitter.connect(slot)
    listening = _Listening(emitter, slot)
    # Kept by the owner; nobody else has to.
    vars(owner).setdefault(KEPT, []).append(listening)
    owner.destroyed.connect(listening.stop)


class _Listening:
    """A connection, for ending it.

    An object and not a closure: of a method PyQt knows whether its object is still there. A closure that the garbage
    collector has emptied together with a widget is called nevertheless, when the widget's Qt half is deleted later,
    and takes the program along.
    """

    def __init__(self, emitter: Emitter, slot: Callable[..., Any]) -> None:
        self._emitter, self._slot = emitter, weakref.WeakMethod(slot)

    def stop(self) -> None:
        """End it."""
        method = self._slot()
        if method is not None:
            with contextlib.suppress(ValueError):
                self._emitter.disconnect(method)


POLL_MILLISECONDS = 83
"""12 Hz: as often as a runner publishes."""
COLLECT_MILLISECONDS = 200
ANEW_AT_LOOKS = (1, 6)
"""The second, after a second, finds what Qt and the canvas still held at the first, as of layers that are gone."""
MANY_MODULES = 100
"""So many that came since tell of a library such as torch."""


class Collector:
    """Has garbage collected in the thread of the window alone, as long as a window is there.

    Otherwise the collector runs in whatever thread makes the most objects, and frees widgets of closed docks there,
    which Qt does not survive. Where somebody else has taken the collector over, it is left to them.

    What libraries are made of stays for ever. To go through their 700,000 objects takes 0.2 s, in which the window
    stands still: every half a minute, and whenever napari takes away a layer, for it has everything collected then. So
    what is there when the window opens, and after a library was taken in, is left out of account, and so is what comes
    with a session. Garbage may be among it, and is collected with the rest when the next session takes its place. What
    a job holds then, as the run of a session that was closed, is collected once no job is at work.
    """

    def __init__(self) -> None:
        self._mine = gc.isenabled()
        self._known_modules, self._modules = len(sys.modules), 0
        self._looks_to_go: tuple[int, ...] = ()
        self._opened = self._let_go = self._asked = self._jobs_hold_some = False
        # At the end of a program, too: widgets of closed docks that were left to the very end would be freed after Qt.
        weakref.finalize(self, _collect_everything)
        self._timer = QTimer()
        self._timer.setInterval(COLLECT_MILLISECONDS)
        self._timer.timeout.connect(self.collect)
        if self._mine:
            gc.disable()
            gc.freeze()
            self._timer.start()

    def begin_anew(self) -> None:
        """A session was opened: at the looks to come what came with it is left out of account.

        Before, everything is collected that was let go of; for the first session nothing was.
        """
        self._looks_to_go, self._asked = ANEW_AT_LOOKS, True
        self._let_go, self._opened = self._opened, True

    def collect(self) -> None:
        """Collect the generations that are due, as Python would."""
        before, self._modules = self._modules, len(sys.modules)
        self._looks_to_go = tuple(each - 1 for each in self._looks_to_go if each > 0)
        if self._mine and 0 in self._looks_to_go:
            if self._let_go:
                _collect_everything()
            gc.freeze()
            if self._asked and self._looks_to_go == (0,):
                self._asked, self._jobs_hold_some = False, self._let_go and any_at_work()
        elif self._mine and self._jobs_hold_some and not any_at_work():
            # Their news are to be taken before.
            self._jobs_hold_some, self._looks_to_go = False, ANEW_AT_LOOKS[-1:]
        elif self._mine and self._modules >= self._known_modules + MANY_MODULES and self._modules == before:
            # None came since the last look, so the library is there as a whole.
            self._known_modules = self._modules
            gc.freeze()
        due = [index for index, most in enumerate(gc.get_threshold()) if gc.get_count()[index] > most > 0]
        if due:
            gc.collect(max(due))

    def close(self) -> None:
        """Leave it to Python again."""
        if self._mine:
            self._mine = False
            gc.unfreeze()
            gc.enable()
            # At the end of the program Qt may have been first.
            with contextlib.suppress(RuntimeError):
                self._timer.stop()


def _collect_everything() -> None:
    gc.unfreeze()
    gc.collect()


class Background(QObject):
    """Jobs in threads of their own, and a timer that brings their news; a controller says what they mean.

    Neither side ever waits for the other. Whatever the news lead to, the next ones are still fetched: an error is
    told in one line. With their owner, and with the program, the jobs are asked to end; the program waits a little
    until they have kept what they made.

    Parameters
    ----------
    tell
        Called with one line and whether it is an error, as `ReconstructionModel.message` is.
    parent
        Qt owner.

    Attributes
    ----------
    counted
        How far the work is; None at rest, and where it cannot be said.
    """

    changed = Signal()
    """There is something new to show."""

    def __init__(self, tell: Callable[[str, bool], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.faults = Faults(tell)
        self.counted: Counted | None = None
        self.jobs = OpenJobs()
        self._tell, self._began = tell, 0.0
        self._going_on: list[Job] = []
        self.destroyed.connect(self.jobs.close)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.jobs.finish)
        self._timer = QTimer(self, interval=POLL_MILLISECONDS)
        self._timer.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether something goes on whose end was not taken in yet."""
        return bool(self._going_on)

    @property
    def free(self) -> bool:
        """Whether something may be begun: nothing goes on, and the window is still there."""
        return not self.busy and not self.jobs.closed

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end and has not yet."""
        return any(job.cancelled.is_set() for job in self._going_on)

    @property
    def polling(self) -> bool:
        """Whether news are looked for."""
        return bool(self._timer.isActive())

    @property
    def seconds_left(self) -> float:
        """Until all is done, as fast as it went so far; NaN before the first is."""
        if self.counted is None or not self.counted.done:
            return float("nan")
        return (time.monotonic() - self._began) / self.counted.done * (self.counted.total - self.counted.done)

    def begin(self, job: Job, counted: Counted | None = None) -> Job:
        """Let a job begin, and fetch its news from now on.

        Parameters
        ----------
        job
            Not started yet.
        counted
            How much there is to do, where that is known from the beginning.

        Returns
        -------
        Job
            The same job.
        """
        if not self._going_on:
            self.counted = None
        self._going_on.append(job)
        self.jobs.start(job)
        self._timer.start()
        if counted is not None:
            self._count(counted)
        self.changed.emit()
        return job

    def stop(self) -> None:
        """Ask what goes on to end; returns at once."""
        for job in self._going_on:
            job.cancel()
        self.changed.emit()

    def wait(self, seconds: float = 120.0) -> bool:
        """Wait until nothing goes on, then take in the news; for scripts. Returns whether it ended in time."""
        while self._going_on:
            ended = all(job.wait(seconds) for job in self._going_on)
            self.poll()
            if not ended:
                return False
        return True

    @guarded
    def poll(self) -> None:
        """Fetch what came."""
        changed = False
        for job in tuple(self._going_on):
            # Asked before fetching, so that the last news of an ending job are never missed.
            ended, news = not job.running, job.fetch()
            for each in news:
                with self.faults:
                    self._take(job, each)
            if ended:
                self._going_on.remove(job)
                with self.faults:
                    self.on_end(job)
                if not self.busy:
                    self._count(None)
            changed = changed or ended or bool(news)
        if not self._going_on:
            self._timer.stop()
        if changed:
            self.changed.emit()

    def _take(self, job: Job, news: Any) -> None:
        if isinstance(news, Failed):
            self.on_failure(job, news.message)
        elif isinstance(news, Warned):
            self._tell(news.message, False)
        elif isinstance(news, Counted):
            before = "" if self.counted is None else self.counted.text
            self._count(replace(news, text=news.text or before))
        else:
            self.on_news(job, news)

    def _count(self, counted: Counted | None) -> None:
        if self.counted is None:
            self._began = time.monotonic()
        self.counted = counted

    # What a controller says

    def on_news(self, job: Job, news: Any) -> None:
        """Something that the job told."""

    def on_failure(self, job: Job, message: str) -> None:
        """An error ended the job."""
        self._tell(message, True)

    def on_end(self, job: Job) -> None:
        """The thread is gone, and all its news were taken."""
