"""Simulated mice beside the public ones: brightness, activity and noise, and what still differs.

    python benchmarks/quality/like_public.py --public ../shared/real/public_mice_statistics.npz \
        --encoder ../shared/real/sensorium_sota_model.pth --out docs/simulated_mice.json
    python benchmarks/quality/like_public.py --print docs/simulated_mice.json

Clips of the usual mouse, of one like the public mice and of a semi-real one, of the same number of neurons. The public
range is over the ten mice of Sensorium 2023; a share of silence and what neurons share are not in their statistics.
About six minutes on one core. Only figures are written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from napari_vidrecon.encoders.semi_real import SemiRealMouse
from napari_vidrecon.sessions.simulation.mouse import simulate_trial
from napari_vidrecon.sessions.simulation.movies import movie
from napari_vidrecon.sessions.simulation.public_mice import PublicCortex
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex
from napari_vidrecon.sessions.trial import Trial

PERCENTILES = (10, 50, 90)
BAND_CYCLES_PX = (0.03, 0.4)
"""Spatial frequencies that the exponent is fitted over."""
SILENT_BELOW = 1e-3
MOVIE_CLIPS, MOVIE_SEEDS = 240, 8
"""Brightness varies from shot to shot, so it is told from more clips, of fewer frames and several seeds."""
MOVIE_FRAMES, SPECTRUM_EVERY = 40, 10
MICE = "ABCDEFGHIJ"
PUBLIC = "public mice"
ROWS = {
    "movie_mean": "mean grey of the movies",
    "movie_sd": "SD of a pixel",
    "movie_median": "median grey",
    "exponent": "spatial spectrum, exponent",
    "mean": "mean response of a neuron, median",
    "mean_10": "its 10 %",
    "mean_90": "its 90 %",
    "cv": "SD over mean, median",
    "fano": "variance over mean, median",
    "fano_10": "its 10 %",
    "fano_90": "its 90 %",
    "fano_follows_mean": "correlation of the logarithms of mean and variance over mean",
    "peak": "largest response in SD, median",
    "median": "median response of a neuron, median",
    "lowest": "smallest response",
    "silent": "share of samples below 0.001",
    "shared": "correlation of two neurons' noise, mean",
    "bound": "correlation of single trials with what was expected, mean",
}


def exponent(log_power: np.ndarray) -> float:
    """Fall of the mean logarithm of power (36, 64), per frequency, in the layout of `numpy.fft.fft2`."""
    rows, columns = (np.fft.fftfreq(length) for length in log_power.shape)
    frequency = np.hypot(rows[:, None], columns[None, :])
    inside = (frequency >= BAND_CYCLES_PX[0]) & (frequency <= BAND_CYCLES_PX[1])
    return float(-np.polyfit(np.log(frequency[inside]), log_power[inside], 1)[0])


def of_neurons(mean: np.ndarray, sd: np.ndarray, largest: np.ndarray) -> dict[str, float]:
    """Figures of a population from each neuron's mean, SD and largest response."""
    heard = mean > 0
    mean, sd, largest = mean[heard], sd[heard], largest[heard]
    fano = sd**2 / mean
    means, fanos = np.percentile(mean, PERCENTILES), np.percentile(fano, PERCENTILES)
    found = {"mean_10": means[0], "mean": means[1], "mean_90": means[2], "cv": np.median(sd / mean)}
    found |= {"fano_10": fanos[0], "fano": fanos[1], "fano_90": fanos[2], "peak": np.median(largest / sd)}
    found["fano_follows_mean"] = np.corrcoef(np.log(mean), np.log(fano))[0, 1]
    return {name: float(value) for name, value in found.items()}


def of_public(file: Path) -> dict[str, list[float]]:
    """Smallest and largest of the ten mice for each figure that their statistics tell."""
    by_mouse = []
    with np.load(file, allow_pickle=False) as stored:
        for mouse in MICE:
            response = {name: stored[f"{mouse}/response/{name}"] for name in ("mean", "std", "median", "min", "max")}
            found = of_neurons(response["mean"], response["std"], response["max"])
            found |= {"median": float(np.median(response["median"])), "lowest": float(response["min"].min())}
            for name, key in {"movie_mean": "mean", "movie_sd": "std", "movie_median": "median"}.items():
                found[name] = float(stored[f"{mouse}/video/{key}"])
            found["exponent"] = exponent(stored[f"{mouse}/video/freq"].reshape(36, 64))
            by_mouse.append(found)
    return {name: [min(each[name] for each in by_mouse), max(each[name] for each in by_mouse)] for name in by_mouse[0]}


def of_movies(clips: Iterable[np.ndarray]) -> dict[str, float]:
    """Brightness and spectrum of movies."""
    shown = np.concatenate(list(clips))
    power = np.abs(np.fft.fft2(shown[::SPECTRUM_EVERY])) ** 2 / shown[0].size
    found = {"movie_mean": shown.mean(), "movie_sd": shown.std(), "movie_median": np.median(shown)}
    found["exponent"] = exponent(np.log(power + 1e-9).mean(axis=0))
    return {name: float(value) for name, value in found.items()}


def of_activity(trials: list[Trial], rates: Callable[..., np.ndarray]) -> dict[str, float]:
    """Figures of recorded activity, and of it beside what was expected."""
    recorded = np.concatenate([trial.responses for trial in trials], axis=1)
    expected = np.concatenate([rates(each.video, each.behavior, each.pupil_center) for each in trials], axis=1)
    found = of_neurons(recorded.mean(axis=1), recorded.std(axis=1), recorded.max(axis=1))
    found["median"], found["lowest"] = float(np.median(np.median(recorded, axis=1))), float(recorded.min())
    found["silent"] = float((recorded < SILENT_BELOW).mean())
    noise = np.corrcoef(recorded - expected)
    found["shared"] = float(np.nanmean(noise[np.triu_indices(len(noise), 1)]))
    pairs = zip(recorded, expected, strict=True)
    found["bound"] = float(np.nanmean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
    return found


def measured(neurons: int, clips: int, frames: int, seed: int, encoder: Path | None) -> dict[str, dict[str, float]]:
    """Figures of every kind of simulated mouse."""
    found = {}
    for name, kind in {"usual": VisualCortex, "like public": PublicCortex}.items():
        cortex = kind(neurons, seed)
        trials = [simulate_trial(cortex, trial, frames=frames) for trial in range(clips)]
        found[name] = of_activity(trials, cortex.rates)
        found[name] |= of_movies(
            movie(seed + clip % MOVIE_SEEDS, clip, MOVIE_FRAMES, kind.grading) for clip in range(MOVIE_CLIPS)
        )
    if encoder is not None:
        mouse = SemiRealMouse.of_file(encoder, neurons, seed)
        trials = [mouse.trial(trial, frames=frames, tier="train") for trial in range(clips)]
        shown = {name: found["like public"][name] for name in ("movie_mean", "movie_sd", "movie_median", "exponent")}
        found["semi-real"] = of_activity(trials, mouse.rates) | shown
    return found


def table(found: dict) -> str:
    """Every figure, mouse beside mouse, and whether each lies in the public range."""
    mice = [name for name in found if name != PUBLIC]
    lines = [f"| | {PUBLIC} (ten) | {' | '.join(mice)} |", "|---" * (2 + len(mice)) + "|"]
    for name, words in ROWS.items():
        limits = found.get(PUBLIC, {}).get(name)
        shown = "not known" if limits is None else f"{limits[0]:.3g} to {limits[1]:.3g}"
        cells = [_cell(found[mouse].get(name), limits) for mouse in mice]
        lines.append(f"| {words} | {shown} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | None, limits: list[float] | None) -> str:
    if value is None:
        return "-"
    outside = limits is not None and not limits[0] <= value <= limits[1]
    return f"{value:.3g}{' *' if outside else ''}"


def main() -> None:
    """Measure, print; a star stands where a figure lies outside the public range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--public", type=Path, help="public_mice_statistics.npz")
    parser.add_argument("--encoder", type=Path, help="published encoder of Sensorium 2022; none: no semi-real mouse")
    parser.add_argument("--neurons", type=int, default=200)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--print", type=Path, dest="printed", help="only print what was measured")
    given = parser.parse_args()
    if given.printed is not None:
        print(table(json.loads(given.printed.read_text())["like_public"]))
        return
    found: dict = {} if given.public is None else {PUBLIC: of_public(given.public)}
    found |= measured(given.neurons, given.clips, given.frames, given.seed, given.encoder)
    print(table(found))
    if given.out is not None:
        stored = json.loads(given.out.read_text()) if given.out.exists() else {}
        given.out.write_text(json.dumps({**stored, "like_public": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
