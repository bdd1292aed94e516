"""A benchmark's results as a page for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.speed.bars import BARS, verdict
from benchmarks.speed.lines import cores, machine_line, median, ratio, seconds, spread, windows
from benchmarks.speed.quality import FRACTION_OF_BEST

INTRODUCTION = """\
# Speed

Written by `make bench` (`vidrecon bench`) from `performance.json`; do not edit it by hand.

{machine}

The *naive loop* is the published algorithm done as the published code does it: one window after the other, plain 3-D
convolutions, gradients of all weights computed and thrown away, a repeated last sub-batch computed twice
(`benchmarks/speed/naive.py`). It runs in the same process, a call of it and a call of ours in turn, so that what
else the machine does slows both alike. Seconds are medians; the range behind a ratio is the least and the largest ratio
of two neighbouring calls. Absolute times are those of this machine at that hour: read the ratios. How it is done, and
what was tried, is in `speed_notes.md`."""

QUICK_WARNING = "**A quick look at small sizes: these figures say that everything works, and little else.**"
QUALITY_EXPLAINED = f"""\
Until the video correlation first reaches {FRACTION_OF_BEST:.0%} of the best that `paper` reaches on its way on the same
clip. It is measured after every step, after the paper's smoothing (sigma 0.5), where alpha is at least 1, from single
noisy trials; means over held-out clips. Windows (of 16 frames, forwards and backwards) do not depend on the machine.
The last two columns are ratios to `paper`: the mean over clips, in brackets the median and the least; a clip that never
gets there counts as 0. Where the system held the process up in the middle of a step, the mean of the times shows it and
the median does not."""

GRADIENTS_EXPLAINED = """\
Largest difference from the naive loop in the same run: of the movie's gradient as a part of its largest value, of norms
and losses as a part of themselves. In float64 only rounding is left."""

BARS_EXPLAINED = "Ratios are how many times as fast, or how many times fewer; errors are those of the gradients below."
GPU_MISSING = """\
This page was made without a GPU; `docs/speed_notes.md` has the step time on one. Missing here, all at the published
size (300 frames, 8,000 neurons) on a CUDA device and on MPS: step time in float32 and in bfloat16 beside the naive
loop, their share of the memory-bandwidth limit, the memory a chunk really takes, and what several clips or encoders at
once gain there. The code for all of it runs in the tests on a CPU. On a machine with a CUDA device,
`vidrecon bench --cases gpu` measures the step times and shares."""

GPU_EXPLAINED = """\
One optimisation step. The limit is the least memory traffic of a step (an estimate by counting,
`benchmarks/speed/gpu.py`) at the bandwidth that a large copy reaches."""


def markdown(results: Mapping[str, Any]) -> str:
    """The whole page; sections that were not measured are left out."""
    parts = [INTRODUCTION.format(machine=machine_line(results["machine"]))]
    if results["quick"]:
        parts.append(QUICK_WARNING)
    elif any(bar.measured(results) is not None for bar in BARS):
        parts.append(_bars(results))
    for section, render in _SECTIONS.items():
        if results.get(section):
            parts.append(render(results[section]))
    return "\n\n".join(parts) + "\n"


def _bars(results: Mapping[str, Any]) -> str:
    cells = (
        [bar.what, bar.number(bar.at_least), bar.number(bar.aim), f"**{bar.number(found)}**", verdict(bar, found)]
        for bar in BARS
        if (found := bar.measured(results)) is not None
    )
    header = ["what", "at least", "aim", "measured", ""]
    return f"## What was asked for\n\n{BARS_EXPLAINED}\n\n" + table(header, cells)


def _timings(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = (
        [
            row["what"],
            row["size"],
            row["beside"],
            seconds(statistics.median(row["beside_seconds"])) + windows(row.get("beside_windows")),
            seconds(median(row)) + windows(row.get("windows")),
            f"**{ratio(row['ratio'])}**{spread(row)}",
            str(row["threads"]),
            str(row["repeats"]),
        ]
        for row in rows
    )
    header = ["what", "size", "beside", "its time", "our time", "times as fast", "cores", "calls of each"]
    return "## Beside the naive loop, and beside doing things one by one\n\n" + table(header, cells)


def _quality(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = (
        [
            f"`{row['preset']}`",
            f"{row['best']:.3f}",
            f"{row['final']:.3f}",
            f"{row['reached']} of {row['clips']}",
            "-" if row["windows"] is None else f"{row['windows']:.0f}",
            "-" if row["seconds"] is None else seconds(row["seconds"]),
            *(
                f"**{ratio(row[kind])}** ({ratio(row[f'{kind}_median'])}, {ratio(row[f'{kind}_least'])})"
                for kind in ("windows_ratio", "seconds_ratio")
            ),
        ]
        for row in rows
    )
    header = ["preset", "best", "last", "clips that got there", "windows", "time", "fewer windows", "less time"]
    size = rows[0]["size"][:1].upper() + rows[0]["size"][1:]
    return f"## Work to the same quality\n\n{size}; {cores(rows[0]['threads'])}.\n{QUALITY_EXPLAINED}\n\n" + table(
        header, cells
    )


def _gradients(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = (
        [
            row["size"],
            row["precision"],
            *(f"{row[kind]:.1e}" for kind in ("gradient_error", "norm_error", "loss_error")),
        ]
        for row in rows
    )
    header = ["size", "precision", "gradient", "norm over five channels", "loss"]
    return f"## The same gradients\n\n{GRADIENTS_EXPLAINED}\n\n" + table(header, cells)


def _growth(rows: Sequence[Mapping[str, Any]]) -> str:
    first: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(row["axis"], row)
    cells = (
        [
            row["axis"],
            f"{row['value']:,}",
            f"{row['what']}, {row['size']}",
            seconds(median(row)),
            f"{row['value'] / first[row['axis']]['value']:.1f} : {median(row) / median(first[row['axis']]):.1f}",
        ]
        for row in rows
    )
    header = ["what grows", "to", "what is timed", "time", "size : time, beside the first"]
    return f"## How the cost grows\n\nOurs alone, preset `paper`, {cores(rows[0]['threads'])}.\n\n" + table(
        header, cells
    )


def _gpu(rows: Sequence[Mapping[str, Any]]) -> str:
    if "missing" in rows[0]:
        return f"## On a GPU\n\n{GPU_MISSING}"
    cells = (
        [
            row["size"],
            row["precision"],
            seconds(statistics.median(row["beside_seconds"])),
            seconds(median(row)),
            f"**{ratio(row['ratio'])}**{spread(row)}",
            f"{row['share_of_limit']:.0%}",
        ]
        for row in rows
    )
    header = ["size", "precision", "naive loop", "ours", "times as fast", "share of the memory-bandwidth limit"]
    return f"## On a GPU\n\n{GPU_EXPLAINED}\n\n" + table(header, cells)


_SECTIONS = {"timings": _timings, "quality": _quality, "gradients": _gradients, "growth": _growth, "gpu": _gpu}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
