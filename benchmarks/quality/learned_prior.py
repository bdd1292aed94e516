"""What a learned prior adds to `best`: the table of docs/quality.md, "A learned prior".

    vidrecon prior train --out denoiser.safetensors
    python benchmarks/quality/learned_prior.py --folder arena --prior denoiser.safetensors --keep movies --tier oracle
    python benchmarks/quality/learned_prior.py --folder arena --prior denoiser.safetensors --keep movies
    python benchmarks/quality/learned_prior.py --print docs/learned_prior.json

Of mice in the folder (the arena's, those of other simulations, the semi-real one), clips of 64 frames, single noisy
trials, one encoder, last step, inside alpha >= 1 after the paper's smoothing. Pull and weight are chosen on the tier
oracle of two mice and measured once on the tier live_test_main. `--keep` holds the movies. Simulated, or semi-real.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.fft import dct

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.denoiser import Denoiser
from napari_vidrecon.storage import replacing_file

FRAMES, MEASURED = 64, slice(16, 64)
MICE = ("seed7", "seed11", "seed21", "seed31", "leaves", "clouds", "semi")
BEST = "best"
PULLS = {"red.25": 0.25, "red.5": 0.5}
"""Pulls at every step, by what the movies are called."""
WEIGHTS = {"finish.5": 0.5, "finish1": 1.0, "finish1.5": 1.5}
"""Weights of what is added once, to the movie of `best`."""
BANDS_HZ = ((0.0, 1.0), (1.0, 3.0), (3.0, 8.0))
RESAMPLED = 2000


def movie_of(method: str, mouse: Path, clip: int, file: Path, prior: Path) -> dict[str, np.ndarray]:
    """The movie as optimised, the true one, and level and SD of its prior; made once.

    Parameters
    ----------
    method : `BEST`, or a key of `PULLS`.
    mouse, clip : folder of its session, and which.
    file : where it is kept.
    prior : the denoiser.
    """
    if not file.exists():
        session, mask = vr.open_session(mouse), vr.AlphaMask.load(mouse.with_name(f"{mouse.name}_resolved.npy"))
        encoder = vr.load_encoder(mouse.with_name(f"{mouse.name}_0.safetensors"), device="cpu")
        trial = session.trial(clip).part(0, FRAMES)
        pulled = {"file": str(prior), "scheme": "red", "pull": PULLS.get(method, 0.0)}
        chosen = {} if method == BEST else {"prior": "denoiser", "prior_settings": pulled}
        config = vr.ReconstructionConfig.preset("best", track_every=10**6, track_responses=False, **chosen)
        run = vr.plan_run(trial, [encoder], mask, config)
        while not run.finished:
            run.step()
        told = run.steppable.config
        sd = told.update.prior.sd if method == BEST else told.update.prior.settings["sd"]
        np.savez(file, video=run.steppable.optimised_video, truth=trial.video, level=told.initial_level, sd=sd)
    with np.load(file) as kept:
        return dict(kept)


def measured(truth: np.ndarray, video: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    """Correlation, SSIM, RMSE and the power of each band beside the truth's."""
    shown, true = (vr.postprocess.smooth(np.clip(movie, 0, 255))[MEASURED] for movie in (video, truth))
    hertz = np.arange(len(true)) / (2 * len(true)) * 30.0
    powers = [
        (dct(each[:, pixels] - each[:, pixels].mean(), axis=0, norm="ortho") ** 2).mean(axis=1)
        for each in (shown, true)
    ]
    found = {
        "correlation": float(vr.metrics.video_correlation(true, shown, pixels)),
        "ssim": float(vr.metrics.ssim(true, shown, pixels)),
        "rmse": float(np.sqrt(np.square(shown - true)[:, pixels].mean())),
    }
    for low, high in BANDS_HZ:
        band = (hertz >= low) & (hertz < high)
        found[f"power {low:g} to {high:g} Hz"] = float(powers[0][band].sum() / powers[1][band].sum())
    return found


def gain(values: list[dict], measure: str, method: str) -> tuple[float, float, float]:
    """Mean difference to `best`, and its 95 % interval over resampled clips."""
    differences = np.array([each[method][measure] - each[BEST][measure] for each in values])
    drawn = np.random.default_rng(0).choice(differences, (RESAMPLED, len(differences))).mean(axis=1)
    return float(differences.mean()), *(float(each) for each in np.quantile(drawn, (0.025, 0.975)))


def table(told: dict[str, dict[str, dict]], method: str) -> str:
    """One line a mouse, and one of all; clips that the method was measured on."""
    told = {name: {clip: each for clip, each in clips.items() if method in each} for name, clips in told.items()}
    told = {name: clips for name, clips in told.items() if clips}
    lines = [
        "| mouse | clips | best | learned | gain (95 %) | SSIM | RMSE | power 0-1, 1-3, 3-8 Hz |",
        "|---" * 8 + "|",
    ]
    everything = [clip for clips in told.values() for clip in clips.values()]
    for name, values in [*((name, list(clips.values())) for name, clips in told.items()), ("all", everything)]:
        best, learned = ({m: np.mean([each[w][m] for each in values]) for m in values[0][w]} for w in (BEST, method))
        more, low, high = gain(values, "correlation", method)
        power = ", ".join(f"{best[m]:.2f} to {learned[m]:.2f}" for m in best if m.startswith("power"))
        values_of = [f"{best[m]:.{digits}f} to {learned[m]:.{digits}f}" for m, digits in (("ssim", 3), ("rmse", 1))]
        correlations = f"{best['correlation']:.3f} | {learned['correlation']:.3f}"
        shift = f"{more:+.3f} ({low:+.3f} to {high:+.3f})"
        lines.append(f"| {name} | {len(values)} | {correlations} | {shift} | {' | '.join(values_of)} | {power} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, keep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--prior", type=Path, help="made by vidrecon prior train")
    parser.add_argument("--keep", type=Path, default=Path("movies"), help="folder for the movies of best")
    parser.add_argument("--tier", default="live_test_main")
    parser.add_argument("--mice", nargs="*", default=MICE)
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--method", default="red.25", help="of the printed table; finish1, red.5, ...")
    parser.add_argument("--pulls", nargs="*", default=["red.25"], choices=PULLS)
    parser.add_argument("--only-kept", action="store_true", help="only clips whose movies are there")
    parser.add_argument("--out", type=Path, default=Path("learned_prior.json"))
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    if arguments.printed:
        told = json.loads(arguments.printed.read_text())
        print(table(told[arguments.tier], arguments.method))
        return
    denoiser, told = (
        Denoiser.load(arguments.prior),
        json.loads(arguments.out.read_text()) if arguments.out.exists() else {},
    )
    arguments.keep.mkdir(parents=True, exist_ok=True)
    found = told.setdefault(arguments.tier, {})
    for name in arguments.mice:
        pixels = vr.AlphaMask.load(arguments.folder / f"{name}_resolved.npy").binary(1.0)
        for clip in vr.open_session(arguments.folder / name).trials_in_tier(arguments.tier)[: arguments.clips]:
            files = {m: arguments.keep / f"{m}_{arguments.tier}_{name}_{clip}.npz" for m in (BEST, *arguments.pulls)}
            if arguments.only_kept:
                files = {method: file for method, file in files.items() if file.exists()}
            made = {m: movie_of(m, arguments.folder / name, clip, file, arguments.prior) for m, file in files.items()}
            if BEST not in made:
                continue
            kept = made[BEST]
            best = torch.as_tensor(kept["video"])
            missing = denoiser.missing(best, None, float(kept["level"]), float(kept["sd"])).numpy()
            videos = {method: each["video"] for method, each in made.items()}
            videos |= {method: kept["video"] + weight * missing for method, weight in WEIGHTS.items()}
            measures = {method: measured(kept["truth"], video, pixels) for method, video in videos.items()}
            found.setdefault(name, {})[str(clip)] = measures
        with replacing_file(arguments.out) as file:
            file.write_text(json.dumps(told, indent=1) + "\n")
    print(table(found, arguments.method))


if __name__ == "__main__":
    main()
