"""Several mice, one movie: three simulated mice with overlapping, shifted fields that saw the same clips.

    python benchmarks/quality/mice.py --folder arena                              # seed7 and seed21, with encoders
    python benchmarks/quality/several_mice.py --folder arena --make               # seed61, on the left: 5 minutes
    python benchmarks/quality/several_mice.py --folder arena --clips 4 --out docs/several_mice.json
    python benchmarks/quality/several_mice.py --print docs/several_mice.json

Test clips of seed61 are shown to the other two by the simulations that made them, each with its own behaviour, gaze and
noise; no encoder was trained on them. Each mouse alone, and all together, with `fast` from single noisy trials, one
encoder each; masks as `vidrecon mask` gives them. --picture FILE.png and --movie FILE.mp4 show the first clip: truth,
each alone, all together, with the outline of each mask (where correlations are taken). All simulated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from mice import MICE as ARENA_MICE
from mice import ArenaMouse
from PIL import Image

import napari_vidrecon as vr
from napari_vidrecon.figures.movie import outline, write_mp4
from napari_vidrecon.reconstruction.history import Evaluation
from napari_vidrecon.sessions.simulation.behavior import simulate_behavior
from napari_vidrecon.sessions.simulation.mouse import describe, trial_tiers, write_mouse
from napari_vidrecon.sessions.simulation.movies import movie
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex
from napari_vidrecon.storage import replacing_file

LEFT = ArenaMouse(seed=61, neurons=500, radius_px=9.0, centre_px=(17.0, 20.0))
MICE = (LEFT, *(mouse for mouse in ARENA_MICE if mouse.seed in (7, 21)))
MOVIE_SEED = 60
TIERS = trial_tiers(train_trials=140, validation_trials=8, test_trials=6)
FRAMES, SKIPPED, WHOLE_CLIP = 64, 16, 300
TRAINING_STEPS = 450
SCREEN_PX = (36, 64)
TOGETHER = "together"
SCALE, GAP_PX, SHOWN_FRAMES = 4, 6, (20, 32, 44, 56)
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115))
"""Of the three masks, told apart by colour-blind eyes too."""


def cortex_of(mouse: ArenaMouse) -> VisualCortex:
    """The neurons of a mouse."""
    how = {"radius_px": mouse.radius_px, "centre": mouse.centre_px, "gain": mouse.gain}
    return VisualCortex(mouse.neurons, mouse.seed, **how)


def shown(mouse: ArenaMouse, cortex: VisualCortex, number: int, *, frames: int = WHOLE_CLIP, tier: str) -> vr.Trial:
    """What a mouse answered to a common clip."""
    video = movie(MOVIE_SEED, number, frames, cortex.grading, SCREEN_PX)
    behavior, gaze = simulate_behavior(mouse.seed, number, frames)
    activity = cortex.responses(video, behavior, gaze, trial=number)
    return vr.Trial(number, tier, video, behavior, gaze, activity, name=f"{mouse.name}, trial {number}", simulated=True)


def mask_file(mouse: ArenaMouse, folder: Path) -> Path:
    """Where `vidrecon mask` put its mask."""
    resolved = folder / f"{mouse.name}_resolved.npy"
    return resolved if resolved.exists() else folder / f"{mouse.name}_mask.npy"


def make(folder: Path) -> None:
    """Write the session of the mouse on the left, train its encoder, and fit its mask; what is there is left."""
    session, encoder = folder / LEFT.name, LEFT.encoder_file(folder, 0)
    if not session.exists():
        cortex = cortex_of(LEFT)
        notes = {**describe(cortex, TIERS, WHOLE_CLIP), "movies_of_seed": MOVIE_SEED}
        how = {"coordinates": cortex.coordinates, "notes": notes}
        write_mouse(session, partial(shown, LEFT, cortex), TIERS, frames=WHOLE_CLIP, **how)
    for file, words in (
        (encoder, ["train", session, "--steps", TRAINING_STEPS, "--out", encoder]),
        (mask_file(LEFT, folder), ["mask", session, "--encoder", encoder, "--out", mask_file(LEFT, folder)]),
    ):
        if not file.exists():
            subprocess.run([sys.executable, "-m", "napari_vidrecon.cli", *map(str, words)], check=True)


class Three:
    """The mice, opened.

    Parameters
    ----------
    folder
        Of their encoders and masks.
    preset
        Of the reconstructions.
    """

    def __init__(self, folder: Path, preset: str) -> None:
        self.config = vr.ReconstructionConfig.preset(preset, track_every=10**6, track_responses=False)
        self.cortices = [cortex_of(mouse) for mouse in MICE]
        self.encoders = [vr.load_encoder(mouse.encoder_file(folder, 0), device="cpu") for mouse in MICE]
        self.masks = [vr.AlphaMask.load(mask_file(mouse, folder)) for mouse in MICE]
        self.pixels = [mask.binary() for mask in self.masks]
        self.names = [mouse.name for mouse in MICE]

    @property
    def places(self) -> dict[str, np.ndarray]:
        """(36, 64) bool by name: each mask, where two or more overlap, and the union."""
        count = np.sum(self.pixels, axis=0)
        return dict(zip(self.names, self.pixels, strict=True)) | {"overlap": count >= 2, "union": count >= 1}

    def movies(self, clip: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The true movie of a clip, and those of each mouse alone and of all."""
        pairs = zip(MICE, self.cortices, strict=True)
        trials = [shown(mouse, cortex, clip, tier="live_test_main").part(0, FRAMES) for mouse, cortex in pairs]
        mice = list(zip(trials, self.encoders, self.masks, strict=True))
        made = {
            name: vr.reconstruct(trial, [encoder], mask, self.config).video
            for name, (trial, encoder, mask) in zip(self.names, mice, strict=True)
        }
        (first, encoder, mask), *others = mice
        companions = [vr.AnotherMouse(trial, [its], alpha) for trial, its, alpha in others]
        made[TOGETHER] = vr.reconstruct(first, [encoder], mask, self.config, with_mice=companions).video
        return first.video, made

    def scores(self, truth: np.ndarray, made: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
        """Correlation of every movie in every place; one alone in its own mask, in the overlap and in the union."""
        found: dict[str, dict[str, float]] = {}
        for place, pixels in self.places.items():
            found[place] = {}
            for name, video in made.items():
                if name in (TOGETHER, place) or place in ("overlap", "union"):
                    found[place][name] = round(Evaluation(truth, pixels, SKIPPED).video_correlation(video), 4)
        return found


def frames_of(three: Three, truth: np.ndarray, made: dict[str, np.ndarray], frame: int) -> np.ndarray:
    """(height, width, 3) uint8: truth, each alone and all, one beneath another, with the outlines of the masks."""
    rows = []
    for name, video in {"truth": truth, **made}.items():
        levels = np.clip(np.rint(video[frame]), 0, 255).astype(np.uint8)
        picture = np.repeat(levels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)[..., None], 3, axis=2)
        for mouse, pixels, colour in zip(three.names, three.pixels, COLOURS, strict=True):
            if name in (mouse, "truth", TOGETHER):
                picture.reshape(-1, 3)[outline(pixels, SCALE, False)[0]] = colour
        rows.append(np.pad(picture, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255))
    return np.concatenate(rows)


def show(three: Three, picture: Path | None, film: Path | None, clip: int) -> None:
    """Write the figure and the movie of a clip."""
    truth, made = three.movies(clip)
    if picture is not None:
        columns = [frames_of(three, truth, made, frame) for frame in SHOWN_FRAMES]
        Image.fromarray(np.concatenate(columns, axis=1)).save(picture, optimize=True)
    if film is not None:

        def all_frames() -> Iterator[np.ndarray]:
            for frame in range(FRAMES):
                whole = frames_of(three, truth, made, frame)
                yield whole[: len(whole) // 2 * 2, : whole.shape[1] // 2 * 2]

        write_mp4(film, all_frames(), fps=10.0)


def rows(told: dict) -> list[str]:
    """The table of docs/several_mice.md."""
    clips = list(told["clips"].values())
    lines = [f"| inside ({len(clips)} clips) | px | alone | together | together - alone, least of all clips |"]
    lines.append("|---" * 5 + "|")
    for place, pixels in told["pixels"].items():
        alone = {name for clip in clips for name in clip[place]} - {TOGETHER}
        means = {name: np.mean([clip[place][name] for clip in clips]) for name in [*sorted(alone), TOGETHER]}
        words = ", ".join(f"{means[name]:.3f}" + (f" ({name})" if len(alone) > 1 else "") for name in sorted(alone))
        least = min(clip[place][TOGETHER] - max(clip[place][name] for name in alone) for clip in clips)
        lines.append(f"| {place} | {pixels} | {words} | {means[TOGETHER]:.3f} | {least:+.3f} |")
    return lines


def main() -> None:
    """Make, measure what is missing, show, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--clips", type=int, default=0)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--out", type=Path, default=Path("several_mice.json"))
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--movie", type=Path)
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.folder)
    out = arguments.printed or arguments.out
    told = json.loads(out.read_text()) if out.exists() else {"simulated": True, "pixels": {}, "clips": {}}
    three = None if arguments.printed or arguments.folder is None else Three(arguments.folder, arguments.preset)
    for clip in range(arguments.clips if three is not None else 0):
        if three is None or str(clip) in told["clips"]:
            continue
        told["pixels"] = {place: int(pixels.sum()) for place, pixels in three.places.items()}
        told["clips"][str(clip)] = three.scores(*three.movies(clip))
        with replacing_file(out) as file:
            file.write_text(json.dumps(told, indent=1) + "\n")
    if three is not None and (arguments.picture or arguments.movie):
        show(three, arguments.picture, arguments.movie, 0)
    if told["clips"]:
        print("\n".join(rows(told)))


if __name__ == "__main__":
    main()
