"""How much of what can be known comes back: coherence by band, motion, identification, and the spectrum of a sample.

    python benchmarks/quality/knowable.py --out docs/knowable.json --clips 10      # the sample's mouse, which is seed 7
    python benchmarks/quality/knowable.py --folder scratch/arena --out docs/knowable.json --clips 3
    python benchmarks/quality/knowable.py --print docs/knowable.json

Test clips of the arena's mice (`mice.py`), one encoder, single noisy trials. What can be known of a clip is what its
activity tells with the simulation itself as encoder and the same prior (`bound.py`). Of every band of temporal
frequency the coherence is the squared correlation between the cosine coefficients of the true movie and of the
reconstruction, inside alpha >= 1: the share of the truth's power that the reconstruction tells by a linear rule. A
sample is one of `--draws` movies of `best`, their mean is what `best` with draws shows. Motion is the optical flow
from frame to frame (iterative Lucas-Kanade), correlated over pixels and frames. A clip is identified if of a hundred
true movies, its own among them, its own has the highest video correlation with the reconstruction.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from arena import FRAMES, MEASURED, POWER_BANDS_HZ, TEST_TIER, Arena, Stored
from bound import reconstructed
from mice import MICE, ArenaMouse
from scipy.fft import dct
from simulated_encoder import SimulatedEncoder
from skimage.registration import optical_flow_ilk
from tables import best_step

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, AlphaMask
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.simulation.movies import movie
from napari_vidrecon.sessions.trial import Trial

CANDIDATES = 100
FLOW_RADIUS_PX = 5
PAPER, BEST, PREDICTED, SAMPLE, MEAN, BOUND = (
    "`paper`, tuned steps",
    "`best`",
    "`best` from predicted activity",
    "a sample of `best`",
    "mean of the samples",
    "simulation as encoder",
)
BANDS = tuple(f"{low:g} to {high:g} Hz" for low, high in POWER_BANDS_HZ)


@dataclass(frozen=True)
class SampleMouse(ArenaMouse):
    """The mouse that comes along, which is the arena's of the same seed: its ten test clips, first encoder and mask."""

    def open(self, folder: Path, device: str = "cpu") -> tuple[Session, list[Encoder], AlphaMask, None]:
        """The sample's; it has no decoder."""
        sample = vr.find_sample()
        encoder = vr.load_encoder(sample.encoders[0], device=device)
        return vr.open_session(sample.session), [encoder], AlphaMask.load(sample.mask), None


def movies_of(
    arena: Arena, encoder: SimulatedEncoder, trial: Trial, paper_steps: int, draws: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Every reconstruction of a clip, by name."""
    untracked = {"track_every": 10**6, "track_responses": False}
    for name, preset, target, changes in (
        (PAPER, "paper", "recorded", {"steps": paper_steps}),
        (BEST, "best", "recorded", {}),
        (PREDICTED, "best", "predicted", {}),
    ):
        config = vr.ReconstructionConfig.preset(preset, **untracked, **changes)
        yield name, vr.reconstruct(trial, arena.encoders[:1], arena.mask, config, target=target).video
    config = vr.ReconstructionConfig.preset("best", draws=draws, **untracked)
    drawn = vr.reconstruct(trial, arena.encoders[:1], arena.mask, config)
    yield SAMPLE, drawn.videos[0]
    yield MEAN, drawn.video
    yield BOUND, reconstructed(encoder, trial, trial.responses)


def coefficients(video: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(frames, pixels) cosine coefficients over time of a movie, without its mean."""
    inside = video[:, pixels]
    return np.asarray(dct(inside - inside.mean(), axis=0, norm="ortho"))


def flow(video: np.ndarray) -> np.ndarray:
    """(frames - 1, 2, rows, columns) pixels a frame, of a movie brought to a standard deviation of 1."""
    scaled = (video - video.mean()) / max(float(video.std()), 1e-6)
    return np.stack([optical_flow_ilk(*pair, radius=FLOW_RADIUS_PX) for pair in pairwise(scaled)])


def measured(arena: Arena, trial: Trial, video: np.ndarray, candidates: list[np.ndarray]) -> dict[str, float]:
    """Every measure of one reconstruction.

    Parameters
    ----------
    arena
        The mouse.
    trial
        What was shown.
    video
        What came back.
    candidates
        True movies of other clips.
    """
    pixels = arena.mask.binary(EVALUATION_THRESHOLD)
    true, shown = (vr.postprocess.smooth(each)[MEASURED] for each in (trial.video, np.clip(video, 0, 255)))
    told = {
        "correlation": arena.correlation(trial.video, video),
        "frame correlation": vr.metrics.mean_frame_correlation(true, shown, pixels),
        "SSIM": vr.metrics.ssim(true, shown, pixels),
        "PSNR": vr.metrics.psnr(true, shown, pixels),
        "motion": float(np.corrcoef(flow(true)[:, :, pixels].ravel(), flow(shown)[:, :, pixels].ravel())[0, 1]),
        "better candidates": float(
            sum(arena.correlation(other, video) >= arena.correlation(trial.video, video) for other in candidates)
        ),
    }
    truth, found = coefficients(true, pixels), coefficients(shown, pixels)
    hertz = np.arange(len(true)) / (2 * len(true)) * trial.frame_rate_hz
    for band, (low, high) in zip(BANDS, POWER_BANDS_HZ, strict=True):
        chosen = (hertz >= low) & (hertz < high)
        one, other = truth[chosen].ravel(), found[chosen].ravel()
        told[f"coherence {band}"] = float(np.corrcoef(one, other)[0, 1] ** 2)
        told[f"power {band}"] = float((other @ other) / (one @ one))
    return told


def measure(arguments: argparse.Namespace) -> None:
    """What is missing in the file; a clip of every mouse before the next."""
    stored = Stored(arguments.out)
    tuned = Stored(arguments.tuned).values["tuning"]
    folder = arguments.folder or Path()
    mice = MICE if arguments.folder else (SampleMouse(**asdict(MICE[0])),)
    arenas = {mouse.name: (Arena(mouse, folder), SimulatedEncoder(mouse)) for mouse in mice}
    for index in range(arguments.clips):
        for name, (arena, encoder) in arenas.items():
            clip = arena.clips(TEST_TIER, arguments.clips)[index]
            done = stored.values.setdefault("knowable", {}).setdefault(name, {})
            if str(clip) in done:
                continue
            trial = arena.session.trial(clip).part(0, FRAMES)
            # Clips that the mouse learned from, whose numbers no test clip has.
            candidates = [movie(encoder.cortex.seed, each, FRAMES) for each in range(CANDIDATES - 1)]
            steps = best_step(tuned[name]["recorded"])
            done[str(clip)] = {
                told: measured(arena, trial, video, candidates)
                for told, video in movies_of(arena, encoder, trial, steps, arguments.draws)
            }
            stored.keep()
            print(name, "clip", clip, flush=True)


def table(found: dict[str, dict[str, dict[str, dict[str, float]]]]) -> Iterator[str]:
    """Means over clips, a row a method; then what of the knowable is kept."""
    clips = [clip for mouse in found.values() for clip in mouse.values()]
    columns = ["correlation", "frame correlation", "SSIM", "PSNR", "motion"]
    powers = [f"{what} {band}" for what in ("coherence", "power") for band in BANDS]
    yield f"{len(clips)} clips of {len(found)} mice (simulated)."
    yield ""
    yield "| movie | " + " | ".join([*columns, "identified of 100", *powers]) + " |"
    yield "|---|" + "---|" * (len(columns) + len(powers) + 1)

    def mean(method: str, measure: str) -> float:
        return float(np.mean([clip[method][measure] for clip in clips]))

    for method in clips[0]:
        named = [f"{mean(method, each):.2f}" for each in columns]
        first = sum(clip[method]["better candidates"] == 0 for clip in clips)
        banded = [f"{mean(method, each):.2f}" for each in powers]
        yield f"| {method} | " + " | ".join([*named, f"{first} of {len(clips)}", *banded]) + " |"
    yield ""
    for method in (PAPER, BEST, MEAN):
        shares = [f"{mean(method, f'coherence {band}') / mean(BOUND, f'coherence {band}'):.2f}" for band in BANDS]
        yield f"- {method} keeps of the knowable power: {', '.join(map(' at '.join, zip(shares, BANDS, strict=True)))}."


def main() -> None:
    """Measure what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/knowable.json"))
    parser.add_argument("--tuned", type=Path, default=Path("docs/quality.json"), help="the steps of paper, by arena.py")
    parser.add_argument("--clips", type=int, default=3, help="test clips of each mouse")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--print", type=Path, metavar="JSON", help="print the tables of an earlier run")
    arguments = parser.parse_args()
    if arguments.print is None:
        measure(arguments)
    print("\n".join(table(Stored(arguments.print or arguments.out).values["knowable"])))


if __name__ == "__main__":
    main()
