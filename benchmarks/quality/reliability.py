"""Is the uncertainty map as large as the error? The reliability plot of docs/quality.md.

    python benchmarks/quality/reliability.py --folder scratch/arena --out docs/images/reliability.png
    python benchmarks/quality/reliability.py --print docs/reliability.json    # the table alone

Test clips of every mouse in the folder (those of `any_mouse.py`), single noisy trials, one encoder, `best` with draws.
Pixels inside alpha >= 1 are sorted by their uncertainty into tenths; in each the root mean square of the true error is
drawn over the uncertainty. On the diagonal both are the same. Beside it the same after `calibrate_uncertainty` on
other clips of that mouse (tier oracle): the error over the scaled map, and how often its intervals hold. Can be stopped
and repeated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from any_mouse import FRAMES, MEASURED, NAMES, Measured
from matplotlib.figure import Figure

import napari_vidrecon as vr
from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.storage import replacing_file

TENTHS = 10


def errors(mouse: Measured, draws: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Uncertainty and true error of every measured pixel and frame."""
    config = vr.ReconstructionConfig.preset("best", draws=draws, track_every=10**6, track_responses=False)
    spreads, off = [], []
    pixels = mouse.mask.binary(1.0)
    for clip in mouse.session.trials_in_tier("live_test_main")[:clips]:
        trial = mouse.session.trial(clip).part(0, FRAMES)
        result = vr.reconstruct(trial, [mouse.encoder], mouse.mask, config)
        spreads.append(uncertainty_map(result.videos)[MEASURED][:, pixels].ravel())
        off.append((result.video - trial.video)[MEASURED][:, pixels].ravel())
    return np.concatenate(spreads), np.concatenate(off)


def binned(spread: np.ndarray, off: np.ndarray) -> list[tuple[float, float]]:
    """(root mean square uncertainty, root mean square error) of each tenth of the pixels."""
    tenths = np.array_split(np.argsort(spread), TENTHS)
    return [tuple(float(np.sqrt(np.mean(part[each] ** 2))) for part in (spread, off)) for each in tenths]


def draw(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """One line a mouse, and the diagonal."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker="o", markersize=3.5, linewidth=1.2, label=name)
    end = 1.05 * max(value for curve in curves.values() for point in curve for value in point)
    axes.plot([0, end], [0, end], color="0.6", linestyle="--", linewidth=1, label="equal")
    axes.set(
        xlim=(0, end), ylim=(0, end), xlabel="uncertainty, grey levels (1 SD)", ylabel="true error, grey levels (RMS)"
    )
    axes.set_title("Simulated and semi-real mice, best with draws, test clips", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def measured(mouse: Measured, draws: int, clips: int, calibration_clips: int) -> dict[str, Any]:
    """Of one mouse: level and reliability of the map as it comes, and calibrated."""
    config = vr.ReconstructionConfig.preset("best", draws=draws, track_every=10**6, track_responses=False)
    chosen = mouse.session.trials_in_tier("oracle")[:calibration_clips]
    calibration = vr.calibrate_uncertainty(mouse.session, [mouse.encoder], mouse.mask, config, chosen, frames=FRAMES)
    spread, off = errors(mouse, draws, clips)
    within = {
        f"inside the {100 * share:g} % interval": float(np.mean(np.abs(off) <= width * spread))
        for share, width in calibration.half_widths.items()
    }
    return {
        "uncertainty": float(np.sqrt(np.mean(spread**2))),
        "error": float(np.sqrt(np.mean(off**2))),
        "inside 1 SD": float(np.mean(np.abs(off) <= spread)),
        "inside 2 SD": float(np.mean(np.abs(off) <= 2 * spread)),
        "scale": calibration.scale,
        **within,
        "tenths": binned(spread, off),
    }


def rows(told: dict[str, dict[str, Any]]) -> list[str]:
    """The table of docs/quality.md."""
    heads = "mouse", "uncertainty (RMS)", "true error", "error over uncertainty", "scale from other clips", "calibrated"
    shares = ("50", "80", "90")
    lines = [f"| {' | '.join((*heads, *(f'inside {each} %' for each in shares)))} |", "|---" * (len(heads) + 3) + "|"]
    for name, one in told.items():
        ratio = one["error"] / one["uncertainty"]
        inside = [f"{100 * one[f'inside the {each} % interval']:.0f} %" for each in shares]
        lines.append(
            f"| {name} | {one['uncertainty']:.1f} | {one['error']:.1f} | {ratio:.2f} | {one['scale']:.2f} | "
            f"{ratio / one['scale']:.2f} | {' | '.join(inside)} |"
        )
    return lines


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where mice.py and other_mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/images/reliability.png"))
    parser.add_argument("--json", type=Path, default=Path("docs/reliability.json"))
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--calibration-clips", type=int, default=4)
    parser.add_argument("--only", nargs="*", default=NAMES)
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    file = arguments.printed or arguments.json
    told: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    for name in [] if arguments.printed else arguments.only:
        if name in told or not (arguments.folder / f"{name}_0.safetensors").exists():
            continue
        mouse = Measured(arguments.folder, name)
        told[name] = measured(mouse, arguments.draws, arguments.clips, arguments.calibration_clips)
        with replacing_file(file) as temporary:
            temporary.write_text(json.dumps(told, indent=1) + "\n")
    if not arguments.printed:
        draw({name: one["tenths"] for name, one in told.items()}, arguments.out)
    print("\n".join(rows(told)))


if __name__ == "__main__":
    main()
