"""Timing several things in turn in one process, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch


@dataclass
class Timing:
    """Seconds that each repeat of one thing took."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median over repeats, seconds."""
        return statistics.median(self.seconds)


def interleaved(
    tasks: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    warmups: int = 1,
    on_call: Callable[[str], None] | None = None,
) -> dict[str, Timing]:
    """Time tasks in turn: once each, then once each in the opposite order, and so on.

    Parameters
    ----------
    tasks
        Name to what is called.
    repeats
        Timed calls of each.
    warmups
        Calls of each before that are not timed.
    on_call
        Called with the name after every call.
    """
    timings = {name: Timing() for name in tasks}
    for turn in range(warmups + repeats):
        for name in list(tasks) if turn % 2 == 0 else reversed(list(tasks)):
            seconds = timed(tasks[name])
            if turn >= warmups:
                timings[name].seconds.append(seconds)
            if on_call is not None:
                on_call(name)
    return timings


def timed(task: Callable[[], object]) -> float:
    """Seconds a call takes, with what it left running on a GPU."""
    _synchronise()
    began = time.perf_counter()
    task()
    _synchronise()
    return time.perf_counter() - began


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def compared(beside: Timing, ours: Timing) -> dict[str, float]:
    """Ratio of the medians, and the least and the largest ratio of neighbouring calls."""
    pairs = [theirs / mine for theirs, mine in zip(beside.seconds, ours.seconds, strict=True)]
    return {"ratio": beside.median / ours.median, "ratio_least": min(pairs), "ratio_most": max(pairs)}
