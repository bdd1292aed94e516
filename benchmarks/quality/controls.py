"""Does a preset make movies out of nothing? Reconstructions beside movies they cannot come from.

    python benchmarks/quality/controls.py --folder scratch/arena --out docs/quality_controls.json

Every test clip of every mouse is reconstructed from its activity, and from the same activity under other neurons'
names. The first is correlated with all other clips of that mouse, the second with all clips: over many pairs, since
two natural movies alone resemble each other, or their negatives, by chance. Each figure is the mean over the movies
that one reconstruction is compared with; the interval is over reconstructions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from arena import FRAMES, TEST_TIER, Arena, Stored
from mice import MICE
from tables import interval

import napari_vidrecon as vr

TRUTH = "true movies"
ROWS = (
    (TRUTH, "recorded", "movies of other clips"),
    ("fast", "recorded", "movies of other clips"),
    ("fast", "permuted", "permuted neurons"),
    ("best", "recorded", "movies of other clips"),
    ("best", "permuted", "permuted neurons"),
)


def compared(arena: Arena, preset: str, target: str, clips: list[int]) -> list[float]:
    """Mean correlation of each reconstruction, or true movie, with the movies it did not come from."""
    trials = [arena.session.trial(clip).part(0, FRAMES) for clip in clips]
    found = []
    for trial in trials:
        video = trial.video
        if preset != TRUTH:
            config = vr.ReconstructionConfig.preset(preset, track_every=10**6, track_responses=False)
            video = vr.reconstruct(trial, arena.encoders[:1], arena.mask, config, target=target).video
        others = [other for other in trials if target == "permuted" or other is not trial]
        found.append(float(np.mean([arena.correlation(other.video, video) for other in others])))
    return found


def main() -> None:
    """Measure what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/quality_controls.json"))
    parser.add_argument("--clips", type=int, default=10)
    arguments = parser.parse_args()
    stored = Stored(arguments.out)
    arenas = {mouse.name: Arena(mouse, arguments.folder) for mouse in MICE}
    print("| control | correlation (95 %) |", "|---|---|", sep="\n")
    for preset, target, name in ROWS:
        by_mouse = stored.values.setdefault("controls", {}).setdefault(f"{preset}, {name}", {})
        for mouse, arena in arenas.items():
            if mouse not in by_mouse:
                by_mouse[mouse] = compared(arena, preset, target, arena.clips(TEST_TIER, arguments.clips))
                stored.keep()
        print(f"| {preset}, {name} | {interval([each for found in by_mouse.values() for each in found])} |", flush=True)


if __name__ == "__main__":
    main()
