"""The stored times of asv's benchmarks, and what became slower than they say."""

from __future__ import annotations

import json

import pytest

from benchmarks.history.compare import BASELINE, SLOWER, YARDSTICK, compared, newest


def results(folder, steps):
    rows = {YARDSTICK: [[0.1], []], "sample.Step.time_step": [steps, [["'paper'", "'fast'"]]]}
    told = {"result_columns": ["result", "params"], "results": rows}
    (folder / "any").mkdir(exist_ok=True)
    (folder / "any" / "commit.json").write_text(json.dumps(told))
    return newest(folder)


def test_times_are_in_units_of_the_yardstick_and_a_slower_one_shows(tmp_path):
    before = results(tmp_path, [0.4, 0.2])
    assert before == pytest.approx({"sample.Step.time_step paper": 4.0, "sample.Step.time_step fast": 2.0})
    assert not compared(before, before)[1]
    text, slower = compared(results(tmp_path, [0.4, 0.2 * SLOWER * 1.01]), before)
    assert slower
    assert [line.split()[1] for line in text.splitlines() if "slower" in line] == ["fast"]
    # asv leaves a time out that it could not measure.
    assert "not measured now" in compared(results(tmp_path, [0.4, None]), before)[0]


def test_without_results_it_says_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match="run make bench-history"):
        newest(tmp_path)


def test_the_baseline_holds_what_is_timed():
    assert all(time > 0 for time in json.loads(BASELINE.read_text()).values())
