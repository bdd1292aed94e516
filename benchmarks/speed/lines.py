"""A benchmark's results in lines for a terminal, and its numbers as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any


def machine_line(machine: Mapping[str, Any]) -> str:
    """Date, CPU, cores, GPU and torch in one line."""
    gpu = machine["gpu"] or "no GPU"
    return f"{machine['date']}, {machine['cpu']}, {cores(machine['cores'])}, {gpu}, torch {machine['torch']}"


def cores(count: int) -> str:
    """How many, in words: "1 core", "2 cores"."""
    return f"{count} core{'s' * (count > 1)}"


def short_lines(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and figures of every row, for a terminal."""
    lines = [
        (
            row["case"],
            f"{times(row)} as fast as {article(row['beside'])} ({pair(row)}): {row['size']}, {cores(row['threads'])}",
        )
        for row in results.get("timings", [])
    ]
    for row in results.get("quality", []):
        needed = "never" if row["windows"] is None else f"{row['windows']:.0f} windows, {seconds(row['seconds'])}"
        fewer, faster = ratio(row["windows_ratio"]), ratio(row["seconds_ratio"])
        gain = f"{fewer} times fewer windows, {faster} times less time than paper"
        reached = f"reached on {row['reached']} of {row['clips']} clips"
        lines.append((f"quality, {row['preset']}", f"{needed}; {gain}; {reached}, best {row['best']:.3f}"))
    for row in results.get("gradients", []):
        errors = f"off by {row['gradient_error']:.1e} of the largest, norms by {row['norm_error']:.1e}"
        lines.append((f"gradients, {row['precision']}", f"{errors}: {row['size']}"))
    for row in results.get("growth", []):
        lines.append((f"growth, {row['axis']} {row['value']}", f"{seconds(median(row))} {row['what']}: {row['size']}"))
    for row in results.get("gpu", []):
        lines.append(
            ("gpu", row.get("missing") or f"{times(row)} as fast as the naive loop ({pair(row)}): {row['size']}")
        )
    return lines


def median(row: Mapping[str, Any]) -> float:
    """Median of our seconds."""
    return statistics.median(row["seconds"])


def times(row: Mapping[str, Any]) -> str:
    """The ratio with its range: "4.13 times (3.90 to 4.42)"."""
    return f"{ratio(row['ratio'])} times{spread(row)}"


def spread(row: Mapping[str, Any]) -> str:
    """The range of the ratio, where there was more than one call."""
    least, most = ratio(row["ratio_least"]), ratio(row["ratio_most"])
    return f" ({least} to {most})" if len(row["seconds"]) > 1 else ""


def ratio(value: float) -> str:
    """A ratio for people: "4.13", "12.9"."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def pair(row: Mapping[str, Any]) -> str:
    """Both medians: "16.2 s, ours 3.9 s"."""
    return f"{seconds(statistics.median(row['beside_seconds']))}, ours {seconds(median(row))}"


def article(beside: str) -> str:
    """With an article where it wants one."""
    return f"the {beside}" if beside == "naive loop" else beside


def seconds(value: float) -> str:
    """A duration for people, three digits: "0.26 ms", "123 ms", "4.56 s", "78 s"."""
    if value < 1.0:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 1000 else f"{value:.0f} s"


def windows(count: int | None) -> str:
    """How many windows that was, where it is known."""
    return "" if count is None else f" ({count} windows)"
