"""What was tried on the way to `best`: settings on the tuning clips of the arena's mice.

    python benchmarks/quality/tried.py --folder scratch/arena --out docs/quality_tried.json
    python benchmarks/quality/tried.py --print docs/quality_tried.json

Settings are chosen on these clips only; `arena.py` measures what was chosen on others. What is done is kept in
`--out` and not done again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from arena import FRAMES, TUNING_TIER, Arena, Stored
from mice import MICE

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.run import plan_run

BLUR = {"gradient_blur_px": 2.0, "gradient_blur_frames": 2.0}
STEEP_PRIOR = {
    "prior_sd": 60.0,
    "prior_spatial_corner": 0.2,
    "prior_spatial_exponent": 3.0,
    "prior_temporal_corner": 1.3,
    "prior_temporal_exponent": 1.5,
}
FITTED_PRIOR = {
    "prior_sd": 31.0,
    "prior_spatial_corner": 0.0125,
    "prior_spatial_exponent": 1.8,
    "prior_temporal_corner": 0.7,
    "prior_temporal_exponent": 1.5,
}
TRIED: dict[str, tuple[str, dict]] = {
    "`paper`, 50 steps": ("paper", {"steps": 50}),
    "`paper`, 100 steps": ("paper", {"steps": 100}),
    "`paper` with the gradient blurred 2 px and 2 frames, 60 steps": ("paper", {**BLUR, "steps": 60}),
    "the same, 100 steps": ("paper", {**BLUR, "steps": 100}),
    "`best`": ("best", {}),
    "`fast`": ("fast", {}),
    "`best`, windows every 32 frames": ("best", {"sub_batch_stride": 32}),
    "`best`, a prior without the lowest frequencies (as it was)": ("best", STEEP_PRIOR),
    "`best`, prior fitted to all frequencies alike (Whittle)": ("best", FITTED_PRIOR),
    "`best`, pixels outside the mask grey": ("best", {"surround": "grey"}),
    "`best`, activity counts half": ("best", {"likelihood_weight": 0.05}),
    "`best`, activity counts twice": ("best", {"likelihood_weight": 0.2}),
    "`best`, gradient blurred as well": ("best", {"gradient_blur_px": 1.0, "gradient_blur_frames": 1.0}),
    "`best`, mean of 8 draws": ("best", {"draws": 8, "sub_batch_stride": 32}),
}


def measured(arena: Arena, preset: str, changes: dict, clips: list[int]) -> list[float]:
    """Correlation of the last step on each clip."""
    config = vr.ReconstructionConfig.preset(preset, track_every=10**6, track_responses=False, **changes)
    found = []
    for clip in clips:
        trial = arena.session.trial(clip).part(0, FRAMES)
        run = plan_run(trial, arena.encoders[:1], arena.mask, config)
        while not run.finished:
            run.step()
        found.append(arena.correlation(trial.video, run.steppable.video))
    return found


def table(tried: dict) -> str:
    """Every setting over all mice, and mouse by mouse."""
    mice = list(dict.fromkeys(name for found in tried.values() for name in found))
    lines = [f"| settings | {' | '.join(mice)} | mean of mice |", "|---|" + "---|" * (len(mice) + 1)]
    for name, found in tried.items():
        means = [float(np.mean(values)) for values in found.values()]
        lines.append(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} | {np.mean(means):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/quality_tried.json"))
    parser.add_argument("--clips", type=int, default=4, help="tuning clips of each mouse")
    parser.add_argument("--print", type=Path, metavar="JSON", help="print the table of an earlier run")
    arguments = parser.parse_args()
    stored = Stored(arguments.print or arguments.out)
    tried = stored.values.setdefault("tried", {})
    if arguments.print is None:
        arenas = {mouse.name: Arena(mouse, arguments.folder) for mouse in MICE}
        for name, (preset, changes) in TRIED.items():
            for mouse, arena in arenas.items():
                if mouse not in tried.setdefault(name, {}):
                    clips = arena.clips(TUNING_TIER, arguments.clips)
                    tried[name][mouse] = measured(arena, preset, changes, clips)
                    stored.keep()
            print(name, {mouse: round(float(np.mean(values)), 3) for mouse, values in tried[name].items()}, flush=True)
    print(table(tried))


if __name__ == "__main__":
    main()
