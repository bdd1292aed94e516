"""Stimulus: what the encoders are shown instead of a recorded clip; a page a kind, made in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QFileDialog, QSpinBox, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_vidrecon.errors import ConfigError, VidreconError
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.session import Session, Trial
from napari_vidrecon.sessions.stimuli.stimulus import MovieFile, Stimulus, stimulus_trial
from napari_vidrecon.viewer.background import Background, subscribe
from napari_vidrecon.viewer.choices import ActivityMode
from napari_vidrecon.viewer.folders import last_folder, remember_last_folder
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.panels.controls import button, choice, form, narrow, number, row, tick, whole_number, words
from napari_vidrecon.viewer.runs.jobs import Job

LEAST_FRAMES = 32
"""Encoders look at windows of so many frames."""


class StimulusMaker(Background):
    """Shows stimuli to the mouse on the board.

    Parameters
    ----------
    model
        Of the same window.
    parent
        Qt owner.
    """

    def __init__(self, model: ReconstructionModel, parent: QObject | None = None) -> None:
        super().__init__(model.message.emit, parent)
        self.model = model
        self._asked: tuple[Session, Stimulus] | None = None

    def show(self, stimulus: Stimulus) -> None:
        """Make it, put it on the board, and let its predicted activity be the target."""
        session = self.model.session
        if not self.free:
            return
        if session is None:
            self.model.message.emit("Open a session first, under What: a stimulus is shown to its encoders.", True)
            return
        self._asked = (session, stimulus)
        self.begin(Job(partial(make, stimulus, session), "vidrecon-stimulus"))

    def on_news(self, job: Job, trial: Trial) -> None:
        """It is made."""
        assert self._asked is not None
        session, stimulus = self._asked
        model = self.model
        if model.session is not session:
            return
        if trial.frames < LEAST_FRAMES:
            text = f"{stimulus.name}: expected at least {LEAST_FRAMES} frames, found {trial.frames}; make it longer."
            model.message.emit(text, True)
            return
        model.set_stimulus(stimulus, trial)
        model.set_view(activity_mode=ActivityMode.FROM_STIMULUS)
        if model.target != "predicted":
            model.set_settings(target="predicted")
            text = "The target is now “predicted activity”, as none was recorded for a stimulus."
            model.message.emit(text, False)


def make(stimulus: Stimulus, session: Session, job: Job) -> None:
    """In the thread: tells the `Trial` that shows the stimulus.

    Parameters
    ----------
    stimulus
        What to show.
    session
        The mouse that it is shown to.
    job
        Takes the news.
    """
    job.tell(stimulus_trial(stimulus, session))


LARGEST_LENGTH, LONGEST_FRAMES, MOST_SEEDS = 64.0, 3000, 9999
USUAL_FRAMES, FRAME_STEP = 60, 10
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
        self.spatial, self.temporal = (
            number(f"noise_{name}", 0.0, LARGEST_LENGTH, decimals=1, step=1.0, after=unit, value=4.0)
            for name, unit in (("spatial", " px"), ("temporal", " frames"))
        )
        self.seed = whole_number("noise_seed", 0, MOST_SEEDS, before="seed ")
        self.inverted = tick("Inverted", "noise_inverted")
        self.frames = _frames()
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
        self.cycles_px = number(
            "grating_cycles_px", 0.01, 0.5, self._say_degrees, decimals=4, step=0.0625, after=" cycles/px", value=0.125
        )
        self.cycles_s = number("grating_cycles_s", 0.0, 15.0, decimals=3, step=0.9375, after=" cycles/s", value=1.875)
        self.direction = choice("grating_direction", DIRECTIONS)
        self.phase = number("grating_phase", 0.0, 1.0, step=0.25, after=" cycles")
        self.frames = _frames()
        self.degrees = words()
        self._screen: ScreenGeometry | None = None
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
        self.row = whole_number("patch_row", 0, USUAL_SCREEN.rows - 1, before="row ", value=15)
        self.column = whole_number("patch_column", 0, USUAL_SCREEN.cols - 1, before="column ", value=29)
        self.side = whole_number("patch_side", 1, USUAL_SCREEN.rows, after=" px", value=6)
        self.level = choice("patch_level", {"bright": True, "dark": False})
        self.before, self.shown, self.after = (
            whole_number(f"patch_{part}", least, LONGEST_FRAMES, after=" frames", value=15)
            for part, least in (("before", 0), ("shown", 1), ("after", 0))
        )
        narrow(self.row, self.column, self.side)
        self._screen = USUAL_SCREEN
        fields = form()
        fields.addRow("Upper left pixel", row(self.row, self.column))
        fields.addRow("Level and side", row(self.level, self.side))
        fields.addRow("Grey before", self.before)
        fields.addRow("Patch", self.shown)
        fields.addRow("Grey after", self.after)
        self.setLayout(fields)

    def take_screen(self, screen: ScreenGeometry | None) -> None:
        """Its pixels are those that can be chosen; on another screen the patch stays where it was by its share."""
        if screen is None:
            return
        screen = screen.one_colour
        if screen == self._screen:
            return
        (rows, columns), before = screen.size_px, self._screen.size_px
        self._screen = screen
        largest = min(rows, columns)
        for field, length, was, highest in (
            (self.row, rows, before[0], rows - 1),
            (self.column, columns, before[1], columns - 1),
            (self.side, largest, min(before), largest),
        ):
            place = round(field.value() * length / was)
            field.setMaximum(highest)
            field.setValue(place)

    def stimulus(self) -> Stimulus:
        """What the controls say."""
        from napari_vidrecon.sessions.stimuli.synthetic import SinglePatch

        return SinglePatch(
            self.row.value(), self.column.value(), self.side.value(), self.level.currentData(),
            self.before.value(), self.shown.value(), self.after.value(), self._screen,
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
        self.frames = _frames("movie_frames", "first ")
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
        if self.path is None:
            raise ConfigError("movie file: choose one first")
        return MovieFile(self.path, self.frames.value())

    def _ask(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A movie to show", str(last_folder()), MOVIE_FILTER)
        if name:
            remember_last_folder(Path(name).parent)
            self.choose(Path(name))


def _frames(name: str = "stimulus_frames", before: str = "") -> QSpinBox:
    return whole_number(
        name, LEAST_FRAMES, LONGEST_FRAMES, step=FRAME_STEP, before=before, after=" frames", value=USUAL_FRAMES
    )


EXPLAINED = (
    "Show the encoders a movie of your own, see the activity they predict, then press Start to reconstruct it from "
    "that activity. Behaviour is the mouse's average."
)


class StimulusPanel(QWidget):
    """Makes a stimulus and puts it on the board, or the trial back.

    Parameters
    ----------
    model
        The state of the window.
    """

    def __init__(self, model: ReconstructionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._trial: tuple[int, int, int | None] | None = None
        self.maker = StimulusMaker(model, self)
        self.movie_page = MoviePage(self._show)
        self.pages: list[StimulusPage] = [NoisePage(), GratingPage(), PatchPage(), self.movie_page]
        kinds = {page.title: index for index, page in enumerate(self.pages)}
        self.kind = choice("stimulus_kind", kinds, lambda _: self._show())
        self.show_button = button("Show it", "show_stimulus", self.show_stimulus)
        self.back_button = button("Back to the trial", "back_to_trial", self.go_back)
        self.state = words()
        self._lay_out()
        self.maker.changed.connect(self._show)
        for signal in (model.session_changed, model.trial_changed):
            subscribe(self, signal, self._follow)
        self._follow()

    def show_stimulus(self) -> None:
        """Put what the controls say on the board."""
        try:
            stimulus = self.pages[self.kind.currentData()].stimulus()
        except VidreconError as error:
            self._model.message.emit(str(error), True)
            return
        self.maker.show(stimulus)

    def go_back(self) -> None:
        """Put the trial back that was on the board before, and match what was recorded."""
        if self._trial is not None:
            trial, start, stop = self._trial
            self._model.set_trial(trial, start, stop)
            self._model.set_settings(target="recorded")

    def _follow(self) -> None:
        model = self._model
        for page in self.pages:
            page.take_screen(None if model.session is None else model.session.screen)
        if model.trial is None:
            self._trial = None
        elif model.stimulus is None:
            self._trial = (model.trial.id, *model.clip)
        self._show()

    def _show(self) -> None:
        model = self._model
        for index, page in enumerate(self.pages):
            page.setVisible(index == self.kind.currentData())
        needs_file = self.pages[self.kind.currentData()] is self.movie_page and self.movie_page.path is None
        self.show_button.setEnabled(model.session is not None and not self.maker.busy and not needs_file)
        self.back_button.setEnabled(model.stimulus is not None and self._trial is not None)
        shown = f"On the board: {model.stimulus.name}." if model.stimulus is not None else EXPLAINED
        self.state.setText("Making it…" if self.maker.busy else shown)

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Kind", self.kind)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.state)
        layout.addLayout(fields)
        for page in self.pages:
            layout.addWidget(page)
        layout.addLayout(row(self.show_button, self.back_button))
