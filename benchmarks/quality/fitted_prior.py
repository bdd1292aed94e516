"""What a prior as fast as the clip gives beside the usual one: the table of docs/quality.md, "A prior for each clip".

    python benchmarks/quality/fitted_prior.py --folder arena --out fitted_prior.json       # test clips; can be repeated
    python benchmarks/quality/fitted_prior.py --print docs/fitted_prior.json

Of mice in the folder, clips of 64 frames, single noisy trials, one encoder, `best`, last step, inside alpha >= 1 after
the paper's smoothing. Corners and rule were chosen on the tier oracle of seed7 and seed21. Simulated, or semi-real.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import napari_vidrecon as vr
from napari_vidrecon.storage import replacing_file

FRAMES, MEASURED = 64, slice(16, 64)
CORNERS_HZ, FIT_STEPS = (0.1, 0.25, 0.65, 1.5), 25
MICE = ("seed7", "seed11", "seed21", "seed31", "leaves", "clouds", "semi")
RESAMPLED = 2000


def fitted(
    trial: vr.Trial, encoder: vr.Encoder, mask: vr.AlphaMask, config: vr.ReconstructionConfig
) -> vr.ReconstructionConfig:
    """The prior's temporal corner whose movie predicts a tenth of the neurons best that it was made without."""
    misfits = []
    for corner_hz in CORNERS_HZ:
        changed = {"prior.temporal_corner": corner_hz, "stopping": "held_out"}
        run = vr.plan_run(trial, [encoder], mask, config.changed(**changed, steps=FIT_STEPS))
        losses = []
        while not run.finished:
            losses.append(run.step().loss)
        misfits.append(min(losses))
    return config.changed(**{"prior.temporal_corner": CORNERS_HZ[int(np.argmin(misfits))]})


def correlation(trial: vr.Trial, encoder: vr.Encoder, mask: vr.AlphaMask, config: vr.ReconstructionConfig) -> float:
    """Of the last movie of a run with the true one."""
    run = vr.plan_run(trial, [encoder], mask, config)
    while not run.finished:
        run.step()
    movies = (run.steppable.optimised_video, trial.video)
    shown, true = (vr.postprocess.smooth(np.clip(movie, 0, 255))[MEASURED] for movie in movies)
    return float(vr.metrics.video_correlation(true, shown, mask.binary(1.0)))


def table(told: dict[str, dict[str, dict]]) -> str:
    """One line a mouse, and one of all clips with an interval."""
    lines = ["| mouse | clips | stated, 0.65 Hz | fitted | gain | corners taken, Hz |", "|---" * 6 + "|"]
    everyone = [clip for clips in told.values() for clip in clips.values()]
    for name, clips in [*((name, list(clips.values())) for name, clips in told.items()), ("all", everyone)]:
        stated, own = (np.array([each[which] for each in clips]) for which in ("stated", "fitted"))
        drawn = np.random.default_rng(0).choice(own - stated, (RESAMPLED, len(clips))).mean(axis=1)
        low, high = np.quantile(drawn, (0.025, 0.975))
        told_gain = f"{(own - stated).mean():+.3f}" + (f" ({low:+.3f} to {high:+.3f})" if name == "all" else "")
        taken = "" if name == "all" else ", ".join(f"{each['corner_hz']:g}" for each in clips)
        lines.append(f"| {name} | {len(clips)} | {stated.mean():.3f} | {own.mean():.3f} | {told_gain} | {taken} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--tier", default="live_test_main")
    parser.add_argument("--mice", nargs="*", default=MICE)
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("fitted_prior.json"))
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    if arguments.printed:
        print(table(json.loads(arguments.printed.read_text())))
        return
    told = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    usual = vr.ReconstructionConfig.preset("best", track_every=10**6, track_responses=False)
    sessions = {name: vr.open_session(arguments.folder / name) for name in arguments.mice}
    for number in range(arguments.clips):
        # A clip of every mouse before the next of any: stopped at any moment, all are told of.
        for name, session in sessions.items():
            clip = session.trials_in_tier(arguments.tier)[number]
            clips = told.setdefault(name, {})
            if str(clip) in clips:
                continue
            trial, mask = (
                session.trial(clip).part(0, FRAMES),
                vr.AlphaMask.load(arguments.folder / f"{name}_resolved.npy"),
            )
            encoder = vr.load_encoder(arguments.folder / f"{name}_0.safetensors", device="cpu")
            config = fitted(trial, encoder, mask, usual)
            stated = correlation(trial, encoder, mask, usual)
            corner_hz = config.update.prior.temporal_corner
            own = stated if config == usual else correlation(trial, encoder, mask, config)
            clips[str(clip)] = {"stated": stated, "fitted": own, "corner_hz": corner_hz}
            print(f"{name} {clip}: {stated:.3f} {own:.3f} {corner_hz:g} Hz", flush=True)
            with replacing_file(arguments.out) as temporary:
                temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")
    print(table(told))


if __name__ == "__main__":
    main()
