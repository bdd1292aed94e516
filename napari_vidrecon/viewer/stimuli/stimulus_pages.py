"""One page of controls for each kind of stimulus; each makes the core's own stimulus of what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QSpinBox, QWidget
from superqt import QElidingLabel

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.viewer.panels.controls import button, choice, form, narrow, number, row, tick, whole_number, words
from napari_vidrecon.viewer.preferences import last_folder, remember_last_folder
from napari_vidrecon.viewer.stimuli.making import LEAST_FRAMES

if TYPE_CHECKING:
    from napari_vidrecon.sessions.screen import ScreenGeometry
    from napari_vidrecon.sessions.stimuli.stimulus import Stimulus

LARGEST_LENGTH, LONGEST_FRAMES, MOST_SEEDS = 64.0, 3000, 9999
USUAL_FRAMES, FRAME_STEP = 60, 10
SCREEN_ROWS, SCREEN_COLUMNS = 36, 64
MOVIE_FILTER = "Movies (*.npy *.mp4 *.avi *.mov *.mkv *.gif *.tif *.tiff);;All files (*)"
DIRECTIONS = {"to the right": "right", "to the left": "left", "up": "up", "down": "down"}


class StimulusPage(QWidget):
    """A page of controls with a title."""

    title = ""

    def take_screen(self, screen: ScreenGeometry | None) -> None:
        """Another session has another screen; most pages count in pixels alone."""

    def stimulus(self) -> Stimulus:
        """What the controls say; raises `ConfigError` where they say nothing yet."""
        # Every page has its own; Qt's metaclass leaves no room for that of an abstract class.
        raise NotImplementedError


class NoisePage(StimulusPage):
    """Gaussian noise."""

    title = "Gaussian noise"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spatial = number("noise_spatial", 0.0, LARGEST_LENGTH, _nothing, decimals=1, step=1.0)
        self.spatial.setSuffix(" px")
        self.temporal = number("noise_temporal", 0.0, LARGEST_LENGTH, _nothing, decimals=1, step=1.0)
        self.temporal.setSuffix(" frames")
        self.seed = whole_number("noise_seed", 0, MOST_SEEDS, _nothing)
        self.seed.setPrefix("seed ")
        self.inverted = tick("Inverted", "noise_inverted", lambda _: None)
        self.frames = _frames()
        self.spatial.setValue(4.0)
        self.temporal.setValue(4.0)
        fields = form()
        fields.addRow("Alike in space", self.spatial)
        fields.addRow("… and in time", self.temporal)
        fields.addRow("Draw", row(self.seed, self.inverted))
        fields.addRow("Length", self.frames)
        self.setLayout(fields)

    def stimulus(self) -> Stimulus:
        """What the controls say."""
        from napari_vidrecon.sessions.stimuli.synthetic import GaussianNoise

        return GaussianNoise(
            self.spatial.value(), self.temporal.value(), self.seed.value(), self.inverted.isChecked(),
            self.frames.value(),
        )  # fmt: skip


class GratingPage(StimulusPage):
    """A drifting grating."""

    title = "Drifting grating"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cycles_px = number("grating_cycles_px", 0.01, 0.5, _nothing, decimals=4, step=0.0625)
        self.cycles_px.setSuffix(" cycles/px")
        self.cycles_s = number("grating_cycles_s", 0.0, 15.0, _nothing, decimals=3, step=0.9375)
        self.cycles_s.setSuffix(" cycles/s")
        self.direction = choice("grating_direction", DIRECTIONS, lambda _: None)
        self.phase = number("grating_phase", 0.0, 1.0, _nothing, decimals=2, step=0.25)
        self.phase.setSuffix(" cycles")
        self.frames = _frames()
        self.degrees = words()
        self._screen: ScreenGeometry | None = None
        self.cycles_px.valueChanged.connect(self._say_degrees)
        self.cycles_px.setValue(0.125)
        self.cycles_s.setValue(1.875)
        fields = form()
        fields.addRow("Frequency in space", self.cycles_px)
        fields.addRow("", self.degrees)
        fields.addRow("… and in time", self.cycles_s)
        fields.addRow("Moves", self.direction)
        fields.addRow("First phase", self.phase)
        fields.addRow("Length", self.frames)
        self.setLayout(fields)

    def take_screen(self, screen: ScreenGeometry | None) -> None:
        """Also say the frequency in degrees of the visual angle, straight ahead."""
        self._screen = screen
        self._say_degrees()

    def _say_degrees(self) -> None:
        screen = self._screen
        degrees = 0.0 if screen is None else self.cycles_px.value() / screen.degrees_per_pixel
        self.degrees.setText("" if screen is None else f"{degrees:.3f} cycles/degree straight ahead")

    def stimulus(self) -> Stimulus:
        """What the controls say."""
        from napari_vidrecon.sessions.stimuli.synthetic import DriftingGrating

        return DriftingGrating(
            self.cycles_px.value(), self.cycles_s.value(), self.direction.currentData(), self.phase.value(),
            self.frames.value(),
        )  # fmt: skip


class PatchPage(StimulusPage):
    """A bright or dark patch."""

    title = "Patch on grey"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row = whole_number("patch_row", 0, SCREEN_ROWS - 1, _nothing)
        self.row.setPrefix("row ")
        self.column = whole_number("patch_column", 0, SCREEN_COLUMNS - 1, _nothing)
        self.column.setPrefix("column ")
        self.side = whole_number("patch_side", 1, SCREEN_ROWS, _nothing)
        self.side.setSuffix(" px")
        self.level = choice("patch_level", {"bright": True, "dark": False}, lambda _: None)
        self.before = whole_number("patch_before", 0, LONGEST_FRAMES, _nothing)
        self.shown = whole_number("patch_shown", 1, LONGEST_FRAMES, _nothing)
        self.after = whole_number("patch_after", 0, LONGEST_FRAMES, _nothing)
        for control, value in (
            (self.row, 15), (self.column, 29), (self.side, 6), (self.before, 15), (self.shown, 15), (self.after, 15),
        ):  # fmt: skip
            control.setValue(value)
        for control in (self.before, self.shown, self.after):
            control.setSuffix(" frames")
        narrow(self.row, self.column, self.side)
        fields = form()
        fields.addRow("Upper left pixel", row(self.row, self.column))
        fields.addRow("Level and side", row(self.level, self.side))
        fields.addRow("Grey before", self.before)
        fields.addRow("Patch", self.shown)
        fields.addRow("Grey after", self.after)
        self.setLayout(fields)

    def stimulus(self) -> Stimulus:
        """What the controls say."""
        from napari_vidrecon.sessions.stimuli.synthetic import SinglePatch

        return SinglePatch(
            self.row.value(), self.column.value(), self.side.value(), self.level.currentData(),
            self.before.value(), self.shown.value(), self.after.value(),
        )  # fmt: skip


class MoviePage(StimulusPage):
    """A movie file.

    Parameters
    ----------
    changed
        Called when another file was chosen.
    """

    title = "Movie file"

    def __init__(self, changed: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._changed = changed
        self.path: Path | None = None
        self.file_name = QElidingLabel("no file chosen yet")
        self.file_name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.file_button = button("Choose…", "movie_file", self._ask)
        self.frames = _frames("movie_frames")
        self.frames.setPrefix("first ")
        fields = form()
        fields.addRow("File", row(self.file_name, self.file_button, stretch=0))
        fields.addRow("Length", self.frames)
        self.setLayout(fields)

    def choose(self, path: Path) -> None:
        """Take a file."""
        self.path = path
        self.file_name.setText(str(path))
        self._changed()

    def stimulus(self) -> Stimulus:
        """What the controls say.

        Returns
        -------
        Stimulus
            Its file is read when it is shown.

        Raises
        ------
        ConfigError
            No file was chosen.
        """
        from napari_vidrecon.sessions.stimuli.stimulus import MovieFile

        if self.path is None:
            raise ConfigError("movie file: choose one first")
        return MovieFile(self.path, self.frames.value())

    def _ask(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A movie to show", str(last_folder()), MOVIE_FILTER)
        if name:
            remember_last_folder(Path(name).parent)
            self.choose(Path(name))


def _frames(name: str = "stimulus_frames") -> QSpinBox:
    made = whole_number(name, LEAST_FRAMES, LONGEST_FRAMES, _nothing, FRAME_STEP)
    made.setSuffix(" frames")
    made.setValue(USUAL_FRAMES)
    return made


def _nothing() -> None:
    """A control acts when the stimulus is shown."""
