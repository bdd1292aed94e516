"""Timing in turn, so that a busy machine slows both sides alike."""

from __future__ import annotations

import time

from benchmarks.speed.timing import Timing, compared, interleaved


def test_tasks_take_turns_and_the_order_changes() -> None:
    calls: list[str] = []
    told: list[str] = []
    tasks = {name: (lambda name=name: calls.append(name)) for name in ("naive", "ours")}
    timings = interleaved(tasks, 3, warmups=1, on_call=told.append)
    assert calls == ["naive", "ours", "ours", "naive", "naive", "ours", "ours", "naive"]
    assert told == calls
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_warm_ups_are_not_in_the_times() -> None:
    pauses = iter([0.05, 0.0, 0.0])
    timing = interleaved({"task": lambda: time.sleep(next(pauses))}, 2, warmups=1)["task"]
    assert max(timing.seconds) < 0.05


def test_a_ratio_is_of_medians_and_its_range_of_neighbouring_calls() -> None:
    ratios = compared(Timing([4.0, 9.0, 6.0]), Timing([2.0, 3.0, 1.0]))
    assert ratios == {"ratio": 3.0, "ratio_least": 2.0, "ratio_most": 6.0}
