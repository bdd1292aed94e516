"""What bounds the pictures: the simulation itself as encoder, so that nothing but noise and prior is left.

    python benchmarks/quality/bound.py --folder scratch/arena --out docs/quality_bound.json

The prior of `best` alone, without noise on inputs, with the encoder that was trained, and with the simulated mouse
itself in its place, from single noisy trials and from the activity that endless repeats would average to. Tuning
clips of every mouse.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from arena import FRAMES, PRIOR_ALONE, TUNING_TIER, Arena, Stored
from mice import MICE
from simulated_encoder import SimulatedEncoder, tensor
from tables import interval

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import SCREEN_COLUMNS, SCREEN_ROWS
from napari_vidrecon.reconstruction.gradients import likelihood_scale, negative_log_likelihood
from napari_vidrecon.reconstruction.spectral_prior import about_movies, stated
from napari_vidrecon.reconstruction.update import build_update
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.sessions.trial import Trial

LARGEST_DIFFERENCE = 0.01
"""Between the simulation and its copy in torch, in units of activity."""
TRAINED = "trained encoder, single trial"
PERFECT = "simulation as encoder, single trial"
TRAINED_NOISELESS = "trained encoder, expected activity"
PERFECT_NOISELESS = "simulation as encoder, expected activity"


def reconstructed(
    encoder: SimulatedEncoder, trial: Trial, activity: np.ndarray, *, own_spectrum: bool = False
) -> np.ndarray:
    """What its prior gives with the simulation as encoder, all frames in every step.

    Parameters
    ----------
    own_spectrum : the prior has the spectrum of the very movie that was shown, which nobody knows.
    """
    preset = vr.ReconstructionConfig.preset("best", **PRIOR_ALONE)
    if own_spectrum:
        config = stated(preset, MovieStatistics.of([trial.video], trial.frame_rate_hz))
    else:
        config, _ = about_movies(preset, trial, [])
    screen = (slice(0, SCREEN_ROWS), slice(0, SCREEN_COLUMNS))
    video = torch.full((FRAMES, SCREEN_ROWS, SCREEN_COLUMNS), config.initial_level)
    update = build_update(config, video, screen, trial.frame_rate_hz)
    video = update.restrict_to(video, torch.ones(video.shape[1:], dtype=torch.bool), video)
    scale, wanted = likelihood_scale(config, activity, FRAMES), tensor(activity)
    for step in range(config.steps):
        movie = video.clone().requires_grad_(True)
        loss = negative_log_likelihood(encoder.rates(movie, trial), wanted, config).mean()
        (gradient,) = torch.autograd.grad(loss, movie)
        video = update(video, scale * gradient, step)
    return video.numpy()


def measured(arena: Arena, encoder: SimulatedEncoder, clips: list[int]) -> dict[str, list[float]]:
    """Correlation of each clip, by what was reconstructed from what."""
    found: dict[str, list[float]] = {name: [] for name in (TRAINED, PERFECT, TRAINED_NOISELESS, PERFECT_NOISELESS)}
    config = vr.ReconstructionConfig.preset("best", track_every=10**6, track_responses=False, **PRIOR_ALONE)
    for clip in clips:
        trial = arena.session.trial(clip).part(0, FRAMES)
        expected = encoder.cortex.rates(trial.video, trial.behavior, trial.pupil_center)
        copied = encoder.rates(tensor(trial.video), trial).numpy()
        if np.abs(copied - expected).max() > LARGEST_DIFFERENCE:
            raise SystemExit(f"{trial.name}: the copy in torch does not predict what the simulation does")
        for target, trained, perfect in (
            (trial.responses, TRAINED, PERFECT),
            (expected, TRAINED_NOISELESS, PERFECT_NOISELESS),
        ):
            video = vr.reconstruct(trial, arena.encoders[:1], arena.mask, config, target=target).video
            found[trained].append(arena.correlation(trial.video, video))
            found[perfect].append(arena.correlation(trial.video, reconstructed(encoder, trial, target)))
    return found


def main() -> None:
    """Measure what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/quality_bound.json"))
    parser.add_argument("--clips", type=int, default=4, help="tuning clips of each mouse")
    arguments = parser.parse_args()
    stored = Stored(arguments.out)
    bound = stored.values.setdefault("bound", {})
    for mouse in MICE:
        if mouse.name not in bound:
            arena = Arena(mouse, arguments.folder)
            clips = arena.clips(TUNING_TIER, arguments.clips)
            bound[mouse.name] = measured(arena, SimulatedEncoder(mouse), clips)
            stored.keep()
    print(
        "| prior alone with | " + " | ".join(bound) + " | all (95 %) |", "|---|" + "---|" * (len(bound) + 1), sep="\n"
    )
    for name in (TRAINED, PERFECT, TRAINED_NOISELESS, PERFECT_NOISELESS):
        means = " | ".join(f"{np.mean(found[name]):.3f}" for found in bound.values())
        print(f"| {name} | {means} | {interval([each for found in bound.values() for each in found[name]])} |")


if __name__ == "__main__":
    main()
