"""Make the looping movie of the front page: what `vidrecon demo` reconstructs, small enough for a page.

vidrecon demo --headless --out demo
python docs/front_movie.py demo/run.zarr
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from napari_vidrecon.cli import main as vidrecon

WIDTH_PX, GREYS, COLOURS = 784, 32, 32
LEAST_COLOUR = 24
"""Difference of a pixel's channels from which it is no grey."""
EVERY = 3
"""Every third frame: 10 a second."""
TARGET = Path(__file__).parent / "images" / "demo.gif"


def palette_of(frames: list[Image.Image]) -> Image.Image:
    """One palette for all frames, or colours flicker: greys in even steps, and the colours that stand beside them."""
    pixels = np.concatenate([np.asarray(frame).reshape(-1, 3) for frame in frames])
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > LEAST_COLOUR]
    found = Image.fromarray(coloured[None]).quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(int), 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys.tolist(), *found.getpalette()[: 3 * COLOURS]])
    return palette


def main() -> None:
    """Export, shrink, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder of the demo")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder:
        movie = Path(folder) / "whole.gif"
        if vidrecon(["export", run, "--movie", str(movie), "--error"]):
            raise SystemExit(f"{run}: could not be exported")
        with Image.open(movie) as whole:
            height = round(WIDTH_PX * whole.height / whole.width)
            frames = [
                frame.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
                for index, frame in enumerate(ImageSequence.Iterator(whole))
                if index % EVERY == 0
            ]
            duration = EVERY * whole.info["duration"]
    palette = palette_of(frames)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(TARGET, save_all=True, append_images=small[1:], duration=duration, loop=0, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB, {len(small)} frames")


if __name__ == "__main__":
    main()
