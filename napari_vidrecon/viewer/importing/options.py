"""The options of an import: how files of each kind are read, and what becomes of the recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.metadata import HIGHEST_FRAME_RATE_HZ, LOWEST_FRAME_RATE_HZ
from napari_vidrecon.sessions.screen import LARGEST_CM, LARGEST_SIDE_PX, MOST_COLOURS, ScreenGeometry
from napari_vidrecon.viewer.panels.controls import choice, form, narrow, number, put, stack, tick, whole_number, words
from napari_vidrecon.viewer.panels.settings_form import SettingsForm
from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column
    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings, Reader
    from napari_vidrecon.sessions.importing.sources import ImportSource

SHORTEST_TRIAL, LONGEST_TRIAL = 32, 100_000
SMALLEST_SHARE, LARGEST_SHARE, SHARE_STEP = 0.01, 0.49, 0.05
LARGEST_LEVEL, LEVEL_DECIMALS = 1e6, 3
MILLISECONDS, LONGEST_MILLISECONDS = 1000, 60_000
SMALLEST_CM = 0.1
STILL_STEP_S = 0.25
AXES = {
    "usual": None,
    "frame, x, y": "twh",
    "frame, row, column": "thw",
    "row, column, frame": "hwt",
    "clip, frame, x, y": "ntwh",
    "frame, colour, row, column": "tchw",
}
AXES_LETTERS = re.compile("[nthwc]{3,5}")


class ReadingOptions(QWidget):
    """How files of the chosen kind are read: a page of controls a reader, made when the kind is first chosen.

    Parameters
    ----------
    readers
        By kind of files.
    changed
        Called when something else would be read.
    parent
        The widget that owns it.

    Attributes
    ----------
    pages
        By kinds of files that were chosen so far; readers without options have none.
    """

    def __init__(
        self, readers: Mapping[str, type[Reader]], changed: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._readers, self._changed = readers, changed
        self.pages: dict[str, SettingsForm] = {}
        self._offered: list[str] = []
        self._stack = stack(self)

    def show_kind(self, kind: str) -> None:
        """Show the options of a kind."""
        reader = self._readers.get(kind)
        if reader is not None and kind not in self.pages and reader.options_class.model_fields:
            self.pages[kind] = self._page(kind, reader)
        for name, page in self.pages.items():
            page.setVisible(name == kind)

    def _page(self, kind: str, reader: type[Reader]) -> SettingsForm:
        page = SettingsForm(reader.options_class, lambda _name, _value: self._changed(), f"import.{kind}")
        page.offer(self._offered)
        self._stack.addWidget(page)
        return page

    def offer_columns(self, columns: Sequence[Column]) -> None:
        """List what was found, where a name is to be chosen from it; those chosen stay chosen."""
        self._offered = [column.name for column in columns if not column.fault]
        for page in self.pages.values():
            page.offer(self._offered)

    def forget(self) -> None:
        """For other files: take nothing by hand any more."""
        self._offered = []
        for page in self.pages.values():
            page.reset()

    def source(self, kind: str, path: Path) -> ImportSource:
        """What is to be imported, as the core wants it."""
        from napari_vidrecon.sessions.importing.sources import ImportSource

        return ImportSource(kind, path, self.pages[kind].values() if kind in self.pages else {})


class SettingsOptions(QWidget):
    """What becomes of the recording; every control stands at the value that changes least.

    Parameters
    ----------
    changed
        Called when something else is chosen that a look at the files depends on.
    parent
        The widget that owns it.

    Attributes
    ----------
    screen
        What the movies were shown on; it stands elsewhere.
    """

    def __init__(self, changed: Callable[[], None], parent: QWidget | None = None) -> None:
        from napari_vidrecon.sessions.importing.recording import LONGEST_STILL_S

        super().__init__(parent)
        fits = {"pad with grey": "pad", "crop": "crop", "stretch": "stretch"}
        self.trial_frames = whole_number("import_trial_frames", SHORTEST_TRIAL, LONGEST_TRIAL, step=30, after=" frames")
        self.screen = ScreenOptions(changed)
        self.axes = choice("import_axes", AXES)
        self.axes.setEditable(True)
        self.axes.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.axes.currentTextChanged.connect(lambda _text: changed())
        self.fit = choice("import_fit", fits)
        self.bad_neurons = choice("import_bad_neurons", {"leave out": "drop", "refuse the recording": "refuse"})
        below_0 = {"refuse the recording": "refuse", "set to 0": "clip", "raise each neuron": "lift"}
        self.negative = choice("import_negative", below_0)
        self.test_share = number("import_test_share", 0.0, LARGEST_SHARE, step=SHARE_STEP)
        self.validation_share = number("import_validation_share", SMALLEST_SHARE, LARGEST_SHARE, step=SHARE_STEP)
        self.within_movie = tick("Hold out parts of movies", "import_within_movie")
        self.trim = tick("Cut the longer of two arrays", "import_trim")
        self.clock_tolerance = whole_number("import_clock_tolerance", 1, LONGEST_MILLISECONDS, step=10, after=" ms")
        self.stills = number("import_stills", 0.0, LONGEST_STILL_S, changed, step=STILL_STEP_S, after=" s each")
        self.stills.setSpecialValueText("movies, no stills")
        self.tell_levels = tick("Black and white are", "import_levels", self._show_levels)
        self.black = _level("import_black")
        self.white = _level("import_white")
        self._show_defaults()
        self._lay_out()

    def settings(self) -> ImportSettings:
        """The choices, as the core wants them.

        Returns
        -------
        ImportSettings
            Those of the screen with them.

        Raises
        ------
        ConfigError
            What was typed cannot be used.
        """
        from napari_vidrecon.sessions.importing.recording_reader import ImportSettings

        levels = (self.black.value(), self.white.value()) if self.tell_levels.isChecked() else None
        return ImportSettings(
            trial_frames=self.trial_frames.value(),
            fit=self.fit.currentData(),
            bad_neurons=self.bad_neurons.currentData(),
            negative=self.negative.currentData(),
            test_share=self.test_share.value(),
            validation_share=self.validation_share.value(),
            within_movie=self.within_movie.isChecked(),
            trim=self.trim.isChecked(),
            clock_tolerance_s=self.clock_tolerance.value() / MILLISECONDS,
            levels=levels,
            stills_s=self.stills.value() or None,
            axes=self._axes(),
            screen=self.screen.screen(),
            frame_rate_hz=self.screen.rate.value(),
        )

    def _axes(self) -> str | None:
        text = self.axes.currentText().strip()
        if text in AXES or not text:
            return AXES.get(text)
        if not AXES_LETTERS.fullmatch(text):
            raise ConfigError(
                f"Axes of movies: expected letters from the first axis to the last, found “{text}”; "
                "n clips, t frames, h rows, w columns, c colours, e.g. tchw"
            )
        return text

    def _show_defaults(self) -> None:
        from napari_vidrecon.sessions.importing.recording_reader import ImportSettings

        usual = ImportSettings()
        self.trial_frames.setValue(usual.trial_frames)
        self.test_share.setValue(usual.test_share)
        self.validation_share.setValue(usual.validation_share)
        self.clock_tolerance.setValue(round(usual.clock_tolerance_s * MILLISECONDS))
        self.white.setValue(255.0)
        self._show_levels(False)

    def _show_levels(self, told: bool) -> None:
        self.black.setEnabled(told)
        self.white.setEnabled(told)

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Longest trial", self.trial_frames)
        fields.addRow("Other proportions", self.fit)
        fields.addRow("Axes of movies", self.axes)
        fields.addRow("Stills, any order", self.stills)
        fields.addRow("Bad neurons", self.bad_neurons)
        fields.addRow("Activity below 0", self.negative)
        fields.addRow("Held out to test", self.test_share)
        fields.addRow("… and to validate", self.validation_share)
        fields.addRow("Clocks may run apart by", self.clock_tolerance)
        fields.addRow("", self.within_movie)
        fields.addRow("", self.trim)
        fields.addRow(self.tell_levels, _pair(self.black, "and", self.white))
        stack(self, fields)


class ScreenOptions(QWidget):
    """The pixels, colours and clock of the session's movies, and how large the mouse saw them.

    Parameters
    ----------
    changed
        Called when something else is chosen.
    parent
        The widget that owns it.
    """

    def __init__(self, changed: Callable[[], None], parent: QWidget | None = None) -> None:
        from napari_vidrecon.sessions.importing.recording_reader import ImportSettings

        super().__init__(parent)
        self._told = changed
        usual = ImportSettings()
        self.rows = whole_number("import_rows", 1, LARGEST_SIDE_PX, self._change)
        self.columns = whole_number("import_columns_px", 1, LARGEST_SIDE_PX, self._change)
        self.rate = number(
            "import_rate", LOWEST_FRAME_RATE_HZ, HIGHEST_FRAME_RATE_HZ, self._change, step=10.0, after=" Hz"
        )
        self.colours = explain(QLineEdit(), "import_colours")
        self.colours.setPlaceholderText("none: grey levels")
        self.colours.textChanged.connect(lambda _text: self._change())
        self.width_cm, self.height_cm, self.distance_cm = (
            number(f"import_{name}_cm", SMALLEST_CM, LARGEST_CM, self._change, decimals=1, step=1.0)
            for name in ("width", "height", "distance")
        )
        self.told = words("", "import_degrees")
        for box, value in (
            (self.rows, usual.screen.rows),
            (self.columns, usual.screen.cols),
            (self.rate, usual.frame_rate_hz),
            (self.width_cm, usual.screen.width_cm),
            (self.height_cm, usual.screen.height_cm),
            (self.distance_cm, usual.screen.distance_cm),
        ):
            put(box, value)
        self._lay_out()
        self._write()

    def screen(self) -> ScreenGeometry:
        """As the core wants it.

        Returns
        -------
        ScreenGeometry
            Its rows are those of all colours.

        Raises
        ------
        ConfigError
            Of the colours, or of more rows than a screen may have.
        """
        names = tuple(each.strip() for each in self.colours.text().split(",") if each.strip())
        try:
            return ScreenGeometry(
                rows=self.rows.value() * max(1, len(names)),
                cols=self.columns.value(),
                width_cm=self.width_cm.value(),
                height_cm=self.height_cm.value(),
                distance_cm=self.distance_cm.value(),
                colours=names,
            )
        except ValidationError:
            raise ConfigError(
                f"Colours: expected nothing, or 2 to {MOST_COLOURS} names with commas between, e.g. green, uv "
                f"(at most {LARGEST_SIDE_PX} rows of all together), found “{self.colours.text().strip()}”"
            ) from None

    def _change(self) -> None:
        self._write()
        self._told()

    def _write(self) -> None:
        try:
            screen = self.screen()
        except ConfigError:
            self.told.setText("")
            return
        height, width = screen.size_deg()
        self.told.setText(f"{width:.0f}° × {height:.0f}° of the mouse's view, {screen.degrees_per_pixel:.2g}° a pixel")

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Rows × columns", _pair(self.rows, "×", self.columns))
        fields.addRow("Colours", self.colours)
        fields.addRow("Frames a second", self.rate)
        fields.addRow("Width × height, cm", _pair(self.width_cm, "×", self.height_cm))
        fields.addRow("From the eye, cm", self.distance_cm)
        stack(self, fields, self.told)


def _pair(first: QWidget, between: str, second: QWidget) -> QHBoxLayout:
    narrow(first, second)
    layout = QHBoxLayout()
    layout.addWidget(first, 1)
    layout.addWidget(QLabel(between))
    layout.addWidget(second, 1)
    return layout


def _level(name: str) -> QDoubleSpinBox:
    made = number(name, -LARGEST_LEVEL, LARGEST_LEVEL, decimals=LEVEL_DECIMALS, step=1.0)
    # Room for the digits; the keys go up and down.
    made.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    return made
