"""Take every layout and every page of the dock, at every size of the window and in both themes, to look at.

    xvfb-run -a -s "-screen 0 3840x2160x24" python docs/screenshots_all.py FOLDER --size 1366x768
    xvfb-run -a -s "-screen 0 3840x2160x24" python docs/screenshots_all.py FOLDER        # all sizes, one process each
    python docs/screenshots_all.py FOLDER --run RUN.zarr                                 # with a run that is there

A size may have a scale: 3840x2160@2 is a screen of 4k at 200 %.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = ("960x540", "1024x576", "1366x768", "1600x1000", "3840x2160@2")
THEMES = ("dark", "light")
STEPS = 6


def take_size(folder: Path, size: str, run: Path | None) -> None:
    """Take all pictures of one size."""
    words, _, scale = size.partition("@")
    width, height = (int(int(each) / float(scale or 1)) for each in words.split("x"))
    from PIL import Image
    from screenshots import SETTLE_S, Photographer

    from napari_vidrecon.viewer.contributions import commands
    from napari_vidrecon.viewer.model import Layout
    from napari_vidrecon.viewer.opening import open_sample

    class Whole(Photographer):
        """Saves pictures as large as the window is."""

        def take(self, name: str) -> None:
            self.wait(SETTLE_S)
            pixels = self.viewer.screenshot(canvas_only=False, flash=False)
            Image.fromarray(pixels).convert("RGB").save(self.folder / f"{name}.png")
            print(self.folder / f"{name}.png", flush=True)

    photo = Whole(folder)
    window, model, pages = commands.main_window_of(photo.viewer), photo.model, photo.dock.pages
    window.resize(width, height)
    window.move(0, 0)
    photo.wait(1)
    photo.take(f"{size}_dark_welcome")
    if run is None:
        open_sample(model)
        model.set_settings(config=model.config.changed(steps=STEPS))
        photo.run()
    else:
        commands.open_folder(photo.viewer, run)
    photo.go_to(model.trial.frames // 2)
    for theme in THEMES:
        photo.viewer.theme = theme
        pages.open_page("How")
        for layout in Layout:
            model.set_view(layout=layout)
            photo.take(f"{size}_{theme}_{layout.value}")
        model.set_view(layout=Layout.WATCH)
        for title in (*pages.titles, *pages.details):
            photo.open(title)
            photo.take(f"{size}_{theme}_page_{title.replace(' ', '_')}")
    if (window.width(), window.height()) != (width, height):
        print(f"{size}: the window is {window.width()}x{window.height()}, larger than the screen")
    photo.viewer.close()


def main() -> None:
    """Take them all, or those of one size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", help="one size only, e.g. 1366x768 or 3840x2160@2")
    parser.add_argument("--run", type=Path, help="a saved run to show; otherwise a short one of the sample is made")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.size is not None:
        take_size(chosen.folder, chosen.size, chosen.run)
        return
    for size in SIZES:
        scale = size.partition("@")[2]
        with tempfile.TemporaryDirectory() as state:
            surroundings = {**os.environ, "VIDRECON_STATE": state, **({"QT_SCALE_FACTOR": scale} if scale else {})}
            command = [sys.executable, __file__, str(chosen.folder), "--size", size]
            more = [] if chosen.run is None else ["--run", str(chosen.run)]
            subprocess.run([*command, *more], env=surroundings, check=True)


if __name__ == "__main__":
    main()
