"""The page and the lines for people hold everything that was measured."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.speed.bars import BARS, verdict
from benchmarks.speed.lines import ratio, seconds, short_lines
from benchmarks.speed.page import markdown

TIMING = {
    "case": "step-small",
    "what": "optimisation step",
    "size": "a small one",
    "beside": "naive loop",
    "repeats": 3,
    "threads": 2,
    "beside_seconds": [10.0, 12.0, 14.0],
    "seconds": [2.0, 3.0, 2.5],
    "ratio": 4.8,
    "ratio_least": 4.0,
    "ratio_most": 5.6,
    "beside_windows": 12,
    "windows": 10,
}
QUALITY = {
    "preset": "fast",
    "threads": 1,
    "size": "the sample's encoder",
    "best": 0.7,
    "final": 0.69,
    "reached": 0,
    "clips": 2,
    "steps": None,
    "windows": None,
    "seconds": None,
    "windows_ratio": 0.0,
    "seconds_ratio": 0.0,
    "windows_ratio_median": 0.0,
    "seconds_ratio_median": 0.0,
    "windows_ratio_least": 0.0,
    "seconds_ratio_least": 0.0,
}


@pytest.fixture
def results() -> dict[str, Any]:
    return {
        "quick": False,
        "machine": {"date": "2026-01-02", "cpu": "some CPU", "threads": 1, "cores": 2, "gpu": None, "torch": "2.10"},
        "timings": [TIMING],
        "quality": [QUALITY],
        "gradients": [
            {
                "size": "a small one",
                "precision": "float64",
                "gradient_error": 2e-15,
                "norm_error": 3e-15,
                "loss_error": 0.0,
            }
        ],
        "growth": [
            {
                "axis": "frames",
                "value": frames,
                "what": "a step",
                "size": "some",
                "seconds": [took],
                "threads": 1,
            }
            for frames, took in ((50, 0.1), (100, 0.25))
        ],
        "gpu": [{"missing": "no GPU at hand"}],
    }


def test_the_page_says_where_and_when_and_what_is_missing(results: dict[str, Any]) -> None:
    page = markdown(results)
    assert "2026-01-02, some CPU, 2 cores, no GPU, torch 2.10" in page
    assert "| 12 s (12 windows) | 2.5 s (10 windows) | **4.80** (4.00 to 5.60) | 2 | 3 |" in page
    assert "| `fast` | 0.700 | 0.690 | 0 of 2 | - | - |" in page
    assert "| 2.0e-15 | 3.0e-15 | 0.0e+00 |" in page
    assert "| 250 ms | 2.0 : 2.5 |" in page
    assert "This page was made without a GPU" in page
    assert "quick look" not in page


def test_what_was_not_measured_has_no_heading(results: dict[str, Any]) -> None:
    page = markdown({key: results[key] for key in ("quick", "machine", "growth")})
    assert page.count("\n## ") == 1


def test_the_page_holds_every_figure_against_what_was_asked_for(results: dict[str, Any]) -> None:
    page = markdown(results)
    assert "| optimisation step, small DwiseNeuro, 300 frames | 4.00 | 6.00 | **4.80** | reached |" in page
    assert "| gradients, float64 | 1.0e-12 | 1.0e-12 | **2.0e-15** | aim reached |" in page
    assert "windows to the same quality | 3.00 | 10.0 | **0.00** | **missed** |" in page
    assert "ensemble of 5" not in page


def test_of_several_errors_the_largest_counts() -> None:
    rows = [{"precision": "float32", "gradient_error": error} for error in (1e-6, 2e-4)]
    (bar,) = [bar for bar in BARS if bar.value == "float32"]
    assert bar.measured({"gradients": rows}) == 2e-4
    assert verdict(bar, 2e-4) == "**missed**"


def test_a_quick_look_says_that_it_is_one(results: dict[str, Any]) -> None:
    assert "A quick look" in markdown({**results, "quick": True})


def test_every_row_has_a_line_in_the_terminal(results: dict[str, Any]) -> None:
    lines = dict(short_lines(results))
    told = "4.80 times (4.00 to 5.60) as fast as the naive loop (12 s, ours 2.5 s): a small one, 2 cores"
    assert lines["step-small"] == told
    assert lines["quality, fast"].startswith("never; ")
    assert lines["growth, frames 100"] == "250 ms a step: some"
    assert lines["gpu"] == "no GPU at hand"
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00026, "0.26 ms"), (0.1234, "123 ms"), (4.5678, "4.57 s"), (78.4, "78.4 s"), (1234.5, "1234 s")],
)
def test_durations_have_three_digits(value: float, text: str) -> None:
    assert seconds(value) == text


def test_small_ratios_have_two_decimals() -> None:
    assert (ratio(4.126), ratio(12.94)) == ("4.13", "12.9")
