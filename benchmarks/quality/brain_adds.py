"""Is what the brain adds found where it was planted, and nothing where nothing was?

    python benchmarks/quality/mice.py --folder arena && python benchmarks/quality/other_mice.py --folder arena
    python benchmarks/quality/brain_adds.py --folder arena --out docs/brain_adds.json      # can be stopped and repeated
    python benchmarks/quality/brain_adds.py --print docs/brain_adds.json

Clips of the test tiers are shown several times to every mouse in the folder, by the simulation that made it, as in
`repeats.py`. None planted: it answers to the movie that the encoder is given. Planted: in every third clip the mouse
answers to another movie within a disc, for a while (the clip that differs most from it there); the encoder is given the
movie shown. It counts as planted where the two differ by 20 grey levels or more, smoothed as in the test. All clips of
a mouse are tested together. Reconstructions are kept in the folder, so that only statistics are repeated. Simulated.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from any_mouse import NAMES, SEMI_REAL, Measured, quiet
from repeats import FIRST_NEW, Present, presenting
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

import napari_vidrecon as vr
from napari_vidrecon.analysis.brain_adds import presented
from napari_vidrecon.analysis.excess import USUAL_SIGMA, Added, Presented, beyond_chance
from napari_vidrecon.storage import replacing_file

FRAMES, SKIPPED = 48, 12
PLANTED_FRAMES = slice(22, 42)
RADIUS_PX, EDGE_PX = 5.0, 1.0
INSIDE_PX = 4.0
"""Of the middle of the disc from the edge of the evaluation mask, at least where the mask is that wide."""
EVERY = 3
LEAST_PLANTED = 20.0
"""Grey levels."""
NEAR_PX, NEAR_FRAMES = 4, 8
"""What is coloured this close to the disc, in space and time, is of it."""
TIERS = "live_test_main", "oracle"
SHARES = 0.05, 0.1, 0.2
NONE, PLANTED = "none planted", "planted"


def disc(pixels: np.ndarray, clip: int) -> np.ndarray:
    """(36, 64) opacity 0..1 of what is planted: a soft-edged disc somewhere inside the mask."""
    depth = distance_transform_edt(pixels)
    places = np.argwhere(depth >= min(INSIDE_PX, depth.max()))
    row, column = places[np.random.default_rng(clip).integers(len(places))]
    down, right = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return np.clip((RADIUS_PX - np.hypot(down - row, right - column)) / EDGE_PX + 0.5, 0.0, 1.0)


def planted_movie(mouse: Measured, clip: int, clips: list[int]) -> np.ndarray:
    """(T, 36, 64) what the mouse answers to instead of the clip."""
    seen = mouse.session.trial(clip).video
    opacity = np.zeros_like(seen)
    opacity[PLANTED_FRAMES] = disc(mouse.mask.binary(1.0), clip)
    changes = (opacity * (mouse.session.trial(other).video - seen) for other in clips)
    return seen + max(changes, key=lambda change: float(np.square(change).sum()))


def shown(mouse: Measured, present: Present, clip: int, seen: np.ndarray | None, count: int) -> list[vr.Trial]:
    """Presentations of a clip, or of what the mouse sees of it."""
    whole = mouse.session.trial(clip)
    asked = whole if seen is None else replace(whole, video=seen)
    answered = [present(asked, FIRST_NEW + 100 * clip + k) for k in range(count)]
    return [replace(trial, video=whole.video).part(0, FRAMES) for trial in answered]


def reconstructed(
    mouse: Measured, present: Present, clip: int, seen: np.ndarray | None, at: argparse.Namespace
) -> Presented:
    """Kept, as everything after it takes seconds."""
    kind = NONE if seen is None else PLANTED
    file = at.folder / f"{mouse.name}_brain_adds" / f"{clip}_{kind.replace(' ', '_')}_{at.repeats}.npz"
    if not file.exists():
        trials = shown(mouse, present, clip, seen, at.repeats)
        expected = None if seen is None else reconstructed(mouse, present, clip, None, at).expected
        found = presented(trials, [mouse.encoder], mouse.mask, quiet(at.preset), expected=expected)
        file.parent.mkdir(exist_ok=True)
        with replacing_file(file) as part, part.open("wb") as opened:
            np.savez(opened, expected=found.expected, experienced=found.experienced)
    with np.load(file) as kept:
        return Presented(kept["expected"], kept["experienced"], f"{mouse.name}, trial {clip}")


def area_under_roc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that something planted scores higher than something that was not."""
    ranks = score.ravel().argsort().argsort()[positive.ravel()].astype(np.float64)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return float((ranks.sum() - positives * (positives - 1) / 2) / (positives * negatives))


def judged(added: list[Added], planted: list[np.ndarray | None], pixels: np.ndarray) -> dict[str, object]:
    """What was coloured, and of it what was planted: the changes (T, 36, 64) of the movie, or None."""
    told: dict[str, object] = {"coloured": [round(each.share, 5) for each in added]}
    areas, hits, false, coloured = [], [], 0, 0
    for each, change in zip(added, planted, strict=True):
        exceeds = each.exceeds[SKIPPED:, pixels]
        coloured += int(exceeds.sum())
        if change is None:
            false += int(exceeds.sum())
            continue
        there = np.abs(smoothed(change, pixels)) >= LEAST_PLANTED
        near = binary_dilation(change != 0, np.ones((2 * NEAR_FRAMES + 1, 2 * NEAR_PX + 1, 2 * NEAR_PX + 1)))
        areas.append(area_under_roc(1 - each.p[SKIPPED:, pixels], there))
        hits.append(float(exceeds[there].mean()))
        false += int((exceeds & ~near[SKIPPED:, pixels]).sum())
    if not areas:
        return told
    found = {"area under ROC": areas, "planted coloured": hits, "false share": false / max(coloured, 1)}
    return told | {name: np.round(values, 4).tolist() for name, values in found.items()}


def smoothed(change: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(T, P) as the test smoothes."""
    inside = np.broadcast_to(pixels, change.shape).astype(float)[SKIPPED:]
    parts = (change[SKIPPED:] * inside, inside)
    total, weight = (gaussian_filter(each, USUAL_SIGMA, mode="constant")[:, pixels] for each in parts)
    return np.asarray(total / weight)


def measured(mouse: Measured, present: Present, at: argparse.Namespace) -> dict[str, object]:
    """One mouse: none planted and planted, at every share, against noise and faults and against noise alone."""
    clips = [clip for tier in TIERS for clip in mouse.session.trials_in_tier(tier)][: at.clips]
    pixels = mouse.mask.binary(1.0)
    seen = [planted_movie(mouse, clip, clips) if index % EVERY == 0 else None for index, clip in enumerate(clips)]
    plain = [reconstructed(mouse, present, clip, None, at) for clip in clips]
    mixed = [reconstructed(mouse, present, clip, movie, at) for clip, movie in zip(clips, seen, strict=True)]
    changes = [
        None if movie is None else (movie - mouse.session.trial(clip).video)[:FRAMES]
        for clip, movie in zip(clips, seen, strict=True)
    ]
    found: dict[str, object] = {"clips": clips, "presentations": at.repeats}
    for against in ("encoder", "noise"):
        for q in SHARES:
            how = {"q": q, "against": against, "skip_frames": SKIPPED}
            found[f"{against}, q {q:g}"] = {
                NONE: judged(beyond_chance(plain, pixels, **how), [None] * len(clips), pixels),
                PLANTED: judged(beyond_chance(mixed, pixels, **how), changes, pixels),
            }
    return found


def rows(told: dict[str, dict]) -> list[str]:
    """The tables of docs/repeats.md."""
    lines = [
        "| beyond | q | none planted: coloured | clips with any | planted: area under ROC | coloured of it | false |"
    ]
    lines.append("|---" * 7 + "|")
    for case in [name for name in next(iter(told.values())) if "q " in name]:
        none, planted = ([mouse[case][kind] for mouse in told.values()] for kind in (NONE, PLANTED))
        shares = np.concatenate([each["coloured"] for each in none])
        areas, hits = (
            np.concatenate([each[key] for each in planted]) for key in ("area under ROC", "planted coloured")
        )
        beyond, q = case.split(", q ")
        false = np.mean([each["false share"] for each in planted])
        cells = (
            beyond,
            q,
            f"{100 * shares.mean():.2f} % (most {100 * shares.max():.1f} %)",
            f"{int((shares > 0).sum())} of {len(shares)}",
            f"{areas.mean():.2f} ({areas.min():.2f} to {areas.max():.2f})",
            f"{100 * hits.mean():.0f} %",
            f"{100 * false:.0f} %",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("brain_adds.json"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--only", nargs="*", default=[name for name in NAMES if name != SEMI_REAL])
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    out = arguments.printed or arguments.out
    told: dict[str, dict] = json.loads(out.read_text()) if out.exists() else {}
    for name in [] if arguments.printed else arguments.only:
        mouse = Measured(arguments.folder, name)
        told[name] = measured(mouse, presenting(name, mouse.session, None), arguments)
        with replacing_file(out) as file:
            file.write_text(json.dumps(told, indent=1) + "\n")
    print("\n".join(rows(told)))


if __name__ == "__main__":
    main()
