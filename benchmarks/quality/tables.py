"""The tables of the quality arena: what was asked for, methods over all mice, and mouse by mouse."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

RESAMPLED = 10_000
SHARES = ("power 0 to 1 Hz", "power 1 to 3 Hz", "power 3 to 8 Hz")


def best_step(curve: dict) -> int:
    """Where a tuning curve is highest."""
    return int(max(curve, key=lambda step: curve[step]))


def rows(test: dict, what: str) -> Iterator[tuple[str, list[float]]]:
    """(method, one figure a clip over all mice), in the order of the first mouse."""
    names = dict.fromkeys(name for mouse in test.values() for name in mouse)
    for name in names:
        yield name, [clip[what] for mouse in test.values() for clip in mouse.get(name, {}).values()]


def interval(values: list[float]) -> str:
    """Mean with its 95 % t-interval over clips."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else float("nan")
    return f"{np.mean(values):.3f} ({np.mean(values) - half:.3f} to {np.mean(values) + half:.3f})"


def table(test: dict) -> str:
    """All methods over all mice."""
    lines = [
        "| method | clips | video correlation (95 %) | frame | SSIM | power 0-1, 1-3, 3-8 Hz | windows |",
        "|---|---|---|---|---|---|---|",
    ]
    others = {what: dict(rows(test, what)) for what in ("frame_correlation", "ssim", "windows", *SHARES)}
    for name, values in rows(test, "correlation"):
        frame, ssim, windows, *power = (np.nanmean(others[what][name]) for what in others)
        shares = ", ".join(f"{part:.2f}" for part in power)
        lines.append(
            f"| {name} | {len(values)} | {interval(values)} | {frame:.3f} | {ssim:.3f} | {shares} | {windows:.0f} |"
        )
    return "\n".join(lines)


def ratio(test: dict, above: str, below: str, what: str = "correlation") -> tuple[float, float, float]:
    """Mean over clips of one method beside another, with a 95 % interval from resampled clips."""
    # Seconds are kept only where both ran beside each other on one quiet CPU thread.
    values = {
        name: {c: each[what] for mouse, found in test.items() for c, each in clips(mouse, found, name) if what in each}
        for name in (above, below)
    }
    shared = sorted(set(values[above]) & set(values[below]))
    first, second = (np.array([values[name][clip] for clip in shared]) for name in (above, below))
    drawn = np.random.default_rng(0).integers(0, len(shared), (RESAMPLED, len(shared)))
    spread = first[drawn].mean(axis=1) / second[drawn].mean(axis=1)
    low, high = np.percentile(spread, [2.5, 97.5])
    return float(first.mean() / second.mean()), float(low), float(high)


def clips(mouse: str, found: dict, name: str) -> Iterator[tuple[str, dict]]:
    """Every clip of a mouse that a method was measured on, under a name of its own."""
    for clip, values in found.get(name, {}).items():
        yield f"{mouse} {clip}", values


def bars(test: dict, encoders: int) -> str:
    """What was asked for beside what was measured."""
    mean = {name: float(np.mean(values)) for name, values in rows(test, "correlation")}
    tuned, best = "paper, tuned steps", "best"
    lines = ["| | at least | aim | measured |", "|---|---|---|---|"]

    def line(what: str, least: str, aim: str, measured: str) -> None:
        lines.append(f"| {what} | {least} | {aim} | {measured} |")

    def change(above: str, below: str) -> str:
        middle, low, high = (100 * (part - 1) for part in ratio(test, above, below))
        return f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})"

    line("`best` beside `paper` with tuned steps, one encoder", "+12 %", "+20 %", change(best, tuned))
    if f"best, {encoders} encoders" in mean:
        above, below = f"best, {encoders} encoders", f"paper, tuned steps, {encoders} encoders"
        line(f"the same, {encoders} encoders averaged", "+10 %", "+15 %", change(above, below))
    distance = mean["paper from predicted, tuned steps"] - mean[tuned]
    closed = (mean[best] - mean[tuned]) / distance
    line("share closed of the distance to predicted activity", "0.5", "0.8", f"{closed:.2f}")
    for times in ("twice", "four times"):
        line(f"`best` at {times} its steps, beside itself", "within 2 %", "", change(f"best, {times} the steps", best))
    published = "paper, 1000 steps as published"
    if published in mean:
        middle, low, high = ratio(test, best, published, "seconds")
        line("time of `best` beside `paper` as published", "0.1", "0.03", f"{middle:.3f} ({low:.3f} to {high:.3f})")
    for name, values in rows(test, "correlation"):
        if "other clip" in name or "permuted" in name or "no neurons" in name:
            line(name, "within 0.05 of 0", "", interval(values))
    return "\n".join(lines)


def mouse_table(stored: dict) -> str:
    """`paper` and `best` mouse by mouse."""
    lines = ["| mouse | steps of paper | paper, tuned | best | from predicted |", "|---|---|---|---|---|"]
    for mouse, test in stored["test"].items():
        mean = {name: np.mean([clip["correlation"] for clip in clips.values()]) for name, clips in test.items()}
        columns = ("paper, tuned steps", "best", "paper from predicted, tuned steps")
        figures = " | ".join(f"{mean[name]:.3f}" if name in mean else "" for name in columns)
        lines.append(f"| {mouse} | {best_step(stored['tuning'][mouse]['recorded'])} | {figures} |")
    return "\n".join(lines)
