"""What the numbers of the arena look like: the pictures of docs/quality.md.

    python benchmarks/quality/pictures.py --folder scratch/arena --movies scratch/arena_movies

Of each mouse the test clip on which `best` does as well as on half of its clips (docs/quality.json): the true movie,
`paper` as published, `paper` with tuned steps and `best`, all from the same single noisy trial; and the power of
these movies over temporal and spatial frequency beside the truth's. Movies are kept in `--movies` and not made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from arena import FRAMES, MEASURED, PAPER_STEPS, Arena, Method
from mice import MICE
from scipy.fft import dctn
from tables import best_step

import napari_vidrecon as vr
from napari_vidrecon.figures.curves import Curve, CurvePanel
from napari_vidrecon.figures.frame import panels_figure, save_figure
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.storage import replacing_file

SHOWN_FRAMES = range(18, FRAMES, 6)
TRUTH, PUBLISHED, TUNED, BEST = "true movie", "paper, 1000 steps", "paper, tuned", "best"
COLOURS = {TRUTH: "#000000", PUBLISHED: "#D55E00", TUNED: "#E69F00", BEST: "#0072B2"}
SPATIAL_BANDS = np.linspace(0.02, 0.5, 13)
"""Edges, cycles per pixel."""


def median_clip(found: dict) -> int:
    """The clip with the middle correlation of a method's clips."""
    ranked = sorted(found, key=lambda clip: found[clip]["correlation"])
    return int(ranked[len(ranked) // 2])


def movies(arena: Arena, clip: int, tuned_steps: int, kept: Path) -> dict[str, np.ndarray]:
    """The true movie and every reconstruction, (FRAMES, rows, columns)."""
    trial = arena.session.trial(clip).part(0, FRAMES)
    made = {TRUTH: trial.video.astype(np.float32)}
    for method in (
        Method(PUBLISHED, "paper", {"steps": PAPER_STEPS}),
        Method(TUNED, "paper", {"steps": tuned_steps}),
        Method(BEST, "best"),
    ):
        config = method.config()
        file = kept / f"{arena.session.name}_{clip}_{method.preset}_{config.steps}.npy"
        if not file.exists():
            with replacing_file(file) as temporary, temporary.open("wb") as opened:
                np.save(opened, vr.reconstruct(trial, arena.encoders[:1], arena.mask, config).video)
        made[method.name] = np.load(file, allow_pickle=False)
    return made


def block(arena: Arena, clip: int, made: dict[str, np.ndarray], title: str) -> FrameBlock:
    """Some frames of each movie, grey outside the mask, as they are measured."""
    rows = []
    for name, movie in made.items():
        smooth = vr.postprocess.smooth(movie)
        shown = np.where(arena.pixels, smooth, GREY_LEVEL)[list(SHOWN_FRAMES)]
        lines = name.split(", ")
        if name != TRUTH:
            lines.append(f"r = {arena.correlation(made[TRUTH], movie):.2f}")
        rows.append(("\n".join(lines), shown))
    seconds = [frame / arena.session.frame_rate_hz for frame in SHOWN_FRAMES]
    return FrameBlock(rows, seconds, f"{title}, clip {clip}", masks=(arena.pixels,))


def spatial_power(arena: Arena, movie: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cycles per pixel, mean power of the mask's rectangle, grey outside the mask), each (bands,)."""
    rows, columns = (np.flatnonzero(arena.pixels.any(axis=axis)) for axis in (1, 0))
    smooth = np.where(arena.pixels, movie - GREY_LEVEL, 0.0)
    part = smooth[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    power = (dctn(part, axes=(1, 2), norm="ortho") ** 2).mean(axis=0)
    row, column = (np.arange(length) / (2 * length) for length in power.shape)
    cycles = np.hypot(row[:, None], column[None, :])
    bands = np.digitize(cycles, SPATIAL_BANDS)
    middles = (SPATIAL_BANDS[1:] + SPATIAL_BANDS[:-1]) / 2
    return middles, np.array([power[bands == band].mean() for band in range(1, len(SPATIAL_BANDS))])


def panel(spectra: dict[str, list[tuple[np.ndarray, np.ndarray]]], x_label: str) -> CurvePanel:
    """Mean spectra over mice."""
    curves = []
    for name, found in spectra.items():
        power = np.mean([each for _, each in found], axis=0)
        curves.append(Curve(found[0][0], np.log10(power), name, COLOURS[name]))
    return CurvePanel(curves, x_label, "log10 of power")


def main() -> None:
    """Make what is missing, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where mice.py put the mice")
    parser.add_argument("--movies", type=Path, required=True, help="folder that keeps the movies")
    parser.add_argument("--results", type=Path, default=Path("docs/quality.json"), help="of arena.py")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    arguments.movies.mkdir(parents=True, exist_ok=True)
    results = json.loads(arguments.results.read_text())
    blocks, over_time, over_space = [], {name: [] for name in COLOURS}, {name: [] for name in COLOURS}
    for mouse in MICE:
        arena, found = Arena(mouse, arguments.folder), results["test"][mouse.name]
        clip, steps = median_clip(found["best"]), best_step(results["tuning"][mouse.name]["recorded"])
        made = movies(arena, clip, steps, arguments.movies)
        blocks.append(block(arena, clip, made, f"mouse of seed {mouse.seed}, {mouse.neurons} neurons"))
        for name, movie in made.items():
            measured = vr.postprocess.smooth(movie)[MEASURED]
            over_time[name].append(arena.temporal_power(measured))
            over_space[name].append(spatial_power(arena, measured))
        print(mouse.name, clip, "drawn", flush=True)
    title = "From one noisy trial: as published, and with the preset best"
    save_figure(frame_rows_figure(blocks, title=title, simulated=True), arguments.out / "quality_pictures.png", dpi=80)
    panels = [panel(over_time, "temporal frequency, Hz"), panel(over_space, "spatial frequency, cycles per pixel")]
    title = "Power inside the mask, mean of four clips"
    save_figure(panels_figure(panels, title=title, simulated=True), arguments.out / "quality_spectra.png", dpi=110)


if __name__ == "__main__":
    main()
