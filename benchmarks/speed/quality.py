"""How much work it takes a reconstruction to come close to the true movie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import smooth
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.run import Run, plan_run
from napari_vidrecon.reconstruction.schedule import build_schedule

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Trial

UNMEASURED_ENDS = (8, 4)
"""First and last frames of a short clip that are not measured: they have little context."""
FRACTION_OF_BEST = 0.95


@dataclass
class Approach:
    """How a reconstruction approached the true movie, step by step.

    Parameters
    ----------
    windows
        Window evaluations so far, after each step; deterministic.
    seconds
        Time spent in steps so far, measuring left out.
    smoothed, unsmoothed
        Video correlation after each step, with and without the paper's smoothing.
    """

    windows: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    unsmoothed: list[float] = field(default_factory=list)

    def add(self, windows: int, seconds: float, smoothed: float, unsmoothed: float) -> None:
        """One more step and what it cost."""
        self.windows.append(windows + (self.windows[-1] if self.windows else 0))
        self.seconds.append(seconds + (self.seconds[-1] if self.seconds else 0.0))
        self.smoothed.append(smoothed)
        self.unsmoothed.append(unsmoothed)

    @property
    def best(self) -> float:
        """Highest smoothed correlation on the way."""
        return float(np.nanmax(self.smoothed))

    def reached(self, level: float, measure: str = "smoothed") -> int | None:
        """Steps done when the correlation first reached a level; None if it never did."""
        reaching = np.flatnonzero(np.asarray(getattr(self, measure)) >= level)
        return int(reaching[0]) + 1 if len(reaching) else None

    def cost(self, level: float, measure: str = "smoothed") -> dict[str, float] | None:
        """Steps, windows and seconds until a level was reached; None if it never was."""
        steps = self.reached(level, measure)
        if steps is None:
            return None
        return {"steps": steps, "windows": self.windows[steps - 1], "seconds": self.seconds[steps - 1]}


def approach_truth(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    variants: Mapping[str, ReconstructionConfig],
    *,
    target: str = "recorded",
    unmeasured: tuple[int, int] = UNMEASURED_ENDS,
    on_step: Callable[[str, int], None] | None = None,
) -> dict[str, Approach]:
    """Reconstruct a clip in several ways, one step of each in turn, and measure every step against the truth.

    Parameters
    ----------
    trial
        The clip.
    encoders
        One, or several whose movies are averaged.
    mask
        Transparency mask; measured where alpha is at least 1.
    variants
        Settings by name; each runs for its own number of steps.
    target
        As for `reconstruct`.
    unmeasured
        First and last frames left out of the correlation.
    on_step
        Called with the variant's name and its steps done.

    Returns
    -------
    dict[str, Approach]
        Name to `Approach`.
    """
    first, last = unmeasured
    measured = slice(first, trial.frames - last)
    correlation = metrics.VideoCorrelation(trial.video[measured], mask.binary(EVALUATION_THRESHOLD))
    runs = {name: _untracked(trial, encoders, mask, config, target) for name, config in variants.items()}
    approaches = {name: Approach() for name in variants}
    while going := [name for name, run in runs.items() if not run.finished]:
        for name in going:
            run = runs[name]
            windows = step_windows(run.config, encoders, trial.frames, run.steppable.step_index)
            info = run.step()
            video = run.steppable.video
            approaches[name].add(
                windows, info.seconds, correlation(smooth(video)[measured]), correlation(video[measured])
            )
            if on_step is not None:
                on_step(name, info.step)
    return approaches


def _untracked(
    trial: Trial, encoders: Sequence[Encoder], mask: AlphaMask, config: ReconstructionConfig, target: str
) -> Run:
    """A run that measures nothing by itself, so that its step times hold steps only."""
    run = plan_run(trial, encoders, mask, config, target=target)
    run.steppable.tracker = None
    return run


def step_windows(config: ReconstructionConfig, encoders: Sequence[Encoder], frames: int, step: int) -> int:
    """Window evaluations (forward and backward) of a step (0, 1, ...) over all encoders."""
    total = 0
    for encoder in encoders:
        windows = encoder.spec.windows
        sub_batches = build_schedule(config, frames, windows.sub_batch_frames).at(step)
        total += len(sub_batches.starts) * windows.step
    return total


def compare_costs(clips: Sequence[Mapping[str, Approach]], reference: str, measure: str = "smoothed") -> dict[str, Any]:
    """What each variant needs to reach 95 % of the best correlation the reference reaches on the same clip.

    Parameters
    ----------
    clips
        Name to approach, one mapping a clip.
    reference
        The variant that sets the level.
    measure
        "smoothed" or "unsmoothed".

    Returns
    -------
    dict[str, Any]
        Variant to {best, final, reached, clips, steps, windows, seconds, windows_ratio, seconds_ratio, ...}: means over
        clips. Ratios are the reference's cost over the variant's, a clip; a clip on which the variant never gets there
        counts as ratio 0, and is left out of steps, windows and seconds.
    """
    rows: dict[str, Any] = {}
    for name in clips[0]:
        costs, ratios = [], {"windows": [], "seconds": []}  # type: tuple[list[Any], dict[str, list[float]]]
        for clip in clips:
            level = FRACTION_OF_BEST * float(np.nanmax(getattr(clip[reference], measure)))
            cost, own = clip[name].cost(level, measure), clip[reference].cost(level, measure)
            assert own is not None
            costs.append(cost)
            for kind, values in ratios.items():
                values.append(0.0 if cost is None else own[kind] / cost[kind])
        reached = [cost for cost in costs if cost is not None]
        rows[name] = {
            "best": float(np.mean([np.nanmax(getattr(clip[name], measure)) for clip in clips])),
            "final": float(np.mean([getattr(clip[name], measure)[-1] for clip in clips])),
            "reached": len(reached),
            "clips": len(clips),
            **{
                kind: float(np.mean([cost[kind] for cost in reached])) if reached else None
                for kind in ("steps", "windows", "seconds")
            },
            **{f"{kind}_ratio": float(np.mean(values)) for kind, values in ratios.items()},
            **{f"{kind}_ratio_median": float(np.median(values)) for kind, values in ratios.items()},
            **{f"{kind}_ratio_least": float(np.min(values)) for kind, values in ratios.items()},
        }
    return rows
