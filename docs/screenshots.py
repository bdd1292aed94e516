"""Take the pictures of the documentation: the sample in the real window, in every main state.

Needs a display; without a screen: `xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("VIDRECON_RUNS", tempfile.mkdtemp(prefix="vidrecon-runs-"))
os.environ.setdefault("VIDRECON_STATE", tempfile.mkdtemp(prefix="vidrecon-state-"))

import napari
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_vidrecon.analysis.postprocess import Presentation
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.model import ActivityMode, ErrorMode, Layout, RunState
from napari_vidrecon.viewer.opening import open_sample
from napari_vidrecon.viewer.registry import workspace_of

IMAGES = Path(__file__).parent / "images"
WINDOW_SIZE = (1600, 1000)
PICTURE_SIZE = (1280, 800)
STEPS, SEEN_AT_STEP, DRAWS = 40, 5, 8
LONGEST_WAIT_S = 300.0
SETTLE_S = 1.5
POLL_S = 0.01


class Photographer:
    """Opens the window, brings it into a state, and takes its picture."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.viewer = napari.Viewer(show=True)
        commands.main_window_of(self.viewer).resize(*WINDOW_SIZE)
        self.dock = commands.show_board(self.viewer)
        self.model, self.controller = self.dock.model, self.dock.controller
        self.wait(SETTLE_S)

    def wait(self, seconds: float) -> None:
        """Let the window live for a while."""
        end = time.monotonic() + seconds
        self.wait_for(lambda: time.monotonic() >= end)

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Let the window live until something happened."""
        began = time.monotonic()
        while not happened():
            if time.monotonic() - began > LONGEST_WAIT_S:
                raise TimeoutError("the window did not get there in time")
            QApplication.processEvents()
            time.sleep(POLL_S)

    def open(self, title: str) -> None:
        """Show a page of the dock, or a detail behind one."""
        pages = self.dock.pages
        (pages.open_page if title in pages.titles else pages.open_detail)(title)

    def go_to(self, frame: int) -> None:
        """Show a frame."""
        self.viewer.dims.set_current_step(0, frame)

    def take(self, name: str, *, off_the_screen: bool = False) -> None:
        """Save the picture of the whole window, small: every one of them stays in the repository's history.

        Parameters
        ----------
        name
            Of the file, without its ending.
        off_the_screen
            With what is drawn over the window while a run goes on, which a window does not know of itself.
        """
        self.wait(SETTLE_S)
        if off_the_screen:
            window = commands.main_window_of(self.viewer)
            taken = Image.fromqpixmap(window.screen().grabWindow(window.winId()))
        else:
            taken = Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False))
        picture = taken.convert("RGB").resize(PICTURE_SIZE, Image.Resampling.LANCZOS)
        picture = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        picture.save(self.folder / f"{name}.png", optimize=True)
        print(self.folder / f"{name}.png", flush=True)

    def run(self) -> None:
        """Reconstruct to the end."""
        self.controller.start()
        self.wait_for(lambda: self.model.state in (RunState.DONE, RunState.FAILED))


def take_all(folder: Path) -> None:
    """Take every picture."""
    photo = Photographer(folder)
    model = photo.model
    photo.take("welcome")
    workspace_of(photo.viewer).tour.end()
    open_sample(model)
    model.set_settings(config=model.config.changed(steps=STEPS))
    model.set_view(activity_mode=ActivityMode.FROM_RECONSTRUCTION)
    photo.open("How")
    photo.controller.start()
    photo.go_to(40)
    photo.wait_for(lambda: model.snapshot is not None and model.snapshot.info.step >= SEEN_AT_STEP)
    photo.take("running", off_the_screen=True)
    photo.wait_for(lambda: model.state in (RunState.DONE, RunState.FAILED))

    photo.open("Results")
    photo.take("finished")
    photo.open("How")
    model.set_thresholds(training=0.3, evaluation=0.8)
    photo.take("mask")
    model.undo()

    assert model.neurons is not None
    model.set_neurons(NeuronSet.random(len(model.neurons.keep), 0.5, seed=0))
    photo.open("How")
    photo.take("ablation")
    photo.run()

    commands.show_traces(photo.viewer)
    photo.open("View")
    photo.take("traces")
    traces = commands.show_traces(photo.viewer)
    photo.viewer.window.remove_dock_widget(traces)
    for layout in Layout:
        model.set_view(layout=layout)
        photo.take(f"layout_{layout.value}")
    model.set_view(layout=Layout.WATCH, presentation=Presentation("paper", "stimulus"))
    photo.take("shown_as_in_the_paper")
    model.set_view(presentation=Presentation(), error_mode=ErrorMode.UNCERTAINTY)
    model.set_neurons(NeuronSet.all(len(model.neurons.keep)))
    model.set_settings(config=model.config.changed(draws=DRAWS))
    photo.run()
    photo.take("uncertainty")
    photo.viewer.close()


if __name__ == "__main__":
    take_all(IMAGES)
