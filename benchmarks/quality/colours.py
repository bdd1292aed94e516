"""Is a level of each colour's own better than one of all colours together, where colours are unlike?

    python benchmarks/quality/colours.py --folder unlike          # simulates, trains and fits a mask first: 20 minutes

A simulated mouse whose green is dark and flat and whose UV is bright and rich; its neurons see one colour each, and
adapt to half of its contrast. Held-out clips are reconstructed with `fast` from recorded activity and measured inside
alpha >= 0.84: with one level and one SD about it for all colours, as runs of before had them; with each colour's own
level; and with the SD about these, as sessions in colours tell it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import napari_vidrecon as vr
from napari_vidrecon import metrics
from napari_vidrecon.sessions.simulation.camera import seen_by_neurons
from napari_vidrecon.sessions.simulation.mouse import describe, simulate_trial, trial_tiers, write_mouse
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex

COLOURS, LEVELS, CONTRASTS = ("green", "uv"), (55.0, 155.0), (0.45, 0.95)
SCREEN = vr.ScreenGeometry(rows=36, cols=16, colours=COLOURS)
SEED, NEURONS, GAIN, FRAMES = 3, 300, 1.0, 150
TIERS = {"train_trials": 150, "validation_trials": 6, "test_trials": 4}
MIDDLE, RATE_HZ = 127.5, 30.0
USUAL_MEANS = (113.1, 119.6)
"""Of the movies before their colours are made unlike."""
RECIPE = ("features=16", "temporal_kernels=7,5", "batch_size=8")
STEPS, MASK_STEPS = 400, 32
THRESHOLD, MEASURED, SKIPPED = 0.84, 64, 16


def shown(cortex: VisualCortex, trial: int, *, frames: int, tier: str) -> vr.Trial:
    """A trial whose colours are unlike."""
    usual = simulate_trial(cortex, trial, frames=frames, tier=tier, screen=SCREEN)
    planes, activity = [], usual.responses.copy()
    for place, plane in enumerate(np.split(usual.video, len(COLOURS), axis=1)):
        varied = CONTRASTS[place] * (plane - USUAL_MEANS[place])
        planes.append(np.rint(np.clip(LEVELS[place] + varied, 0, 255)).astype(np.float32))
        adapted = np.clip(MIDDLE + (planes[-1] - LEVELS[place]) / np.sqrt(CONTRASTS[place]), 0, 255)
        seen = seen_by_neurons(adapted.astype(np.float32), RATE_HZ)
        answers = cortex.responses(seen, usual.behavior, usual.pupil_center, trial=trial)
        activity[place :: len(COLOURS)] = answers[place :: len(COLOURS)]
    return replace(usual, video=np.concatenate(planes, axis=1), recorded_responses=activity)


def prepare(folder: Path) -> tuple[vr.Session, Path, Path]:
    """Session, encoder and mask, made where they are not there."""
    mouse, encoder, mask = folder / "mouse", folder / "encoder.safetensors", folder / "mask.npy"
    folder.mkdir(exist_ok=True)
    if not mouse.exists():
        cortex, tiers = VisualCortex(NEURONS, SEED, gain=GAIN), trial_tiers(**TIERS)
        notes = describe(cortex, tiers, FRAMES) | {"screen_px": list(SCREEN.size_px), "colours": list(COLOURS)}
        made = {"frames": FRAMES, "coordinates": cortex.coordinates, "notes": notes, "screen": SCREEN}
        write_mouse(mouse, partial(shown, cortex), tiers, **made)
    command = [sys.executable, "-m", "napari_vidrecon.cli"]
    if not encoder.exists():
        recipe = [word for each in RECIPE for word in ("--recipe", each)]
        words = ["train", str(mouse), "--out", str(encoder), "--steps", str(STEPS), *recipe]
        subprocess.run([*command, *words], check=True)
    if not mask.exists():
        words = ["mask", str(mouse), "--encoder", str(encoder), "--out", str(mask), "--steps", str(MASK_STEPS)]
        subprocess.run([*command, *words], check=True)
    return vr.open_session(mouse), encoder, mask


def ways(session: vr.Session) -> dict[str, vr.ReconstructionConfig]:
    """Settings to compare."""
    usual, movies = vr.ReconstructionConfig.preset("fast", track_every=25), session.movie_statistics()
    assert movies is not None
    spread = float(np.hypot(movies.sd, np.std(movies.colour_levels)))
    level = {"initial_level": movies.level, "padding_level": movies.level}
    return {
        "one of all": usual.changed(prior_sd=round(spread, 2), **level, colour_levels=(movies.level,) * len(COLOURS)),
        "own level": usual.changed(prior_sd=round(spread, 2)),
        "own level, SD about it": usual,
    }


def measure(session: vr.Session, encoder_file: Path, mask_file: Path) -> None:
    """Reconstruct held-out clips in every way, and print a table."""
    encoder, mask = vr.load_encoder(encoder_file, device="cpu"), vr.AlphaMask.load(mask_file)
    inside = mask.binary(THRESHOLD)
    parts = [inside & (np.arange(SCREEN.rows) // SCREEN.rows_a_colour == place)[:, None] for place in range(2)]
    clips = [*session.trials_in_tier("oracle"), *session.trials_in_tier("live_test_main")]
    found: dict[str, list[list[float]]] = {}
    for clip in clips:
        trial = session.trial(clip).part(0, MEASURED)
        for way, config in ways(session).items():
            video = vr.reconstruct(trial, [encoder], mask, config, evaluation_threshold=THRESHOLD).video
            pair = trial.video[SKIPPED:], video[SKIPPED:]
            scores = [metrics.rmse(*pair, pixels) for pixels in (inside, *parts)]
            found.setdefault(way, []).append([*scores, *(metrics.video_correlation(*pair, each) for each in parts)])
            print(clip, way, np.round(found[way][-1], 3), flush=True)
    usual = np.array(next(iter(found.values())))
    print("| | RMSE | better in | RMSE, green | UV | correlation, green | UV |\n|---|---|---|---|---|---|---|")
    for way, scores in found.items():
        mean, better = np.mean(scores, axis=0), int((np.array(scores)[:, 0] < usual[:, 0]).sum())
        row = [f"{mean[0]:.1f}", f"{better} of {len(clips)}", *(f"{each:.1f}" for each in mean[1:3])]
        print(f"| {way} | {' | '.join([*row, *(f'{each:.2f}' for each in mean[3:])])} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where mouse, encoder and mask are kept")
    measure(*prepare(parser.parse_args().folder))
